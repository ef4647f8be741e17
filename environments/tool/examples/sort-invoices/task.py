"""Which invoices are whose stands in their text, not in their names."""

from pathlib import Path
from random import Random
from typing import Any

CUSTOMERS = ("Berg", "Lindt", "Marsh", "Ortiz", "Holm")


def make(folder: Path, draw: Random) -> dict[str, Any]:
    (folder / "inbox").mkdir()
    customer, *others = draw.sample(CUSTOMERS, 3)
    numbers = draw.sample(range(100, 999), 5)
    owners = [customer, customer, *draw.choices(others, k=3)]
    draw.shuffle(owners)
    invoices = {f"invoice-{number}.txt": owner for number, owner in zip(numbers, owners, strict=True)}
    for name, owner in invoices.items():
        (folder / "inbox" / name).write_text(f"Invoice for {owner}\nAmount: {draw.randint(20, 400)}\n")
    return {"customer": customer, "invoices": invoices}


def check(folder: Path, values: dict[str, Any]) -> float:
    def where(owner: str) -> str:
        return "done" if owner == values["customer"] else "inbox"

    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    wanted = {f"{where(owner)}/{name}" for name, owner in values["invoices"].items()}
    return len(there & wanted) / len(there | wanted)


def solution(values: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    moved = [name for name, owner in values["invoices"].items() if owner == values["customer"]]
    look = [("search", {"text": f"Invoice for {values['customer']}"})]
    return look + [("move_file", {"source": f"inbox/{name}", "target": f"done/{name}"}) for name in moved]
