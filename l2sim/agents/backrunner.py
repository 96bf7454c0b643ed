"""A backrunner: an arbitrageur that looks at what waits."""

from typing import Any, ClassVar

from l2sim.agents.arbitrageur import TIP, Arbitrageur, react
from l2sim.kernels import Reflex
from l2sim.markets.constant_product import BASE_RESERVE, FEES, PAID_OUT, PHI, QUOTE_RESERVE, Reserves, swapped
from l2sim.transactions import ANY_FEE
from l2sim.world.seat import Seat


def next_tip(below: int, least: float, here: int, start: int, stop: int, market: Any, tip: Any) -> int:
    """The highest priority fee of what waits for a market, of those ``below`` a number and not below ``least``; -1 where there is none."""
    highest = -1
    for i in range(start, stop):
        if market[i] == here and least <= tip[i] < below and tip[i] > highest:
            highest = tip[i]
    return highest


def replay(
    pool: Any, paid_out: int, least: float, here: int, start: int, stop: int,
    market: Any, action: Any, a: Any, slippage: Any, reference: Any, tip: Any,
) -> int:  # fmt: skip
    """Execute on a copy of a pool's cells what waits and will come first: the highest priority fee before others, then the earliest.

    It stops below the priority fee ``least``. Whether a sender owns what it wants to spend cannot be seen; all are taken to.
    Returns how many trades waited.
    """
    waiting = 0
    level = next_tip(ANY_FEE, least, here, start, stop, market, tip)
    while level >= 0:
        for i in range(start, stop):
            if market[i] == here and tip[i] == level and a[i] > 0.0:
                swapped(pool, paid_out, action[i], a[i], slippage[i], reference[i])
                waiting += 1
        level = next_tip(level, least, here, start, stop, market, tip)
    return waiting


def follow(
    settings: Any, memory: Any, cells: Any, codes: Any, purses: Any, prices: Any, own: int, chain: Any, here: int,
    start: int, stop: int, market: Any, action: Any, a: Any, slippage: Any, reference: Any, tip: Any, intents: Any,
) -> int:  # fmt: skip
    """The reflex: the arbitrage that there will be behind the trades that wait and come first, where there are any."""
    for cell in (PHI, BASE_RESERVE, QUOTE_RESERVE, FEES):
        memory[cell] = cells[cell]
    waiting = replay(memory, codes[PAID_OUT], settings[TIP], here, start, stop, market, action, a, slippage, reference, tip)
    if waiting == 0:
        return 0
    return react(
        settings, memory, memory, codes, purses, prices, own, chain, here,
        start, stop, market, action, a, slippage, reference, tip, intents,
    )  # fmt: skip


class Backrunner(Arbitrageur):
    """Takes the arbitrage that pending trades with a pool will leave behind, where the ordering lets it see them.

    It executes on paper what waits with at least its own priority fee, and sends the trade that pays most on the state that
    comes out; without a tip it is behind all that was seen. Nothing pending, nothing sent. Colocated, it looks at the instant at
    which a block is made; otherwise at what a block has left waiting, over the network, so that only full blocks feed it.
    """

    reflex: ClassVar[Reflex | None] = staticmethod(follow)

    colocated: bool = True
    """Whether it decides at the sequencer's side, at the instant at which a block is made, without reaction time and network."""

    def expects(self, me: Seat) -> Reserves | None:
        pool: Reserves = me.view(self.market)
        rows = [row for row in me.pending(me.chain_of(self.market)) if row.market == self.market]
        if not rows:
            return None
        codes = {action: code for code, action in enumerate(me.rules(self.market).actions)}
        cells = [1.0 - pool.fee, pool.base, pool.quote, pool.fees]
        n, least = len(rows), me.bid(self.market, self.tip)
        replay(
            cells, int(pool.paid_out), least, 0, 0, n, [0] * n, [codes[row.action] for row in rows], [row.a for row in rows],
            [row.slippage for row in rows], [row.reference for row in rows], [row.tip for row in rows],
        )  # fmt: skip
        return pool._replace(base=cells[BASE_RESERVE], quote=cells[QUOTE_RESERVE])
