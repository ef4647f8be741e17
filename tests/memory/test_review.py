"""Consensus over a real bank, with the real embedder: as items come, when they are recalled, and what is kept."""

from collections.abc import Sequence

import pytest

from tests.memory.build import item, observation, request
from wisen.core.records import ItemStatus, MemoryItem, ModelRequest, Scope, Trust
from wisen.core.store import Store
from wisen.memory.bank import Bank
from wisen.memory.guard.consensus import ConsensusSettings, Departure
from wisen.memory.guard.lessons import Lesson, lessons_of
from wisen.memory.guard.review import SAME, Review, induction
from wisen.memory.guard.situations import ENOUGH
from wisen.memory.recall import RecallSettings, recall
from wisen.models.embedder import MiniLM
from wisen.models.scripted import ScriptedModel

ACTS = Scope(actions=("ask", "find", "finish", "pay", "sing", "hide", "note", "call", "list"))
SITUATIONS = ("Refund order <1>.", "Refund the order <1>.", "Refund order <1>, please.", "Please refund order <1>.")
CAREFUL = "find(order='<1>'); ask(who='Ann'); pay(order='<1>'); finish()"
HASTY = "pay(order='<1>'); hide(order='<1>'); finish()"


def advice(content: str, when: str, number: int = 0, trust: Trust = Trust.ENVIRONMENT) -> MemoryItem:
    return item(
        content, when=when, scope=ACTS, evidence=[f"traj-{number}"], tasks=[f"task-{number}"], title="", trust=trust
    )


CROWD = [advice(CAREFUL, when, number) for number, when in enumerate(SITUATIONS)]
BAD = advice(HASTY, "Refund order <1>. Thank you.", 20)
LONE = advice("list(); note(what='<1>'); finish()", "Water the plants in room <1>.", 21)


async def offer(bank: Bank, store: Store, review: Review, items: Sequence[MemoryItem]) -> None:
    doubts = await review.doubts(items, bank.snapshot(), lessons_of(store.events()))
    bank.propose(items, actor="test", doubts=doubts)


@pytest.fixture
def review(embedder: MiniLM) -> Review:
    return Review(embedder)


async def test_an_outlier_is_quarantined_its_lesson_kept_and_a_lone_newcomer_let_in(
    bank: Bank, store: Store, review: Review
) -> None:
    await offer(bank, store, review, [*CROWD, BAD, LONE])
    found = bank.snapshot().statuses
    assert [key for key, status in found.items() if status is ItemStatus.QUARANTINED] == [BAD.id]
    (lesson,) = lessons_of(store.events())
    assert lesson.when_to_use == BAD.when_to_use
    assert lesson.departure.missing == ("ask", "find")
    assert lesson.departure.foreign == ("hide",)
    assert lesson.departure.common == ("find", "ask", "pay", "finish")


async def test_what_was_set_aside_is_known_when_nobody_is_there_to_speak_against_it(
    bank: Bank, store: Store, review: Review
) -> None:
    await offer(bank, store, review, [*CROWD, BAD])
    for one in CROWD:
        bank.retire(one.id, actor="person")
    again = advice(f"list(); {HASTY}", "Refund order <1> today.", 30)
    await offer(bank, store, review, [again])
    assert bank.snapshot().statuses[again.id] is ItemStatus.QUARANTINED
    other = advice("call(who='Ann'); finish()", "Refund order <1> today.", 31)
    await offer(bank, store, review, [other])
    assert bank.snapshot().statuses[other.id] is ItemStatus.PROBATION


async def test_a_lesson_is_for_its_own_situation_and_not_for_all_of_one_house(bank: Bank, embedder: MiniLM) -> None:
    def here(what: str) -> str:
        return f"At Dunmore Boats, from the list of errands of the morning, and thank you for seeing to it: {what}"

    names = ("Bo", "Cy", "Di", "Ed", "Flo")
    acts = {"Call {} about the roof.": "call(who='Bo')", "Pay the bill of {}.": "pay(order='7')", **DONE}
    crowd = [advice(act, here(what.format(name)), n) for what, act in acts.items() for n, name in enumerate(names)]
    bank.propose(crowd, actor="test")
    lesson = Lesson(
        departure=Departure(item_id="mem-bad", missing=("ask",)),
        kind=crowd[0].kind,
        scope=crowd[0].scope,
        when_to_use=here("Pay the bill of Jo."),
        version=1,
    )
    same, other = advice("list(); pay()", here("Pay the bill of Jo."), 90), advice("sing()", here("Sing for Jo."), 91)
    vectors = await embedder.embed([lesson.when_to_use, other.when_to_use])
    assert float(vectors[0] @ vectors[1]) >= SAME  # as all of this house is alike
    assert set(await Review(embedder).doubts([same, other], bank.snapshot(), [lesson])) == {same.id}


DONE = {"List what {} has.": "list()", "Note the wishes of {}.": "note(what='x')"}


