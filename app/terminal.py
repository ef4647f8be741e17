"""A person plays an environment: what an agent would see, and actions by number or in words."""

import asyncio
import io
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from wisen.core.protocols import Suite
from wisen.core.records import Action, Observation, StepResult, Task, ToolCall, ToolSpec
from wisen.environments.plugs.spoken import as_action

MOST_LISTED = 60
LEAVE = ("q", "quit", "exit")
HELP = "number or text, `> text` for a text that is a number, q to leave"


class Lines:
    """Lines of standard input, read beside the event loop: an environment may have to answer its clock meanwhile."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def read() -> None:
            try:
                for line in _lines_of(sys.stdin):
                    loop.call_soon_threadsafe(self._lines.put_nowait, line)
                loop.call_soon_threadsafe(self._lines.put_nowait, None)
            except RuntimeError:
                pass  # the loop is closed: nobody waits for input any more

        threading.Thread(target=read, daemon=True).start()

    async def next(self) -> str | None:
        """The next line without its end; None where the input ended."""
        line = await self._lines.get()
        if line is None:
            self._lines.put_nowait(None)
        return line


def _lines_of(source: Any) -> Iterator[str]:
    """Straight from the descriptor: a thread that waits inside Python's own buffer keeps the program from ending."""
    try:
        descriptor = source.fileno()
    except (OSError, ValueError, AttributeError, io.UnsupportedOperation):
        yield from (line.rstrip("\n") for line in source)
        return
    rest = b""
    while chunk := os.read(descriptor, 65_536):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace").rstrip("\r") for line in whole)
    if rest:
        yield rest.decode("utf-8", "replace")


async def play_in_terminal(suite: Suite, task: Task, console: Console, *, screenshots: Path | None = None) -> None:
    """One episode, from the first observation to its end or until the person leaves."""
    try:
        await suite.start()
        environment = await suite.create()
        try:
            await _Play(console, task).run(environment, screenshots)
        finally:
            await environment.close()
    finally:
        await suite.stop()


class _Play:
    def __init__(self, console: Console, task: Task) -> None:
        self._console, self._task = console, task
        self._lines = Lines()
        self._steps, self._reward = 0, 0.0

    async def run(self, environment: Any, screenshots: Path | None) -> None:
        seen: Observation = await environment.reset(self._task, screenshots=screenshots)
        self._console.print(Text(f"{self._task.id}\n", style="dim"))
        instruction = ""
        while True:
            if seen.instruction != instruction:
                instruction = seen.instruction
                self._console.print(Text(f"{instruction}\n", style="bold"))
            self._show(seen)
            action = await self._asked(seen)
            if action is None:
                self._console.print(f"left after {self._counted()}")
                return
            result: StepResult = await environment.step(action)
            self._steps += 1
            self._reward += result.reward
            self._tell(result)
            seen = result.observation
            if result.terminated or result.truncated:
                self._end(result)
                return

    def _show(self, seen: Observation) -> None:
        self._console.print(f"{seen.text}\n")
        for number, text in enumerate(seen.actions[:MOST_LISTED], start=1):
            self._console.print(f"{number:4}  {text}")
        if len(seen.actions) > MOST_LISTED:
            self._console.print(f"      and {len(seen.actions) - MOST_LISTED} more, which can be written")
        for number, tool in enumerate(seen.tools, start=len(seen.actions) + 1):
            self._console.print(
                f"{number:4}  {_signature(tool)}  {tool.description.splitlines()[0][:100] if tool.description else ''}"
            )
        for artifact in seen.artifacts:
            self._console.print(f"{artifact.kind}: {artifact.path}")

    async def _asked(self, seen: Observation) -> Action | None:
        """What the person wants to do; None to leave."""
        while (line := await self._line(f"{HELP}\n> " if self._steps == 0 else "> ")) is not None:
            text = line.strip()
            if text.lower() in LEAVE:
                return None
            if text.startswith(">"):
                return Action(text=text[1:].strip())
            if not text.isdecimal() or not (seen.actions or seen.tools):
                if text:
                    return as_action(text, seen)
                continue
            number = int(text) - 1
            if 0 <= number < len(seen.actions):
                return Action(text=seen.actions[number])
            if 0 <= number - len(seen.actions) < len(seen.tools):
                tool = seen.tools[number - len(seen.actions)]
                arguments = await self._arguments(tool)
                return None if arguments is None else Action(tool_call=ToolCall(name=tool.name, arguments=arguments))
            self._console.print(f"there are 1 to {len(seen.actions) + len(seen.tools)}")
        return None

    async def _arguments(self, tool: ToolSpec) -> dict[str, Any] | None:
        """What a tool needs, one line each. None where the input ended."""
        arguments: dict[str, Any] = {}
        required = tool.parameters.get("required", ())
        for name, schema in tool.parameters.get("properties", {}).items():
            about = schema.get("description", "") if isinstance(schema, dict) else ""
            optional = "" if name in required else ", may be empty"
            line = await self._line(f"  {name} ({_kind(schema)}{optional}) {about}\n  = ")
            if line is None:
                return None
            if line or name in required:
                arguments[name] = _typed(line, schema)
        return arguments

    async def _line(self, prompt: str) -> str | None:
        self._console.print(prompt, end="")
        line = await self._lines.next()
        if not sys.stdin.isatty():
            self._console.print(line if line is not None else "")  # a transcript that can be read
        return line

    def _tell(self, result: StepResult) -> None:
        told = [f"reward {result.reward:g}"] if result.reward else []
        told += [f"cost {result.cost:g}"] if result.cost else []
        told += [f"violation: {result.violation}"] if result.violation else []
        if told:
            self._console.print(Text(", ".join(told), style="dim"))

    def _end(self, result: StepResult) -> None:
        self._console.print(f"{result.observation.text}\n")
        how = {True: "success", False: "no success", None: "undecided"}[result.success]
        why = " (cut off)" if result.truncated else ""
        self._console.print(f"over{why}: {how}, {self._counted()}")

    def _counted(self) -> str:
        return f"{self._steps} step{'s' * (self._steps != 1)}, reward {self._reward:g}"


def _signature(tool: ToolSpec) -> str:
    return f"{tool.name}({', '.join(tool.parameters.get('properties', {}))})"


def _kind(schema: Any) -> str:
    kind = schema.get("type", "") if isinstance(schema, dict) else ""
    return kind if isinstance(kind, str) and kind else "value"


def _typed(line: str, schema: Any) -> Any:
    if _kind(schema) == "string":
        return line
    try:
        return json.loads(line)
    except ValueError:
        return line
