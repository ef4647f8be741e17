"""ExpeL's list: its operations, its votes, and what it reads at one go."""

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.curating import Lines, held, listed, says, step, text, tried
from wisen.core.errors import SettingsError
from wisen.core.records import EpisodeEnd, Phase, Revision
from wisen.core.store import Store
from wisen.memory.bank import Bank
from wisen.memory.distillers.expel import ExpeL
from wisen.models.scripted import ScriptedModel

WON = [tried(1, True)]


def ops(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"operations": list(operations)}


def add(content: str) -> dict[str, Any]:
    return {"do": "ADD", **text(content)}


def edit(number: int, content: str) -> dict[str, Any]:
    return {"do": "EDIT", "number": number, **text(content)}


def agree(number: int) -> dict[str, Any]:
    return {"do": "AGREE", "number": number}


def remove(number: int) -> dict[str, Any]:
    return {"do": "REMOVE", "number": number}


async def votes(store: Store, *replies: Any, cap: int = 20) -> dict[str, int]:
    """By text, the votes of the list after those replies."""
    curator = ExpeL(says(*replies), cap=cap)
    for number in range(len(replies)):
        await step(curator, store, [tried(number + 1, True)])
    return {content: counts["votes"] for content, counts in listed(curator, store).items()}


async def test_each_operation_counts(store: Store) -> None:
    assert await votes(store, ops(add("a"), add("b"), add("c"))) == {"a": 2, "b": 2, "c": 2}
    assert await votes(store, ops(agree(2), remove(3), edit(1, "A"))) == {"b": 3, "c": 1, "A": 3}
    assert await votes(store, ops(remove(3), add("d"))) == {"b": 3, "A": 3, "d": 2}  # c had one left
    assert await votes(store, ops(add("b"))) == {"b": 4, "A": 3, "d": 2}  # it is there: an agreement
    assert await votes(store, ops()) == {"b": 4, "A": 3, "d": 2}


async def test_an_edit_keeps_its_line_and_an_agreement_adds_evidence(store: Store) -> None:
    await votes(store, ops(add("a")))
    (first,) = held(ExpeL(says()), store)
    await votes(store, ops(), ops(edit(1, "A")), ops(), ops(agree(1)))
    new = next(entry.item for entry in held(ExpeL(says()), store) if entry.present)
    assert new.parent_id == first.item.id and new.author.distiller == "expel"
    assert new.evidence == ("traj-1-1", "traj-2-1", "traj-4-1") and new.source_tasks == ("task-1", "task-2", "task-4")


async def test_a_full_list_is_shortened_faster_and_never_grows_over_the_cap(store: Store) -> None:
    assert await votes(store, ops(add("a"), add("b"), add("c")), cap=3) == {"a": 2, "b": 2, "c": 2}
    assert await votes(store, ops(agree(1), agree(3)), cap=3) == {"a": 3, "b": 2, "c": 3}
    assert await votes(store, ops(add("d")), cap=3) == {"a": 3, "c": 3, "d": 2}  # fewest votes, and the oldest of those
    model = says(ops(remove(1)))
    await step(ExpeL(model, cap=3), store, WON)
    assert "list is full" in model.requests[0].messages[0].text
    assert {key: found["votes"] for key, found in listed(ExpeL(model), store).items()} == {"c": 3, "d": 2}


