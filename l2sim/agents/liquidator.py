"""A liquidator of a perpetual."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from l2sim.agents import Agent, Waiting, hold
from l2sim.part import MarketName
from l2sim.transactions import Status
from l2sim.units import ETH, SECOND, Duration, Fraction, NotNegative, Positive, Share, Usd, Wei
from l2sim.world.seat import Seat

if TYPE_CHECKING:
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
        if profit > least:
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

    market: MarketName
    """The perpetual."""
    capital: Annotated[Usd, NotNegative] = 2e6
    """US dollars that it brings to the chain, as margin for what it has to hold."""
    outside_capital: Annotated[Usd, NotNegative] = 2e6
    """US dollars that it holds outside."""
    minimum_profit: Annotated[Usd, NotNegative] = 1.0
    """Profit after the fee below which it leaves a position alone."""
    overlap: Annotated[Fraction, Share] = 1.0
    """Chance that it goes for a position that it sees at a look; less than 1 when liquidators avoid each other."""
    at_once: Annotated[int, Field(ge=1)] = 200
    """Most positions that it takes on at one look."""
    patience: Annotated[Duration, Positive] = 10 * SECOND
    """How long a transaction may wait for a block before it is dropped and the position is tried again."""
    attention: Annotated[Duration, Positive] = 10 * SECOND
    """How often it looks again at positions that did not pay."""
    tip: Wei = 0
    """Priority fee, wei per gas."""
    gas: Wei = 10 * ETH
    """Ether that it brings for fees."""

    def arrive(self, me: Seat) -> None:
        chain = me.chain_of(self.market)
        me.endow(chain, "usd", self.capital)
        me.endow(chain, me.gas_token, self.gas / ETH)
        me.endow(me.venue(), "usd", self.outside_capital)

    def run(self, me: Seat) -> Waiting:
        chain, price, own = me.chain_of(self.market), me.underlying(self.market), me.accounts[0]
        view = me.view(self.market)
        liquidate = list(view.terms.actions).index("liquidate")
        pending: dict[int, int] = {}
        dull: dict[int, int] = {}
        me.failures()
        news = me.news(self.market)
        while True:
            kept = view.position(own).size
            if pending or kept:
                yield me.any(news, me.block(chain))
            else:
                yield me.any(news, me.sleep(self.attention)) if dull else news
            if news.triggered:
                news = me.news(self.market)
            for _, _, action, victim in me.failures():
                pending.pop(int(victim) if action == liquidate else own, None)
            pending = {account: until for account, until in pending.items() if until >= me.now and view.position(account).size}
            kept = view.position(own).size
            hold(me, price, -kept)
            if kept and own not in pending and me.quote(self.market, "open", -kept, 1.0)[0] == Status.SUCCEEDED:
                me.submit(self.market, "close", 1.0, tip=self.tip, deadline=me.now + self.patience)
                pending[own] = me.now + self.patience
            dull = {account: until for account, until in dull.items() if until > me.now}
            seen = view.liquidatable(self.at_once, {**pending, **dull, own: 0})
            if self.overlap < 1.0:
                luck = me.rng("overlap", me.height(chain)).random(len(seen))
                seen = [position for position, u in zip(seen, luck, strict=True) if u < self.overlap]
            terms, fee = view.terms, me.fee(self.market, "liquidate", self.tip)
            capital = me.balance(chain, "usd")
            chosen = choose(seen, view.mark, terms.liquidation_discount, terms.initial_margin, fee, self.minimum_profit, capital)
            self._go_for(me, chosen)
            pending |= dict.fromkeys(chosen, me.now + self.patience)
            dull |= {position.account: me.now + self.attention for position in seen if position.account not in pending}

    def _go_for(self, me: Seat, chosen: list[int]) -> None:
        """Send a liquidation for each; its luck is that of the account and the block it follows."""
        accounts = np.array(chosen, np.int64)
        me.submit_rows(
            self.market,
            "liquidate",
            submitted=np.full(len(chosen), me.now),
            accounts=np.full(len(chosen), me.accounts[0]),
            decisions=(me.height(me.chain_of(self.market)) << 32) + accounts,
            a=accounts.astype(np.float64),
            tip=self.tip,
            deadline=me.now + self.patience,
        )
