"""Latency: how long a message is on its way. The verb is ``draw(rng, n, regime)``."""

from abc import abstractmethod
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from l2sim.part import Part
from l2sim.units import Fraction, NotNegative


class Latency(Part, room="latency"):
    """A law of delays on one link."""

    stress: Annotated[Fraction, NotNegative] = 0.0
    """How strongly delays grow in stress: they are multiplied by 1 + stress x regime."""

    @abstractmethod
    def calm(self, rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
        """``n`` delays in calm times, nanoseconds, shape (n,)."""

    def draw(self, rng: np.random.Generator, n: int, regime: float = 0.0) -> npt.NDArray[np.int64]:
        """``n`` delays in nanoseconds, shape (n,); ``regime`` is 0 in calm times and grows with volatility and congestion."""
        return np.rint(self.calm(rng, n) * (1.0 + self.stress * regime)).astype(np.int64)

    @classmethod
    def _shorthand(cls, value: Any) -> dict[str, Any] | None:
        return {"kind": "constant", "delay": value} if isinstance(value, str | int) else None
