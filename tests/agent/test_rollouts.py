import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.corridor import Corridor, Corridors, breaks, walk
from wisen.agent.judge import choose_judge
from wisen.agent.rollouts import LocalRollouts
from wisen.core.errors import EnvironmentFault, ModelFault
from wisen.core.ids import derived_seed
from wisen.core.protocols import Capability, Environment, Model, Suite
from wisen.core.records import (
    Episode,
    EpisodeEnd,
    EpisodeRequest,
    MemoryItem,
    ModelReply,
    ModelRequest,
    Trajectory,
    Verdict,
)
from wisen.models.scripted import ScriptedModel
from wisen.models.uniform import UniformModel

JUDGE = choose_judge(environment_decides=True)


class Unhurried(UniformModel):
    """The random policy, answering after a while of its own, so that episodes overtake one another."""

    async def call(self, request: ModelRequest) -> ModelReply:
        draw = random.Random(derived_seed(request.seed, "pause"))
        await asyncio.sleep(draw.random() * 0.002)
        return await super().call(request)


async def run(
    requests: Sequence[EpisodeRequest], suite: Suite | None = None, model: Model | None = None, **parts: Any
) -> list[Episode]:
    rollouts = LocalRollouts(suite or Corridors(), model or UniformModel(), JUDGE, **parts)
    async with asyncio.timeout(20):  # a worker that is lost must not hang the tests
        return [episode async for episode in rollouts.run(requests)]


def by_id(episodes: Sequence[Episode]) -> dict[str, Trajectory]:
    return {episode.trajectory.id: episode.trajectory for episode in episodes}


async def test_every_request_is_played_once_in_few_environments() -> None:
    suite = Corridors()
    episodes = await run([walk(number) for number in range(20)], suite, workers=3)
    assert sorted(by_id(episodes)) == sorted(f"traj-{number}" for number in range(20))
    assert len(episodes) == 20
    assert len(suite.made) == 3
    assert sorted(task for place in suite.made for task in place.played) == sorted(
        f"corridor-learn-{number}" for number in range(20)
    )
    assert all(place.closed == 1 for place in suite.made)
    for episode in episodes:
        assert [verdict.trajectory_id for verdict in episode.verdicts] == [episode.trajectory.id]
        assert episode.verdicts[0].success == episode.trajectory.success


def test_the_parts_are_what_they_say() -> None:
    assert isinstance(Corridor(), Environment)
    assert isinstance(Corridors(), Suite)


async def test_no_more_environments_than_episodes_and_none_for_nothing() -> None:
    suite = Corridors()
    assert await run([], suite) == []
    assert suite.made == []
    await run([walk(1)], suite, workers=6)
    assert len(suite.made) == 1


async def test_many_workers_give_the_trajectories_of_one() -> None:
    requests = [walk(number, max_steps=12) for number in range(25)]
    alone = await run(requests, model=Unhurried(), workers=1)
    together = await run(requests, model=Unhurried(), workers=6)
    assert by_id(alone) == by_id(together)
    assert [item.trajectory.id for item in alone] != [item.trajectory.id for item in together]
    assert len({len(trajectory.steps) for trajectory in by_id(alone).values()}) > 3


async def test_an_episode_is_yielded_when_it_ends_not_when_all_have() -> None:
    rollouts = LocalRollouts(Corridors(), UniformModel(), JUDGE, workers=2)
    requests = [walk(1, environment="slow"), walk(2)]
    stream = rollouts.run(requests)
    async with asyncio.timeout(5):
        first = await anext(stream)
        await stream.aclose()
    assert first.trajectory.id == "traj-2"


@pytest.mark.parametrize("at", [-1, 0, 1])
async def test_a_broken_environment_is_replaced_and_its_episode_failed_with_the_reason(at: int) -> None:
    suite = Corridors(breaks(1, at=at))
    episodes = await run([walk(number) for number in range(4)], suite, model=right_along(), workers=1)
    found = by_id(episodes)
    broken = found["traj-1"]
    assert (broken.end, broken.success) == (EpisodeEnd.FAILED, False)
    assert broken.error == "the floor gave way in corridor-learn-1"
    assert len(broken.steps) == max(0, at)
    (verdict,) = next(item for item in episodes if item.trajectory is broken).verdicts
    assert (verdict.success, verdict.score, verdict.reason) == (False, 0.0, broken.error)
    assert all(found[f"traj-{number}"].success for number in (0, 2, 3))
    first, second = suite.made
    assert first.played == ["corridor-learn-0", "corridor-learn-1"]
    assert second.played == ["corridor-learn-2", "corridor-learn-3"]
    assert (first.closed, second.closed) == (1, 1)


