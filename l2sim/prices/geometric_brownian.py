"""Geometric Brownian motion."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np

from l2sim.prices import Floats, Price, Recording, Times
from l2sim.units import YEAR, Positive, Usd, Volatility, Yearly


class GeometricBrownian(Price):
    """Returns are independent and normal in the logarithm; the steps between the given instants are exact, however long.

    The drift is that of the price: its mean is start x exp(drift x years), so the logarithm drifts by drift - volatility^2 / 2.
    """

    start: Annotated[Usd, Positive]
    """Price at the start of the run."""
    volatility: Volatility
    """Standard deviation of the logarithm of the price, per square root of a year of 365 days."""
    drift: Yearly = 0.0
    """Growth rate of the mean price; 0 makes the price a martingale."""

    def path(
        self,
        rng: np.random.Generator,
        times: Times,
        *,
        family: np.random.Generator | None = None,
        data: Mapping[str, Recording] | None = None,
    ) -> Floats:
        """Prices at ``times``; this stream and the family's each give one normal number a step, family or not."""
        years = np.diff(times) / YEAR
        normal = rng.standard_normal(len(years))
        if family is not None:
            normal = self.loading * family.standard_normal(len(years)) + np.sqrt(1.0 - self.loading**2) * normal
        steps = (self.drift - self.volatility**2 / 2) * years + self.volatility * np.sqrt(years) * normal
        prices: Floats = self.start * np.exp(np.concatenate(([0.0], np.cumsum(steps))))
        return prices
