"""Calling: how an agent's calls reach contracts on L1, and which contracts it finds there."""

from collections.abc import Callable, Generator
from math import inf
from typing import Any

from simpy.events import Event

from l2sim.streams import mix
from l2sim.transactions import ANY_FEE
from l2sim.world.docket import TIP, Docket
from l2sim.world.forced import LiveForced
from l2sim.world.gate import Gate
from l2sim.world.hatch import Hatch
from l2sim.world.mail import BlobTransaction
from l2sim.world.rollup import LiveRollup
from l2sim.world.sending import WITHIN, Sender


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

    def forcible(self, market: str) -> bool:
        """Whether transactions reach a market through L1."""
        forced = self._world.home[market].forced
        return forced is not None and forced.rules.queues

    def settles_on(self, market: str) -> str:
        """The name of the L1 through which transactions reach a market by force.

        Raises:
            ValueError: there is no such way.
        """
        return self._forced(market).l1.name

    def force(
        self, market: str, action: str, *fields: float, slippage: float = inf, tip: int = TIP, account: int | None = None,
        wait: bool = False,
    ) -> int:  # fmt: skip
        """Send a transaction to a rollup through its L1, and have it forced once the rollup's rule says so.

        It pays gas on L1, and what the rule says besides. Returns a ticket for ``receipt`` where it waits for one, else 0.

        Raises:
            ValueError: the rollup takes nothing from L1, or the action is no transaction by itself.
        """
        forced = self._forced(market)
        if action in forced.chain.markets[forced.chain.codes[market]].within:
            raise ValueError(WITHIN.format(action, market))
        a, b, c = (*map(float, fields), 0.0, 0.0, 0.0)[:3]
        ticket = (self._key % 2**32 << 24) + self._sent + 1 if wait else 0
        forced.send(self, market, action, (a, b, c), slippage, account, tip, ticket)
        return ticket

    def escape(self, bridge: str, *, account: int | None = None, tip: int = TIP) -> Event:
        """Take out of a bridge, on L1, what the last final state says it owns on a rollup whose operator is gone.

        The event's value is Posted, its answer whether it was paid: the rollup's rule must have expired.

        Raises:
            ValueError: the market is no bridge, or the rollup has no escape hatch.
        """
        hatch, own = self._hatch(bridge), self._own(account)
        return self.post(hatch.l1.name, hatch.gas, lambda cost: hatch.pay(bridge, own, cost), tip=tip, account=account)

    def escapes(self, bridge: str) -> int | None:
        """When anybody may stop a bridge's rollup and take out what is theirs, if L1 sees no more of it until then (ns).

        None where that takes a request through L1 that is not served, and there is none.
        """
        return self._hatch(bridge).opens()

    def seen_on_l1(self, bridge: str) -> int:
        """When L1 last saw something of a bridge's rollup, an assertion that stands or one that became final (ns)."""
        return self._hatch(bridge).silent()

    def _hatch(self, bridge: str) -> Hatch:
        forced = self._forced(bridge)
        if forced.rules.escape_after is None or bridge not in forced.chain.bridges:
            raise ValueError(f"nothing escapes through '{bridge}': it must be a bridge, and its rollup must say 'escape_after'")
        return forced.hatch

    def _forced(self, market: str) -> LiveForced:
        chain = self._world.home[market]
        if not isinstance(chain, LiveRollup) or chain.forced is None:
            raise ValueError(f"nothing reaches '{chain.name}' through L1: give it 'forced_inclusion'")
        return chain.forced

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
        return Gate(live.bridges[market], self)  # type: ignore[arg-type]  # every caller is a seat

    def remit(self, l1: str, asset: str, amount: float, account: int | None = None) -> None:
        """Move units from the venue outside to its account on an L1, or back (amount < 0), at once: how long that takes is its own matter.

        Raises:
            ValueError: the scenario has no venue outside, or the account on L1 holds less than is to come back.
        """
        chain, own = self._world.l1(l1), self._own(account)
        if not self._world.venues:
            raise ValueError("this agent moves money outside, but the scenario has no chain of kind 'outside'")
        if self._world.ledger.column(l1, asset)[own] < -amount:
            raise ValueError(f"it takes {-amount!r} {asset} from '{l1}', where it holds less")
        next(iter(self._world.venues.values())).carry(chain, asset, amount, own)
