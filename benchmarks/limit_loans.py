"""Loans as the limit has them: ether against US dollars, in one array each, with triggers in a sorted array and a heap."""

from typing import Any, NamedTuple

import numpy as np

from benchmarks import drawn
from l2sim.markets.lending_pool.rules import borrow_rate, closable, compounded, coverable, dust, permitted, protocol_share, seized
from l2sim.scenario import Scenario
from l2sim.units import SECOND, YEAR

INSUFFICIENT_FUNDS, NO_LIQUIDITY, NO_POSITION, NOT_LIQUIDATABLE, DUST = 2, 3, 4, 5, 8
ROUNDING = 1e-12
A_NANOSECOND = 1.0 / YEAR
WORTH, OWED, RATE, EARNS, BORROWED, TREASURY, DOLLARS, SUPPLIED, SHARE, FIELDS = range(10)
"""Of the pool: what scaled units of dollars lent and owed are worth, both rates, what is owed (scaled), the protocol's part of what is
lent, dollars there; ether supplied, and the protocol's part of it."""
TIME, CALLS, NEXT, WAITING, OVERDUE = range(5)
"""Of the triggers, whole numbers: the last block, how many loans have become overdue, the next of the sorted ones, how many are in the
heap, and how many are overdue."""
MOST = 63
"""Most liquidations that a keeper wants in a block."""


class LoanRules(NamedTuple):
    """The pool's rules, and the keepers'."""

    threshold: float
    bonus: float
    protocol_fee: float
    factor: float
    factor_health: float
    factor_minimum: float
    leftover: float
    optimal: float
    base: float
    gentle: float
    steep: float
    reserve_factor: float
    gas: int
    size: int
    minimum_profit: float
    attention: float


class Loans(NamedTuple):
    """Scaled supply and debt of each account, and who waits for which trigger: sorted at the start, a heap of those that changed."""

    supply: Any
    debt: Any
    key: Any
    """Triggers: overdue below them."""
    sorted: Any
    heap: Any
    overdue: Any


class Liquidated(NamedTuple):
    """Columns of the loans liquidated."""

    time: Any
    account: Any
    liquidator: Any
    repaid: Any
    seized: Any
    repaid_value: Any
    seized_value: Any
    protocol_fee: Any
    health_factor: Any


def set_rates(rules: Any, bank: Any) -> None:
    """Interest from now on."""
    debt = bank[BORROWED] * bank[OWED]
    whole = bank[DOLLARS] + debt
    rate = borrow_rate(debt / whole, rules.optimal, rules.base, rules.gentle, rules.steep)
    bank[RATE], bank[EARNS] = rate, rate * debt / whole * (1.0 - rules.reserve_factor)


def accrue(rules: Any, bank: Any, elapsed: int) -> None:
    """Let interest grow."""
    years = elapsed * A_NANOSECOND
    index = bank[OWED] * compounded(bank[RATE], years)
    grown = bank[WORTH] * (1.0 + bank[EARNS] * years)
    share = bank[BORROWED] * (index - bank[OWED]) * rules.reserve_factor
    bank[OWED], bank[WORTH] = index, grown
    bank[TREASURY] += share / grown


