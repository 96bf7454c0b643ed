"""How much of a debt to repay, by three rules and by what a pool can take: plain functions of numbers, also for kernels."""

from l2sim.agents.arbitrageur import best_input
from l2sim.markets.lending_pool.rules import closable, permitted

ALL, TO_TARGET = range(2)
"""Rules: all that is allowed, or what restores a health factor."""
ROUNDING = 1e-12
SHORT = 1e-10
"""Relative; how much less is repaid in the first of two steps than would just make the account healthy."""


def restoring(target: float, debt: float, counted: float, threshold: float, bonus: float) -> float:
    """The value to repay after which the health factor is ``target``; 0.0 where repaying does not lead there.

    Repaying r takes r (1 + bonus) of the collateral: (counted - threshold r (1 + bonus)) / (debt - r) = target.

    Args:
        target: a health factor.
        debt: of the account, US dollars.
        counted: its collateral at the liquidation thresholds, US dollars.
        threshold, bonus: of the collateral that is seized.
    """
    slope = target - threshold * (1.0 + bonus)
    return max(0.0, (target * debt - counted) / slope) if slope > 0.0 else 0.0


def repayment(
    rule: int, target: float, most: float, health: float, debt_value: float, owed: float, debt_price: float, balance: float,
    collateral_price: float, threshold: float, bonus: float, factor: float, limit: float, minimum: float, leftover: float,
) -> float:  # fmt: skip
    """The units of one debt to repay at once, at most ``most``, without leaving dust; 0.0 where nothing can be done.

    Args:
        rule, target: ``ALL``, or ``TO_TARGET`` and the health factor.
        most: what can be paid.
        health: the account's health factor; ``debt_value`` what it owes of everything, US dollars.
        owed: of this debt, units; ``debt_price`` US dollars each.
        balance: of this collateral, units; ``collateral_price`` US dollars each, ``threshold`` and ``bonus`` its rules.
        factor, limit, minimum, leftover: the pool's rules, see ``closable`` and ``permitted``.
    """
    cap = closable(health, balance * collateral_price, owed, debt_price, debt_value, factor, limit, minimum)
    if rule == TO_TARGET:
        wanted = restoring(target, debt_value, health * debt_value, threshold, bonus) / debt_price
        if 0.0 < wanted < min(cap, most):
            repaid = permitted(wanted, owed, debt_price, balance, collateral_price, bonus, leftover)
            if repaid >= wanted * (1.0 - ROUNDING):
                return repaid
            # Less would leave dust: all that is allowed, then.
    return permitted(min(cap, most), owed, debt_price, balance, collateral_price, bonus, leftover)


def first_step(
    health: float, debt_value: float, debt_price: float, threshold: float, bonus: float, cap: float, limit: float
) -> float:  # fmt: skip
    """The largest repayment that leaves an account just liquidatable, units of the debt; 0.0 where two steps gain nothing.

    ``(D - counted) / (1 - threshold (1 + bonus))``, less a bit, because the health factor has to stay below 1 (Qin, Zhou, Gamito,
    Jovanovic, Gervais 2021, "An empirical study of DeFi liquidations", section 5.2).
    """
    if health <= limit:
        return 0.0
    first = restoring(1.0, debt_value, health * debt_value, threshold, bonus) / debt_price * (1.0 - SHORT)
    return first if first < cap else 0.0


def best_sale(proceeds: float, paid_reserve: float, got_reserve: float, fee: float, shared: bool) -> float:
    """The input that earns most where each unit of it costs ``1 / proceeds`` units of the output.

    Args:
        proceeds: units of input for each unit of output that they cost.
        paid_reserve, got_reserve: the pool's reserves of what goes in and what comes out.
        fee: the pool's.
        shared: whether the fee is taken from the output.
    """
    if shared:
        return best_input((1.0 - fee) * proceeds, paid_reserve, got_reserve, 0.0)
    return best_input(proceeds, paid_reserve, got_reserve, fee)
