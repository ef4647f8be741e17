"""ACE's playbook: tags, the four operations, and the budget."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.curating import Lines, held, listed, says, step, text, tried
from wisen.core.records import ItemKind, ItemStatus, ModelRequest, Revision
from wisen.core.store import Store
from wisen.memory.bank import Bank
from wisen.memory.distillers.ace import ACE
from wisen.memory.recall import tokens
from wisen.models.scripted import ScriptedModel


def reflection(*tags: str) -> dict[str, Any]:
    return {
        "cause": "The wrong button.",
        "lesson": "Press the right one.",
        "tags": [{"number": number, "tag": tag} for number, tag in enumerate(tags, start=1)],
    }


def ops(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"operations": list(operations)}


def add(content: str, kind: str = "strategy") -> dict[str, Any]:
    return {"do": "ADD", "kind": kind, **text(content)}


def ids(store: Store) -> dict[str, str]:
    return {entry.item.content: entry.item.id for entry in held(ACE(says()), store) if entry.present}


async def taught(store: Store, reply: Any, *tags: str, told: str = "", **how: Any) -> Revision:
    """One attempt that was told the bullets named, with those tags."""
    shown = [ids(store)[word] for word in told]
    return await step(ACE(says(reflection(*tags), reply), **how), store, [tried(1, False, shown=shown)])


def counts(store: Store) -> dict[str, tuple[int, int]]:
    found = listed(ACE(says()), store)
    return {word: (one.get("helpful", 0), one.get("harmful", 0)) for word, one in found.items()}


async def test_tags_count_and_the_four_operations_keep_or_sum_the_counts(store: Store) -> None:
    await taught(store, ops(add("a"), add("b", "warning"), add("c", "fact")))
    kinds = {entry.item.content: entry.item.kind for entry in held(ACE(says()), store)}
    assert kinds == {"a": ItemKind.STRATEGY, "b": ItemKind.WARNING, "c": ItemKind.FACT}
    await taught(store, ops(), "helpful", "harmful", "neutral", told="abc")
    await taught(store, ops(), "helpful", "helpful", told="ca")
    assert counts(store) == {"a": (2, 0), "b": (0, 1), "c": (1, 0)}
    await taught(store, ops({"do": "UPDATE", "number": 2, **text("B")}))
    assert counts(store) == {"a": (2, 0), "c": (1, 0), "B": (0, 1)}
    assert next(entry.item.kind for entry in held(ACE(says()), store) if entry.item.content == "B") is ItemKind.WARNING
    await taught(store, ops({"do": "MERGE", "numbers": [1, 3], **text("ab")}), "harmful", told="a")
    assert counts(store) == {"c": (1, 0), "ab": (2, 2)}
    await taught(store, ops({"do": "DELETE", "number": 1}))
    assert counts(store) == {"ab": (2, 2)}
    assert len(Bank(store).snapshot()) == 5  # what went rests, and can be revived


async def test_the_reflector_sees_what_was_told_and_the_curator_the_counts(store: Store) -> None:
    await taught(store, ops(add("a"), add("b")))
    model = says(reflection("harmful"), ops())
    await step(ACE(model), store, [tried(1, False, shown=[ids(store)["b"], "mem-of-another"])])
    reflect, curate = model.requests
    assert "1.  When: A page with buttons. | b" in reflect.messages[1].text and "| a" not in reflect.messages[1].text
    assert "2. (helpful 0, harmful 1) When" in curate.messages[1].text
    assert "The wrong button." in curate.messages[1].text and "attempt failed" in curate.messages[1].text


BAD_OPS = [
    (ops({"do": "MERGE", "numbers": [1], **text("x")}), "at least 2"),
    (ops({"do": "MERGE", "numbers": [1, 1], **text("x")}), "named twice"),
    (ops({"do": "DELETE", "number": 1}, {"do": "UPDATE", "number": 1, **text("x")}), "named twice"),
    (ops({"do": "DELETE", "number": 2}), "no line 2"),
    (ops({"do": "REWRITE", "content": "everything"}), "REWRITE"),
    (ops(add("x", "skill")), "strategy"),
    (ops(*(add(str(number)) for number in range(9))), "at most 8"),
    ("", "malformed"),
]
BAD_REFLECTIONS = [
    (reflection(), "0 have a tag"),
    (reflection("helpful", "neutral"), "no line 2"),
    (reflection("useful"), "helpful"),
    ({**reflection("helpful"), "cause": ""}, "cause"),
]


@pytest.mark.parametrize(
    ("script", "says_what"),
    [((reflection("helpful"), bad, bad), what) for bad, what in BAD_OPS]
    + [((bad, bad), what) for bad, what in BAD_REFLECTIONS],
)
async def test_two_malformed_replies_change_nothing_not_even_a_tag(
    script: tuple[Any, ...], says_what: str, store: Store
) -> None:
    await taught(store, ops(add("a")))
    version = Bank(store).version
    model = says(*script)
    revision = await step(ACE(model), store, [tried(1, True, shown=[ids(store)["a"]])])
    assert says_what in revision.failed and revision == Revision(failed=revision.failed)
    assert Bank(store).version == version and len(model.requests) == len(script)
    assert "could not be read" in model.requests[-1].messages[-1].text


async def test_over_the_budget_the_least_helpful_goes_and_of_equal_ones_the_oldest(store: Store) -> None:
    await taught(store, ops(add("a"), add("b"), add("c")))
    size = tokens(held(ACE(says()), store)[0].item.text)
    await taught(store, ops(), "helpful", "neutral", "harmful", told="abc")
    await taught(store, ops(add("d")), budget=3 * size)
    assert list(counts(store)) == ["a", "b", "d"]
    await taught(store, ops(add("e")), budget=3 * size)
    assert list(counts(store)) == ["a", "d", "e"]
    assert Bank(store).snapshot().statuses[held(ACE(says()), store)[2].item.id] is ItemStatus.RETIRED


TAGS = st.sampled_from(["helpful", "harmful", "neutral"])
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["ADD", "ADD", "UPDATE", "MERGE", "DELETE"]), st.integers(0, 9)), max_size=5
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.lists(TAGS, max_size=4), OPERATIONS), min_size=1, max_size=6))
def test_no_count_is_lost_or_made_whatever_is_done(calls: list[tuple[list[str], list[tuple[str, int]]]]) -> None:
    """What stands on the list after a call is what stood there, and the tags, without what was dropped."""

    async def run() -> None:
        store = Lines()
        written, size = 0, 0
        for tags, wanted in calls:
            present = [entry for entry in held(ACE(says()), store) if entry.present]
            shown = [entry.item.id for entry in present][: len(tags)]
            free = list(range(1, len(present) + 1))
            said = []
            for what, pick in wanted:
                taken = [free.pop(pick % len(free)) for _ in range(2 if what == "MERGE" else 1) if free]
                if what != "ADD" and len(taken) < (2 if what == "MERGE" else 1):
                    continue
                written += 1
                new = text(f"text {written:03}")
                operation: dict[str, Any] = {
                    "ADD": {"kind": "strategy", **new},
                    "UPDATE": {"number": taken[:1] and taken[0], **new},
                    "MERGE": {"numbers": taken, **new},
                    "DELETE": {"number": taken[:1] and taken[0]},
                }[what]
                said.append({"do": what, **operation})
            model = says(reflection(*tags[: len(shown)]), ops(*said))
            curator = ACE(model, budget=size * 4 or 100)
            revision = await step(curator, store, [tried(1, True, shown=shown)])
            assert not revision.failed
            after = {entry.item.id: entry for entry in held(curator, store)}
            dropped = [after[one.item_id].counts for one in revision.retire if not one.into]
            for name in ("helpful", "harmful"):
                before = sum(entry.counts.get(name, 0) for entry in present) + tags[: len(shown)].count(name)
                now = sum(entry.counts.get(name, 0) for entry in after.values() if entry.present)
                assert now == before - sum(one.get(name, 0) for one in dropped)
                assert all(entry.counts.get(name, 0) >= 0 for entry in after.values())
            size = size or max((tokens(entry.item.text) for entry in after.values()), default=0)
            if size:
                assert len(listed(curator, store)) <= (4 if curator._budget != 100 else 9)

    asyncio.run(run())


async def test_equal_input_gives_an_equal_revision(store: Store) -> None:
    await taught(store, ops(add("a"), add("b")))

    def answer(request: ModelRequest) -> str:
        first = "You study" in request.messages[0].text
        return json.dumps(reflection("helpful") if first else ops(add("c"), {"do": "DELETE", "number": 2}))

    batch = [tried(2, True, shown=[ids(store)["a"]])]
    entries = held(ACE(says()), store)
    assert await ACE(ScriptedModel(answer)).curate(entries, batch) == await ACE(ScriptedModel(answer)).curate(
        entries, batch
    )
