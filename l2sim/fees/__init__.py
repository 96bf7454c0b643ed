"""Fees: how a protocol sets the price of the next block. The verb is ``next(state, used)``, in Python integers of wei."""

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

from l2sim.part import Part

FeeState = tuple[int, ...]


class Used(NamedTuple):
    """What the block that was just made used, and when the next one is due."""

    gas: int = 0
    """Gas used by the block."""
    gas_limit: int = 0
    """Gas limit of the block."""
    blobs: int = 0
    """Blobs in the block."""
    base_fee: int = 0
    """The execution base fee of the block, wei per gas (EIP-7918 couples the blob fee to it)."""
    timestamp: int = 0
    """Unix time in seconds of the next block, whose fork's schedule applies."""
    time: int = 0
    """Unix time in seconds of the block itself, for rules by the clock."""


class Fee(Part, room="fees"):
    """A rule for a fee per unit of gas or blob gas."""

    kernel: ClassVar[Any] = None
    """The same in a scalar subset of Python: ``kernel(state, gas used, gas limit, time, time of the block that follows, terms)`` changes
    the state and gives the base fee of that block (wei per gas; negative where it is beyond 63 bits); see ``l2sim.kernels``."""

    def terms(self) -> tuple[int, ...]:
        """What its kernel goes by."""
        return ()

    def allows(self, gas_limit: int) -> None:
        """Whether the rule has an answer for blocks of that gas limit.

        Raises:
            PydanticCustomError: it has none, with the reason.
        """
        return

    @abstractmethod
    def genesis(self) -> FeeState:
        """The state before the first block."""

    @abstractmethod
    def next(self, state: FeeState, used: Used) -> FeeState:
        """The state of the next block."""

    @abstractmethod
    def price(self, state: FeeState, timestamp: int = 0) -> int:
        """Wei per gas (or per blob gas) in this state; the fork in force at ``timestamp`` (unix seconds) applies."""

    @classmethod
    def _shorthand(cls, value: Any) -> dict[str, Any] | None:
        return {"kind": "constant", "fee": value} if isinstance(value, str | int) else None
