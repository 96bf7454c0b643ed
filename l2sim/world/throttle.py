"""Throttling by data: what a rollup's sequencer leaves out of its blocks while its batches do not get through to L1.

Sources: optimism op-batcher/flags/throttle_flags.go and op-batcher/batcher/throttler (quadratic_strategy.go @ 6411f627, controller.go,
controller_test.go), 2025; op-geth miner/worker.go and ``miner_setMaxDASize``; all read 2026.
"""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from l2sim.part import Part
from l2sim.transactions import NEVER
from l2sim.units import Bytes, Positive


class DataLimit(NamedTuple):
    """Bytes of data, as they are estimated for fees, that fit into a block, and those of the largest transaction in it."""

    block: int = NEVER
    transaction: int = NEVER

    def room(self, gas: int, footprint: int) -> int:
        """Bytes in a block in which a byte counts for ``footprint`` of so much gas besides."""
        return min(self.block, gas // footprint) if footprint else self.block


NO_LIMIT = DataLimit()


class DataThrottle(Part):
    """Limits of the data in a block and in a transaction, which are the lower the more bytes no batch on L1 holds.

    Batchers of the OP Stack ask their sequencers for this since 2024, and for what is gradual since v1.15 of 2025; the values are the
    defaults of November 2025. The experimental controller that remembers (PID) is left out.
    """

    controller: Literal["step", "linear", "quadratic"] = "quadratic"
    """How the intensity grows from 0 at ``begins`` to 1 at ``full``; ``step`` is at 1 beyond ``begins``."""
    begins: Bytes = 3_200_000
    """Unposted bytes beyond which it is throttled (unsafe-da-bytes-lower-threshold)."""
    full: Bytes = 12_800_000
    """Unposted bytes at which the intensity is 1 (unsafe-da-bytes-upper-threshold)."""
    block: Annotated[Bytes, Positive] = 130_000
    """Bytes of data in a block at intensity 0, and where nothing is throttled (block-size-upper-limit)."""
    least_block: Annotated[Bytes, Positive] = 2_000
    """And at intensity 1 (block-size-lower-limit)."""
    transaction: Annotated[Bytes, Positive] = 20_000
    """Bytes of data of a transaction at an intensity just above 0 (tx-size-upper-limit); where nothing is throttled, all that a
    block takes."""
    least_transaction: Annotated[Bytes, Positive] = 150
    """And at intensity 1 (tx-size-lower-limit)."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (("begins", "full"), ("least_block", "block"), ("least_transaction", "transaction")):
            if getattr(self, low) > getattr(self, high) or (low == "begins" and self.begins == self.full):
                raise PydanticCustomError("range", "'{low}' must be below '{high}'", {"low": low, "high": high})
        return self

    def intensity(self, unposted: int) -> float:
        """How much is throttled while so many bytes are in no batch on L1, from 0 to 1."""
        if unposted <= self.begins:
            return 0.0
        if self.controller == "step" or unposted >= self.full:
            return 1.0
        part = (unposted - self.begins) / (self.full - self.begins)
        return part if self.controller == "linear" else part * part

    def limit(self, unposted: int) -> DataLimit:
        """What the next block may hold while so many bytes are in no batch on L1."""
        intensity = self.intensity(unposted)
        if not intensity:
            return DataLimit(self.block, self.block)
        block = self.block - int(intensity * (self.block - self.least_block))
        transaction = self.transaction - int(intensity * (self.transaction - self.least_transaction))
        return DataLimit(block, min(block, transaction))
