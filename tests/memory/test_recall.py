import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.memory.build import ACTIONS, item, observation, request, task
from wisen.core.errors import SettingsError
from wisen.core.records import (
    Author,
    MemoryItem,
    MemoryMode,
    Moment,
    Observation,
    Occasion,
    Scope,
    Standing,
    ToolSpec,
)
from wisen.core.records import ItemStatus as Status
from wisen.memory.bank import Bank, Snapshot
from wisen.memory.index import ChromaIndex
from wisen.memory.rankers import RandomOrder
from wisen.memory.recall import (
    RecallSettings,
    applies,
    offered_verbs,
    recall,
    same_template,
    verb,
)
from wisen.models.embedder import MiniLM

HALF = RecallSettings(k=2, floor=-1)


class Fixed:
    """An index that finds items in a fixed order of similarity: draws and filters are tested here, not vectors."""

    def __init__(self, items: Sequence[MemoryItem], similarities: Sequence[float] = ()) -> None:
        scores = similarities or [0.9 - 0.1 * place for place in range(len(items))]
        self._scores = {one.id: score for one, score in zip(items, scores, strict=True)}

    async def query(self, text: str, ids: Sequence[str], n: int) -> list[tuple[str, float]]:
        found = [(key, self._scores[key]) for key in ids]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:n]


def snapshot(*items: MemoryItem, status: Status = Status.PROBATION) -> Snapshot:
    return Snapshot(7, {one.id: one for one in items}, {one.id: status for one in items})


THREE = [item(f"Advice {number}.") for number in range(3)]


async def test_frozen_shows_the_best_with_certainty() -> None:
    got = await recall(request(), observation(), snapshot(*THREE), Fixed(THREE), settings=RecallSettings(k=2))
    assert [one.id for one in got.items] == [THREE[0].id, THREE[1].id]
    assert got.recall.shown == (THREE[0].id, THREE[1].id)
    assert [one.propensity for one in got.recall.ranked] == [1.0, 1.0, 0.0]
    assert (got.recall.arm, got.recall.arm_propensity, got.recall.eligible) == ("on", 1.0, 3)
    assert (got.recall.bank_version, got.recall.release_id) == (7, "rel-1")
    assert got.recall.trajectory_id == request().trajectory_id


async def test_off_reads_nothing() -> None:
    class Forbidden:
        async def query(self, text: str, ids: Sequence[str], n: int) -> list[tuple[str, float]]:
            raise AssertionError("an episode without memory queried it")

    got = await recall(request(memory=MemoryMode.OFF), observation(), snapshot(*THREE), Forbidden())
    assert (got.recall.arm, got.recall.arm_propensity, got.recall.ranked, got.items) == ("off", 0.0, (), ())


async def test_randomised_draws_have_their_logged_propensities() -> None:
    on = shown = competed = both = 0
    for number in range(1500):
        asked = request(number, memory=MemoryMode.RANDOMISED)
        got = await recall(asked, observation(), snapshot(*THREE), Fixed(THREE), settings=HALF)
        assert [one.propensity for one in got.recall.ranked] == [0.5, 0.5, 0.0]
        assert got.recall.arm_propensity == 0.8
        assert got.recall.shown == tuple(one.id for one in got.items)
        assert THREE[2].id not in got.recall.shown  # a held-out item's place stays empty
        if got.recall.arm == "off":
            assert got.items == ()
            continue
        on += 1
        competed += 2
        shown += len(got.items)
        both += len(got.items) == 2
    assert 0.77 < on / 1500 < 0.83
    assert 0.47 < shown / competed < 0.53
    assert 0.21 < both / on < 0.29  # draws of two items are independent


async def test_draws_depend_on_the_request_and_the_item_only() -> None:
    async def draw(number: int, seed: int, items: Sequence[MemoryItem]) -> dict[str, bool]:
        asked = request(number, memory=MemoryMode.RANDOMISED, seed=seed)
        got = await recall(asked, observation(), snapshot(*items), Fixed(items), settings=HALF)
        return {one.item_id: one.shown for one in got.recall.ranked if one.propensity}

    for number in range(20):
        one = await draw(number, 5, THREE)
        assert one == await draw(number, 5, THREE)
        fewer = await draw(number, 5, THREE[:1])
        assert fewer[THREE[0].id] == one[THREE[0].id]
    draws = [tuple((await draw(1, seed, THREE)).values()) for seed in range(20)]
    assert len(set(draws)) > 1


async def test_active_items_are_held_out_less() -> None:
    asked = request(memory=MemoryMode.RANDOMISED)
    got = await recall(asked, observation(), snapshot(*THREE, status=Status.ACTIVE), Fixed(THREE), settings=HALF)
    assert [one.propensity for one in got.recall.ranked] == [0.9, 0.9, 0.0]


