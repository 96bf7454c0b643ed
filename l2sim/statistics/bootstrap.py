"""The bootstrap: an interval for any statistic of independent observations, by drawing them again."""

import warnings
from collections.abc import Callable

import numpy as np

from l2sim.statistics.intervals import CONFIDENCE, Floats, Interval
from l2sim.streams import Streams

RESAMPLES = 9999
BATCH = 1 << 22
"""Numbers that are drawn at a time, so that memory stays flat."""


def generator(purpose: str) -> np.random.Generator:
    """The luck of resampling: the same for a purpose, whatever was run, so that an interval is the same whenever it is made."""
    return Streams(0).generator(f"statistics/{purpose}")


def bootstrap(
    values: Floats, statistic: Callable[..., float] = np.mean, confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> Interval:
    """A statistic with its bias-corrected and accelerated bootstrap interval (Efron 1987, JASA 82, by scipy.stats.bootstrap).

    Args:
        values: independent observations, shape (n,); NaN is left out.
        statistic: of an array; where it knows the argument ``axis``, many resamples are computed at once.
        confidence: the probability with which the interval is to hold the truth.
        resamples: how often n of the observations are drawn, with replacement.

    Returns:
        No ends for fewer than two observations; both ends at the value where all are the same. Where the correction is not
        defined, as for a median of few observations, the quantiles of the resampled statistic (the percentile interval).
    """
    from scipy import stats

    values = values[~np.isnan(values)]
    n = len(values)
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    value = float(statistic(values))
    if n == 1:
        return Interval(value, np.nan, np.nan, 1)
    if (values == values[0]).all():
        return Interval(value, value, value, n)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # degenerate resamples, which are dealt with below
        found = stats.bootstrap(
            (values,),
            statistic,
            n_resamples=resamples,
            batch=max(1, BATCH // n),
            confidence_level=confidence,
            method="BCa",
            rng=generator("bootstrap"),
        )
    low, high = found.confidence_interval
    if np.isnan(low) or np.isnan(high):
        low, high = np.quantile(found.bootstrap_distribution, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return Interval(value, float(low), float(high), n)
