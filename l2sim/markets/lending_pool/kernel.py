"""What a pool computes: its actions and the start of a block, as scalar functions on cells, codes and balances."""

from math import inf
from typing import Any

from l2sim.markets.lending_pool.health import NONE, collateral_value, debt_value, health_factor, sole_debt
from l2sim.markets.lending_pool.layout import (
    ASSETS,
    BASE_RATE,
    BONUS,
    BORROW_INDEX,
    BORROW_RATE,
    BORROWED,
    CAPACITY,
    CLOSE_FACTOR,
    CLOSE_FACTOR_HEALTH,
    CLOSE_FACTOR_MINIMUM,
    DEFICIT,
    FLASH_LOAN_FEE,
    GENTLE,
    GRACE_ENDS,
    LIQUIDATED_BELOW,
    LIQUIDITY_INDEX,
    LOAN_TO_VALUE,
    MINIMUM_LEFTOVER,
    OPTIMAL,
    OUTAGE_AFTER,
    OWED,
    OWER,
    POOL,
    PROTOCOL_FEE,
    RESERVE_FACTOR,
    STEEP,
    SUPPLIED,
    SUPPLY_RATE,
    SURPLUS,
    THRESHOLD,
    TIME,
    TREASURY,
    TURNOVER,
    debt_at,
    price,
    purse,
    reserve,
    supply_at,
)
from l2sim.markets.lending_pool.rules import ROUNDING, borrow_rate, closable, compounded, coverable, dust, protocol_share, seized
from l2sim.markets.lending_pool.sentinel import NO_GRACE, in_grace, notice
from l2sim.markets.lending_pool.triggers import check, watch
from l2sim.transactions import Status
from l2sim.units import YEAR

INSUFFICIENT_FUNDS, NO_LIQUIDITY, NO_POSITION, NOT_LIQUIDATABLE, UNHEALTHY, INVALID, DUST, GRACE_PERIOD = (
    int(Status.INSUFFICIENT_FUNDS), int(Status.NO_LIQUIDITY), int(Status.NO_POSITION), int(Status.NOT_LIQUIDATABLE),
    int(Status.UNHEALTHY), int(Status.INVALID), int(Status.DUST), int(Status.GRACE_PERIOD),
)  # fmt: skip
SUPPLY, WITHDRAW, BORROW, REPAY, LIQUIDATE, FLASH_LOAN, FLASH_REPAY = range(7)
A_NANOSECOND = 1.0 / YEAR
"""Years."""
SMALLEST = 1e-18
"""No amount is smaller than this: one wei of ether."""
REPAID, SEIZED, SHARE, HEALTH, BAD_DEBT, TOLD = 6, 7, 10, 11, 12, 10
"""Where a liquidation leaves what its fact tells, behind account, collateral and debt: units repaid, units seized, both and the
protocol's share in US dollars, health factor before, bad debt in US dollars."""


# ---- interest


def set_rates(cells: Any, codes: Any, purses: Any, asset: int) -> None:
    """Interest rates from now on, by utilisation; debt that was written off earns nothing for those who lent it."""
    at = reserve(asset)
    debt = cells[at + BORROWED] * cells[at + BORROW_INDEX]
    if debt > 0.0:
        whole = purses[purse(codes, asset)][codes[POOL]] + debt
        rate = borrow_rate(debt / whole, cells[at + OPTIMAL], cells[at + BASE_RATE], cells[at + GENTLE], cells[at + STEEP])
        cells[at + BORROW_RATE] = rate
        cells[at + SUPPLY_RATE] = rate * debt / (whole + cells[at + DEFICIT]) * (1.0 - cells[at + RESERVE_FACTOR])
    else:
        cells[at + BORROW_RATE] = cells[at + BASE_RATE]
        cells[at + SUPPLY_RATE] = 0.0


def accrue(cells: Any, asset: int, years: float) -> None:
    """Let both indices of a reserve grow: debt compounded, supply linearly; a share of the interest is the protocol's."""
    at = reserve(asset)
    borrowed, lent, worth, owed = (
        cells[at + BORROWED], cells[at + SUPPLIED] + cells[at + TREASURY], cells[at + LIQUIDITY_INDEX], cells[at + BORROW_INDEX]
    )  # fmt: skip
    index = owed * compounded(cells[at + BORROW_RATE], years)
    grown = worth * (1.0 + cells[at + SUPPLY_RATE] * years)
    interest = borrowed * (index - owed)
    share = interest * cells[at + RESERVE_FACTOR]
    cells[at + BORROW_INDEX] = index
    cells[at + LIQUIDITY_INDEX] = grown
    cells[at + TREASURY] += share / grown
    cells[at + SURPLUS] += interest - share - lent * (grown - worth)


