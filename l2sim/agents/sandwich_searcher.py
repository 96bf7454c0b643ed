"""A sandwich searcher: trades before and behind a pending trade, at its cost."""

from collections.abc import Sequence
from math import inf, sqrt
from typing import Annotated, Any, ClassVar

from pydantic import Field

from l2sim.agents import Agent, Waiting
from l2sim.agents.backrunner import next_tip
from l2sim.kernels import INTENT, MEMORY, Reflex
from l2sim.markets.constant_product import (
    BASE_PURSE,
    BASE_RESERVE,
    BUY,
    FEES,
    PAID_OUT,
    PHI,
    QUOTE_PURSE,
    QUOTE_RESERVE,
    SELL,
    swapped,
)
from l2sim.part import Refers
from l2sim.transactions import ANY_FEE
from l2sim.units import ETH, NotNegative, Usd, Wei
from l2sim.world.seat import Seat

HALVINGS = 60
"""Of an interval, in the search for the largest front-run."""
LEFT_OVER = 1e-9
"""Units of the base asset too many or too few that are let be, relative to the pool's."""
ROUNDING = 1e-12
"""Relative; by how much a price may be other than planned."""

OUTBID, MINIMUM_PROFIT, HELD, BUY_GAS, SELL_GAS, BUY_SIZE, SELL_SIZE = range(7)
"""Settings of the reflex; ``HELD`` are the units of the base asset that it comes back to after every attack."""


def largest(pool: Any, paid_out: int, action: int, a: float, slippage: float, reference: float) -> float:
    """The largest trade of the same direction right before a trade that leaves it executable; inf where it accepts any price.

    With ``p`` and ``g`` the reserves of what is paid and got, ``w`` what counts of the victim's input and ``m`` the least that it
    accepts, the victim gets ``g p φ v / ((p + φ d) (p + d + w)) >= m`` behind a front-run of ``d``: a quadratic equation in d
    (as in Zhou et al. 2021, "High-frequency trading on decentralized on-chain exchanges"). Where fees are paid out, less than d,
    or all of it, counts and stays.
    """
    buying = action == BUY
    limit = reference * (1.0 + slippage if buying else 1.0 - slippage)
    if reference == 0.0 or slippage == inf or (limit <= 0.0 and not buying):
        return inf
    if limit <= 0.0:
        return 0.0
    least = a / limit if buying else a * limit
    phi = pool[PHI]
    paid, got = (pool[QUOTE_RESERVE], pool[BASE_RESERVE]) if buying else (pool[BASE_RESERVE], pool[QUOTE_RESERVE])
    counts, stays = phi, 1.0
    if paid_out != 0:
        counts = stays = phi if buying else 1.0
    behind = paid + counts * a
    short = paid * behind - got * paid * phi * a / least
    if short >= 0.0:
        return 0.0
    linear = counts * behind + stays * paid
    return -2.0 * short / (linear + sqrt(linear * linear - 4.0 * counts * stays * short))  # type: ignore[no-any-return]


def input_for(pool: Any, units: float) -> float:
    """US dollars for which the pool gives that many units of the base asset; inf where it does not hold them."""
    if units >= pool[BASE_RESERVE]:
        return inf
    return pool[QUOTE_RESERVE] * units / ((pool[BASE_RESERVE] - units) * pool[PHI])  # type: ignore[no-any-return]


def played(
    pool: Any, paid_out: int, size: float, victim: int, alone: bool, here: int, start: int, stop: int,
    market: Any, action: Any, a: Any, slippage: Any, reference: Any, tip: Any,
) -> float:  # fmt: skip
    """Profit (USD) of a front-run of ``size``, the victim, and the back-run, before fees of the chain; -inf where the victim reverts.

    ``alone``: as though nothing else waited, and at any price; else with all that waits at the victim's priority fee in between.
    The pool's cells are as they were afterwards.
    """
    base, quote, fees = pool[BASE_RESERVE], pool[QUOTE_RESERVE], pool[FEES]
    buying = action[victim] == BUY
    got = swapped(pool, paid_out, action[victim], size, inf, 0.0)
    executed = True
    for i in range(victim if alone else start, victim + 1 if alone else stop):
        if market[i] == here and tip[i] == tip[victim] and a[i] > 0.0:
            out = swapped(pool, paid_out, action[i], a[i], inf if alone else slippage[i], reference[i])
            if i == victim and out < 0.0:
                executed = False
    profit = swapped(pool, paid_out, SELL, got, inf, 0.0) - size if buying else got - input_for(pool, size)
    pool[BASE_RESERVE], pool[QUOTE_RESERVE], pool[FEES] = base, quote, fees
    return profit if executed else -inf


