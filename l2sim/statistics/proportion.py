"""Proportions: how well a probability is known from how often something happened."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from l2sim.statistics.intervals import CONFIDENCE, Interval


def wilson(k: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """The share ``k`` of ``n`` independent trials with Wilson's score interval, which suits rare events and small samples.

    The interval (p + z² / 2n ± z sqrt(p (1 - p) / n + z² / 4n²)) / (1 + z² / n) for z = Φ⁻¹((1 + confidence) / 2) holds every
    probability that the score test does not refuse (Wilson 1927, JASA 22; Brown, Cai, DasGupta 2001, Statistical Science 16). Unlike
    Wald's, p ± z sqrt(p (1 - p) / n), it has a width where nothing or everything happened. Its middle is nearer to 1/2 than ``k / n``.

    Raises:
        ValueError: ``k`` is not between 0 and ``n``.
    """
    from scipy.special import ndtri

    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is not a share: the first number must be between 0 and the second")
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    z, p = float(ndtri((1.0 + confidence) / 2.0)), k / n
    middle = (p + z * z / (2 * n)) / (1.0 + z * z / n)
    half = z * sqrt(p * (1.0 - p) / n + z * z / (4 * n * n)) / (1.0 + z * z / n)
    # At 0 and n one end is exactly 0 or 1, which rounding would miss.
    return Interval(p, middle - half if k else 0.0, middle + half if k < n else 1.0, n)


def clustered(trials: Sequence[int], successes: Sequence[int], confidence: float = CONFIDENCE) -> Interval:
    """The share of all ``trials`` of several independent runs, whose own trials may depend on each other.

    The interval is Student's t about Σx / Σm with the standard error sqrt(n / (n - 1) Σ (x - p m)²) / Σm, the one of a share over
    clusters (Cochran 1977, Sampling Techniques, section 3.12), cut at 0 and 1; ``n`` counts runs. It has no ends where there are
    fewer than two runs, or where all have the same share: then no spread says how far it might be off.
    """
    from scipy.special import stdtrit

    m, x = np.asarray(trials, float), np.asarray(successes, float)
    n = len(m)
    if not m.sum():
        return Interval(np.nan, np.nan, np.nan, n)
    p = float(x.sum() / m.sum())
    if n < 2 or len({round(one, 12) for one in (x / np.maximum(m, 1.0)).tolist()}) == 1:
        return Interval(p, np.nan, np.nan, n)
    error = sqrt(n / (n - 1) * float(np.square(x - p * m).sum())) / float(m.sum())
    half = float(stdtrit(n - 1, (1.0 + confidence) / 2.0)) * error
    return Interval(p, max(0.0, p - half), min(1.0, p + half), n)
