"""Availability: where a rollup's data are, and whether somebody can keep them back. The verb is ``carried(size)``."""

from abc import abstractmethod
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.part import Part
from l2sim.units import Duration, Positive


class Carried(NamedTuple):
    """What an L1 transaction carries for a batch."""

    blobs: int
    calldata: int
    """Bytes."""


class Availability(Part, room="availability"):
    """Where the data are from which everybody can compute the state."""

    on_l1: ClassVar[bool] = True
    """Whether a batch carries its data to L1, so that nothing that was posted can be kept back."""

    takeover: Annotated[Duration, Positive] | None = None
    """Time after which others go on with the chain where its operator serves nobody and the data are to be had; without it, nobody does."""

    @abstractmethod
    def carried(self, size: int, blob_bytes: int) -> Carried:
        """What is posted for a batch of so many bytes, where a blob takes ``blob_bytes``."""

    def asked(self) -> int:
        """How many have to be asked before a batch can go to L1."""
        return 0

    def certified(self, luck: npt.NDArray[np.float64]) -> int:
        """How long they take to certify it (ns), by one uniform number for each."""
        return 0

    def cost(self, size: int) -> int:
        """What keeping so many bytes costs the operator besides L1 (wei)."""
        return 0

    def withheld_by(self, members: int) -> bool:
        """Whether the operator and so many colluding members can publish a commitment and keep the data."""
        return False
