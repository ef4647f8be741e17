"""The calls to choose from, made of nothing but the texts that the agent has been shown.

Names, numbers, dates and quotations are read out of the instruction and the answers; a choice that depends on the ways
of the house is offered in every form that any house has, so that a list tells nothing of this one.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product as combinations
from typing import Any

from wisen.environments.tool.calls import argument, spelled, written
from wisen.environments.tool.office.conventions import VARIANTS, YEAR, written_date, written_name, written_reference
from wisen.environments.tool.office.desk import MONTHS
from wisen.environments.tool.office.organisation import Organisation
from wisen.environments.tool.office.templates.base import PAPERS

MOST = 48
_DATE = re.compile(rf"\b(\d{{1,2}}) ({'|'.join(MONTHS)})\b")
# With each what a text must hold to be looked through at all, which spares most of the looking.
_PATTERNS = {
    "orders": ("rder ", re.compile(r"\b[Oo]rder (\d{4})\b")),
    "mails": ("M-", re.compile(r"\bM-\d+")),
    "tickets": ("T-", re.compile(r"\bT-\d+")),
    "events": ("E-", re.compile(r"\bE-\d+")),
    "files": (".txt", re.compile(r"(?<!\S)/\S+\.txt")),
    "addresses": ("@", re.compile(r"[\w.]+@[\w.]*\w")),
    "quotes": ('"', re.compile(r'"([^"\n]+)"')),
    "times": (":", re.compile(r"\b\d\d:\d\d\b")),
    "prices": ("price ", re.compile(r"\bprice (\d+)")),
    "amounts": ("uy ", re.compile(r"\b[Bb]uy (\d+)")),
    "kinds": ("", re.compile(rf"\b({'|'.join(PAPERS)})\b")),
}
_PRIORITIES = tuple(word for form in VARIANTS["priority"] for word in form.split())
_ALWAYS = ("list_mail()", "list_events()", "list_files()", "list_tickets()")


@dataclass(frozen=True, slots=True)
class Seen:
    """What has been named so far, by kind, in the order in which it is worth trying: of the instruction first, then
    what was named last."""

    orders: tuple[str, ...] = ()
    mails: tuple[str, ...] = ()
    tickets: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    prices: tuple[str, ...] = ()
    amounts: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    goods: tuple[str, ...] = ()
    said: "Seen | None" = None  # what the instruction named

    def after(self, text: str, house: Organisation) -> "Seen":
        """With what an answer names put first, behind what the instruction named."""
        told = _named(text, house.goods)
        first = self.said or Seen()
        merged: dict[str, Any] = {
            name: _unique((*getattr(first, name), *values, *getattr(self, name))) for name, values in told.items()
        }
        return replace(self, **merged)


def seen_in(instruction: str, opening: str, house: Organisation) -> Seen:
    """`opening` lists the staff; those whom the instruction names come first."""
    named = _named(instruction, house.goods)
    called = [one.address for one in house.staff if re.search(rf"\b{one.name}\b", instruction)]
    first: dict[str, Any] = {**named, "addresses": (*called, *named["addresses"])}
    said = Seen(**first)
    return replace(said, said=said).after(opening, house)


@lru_cache(maxsize=2048)
def _named(text: str, goods: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found = {name: tuple(pattern.findall(text)) for name, (part, pattern) in _PATTERNS.items() if part in text}
    found["dates"] = tuple(f"{YEAR}-{MONTHS.index(month) + 1:02}-{int(day):02}" for day, month in _DATE.findall(text))
    found["goods"] = tuple(good for good in goods if good in text)
    return {"addresses": (), **{name: values for name, values in found.items() if values}}


def offered(seen: Seen, house: Organisation) -> tuple[str, ...]:
    """At most `MOST` calls as text. Where there would be more, the longest lists lose their last entries."""
    lists = [_ALWAYS, *filter(None, _by_tool(seen, house)), ("finish()",)]
    sizes = list(map(len, lists))
    for _ in range(sum(sizes) - MOST):
        sizes[sizes.index(max(sizes))] -= 1
    return tuple(text for texts, size in zip(lists, sizes, strict=True) for text in texts[:size])


def _by_tool(seen: Seen, house: Organisation) -> Iterable[Sequence[str]]:
    place = {address: number for number, address in enumerate(seen.addresses)}
    staff = sorted(house.staff, key=lambda one: place.get(one.address, 99))
    colleagues, names = tuple(one.address for one in staff), tuple(one.name for one in staff)
    about = [f"order {number}" for number in seen.orders[:2]]
    texts = [*seen.quotes[:2], *seen.prices[:1], *about[:1]]
    yield _calls("find_order", 2, order=seen.orders)
    yield _calls("find_product", 2, product=seen.goods)
    yield _calls("read_mail", 3, mail=seen.mails)
    yield _calls("read_file", 2, file=seen.files)
    yield _calls("send_mail", 12, to=seen.addresses[:8], text=texts[:3])
    yield _calls("forward_mail", 6, mail=seen.mails[:1], to=colleagues)
    yield _calls("create_event", 8, title=seen.quotes[:1], date=_days(seen.dates[:2]), time=seen.times[:2])
    yield _calls("cancel_event", 2, event=seen.events)
    yield _calls("create_file", 6, name=_papers(seen.kinds[:1], seen.dates[:1]), text=seen.quotes[:2])
    yield _calls("move_file", 3, file=seen.files[:1], folder=VARIANTS["folder"])
    yield _calls("open_ticket", 12, subject=[*seen.quotes[:1], *about[:1]], priority=_PRIORITIES)
    yield _calls("comment_ticket", 2, ticket=seen.tickets[:1], text=texts)
    yield _calls("assign_ticket", 6, ticket=seen.tickets[:1], person=names)
    yield _calls("close_ticket", 2, ticket=seen.tickets)
    yield _calls("hold_order", 2, order=seen.orders)
    yield from _bookings(seen.orders[:1], house.code)
    yield _calls("ask_approval", 6, person=names, product=seen.goods[:1])
    yield _calls("buy_product", 2, product=seen.goods[:1], quantity=[int(number) for number in seen.amounts])


@lru_cache(maxsize=2048)
def _days(dates: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(written_date(day, form) for day in dates for form in VARIANTS["date_format"])


@lru_cache(maxsize=2048)
def _papers(kinds: tuple[str, ...], dates: tuple[str, ...]) -> tuple[str, ...]:
    pairs = combinations(kinds, dates)
    return tuple(written_name(kind, day, form) for kind, day in pairs for form in VARIANTS["file_name"])


@lru_cache(maxsize=2048)
def _bookings(orders: tuple[str, ...], code: str) -> tuple[tuple[str, ...], ...]:
    return tuple(
        tuple(
            written(tool, {"order": order, "reference": written_reference(order, code, form)})
            for order in orders
            for form in VARIANTS["reference"]
        )
        for tool in ("refund_order", "send_replacement")
    )


def _calls(tool: str, most: int, /, **values: Sequence[Any]) -> tuple[str, ...]:
    """Calls of a tool with every combination of the values, those made of first choices first."""
    if not all(values.values()):
        return ()
    return _combined(tool, most, tuple(values), tuple(map(tuple, values.values())))


@lru_cache(maxsize=8192)
def _combined(tool: str, most: int, names: tuple[str, ...], values: tuple[tuple[Any, ...], ...]) -> tuple[str, ...]:
    ready = [[argument(name, value) for value in options] for name, options in zip(names, values, strict=True)]
    return tuple(
        spelled(tool, [options[index] for options, index in zip(ready, indices, strict=True)])
        for indices in _order(tuple(map(len, values)))[:most]
    )


@lru_cache(maxsize=1024)
def _order(sizes: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """All combinations of that many choices each, by index."""
    return tuple(sorted(combinations(*map(range, sizes)), key=sum))


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
