"""A liquidator at the sequencer's side: what it wants of a pool's overdue accounts, as a kernel."""

from math import inf
from typing import Any

from l2sim.agents.loan_liquidator.amounts import ROUNDING, repayment
from l2sim.kernels import INTENTS
from l2sim.markets.lending_pool.health import debt_value, health_factor
from l2sim.markets.lending_pool.kernel import LIQUIDATE
from l2sim.markets.lending_pool.layout import (
    ASSETS,
    BONUS,
    BORROW_INDEX,
    CALLS,
    CAPACITY,
    CHILD,
    CLOSE_FACTOR,
    CLOSE_FACTOR_HEALTH,
    CLOSE_FACTOR_MINIMUM,
    LINKS,
    LIQUIDATED_BELOW,
    LIQUIDITY_INDEX,
    MINIMUM_LEFTOVER,
    NEXT,
    PREVIOUS,
    PROTOCOL_FEE,
    ROOTS,
    THRESHOLD,
    debt_at,
    price,
    purse,
    reserve,
    supply_at,
)
from l2sim.markets.lending_pool.rules import protocol_share, seized
from l2sim.markets.lending_pool.triggers import ROOT
from l2sim.units import ETH

RULE, TARGET, MINIMUM_PROFIT, TIP, GAS, SIZE, ATTENTION, LIMIT, COLLATERAL, DEBT, SLOTS = range(11)
"""Settings: rule and target health, least profit (USD), tip (wei per gas), gas and bytes of a liquidation, how often to look at what did
not pay (s), most liquidations in a block, the one collateral and the one debt (-1: any), and for each asset the slot of its price
outside."""
MOST = INTENTS - 1
"""Most that it can want in a block; the row behind them is where each is drafted: account, pair, repayment, profit in fields 1 to 4."""
SEEN, AGAIN = range(2)
"""Memory: how many accounts had come up, and when to look again without news (s)."""


def following(codes: Any, node: int) -> int:
    """The next node of a heap's tree, every node once beginning with the root; 0 after the last."""
    links = codes[LINKS]
    if codes[links + 3 * node + CHILD] != 0:
        return codes[links + 3 * node + CHILD]  # type: ignore[no-any-return]
    while codes[links + 3 * node + NEXT] == 0:
        before = codes[links + 3 * node + PREVIOUS]
        while before != ROOT and codes[links + 3 * before + CHILD] != node:
            node = before
            before = codes[links + 3 * node + PREVIOUS]
        if before == ROOT:
            return 0
        node = before
    return codes[links + 3 * node + NEXT]  # type: ignore[no-any-return]


