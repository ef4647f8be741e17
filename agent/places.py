"""Where LangGraph's store keeps what: places (namespace and key) over the items of a bank. Pure functions.

What an application puts becomes an item that carries its place and its value. What the bank learned otherwise stands
under `("bank", kind)`, with the item's id as its key.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wisen.core.errors import SettingsError
from wisen.core.records import JSON, Author, ItemKind, Kept, MemoryItem, Scope, Trust
from wisen.memory.bank import RECALLABLE, Snapshot, make_item
from wisen.memory.guard import Limits, redact

Place = tuple[tuple[str, ...], str]  # namespace, key
Times = Mapping[str, tuple[datetime, datetime]]  # item id -> when it entered first, and last

OWN = "bank"  # the first label of what no application put
ADVICE = ("title", "when_to_use", "when_not", "content")


@dataclass(frozen=True)
class Entry:
    """What stands at a place."""

    place: Place
    item: MemoryItem
    value: JSON
    created: datetime
    updated: datetime


def place_of(item: MemoryItem) -> Place:
    return (item.kept.namespace, item.kept.key) if item.kept else ((OWN, item.kind.value), item.id)


def value_of(item: MemoryItem) -> JSON:
    """What was put; of an item that nobody put, its texts and its kind."""
    if item.kept is not None:
        return item.kept.value
    return {name: getattr(item, name) for name in ADVICE} | {"kind": item.kind.value}


def entries(snapshot: Snapshot, times: Times, suite: str) -> dict[Place, Entry]:
    """By place, what an application of that name may see: items in use that apply to it. Namespaces stand together, in
    the order in which each was first put to."""
    found: dict[tuple[str, ...], dict[Place, Entry | None]] = {}
    born: dict[Place, datetime] = {}
    for key, item in snapshot.items.items():
        if item.scope.suite not in ("", suite):
            continue
        place = place_of(item)
        there = found.setdefault(place[0], {})
        there.setdefault(place, None)  # the place is kept, also where nothing stands there now
        first, last = times[key]
        born[place] = min(first, born.get(place, first))
        if snapshot.statuses[key] in RECALLABLE:
            there[place] = Entry(place, item, value_of(item), born[place], last)
    return {place: entry for there in found.values() for place, entry in there.items() if entry is not None}


def kept_item(
    place: Place,
    value: Mapping[str, Any],
    texts: Sequence[str] | None,
    *,
    suite: str,
    trust: Trust,
    evidence: str,
    replaces: str | None,
) -> MemoryItem:
    """What an application puts, as an item. Secrets are taken out of the value, as the guard takes them out of a text.

    A value with a text `content` is advice, and may say `title`, `when_to_use`, `when_not` and `kind`; any other is a
    fact. texts: of the fields that search shall read; None: all; none: search does not find it. Raises `SettingsError`
    for a value that is no JSON, or too long to be an item.
    """
    namespace, key = place
    try:
        plain = redacted(json.loads(json.dumps(dict(value))))
    except (TypeError, ValueError) as error:
        raise SettingsError(f"the value at {_named(place)} is no JSON: {error}", "put texts, numbers, lists") from error
    whole = rendered(plain)
    if len(whole) > Limits().content:
        raise SettingsError(
            f"the value at {_named(place)} has {len(whole):,} characters", f"an item holds {Limits().content:,}"
        )
    advice = {name: plain[name] for name in ADVICE if isinstance(plain.get(name), str)}
    is_advice = bool(advice.get("content", "").strip())
    rest = rendered({name: part for name, part in plain.items() if name not in (*ADVICE, "kind")})
    return make_item(
        kind=ItemKind(plain["kind"]) if is_advice and plain.get("kind") in set(ItemKind) else ItemKind.FACT,
        title=advice.get("title") or key if is_advice else key,
        when_to_use=advice.get("when_to_use", "") if is_advice else "",
        when_not=advice.get("when_not", "") if is_advice else "",
        content="\n".join(part for part in (advice["content"], rest) if part) if is_advice else whole or key,
        scope=Scope(suite=suite, environment=".".join(namespace)),
        author=Author(distiller="application", model=suite),
        evidence=[evidence],
        source_tasks=[],
        outcome_source="",
        trust=trust,
        parent_id=replaces,
        kept=Kept(
            namespace=namespace,
            key=key,
            value=plain,
            text=_searched(key, whole, is_advice) if texts is None else redact("\n".join(texts)),
        ),
    )


def _searched(key: str, whole: str, is_advice: bool) -> str | None:
    """A key is mostly a number without meaning: only the value of a fact is searched."""
    return None if is_advice else whole or key


def rendered(value: Any, name: str = "") -> str:
    """A value as text: `name: text` for each leaf, and a single leaf alone as it is."""
    leaves = list(_leaves(value, name))
    if len(leaves) == 1:
        return leaves[0][1]
    return "\n".join(f"{path}: {text}" if path else text for path, text in leaves)


def redacted(value: Any, name: str = "") -> Any:
    """JSON with secrets replaced, also where only the name of a field tells that it holds one."""
    if isinstance(value, dict):
        return {key: redacted(part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [redacted(part, name) for part in value]
    if isinstance(value, str):
        told = redact(f"{name}: {redact(value)}")
        return told.removeprefix(f"{name}: ")
    return value


def passes(value: Any, wanted: Any) -> bool:
    """Whether a value meets a filter of LangGraph's: equal parts, or `{"$gte": 3}` and its like."""
    if isinstance(wanted, Mapping):
        if any(str(key).startswith("$") for key in wanted):
            return all(_compared(value, str(key), against) for key, against in wanted.items())
        return isinstance(value, Mapping) and all(passes(value.get(key), part) for key, part in wanted.items())
    if isinstance(wanted, list | tuple):
        same = isinstance(value, list | tuple) and len(value) == len(wanted)
        return same and all(passes(one, part) for one, part in zip(value, wanted, strict=True))
    return bool(value == wanted)


def matches(namespace: tuple[str, ...], kind: str, path: Sequence[str]) -> bool:
    """Whether a namespace begins ("prefix") or ends ("suffix") as a path does; `*` in it stands for any label."""
    part = namespace[: len(path)] if kind == "prefix" else namespace[len(namespace) - len(path) :]
    return len(namespace) >= len(path) and all(b in ("*", a) for a, b in zip(part, path, strict=True))


def _leaves(value: Any, path: str) -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _leaves(part, path)
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
}


def _compared(value: Any, operator: str, against: Any) -> bool:
    if operator in ("$eq", "$ne"):
        return bool(value == against) is (operator == "$eq")
    if operator not in _ORDERS:
        raise SettingsError(f"a store's filter has no operator {operator!r}", f"one of $eq, $ne, {', '.join(_ORDERS)}")
    try:
        return _ORDERS[operator](float(value), float(against))
    except (TypeError, ValueError):
        return False  # what is no number, or is not there, is neither more nor less


def _named(place: Place) -> str:
    return "/".join((*place[0], place[1]))
