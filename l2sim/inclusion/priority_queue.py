"""ZKsync's priority queue."""

from typing import Annotated

from pydantic import Field

from l2sim.inclusion import ForcedInclusion, Memory, Wait
from l2sim.units import Duration, Positive


class PriorityQueue(ForcedInclusion):
    """Transactions sent on L1 are taken in order, but nothing says until when (ZKsync Era: PRIORITY_EXPIRATION is 0 days).

    With an ``expiration`` anybody may switch the chain to the priority mode of newer contracts once a transaction has waited so
    long: from then on it takes transactions from L1 only, whoever proves them. (matter-labs/era-contracts, Config.sol and
    PriorityModeExecutor; that ZKsync Era has activated it is not known.)
    """

    called = True
    closes = True

    expiration: Annotated[Duration, Positive] | None = None
    """How long a transaction waits before anybody may switch to the priority mode; without it, for ever."""
    confirmations: Annotated[int, Field(ge=0)] = 10
    """L1 blocks after which an honest operator takes it (assumed)."""

    def usual(self) -> Wait:
        return Wait(self.confirmations)

    def due(self, block: int, memory: Memory) -> Wait | None:
        return None if self.expiration is None else Wait(0, self.expiration)
