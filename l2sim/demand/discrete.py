"""Discrete demand."""

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.demand import Demand
from l2sim.units import Fraction, Positive, Share


class Discrete(Demand):
    """One of the given fractions of the limit, drawn anew for each slot, whatever the fee: for what-ifs and tests."""

    fractions: Annotated[tuple[Annotated[Fraction, Share], ...], Field(min_length=1)]
    """Fractions of the limit; ``[0, 1]`` is nothing or everything."""
    weights: tuple[Annotated[float, Positive], ...] | None = None
    """How likely each is, relative to the others, dimensionless; without them, all alike."""

    @model_validator(mode="after")
    def _paired(self) -> "Discrete":
        if self.weights is not None and len(self.weights) != len(self.fractions):
            numbers = {"fractions": len(self.fractions), "weights": len(self.weights)}
            raise PydanticCustomError("weights", "there are {fractions} fractions but {weights} weights: give one for each", numbers)
        return self

    def draw(self, rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
        weights = np.array(self.weights or [1.0] * len(self.fractions))
        return np.array(self.fractions, np.float64)[np.searchsorted(np.cumsum(weights / weights.sum())[:-1], rng.random(n), side="right")]

    def amount(self, luck: float, fee: int, target: int, limit: int) -> int:
        return round(luck * limit)
