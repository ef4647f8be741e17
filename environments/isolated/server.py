"""The process of one environment. It holds one end of a socket pair, whose number is its argument, and ends with it.

Nothing listens: no other program can speak to it. When our side closes its end, or dies, the environment and its suite
are put away; whatever still runs in the process group after a while is killed.
"""

import asyncio
import importlib
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import Any

from wisen.core.protocols import Environment, Snapshots, Suite
from wisen.environments.isolated.wire import LIMIT, Call, Reply, Request, Setup, fault_of, line_of, record_of

GRACE = 3.0  # seconds for putting things away once the other side is gone
log = logging.getLogger(__name__)


def main() -> None:
    connection = socket.socket(fileno=int(sys.argv[1]))
    threading.Thread(target=_end_with, args=(connection.fileno(),), daemon=True).start()
    asyncio.run(_serve(connection))


def _end_with(descriptor: int) -> None:
    """Wait until the other side is gone, then give the main thread its grace: it may be busy for ever."""
    gone = select.poll()
    gone.register(descriptor, 0)  # a hang-up is reported in any case
    gone.poll()
    time.sleep(GRACE)
    os.killpg(os.getpgrp(), signal.SIGKILL)


async def _serve(connection: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LIMIT + 1)
    setup = record_of(Setup, await reader.readline())
    sys.path[:0] = [folder for folder in setup.path if folder not in sys.path]
    suite: Suite | None = None  # once it is to be started
    environment: Environment | None = None
    try:
        try:
            fresh = made(setup.target)(**setup.options)
            oracle = fresh.oracle() if setup.oracle else None
            if oracle is None:
                suite = fresh
                await suite.start()
                environment = await suite.create()
        except Exception as error:
            log.exception("%s did not start", setup.target)
            writer.write(line_of(Reply(fault=fault_of(error))))
            return
        writer.write(line_of(Reply(snapshots=isinstance(environment, Snapshots))))
        while line := await reader.readline():
            request = record_of(Request, line)
            writer.write(await _line(environment, oracle, request))
            await writer.drain()
            if request.call is Call.CLOSE:
                environment = None
    finally:
        if environment is not None:
            await environment.close()
        if suite is not None:
            await suite.stop()
        writer.close()


def made(target: str) -> Any:
    """What `module:attribute` names."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


async def _line(environment: Environment | None, oracle: Any, request: Request) -> bytes:
    try:
        return line_of(await _reply(environment, oracle, request))
    except Exception as error:  # whatever the environment raises is told, and its process stays
        return line_of(Reply(fault=fault_of(error)))


async def _reply(environment: Any, oracle: Any, request: Request) -> Reply:
    match request:
        case Request(call=Call.STEP, action=action) if action is not None:
            return Reply(result=await environment.step(action))
        case Request(call=Call.RESET, task=task) if task is not None:
            return Reply(observation=await environment.reset(task, screenshots=request.screenshots))
        case Request(call=Call.SNAPSHOT):
            return Reply(snapshot=await environment.snapshot())
        case Request(call=Call.RESTORE, snapshot=snapshot) if snapshot is not None:
            return Reply(observation=await environment.restore(snapshot))
        case Request(call=Call.SOLUTION, task=task, observation=observation) if task and observation:
            return Reply(actions=tuple(oracle.solution(task, observation)))
        case Request(call=Call.SECRETS, task=task) if task is not None:
            return Reply(texts=tuple(oracle.secrets(task)))
        case Request(call=Call.CLOSE):
            await environment.close()
            return Reply()
    raise ValueError(f"{request.call} lacks an argument")


if __name__ == "__main__":
    main()
