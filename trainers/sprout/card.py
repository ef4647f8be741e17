"""sprout's card as a person reads it, from the recipe in `card.json` and the benchmark's figures.

`python -m wisen.trainers.sprout.card FOLDER --figures .wisen-sprout/sprout.json` takes figures up into the card.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from wisen.core.records import JSON
from wisen.trainers.checkpoints import CARD

README = "README.md"

_HEAD = """# sprout

A language model of {millions:.1f} million parameters that can act as an agent, use memory items in its prompt, judge
finished attempts and write down what an attempt taught, in wisen's own text formats. It exists so that the whole
product runs for real, offline, in minutes. It knows a few hundred everyday words, no facts, no task but those below.

- Made by `python -m wisen.trainers.sprout.train`: random weights, then generated episodes only (pages, tools, rooms and
  small programs with drawn words and hidden ways). No outside data, no model's output, no page of any suite.
- Shape: {shape}. Seed {seed}.
- Trained on {tokens:.1f} M tokens ({lessons:,} lessons, {steps:,} steps) in {hours:.1f} h on one CPU core.
- Licence: {licence}.

## Skills on fresh lessons
`held-out`: families, words and phrases that no training lesson holds. `chance`: a uniform choice among the options.
"""
_CURVE = (
    "page press",
    "page ticks",
    "note one",
    "note several",
    "recover irrelevant",
    "judge",
    "held-out: page form",
    "held-out: note one",
    "held-out: note several",
    "held-out: judge",
)


def markdown(recipe: JSON) -> str:
    """The card. Figures of the benchmark come last, where there are any."""
    shape = recipe["settings"]["shape"]
    lines = [
        _HEAD.format(
            millions=recipe["parameters"] / 1e6,
            shape=", ".join(f"{name.replace('_', ' ')} {value}" for name, value in shape.items()),
            seed=recipe["settings"]["seed"],
            tokens=recipe["tokens"] / 1e6,
            lessons=recipe["lessons"],
            steps=recipe["steps"],
            hours=recipe["seconds"] / 3600,
            licence=recipe["licence"],
        ),
        _table(
            ("skill", "right", "chance", "questions"),
            [
                (name, _percent(one["right"]), _percent(one["chance"]), str(one["questions"]))
                for name, one in recipe["skills"].items()
            ],
        ),
        *([f"\n{recipe['remarks']}"] if "remarks" in recipe else []),
        "\n## Curve\n",
        _curve(recipe["curve"]),
    ]
    for part, text in recipe.get("figures", {}).items():
        lines += [f"\n## {part[0].upper() + part[1:]}\n", text]
    return "\n".join(lines) + "\n"


def _curve(points: list[Any]) -> str:
    shown = [name for name in _CURVE if any(name in point["skills"] for point in points)]
    rows = [
        (f"{point['tokens'] / 1e6:.1f}", *(_percent(point["skills"].get(name)) for name in shown)) for point in points
    ]
    return _table(("M tokens", *shown), rows)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def write(folder: Path, recipe: JSON) -> None:
    """`card.json` and `README.md` of a checkpoint."""
    told = json.dumps({"parent": None, "recipe": recipe}, indent=1, sort_keys=True)
    (folder / CARD).write_text(told + "\n")
    (folder / README).write_text(markdown(recipe))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--figures", type=Path, required=True, help="sprout.json of benchmarks/sprout.py")
    told = parser.parse_args()
    recipe = json.loads((told.folder / CARD).read_text())["recipe"]
    recipe["figures"] = recipe.get("figures", {}) | json.loads(told.figures.read_text())["tables"]
    write(told.folder, recipe)


if __name__ == "__main__":
    main()