@pytest.mark.parametrize(
    ("reply", "says_what"),
    [
        (ops(agree(1), agree(1)), "named twice"),
        (ops(agree(2)), "no line 2"),
        (ops(agree(0)), "greater than or equal to 1"),
        (ops({"do": "AGREE"}), "number"),
        (ops({"do": "DROP", "number": 1}), "DROP"),
        (ops({"do": "AGREE", "number": "1"}), "valid integer"),
        (ops({**agree(1), "content": "x"}), "content"),
        (ops(add("a"), add("b"), add("c"), add("d"), add("e")), "at most 4"),
        (ops(add(" ")), "content"),
        ("AGREE 1", "malformed"),
    ],
)
async def test_a_malformed_reply_is_asked_again_and_then_changes_nothing(
    reply: Any, says_what: str, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await votes(store, ops(add("a")))
    version = Bank(store).version
    mended = says(reply, ops(agree(1)))
    assert not (await ExpeL(mended).curate(held(ExpeL(mended), store), WON)).failed
    with caplog.at_level(logging.WARNING):
        revision = await step(ExpeL(says(reply, reply)), store, WON)
    assert says_what in revision.failed and revision == Revision(failed=revision.failed)
    assert "expel could not learn from traj-1-1" in caplog.text
    assert Bank(store).version == version


async def test_it_reads_pairs_of_a_task_and_then_successes_in_chunks() -> None:
    attempts = [
        tried(1, True),
        tried(1, False, number=2),
        tried(1, False, number=3),
        tried(2, False),  # never solved: held against its template's first success
        tried(3, True),
        tried(4, True, end=EpisodeEnd.FAILED),  # broken: it says nothing
        tried(5, True),
    ]
    batches = ExpeL(says(), chunk=2).batches(attempts)
    assert [[one.trajectory.id for one in batch] for batch in batches] == [
        ["traj-1-1", "traj-1-2"],
        ["traj-1-1", "traj-1-3"],
        ["traj-1-1", "traj-2-1"],
        ["traj-1-1", "traj-3-1"],
        ["traj-5-1"],
    ]
    assert ExpeL(says()).batches([tried(1, False)]) == ()
    model = says(ops(), ops())
    for batch in (batches[0], batches[3]):
        await ExpeL(model).curate((), batch)
    pair, chunk = model.requests
    assert "one that succeeded and one that failed" in pair.messages[0].text
    assert "several tasks" in chunk.messages[0].text and chunk.messages[1].text.count("ATTEMPT") == 2


async def test_the_list_is_shown_by_votes_behind_the_fence(store: Store) -> None:
    await votes(store, ops(add("a"), add("b")), ops(agree(2)))
    model = says(ops())
    await ExpeL(model).curate(held(ExpeL(model), store), WON)
    shown = model.requests[0].messages[1].text
    assert "1. (3 votes) When: A page with buttons. | b\n2. (2 votes) When: A page with buttons. | a" in shown
    assert shown.startswith("<record-")
    assert model.requests[0].seed is not None


async def test_what_may_not_teach_is_refused_and_nothing_is_asked_for_nothing() -> None:
    curator = ExpeL(ScriptedModel([]))
    assert (
        await curator.curate((), []) == Revision() == await curator.curate((), [tried(1, True, end=EpisodeEnd.FAILED)])
    )
    with pytest.raises(SettingsError, match="only collected"):
        await curator.curate((), [tried(1, True, phase=Phase.GATE)])
    one = tried(1, True)
    task = one.trajectory.task.model_copy(update={"suite": "other"})
    other = one.model_copy(update={"trajectory": one.trajectory.model_copy(update={"task": task})})
    with pytest.raises(SettingsError, match="several suites"):
        await curator.curate((), [one, other])


TEXTS = "abcdef"
CAP = 4
Call = list[tuple[str, int, str]]


class Oracle:
    """The rules, as short as they can be said: texts with votes, in the order in which the bank first had them."""

    def __init__(self) -> None:
        self.votes: dict[str, int] = {}
        self.born: list[str] = []

    def call(self, call: Call) -> dict[str, Any]:
        """Follow the call; returns it as a reply."""
        begun = {word: self.votes[word] for word in self.born if word in self.votes}
        ranked = sorted(begun, key=lambda word: -begun[word])
        said: list[dict[str, Any]] = []
        done: list[tuple[str, str, str]] = []
        named: set[int] = set()
        for what, number, word in call:
            number = number % len(ranked) + 1 if ranked else 0
            if what != "ADD" and (not number or number in named):
                continue
            named |= {number} if what != "ADD" else set()
            said.append({"ADD": add(word), "EDIT": edit(number, word)}.get(what, {"do": what, "number": number}))
            done.append((what, ranked[number - 1] if number else "", word))
        now, replaced, added = begun.copy(), [], []
        for what, old, word in sorted(done, key=lambda one: ["REMOVE", "AGREE", "EDIT", "ADD"].index(one[0])):
            match what:
                case "AGREE":
                    now[old] += 1
                case "REMOVE":
                    now[old] -= 3 if len(begun) >= CAP else 1
                    if now[old] <= 0:
                        del now[old]
                case "EDIT":
                    inherited = 0 if word == old else now.pop(old)
                    if word not in now:
                        replaced.append(word)
                    now[word] = now.get(word, 0) + inherited + 1
                case _:
                    if word not in now:
                        added.append(word)
                    now[word] = now[word] + 1 if word in now else 2
        while len(now) > CAP:
            del now[min(now, key=lambda word: now[word])]  # of equal ones the first
        self.votes = now
        self.born += [word for word in dict.fromkeys([*replaced, *added]) if word in now and word not in self.born]
        return ops(*said)


OPERATION = st.tuples(
    st.sampled_from(["AGREE", "REMOVE", "EDIT", "ADD", "ADD"]), st.integers(0, 9), st.sampled_from(TEXTS)
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(OPERATION, max_size=4), min_size=1, max_size=8), st.integers(0, 7))
def test_the_list_is_what_the_rules_say_whatever_the_calls(calls: list[Call], back: int) -> None:
    async def run() -> None:
        store = Lines()
        oracle, states = Oracle(), {0: dict[str, int]()}
        for call in calls:
            curator = ExpeL(says(oracle.call(call)), cap=CAP)
            assert not (await step(curator, store, WON)).failed
            now = {content: counts["votes"] for content, counts in listed(curator, store).items()}
            assert now == oracle.votes
            assert len(now) <= CAP and all(number > 0 for number in now.values())
            states[Bank(store).version] = now
        version = list(states)[back % len(states)]
        Bank(store).restore(version, actor="ann")
        assert {key: counts["votes"] for key, counts in listed(curator, store).items()} == states[version]

    asyncio.run(run())
