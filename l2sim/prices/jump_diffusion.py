"""Jump diffusion."""

import math
from collections.abc import Mapping
from typing import Annotated

import numpy as np

from l2sim.prices import Floats, Recording, Times
from l2sim.prices.geometric_brownian import GeometricBrownian
from l2sim.units import SECOND, Fraction, Frequency, NotNegative


class JumpDiffusion(GeometricBrownian):
    """Geometric Brownian motion with jumps at the instants of a Poisson process, the size of each normal in the logarithm.

    Jumps are compensated: the drift stays that of the mean price, whatever the jumps. The volatility is that of the
    diffusion alone; the variance of the logarithm grows by volatility^2 a year plus jump_mean^2 + jump_deviation^2 a jump.

    Source: Merton 1976, "Option pricing when underlying stock returns are discontinuous".
    """

    intensity: Frequency = 1 / 86400
    """How often the price jumps (assumed: once a day)."""
    jump_mean: Fraction = 0.0
    """Mean of the logarithm of a jump, such as -2 %."""
    jump_deviation: Annotated[Fraction, NotNegative] = 0.015
    """Standard deviation of the logarithm of a jump (assumed)."""

    def path(
        self,
        rng: np.random.Generator,
        times: Times,
        *,
        family: np.random.Generator | None = None,
        data: Mapping[str, Recording] | None = None,
    ) -> Floats:
        """Prices at ``times``; the jumps are the price's own, only the diffusion is shared with its family."""
        diffusion = super().path(rng, times, family=family)
        seconds = np.diff(times) / SECOND
        normal = rng.standard_normal(len(seconds))
        counts = rng.poisson(self.intensity * seconds)
        compensation = self.intensity * math.expm1(self.jump_mean + self.jump_deviation**2 / 2)
        steps = self.jump_mean * counts + self.jump_deviation * np.sqrt(counts) * normal - compensation * seconds
        return diffusion * np.exp(np.concatenate(([0.0], np.cumsum(steps))))
