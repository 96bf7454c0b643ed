"""Aave's rules of liquidation and interest in floating point, as plain functions of numbers.

Source: aave-v3-origin at fd1fbd91 (v3.3 and later), LiquidationLogic.sol, DefaultReserveInterestRateStrategyV2.sol, MathUtils.sol.
"""

ROUNDING = 1e-12
"""Amounts nearer to the whole than this share of it are the whole."""


def closable(
    health: float, collateral: float, debt: float, price: float, total_debt: float, factor: float, limit: float, minimum: float
) -> float:
    """The most of a debt that one liquidation may repay, in units of it.

    All of it; but where the health factor is above ``limit`` and both this collateral and this debt are worth ``minimum`` or more, at
    most what is worth the close factor ``factor`` times the total debt.

    Args:
        collateral: what the account has of the collateral, US dollars.
        debt: what it owes of the debt, units; ``price`` US dollars each.
        total_debt: what it owes of everything, US dollars.
    """
    if collateral >= minimum and debt * price >= minimum and health > limit and debt * price > total_debt * factor:
        return total_debt * factor / price
    return debt


def coverable(balance: float, collateral_price: float, debt_price: float, bonus: float) -> float:
    """Units of debt for which all of a collateral is seized."""
    return balance * collateral_price / (debt_price * (1.0 + bonus))


def seized(repaid: float, balance: float, collateral_price: float, debt_price: float, bonus: float) -> float:
    """Units of collateral that repaying so much of a debt takes, the protocol's share of the bonus included."""
    if repaid >= coverable(balance, collateral_price, debt_price, bonus) * (1.0 - ROUNDING):
        return balance
    return repaid * debt_price / collateral_price * (1.0 + bonus)


def protocol_share(gross: float, bonus: float, fee: float) -> float:
    """What of seized collateral goes to the protocol: a share ``fee`` of the bonus."""
    return (gross - gross / (1.0 + bonus)) * fee


def permitted(cap: float, debt: float, debt_price: float, balance: float, collateral_price: float, bonus: float, leftover: float) -> float:
    """The most of a debt that may be repaid at once without leaving dust, given what the close factor allows (``cap``), units.

    Either all debt or all collateral goes, or both that stay are worth ``leftover`` or more. 0 where nothing is permitted.
    """
    most = coverable(balance, collateral_price, debt_price, bonus)
    repaid = min(cap, most)
    if repaid >= debt or repaid >= most:
        return repaid
    room = min(debt - leftover / debt_price, (balance * collateral_price - leftover) / (debt_price * (1.0 + bonus)))
    return max(0.0, min(repaid, room))


def dust(debt: float, balance: float, leftover: float) -> bool:
    """Whether a debt and a collateral that would stay, both in US dollars, are too little."""
    return debt < leftover * (1.0 - ROUNDING) or balance < leftover * (1.0 - ROUNDING)


def borrow_rate(utilization: float, optimal: float, base: float, gentle: float, steep: float) -> float:
    """What debt costs a year: ``base``, ``gentle`` for each unit of utilisation up to the optimum, and ``steep`` for each beyond."""
    if utilization <= optimal:
        return base + gentle * utilization
    return base + gentle * optimal + steep * (utilization - optimal)


def compounded(rate: float, years: float) -> float:
    """The factor by which debt grows: three terms of the exponential."""
    x = rate * years
    return 1.0 + x + x * x * (0.5 + x / 6.0)
