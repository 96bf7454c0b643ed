"""Elastic demand."""

import math
from itertools import accumulate
from typing import Annotated

import numpy as np
import numpy.typing as npt

from l2sim.demand import Demand
from l2sim.units import GWEI, Fraction, NotNegative, Positive, Share, Wei


class Elastic(Demand):
    """Demand of constant elasticity: mean x target x luck x (fee / reference)^-elasticity, up to the limit.

    Luck is lognormal with mean 1, and its logarithm is autocorrelated from slot to slot.
    """

    mean: Annotated[Fraction, Positive] = 1.0
    """Mean demand at the reference fee, as a multiple of the target."""
    reference: Annotated[Wei, Positive] = GWEI
    """Fee at which demand has its mean, wei per unit; with a mean of 1, where the market rests. A fee of 0 counts as 1 wei."""
    elasticity: Annotated[float, NotNegative] = 1.0
    """Per cent that demand falls when the fee rises by one per cent, dimensionless (assumed)."""
    noise: Annotated[float, NotNegative] = 0.3
    """Standard deviation of the logarithm of luck, dimensionless (assumed)."""
    autocorrelation: Annotated[float, Share] = 0.0
    """Correlation of the logarithm of luck between neighbouring slots, dimensionless (assumed)."""

    def draw(self, rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
        """Luck of mean 1: exp(noise x - noise^2 / 2), with x a stationary autoregression of standard deviation 1."""
        shocks = rng.standard_normal(n)
        shocks[1:] *= math.sqrt(1.0 - self.autocorrelation**2)
        levels = list(accumulate(shocks.tolist(), lambda level, shock: self.autocorrelation * level + shock))
        luck: npt.NDArray[np.float64] = np.exp(self.noise * np.array(levels) - self.noise**2 / 2)
        return luck

    def amount(self, luck: float, fee: int, target: int, limit: int) -> int:
        wanted = math.log(self.mean * luck * target) - self.elasticity * math.log(max(fee, 1) / self.reference)
        return limit if wanted >= math.log(limit) else round(math.exp(wanted))  # in logarithms nothing overflows
