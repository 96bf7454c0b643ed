"""A market maker of a perpetual."""

from collections.abc import Mapping
from math import sqrt
from typing import Annotated, ClassVar, NamedTuple

from l2sim.agents import Agent, Waiting, hold
from l2sim.agents.rebalancer import Rebalancer
from l2sim.part import Refers
from l2sim.units import ETH, SECOND, YEAR, Duration, Fraction, NotNegative, Positive, Share, Usd, Wei
from l2sim.world.seat import Seat


class Terms(NamedTuple):
    """What a maker wants to quote, in the fields of the market's action."""

    half_spread: float
    """As a share of the mark."""
    size: float
    """Units on each side."""
    offset: float
    """How far both quotes are moved, as a share of the mark."""

    def differ(self, old: "Terms", share: float) -> bool:
        """Whether the quotes in force are off by more than a share of the half spread, or must end or begin."""
        off = max(abs(self.half_spread - old.half_spread), abs(self.offset - old.offset))
        return off > share * old.half_spread or (self.size > 0) != (old.size > 0)


def half_spread(base: float, coefficient: float, volatility: float, horizon: int, cost: float, notional: float) -> float:
    """Base, plus a multiple of one standard deviation of the price over the horizon (ns), plus fees spread over the size; below 1."""
    return min(base + coefficient * volatility * sqrt(horizon / YEAR) + cost / notional, 0.99)


class MarketMaker(Agent):
    """Faces takers of a perpetual at quotes around the mark, and trades what it takes over back outside.

    Its quotes widen with volatility and with the age of the index, because an old index is a free option for takers, and by
    what a renewal costs. It hedges after each block in which its inventory changed, renews quotes that are off or used up,
    one transaction at a time, and withdraws for good when it has lost too much.
    """

    stage: ClassVar[int] = 1

    market: Annotated[str, Refers("markets", offers=("deposit", "quote"))]
    """The perpetual."""
    capital: Annotated[Usd, NotNegative] = 20e6
    """US dollars that it deposits as margin on the chain."""
    outside_capital: Annotated[Usd, NotNegative] = 20e6
    """US dollars that it holds outside."""
    depth: Annotated[Usd, Positive] = 5e6
    """What it offers on each side, US dollars at the mark."""
    base_spread: Annotated[Fraction, Share] = 0.0002
    """Half spread in a calm market with a fresh index (assumed)."""
    volatility_spread: Annotated[float, NotNegative] = 0.5
    """Standard deviations of the price, over the age of the index and one block, that the half spread grows by (assumed)."""
    skew: Annotated[Fraction, Share] = 0.0
    """How far quotes are moved against the inventory when that has grown by the full ``depth`` since the start."""
    requote: Annotated[Fraction, NotNegative] = 0.2
    """How far quotes may be off, as a share of the half spread, before it renews them."""
    refill: Annotated[Fraction, Share] = 0.25
    """Share of a side that takers may use up before it renews the quotes."""
    hedge_ratio: Annotated[Fraction, Share] = 1.0
    """Share of its inventory that it holds against it outside."""
    hedge_threshold: Annotated[Usd, NotNegative] = 0.0
    """What the hedge may be off, US dollars, before it trades outside."""
    loss_limit: Annotated[Usd, NotNegative] | None = None
    """Loss on chain and outside together at which it quotes no more; without one it stays."""
    attention: Duration = 1 * SECOND
    """How often it looks; 0 looks after each block."""
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
        me.adopt(self.market)
        me.endow(me.venue(), "usd", self.outside_capital)
        me.carry(me.underlying(self.market), -self.hedge_ratio * self._inventory(me))
        for _, one in sorted(self.rebalance.items()):
            one.equip(me)

    def run(self, me: Seat) -> Waiting:
        chain, price = me.chain_of(self.market), me.underlying(self.market)
        if self.capital:
            me.submit(self.market, "deposit", self.capital)
        away: dict[str, float] = {}
        for _, one in sorted(self.rebalance.items()):
            me.start(one.move(me, away, (price,)))
        worth, inventory = self._worth(me, away), self._inventory(me)
        terms, sent = Terms(0.0, 0.0, 0.0), None
        left = False
        while True:
            left = left or (self.loss_limit is not None and worth - self._worth(me, away) > self.loss_limit)
            wanted = Terms(0.0, 0.0, 0.0) if left else self._terms(me, chain, price, inventory)
            if (sent is None or sent.triggered) and (wanted.differ(terms, self.requote) or self._used_up(me, terms)):
                sent = me.receipt(me.submit(self.market, "quote", *wanted, tip=self.tip, wait=True))
                terms = wanted
            yield me.sleep(self.attention) if self.attention else me.block(chain)
            hold(me, price, -self.hedge_ratio * self._inventory(me), self.hedge_threshold)

    def _terms(self, me: Seat, chain: str, price: str, start: float) -> Terms:
        view = me.view(self.market)
        spread = self.base_spread
        if self.volatility_spread or spread:
            horizon = me.now - view.index_time + me.block_interval(chain)
            cost = me.fee(self.market, "quote", self.tip)
            spread = half_spread(spread, self.volatility_spread, me.volatility(price), horizon, cost, self.depth)
        size = self.depth / view.mark
        grown = (self._inventory(me) - start) / size if self.skew else 0.0
        return Terms(spread, size, -self.skew * min(max(grown, -1.0), 1.0))

    def _used_up(self, me: Seat, terms: Terms) -> bool:
        """Whether takers have used up too much of a side of the quotes in force."""
        quote = next((quote for quote in me.view(self.market).quotes if quote.account == me.accounts[0]), None)
        left = 0.0 if quote is None else min(quote.bid_size, quote.ask_size)
        return terms.size > 0 and left < (1.0 - self.refill) * terms.size

    def _inventory(self, me: Seat) -> float:
        return float(me.view(self.market).inventory(me.accounts[0]).size)

    def _worth(self, me: Seat, away: Mapping[str, float]) -> float:
        """Everything but gas, in US dollars: on the chain, in the market, outside, on the way."""
        price, venue = me.underlying(self.market), me.venue()
        outside = away.get("usd", 0.0) + me.balance(venue, "usd") + me.balance(venue, price) * me.price(price)
        return float(outside + me.balance(me.chain_of(self.market), "usd") + me.view(self.market).inventory(me.accounts[0]).equity)
