"""What rankers share: an order by scores, draws that hang on seed and item alone, and scores made comparable."""

from collections.abc import Sequence
from statistics import fmean, pstdev

from wisen.core.errors import SettingsError
from wisen.core.ids import derived_seed
from wisen.core.records import Candidate, Found


def ordered(found: Sequence[Found], scores: Sequence[float]) -> tuple[Candidate, ...]:
    """Best first, ties in order of id."""
    ranked = sorted(zip(found, scores, strict=True), key=lambda pair: (-pair[1], pair[0].item.id))
    return tuple(Candidate(item_id=one.item.id, score=score) for one, score in ranked)


def draws(found: Sequence[Found], seed: int) -> list[float]:
    """For each item a number in [0, 1)."""
    return [derived_seed(seed, "rank", one.item.id) / 2**32 for one in found]


def standardised(values: Sequence[float]) -> list[float]:
    """With mean 0 and standard deviation 1; all 0 where they do not differ. Sums are exact, so that the order of the
    values changes nothing."""
    spread = pstdev(values) if len(values) > 1 else 0.0
    if spread <= 1e-9:
        return [0.0] * len(values)
    centre = fmean(values)
    return [(value - centre) / spread for value in values]


def share(value: float, option: str) -> float:
    """The value, if it is from 0 to 1. Raises `SettingsError`."""
    if not 0 <= value <= 1:
        raise SettingsError(f"the ranker's option {option} is {value!r}", "give a number from 0 to 1")
    return value
