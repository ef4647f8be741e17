"""Many episodes at a time in one process: implements `wisen.core.protocols.Rollouts`."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from wisen.agent.graph import AgentState, EpisodeContext, Recaller, closed, compiled, made
from wisen.agent.moments import AT_THE_START, Moments
from wisen.core.errors import EnvironmentFault, ModelFault
from wisen.core.protocols import Distiller, Environment, Judgement, Model, Suite
from wisen.core.records import Episode, EpisodeEnd, EpisodeRequest, Verdict, VerdictSource

log = logging.getLogger(__name__)


class LocalRollouts:
    """`workers` asyncio tasks, each with an environment of its own, over one model. Writes nothing to the store.

    An episode whose environment or model breaks, or that runs out of time, is a failed trajectory with the reason; its
    environment is replaced and the others go on. Once it is judged it stands: a distiller that breaks then costs its
    items, with a warning. A failed one is yielded once another episode has ended well, before or after it:
    after `patience` broken ones in a row, or where all of a run break, an `EnvironmentFault` with the last reason is
    raised and they are not yielded, since then it is not the episodes that are at fault, and they should be played
    again. `proven` says that an episode of the same batch has ended well in an earlier run.
    """

    def __init__(
        self,
        suite: Suite,
        model: Model,
        judge: Judgement,
        *,
        workers: int = 6,
        recaller: Recaller | None = None,
        moments: Moments = AT_THE_START,
        distiller: Distiller | None = None,
        artifacts: Path | None = None,
        patience: int = 8,
        proven: bool = False,
    ) -> None:
        self._suite, self._model, self._judge = suite, model, judge
        self._recaller, self._distiller = recaller, distiller
        self._moments = moments
        self._artifacts = artifacts
        self._workers = workers
        self._patience = patience
        self._proven = proven

    async def run(self, requests: Sequence[EpisodeRequest]) -> AsyncGenerator[Episode, None]:
        todo = deque(requests)
        done: asyncio.Queue[Episode | None] = asyncio.Queue()
        workers = [
            asyncio.create_task(self._work(todo, done), name=f"rollout-{number}")
            for number in range(min(self._workers, len(todo)))
        ]
        alive, proven = len(workers), self._proven
        broken: list[Episode] = []  # in a row, and not yet yielded
        try:
            while alive:
                episode = await done.get()
                if episode is None:
                    alive -= 1
                    for worker in workers:
                        if worker.done() and not worker.cancelled() and (error := worker.exception()):
                            raise error
                    continue
                broken.append(episode)
                if episode.trajectory.end is not EpisodeEnd.FAILED:
                    proven, settled, broken = True, broken, []
                    for one in settled:
                        yield one
                elif len(broken) >= self._patience:
                    raise _not_theirs(f"{len(broken)} episodes in a row broke", broken)
            if broken and not proven:
                raise _not_theirs("every episode broke", broken)
            for one in broken:
                yield one
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, todo: deque[EpisodeRequest], done: "asyncio.Queue[Episode | None]") -> None:
        environment: Environment | None = None
        try:
            while todo:
                request = todo.popleft()
                if environment is None:
                    environment = await self._suite.create()
                episode = await self._play(request, environment)
                if episode.trajectory.end is EpisodeEnd.FAILED:
                    broken, environment = environment, None
                    await _put_away(broken)
                await done.put(episode)
        finally:
            try:
                if environment is not None:
                    await environment.close()
            finally:
                # After the task has ended, so that its exception can be read by whoever gets the message.
                asyncio.get_running_loop().call_soon(done.put_nowait, None)

    async def _play(self, request: EpisodeRequest, environment: Environment) -> Episode:
        context = EpisodeContext(
            request,
            environment,
            self._model,
            self._judge,
            self._recaller,
            self._distiller,
            self._folder(request),
            self._moments,
        )
        config = {"recursion_limit": 2 * (request.max_steps + request.checks + self._moments.most) + 10}
        started = time.monotonic()
        state: AgentState = {}
        try:
            async with asyncio.timeout(request.max_seconds):
                stream = compiled().astream({"steps": []}, config, context=context, stream_mode="values")
                async for latest in stream:
                    state = latest  # kept as it grows: it is what is known of an episode that breaks
        except (EnvironmentFault, ModelFault, TimeoutError) as error:
            reason = str(error) or f"the episode took more than {request.max_seconds:g} s"
            if "verdict" not in state:
                return _failed(request, state, reason, time.monotonic() - started)
            log.warning("nothing was distilled from %s: %s", request.trajectory_id, reason)
        return Episode(
            trajectory=state["trajectory"],
            verdicts=(state["verdict"],),
            recall=state["recall"],
            later_recalls=tuple(made(state)[1:]),
            proposals=tuple(state.get("proposals", ())),
            seconds=time.monotonic() - started,
        )

    def _folder(self, request: EpisodeRequest) -> Path | None:
        if not request.screenshots or self._artifacts is None:
            return None
        folder = self._artifacts / request.trajectory_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _not_theirs(what: str, broken: Sequence[Episode]) -> EnvironmentFault:
    return EnvironmentFault(what, f"the last: {broken[-1].trajectory.error}")


async def _put_away(broken: Environment) -> None:
    """Close an environment that broke. That it cannot even be closed changes nothing for the episodes to come."""
    try:
        await broken.close()
    except EnvironmentFault as error:
        log.warning("a broken environment could not be closed: %s", error)


def _failed(request: EpisodeRequest, state: AgentState, reason: str, seconds: float) -> Episode:
    """What is known of an episode that broke: the steps up to there, and why."""
    trajectory = closed(request, state.get("steps", []), EpisodeEnd.FAILED, state.get("observation"), error=reason)
    verdict = Verdict(
        trajectory_id=trajectory.id, source=VerdictSource.ENVIRONMENT, success=False, score=0.0, reason=reason
    )
    return Episode(
        trajectory=trajectory,
        verdicts=(verdict,),
        recall=state.get("recall"),
        later_recalls=tuple(made(state)[1:]),
        seconds=seconds,
    )
