"""Many comparisons: who looks at twenty intervals will find one that misses."""

from typing import NamedTuple

import numpy as np

from l2sim.statistics.intervals import CONFIDENCE, Floats


class Multiplicity(NamedTuple):
    """What it means that so many intervals were made."""

    intervals: int
    """How many."""
    confidence: float
    """Of each of them."""
    expected_misses: float
    """How many of them miss the truth in the mean, however they depend on each other."""
    any_miss: float
    """The probability that at least one does, if they are independent."""
    bonferroni: float
    """The confidence that each would need for all together to hold with ``confidence``, however they depend on each other."""
    sidak: float
    """The same if they are independent, a little less."""


def multiplicity(intervals: int, confidence: float = CONFIDENCE) -> Multiplicity:
    """The numbers of a note on how many comparisons were made.

    For m intervals of confidence c: m (1 - c) misses in the mean, 1 - c^m for at least one; 1 - (1 - c) / m (Bonferroni) and c^(1/m)
    (Šidák 1967, JASA 62) for each hold all of them at c.

    Raises:
        ValueError: fewer than none were made.
    """
    if intervals < 0:
        raise ValueError(f"there cannot be {intervals} intervals")
    m = max(intervals, 1)
    misses, any_miss = intervals * (1.0 - confidence), 1.0 - confidence**intervals
    return Multiplicity(intervals, confidence, misses, any_miss, 1.0 - (1.0 - confidence) / m, confidence ** (1.0 / m))


def holm(p: Floats) -> Floats:
    """P-values of tests made together, adjusted: those below α are found with a probability of at most α that any of them is false.

    The k-th smallest of m is multiplied with m - k + 1, and none is less than a smaller one's (Holm 1979, Scandinavian J. Statistics 6).
    Shape and order are kept; NaN stands for a test that was not made.

    Raises:
        ValueError: a number is not a probability.
    """
    made = ~np.isnan(p)
    tests = p[made]
    if ((tests < 0.0) | (tests > 1.0)).any():
        raise ValueError("a p-value must be between 0 and 1")
    order = np.argsort(tests, kind="stable")
    stepped = np.maximum.accumulate(tests[order] * np.arange(len(tests), 0, -1))
    adjusted = np.full(p.shape, np.nan)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    adjusted[made] = np.minimum(stepped, 1.0)[ranks]
    return adjusted