def within(settings: Any, n: int, pair: int) -> bool:
    """Whether it deals in a pair."""
    collateral, debt = settings[COLLATERAL], settings[DEBT]
    return bool((collateral < 0.0 or collateral == pair // n) and (debt < 0.0 or debt == pair % n))


def linked(codes: Any, pair: int, account: int) -> bool:
    """Whether an account is in a pair's heaps."""
    return bool(codes[codes[LINKS] + 3 * (1 + pair * codes[CAPACITY] + account) + PREVIOUS] != 0)


def better(one: Any, other: Any) -> bool:
    """Whether a draft earns more than another; of equals, that of the lower account."""
    return bool(one[4] > other[4] or (one[4] == other[4] and one[1] < other[1]))


def consider(settings: Any, cells: Any, codes: Any, purses: Any, prices: Any, own: int, account: int, fee: float, draft: Any) -> float:
    """The profit of liquidating an account in the best way (USD), or ``-inf``; its pair and repayment are left in the draft."""
    profit = -inf
    health = health_factor(cells, codes, prices, account)
    if not health < cells[LIQUIDATED_BELOW]:
        return profit
    n, total = codes[ASSETS], debt_value(cells, codes, prices, account)
    for pair in range(n * n):
        if not (within(settings, n, pair) and linked(codes, pair, account)):
            continue
        collateral, debt = pair // n, pair % n
        at, of = reserve(collateral), reserve(debt)
        balance = cells[supply_at(codes, account, collateral)] * cells[at + LIQUIDITY_INDEX]
        owed = cells[debt_at(codes, account, debt)] * cells[of + BORROW_INDEX]
        if not (balance > 0.0 and owed > 0.0):
            continue
        p, q, bonus = price(codes, prices, collateral), price(codes, prices, debt), cells[at + BONUS]
        repaid = repayment(
            int(settings[RULE]), settings[TARGET], purses[purse(codes, debt)][own], health, total, owed, q, balance, p,
            cells[at + THRESHOLD], bonus, cells[CLOSE_FACTOR], cells[CLOSE_FACTOR_HEALTH], cells[CLOSE_FACTOR_MINIMUM],
            cells[MINIMUM_LEFTOVER],
        )  # fmt: skip
        if repaid > 0.0:
            gross = seized(repaid, balance, p, q, bonus)
            net = gross - protocol_share(gross, bonus, cells[at + PROTOCOL_FEE])
            worth = net * prices[int(settings[SLOTS + collateral])]
            # Rounded up, so that a profit of just the least is enough.
            gain = worth * (1.0 + ROUNDING) - repaid * prices[int(settings[SLOTS + debt])] - fee
            if gain > profit:
                profit = gain
                draft[2] = float(pair)
                draft[3] = repaid
    return profit


def react(
    settings: Any, memory: Any, cells: Any, codes: Any, purses: Any, prices: Any, own: int, chain: Any, here: int,
    start: int, stop: int, market: Any, action: Any, a: Any, slippage: Any, reference: Any, tip: Any, intents: Any,
) -> int:  # fmt: skip
    """The reflex: the most profitable liquidations, as many as capital and the limit allow.

    It looks at what is overdue when something has come up, when it wanted something in the block before, and now and then.
    """
    if codes[CALLS] == memory[SEEN] and chain[3] < memory[AGAIN]:
        return 0
    memory[SEEN] = codes[CALLS]
    n, capacity, found = codes[ASSETS], codes[CAPACITY], 0
    fee = (settings[GAS] * (chain[0] + settings[TIP] / ETH) + max(settings[SIZE], chain[5]) * chain[1] + chain[6]) * chain[2]
    draft, most = intents[MOST], min(MOST, int(settings[LIMIT]))
    for pair in range(n * n):
        node = codes[codes[ROOTS] + 2 * pair + 1] if within(settings, n, pair) else 0
        while node != 0:
            account = node - 1 - pair * capacity
            met = False
            for other in range(pair):
                if within(settings, n, other) and linked(codes, other, account):
                    met = True
            if not met:
                draft[1] = float(account)
                draft[4] = consider(settings, cells, codes, purses, prices, own, account, fee, draft)
                if draft[4] >= settings[MINIMUM_PROFIT] and (found < most or better(draft, intents[most - 1])):
                    place = min(found, most - 1)
                    while place > 0 and better(draft, intents[place - 1]):
                        for field in range(1, 5):
                            intents[place][field] = intents[place - 1][field]
                        place -= 1
                    for field in range(1, 5):
                        intents[place][field] = draft[field]
                    found = min(found + 1, most)
            node = following(codes, node)
    memory[AGAIN] = chain[3] if found > 0 else chain[3] + settings[ATTENTION]

    # The best first, as far as capital goes.
    wanted = 0
    for k in range(found):
        debt = int(intents[k][2]) % n
        left = purses[purse(codes, debt)][own]
        for j in range(wanted):
            if int(intents[j][2]) % n == debt:
                left -= intents[j][3]
        if intents[k][3] <= left:
            for field in range(1, 4):
                intents[wanted][field] = intents[k][field]
            wanted += 1
    for k in range(wanted):
        intents[k][0], intents[k][4], intents[k][5], intents[k][6] = LIQUIDATE, inf, 0.0, settings[TIP]
    return wanted
