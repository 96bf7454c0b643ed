"""Aave's arithmetic of liquidations as its contracts do it, in whole numbers; the pool's floats are held against it.

Values are in 1e-8 US dollars, shares in basis points, health factors in 1e-18, amounts in the smallest unit of their asset.
Source: aave-v3-origin at fd1fbd91 (v3.3 and later), PercentageMath.sol, WadRayMath.sol, GenericLogic.sol, LiquidationLogic.sol.
"""

from collections.abc import Iterable

WAD = 10**18
WHOLE = 10_000
"""100 % in basis points."""


def percent_mul(value: int, share: int) -> int:
    """A share of a value, rounded half up."""
    return (value * share + WHOLE // 2) // WHOLE


def percent_div(value: int, share: int) -> int:
    """The value of which this is a share, rounded half up."""
    return (value * WHOLE + share // 2) // share


def wad_div(a: int, b: int) -> int:
    """A quotient in 1e-18, rounded half up."""
    return (a * WAD + b // 2) // b


def health_factor(collateral: Iterable[tuple[int, int]], debt: int) -> int:
    """The health factor of collaterals, each its value and its liquidation threshold, for the value of all debts."""
    return wad_div(sum(value * threshold for value, threshold in collateral), debt) // WHOLE


def max_liquidatable_debt(
    health: int, collateral: int, debt: int, total_debt: int, debt_units: int, unit: int, price: int,
    factor: int = 5_000, limit: int = 95 * 10**16, minimum: int = 2_000 * 10**8,
) -> int:  # fmt: skip
    """The most of a debt that one liquidation may repay, in units of it; ``collateral``, ``debt`` and ``total_debt`` are values."""
    if collateral >= minimum and debt >= minimum and health > limit:
        closable = percent_mul(total_debt, factor)
        if debt > closable:
            return closable * unit // price
    return debt_units


def liquidation_amounts(
    to_cover: int, balance: int, collateral_price: int, collateral_unit: int, debt_price: int, debt_unit: int, bonus: int, protocol_fee: int
) -> tuple[int, int, int]:
    """Collateral to the liquidator, debt that is repaid, and collateral to the protocol; ``bonus`` is 10500 for 5 %."""
    covered = debt_price * to_cover * collateral_unit // (collateral_price * debt_unit)
    amount, repaid = percent_mul(covered, bonus), to_cover
    if amount > balance:
        amount = balance
        repaid = percent_div(collateral_price * amount * debt_unit // (debt_price * collateral_unit), bonus)
    fee = percent_mul(amount - percent_div(amount, bonus), protocol_fee) if protocol_fee else 0
    return amount - fee, repaid, fee
