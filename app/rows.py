"""Training rows for a person: each token in the colour of what it is to the loss."""

from collections import Counter
from collections.abc import Sequence

from rich.text import Text

from wisen.models.tokens import SPECIAL
from wisen.trainers.dataset import Row
from wisen.trainers.stored import Stored

TRAINED, AGAINST, MEMORY, CONTEXT = "bold green", "bold red", "yellow", "dim"
LEGEND = (("trained", TRAINED), ("trained against", AGAINST), ("memory", MEMORY), ("context", CONTEXT))


def rendered(found: Stored, row: Row) -> Text:
    """The row with its mask in colour. Tags begin a line; a tokenizer that keeps no blanks gets some."""
    shown, places = Text(), {at: number for number, at in enumerate(row.trained)}
    spaced = all(tag in found.tokenizer.get_vocab() for tag in SPECIAL)
    for at, piece in enumerate(found.texts(row)):
        tag = piece in SPECIAL
        before = ("\n" if tag and at else "") or (" " if spaced and at and not piece.isspace() else "")
        shown.append(before)
        shown.append(piece, style=_style(row, at, places))
    return shown


def _style(row: Row, at: int, places: dict[int, int]) -> str:
    if at in places:
        weight = row.weights[places[at]] if row.weights else 1.0
        return AGAINST if weight < 0 else TRAINED if weight > 0 else CONTEXT
    return MEMORY if any(start <= at < end for start, end in row.memory) else CONTEXT


def legend() -> Text:
    return Text("  ").join(Text(name, style=style) for name, style in LEGEND)


def headline(row: Row) -> str:
    """Where the row comes from."""
    parts = [f"{row.trajectory_id} step {row.step}", f"task {row.task_id}", f"release {row.release_id}"]
    parts += [f"loss {row.loss}", f"tokens {row.source}"] + ([f"unit {row.unit}"] if row.unit else [])
    weights = sorted(set(row.weights)) or [1.0]
    said = f"{weights[0]:.3g}" if len(weights) == 1 else f"{weights[0]:.3g} to {weights[-1]:.3g}"
    return ", ".join([*parts, f"{len(row.trained)} of {row.tokens} tokens trained, weight {said}"])


def counted(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Name and figure, line by line."""
    tokens, trained = sum(row.tokens for row in rows), sum(len(row.trained) for row in rows)
    memory = sum(end - start for row in rows for start, end in row.memory)
    units = {(row.loss, row.unit) for row in rows if row.unit}
    lines = [
        ("rows", f"{len(rows):,}" + (f" in {len(units):,} units" if units else "")),
        ("tokens", f"{tokens:,}"),
        ("of them trained", f"{trained:,} ({_share(trained, tokens)})"),
        ("of them memory", f"{memory:,} ({_share(memory, tokens)})"),
        ("longest row", f"{max((row.tokens for row in rows), default=0):,} tokens"),
        ("attempts", f"{len({row.trajectory_id for row in rows}):,}"),
        ("tasks", f"{len({row.task_id for row in rows}):,}"),
        ("releases", ", ".join(sorted({row.release_id for row in rows}))),
    ]
    for title, kinds in (
        ("loss", Counter(row.loss for row in rows)),
        ("source", Counter(str(row.source) for row in rows)),
        ("family", Counter(row.template_id for row in rows)),
    ):
        lines += [(f"{title} {name}", f"{count:,} rows") for name, count in sorted(kinds.items())]
    return lines


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"
