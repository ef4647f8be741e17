"""Several orders of the same things made one: reciprocal rank fusion (G. V. Cormack, C. L. A. Clarke and S. Büttcher,
SIGIR 2009)."""

from collections.abc import Hashable, Iterable, Sequence
from fractions import Fraction
from typing import TypeVar

T = TypeVar("T", bound=Hashable)
K = 60  # how little the first ranks stand out; the paper's


def fused(rankings: Iterable[Sequence[T]], k: int = K) -> dict[T, float]:
    """The sum of 1 / (k + rank) over the rankings that hold it, ranks counted from 1. Highest first is the fused order.
    Sums are exact, so that the order of the rankings changes nothing."""
    sums: dict[T, Fraction] = {}
    for ranking in rankings:
        for rank, one in enumerate(ranking, start=1):
            sums[one] = sums.get(one, Fraction(0)) + Fraction(1, k + rank)
    return {one: float(total) for one, total in sums.items()}
