"""Constant latency."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.latency import Latency
from l2sim.units import Duration


class Constant(Latency):
    """The same delay for every message in calm times; a bare duration, such as ``30ms``, is one of these."""

    varies: ClassVar[bool] = False

    delay: Duration
    """The delay."""

    def quantile(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.full(np.shape(u), float(self.delay))
