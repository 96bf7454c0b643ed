"""Poisson demand."""

import math
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from l2sim.demand import Demand
from l2sim.demand.bursty import poisson_quantile
from l2sim.units import GWEI, NotNegative, Positive, Wei


class Poisson(Demand):
    """A Poisson count of transactions of equal size in each slot, independent of other slots; the mean falls as the fee rises.

    Luck is a uniform number that the count's distribution function inverts, so that a higher fee never lets more through.
    """

    count: Annotated[float, Field(gt=0, le=600)] = 150.0
    """Transactions that fill the target, which is also their mean number at the reference fee: 30 Mgas hold 150 of 200 kgas (assumed)."""
    reference: Annotated[Wei, Positive] = GWEI
    """The fee at which the mean fills the target, wei per unit; a fee of 0 counts as 1 wei."""
    elasticity: Annotated[float, NotNegative] = 1.0
    """Per cent that the mean falls when the fee rises by one per cent, dimensionless (assumed)."""

    def draw(self, rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
        return rng.random(n)

    def amount(self, luck: float, fee: int, target: int, limit: int) -> int:
        relief = -self.elasticity * math.log(max(fee, 1) / self.reference)
        most = math.ceil(self.count * limit / target)
        # Beyond three times what fits, a block is full whatever the luck.
        mean = min(self.count * math.exp(min(relief, 50.0)), 3.0 * most)
        if mean > 700.0:
            return limit
        return min(round(poisson_quantile(luck, mean, most) * target / self.count), limit)
