"""Trust: the least over all sources, whatever the order in which they come; nothing raises it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.build import item
from tests.memory.test_bank import MemoryLedger
from wisen.core.records import Trust
from wisen.memory.bank import Bank, fold
from wisen.memory.items import joined

classes = st.sampled_from(list(Trust))


@settings(deadline=None)
@given(st.lists(classes, max_size=6))
def test_the_least_of_several(found: list[Trust]) -> None:
    least = Trust.least(found)
    order = [Trust.ENVIRONMENT, Trust.MODEL, Trust.PERSON]
    assert least in found or (not found and least is Trust.ENVIRONMENT)
    assert all(order.index(least) <= order.index(one) for one in found)


@settings(deadline=None)
@given(classes, classes)
def test_joining_lowers_and_never_raises(own: Trust, other: Trust) -> None:
    assert joined(item(trust=own), ["b"], [], other).trust is Trust.least([own, other])
    assert joined(item(trust=own), ["b"], []).trust is own


_acts = st.lists(
    st.one_of(
        st.tuples(st.just("propose"), classes, st.integers(0, 3)),
        st.tuples(st.just("outside"), classes, st.integers(0, 3)),
        st.tuples(st.just("title"), classes, st.integers(0, 3)),
        st.tuples(st.just("restore"), classes, st.integers(0, 30)),
    ),
    max_size=10,
)


@given(_acts)
@settings(max_examples=80, deadline=None)
def test_the_banks_class_is_the_least_of_all_that_joined(acts: list[tuple[str, Trust, int]]) -> None:
    """Also when the same trajectory is offered again in another class, across restores and in any order."""
    ledger = MemoryLedger()
    bank = Bank(ledger)
    expected: dict[int, Trust | None] = {0: None}  # by version
    for act, trust, number in acts:
        now = expected[bank.version]
        if act == "propose":
            bank.propose([item(evidence=[f"traj-{number}"], trust=trust)], actor="test")
            now = trust if now is None else Trust.least([now, trust])
        elif act == "outside":
            bank.propose([item(evidence=[f"traj-{number}"], trust=trust)], actor="mcp", hold=True)
            now = Trust.ENVIRONMENT if now is None or bank.queue() else now
        elif act == "title" and now is not None:
            bank.edit(item().id, actor="person", title=f"Title {number}")
        elif act == "restore":
            version = number % (bank.version + 1)
            known = [one for one in expected if one <= version]
            now = expected[max(known)]
            bank.restore(max(known), actor="test")
        expected[bank.version] = now
        held = fold(ledger.events()).items
        assert (held[item().id].trust if held else None) is now


@given(st.lists(classes, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_an_edit_keeps_the_class_of_its_parent(found: list[Trust]) -> None:
    bank = Bank(MemoryLedger())
    for number, trust in enumerate(found):
        bank.propose([item(evidence=[f"traj-{number}"], trust=trust)], actor="test")
    key, _ = bank.edit(item().id, actor="person", content="In a person's words.")
    assert bank.snapshot().items[key].trust is Trust.least(found)
