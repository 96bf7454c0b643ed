"""The exponential distribution."""

from typing import Annotated

import numpy as np
import numpy.typing as npt

from l2sim.distributions import Distribution
from l2sim.units import Positive, Quantity


class Exponential(Distribution):
    """Waiting without memory: the gaps of a Poisson process."""

    mean: Annotated[Quantity, Positive]
    """The mean, which is also the standard deviation."""

    def quantile(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return -float(self.mean) * np.log1p(-u)

    def expectation(self) -> float:
        return float(self.mean)
