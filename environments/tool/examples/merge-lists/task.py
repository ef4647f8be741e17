"""Two lists that overlap become one."""

from pathlib import Path
from random import Random
from typing import Any

NAMES = ("apple", "beech", "cedar", "dogwood", "elm", "fir", "gum", "hazel", "iron", "juniper")


def make(folder: Path, draw: Random) -> dict[str, Any]:
    lists = {f"{word}.txt": draw.sample(NAMES, 4) for word in draw.sample(("north", "south", "east", "west"), 2)}
    for name, trees in lists.items():
        (folder / name).write_text("\n".join(trees) + "\n")
    (folder / "keep.txt").write_text("Not a list.\n")
    return {"lists": " and ".join(lists), "names": list(lists), "merged": sorted(set().union(*lists.values()))}


def check(folder: Path, values: dict[str, Any]) -> float:
    merged = folder / "all.txt"
    right = merged.is_file() and merged.read_text().split() == values["merged"]
    gone = not any((folder / name).exists() for name in values["names"])
    kept = (folder / "keep.txt").is_file()
    return (right + gone + kept) / 3


def solution(values: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    read = [("read_file", {"path": name}) for name in values["names"]]
    write = ("write_file", {"path": "all.txt", "text": "\n".join(values["merged"])})
    return [*read, write, *[("delete_file", {"path": name}) for name in values["names"]]]