async def test_what_was_seen_before_it_broke_is_kept() -> None:
    (episode,) = await run([walk(3)], Corridors(breaks(3, at=0)), model=right_along(), proven=True)
    assert episode.trajectory.instruction == "Open door 3."
    assert episode.trajectory.final is not None
    assert episode.trajectory.final.text == "You are at door 0."


async def test_a_success_that_the_judge_could_not_be_asked_about_is_no_success() -> None:
    class Broken:
        async def judge(self, trajectory: Trajectory) -> Verdict:
            raise ModelFault("the judge is away")

    rollouts = LocalRollouts(Corridors(), right_along(), Broken(), workers=1, proven=True)
    (episode,) = [episode async for episode in rollouts.run([walk(1)])]
    trajectory = episode.trajectory
    assert (trajectory.end, trajectory.error, trajectory.success) == (EpisodeEnd.FAILED, "the judge is away", False)
    assert not episode.verdicts[0].success
    assert [step.action.text for step in trajectory.steps] == ["right", "open"]


async def test_an_environment_that_cannot_even_be_closed_is_replaced_all_the_same() -> None:
    class Stuck(Corridor):
        async def close(self) -> None:
            await super().close()
            if "corridor-learn-1" in self.played:
                raise EnvironmentFault("it does not close")

    class Stuckness(Corridors):
        async def create(self) -> Corridor:
            self.made.append(Stuck(breaks(1)))
            return self.made[-1]

    suite = Stuckness()
    episodes = await run([walk(number) for number in range(3)], suite, workers=1)
    assert len(episodes) == 3
    assert len(suite.made) == 2


async def test_a_fault_of_the_model_is_a_failed_episode() -> None:
    def answer(request: ModelRequest) -> str | Exception:
        return ModelFault("no key") if "Open door 2." in request.messages[0].text else "open"

    model = ScriptedModel(answer, capabilities=[Capability.CHOICE])
    found = by_id(await run([walk(number) for number in range(4)], model=model, workers=2))
    assert found["traj-2"].error == "no key"
    assert [found[f"traj-{number}"].end for number in (0, 1, 3)] == [EpisodeEnd.TERMINATED] * 3


async def test_an_episode_that_takes_too_long_is_cut_and_its_environment_replaced() -> None:
    suite = Corridors()
    requests = [walk(1, environment="slow", max_seconds=0.2), walk(2), walk(3)]
    episodes = await run(requests, suite, workers=1)
    cut = by_id(episodes)["traj-1"]
    assert (cut.end, cut.success, cut.steps) == (EpisodeEnd.FAILED, False, ())
    assert "0.2 s" in cut.error
    assert [len(place.played) for place in suite.made] == [1, 2]
    assert 0.15 < next(item.seconds for item in episodes if item.trajectory is cut) < 5


async def test_patience_ends_when_episodes_break_in_a_row() -> None:
    requests = [walk(number) for number in range(30)]
    always = Corridors(breaks(*range(30)))
    with pytest.raises(EnvironmentFault, match=r"3 episodes in a row broke.*the floor gave way"):
        await run(requests, always, workers=2, patience=3)
    assert sum(len(place.played) for place in always.made) < 6
    assert all(place.closed == 1 for place in always.made)
    every_third = Corridors(breaks(*range(0, 30, 3)))
    assert len(await run(requests, every_third, workers=1, patience=2)) == 30


async def test_where_every_episode_breaks_none_is_brought_back_so_that_all_are_played_again() -> None:
    requests = [walk(number) for number in range(3)]
    brought = []
    with pytest.raises(EnvironmentFault, match=r"every episode broke \(the last: the floor gave way"):
        async for episode in LocalRollouts(Corridors(breaks(0, 1, 2)), UniformModel(), JUDGE, workers=1).run(requests):
            brought.append(episode)
    assert brought == []
    proven = await run(requests, Corridors(breaks(0, 1, 2)), proven=True)  # the last ones of a batch that went well
    assert [episode.trajectory.end for episode in proven] == [EpisodeEnd.FAILED] * 3


