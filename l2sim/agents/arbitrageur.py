"""An arbitrageur between a pool and the outside."""

from math import sqrt
from typing import Annotated, NamedTuple

from l2sim.agents import Agent, Waiting
from l2sim.part import Refers
from l2sim.transactions import NEVER, Status
from l2sim.units import ETH, Duration, Fraction, NotNegative, Share, Usd, Wei
from l2sim.world.seat import Seat

ROUNDING = 1e-12
"""Relative; the pool multiplies in another order than the arbitrageur divides."""


class Plan(NamedTuple):
    """A trade with a pool whose result is traded back outside."""

    action: str
    """``buy`` pays US dollars into the pool, ``sell`` the base asset."""
    paid: float
    """What goes in."""
    got: float
    """What comes out."""
    profit: float
    """US dollars, before fees of the chain."""


def best_input(price: float, paid_reserve: float, got_reserve: float, fee: float) -> float:
    """The input that earns most when each unit of the output is worth ``price`` units of the input; 0 where none earns.

    ``(sqrt(φ p x y) - y) / φ`` with φ = 1 - fee, the maximum of ``p x φ d / (y + φ d) - d`` over d (Angeris et al. 2019,
    "An analysis of Uniswap markets").
    """
    phi = 1.0 - fee
    return max(0.0, (sqrt(phi * price * got_reserve * paid_reserve) - paid_reserve) / phi)


def plan(base: float, quote: float, fee: float, price: float, dollars: float, units: float, cost: float = 0.0) -> Plan:
    """The better of buying from the pool and selling to it.

    Args:
        base: the pool's reserve of the base asset.
        quote: its reserve of US dollars.
        fee: share of the input that it keeps.
        price: of a unit outside, US dollars.
        dollars: most that may be paid in US dollars.
        units: most that may be paid in the base asset.
        cost: what trading back costs, relative to the price.
    """

    def out(paid: float, paid_reserve: float, got_reserve: float) -> float:
        return got_reserve * (1.0 - fee) * paid / (paid_reserve + (1.0 - fee) * paid)

    bid, ask = price * (1.0 - cost), price * (1.0 + cost)
    paid = min(best_input(bid, quote, base, fee), max(dollars, 0.0))
    if paid:
        got = out(paid, quote, base)
        return Plan("buy", paid, got, got * bid - paid)
    paid = min(best_input(1.0 / ask, base, quote, fee), max(units, 0.0))
    got = out(paid, base, quote)
    return Plan("sell", paid, got, got - paid * ask)


class Arbitrageur(Agent):
    """Trades a pool back to the outside price whenever that pays, and undoes the trade outside once it is in a block.

    It decides on the state after each block, has one transaction in flight at a time, and ignores its own impact outside.
    """

    market: Annotated[str, Refers("markets", offers=("buy", "sell"))]
    """The pool."""
    capital: Annotated[Usd, NotNegative] = 1e6
    """US dollars that it brings to the chain, and again the base asset for as much."""
    minimum_profit: Annotated[Usd, NotNegative] = 0.0
    """Profit, fees of the chain deducted, below which it does nothing."""
    hedge_cost: Annotated[Fraction, Share] = 0.0
    """What it reckons trading outside costs it, relative to the price."""
    slippage: Annotated[Fraction, Share] = 0.0
    """How much worse than planned the pool's price may be."""
    tip: Wei = 0
    """Priority fee, wei per gas."""
    deadline: Duration | None = None
    """How long a transaction may wait for a block; without one, for as long as it takes."""
    gas: Wei = 10 * ETH
    """Ether that it brings for fees."""

    def arrive(self, me: Seat) -> None:
        chain, base = me.chain_of(self.market), me.rules(self.market).base
        me.endow(chain, "usd", self.capital)
        me.endow(chain, base, self.capital / me.price(base))
        me.endow(chain, me.gas_token, self.gas / ETH)

    def run(self, me: Seat) -> Waiting:
        chain, base = me.chain_of(self.market), me.rules(self.market).base
        while True:
            yield me.block(chain)
            pool = me.view(self.market)
            units = me.balance(chain, base)
            best = plan(pool.base, pool.quote, pool.fee, me.price(base), me.balance(chain, "usd"), units, self.hedge_cost)
            if best.profit <= self.minimum_profit + me.fee(self.market, best.action, self.tip):
                continue
            worst = best.paid / best.got if best.action == "buy" else best.got / best.paid
            ticket = me.submit(
                self.market,
                best.action,
                best.paid,
                slippage=self.slippage + ROUNDING,
                reference=worst,
                tip=self.tip,
                deadline=NEVER if self.deadline is None else me.now + self.deadline,
                wait=True,
            )
            receipt = yield me.receipt(ticket)
            if receipt.status == Status.SUCCEEDED:
                me.trade(base, -receipt.y if best.action == "buy" else receipt.x)
