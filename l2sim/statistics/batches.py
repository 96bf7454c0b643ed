"""Batch means: how well the mean of one long run is known, whose observations depend on their neighbours."""

import numpy as np

from l2sim.statistics.intervals import CONFIDENCE, Floats, Interval, interval

SMALLEST = 10
"""Observations that a batch must have, at the very least; shorter ones would be as dependent as the observations themselves."""


def batch_means(series: Floats, batches: int = 10, confidence: float = CONFIDENCE) -> Interval:
    """The mean of a series in order of time with the interval of Student's t over the means of equal batches; ``n`` counts the batches.

    Batches that are long against the memory of the series have nearly independent, nearly normal means; treating the observations
    themselves as independent gives intervals that are far too narrow. Ten to thirty batches do (Schmeiser 1982, Operations Research 30;
    Law 2015, Simulation Modeling and Analysis, section 9.5.3). The odd few that do not fill a batch are left out at the beginning, where
    a run has settled least, and so is what was not observed (NaN). No ends where batches would be too short.

    Raises:
        ValueError: fewer than two batches are asked for.
    """
    if batches < 2:
        raise ValueError(f"an interval needs at least two batches, not {batches}")
    series = series[~np.isnan(series)]
    size = len(series) // batches
    if size < SMALLEST:
        return Interval(float(series.mean()) if len(series) else np.nan, np.nan, np.nan, 0)
    return interval(series[len(series) - size * batches :].reshape(batches, size).mean(axis=1), confidence)