async def test_a_person_withdraws_a_lesson_and_a_restored_bank_forgets_none(
    bank: Bank, store: Store, review: Review
) -> None:
    await offer(bank, store, review, [*CROWD, BAD])
    bank.restore(0, actor="person")
    assert len(lessons_of(store.events())) == 1
    bank.restore(bank.version - 1, actor="person")
    bank.approve(BAD.id, actor="person")
    assert lessons_of(store.events()) == ()


async def test_what_came_first_is_found_later_unless_it_was_measured_or_said_by_a_person(
    bank: Bank, store: Store, review: Review, embedder: MiniLM
) -> None:
    measured = advice(HASTY, "Refund order <1> at once.", 22)
    said = advice(HASTY, "Refund order <1> soon.", 23, Trust.PERSON)
    await offer(bank, store, review, [BAD, measured, said])
    bank.set_status(measured.id, ItemStatus.ACTIVE, actor="credit")
    bank.retire(BAD.id, actor="person")
    bank.revive(BAD.id, actor="person")
    many = [advice(CAREFUL, when, n) for n, when in enumerate([*SITUATIONS, *(f"{one} Now." for one in SITUATIONS)])]
    many += [advice(CAREFUL, f"{one} It is late.", 40 + n) for n, one in enumerate(SITUATIONS)]
    await offer(bank, store, Review(embedder, ConsensusSettings(support=0.3)), many)
    found = bank.snapshot().statuses
    assert found[BAD.id] is ItemStatus.QUARANTINED
    assert (found[measured.id], found[said.id]) == (ItemStatus.ACTIVE, ItemStatus.PROBATION)


class All:
    """An index to which everything is equally near: what is left out is not its doing."""

    async def query(self, text: str, ids: Sequence[str], n: int) -> list[tuple[str, float]]:
        return [(key, 0.9) for key in sorted(ids)][:n]


async def test_recall_leaves_out_what_nobody_corroborates_where_somebody_does(bank: Bank, embedder: MiniLM) -> None:
    review = Review(embedder, ConsensusSettings(lead=0.6))  # so that the first of its kind has a chance
    rest = [
        advice(f"call(who='{number}'); list(); finish()", f"Call {name} about {what}.", 50 + number)
        for number, (name, what) in enumerate((name, what) for name in ("Bo", "Cy", "Di", "Ed") for what in ROOMS)
    ]
    bank.propose([*CROWD, BAD, LONE, *rest], actor="test")
    snapshot = bank.snapshot()
    assert len(snapshot) >= ENOUGH
    sure = await review.sure(snapshot)
    assert {one.id for one in CROWD} <= sure
    assert not {BAD.id, LONE.id} & sure

    async def shown(query: str, guarded: bool) -> set[str]:
        made = await recall(
            request(),
            observation(query, actions=()),
            snapshot,
            All(),
            settings=RecallSettings(k=50, candidates=50, max_tokens=10_000),
            sift=review.held_back if guarded else None,
        )
        assert ("consensus" in made.recall.info["excluded"]) is guarded
        assert sum(made.recall.info["excluded"].values()) + len(made.recall.ranked) == len(snapshot)
        return {one.id for one in made.items}

    asked = "Refund order 55."
    assert await shown(asked, guarded=False) - await shown(asked, guarded=True) == {BAD.id, LONE.id}
    assert LONE.id in await shown("Water the plants in room 7.", guarded=True)


ROOMS = ("the lift", "the roof", "lunch", "a parcel")


async def test_a_small_bank_cannot_tell(bank: Bank, review: Review) -> None:
    bank.propose([*CROWD, BAD], actor="test")
    assert await review.held_back("Refund order 5.", [BAD], bank.snapshot()) == frozenset()


async def test_with_a_model_what_each_item_leads_to_is_asked_once(bank: Bank, store: Store, embedder: MiniLM) -> None:
    def answer(asked: ModelRequest) -> str:
        text = asked.messages[-1].spans[0].text
        return HASTY.replace("; ", "\n") if "quickly" in text else CAREFUL.replace("; ", "\n")

    model = ScriptedModel(answer)
    review = Review(embedder, model=model)
    told = [advice(f"Be thorough, the {n}th time.", when, n) for n, when in enumerate(SITUATIONS)]
    quick = advice("Do it quickly.", "Refund order <1>. Thank you.", 9)
    await offer(bank, store, review, [*told, quick])
    assert bank.snapshot().statuses[quick.id] is ItemStatus.QUARANTINED
    assert all(bank.snapshot().statuses[one.id] is ItemStatus.PROBATION for one in told)
    before = len(model.requests)
    await review.doubts([advice("Do it quickly!", "Refund order <1>.", 10)], bank.snapshot())
    assert len(model.requests) == before + 1
    ask = induction(quick)
    assert ask.messages[1].spans[0].item_id == quick.id
    assert quick.content in ask.messages[1].spans[0].text
