"""Quantiles and what lies beyond them: value at risk, liquidations at risk, expected shortfall.

``q`` is a share of the observations from below: the loss that is exceeded with a probability of 5 % is the quantile at 0.95.
"""

from math import ceil

import numpy as np

from l2sim.statistics.intervals import CONFIDENCE, Floats, Interval


def quantile(values: Floats, q: float, confidence: float = CONFIDENCE) -> Interval:
    """The ``q``-quantile of independent observations, interpolated, with an interval between two of the observations.

    The number of observations below the true quantile is binomial whatever the law, so the l-th smallest is above it, and the u-th
    below it, with probabilities that a binomial law gives: each at most (1 - confidence) / 2 (David, Nagaraja 2003, Order Statistics,
    section 7.1). Where not even the smallest or the largest observation is far enough out, that end is NaN: the 0.95-quantile has
    an upper end from 72 observations on.

    Raises:
        ValueError: ``q`` is not between 0 and 1.
    """
    from scipy.stats import binom

    values = np.sort(_observed(values, q))
    n = len(values)
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    outside = (1.0 - confidence) / 2.0
    low, high = int(binom.ppf(outside, n, q)), int(binom.ppf(1.0 - outside, n, q)) + 1  # counted from 1
    ends = float(values[low - 1]) if low >= 1 else np.nan, float(values[high - 1]) if high <= n else np.nan
    return Interval(float(np.quantile(values, q)), *ends, n)


def expected_shortfall(values: Floats, q: float, confidence: float = CONFIDENCE) -> Interval:
    """The mean of the worst share ``1 - q`` of independent losses, what lies below the quantile left out.

    With v the smallest observation that at least n q of the n do not exceed, it is the mean of v + max(x - v, 0) / (1 - q), which is
    the mean of the n (1 - q) largest where that is a whole number (Acerbi, Tasche 2002, J. Banking & Finance 26; Rockafellar, Uryasev
    2000, J. Risk 2). That v is estimated does not matter to first order, so the standard error is that of this mean (Manistre,
    Hancock 2005, North American Actuarial Journal 9), with Student's t for as many degrees as there are observations beyond v, less one;
    no ends where there are fewer than two. Tails that are heavy, or of fewer than ten observations, are covered less often than it says.

    Raises:
        ValueError: ``q`` is not between 0 and 1.
    """
    from scipy.special import stdtrit

    values = np.sort(_observed(values, q))
    n = len(values)
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    rank = ceil(round(n * q, 9))
    level = values[rank - 1]
    losses = level + _excess(values, float(level)) / (1.0 - q)
    mean, beyond = float(losses.mean()), n - rank
    if beyond < 2:
        return Interval(mean, np.nan, np.nan, n)
    half = float(stdtrit(beyond - 1, (1.0 + confidence) / 2.0) * losses.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def mirrored(found: Interval) -> Interval:
    """What is found of a figure where this was found of its negative: its worst values are the smallest ones."""
    return Interval(-found.mean, -found.high, -found.low, found.n)


def _excess(values: Floats, level: float) -> Floats:
    return np.maximum(values - level, 0.0)


def _observed(values: Floats, q: float) -> Floats:
    if not 0.0 < q < 1.0:
        raise ValueError(f"the share of a quantile must be between 0 and 1, not {q:g}; write 0.95 for 95 %")
    return values[~np.isnan(values)]
