"""The empirical distribution."""

from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.distributions import Distribution
from l2sim.units import NotNegative, Quantity


class Empirical(Distribution):
    """One of the given values, each as likely as its weight says."""

    values: Annotated[tuple[Quantity, ...], Field(min_length=1)]
    """The values, in any order."""
    weights: tuple[Annotated[float, NotNegative], ...] | None = None
    """A weight for each value, dimensionless, not all 0; without them all values are equally likely."""

    @model_validator(mode="after")
    def _weighed(self) -> Self:
        if self.weights is not None:
            if len(self.weights) != len(self.values):
                raise PydanticCustomError(
                    "length",
                    "there are {values} values but {weights} weights",
                    {"values": len(self.values), "weights": len(self.weights)},
                )
            if not sum(self.weights) > 0:
                raise PydanticCustomError("range", "the weights must not all be 0")
        if len({value.dimension for value in self.values if float(value)}) > 1:
            raise PydanticCustomError("unit", "the values must all be given in the same kind of unit")
        return self

    def quantile(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The smallest value whose cumulative share reaches ``u``: the step inverse of the distribution function."""
        values = np.array(self.values, np.float64)
        weights = np.array(self.weights if self.weights is not None else [1.0] * len(values))
        order = np.argsort(values, kind="stable")
        shares = np.cumsum(weights[order])
        last = int(np.flatnonzero(weights[order])[-1])  # rounding must not reach a value of weight 0
        reached = np.searchsorted(shares, u * shares[-1], side="left")
        quantiles: npt.NDArray[np.float64] = values[order][np.minimum(reached, last)]
        return quantiles

    def expectation(self) -> float:
        return float(np.average(self.values, weights=self.weights))
