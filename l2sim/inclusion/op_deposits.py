"""Deposits of the OP Stack."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.inclusion import ForcedInclusion, Memory, Wait
from l2sim.units import GWEI, MINUTE, Duration, Positive, Wei


class OpDeposits(ForcedInclusion):
    """A deposit sent on L1 is in the first block whose L1 origin has it; the sequencer decides only how far its origin lags.

    Holding the origin back leaves it the sequencer drift: a block later than its origin by more may hold deposits only. After the
    sequencing window, blocks are derived from L1 alone, with the deposits, whether the sequencer is up or not. (OP specifications,
    protocol/derivation; OP Mainnet's values: superchain-registry, 2026-08.)
    """

    prepaid = True

    window: Annotated[int, Field(ge=1)] = 3600
    """Sequencing window, L1 blocks (OP Mainnet: 12 h)."""
    drift: Annotated[Duration, Positive] = 30 * MINUTE
    """Sequencer drift: how far a block with users' transactions may be ahead of its L1 origin (OP Stack since Fjord: 1800 s)."""
    confirmations: Annotated[int, Field(ge=0)] = 4
    """L1 blocks by which an honest sequencer's origin lags (op-node's default of sequencer.l1-confs)."""
    deposit_base_fee: Annotated[Wei, Positive] = GWEI
    """Price of a deposit's gas on the rollup, wei per gas, burned as gas on L1 (OP Stack ResourceMetering: at least 1 gwei; that it
    stays there is assumed)."""

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        if self.confirmations >= self.window:
            raise PydanticCustomError(
                "confirmations",
                "a sequencer that waits for {confirmations} confirmations is later than the window of {window} blocks, after which "
                "deposits are included without it: lower 'confirmations', or raise 'window'",
                {"confirmations": self.confirmations, "window": self.window},
            )
        return self

    def price(self, pending: int, l2_gas: int, base_fee: int) -> tuple[int, int]:
        return max(self.gas, l2_gas * self.deposit_base_fee // max(base_fee, GWEI)), 0

    def usual(self) -> Wait:
        return Wait(self.confirmations)

    def bars(self) -> Wait:
        return Wait(-1, self.drift)  # the origin is held at the L1 block before the deposit's

    def due(self, block: int, memory: Memory) -> Wait:
        return Wait(self.window)
