"""Intervals: a mean over replications and how well it is known. Replications are independent, so Student's t applies.

A replication without an observation (NaN) is left out and counted out, never taken for zero.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean with its confidence interval and the number of observations; no ends where there are fewer than two."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: Floats, confidence: float = CONFIDENCE) -> Interval:
    """The mean of independent observations with the interval of Student's t (exact for normal ones).

    Source: any textbook; mean ± t(n-1, (1 + confidence) / 2) x s / sqrt(n).
    """
    from scipy.special import stdtrit

    values = values[~np.isnan(values)]
    n = len(values)
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(values.mean())
    if n == 1:
        return Interval(mean, np.nan, np.nan, 1)
    half = float(stdtrit(n - 1, (1.0 + confidence) / 2.0) * values.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def ratio(numerator: Floats, denominator: Floats, confidence: float = CONFIDENCE) -> Interval:
    """The geometric mean of paired ratios with its interval: Student's t on their logarithms.

    Only pairs in which both numbers are positive have a ratio; the others are left out and counted out.
    """
    both = (numerator > 0) & (denominator > 0)
    logs = interval(np.log(numerator[both] / denominator[both]), confidence)
    return Interval(float(np.exp(logs.mean)), float(np.exp(logs.low)), float(np.exp(logs.high)), logs.n)


def table(samples: "pd.DataFrame", units: dict[str, str], confidence: float = CONFIDENCE) -> "pd.DataFrame":
    """A row per column of ``samples`` (a row per replication): mean, low, high, n and unit."""
    import pandas as pd

    rows = {name: interval(samples[name].to_numpy(np.float64), confidence)._asdict() for name in samples}
    answer = pd.DataFrame.from_dict(rows, orient="index", columns=list(Interval._fields))
    answer["unit"] = [units.get(str(name), "") for name in answer.index]
    return answer.rename_axis("figure")
