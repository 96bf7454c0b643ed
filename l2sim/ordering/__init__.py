"""Ordering: in which order a sequencer executes what waits, and who sees it first. The verbs are ``order`` and ``visible``."""

from abc import abstractmethod
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.part import Part


class Pending(NamedTuple):
    """What waits, as columns of equal length; row i is one transaction."""

    arrives: npt.NDArray[np.int64]
    """Arrival at the sequencer, nanoseconds since the start."""
    tie: npt.NDArray[np.uint64]
    """Seeded key that decides between equal rows."""
    tip: npt.NDArray[np.int64]
    """Effective priority fee, wei per gas."""
    gas: npt.NDArray[np.int64]
    """Gas used."""


Stage = Literal["pending", "sealed"]


class Ordering(Part, room="ordering"):
    """A rule that puts waiting transactions in the order of execution."""

    by_arrival: ClassVar[bool] = False
    """Whether the order is simply that of arrival, which waiting rows already have."""
    by_tip: ClassVar[bool] = False
    """Whether the order is that of arrival among rows with the same priority fee."""
    passes_over: ClassVar[bool] = True
    """Whether what does not fit into a block is passed over for what comes later in the order, or else ends the block; go-ethereum
    and op-geth, miner/worker.go, pass over."""

    @abstractmethod
    def order(self, pending: Pending, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Row indices in the order of execution, shape (n,); the block takes what it has room for."""

    def visible(self, viewer: str, stage: Stage) -> bool:
        """Whether ``viewer`` (``public`` or ``sequencer``) sees transactions at that stage."""
        return stage == "sealed" or viewer == "sequencer"
