"""Differences of two means: paired where both sides had the same luck, Welch's where they had not."""

import numpy as np

from l2sim.statistics.intervals import CONFIDENCE, Floats, Interval, interval


def paired(a: Floats, b: Floats, confidence: float = CONFIDENCE) -> Interval:
    """The mean of ``a - b`` over pairs with the interval of Student's t; ``n`` counts the pairs.

    A pair of which one side was not observed (NaN) is left out. Common random numbers make the two sides of a pair alike, so that
    their difference varies less than either (Law 2015, Simulation Modeling and Analysis, sections 10.2.1 and 11.2).

    Raises:
        ValueError: the two have not the same length.
    """
    return interval(a - _partner(a, b), confidence)


def welch(a: Floats, b: Floats, confidence: float = CONFIDENCE) -> Interval:
    """The difference of the means of two independent samples; ``n`` counts the observations of both.

    Variances may differ: Student's t with the degrees of freedom of Welch and Satterthwaite (Welch 1947, Biometrika 34).
    """
    from scipy.special import stdtrit

    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    n = len(a) + len(b)
    if not len(a) or not len(b):
        return Interval(np.nan, np.nan, np.nan, n)
    mean = float(a.mean() - b.mean())
    if min(len(a), len(b)) < 2:
        return Interval(mean, np.nan, np.nan, n)
    squares = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
    if not squares.any():
        return Interval(mean, mean, mean, n)
    shares = squares / squares.sum()  # of the two sides in the variance of the difference
    degrees = 1.0 / float((shares**2 / (np.array([len(a), len(b)]) - 1)).sum())
    half = float(stdtrit(degrees, (1.0 + confidence) / 2.0) * np.sqrt(squares.sum()))
    return Interval(mean, mean - half, mean + half, n)


def variance_reduction(a: Floats, b: Floats) -> float:
    """How many times the variance of paired differences goes into that of unpaired ones: (Var a + Var b) / Var(a - b).

    So many times fewer replications give the same width. 1 means that pairing gains nothing, below 1 that it does harm; infinite
    where every pair differs by the same; NaN where there are fewer than two whole pairs, or nothing varies.

    Raises:
        ValueError: the two have not the same length.
    """
    both = ~np.isnan(a - _partner(a, b))
    if both.sum() < 2:
        return np.nan
    a, b = a[both], b[both]
    apart, together = float(a.var(ddof=1) + b.var(ddof=1)), float((a - b).var(ddof=1))
    if together == 0.0:
        return np.inf if apart else np.nan
    return apart / together


def _partner(a: Floats, b: Floats) -> Floats:
    if a.shape != b.shape:
        raise ValueError(f"pairs need two samples of one length, not {len(a)} and {len(b)} observations")
    return b
