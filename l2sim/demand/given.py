"""Given demand."""

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from l2sim.demand import Demand
from l2sim.units import Fraction, Share


class Given(Demand):
    """The given fractions of the limit, slot by slot and again from the first, whatever the fee: for what-ifs and tests."""

    fractions: Annotated[tuple[Annotated[Fraction, Share], ...], Field(min_length=1)]
    """Fractions of the limit; ``[1, 0]`` alternates full and empty, the full one first."""

    def draw(self, rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
        return np.resize(np.array(self.fractions, np.float64), n)

    def amount(self, luck: float, fee: int, target: int, limit: int) -> int:
        return round(luck * limit)
