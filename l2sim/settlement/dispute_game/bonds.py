"""Bonds: what a claim at a depth of a game takes, as the contract works it out in fixed-point numbers.

Source: optimism, packages/contracts-bedrock/src/dispute/FaultDisputeGame.sol, ``getRequiredBond``: bonds rise geometrically from
a lowest to a highest amount of gas, paid at an assumed base fee.
"""

from decimal import ROUND_FLOOR, Context, Decimal
from functools import lru_cache

_WAD = 10**18
_EXACT = Context(prec=80, rounding=ROUND_FLOOR)


def _ln(wad: int) -> int:
    """The natural logarithm of a number with 18 decimals, rounded down to as many."""
    return int(_EXACT.multiply(_EXACT.ln(Decimal(wad) / _WAD), Decimal(_WAD)).to_integral_value(ROUND_FLOOR))


def _exp(wad: int) -> int:
    """The exponential of a number with 18 decimals, rounded down to as many."""
    return int(_EXACT.multiply(_EXACT.exp(_EXACT.divide(Decimal(wad), Decimal(_WAD))), Decimal(_WAD)).to_integral_value(ROUND_FLOOR))


@lru_cache(maxsize=4096)
def required_bond(depth: int, max_depth: int, base_fee: int, base_gas: int, high_gas: int) -> int:
    """The bond of a claim at a depth, wei: the base fee times floor(base gas x (high gas / base gas) ^ (depth / greatest depth)).

    Each intermediate result is rounded down to 18 decimals, as in the contract; so is the ratio, to a whole number.

    Args:
        depth: of the claim, 0 for the root.
        max_depth: the greatest there is.
        base_fee: assumed, wei per gas.
        base_gas: charged at depth 0.
        high_gas: charged at the greatest depth, but for rounding.
    """
    exponent = _ln(high_gas // base_gas * _WAD) * (_WAD // max_depth) // _WAD
    base = _exp(exponent)
    power = _exp(_ln(base) * depth)
    return base_fee * (base_gas * power // _WAD)
