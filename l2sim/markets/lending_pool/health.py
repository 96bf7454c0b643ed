"""What an account is worth to a pool, and whether it may be liquidated: scalar functions, for kernels."""

from math import inf
from typing import Any

from l2sim.markets.lending_pool.layout import (
    ACCOUNTS,
    ASSETS,
    BORROW_INDEX,
    LIQUIDITY_INDEX,
    THRESHOLD,
    debt_at,
    price,
    reserve,
    supply_at,
)

SEVERAL, NO_DEBT = -1, -2


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


def sole_pair(cells: Any, codes: Any, account: int) -> int:
    """An account's one pair, ``collateral * assets + debt``; ``SEVERAL`` where it has more than one of either, or ``NO_DEBT``."""
    n = codes[ASSETS]
    at = codes[ACCOUNTS] + 2 * n * account
    collateral, debt, several = -1, -1, False
    for asset in range(n):
        if cells[at + n + asset] > 0.0:
            several = several or debt >= 0
            debt = asset
        if cells[at + asset] > 0.0 and cells[reserve(asset) + THRESHOLD] > 0.0:
            several = several or collateral >= 0
            collateral = asset
    if debt < 0:
        return NO_DEBT
    pair: int = collateral * n + debt
    return SEVERAL if several or collateral < 0 else pair


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
    pair = sole_pair(cells, codes, account)
    if pair == NO_DEBT:
        return inf
    if pair == SEVERAL:
        return collateral_value(cells, codes, prices, account, THRESHOLD) / debt_value(cells, codes, prices, account)
    collateral, debt = pair // codes[ASSETS], pair % codes[ASSETS]
    return ratio(cells, codes, prices, collateral, debt) / trigger(cells, codes, account, collateral, debt)
