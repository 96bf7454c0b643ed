"""The uniform distribution."""

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator
from pydantic_core import PydanticCustomError

from l2sim.distributions import Distribution
from l2sim.units import Quantity


class Uniform(Distribution):
    """Equally likely anywhere between two bounds."""

    low: Quantity
    """The lower bound."""
    high: Quantity
    """The upper bound, at least the lower one."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise PydanticCustomError("range", "'low' must not be above 'high'")
        return self

    def quantile(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return self.low + (self.high - self.low) * u

    def expectation(self) -> float:
        return (self.low + self.high) / 2
