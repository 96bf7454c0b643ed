"""An arbitrageur between a pool and the outside."""

from collections.abc import Sequence
from math import sqrt
from typing import Annotated, Any, ClassVar, NamedTuple

from l2sim.agents import Agent, Waiting
from l2sim.kernels import Reflex
from l2sim.markets.constant_product import (
    BASE_PURSE,
    BASE_RESERVE,
    BUY,
    PAID_OUT,
    PHI,
    QUOTE_PURSE,
    QUOTE_RESERVE,
    SELL,
    Reserves,
)
from l2sim.part import Refers
from l2sim.transactions import NEVER, Receipt, Status
from l2sim.units import ETH, Duration, Fraction, NotNegative, Share, Usd, Wei
from l2sim.world.seat import Seat

ROUNDING = 1e-12
"""Relative; the pool multiplies in another order than the arbitrageur divides."""

SLOT, HEDGE_COST, SLIPPAGE, TIP, MINIMUM_PROFIT, BUY_GAS, SELL_GAS, BUY_SIZE, SELL_SIZE = range(9)
"""Settings of the reflex; gas and bytes are those of the pool's actions."""


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


def best_size(
    base: float, quote: float, fee: float, paid_out: int, price: float, dollars: float, units: float, cost: float
) -> float:  # fmt: skip
    """The trade that earns most: US dollars paid into the pool, or minus the units of the base asset paid in; 0 where none earns.

    A fee that is paid out in US dollars of what a seller gets is as good as a lower price of these dollars: with ``p`` the price
    outside, the maximum of ``φ y b / (x + b) - p b`` is ``b = sqrt(φ x y / p) - x``. The pool's price ends at φ p or p / φ, the
    edge of the band in which nothing pays. A purchase pays its fee of the input either way.
    """
    paid = min(best_input(price * (1.0 - cost), quote, base, fee), max(dollars, 0.0))
    if paid > 0.0:
        return paid
    ask = price * (1.0 + cost)
    paid = best_input(1.0 / ask, base, quote, fee) if paid_out == 0 else best_input((1.0 - fee) / ask, base, quote, 0.0)
    return -min(paid, max(units, 0.0))


def output(base: float, quote: float, fee: float, paid_out: int, size: float) -> float:
    """What the pool gives for a trade of a signed size."""
    phi = 1.0 - fee
    if size > 0.0:
        return base * phi * size / (quote + phi * size)
    if paid_out == 0:
        return quote * phi * -size / (base + phi * -size)
    return phi * (quote * -size / (base - size))


def plan(
    base: float, quote: float, fee: float, price: float, dollars: float, units: float, cost: float = 0.0, paid_out: bool = False
) -> Plan:  # fmt: skip
    """The better of buying from the pool and selling to it.

    Args:
        base: the pool's reserve of the base asset.
        quote: its reserve of US dollars.
        fee: share of a trade that is its fee.
        price: of a unit outside, US dollars.
        dollars: most that may be paid in US dollars.
        units: most that may be paid in the base asset.
        cost: what trading back costs, relative to the price.
        paid_out: whether the fee leaves the pool, in US dollars both ways; else it stays, as a share of the input.
    """
    size = best_size(base, quote, fee, int(paid_out), price, dollars, units, cost)
    got = output(base, quote, fee, int(paid_out), size)
    if size > 0.0:
        return Plan("buy", size, got, got * (price * (1.0 - cost)) - size)
    return Plan("sell", -size, got, got + size * (price * (1.0 + cost)))


