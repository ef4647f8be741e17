"""One line of many, in one file of several."""

from pathlib import Path
from random import Random
from typing import Any

NAMES = ("Ada", "Bo", "Cleo", "Dan", "Eva", "Finn", "Gina", "Hal", "Ida", "Jan", "Kim", "Lea")


def make(folder: Path, draw: Random) -> dict[str, Any]:
    phones = {name: f"0{draw.randint(100, 999)}-{draw.randint(10000, 99999)}" for name in NAMES}
    names = list(NAMES)
    draw.shuffle(names)
    for number, start in enumerate(range(0, len(names), 4), start=1):
        lines = [f"{name}: {phones[name]}" for name in names[start : start + 4]]
        (folder / f"list-{number}.txt").write_text("\n".join(lines) + "\n")
    name = draw.choice(NAMES)
    return {"name": name, "phone": phones[name]}


def check(folder: Path, values: dict[str, Any]) -> float:
    answer = folder / "answer.txt"
    return answer.is_file() and answer.read_text().strip() == values["phone"]


def solution(values: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("search", {"text": f"{values['name']}:"}),
        ("write_file", {"path": "answer.txt", "text": values["phone"]}),
    ]
