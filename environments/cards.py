"""Suites side by side: what their cards say, as a table."""

from collections.abc import Mapping

from wisen.core.records import Split, SuiteCard

HEADS = ("suite", "what", "templates", "tasks", "acts by", "raw reward", "success", "needs", "licence", "snapshots")


def table(cards: Mapping[str, SuiteCard]) -> list[str]:
    """Lines of Markdown, a row for each card by its suite's name."""
    rows = [HEADS, ("---",) * len(HEADS), *(_row(name, card) for name, card in cards.items())]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]


def _row(name: str, card: SuiteCard) -> tuple[str, ...]:
    return (
        f"`{name}`",
        card.summary.removesuffix("."),
        str(card.templates or "by options"),
        tasks_of(card),
        ", ".join(card.acts),
        card.reward,
        card.success,
        "; ".join(needs_of(card)) or "nothing",
        card.licence,
        "yes" if card.snapshots else "no",
    )


def tasks_of(card: SuiteCard) -> str:
    """How many tasks each split has."""
    if card.sizes:
        return " / ".join(f"{card.sizes.get(split, 0):,}" for split in Split)
    return "seeds, a million each" if card.templates else "by options"


def needs_of(card: SuiteCard) -> tuple[str, ...]:
    return (*((f"wisen[{card.extra}]",) if card.extra else ()), *card.needs)


def facts(card: SuiteCard) -> dict[str, str]:
    """What a card says, by words; nothing of what it leaves open."""
    told = {
        "what": card.summary,
        "tasks": ", ".join(f"{split} {count}" for split, count in card.sizes.items()) or tasks_of(card),
        "templates": str(card.templates or ""),
        "acts by": ", ".join(card.acts),
        "reward": card.reward,
        "success": card.success,
        "licence": card.licence,
        "steps": str(card.max_steps or ""),
        "seconds": f"{card.max_seconds:g}" if card.max_seconds else "",
        "needs": "; ".join(needs_of(card)),
        "snapshots": "yes" if card.snapshots else "",
    }
    return {key: value for key, value in told.items() if value}