async def test_broken_episodes_come_back_once_another_ends_well() -> None:
    requests = [walk(number) for number in range(5)]
    episodes = await run(requests, Corridors(breaks(0, 1, 4)), workers=1)
    assert [episode.trajectory.id for episode in episodes] == [f"traj-{number}" for number in range(5)]
    assert [episode.trajectory.end is EpisodeEnd.FAILED for episode in episodes] == [True, True, False, False, True]


@pytest.mark.parametrize("workers", [1, 4])
async def test_a_bug_reaches_the_caller_and_everything_is_closed(workers: int) -> None:
    suite = Corridors(breaks(5, error=ZeroDivisionError))
    with pytest.raises(ZeroDivisionError):
        await run([walk(number) for number in range(20)], suite, workers=workers)
    assert all(place.closed == 1 for place in suite.made)


async def test_an_environment_that_cannot_start_is_told_to_the_caller() -> None:
    class Unbuilt(Corridors):
        async def create(self) -> Corridor:
            raise EnvironmentFault("no Chromium here")

    with pytest.raises(EnvironmentFault, match="no Chromium"):
        await run([walk(0), walk(1)], Unbuilt())


async def test_an_environment_that_cannot_be_closed_at_the_end_is_told_and_nothing_hangs() -> None:
    class Stuck(Corridor):
        async def close(self) -> None:
            raise EnvironmentFault("it does not close")

    class Stuckness(Corridors):
        async def create(self) -> Corridor:
            return Stuck()

    with pytest.raises(EnvironmentFault, match="does not close"):
        await run([walk(0), walk(1)], Stuckness())


async def test_a_caller_that_stops_listening_stops_the_workers() -> None:
    suite = Corridors()
    rollouts = LocalRollouts(suite, UniformModel(), JUDGE, workers=3)
    stream = rollouts.run([walk(number) for number in range(50)])
    await anext(stream)
    await stream.aclose()
    assert all(place.closed == 1 for place in suite.made)
    assert sum(len(place.played) for place in suite.made) < 50
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("rollout-")]


async def test_proposals_are_made_only_when_asked_for() -> None:
    class Counting:
        name = "counting"

        async def distil(self, attempts: Sequence[tuple[Trajectory, Verdict]]) -> tuple[MemoryItem, ...]:
            ((trajectory, _),) = attempts
            return (
                MemoryItem(
                    id=f"mem-{trajectory.id}",
                    kind="fact",
                    title="t",
                    when_to_use="w",
                    content="c",
                    evidence=(trajectory.id,),
                ),
            )

    requests = [walk(number, distil=number % 2 == 0) for number in range(6)]
    episodes = await run(requests, distiller=Counting())
    proposed = {episode.trajectory.id: [item.id for item in episode.proposals] for episode in episodes}
    assert proposed == {f"traj-{n}": [f"mem-traj-{n}"] if n % 2 == 0 else [] for n in range(6)}


async def test_screenshots_have_a_folder_of_their_own_where_they_are_asked_for(tmp_path: Path) -> None:
    suite = Corridors()
    await run([walk(0, screenshots=True), walk(1)], suite, workers=1, artifacts=tmp_path)
    assert suite.made[0].screenshots == [tmp_path / "traj-0", None]
    assert (tmp_path / "traj-0").is_dir()


def right_along() -> ScriptedModel:
    """Walks right to the door that the task names, and opens it."""

    def answer(request: ModelRequest) -> str:
        text = request.messages[0].text
        door = text[text.index("at door ") + 8]
        return "open" if f"Open door {door}." in text else "right"

    return ScriptedModel(answer, capabilities=[Capability.CHOICE])


@pytest.mark.parametrize("trouble", [ModelFault("the writer is away"), None], ids=["breaks", "takes too long"])
async def test_a_distiller_in_trouble_costs_its_items_and_not_the_episode(
    trouble: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    class Troubled:
        name = "troubled"

        async def distil(self, attempts: Sequence[tuple[Trajectory, Verdict]]) -> tuple[MemoryItem, ...]:
            if trouble:
                raise trouble
            await asyncio.sleep(30)
            return ()

    (episode,) = await run([walk(0, distil=True, max_seconds=1.0)], distiller=Troubled())
    assert episode.trajectory.end is not EpisodeEnd.FAILED and episode.verdicts
    assert episode.proposals == ()
    assert "nothing was distilled" in caplog.text
