"""The constant distribution."""

import numpy as np
import numpy.typing as npt

from l2sim.distributions import Distribution
from l2sim.units import Quantity


class Constant(Distribution):
    """Always the same value; a bare value in a file, such as ``2 s``, is one of these."""

    value: Quantity
    """The value."""

    def quantile(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.full_like(u, float(self.value), dtype=np.float64)

    def expectation(self) -> float:
        return float(self.value)