def begin(cells: Any, codes: Any, prices: Any, now: int) -> None:
    """Start a block: accrue interest, notice an outage, and look at who has become liquidatable."""
    elapsed = now - codes[TIME]
    if elapsed > codes[OUTAGE_AFTER] or codes[GRACE_ENDS] != NO_GRACE:
        notice(cells, codes, now, elapsed)
    if elapsed > 0:
        codes[TIME] = now
        years = elapsed * A_NANOSECOND
        for asset in range(codes[ASSETS]):
            if cells[reserve(asset) + BORROWED] > 0.0:
                accrue(cells, asset, years)
    check(cells, codes, prices)


# ---- actions


def pay(cells: Any, codes: Any, purses: Any, asset: int, account: int, amount: float) -> None:
    """Move units from an account to the pool, or from the pool to it where ``amount`` is negative."""
    code = purse(codes, asset)
    purses[code][account] -= amount
    purses[code][codes[POOL]] += amount
    cells[reserve(asset) + TURNOVER] += abs(amount)


def supply(cells: Any, codes: Any, purses: Any, prices: Any, sender: int, asset: int, amount: float, out: Any) -> int:
    """Lend units to the pool, as collateral where the asset is one."""
    if amount == inf:
        return INVALID
    if purses[purse(codes, asset)][sender] < amount:
        return INSUFFICIENT_FUNDS
    at, own = reserve(asset), supply_at(codes, sender, asset)
    scaled = amount / cells[at + LIQUIDITY_INDEX]
    pay(cells, codes, purses, asset, sender, amount)
    cells[own] += scaled
    cells[at + SUPPLIED] += scaled
    set_rates(cells, codes, purses, asset)
    watch(cells, codes, prices, sender)
    out[0] = amount
    out[1] = cells[own] * cells[at + LIQUIDITY_INDEX]
    return 0


def withdraw(cells: Any, codes: Any, purses: Any, prices: Any, sender: int, asset: int, amount: float, out: Any) -> int:
    """Take units of the own supply back."""
    at, own = reserve(asset), supply_at(codes, sender, asset)
    scaled = cells[own]
    held = scaled * cells[at + LIQUIDITY_INDEX]
    if not held > 0.0:
        return NO_POSITION
    if amount < held * (1.0 - ROUNDING):
        scaled = amount / cells[at + LIQUIDITY_INDEX]
    elif amount <= held * (1.0 + ROUNDING) or amount == inf:
        amount = held
    else:
        return INSUFFICIENT_FUNDS
    if purses[purse(codes, asset)][codes[POOL]] < amount:
        return NO_LIQUIDITY
    before = cells[own]
    cells[own] = before - scaled
    if sole_debt(cells, codes, sender) != NONE and health_factor(cells, codes, prices, sender) < 1.0:
        cells[own] = before
        return UNHEALTHY
    cells[at + SUPPLIED] -= scaled
    pay(cells, codes, purses, asset, sender, -amount)
    set_rates(cells, codes, purses, asset)
    watch(cells, codes, prices, sender)
    out[0] = amount
    out[1] = cells[own] * cells[at + LIQUIDITY_INDEX]
    return 0


def borrow(cells: Any, codes: Any, purses: Any, prices: Any, sender: int, asset: int, amount: float, out: Any) -> int:
    """Borrow units against the own supply."""
    if amount == inf:
        return INVALID
    if in_grace(codes):
        return GRACE_PERIOD
    if purses[purse(codes, asset)][codes[POOL]] < amount:
        return NO_LIQUIDITY
    at, own = reserve(asset), debt_at(codes, sender, asset)
    debt = debt_value(cells, codes, prices, sender) + amount * price(codes, prices, asset)
    # Ratios are below thresholds by more than this, so the account is healthy after.
    if debt > collateral_value(cells, codes, prices, sender, LOAN_TO_VALUE) * (1.0 + ROUNDING):
        return UNHEALTHY
    scaled = amount / cells[at + BORROW_INDEX]
    cells[own] += scaled
    cells[at + BORROWED] += scaled
    pay(cells, codes, purses, asset, sender, -amount)
    set_rates(cells, codes, purses, asset)
    watch(cells, codes, prices, sender)
    out[0] = amount
    out[1] = cells[own] * cells[at + BORROW_INDEX]
    return 0