@pytest.mark.parametrize("status", [Status.CANDIDATE, Status.RETIRED, Status.QUARANTINED])
async def test_only_items_on_probation_and_active_ones_are_recalled(status: Status) -> None:
    got = await recall(request(), observation(), snapshot(*THREE, status=status), Fixed(THREE))
    assert got.items == ()
    assert got.recall.eligible == 0
    assert got.recall.info["excluded"]["status"] == 3


async def test_an_item_never_meets_the_task_that_it_comes_from() -> None:
    own = item("Own.", tasks=["task-5", "task-99"])
    for mode in (MemoryMode.FROZEN, MemoryMode.RANDOMISED):
        got = await recall(request(of=99, memory=mode), observation(), snapshot(own), Fixed([own]), leaks=_never)
        assert got.recall.ranked == ()
        assert got.recall.info["excluded"]["leakage"] == 1
    got = await recall(request(of=98), observation(), snapshot(own), Fixed([own]))
    assert got.recall.shown == (own.id,)


def _never(one: MemoryItem, of: object) -> bool:
    return False


def test_the_template_guard() -> None:
    leaks = same_template({"task-1": "t", "task-2": "u"}.get)
    assert leaks(item(tasks=["task-1"]), task(9, template="t"))
    assert not leaks(item(tasks=["task-2"]), task(9, template="t"))
    assert leaks(item(tasks=["task-2", "task-1"]), task(9, template="t"))
    assert leaks(item(tasks=["nobody knows"]), task(9, template="t"))
    assert not leaks(item(tasks=[]), task(9, template="t"))


def test_scope() -> None:
    seen = observation()
    assert applies(Scope(), task(), seen)
    assert applies(Scope(suite="web", environment="page"), task(), seen)
    assert not applies(Scope(suite="code"), task(), seen)
    assert not applies(Scope(environment="other"), task(), seen)
    assert applies(Scope(actions=("click", "type")), task(), seen)
    assert not applies(Scope(actions=("click", "select")), task(), seen)
    free = Observation(instruction="x", text="y")
    assert applies(Scope(actions=("select",)), task(), free)
    tools = Observation(instruction="x", text="y", tools=(ToolSpec(name="search", description=""),))
    assert applies(Scope(actions=("search",)), task(), tools)
    assert not applies(Scope(actions=("click",)), task(), tools)
    assert offered_verbs(observation(actions=[*ACTIONS, "look(at='x')"])) == {"click", "type", "look"}
    assert verb("") == ""


async def test_floor_and_budget_may_leave_nothing() -> None:
    weak = Fixed(THREE, [0.19, 0.1, 0.05])
    got = await recall(request(), observation(), snapshot(*THREE), weak)
    assert (got.items, got.recall.ranked, got.recall.eligible) == ((), (), 3)
    assert got.recall.info["excluded"]["floor"] == 3
    long = [item("word " * 300), item("Short advice.")]
    tight = RecallSettings(k=2, max_tokens=100)
    got = await recall(request(), observation(), snapshot(*long), Fixed(long), settings=tight)
    assert got.recall.shown == (long[1].id,)
    tighter = RecallSettings(max_tokens=5)
    assert (await recall(request(), observation(), snapshot(*long), Fixed(long), settings=tighter)).items == ()


async def test_a_recording_must_be_nearer_than_a_lesson() -> None:
    """At one likeness, advice in words of its own is recalled and a recording of another task's actions is not."""
    lesson, recording = item("Lesson."), item("Recording.", author=Author(distiller="extractive"))
    index = Fixed([recording, lesson], [0.49, 0.3])
    assert (await recall(request(), observation(), snapshot(recording, lesson), index)).items == (lesson,)
    near = Fixed([recording, lesson], [0.51, 0.3])
    assert (await recall(request(), observation(), snapshot(recording, lesson), near)).items == (recording,)


async def test_the_budget_is_settled_before_the_draws() -> None:
    """Whether the second item competes must not hang on whether the first was held out."""
    two = [item("One " * 40), item("Two " * 40)]
    tight = RecallSettings(k=2, max_tokens=60)
    seen = set()
    for number in range(40):
        asked = request(number, memory=MemoryMode.RANDOMISED)
        got = await recall(asked, observation(), snapshot(*two), Fixed(two), settings=tight)
        assert [one.propensity for one in got.recall.ranked] == [0.5, 0.0]
        seen.add(got.recall.shown)
    assert seen == {(), (two[0].id,)}


async def test_the_random_control_ignores_similarity() -> None:
    firsts = set()
    for number in range(30):
        got = await recall(
            request(number), observation(), snapshot(*THREE), Fixed(THREE), ranker=RandomOrder(), settings=HALF
        )
        assert got.recall.ranker == "random"
        firsts.add(got.recall.ranked[0].item_id)
    assert firsts == {one.id for one in THREE}