def charge(settings: Any, chain: Any, tip: int) -> float:
    """Fees of the chain (USD) for a front-run that outbids a priority fee and a back-run that offers the same."""
    gas = settings[BUY_GAS] + settings[SELL_GAS]
    size = max(settings[BUY_SIZE], chain[5]) + max(settings[SELL_SIZE], chain[5])
    tips = (gas * tip + max(settings[BUY_GAS], settings[SELL_GAS]) * settings[OUTBID]) / ETH
    return (gas * chain[0] + tips + size * chain[1] + 2.0 * chain[6]) * chain[2]  # type: ignore[no-any-return]


def want(intent: Any, action: int, a: float, slippage: float, reference: float, tip: float) -> None:
    """Write a transaction down."""
    intent[0], intent[1], intent[2], intent[3], intent[4], intent[5], intent[6] = action, a, 0.0, 0.0, slippage, reference, tip


def tempting(cells: Any, here: int, start: int, stop: int, market: Any, action: Any, a: Any) -> bool:
    """Whether any trade that waits could be worth a sandwich; most blocks hold none, and are not looked at more closely.

    Both own trades pay the fee, and a victim moves the price by less than ``(1 + v / p)^2``, so that ``φ (1 + v / p) > 1`` is needed.
    Other trades that wait may take from the reserve ``p`` at most what all of them together would take alone; where none is larger
    than half of the ``v`` that is needed, and they are not too many, that leaves half of it at least.
    """
    least = 0.5 * (1.0 / (cells[PHI] * (1.0 + ROUNDING)) - 1.0)
    if (stop - start) * least > 1.0:
        return True
    bought, sold = least * cells[QUOTE_RESERVE], least * cells[BASE_RESERVE]
    for i in range(start, stop):  # noqa: SIM110  (compiled code has no generators)
        if a[i] > (bought if action[i] == BUY else sold) and market[i] == here and a[i] < inf:
            return True
    return False


def attack(
    settings: Any, memory: Any, cells: Any, codes: Any, purses: Any, prices: Any, own: int, chain: Any, here: int,
    start: int, stop: int, market: Any, action: Any, a: Any, slippage: Any, reference: Any, tip: Any, intents: Any,
) -> int:  # fmt: skip
    """The reflex: the sandwich that earns most around one trade that waits; first of all, what an attack that went wrong has left."""
    paid_out = codes[PAID_OUT]
    dollars, units = purses[codes[QUOTE_PURSE]][own], purses[codes[BASE_PURSE]][own]
    over = units - settings[HELD]
    if abs(over) > LEFT_OVER * cells[BASE_RESERVE]:
        dues = min(input_for(cells, -over), dollars) if over < 0.0 else over
        if dues > 0.0:
            want(intents[0], SELL if over > 0.0 else BUY, dues, inf, 0.0, 0.0)
            return 1
    if start == stop:
        return 0
    if not tempting(cells, here, start, stop, market, action, a):
        return 0
    pool = memory
    for cell in (PHI, BASE_RESERVE, QUOTE_RESERVE, FEES):
        pool[cell] = cells[cell]
    best, victim, size = settings[MINIMUM_PROFIT], -1, 0.0
    base, quote = pool[BASE_RESERVE], pool[QUOTE_RESERVE]
    level = next_tip(ANY_FEE, 0, here, start, stop, market, tip)
    while level >= 0:
        # The front-run lands here: behind all that offers more than this.
        level_base, level_quote, costs = pool[BASE_RESERVE], pool[QUOTE_RESERVE], charge(settings, chain, level)
        for i in range(start, stop):
            if market[i] == here and tip[i] == level and 0.0 < a[i] < inf:
                d = min(largest(pool, paid_out, action[i], a[i], slippage[i], reference[i]), dollars if action[i] == BUY else units)
                if d > 0.0:
                    profit = played(
                        pool, paid_out, d, i, True, here, start, stop, market, action, a, slippage, reference, tip
                    ) - costs  # fmt: skip
                    if profit > best:
                        best, victim, size, base, quote = profit, i, d, level_base, level_quote
                swapped(pool, paid_out, action[i], a[i], slippage[i], reference[i])
        level = next_tip(level, 0, here, start, stop, market, tip)
    if victim < 0:
        return 0
    pool[BASE_RESERVE], pool[QUOTE_RESERVE] = base, quote
    profit = played(pool, paid_out, size, victim, False, here, start, stop, market, action, a, slippage, reference, tip)
    if profit == -inf:
        # What waits before the victim moves the price too, or the last bit does: the largest size that leaves it executable.
        high, size = size, 0.0
        for _ in range(HALVINGS):
            middle = (size + high) / 2.0
            result = played(pool, paid_out, middle, victim, False, here, start, stop, market, action, a, slippage, reference, tip)
            if result > -inf:
                size, profit = middle, result
            else:
                high = middle
    if profit - charge(settings, chain, tip[victim]) <= settings[MINIMUM_PROFIT]:
        return 0
    got = swapped(pool, paid_out, action[victim], size, inf, 0.0)
    first, last = tip[victim] + settings[OUTBID], float(tip[victim])
    # Both insist on the price that was planned: neither is to be there without the other.
    if action[victim] == BUY:
        want(intents[0], BUY, size, ROUNDING, size / got, first)
        want(intents[1], SELL, got, ROUNDING, (size + profit) / got, last)
    else:
        want(intents[0], SELL, size, ROUNDING, got / size, first)
        want(intents[1], BUY, got - profit, ROUNDING, (got - profit) / size, last)
    return 2


