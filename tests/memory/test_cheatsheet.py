"""Dynamic Cheatsheet, guarded: what is in use survives every rewriting."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.curating import Lines, held, listed, says, step, text, tried
from wisen.core.records import Revision
from wisen.core.store import Store
from wisen.memory.bank import Bank, Ledger
from wisen.memory.distillers.cheatsheet import Cheatsheet
from wisen.memory.worksheet import Worksheet

ONE = [tried(1, True)]


def sheet(*lines: Any) -> dict[str, Any]:
    """A number is kept, a text is new, (number, text) rewrites."""

    def line(one: Any) -> dict[str, Any]:
        if isinstance(one, int):
            return {"do": "KEEP", "number": one}
        if isinstance(one, str):
            return {"do": "NEW", **text(one)}
        return {"do": "REWRITE", "number": one[0], **text(one[1])}

    return {"sheet": [line(one) for one in lines]}


async def written(store: Ledger, *replies: Any, used: dict[str, int] | None = None, **how: Any) -> Revision:
    """Each reply is a step; `used` says by text how often an entry was shown."""
    curator = Cheatsheet(says(*replies), **how)
    shown = {entry.item.id: (used or {}).get(entry.item.content, 0) for entry in held(curator, store)}
    return await step(curator, store, ONE, shown)


def texts(store: Ledger) -> list[str]:
    return list(listed(Cheatsheet(says()), store))


async def test_the_sheet_is_what_was_written_last(store: Store) -> None:
    await written(store, sheet("a", "b", "c"))
    assert texts(store) == ["a", "b", "c"]
    await written(store, sheet(2, (1, "A"), "d", "c"))  # c is named word for word
    assert texts(store) == ["b", "c", "A", "d"]
    new = next(entry.item for entry in held(Cheatsheet(says()), store) if entry.item.content == "A")
    assert Bank(store).snapshot().items[str(new.parent_id)].content == "a"
    await written(store, sheet())
    assert texts(store) == []
    await written(store, sheet("b"))  # what was left out comes back when it is written again
    assert texts(store) == ["b"]
    assert len(Bank(store).snapshot()) == 5


async def test_a_sheet_that_loses_what_is_in_use_is_not_taken(store: Store) -> None:
    await written(store, sheet("a", "b", "c"))
    version = Bank(store).version
    lost = sheet(1, "d")
    failed = await written(store, lost, lost, used={"b": 5, "c": 4})
    assert "entry 2 is in use" in failed.failed and Bank(store).version == version
    assert "entry 2" in (await written(store, sheet((2, "B")), sheet((2, "B")), used={"b": 5})).failed
    assert texts(store) == ["a", "b", "c"]
    assert not (await written(store, lost, sheet(2, "d"), used={"b": 5})).failed  # mended when it was told
    assert texts(store) == ["b", "d"]
    assert not (await written(store, sheet("b", (2, "D")), used={"b": 5})).failed  # word for word is as good
    assert texts(store) == ["b", "D"]


async def test_half_of_the_sheet_stays_free(store: Store) -> None:
    await written(store, sheet("a", "b", "c", "d"), cap=4)
    used = {"a": 5, "b": 9, "c": 7, "d": 8}
    curator = Cheatsheet(says(), cap=4)
    shown = {entry.item.id: used[entry.item.content] for entry in held(curator, store)}
    kept = Worksheet(held(curator, store, shown))
    assert {kept.lines[key].item.content for key in curator.in_use(kept)} == {"b", "d"}
    assert not (await written(store, sheet(2, 4, "e", "f"), used=used, cap=4)).failed
    assert texts(store) == ["b", "d", "e", "f"]


@pytest.mark.parametrize(
    ("reply", "says_what"),
    [
        (sheet(1, 1), "named twice"),
        (sheet(2), "no line 2"),
        (sheet(1, (1, "x")), "named twice"),
        (sheet(1, *"bcdef"), "more than 5"),
        (sheet(1, " "), "content"),
        ({"sheet": "a"}, "valid list"),
        ("a\nb", "malformed"),
    ],
)
async def test_a_malformed_sheet_changes_nothing(reply: Any, says_what: str, store: Store) -> None:
    await written(store, sheet("a"))
    version = Bank(store).version
    revision = await written(store, reply, reply, cap=5)
    assert says_what in revision.failed and revision == Revision(failed=revision.failed)
    assert Bank(store).version == version


async def test_the_sheet_is_shown_with_its_uses_behind_the_fence(store: Store) -> None:
    await written(store, sheet("a", "b"))
    model = says(sheet(1, 2))
    shown = {held(Cheatsheet(model), store)[1].item.id: 6}
    await step(Cheatsheet(model), store, ONE, shown)
    (request,) = model.requests
    assert "2. (shown 6 times, in use) When: A page with buttons. | b" in request.messages[1].text
    assert "1. (shown 0 times) When" in request.messages[1].text
    assert "at most 20 entries" in request.messages[0].text


LINES = st.lists(
    st.one_of(st.integers(1, 6), st.sampled_from("abcdef"), st.tuples(st.integers(1, 6), st.sampled_from("abcdef"))),
    max_size=6,
)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(LINES, st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9))), min_size=1, max_size=5)
)
def test_no_rewriting_loses_what_is_in_use_or_grows_over_the_cap(calls: list[tuple[list[Any], dict[str, int]]]) -> None:
    async def run() -> None:
        store = Lines()
        for lines, used in calls:
            before, version = texts(store), Bank(store).version
            much = sorted((word for word in before if used.get(word, 0) >= 5), key=lambda word: -used[word])[:2]
            revision = await written(store, sheet(*lines), sheet(*lines), used=used, cap=4)
            now = texts(store)
            assert set(much) <= set(now) and len(now) <= 4
            if revision.failed:
                assert Bank(store).version == version
            else:
                numbers = [one if isinstance(one, int) else one[0] for one in lines if not isinstance(one, str)]
                assert len(set(numbers)) == len(numbers) and max(numbers, default=0) <= len(before)
                said = {before[one - 1] if isinstance(one, int) else one[-1] for one in lines}
                assert set(now) == said

    asyncio.run(run())
