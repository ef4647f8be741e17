"""Figures as text: pure functions that the page, the picture and the console share.

Shares and differences are fractions (0.43); a difference is written in points (+43). No-break spaces and real minus
signs are used throughout; `plain` turns them into what any terminal can show."""

import unicodedata
from collections.abc import Sequence

from wisen.core.records import Interval

_PLAIN = str.maketrans(
    {"\u00a0": " ", "−": "-", "×": "x", "–": "-", "≤": "<=", "“": '"', "”": '"', "’": "'", "·": "-", "α": "alpha"}
)
# Characters that reorder the text around them: a page could use them to make its text pass for ours.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: str) -> str:
    """The text with control, surrogate and direction-changing characters made visible as U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\ufffd" if char in _BIDI or (char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cs")) else char
        for char in text
    )


def plain(text: str) -> str:
    """The same sentence for a terminal, ours and foreign text alike."""
    return visible(text).translate(_PLAIN)


def shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def number(share: float) -> str:
    """A share in per cent: whole, except where rounding would make it look like 0 or 100."""
    percent = 100 * share
    if 0.05 <= percent < 0.5 or 99.5 <= percent <= 99.95:
        return f"{percent:.1f}"
    return f"{percent:.0f}"


def percent(share: float) -> str:
    return f"{number(share)}\u00a0%"


def points(difference: float) -> str:
    """Points of success share; small ones keep enough digits for their sign to be true."""
    value = 100 * difference
    digits = 0 if abs(value) >= 0.95 else 1 if abs(value) >= 0.05 else 2
    text = f"{value:.{digits}f}"
    if not text.strip("-0."):
        return "0"
    return text.replace("-", "−") if text.startswith("-") else f"+{text}"


def share_interval(interval: Interval) -> str:
    return f"[{number(interval.low)},\u00a0{number(interval.high)}]"


def point_interval(interval: Interval) -> str:
    return f"[{points(interval.low)},\u00a0{points(interval.high)}]"


def difference(interval: Interval) -> str:
    """`+25 points [+16, +35]`"""
    return f"{points(interval.mean)}\u00a0points {point_interval(interval)}"


def level(interval: Interval) -> str:
    return f"{100 * interval.level:g}\u00a0%"


def probability(value: float) -> str:
    """A p-value or an error share, never rounded to 0."""
    if value < 0.0001:
        return f"{value:.0e}" if value > 0 else "0"
    if 0.995 <= value < 1:
        return "> 0.99"
    return f"{value:.2g}" if value < 0.01 else f"{value:.2f}"


def count(n: int, one: str, many: str = "") -> str:
    return f"{n:,}\u00a0{one if n == 1 else many or one + 's'}"


def listing(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f}\u00a0s"
    minutes = round(seconds / 60)
    return f"{minutes}\u00a0min" if minutes < 120 else f"{minutes // 60}\u00a0h {minutes % 60}\u00a0min"


def tone(interval: Interval | None) -> str:
    """`better`, `worse` or `open`: on which side of 0 the whole interval lies."""
    if interval is None or interval.low <= 0 <= interval.high:
        return "open"
    return "better" if interval.low > 0 else "worse"