class SandwichSearcher(Agent):
    """Buys before somebody buys from a pool, sells right behind (or the other way round), where it sees what waits.

    Of all pending trades with the pool it attacks one a block, that whose sandwich pays most: with the largest front-run that leaves
    it executable and that its capital allows. The front-run outbids the victim's priority fee; the back-run offers the same fee as
    the victim, and so comes behind what arrived before; both insist on the prices that were planned. Where the pool's fees
    and the chain's leave no more than ``minimum_profit`` it does nothing. What competition or bad luck leaves it with, it trades
    back in the next block. It presumes that the higher priority fee goes first, and that senders own what they want to spend.
    """

    reflex: ClassVar[Reflex | None] = staticmethod(attack)

    market: Annotated[str, Refers("markets", kind="constant_product")]
    """The pool."""
    colocated: bool = True
    """Whether it decides at the sequencer's side, at the instant at which a block is made, on all that has arrived. Otherwise it looks
    at what a block has left waiting, and acts after its reaction time and over the network: only full blocks feed it."""
    capital: Annotated[Usd, NotNegative] = 1e6
    """US dollars that it brings to the chain, and again the base asset for as much: the most that a front-run may take."""
    minimum_profit: Annotated[Usd, NotNegative] = 0.0
    """Profit, fees of the chain and tips deducted, up to which it does nothing."""
    outbid: Annotated[Wei, Field(ge=1)] = 1
    """How much more than its victim its front-run offers, wei per gas."""
    gas: Wei = 10 * ETH
    """Ether that it brings for fees."""

    def arrive(self, me: Seat) -> None:
        chain, base = me.chain_of(self.market), me.rules(self.market).base
        me.endow(chain, "usd", self.capital)
        me.endow(chain, base, self.capital / me.price(base))
        me.endow(chain, me.gas_token, self.gas / ETH)

    def settings(self, me: Seat) -> Sequence[float] | None:
        return self._settings(me) if self.colocated else None

    def _settings(self, me: Seat) -> list[float]:
        rules = me.rules(self.market)
        held = me.balance(me.chain_of(self.market), rules.base)
        uses = rules.gas["buy"], rules.gas["sell"], rules.size["buy"], rules.size["sell"]
        return [self.outbid, self.minimum_profit, held, *uses]

    def run(self, me: Seat) -> Waiting:
        if self.colocated:
            return
        chain, settings = me.chain_of(self.market), self._settings(me)
        while True:
            yield me.block(chain)
            receipts = [me.receipt(ticket) for ticket in self._strike(me, settings)]
            for receipt in receipts:  # noqa: UP028  (answers are sent in)
                yield receipt

    def _strike(self, me: Seat, settings: list[float]) -> list[int]:
        """Decide as the reflex does, on what can be seen from afar, and send it; the tickets."""
        rules, chain = me.rules(self.market), me.chain_of(self.market)
        actions = list(rules.actions)
        rows = [row for row in me.pending(chain) if row.market == self.market]
        pool, n = me.view(self.market), len(rows)
        intents = [[0.0] * INTENT for _ in range(2)]
        wanted = attack(
            settings, [0.0] * MEMORY, [1.0 - pool.fee, pool.base, pool.quote, pool.fees], [0, 0, 1, int(pool.paid_out)],
            [[me.balance(chain, rules.base)], [me.balance(chain, "usd")]], [], 0, me.charges(chain), 0, 0, n,
            [0] * n, [actions.index(row.action) for row in rows], [row.a for row in rows], [row.slippage for row in rows],
            [row.reference for row in rows], [row.tip for row in rows], intents,
        )  # fmt: skip
        return [
            me.submit(self.market, actions[int(code)], size, slippage=slippage, reference=reference, tip=int(tip), wait=True)
            for code, size, _, _, slippage, reference, tip in intents[:wanted]
        ]