def repay(cells: Any, codes: Any, purses: Any, prices: Any, sender: int, asset: int, amount: float, out: Any) -> int:
    """Pay units of the own debt back, at most all of it."""
    at, own = reserve(asset), debt_at(codes, sender, asset)
    scaled = cells[own]
    debt = scaled * cells[at + BORROW_INDEX]
    if not debt > 0.0:
        return NO_POSITION
    if amount < debt * (1.0 - ROUNDING):
        scaled = amount / cells[at + BORROW_INDEX]
    else:
        amount = debt
    if purses[purse(codes, asset)][sender] < amount:
        return INSUFFICIENT_FUNDS
    pay(cells, codes, purses, asset, sender, amount)
    cells[own] -= scaled
    cells[at + BORROWED] -= scaled
    set_rates(cells, codes, purses, asset)
    watch(cells, codes, prices, sender)
    out[0] = amount
    out[1] = cells[own] * cells[at + BORROW_INDEX]
    return 0


def flash_loan(cells: Any, codes: Any, purses: Any, sender: int, asset: int, amount: float, out: Any) -> int:
    """Take units that are paid back before the transaction ends. Rates do not notice."""
    if amount == inf or (codes[OWER] != 0 and codes[OWER] != sender + 1):
        return INVALID
    if purses[purse(codes, asset)][codes[POOL]] < amount:
        return NO_LIQUIDITY
    codes[OWER] = sender + 1
    cells[reserve(asset) + OWED] += amount
    pay(cells, codes, purses, asset, sender, -amount)
    out[0] = amount
    out[1] = amount * cells[FLASH_LOAN_FEE]
    return 0


def flash_repay(cells: Any, codes: Any, purses: Any, sender: int, asset: int, amount: float, out: Any) -> int:
    """Pay units of a flash loan back, at most all of it, and the fee, which is the lenders'."""
    at = reserve(asset)
    owed = cells[at + OWED]
    if codes[OWER] != sender + 1 or not owed > 0.0:
        return NO_POSITION
    left = owed - amount
    if amount >= owed * (1.0 - ROUNDING):
        amount, left = owed, 0.0
    fee = amount * cells[FLASH_LOAN_FEE]
    if purses[purse(codes, asset)][sender] < amount + fee:
        return INSUFFICIENT_FUNDS
    pay(cells, codes, purses, asset, sender, amount + fee)
    cells[at + OWED] = left
    lent = cells[at + SUPPLIED] + cells[at + TREASURY]
    if lent > 0.0:
        cells[at + LIQUIDITY_INDEX] += fee / lent
    else:
        cells[at + SURPLUS] += fee
    outstanding = 0.0
    for other in range(codes[ASSETS]):
        outstanding += cells[reserve(other) + OWED]
    if outstanding == 0.0:
        codes[OWER] = 0
    set_rates(cells, codes, purses, asset)
    out[0] = amount + fee
    out[1] = fee
    return 0


def assess(cells: Any, codes: Any, prices: Any, account: int, collateral: int, debt: int, to_repay: float, out: Any) -> int:
    """What a liquidation would come to, changing nothing: the status, and in ``out`` what its fact tells and what goes to whom."""
    at, of = reserve(collateral), reserve(debt)
    balance = cells[supply_at(codes, account, collateral)] * cells[at + LIQUIDITY_INDEX]
    owed = cells[debt_at(codes, account, debt)] * cells[of + BORROW_INDEX]
    if not owed > 0.0 or not balance > 0.0 or not cells[at + THRESHOLD] > 0.0:
        return NO_POSITION
    health = health_factor(cells, codes, prices, account)
    if not health < 1.0:
        return NOT_LIQUIDATABLE
    if not health < cells[LIQUIDATED_BELOW]:
        return GRACE_PERIOD
    p, q, bonus = price(codes, prices, collateral), price(codes, prices, debt), cells[at + BONUS]
    total = debt_value(cells, codes, prices, account)
    repaid = closable(
        health, balance * p, owed, q, total, cells[CLOSE_FACTOR], cells[CLOSE_FACTOR_HEALTH], cells[CLOSE_FACTOR_MINIMUM]
    )  # fmt: skip
    if to_repay < repaid * (1.0 - ROUNDING):
        repaid = to_repay
    repaid = min(repaid, coverable(balance, p, q, bonus))
    gross = seized(repaid, balance, p, q, bonus)
    if repaid < owed and gross < balance and dust((owed - repaid) * q, (balance - gross) * p, cells[MINIMUM_LEFTOVER]):
        return DUST
    share = protocol_share(gross, bonus, cells[at + PROTOCOL_FEE])
    out[0] = repaid
    out[1] = gross - share
    out[3] = float(account)
    out[4] = float(collateral)
    out[5] = float(debt)
    out[REPAID] = repaid
    out[SEIZED] = gross
    out[REPAID + 2] = repaid * q
    out[SEIZED + 2] = gross * p
    out[SHARE] = share * p
    out[HEALTH] = health
    out[BAD_DEBT] = 0.0
    return 0


