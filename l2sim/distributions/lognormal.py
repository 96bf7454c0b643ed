"""The lognormal distribution."""

import math
from typing import Annotated

import numpy as np
import numpy.typing as npt

from l2sim.distributions import Distribution
from l2sim.units import NotNegative, Positive, Quantity


class Lognormal(Distribution):
    """A positive number whose logarithm is normal: sizes, leverages, delays."""

    median: Annotated[Quantity, Positive]
    """The median; the mean is median x exp(sigma^2 / 2)."""
    sigma: Annotated[float, NotNegative] = 1.0
    """Standard deviation of the natural logarithm, dimensionless."""

    def quantile(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        from scipy.special import ndtri

        quantiles: npt.NDArray[np.float64] = float(self.median) * np.exp(self.sigma * ndtri(u))
        return quantiles

    def expectation(self) -> float:
        return self.median * math.exp(self.sigma**2 / 2)
