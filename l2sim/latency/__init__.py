"""Latency: how long a message is on its way. The verb is ``draw(rng, n, regime)``."""

from abc import abstractmethod
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.part import Part
from l2sim.units import Fraction, NotNegative


class Latency(Part, room="latency"):
    """A law of delays on one link."""

    varies: ClassVar[bool] = True
    """Whether messages at the same time have different delays."""

    stress: Annotated[Fraction, NotNegative] = 0.0
    """How strongly delays grow in stress: they are multiplied by 1 + stress x regime."""

    @abstractmethod
    def quantile(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Delays in calm times at ``u`` in (0, 1), nanoseconds, the shape of ``u``: a message's luck is a number that it keeps."""

    def at(self, u: npt.NDArray[np.float64], regime: float = 0.0) -> npt.NDArray[np.int64]:
        """Delays in nanoseconds at ``u``; ``regime`` is 0 in calm times and grows with volatility and congestion."""
        return np.rint(self.quantile(u) * (1.0 + self.stress * regime)).astype(np.int64)

    def draw(self, rng: np.random.Generator, n: int, regime: float = 0.0) -> npt.NDArray[np.int64]:
        """``n`` delays in nanoseconds, shape (n,)."""
        return self.at(rng.random(n), regime)

    @classmethod
    def _shorthand(cls, value: Any) -> dict[str, Any] | None:
        return {"kind": "constant", "delay": value} if isinstance(value, str | int) else None
