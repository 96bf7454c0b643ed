"""What an account is worth to a pool, and whether it may be liquidated: scalar functions, for kernels."""

from math import inf
from typing import Any

from l2sim.markets.lending_pool.layout import (
    ASSETS,
    BORROW_INDEX,
    LIQUIDITY_INDEX,
    THRESHOLD,
    debt_at,
    price,
    reserve,
    supply_at,
)

NONE, SEVERAL = -1, -2


def collateral_value(cells: Any, codes: Any, prices: Any, account: int, weight: int) -> float:
    """What an account's collateral counts, US dollars; ``weight`` is the field of the reserve that it is weighted with."""
    total = 0.0
    for asset in range(codes[ASSETS]):
        scaled = cells[supply_at(codes, account, asset)]
        if scaled > 0.0:
            at = reserve(asset)
            total += scaled * cells[at + LIQUIDITY_INDEX] * price(codes, prices, asset) * cells[at + weight]
    return total


def debt_value(cells: Any, codes: Any, prices: Any, account: int) -> float:
    """What an account owes, US dollars."""
    total = 0.0
    for asset in range(codes[ASSETS]):
        scaled = cells[debt_at(codes, account, asset)]
        if scaled > 0.0:
            total += scaled * cells[reserve(asset) + BORROW_INDEX] * price(codes, prices, asset)
    return total


def ratio(cells: Any, codes: Any, prices: Any, collateral: int, debt: int) -> float:
    """What a scaled unit of a supply is worth, in scaled units of a debt."""
    worth: float = price(codes, prices, collateral) * cells[reserve(collateral) + LIQUIDITY_INDEX]
    owed: float = price(codes, prices, debt) * cells[reserve(debt) + BORROW_INDEX]
    return worth / owed


def sole_collateral(cells: Any, codes: Any, account: int) -> int:
    """The one collateral of an account, ``NONE`` or ``SEVERAL``."""
    found, at = NONE, supply_at(codes, account, 0)
    for asset in range(codes[ASSETS]):
        if cells[at + asset] > 0.0 and cells[reserve(asset) + THRESHOLD] > 0.0:
            found = asset if found == NONE else SEVERAL
    return found


def sole_debt(cells: Any, codes: Any, account: int) -> int:
    """The one asset that an account owes, ``NONE`` or ``SEVERAL``."""
    found, at = NONE, debt_at(codes, account, 0)
    for asset in range(codes[ASSETS]):
        if cells[at + asset] > 0.0:
            found = asset if found == NONE else SEVERAL
    return found


def trigger(cells: Any, codes: Any, account: int, collateral: int, debt: int) -> float:
    """The number K that neither prices nor interest change: ``debt / (supply x threshold)``, both scaled.

    An account with this collateral and this debt alone has the health factor ``ratio / K``, so it may be liquidated iff the ratio is
    less than K.
    """
    counts: float = cells[supply_at(codes, account, collateral)] * cells[reserve(collateral) + THRESHOLD]
    owed: float = cells[debt_at(codes, account, debt)]
    return owed / counts


def health_factor(cells: Any, codes: Any, prices: Any, account: int) -> float:
    """Collateral at its liquidation thresholds over debt; less than 1 may be liquidated; infinite without debt."""
    collateral, debt = sole_collateral(cells, codes, account), sole_debt(cells, codes, account)
    if debt == NONE:
        return inf
    if debt == SEVERAL or collateral < 0:
        return collateral_value(cells, codes, prices, account, THRESHOLD) / debt_value(cells, codes, prices, account)
    return ratio(cells, codes, prices, collateral, debt) / trigger(cells, codes, account, collateral, debt)