async def test_a_later_recall_leaves_out_what_had_its_draw() -> None:
    two = RecallSettings(k=1, floor=-1)
    for number in range(30):
        asked = request(number, memory=MemoryMode.RANDOMISED)
        first = (await recall(asked, observation(), snapshot(*THREE), Fixed(THREE), settings=two)).recall
        past = tuple(one.item_id for one in first.ranked if one.propensity)
        again = Occasion(moment=Moment.STUCK, step=3, number=1, query="other words", past=past)
        later = (
            await recall(asked, observation(), snapshot(*THREE), Fixed(THREE), settings=two, occasion=again)
        ).recall
        assert past == (THREE[0].id,)  # whether it was shown or held out
        assert [one.item_id for one in later.ranked if one.propensity] == [THREE[1].id]
        assert later.id != first.id and later.arm == first.arm
        assert (later.number, later.step, later.moment, later.query) == (1, 3, Moment.STUCK, "other words")
        assert later.info["excluded"]["past"] == 1 and "past" not in first.info["excluded"]
    clusters = {THREE[0].id: THREE[0].id, THREE[1].id: THREE[0].id, THREE[2].id: THREE[2].id}
    both = await recall(
        request(), observation(), snapshot(*THREE), Fixed(THREE), settings=two, clusters=clusters,
        occasion=Occasion(number=1, past=(THREE[1].id,)),
    )  # fmt: skip
    assert both.recall.shown == (THREE[2].id,)  # near-duplicates share a draw


async def test_a_recall_that_takes_too_long_answers_with_nothing() -> None:
    class Slow(Fixed):
        async def query(self, text: str, ids: Sequence[str], n: int) -> list[tuple[str, float]]:
            await asyncio.sleep(5)
            return await super().query(text, ids, n)

    class Busy(Fixed):
        async def query(self, text: str, ids: Sequence[str], n: int) -> list[tuple[str, float]]:
            time.sleep(0.05)  # noqa: ASYNC251 -- what does not wait cannot be interrupted
            return await super().query(text, ids, n)

    for index in (Slow(THREE), Busy(THREE)):
        hasty = RecallSettings(max_ms=20)
        got = await recall(request(), observation(), snapshot(*THREE), index, settings=hasty)
        assert got.items == got.recall.ranked == ()
        assert got.recall.info["late"] == "more than 20 ms" and got.recall.eligible == 3
    patient = RecallSettings(max_ms=60_000)
    got = await recall(request(), observation(), snapshot(*THREE), Fixed(THREE), settings=patient)
    assert got.recall.shown and "late" not in got.recall.info


async def test_a_time_limit_from_outside_is_not_taken_for_its_own() -> None:
    class Slow(Fixed):
        async def query(self, text: str, ids: Sequence[str], n: int) -> list[tuple[str, float]]:
            await asyncio.sleep(5)
            return []

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await recall(
                request(), observation(), snapshot(*THREE), Slow(THREE), settings=RecallSettings(max_ms=60_000)
            )


async def test_rankers_are_told_what_items_are_worth() -> None:
    worth = {THREE[2].id: Standing(value=1.0, shown=4, wins=4)}
    by_worth = RecallSettings(floor=-1, ranker="value", ranker_options={"weight": 1.0})
    got = await recall(request(), observation(), snapshot(*THREE), Fixed(THREE), settings=by_worth, standings=worth)
    assert (got.recall.ranker, got.recall.shown) == ("value", (THREE[2].id,))
    with pytest.raises(SettingsError, match="nobody measured"):
        await recall(request(), observation(), snapshot(*THREE), Fixed(THREE), settings=by_worth)
    clusters = {THREE[0].id: THREE[2].id, THREE[1].id: THREE[1].id, THREE[2].id: THREE[2].id}
    got = await recall(
        request(), observation(), snapshot(*THREE), Fixed(THREE), settings=by_worth, standings=worth, clusters=clusters
    )
    assert {one.item_id for one in got.recall.ranked[:2]} == {THREE[0].id, THREE[2].id}  # a cluster has one account


async def test_with_the_real_index(bank: Bank, embedder: MiniLM, tmp_path: Path) -> None:
    right = item("Type the name, then press login.", when="A login form asks for a username.", title="Login")
    wrong = item("Open the list and pick one.", when="A country must be chosen.", title="Countries")
    bank.propose([right, wrong], actor="test")
    index = ChromaIndex(embedder, path=tmp_path / "chroma")
    await index.sync(bank.snapshot().items.values())
    seen = observation('Enter the username "bela" and press login.')
    got = await recall(request(), seen, bank.snapshot(), index)
    assert got.items == (bank.snapshot().items[right.id],)
    assert got.recall.query == seen.instruction
    assert got == await recall(request(), seen, bank.snapshot(), index)
    await index.close()
