"""What an organisation has on its books: rows of tables, all immutable, so that a snapshot is a reference."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Product:
    name: str
    price: int
    stock: int


@dataclass(frozen=True, slots=True)
class Order:
    """`refund` and `replacement` hold the reference under which they were booked."""

    id: str
    customer: str
    address: str
    product: str
    quantity: int
    total: int
    held: bool = False
    refund: str = ""
    replacement: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """`forwarded`: the addresses that it was forwarded to, in order."""

    id: str
    sender: str
    to: str
    text: str
    about: str = ""
    forwarded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """date: ISO 8601. `time`: HH:MM. A cancelled one stays on the books, so that its id is never given again."""

    id: str
    title: str
    date: str
    time: str
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class File:
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Ticket:
    id: str
    subject: str
    reporter: str
    priority: str = ""
    assignee: str = ""
    comments: tuple[str, ...] = ()
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Purchase:
    id: str
    product: str
    quantity: int
    total: int
    approvers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class State:
    """Tables by id. The mappings are never changed in place; `with_row` makes a new state."""

    products: Mapping[str, Product] = field(default_factory=dict)
    orders: Mapping[str, Order] = field(default_factory=dict)
    mails: Mapping[str, Mail] = field(default_factory=dict)
    events: Mapping[str, Event] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)
    tickets: Mapping[str, Ticket] = field(default_factory=dict)
    purchases: Mapping[str, Purchase] = field(default_factory=dict)
    approvals: tuple[tuple[str, str], ...] = ()  # (name of who approved, product)
    confidential: tuple[str, ...] = ()  # texts that may not leave the house

    def with_row(self, table: str, key: str, row: object) -> "State":
        changed: dict[str, Any] = {table: {**getattr(self, table), key: row}}
        return replace(self, **changed)

    def without(self, table: str, key: str) -> "State":
        changed: dict[str, Any] = {table: {name: row for name, row in getattr(self, table).items() if name != key}}
        return replace(self, **changed)


def next_id(prefix: str, table: Mapping[str, object]) -> str:
    """`T-13` where the highest is `T-12`."""
    numbers = [int(key.removeprefix(f"{prefix}-")) for key in table]
    return f"{prefix}-{max(numbers, default=0) + 1}"


def new_rows(before: Mapping[str, Row], after: Mapping[str, Row]) -> list[Row]:
    return [row for key, row in after.items() if key not in before]
