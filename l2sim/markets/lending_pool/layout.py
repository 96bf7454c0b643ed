"""Where a pool keeps its numbers: offsets into its cells and codes, fixed when it opens."""

from typing import Any

(
    POOL, ASSETS, CAPACITY, TIME, CALLS, OWER, ACCOUNTS, KEYS, ROOTS, OVERDUE, HISTORY, LINKS, GRACE, OUTAGE_AFTER, GRACE_ENDS,
    SOURCES,
) = range(16)  # fmt: skip
"""Codes: the pool's ledger account, how many assets and accounts there are, the last block (ns), how many accounts have become
liquidatable, who owes a flash loan (its account + 1, or 0), where things begin in cells (balances, keys of nodes) and in codes (roots
of heaps, whether an account is overdue, the history of accounts that became liquidatable, links of nodes), how long a grace period is,
beyond which gap between blocks there was an outage, when the present grace period ends (ns; see ``sentinel``), and then for each asset
the code of its purse and the slot of its price."""

(
    CLOSE_FACTOR, CLOSE_FACTOR_HEALTH, CLOSE_FACTOR_MINIMUM, MINIMUM_LEFTOVER, FLASH_LOAN_FEE, GRACE_THRESHOLD, LIQUIDATED_BELOW,
    RESERVES,
) = range(8)  # fmt: skip
"""Cells: the pool's rules, the health factor below which an account may be liquidated now (1, in a grace period less), and where its
reserves begin."""

(
    LOAN_TO_VALUE, THRESHOLD, BONUS, PROTOCOL_FEE, OPTIMAL, BASE_RATE, GENTLE, STEEP, RESERVE_FACTOR,
    LIQUIDITY_INDEX, BORROW_INDEX, SUPPLY_RATE, BORROW_RATE, SUPPLIED, BORROWED, TREASURY, SURPLUS, DEFICIT, OWED, TURNOVER,
    FIELDS,
) = range(21)  # fmt: skip
"""Cells of one reserve: its rules, with interest per unit of utilisation below and above the optimum; what a scaled unit of supply and
of debt is worth; rates a year; scaled supply and debt of all accounts, and the protocol's scaled supply; units that the pool has
beyond what it owes, that it lacks after bad debt, that are out as a flash loan, and that have been moved so far."""

CHILD, NEXT, PREVIOUS = range(3)
"""Links of a node: its first child, the sibling after it, and the sibling before it or, of a first child, the parent."""


def reserve(asset: int) -> int:
    """Where in cells a reserve begins."""
    return RESERVES + FIELDS * asset


def purse(codes: Any, asset: int) -> int:
    """The code of an asset on the chain."""
    code: int = codes[SOURCES + 2 * asset]
    return code


def price(codes: Any, prices: Any, asset: int) -> float:
    """The price of an asset, US dollars."""
    found: float = prices[codes[SOURCES + 2 * asset + 1]]
    return found


def supply_at(codes: Any, account: int, asset: int) -> int:
    """Where in cells an account's scaled supply is."""
    at: int = codes[ACCOUNTS] + 2 * codes[ASSETS] * account + asset
    return at


def debt_at(codes: Any, account: int, asset: int) -> int:
    """Where in cells an account's scaled debt is."""
    at: int = codes[ACCOUNTS] + codes[ASSETS] * (2 * account + 1) + asset
    return at
