"""Taiko's queue of forced inclusions."""

from typing import Annotated

from pydantic import Field

from l2sim.inclusion import ForcedInclusion, Memory, Wait
from l2sim.units import ETH, SECOND, Duration, Positive, Wei


class InclusionQueue(ForcedInclusion):
    """A transaction waits in a queue on L1, for a fee; once it is older than the delay, every proposal has to take it.

    A proposer who does not want it can only propose nothing. After a multiple of the delay anybody may propose. (Taiko Mainnet,
    taiko-mono MainnetInbox.sol, 2026-08.)
    """

    called = True

    delay: Annotated[Duration, Positive] = 576 * SECOND
    """Age at which a proposal without it is invalid (Taiko: 576 s, one and a half epochs); an honest proposer takes it then."""
    multiplier: Annotated[int, Field(ge=1)] = 160
    """Delays after which proposing is open to everybody (Taiko: 160, 25.6 h)."""
    fee: Wei = ETH // 1000
    """Fee of a transaction while the queue is empty (Taiko: 0.001 ETH); who proposes it gets it."""
    doubles_at: Annotated[int, Field(ge=1)] = 50
    """Transactions in the queue at which the fee is twice that; it grows in proportion (Taiko: 50)."""

    def price(self, pending: int, l2_gas: int, base_fee: int) -> tuple[int, int]:
        return self.gas, self.fee * (self.doubles_at + pending) // self.doubles_at

    def usual(self) -> Wait:
        return Wait(0, self.delay)

    def bars(self) -> Wait:
        return Wait(0, self.delay)

    def due(self, block: int, memory: Memory) -> Wait:
        return Wait(0, self.delay * self.multiplier)
