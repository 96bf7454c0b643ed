"""A liquidator of a perpetual."""

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from math import copysign
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from l2sim.agents import Agent, Waiting, hold
from l2sim.agents.rebalancer import Rebalancer
from l2sim.part import Refers
from l2sim.transactions import Status
from l2sim.units import ETH, SECOND, Duration, Fraction, NotNegative, Positive, Share, Usd, Wei
from l2sim.world.seat import Seat

if TYPE_CHECKING:
    from simpy.events import Event

    from l2sim.markets.perpetual.view import Liquidatable


def choose(
    seen: "Sequence[Liquidatable]", price: float, discount: float, margin: float, fee: float, least: float, capital: float
) -> list[int]:
    """The accounts worth liquidating, most profitable first, as far as capital goes.

    A liquidator gains by selling a position on; what no maker takes it keeps, bought at ``discount`` from ``price`` with
    initial margin ``margin`` of its notional. ``fee`` is what a transaction costs and ``least`` the smallest profit, in USD.
    """
    offers = []
    for position in seen:
        kept = abs(position.kept) * price
        profit = position.reward + discount * kept - fee
        if profit >= least:
            offers.append((-profit, position.account, max(0.0, margin * kept - position.reward)))
    chosen = []
    for _, account, needed in sorted(offers):
        if needed <= capital:
            capital -= needed
            chosen.append(account)
    return chosen


class Liquidator(Agent):
    """Looks for positions to liquidate after each block that leaves some, and goes for those that pay.

    What makers do not take off it, it holds, hedged outside, until they do. Several liquidators race: one wins, the others'
    transactions revert and cost gas.
    """

    market: Annotated[str, Refers("markets", offers=("liquidate", "close"))]
    """The perpetual."""
    capital: Annotated[Usd, NotNegative] = 2e6
    """US dollars that it brings to the chain, as margin for what it has to hold."""
    outside_capital: Annotated[Usd, NotNegative] = 2e6
    """US dollars that it holds outside."""
    minimum_profit: Annotated[Usd, NotNegative] = 0.0
    """Profit after the fee below which it leaves a position alone."""
    overlap: Annotated[Fraction, Share] = 1.0
    """Chance that it goes for a position that it sees at a look; less than 1 when liquidators avoid each other."""
    in_flight: Annotated[int, Field(ge=1)] = 100
    """Most liquidations that it has on the way at once."""
    patience: Annotated[Duration, Positive] = 10 * SECOND
    """How long a transaction may wait for a block before it is dropped; two usual blocks of the chain at least."""
    attention: Annotated[Duration, Positive] = 10 * SECOND
    """How often it looks again at positions that did not pay."""
    tip: Wei = 0
    """Priority fee, wei per gas."""
    gas: Wei = 10 * ETH
    """Ether that it brings for fees."""
    rebalance: dict[str, Rebalancer] = {}
    """How it moves its money between the chain and the venue outside; without it, what is on one side stays there."""

    def arrive(self, me: Seat) -> None:
        chain = me.chain_of(self.market)
        me.endow(chain, "usd", self.capital)
        me.endow(chain, me.gas_token, self.gas / ETH)
        me.endow(me.venue(), "usd", self.outside_capital)
        for _, one in sorted(self.rebalance.items()):
            one.equip(me)

    def run(self, me: Seat) -> Waiting:
        chain, price, own = me.chain_of(self.market), me.underlying(self.market), me.accounts[0]
        view = me.view(self.market)
        liquidate = list(view.terms.actions).index("liquidate")
        fresh: deque[int] = deque()
        """Accounts to look at, the longest overdue first."""
        dull: list[tuple[int, int]] = []
        """A heap of accounts that did not pay, with the time to look again."""
        pending: dict[int, int] = {}
        """Accounts with a liquidation on the way, and until when."""
        closing: Event | None = None
        known = 0
        me.failures()
        for _, one in sorted(self.rebalance.items()):
            me.start(one.move(me, {}, (price,)))
        news = me.news(self.market)
        while True:
            if fresh or pending:
                yield me.any(news, me.block(chain))
            else:
                yield me.any(news, me.sleep(self.attention)) if dull or view.position(own).size else news
            if news.triggered:
                news = me.news(self.market)
            came = view.come_up(known)
            known += len(came)
            fresh.extend(came)
            for _, _, action, victim, _ in me.failures():
                if action == liquidate and pending.pop(int(victim), None) is not None:
                    fresh.append(int(victim))
            fresh.extend(account for account, until in pending.items() if until < me.now)
            pending = {account: until for account, until in pending.items() if until >= me.now and view.position(account).size}
            if closing is None or closing.triggered:
                closing = self._unwind(me, own)
            hold(me, price, -view.position(own).size)
            room = self.in_flight - len(pending)
            while dull and dull[0][0] <= me.now and len(fresh) < room:
                fresh.append(heappop(dull)[1])
            look = dict.fromkeys(fresh.popleft() for _ in range(min(room, len(fresh))))
            seen = view.offers(account for account in look if account != own and account not in pending)
            if self.overlap < 1.0:
                luck = me.rng("overlap", me.height(chain)).random(len(seen)).tolist()
                for position, u in zip(seen, luck, strict=True):
                    if u >= self.overlap:
                        heappush(dull, (me.now + me.block_interval(chain), position.account))
                seen = [position for position, u in zip(seen, luck, strict=True) if u < self.overlap]
            terms, fee, capital = view.terms, me.fee(self.market, "liquidate", self.tip), me.balance(chain, "usd")
            chosen = choose(seen, view.mark, terms.liquidation_discount, terms.initial_margin, fee, self.minimum_profit, capital)
            chosen = chosen[: self._affordable(me, chain, fee, len(pending))]
            self._go_for(me, chosen)
            pending |= dict.fromkeys(chosen, me.within(self.market, self.patience))
            for position in seen:
                if position.account not in pending:
                    heappush(dull, (me.now + self.attention, position.account))

    def _unwind(self, me: Seat, own: int) -> "Event | None":
        """Close what makers take of what it had to keep; the receipt to wait for."""
        view = me.view(self.market)
        kept = view.position(own).size
        taken = min(abs(kept), sum(quote.bid_size if kept > 0 else quote.ask_size for quote in view.quotes))
        if not taken or me.quote(self.market, "open", -copysign(taken, kept), 1.0)[0] != Status.SUCCEEDED:
            return None
        ticket = me.submit(self.market, "close", taken / abs(kept), tip=self.tip, deadline=me.within(self.market, self.patience), wait=True)
        return me.receipt(ticket)

    def _affordable(self, me: Seat, chain: str, fee: float, waiting: int) -> int:
        """How many more liquidations its ether pays at that fee (USD), besides those on the way."""
        if fee <= 0.0:
            return self.in_flight
        ether = me.charges(chain)[2]
        return max(0, int(me.balance(chain, me.gas_token) * ether / fee) - waiting)

    def _go_for(self, me: Seat, chosen: list[int]) -> None:
        """Send a liquidation for each; its luck is that of the account and the block it follows."""
        accounts = np.array(chosen, np.int64)
        me.submit_rows(
            self.market,
            "liquidate",
            submitted=np.full(len(chosen), me.now),
            accounts=np.full(len(chosen), me.accounts[0]),
            decisions=(me.height(me.chain_of(self.market)) << 32) + me.identities(accounts),
            a=accounts.astype(np.float64),
            tip=self.tip,
            deadline=me.within(self.market, self.patience),
        )
