"""Lognormal latency."""

from typing import Annotated

import numpy as np
import numpy.typing as npt

from l2sim.latency import Latency
from l2sim.units import Duration, NotNegative, Positive


class Lognormal(Latency):
    """Delays whose logarithm is normal: mostly near the median, sometimes much longer."""

    median: Annotated[Duration, Positive]
    """The median delay in calm times; the mean is median x exp(sigma^2 / 2)."""
    sigma: Annotated[float, NotNegative] = 0.3
    """Standard deviation of the natural logarithm, dimensionless (assumed)."""

    def quantile(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        from scipy.special import ndtri

        return np.asarray(self.median * np.exp(self.sigma * ndtri(u)))