def liquidate(
    cells: Any, codes: Any, purses: Any, prices: Any, sender: int, a: float, b: float, to_repay: float, out: Any
) -> int:  # fmt: skip
    """Repay a debt of an account that is not healthy, for its collateral and a bonus."""
    n = codes[ASSETS]
    if not (0.0 <= a < codes[CAPACITY] and 0.0 <= b < n * n and to_repay >= SMALLEST):
        return INVALID
    account, pair = int(a), int(b)
    if account != a or pair != b or account == sender or account == codes[POOL]:
        return INVALID
    collateral, debt = pair // n, pair % n
    status = assess(cells, codes, prices, account, collateral, debt, to_repay, out)
    if status != 0:
        return status
    repaid, gross, net = out[REPAID], out[SEIZED], out[1]
    if purses[purse(codes, debt)][sender] < repaid:
        return INSUFFICIENT_FUNDS
    if purses[purse(codes, collateral)][codes[POOL]] < net:
        return NO_LIQUIDITY
    at, of = reserve(collateral), reserve(debt)
    held, owed = supply_at(codes, account, collateral), debt_at(codes, account, debt)
    left, scaled = cells[held], cells[owed]
    if gross < left * cells[at + LIQUIDITY_INDEX]:
        left = gross / cells[at + LIQUIDITY_INDEX]
    if repaid < scaled * cells[of + BORROW_INDEX]:
        scaled = repaid / cells[of + BORROW_INDEX]
    pay(cells, codes, purses, debt, sender, repaid)
    pay(cells, codes, purses, collateral, sender, -net)
    cells[held] -= left
    cells[owed] -= scaled
    cells[at + SUPPLIED] -= left
    cells[of + BORROWED] -= scaled
    cells[at + TREASURY] += (gross - net) / cells[at + LIQUIDITY_INDEX]
    set_rates(cells, codes, purses, collateral)
    if debt != collateral:
        set_rates(cells, codes, purses, debt)
    if collateral_value(cells, codes, prices, account, THRESHOLD) == 0.0 and sole_debt(cells, codes, account) != NONE:
        out[BAD_DEBT] = write_off(cells, codes, purses, prices, account)
    watch(cells, codes, prices, account)
    out[2] = TOLD
    return 0


def write_off(cells: Any, codes: Any, purses: Any, prices: Any, account: int) -> float:
    """Give the debts of an account up, to the lenders' loss; what they were worth, US dollars."""
    total = 0.0
    for asset in range(codes[ASSETS]):
        at, owed = reserve(asset), debt_at(codes, account, asset)
        if cells[owed] > 0.0:
            amount = cells[owed] * cells[at + BORROW_INDEX]
            cells[at + DEFICIT] += amount
            cells[at + BORROWED] -= cells[owed]
            cells[owed] = 0.0
            set_rates(cells, codes, purses, asset)
            total += amount * price(codes, prices, asset)
    return total


def execute(
    cells: Any, codes: Any, purses: Any, prices: Any, action: int, sender: int, a: float, b: float, c: float, slippage: float,
    reference: float, out: Any,
) -> int:  # fmt: skip
    """One action."""
    if action == LIQUIDATE:
        return liquidate(cells, codes, purses, prices, sender, a, b, c, out)
    if not (0.0 <= a < codes[ASSETS] and b >= SMALLEST):
        return INVALID
    asset = int(a)
    if asset != a:
        return INVALID
    if action == SUPPLY:
        return supply(cells, codes, purses, prices, sender, asset, b, out)
    if action == WITHDRAW:
        return withdraw(cells, codes, purses, prices, sender, asset, b, out)
    if action == BORROW:
        return borrow(cells, codes, purses, prices, sender, asset, b, out)
    if action == REPAY:
        return repay(cells, codes, purses, prices, sender, asset, b, out)
    if action == FLASH_LOAN:
        return flash_loan(cells, codes, purses, sender, asset, b, out)
    return flash_repay(cells, codes, purses, sender, asset, b, out)
