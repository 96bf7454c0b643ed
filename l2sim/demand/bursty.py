"""Bursty demand."""

import math
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from l2sim.demand import Demand
from l2sim.units import GWEI, Fraction, NotNegative, Positive, Wei


class Bursty(Demand):
    """Blobs: whole units that come in calm spells and in bursts: Poisson counts whose mean a Markov chain switches.

    Luck is the state of the slot, 0 in a calm and 1 in a burst, plus a uniform number in [0, 1) that the count's distribution
    function inverts; so a higher fee never lets more through, whatever the luck.
    """

    calm: Annotated[Fraction, NotNegative] = 0.6
    """Mean count in a calm slot at the reference fee, as a multiple of the target (assumed)."""
    burst: Annotated[Fraction, NotNegative] = 2.0
    """Mean count in a slot of a burst at the reference fee, as a multiple of the target (assumed)."""
    calm_slots: Annotated[float, Field(ge=1)] = 100.0
    """Mean length of a calm spell, in slots (assumed)."""
    burst_slots: Annotated[float, Field(ge=1)] = 20.0
    """Mean length of a burst, in slots (assumed)."""
    reference: Annotated[Wei, Positive] = GWEI
    """The fee at which the means hold, wei per unit of blob gas; a fee of 0 counts as 1 wei."""
    elasticity: Annotated[float, NotNegative] = 0.05
    """Per cent that the mean falls when the fee rises by one per cent, dimensionless: posters hardly wait (assumed)."""

    def draw(self, rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
        switch, count = rng.random(n + 1), rng.random(n)
        begins, ends = 1.0 / self.calm_slots, 1.0 / self.burst_slots
        bursting = bool(switch[n] < begins / (begins + ends))
        states = []
        for u in switch[:n].tolist():
            states.append(bursting)
            bursting = u >= ends if bursting else u < begins
        return np.minimum(np.array(states) + count, np.nextafter(np.array(states) + 1.0, 0.0))

    def amount(self, luck: float, fee: int, target: int, limit: int) -> int:
        state = math.floor(luck)
        mean = (self.burst if state else self.calm) * target
        relief = -self.elasticity * math.log(max(fee, 1) / self.reference)
        mean *= math.exp(min(relief, 500.0))  # beyond that everything is full anyway
        return poisson_quantile(luck - state, mean, limit)


def poisson_quantile(u: float, mean: float, most: int) -> int:
    """The smallest count whose cumulative Poisson probability exceeds ``u``, at most ``most``; any ``u`` above 1 - 10^-12 is that."""
    u = min(u, 1.0 - 1e-12)  # closer to 1 the sum's rounding would decide
    probability = cumulative = math.exp(-mean)
    count = 0
    while cumulative <= u and count < most:
        count += 1
        probability *= mean / count
        cumulative += probability
    return count
