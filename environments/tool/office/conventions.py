"""The ways of an organisation that nobody tells a newcomer. Ten of them, three variants each."""

from dataclasses import dataclass
from datetime import date as Date
from functools import cache

from wisen.core.ids import derived_seed

VARIANTS: dict[str, tuple[str, str, str]] = {
    "refund_first": ("ticket", "hold", "mail"),
    "close_first": ("comment", "assign", "mail"),
    "reference": ("code-year-number", "number/code", "REF number"),
    "date_format": ("2026-03-04", "04.03.2026", "04-Mar-2026"),
    "priority": ("P1 P3", "red green", "C A"),
    "file_name": ("kind-date", "date_kind", "KIND.ddmm"),
    "folder": ("/shared/records", "/archive/2026", "/team/papers"),
    "approver": ("finance", "operations", "office manager"),
    "limit": ("150", "400", "900"),
    "customer_copy": ("sales", "service", "office manager"),
}
NAMES = tuple(VARIANTS)
YEAR = 2026
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


@dataclass(frozen=True, slots=True)
class Conventions:
    """refund_first: what must be there before a refund: an open ticket on the order, a hold, or a mail to the customer.
    close_first: what a ticket needs before it can be closed: a comment, an assignee, or a mail to who reported it.
    reference, date_format, file_name: how these are written. priority: the words for urgent and for what can wait.
    folder: where filed papers lie. approver: whose approval a purchase above `limit` needs (a role).
    customer_copy: who must get a copy of every mail to a customer (a role).
    """

    refund_first: str
    close_first: str
    reference: str
    date_format: str
    priority: str
    file_name: str
    folder: str
    approver: str
    limit: str
    customer_copy: str


@cache
def conventions_of(seed: int) -> Conventions:
    """The conventions of organisation `seed`. Organisations 3k, 3k + 1 and 3k + 2 differ pairwise in every one."""
    block, place = divmod(seed, 3)
    return Conventions(**{name: VARIANTS[name][(derived_seed("ways", block, name) + place) % 3] for name in NAMES})


def written_date(day: str, form: str) -> str:
    """An ISO date as a calendar of that `date_format` wants it."""
    found = Date.fromisoformat(day)
    if form == "04.03.2026":
        return f"{found.day:02}.{found.month:02}.{found.year}"
    if form == "04-Mar-2026":
        return f"{found.day:02}-{_MONTHS[found.month - 1]}-{found.year}"
    return day


def read_date(text: str, forms: tuple[str, ...] = VARIANTS["date_format"]) -> str:
    """The ISO date that `text` writes in one of the forms; empty where none fits."""
    for month in range(1, 13):
        if not any(mark in text for mark in (f"{month:02}", _MONTHS[month - 1])):
            continue
        for number in range(1, 32):
            try:
                day = Date(YEAR, month, number).isoformat()
            except ValueError:
                continue
            if any(written_date(day, form) == text for form in forms):
                return day
    return ""


def written_reference(order: str, code: str, form: str) -> str:
    if form == "number/code":
        return f"{order}/{code}"
    return f"REF {order}" if form == "REF number" else f"{code}-{YEAR}-{order}"


def written_name(kind: str, day: str, form: str) -> str:
    """The name of a file that holds the paper of that kind and ISO date."""
    if form == "date_kind":
        return f"{day}_{kind}.txt"
    return f"{kind.upper()}.{day[8:]}{day[5:7]}.txt" if form == "KIND.ddmm" else f"{kind}-{day}.txt"


def priority_word(urgent: bool, form: str) -> str:
    high, low = form.split()
    return high if urgent else low


def advice(ways: Conventions, code: str, staff: dict[str, str]) -> dict[str, str]:
    """Each convention as a sentence, for tests, documents and controls. `staff`: name by role."""
    high, low = ways.priority.split()
    first = {"ticket": "needs an open ticket about the order first", "hold": "needs a hold on the order first"}
    close = {"comment": "needs a comment", "assign": "needs an assignee"}
    return {
        "refund_first": f"A refund {first.get(ways.refund_first, 'needs a mail to the customer first')}.",
        "close_first": f"To be closed, a ticket {close.get(ways.close_first, 'needs a mail to who reported it')}.",
        "reference": f"The reference for order 1234 is written {written_reference('1234', code, ways.reference)}.",
        "date_format": f"The calendar wants 4 March as {written_date('2026-03-04', ways.date_format)}.",
        "priority": f"Urgent tickets are {high}, those that can wait {low}.",
        "file_name": f"The minutes of 4 March are a file {written_name('minutes', '2026-03-04', ways.file_name)}.",
        "folder": f"Papers are filed in {ways.folder}.",
        "approver": f"Large purchases need the approval of {staff[ways.approver]} ({ways.approver}).",
        "limit": f"Purchases above {ways.limit} in all need approval.",
        "customer_copy": f"Every mail to a customer is forwarded to {staff[ways.customer_copy]}.",
    }
