"""Calling: how an agent's calls reach contracts on L1, and which contracts it finds there."""

from collections.abc import Callable, Generator
from typing import Any

from simpy.events import Event

from l2sim.streams import mix
from l2sim.transactions import ANY_FEE
from l2sim.world.docket import TIP, Docket, Gate
from l2sim.world.mail import BlobTransaction
from l2sim.world.rollup import LiveRollup
from l2sim.world.sending import Sender


class Caller(Sender):
    """The part of a seat that deals with contracts on L1."""

    credit = False
    """Whether its account may go into debt for a bond."""

    def post(
        self, l1: str, gas: int, call: Callable[[float], Any] = lambda cost: None, *, tip: int = TIP, cap: int = ANY_FEE,
        account: int | None = None,
    ) -> Event:  # fmt: skip
        """Send a transaction to an L1, where it is included in the order of priority fees; the event's value is Posted.

        Args:
            l1: the chain.
            gas: what it uses.
            call: what it does there when it is included, told what it cost (ETH); its answer is in Posted.
            tip: priority fee, wei per gas.
            cap: most it pays, wei per gas.
            account: which of its accounts pays, by default the first.
        """
        chain = self._world.l1(l1)
        submitted, luck = self._letter()
        arrives = submitted + self._world.network.delay(self._key, self._region, chain.region, luck, self._world.regime(chain))
        included, tie = Event(self._world.clock), mix(self._key, luck)
        own = self._own(account)
        chain.stirred()
        chain.blob_transactions.append(BlobTransaction(arrives, tie, submitted, own, 0, gas, tip, cap, ANY_FEE, included, call))
        return included

    def start(self, life: Generator[Event, Any, None]) -> None:
        """Do something else at the same time: a generator like ``run``."""
        self._world.start(life, self.name)

    def luck(self, purpose: str, index: int) -> float:
        """A uniform number of its own for a purpose and an index: the same pair, the same number, whenever it is asked."""
        return mix(self._world.streams.key(f"agents/{self.name}/{purpose}"), index) / 2.0**64

    def settlement(self, chain: str) -> Docket:
        """The assertions about a rollup.

        Raises:
            ValueError: it has no settlement.
        """
        live = self._world.chains[chain]
        if not isinstance(live, LiveRollup) or live.rules.settlement is None:
            raise ValueError(f"'{chain}' has no settlement, so nothing is asserted about it")
        return Docket(live.assertions, self)

    def bridge(self, market: str) -> Gate:
        """The L1 end of a bridge.

        Raises:
            ValueError: the market is no bridge.
        """
        live = self._world.home[market]
        if not isinstance(live, LiveRollup) or market not in live.bridges:
            raise ValueError(f"'{market}' is no bridge")
        return Gate(live.bridges[market], self)
