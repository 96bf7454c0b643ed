"""Demand: what everybody who is not in the scenario wants of L1, slot by slot. The verbs are ``draw`` and ``amount``."""

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from l2sim.part import Part


class Demand(Part, room="demand"):
    """Background demand for gas or for blobs."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
        """The luck of ``n`` consecutive slots, shape (n,), drawn once per run and independent of fees."""

    @abstractmethod
    def amount(self, luck: float, fee: int, target: int, limit: int) -> int:
        """Units (gas or blobs) wanted in a slot with that luck at a fee in wei per unit; at most ``limit``."""