def react(
    settings: Any, memory: Any, cells: Any, codes: Any, purses: Any, prices: Any, own: int, chain: Any, here: int,
    start: int, stop: int, market: Any, action: Any, a: Any, slippage: Any, reference: Any, tip: Any, intents: Any,
) -> int:  # fmt: skip
    """The reflex: the trade that earns most at the outside price of this instant, where that is more than it costs."""
    base, quote, fee, paid_out = cells[BASE_RESERVE], cells[QUOTE_RESERVE], 1.0 - cells[PHI], codes[PAID_OUT]
    price, cost = prices[int(settings[SLOT])], settings[HEDGE_COST]
    if cells[PHI] * price * (1.0 - cost) * base <= quote and cells[PHI] * quote <= price * (1.0 + cost) * base:
        return 0  # the pool's price is within the band in which nothing pays
    dollars, units = purses[codes[QUOTE_PURSE]][own], purses[codes[BASE_PURSE]][own]
    size = best_size(base, quote, fee, paid_out, price, dollars, units, cost)
    if size == 0.0:
        return 0
    got = output(base, quote, fee, paid_out, size)
    per_gas = chain[0] + settings[TIP] / ETH
    if size > 0.0:
        profit = got * (price * (1.0 - cost)) - size
        charge = settings[BUY_GAS] * per_gas + max(settings[BUY_SIZE], chain[5]) * chain[1] + chain[6]
    else:
        profit = got + size * (price * (1.0 + cost))
        charge = settings[SELL_GAS] * per_gas + max(settings[SELL_SIZE], chain[5]) * chain[1] + chain[6]
    if profit <= settings[MINIMUM_PROFIT] + charge * chain[2]:
        return 0
    intent = intents[0]
    intent[0], intent[1], intent[2], intent[3] = BUY if size > 0.0 else SELL, abs(size), 0.0, 0.0
    intent[4], intent[5], intent[6] = settings[SLIPPAGE], size / got if size > 0.0 else got / -size, settings[TIP]
    return 1


class Arbitrageur(Agent):
    """Trades a pool back to the outside price whenever that pays, and undoes the trade outside once it is in a block.

    It decides on the state after each block and has one transaction in flight at a time; or, colocated, at the instant at which a
    block is made. It ignores its own impact outside.
    """

    reflex: ClassVar[Reflex | None] = staticmethod(react)

    market: Annotated[str, Refers("markets", offers=("buy", "sell"))]
    """The pool."""
    colocated: bool = False
    """Whether it decides at the sequencer's side, at the instant at which a block is made, without reaction time and network."""
    capital: Annotated[Usd, NotNegative] = 1e6
    """US dollars that it brings to the chain, and again the base asset for as much."""
    minimum_profit: Annotated[Usd, NotNegative] = 0.0
    """Profit, fees of the chain and the tip deducted, up to which it does nothing."""
    hedge_cost: Annotated[Fraction, Share] = 0.0
    """What it reckons trading outside costs it, relative to the price."""
    slippage: Annotated[Fraction, Share] = 0.0
    """How much worse than planned the pool's price may be."""
    tip: Wei = 0
    """Priority fee, wei per gas."""
    deadline: Duration | None = None
    """How long a transaction may wait for a block; without one, for as long as it takes. One decided at the block's instant never waits."""
    gas: Wei = 10 * ETH
    """Ether that it brings for fees."""

    def arrive(self, me: Seat) -> None:
        chain, base = me.chain_of(self.market), me.rules(self.market).base
        me.endow(chain, "usd", self.capital)
        me.endow(chain, base, self.capital / me.price(base))
        me.endow(chain, me.gas_token, self.gas / ETH)

    def settings(self, me: Seat) -> Sequence[float] | None:
        if not self.colocated:
            return None
        rules = me.rules(self.market)
        slot = me.slot(self.market, rules.base)
        uses = rules.gas["buy"], rules.gas["sell"], rules.size["buy"], rules.size["sell"]
        return [slot, self.hedge_cost, self.slippage + ROUNDING, me.bid(self.market, self.tip), self.minimum_profit, *uses]

    def answered(self, me: Seat, action: str, receipt: Receipt) -> None:
        if receipt.status == Status.SUCCEEDED:
            me.trade(me.rules(self.market).base, -receipt.y if action == "buy" else receipt.x)

    def expects(self, me: Seat) -> Reserves | None:
        """The pool as it will be when a transaction gets there, as far as can be seen; None where there is nothing to do."""
        pool: Reserves = me.view(self.market)
        return pool

    def run(self, me: Seat) -> Waiting:
        if self.colocated:
            return
        chain, base = me.chain_of(self.market), me.rules(self.market).base
        while True:
            yield me.block(chain)
            pool = self.expects(me)
            if pool is None:
                continue
            dollars, units = me.balance(chain, "usd"), me.balance(chain, base)
            best = plan(pool.base, pool.quote, pool.fee, me.price(base), dollars, units, self.hedge_cost, pool.paid_out)
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
            self.answered(me, best.action, receipt)