def wait(loans: Any, marks: Any, account: int) -> None:
    """Put an account into the heap, the highest trigger first."""
    heap, key, place = loans.heap, loans.key, marks[WAITING]
    marks[WAITING] += 1
    while place > 0 and key[heap[(place - 1) // 2]] < key[account]:
        heap[place] = heap[(place - 1) // 2]
        place = (place - 1) // 2
    heap[place] = account


def first_waiting(loans: Any, marks: Any) -> int:
    """Take the first account out of the heap."""
    heap, key = loans.heap, loans.key
    top = heap[0]
    marks[WAITING] -= 1
    size, last, place = marks[WAITING], heap[marks[WAITING]], 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and key[heap[child + 1]] > key[heap[child]]:
            child += 1
        if key[heap[child]] <= key[last]:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = last
    return top


def falls_due(loans: Any, marks: Any, account: int) -> None:
    """An account has become overdue."""
    loans.overdue[marks[OVERDUE]] = account
    marks[OVERDUE] += 1
    marks[CALLS] += 1


def begin(rules: Any, loans: Any, bank: Any, marks: Any, price: float, now: int) -> None:
    """Start a block: interest, and who is overdue at this price."""
    accrue(rules, bank, now - marks[TIME])
    marks[TIME] = now
    ratio = price / bank[OWED]
    while marks[NEXT] < len(loans.sorted) and ratio < loans.key[loans.sorted[marks[NEXT]]]:
        falls_due(loans, marks, loans.sorted[marks[NEXT]])
        marks[NEXT] += 1
    while marks[WAITING] > 0 and ratio < loans.key[loans.heap[0]]:
        falls_due(loans, marks, first_waiting(loans, marks))
    kept = 0
    for i in range(marks[OVERDUE]):
        account = loans.overdue[i]
        if ratio < loans.key[account]:
            loans.overdue[kept] = account
            kept += 1
        else:
            wait(loans, marks, account)
    marks[OVERDUE] = kept


def plan(
    rules: Any, loans: Any, bank: Any, marks: Any, memory: Any, price: float, dollars: float, charge: float, now: float, drafts: Any
) -> int:  # fmt: skip
    """What a keeper wants: the most profitable liquidations that it can pay, as account, repayment and profit; how many."""
    if marks[CALLS] == memory[0] and now < memory[1]:
        return 0
    memory[0] = marks[CALLS]
    found, ratio = 0, price / bank[OWED]
    for i in range(marks[OVERDUE]):
        account = loans.overdue[i]
        health = ratio / loans.key[account]
        if not health < 1.0:
            continue
        balance, owed = loans.supply[account], loans.debt[account] * bank[OWED]
        most = min(closable(health, balance * price, owed, 1.0, owed, rules.factor, rules.factor_health, rules.factor_minimum), dollars)
        repaid = permitted(most, owed, 1.0, balance, price, rules.bonus, rules.leftover)
        if not repaid > 0.0:
            continue
        gross = seized(repaid, balance, price, 1.0, rules.bonus)
        profit = (gross - protocol_share(gross, rules.bonus, rules.protocol_fee)) * price - repaid - charge
        if profit < rules.minimum_profit:
            continue
        place = found
        while place > 0 and (drafts[place - 1, 2] < profit or (drafts[place - 1, 2] == profit and drafts[place - 1, 0] > account)):
            place -= 1
        if place < MOST:
            found = min(found + 1, MOST)
            for k in range(found - 1, place, -1):
                drafts[k, 0], drafts[k, 1], drafts[k, 2] = drafts[k - 1, 0], drafts[k - 1, 1], drafts[k - 1, 2]
            drafts[place, 0], drafts[place, 1], drafts[place, 2] = account, repaid, profit
    memory[1] = now if found > 0 else now + rules.attention
    wanted = 0
    for k in range(found):
        left = dollars
        for j in range(wanted):
            left -= drafts[j, 1]
        if drafts[k, 1] <= left:
            drafts[wanted, 0], drafts[wanted, 1] = drafts[k, 0], drafts[k, 1]
            wanted += 1
    return wanted


def liquidate(rules: Any, loans: Any, bank: Any, marks: Any, price: float, funds: float, account: int, to_repay: float, out: Any) -> int:
    """Repay and seize: the status; in ``out`` units repaid, units that the keeper gets, units seized, the protocol's, health before."""
    balance, scaled = loans.supply[account], loans.debt[account]
    owed = scaled * bank[OWED]
    if not owed > 0.0 or not balance > 0.0:
        return NO_POSITION
    health = price / bank[OWED] / loans.key[account]
    if not health < 1.0:
        return NOT_LIQUIDATABLE
    repaid = closable(health, balance * price, owed, 1.0, owed, rules.factor, rules.factor_health, rules.factor_minimum)
    if to_repay < repaid * (1.0 - ROUNDING):
        repaid = to_repay
    repaid = min(repaid, coverable(balance, price, 1.0, rules.bonus))
    gross = seized(repaid, balance, price, 1.0, rules.bonus)
    if repaid < owed and gross < balance and dust(owed - repaid, (balance - gross) * price, rules.leftover):
        return DUST
    if funds < repaid:
        return INSUFFICIENT_FUNDS
    share = protocol_share(gross, rules.bonus, rules.protocol_fee)
    left = gross if gross < balance else balance
    paid = repaid / bank[OWED] if repaid < owed else scaled
    bank[DOLLARS] += repaid
    loans.supply[account] -= left
    loans.debt[account] -= paid
    bank[SUPPLIED] -= left
    bank[BORROWED] -= paid
    bank[SHARE] += gross - (gross - share)
    set_rates(rules, bank)
    out[0], out[1], out[2], out[3], out[4] = repaid, gross - share, gross, share, health
    settle(rules, loans, bank, marks, price, account)
    return 0


def settle(rules: Any, loans: Any, bank: Any, marks: Any, price: float, account: int) -> None:
    """Put an account that has changed where it belongs."""
    key = loans.debt[account] / (loans.supply[account] * rules.threshold) if loans.debt[account] > 0.0 else 0.0
    loans.key[account] = key
    if key > 0.0 and price / bank[OWED] < key:
        return
    place = 0
    while loans.overdue[place] != account:
        place += 1
    marks[OVERDUE] -= 1
    for i in range(place, marks[OVERDUE]):
        loans.overdue[i] = loans.overdue[i + 1]
    if key > 0.0:
        wait(loans, marks, account)


def opened(scenario: Scenario, price: float) -> tuple[LoanRules, Loans, Any, Any]:
    """Rules, loans, the pool and the triggers at the start."""
    market, keepers = scenario.markets["loans"], scenario.agents["keepers"]
    eth, usd = market.reserves["eth"], market.reserves["usd"]
    _, _, _, _, optimal, base, gentle, steep, factor = usd.rules()
    rules = LoanRules(
        eth.liquidation_threshold, eth.liquidation_bonus, eth.protocol_fee, market.close_factor, market.close_factor_health,
        market.close_factor_minimum, market.minimum_leftover, optimal, base, gentle, steep, factor, market.gas["liquidate"],
        market.size["liquidate"], keepers.minimum_profit, keepers.attention / SECOND,
    )  # fmt: skip
    supply, debt = drawn.loans(scenario, price)
    key, n = debt / (supply * eth.liquidation_threshold), len(debt)
    loans = Loans(supply, debt, key, np.argsort(-key, kind="stable"), np.empty(n, np.int64), np.empty(n, np.int64))
    bank = np.zeros(FIELDS)
    bank[WORTH] = bank[OWED] = 1.0
    bank[BORROWED], bank[SUPPLIED], bank[DOLLARS] = debt.sum(), supply.sum(), float(usd.liquidity)
    set_rates(rules, bank)
    return rules, loans, bank, np.zeros(5, np.int64)
