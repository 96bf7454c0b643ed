"""Data fees: what a rollup's users pay besides execution, for their data on L1 and for the operator.

Law works in Python integers of wei; what it asks of a transaction is linear in its size and gas, so that blocks can be charged in bulk.
"""

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

from l2sim.part import Part

DataFeeState = tuple[int, ...]


class Charge(NamedTuple):
    """What a transaction pays besides execution: max(size, floor) x per byte + gas x per gas + per transaction, in ETH."""

    per_byte: float = 0.0
    """ETH per compressed byte."""
    floor_bytes: int = 0
    """Bytes that a smaller transaction counts for."""
    per_gas: float = 0.0
    """ETH per gas, besides execution: the operator's."""
    per_transaction: float = 0.0
    """ETH: the operator's."""
    footprint: int = 0
    """Gas that a byte counts for when a block is filled and its base fee moves; 0 where data does not count."""

    @property
    def linear(self) -> bool:
        """Whether it is bytes times a price and nothing else."""
        return not (self.floor_bytes or self.per_gas or self.per_transaction)

    def weighs(self, size: int) -> int:
        """Bytes that a transaction's data count for."""
        return size if size > self.floor_bytes else self.floor_bytes

    def counts(self, size: int) -> int:
        """The footprint of a transaction's data, gas."""
        return self.footprint * self.weighs(size)

    def of(self, size: int, gas: float) -> float:
        """What a transaction of that size (bytes) and gas pays, ETH."""
        return max(size, self.floor_bytes) * self.per_byte + gas * self.per_gas + self.per_transaction


NO_CHARGE = Charge()


class BatchReport(NamedTuple):
    """What the rollup learns of a batch once L1 will not undo it."""

    posted: int
    """Unix time (s) of the block of L1 that it is in."""
    now: int
    """Unix time (s) at which the rollup learns of it."""
    spent: int
    """What it cost its poster on L1, wei."""
    l1_base_fee: int
    """Wei per gas, now."""


class DataFee(Part, room="data_fees"):
    """A rule for what users pay besides execution."""

    every: ClassVar[int] = 0
    """Time (ns) between two looks at L1's fees that its state keeps; 0 where it keeps none."""
    learns: ClassVar[bool] = False
    """Whether its state depends on what transactions brought in and on what batches cost."""

    def genesis(self, l1_base_fee: int, l1_blob_fee: int) -> DataFeeState:
        """The state before the first block, with L1's fees at that time (wei)."""
        return ()

    def sample(self, state: DataFeeState, l1_base_fee: int, l1_blob_fee: int) -> DataFeeState:
        """The state after a look at L1's fees."""
        return state

    def used(self, state: DataFeeState, size: int) -> DataFeeState:
        """The state after a block whose transactions take so many compressed bytes and have paid for them."""
        return state

    def next(self, state: DataFeeState, report: BatchReport) -> DataFeeState:
        """The state after a report of a batch."""
        return state

    def accounts(self, state: DataFeeState) -> tuple[float, float]:
        """What users paid in that nobody has been paid yet, and that less what is owed, ETH; for rules that learn."""
        return 0.0, 0.0

    @abstractmethod
    def charge(self, state: DataFeeState, l1_base_fee: int, l1_blob_fee: int, timestamp: int) -> Charge:
        """What transactions of a block pay, at L1's fees (wei per gas, wei per blob gas) and unix time (s)."""

    @classmethod
    def _shorthand(cls, value: Any) -> dict[str, Any] | None:
        return {"kind": "scalar", "scalar": value} if isinstance(value, str | int | float) else None
