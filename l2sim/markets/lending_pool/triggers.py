"""Which accounts may be liquidated, at a cost that depends on how many become so, not on how many there are.

For each pair of a collateral and a debt there are two heaps: of accounts that wait, the first to be triggered on top, and of accounts
that are overdue, the first to recover on top. A block compares the level of the pair (``level``) with the two on top. Overdue is who may be
liquidated: whose health factor is below 1, or in a grace period below less; ratios and health factors count relative to that.

An account with one collateral and one debt has its trigger K for a key, and the comparison decides. One with several has a node in
each of its pairs, with the key ``level / health factor`` as of when it was last looked at: a health factor H cannot have fallen below
1 before the level of some pair has fallen by H, nor have risen to 1 before one has risen so. When that bound is used up, the account
is looked at and gets new keys. A key may be more cautious than it need be: what makes an account healthier leaves its keys alone.

The heaps are pairing heaps (Fredman, Sedgewick, Sleator, Tarjan 1986), their nodes linked in place: node ``1 + pair * accounts +
account``, so nothing is ever made or moved (32 bytes a node, for every pair and account), and a sorted array is loaded as a chain.
"""

from typing import Any

from l2sim.markets.lending_pool.health import NONE, SEVERAL, collateral_value, debt_value, ratio, sole_collateral, sole_debt, trigger
from l2sim.markets.lending_pool.layout import (
    ASSETS,
    CALLS,
    CAPACITY,
    CHILD,
    HISTORY,
    KEYS,
    LINKS,
    LIQUIDATED_BELOW,
    NEXT,
    OVERDUE,
    PREVIOUS,
    ROOTS,
    THRESHOLD,
    debt_at,
    reserve,
    supply_at,
)

ROOT = -1
"""What precedes a root; 0 precedes a node that is in no heap."""


def level(cells: Any, codes: Any, prices: Any, collateral: int, debt: int) -> float:
    """The ratio of a pair, relative to the health factor below which an account may be liquidated now."""
    found: float = ratio(cells, codes, prices, collateral, debt) / cells[LIQUIDATED_BELOW]
    return found


def meld(cells: Any, codes: Any, a: int, b: int) -> int:
    """One tree of two: its root. Equal keys go by node, so that the order never depends on what was in the heap before."""
    if a == 0:
        return b
    if b == 0:
        return a
    keys, links = codes[KEYS], codes[LINKS]
    x, y = cells[keys + a], cells[keys + b]
    if y < x or (y == x and b < a):
        a, b = b, a
    first = codes[links + 3 * a + CHILD]
    codes[links + 3 * b + NEXT] = first
    codes[links + 3 * b + PREVIOUS] = a
    if first != 0:
        codes[links + 3 * first + PREVIOUS] = b
    codes[links + 3 * a + CHILD] = b
    return a


def fuse(cells: Any, codes: Any, first: int) -> int:
    """One tree of siblings: pairs from left to right, and these from right to left."""
    links = codes[LINKS]
    pile = 0
    while first != 0:
        a = first
        b = codes[links + 3 * a + NEXT]
        first = 0
        if b != 0:
            first = codes[links + 3 * b + NEXT]
            a = meld(cells, codes, a, b)
        codes[links + 3 * a + NEXT] = pile
        pile = a
    tree = 0
    while pile != 0:
        a = pile
        pile = codes[links + 3 * a + NEXT]
        codes[links + 3 * a + NEXT] = 0
        tree = meld(cells, codes, tree, a)
    return tree


def cut(codes: Any, node: int) -> None:
    """Take a node that is no root, and what is below it, out of its tree."""
    links = codes[LINKS]
    before, after = codes[links + 3 * node + PREVIOUS], codes[links + 3 * node + NEXT]
    if codes[links + 3 * before + CHILD] == node:
        codes[links + 3 * before + CHILD] = after
    else:
        codes[links + 3 * before + NEXT] = after
    if after != 0:
        codes[links + 3 * after + PREVIOUS] = before
        codes[links + 3 * node + NEXT] = 0


def plant(cells: Any, codes: Any, heap: int, tree: int) -> None:
    """Join a tree to a heap."""
    at = codes[ROOTS] + heap
    root = meld(cells, codes, codes[at], tree)
    codes[at] = root
    codes[codes[LINKS] + 3 * root + PREVIOUS] = ROOT


def place(cells: Any, codes: Any, heap: int, node: int, key: float) -> None:
    """Enter a node into a heap, or bring it forward in it; where it is further forward already, it stays."""
    before = codes[codes[LINKS] + 3 * node + PREVIOUS]
    if before == 0:
        cells[codes[KEYS] + node] = key
        plant(cells, codes, heap, node)
    elif key < cells[codes[KEYS] + node]:
        cells[codes[KEYS] + node] = key
        if before != ROOT:
            cut(codes, node)
            plant(cells, codes, heap, node)


def remove(cells: Any, codes: Any, heap: int, node: int) -> None:
    """Take a node out of its heap."""
    links, at = codes[LINKS] + 3 * node, codes[ROOTS] + heap
    rest = fuse(cells, codes, codes[links + CHILD])
    if codes[links + PREVIOUS] != ROOT:
        cut(codes, node)
        rest = meld(cells, codes, codes[at], rest)
    codes[at] = rest
    if rest != 0:
        codes[codes[LINKS] + 3 * rest + PREVIOUS] = ROOT
    codes[links + CHILD] = 0
    codes[links + PREVIOUS] = 0


def turn(cells: Any, codes: Any, account: int, overdue: int) -> None:
    """An account has become overdue (1) or has ceased to be (0): take it out of the heaps that it was in, and note the former."""
    n, at = codes[ASSETS], codes[OVERDUE] + account
    for pair in range(n * n):
        node = 1 + pair * codes[CAPACITY] + account
        if codes[codes[LINKS] + 3 * node + PREVIOUS] != 0:
            remove(cells, codes, 2 * pair + codes[at], node)
    codes[at] = overdue
    if overdue == 1:
        codes[codes[HISTORY] + codes[CALLS] % codes[CAPACITY]] = account
        codes[CALLS] += 1


def watch(cells: Any, codes: Any, prices: Any, account: int) -> None:
    """Put an account that has changed, or has to be looked at, where it belongs."""
    was, debt = codes[codes[OVERDUE] + account], sole_debt(cells, codes, account)
    if debt == NONE:
        if was == 1:
            turn(cells, codes, account, 0)
        return
    n, capacity, collateral = codes[ASSETS], codes[CAPACITY], sole_collateral(cells, codes, account)
    if debt != SEVERAL and collateral >= 0:
        key = trigger(cells, codes, account, collateral, debt)
        overdue = 1 if level(cells, codes, prices, collateral, debt) < key else 0
        if overdue != was:
            turn(cells, codes, account, overdue)
        pair = collateral * n + debt
        place(cells, codes, 2 * pair + overdue, 1 + pair * capacity + account, key if overdue == 1 else -key)
        return
    health = collateral_value(cells, codes, prices, account, THRESHOLD) / debt_value(cells, codes, prices, account)
    # Divided, not compared with the limit: so a key made of it is on the right side of the level, whatever the rounding.
    health = health / cells[LIQUIDATED_BELOW]
    overdue = 1 if health < 1.0 else 0
    if overdue != was:
        turn(cells, codes, account, overdue)
    for collateral in range(n):
        if cells[supply_at(codes, account, collateral)] > 0.0 and cells[reserve(collateral) + THRESHOLD] > 0.0:
            for debt in range(n):
                if cells[debt_at(codes, account, debt)] > 0.0:
                    pair = collateral * n + debt
                    key = level(cells, codes, prices, collateral, debt) / health
                    place(cells, codes, 2 * pair + overdue, 1 + pair * capacity + account, key if overdue == 1 else -key)


def check(cells: Any, codes: Any, prices: Any) -> None:
    """Look at whoever may have become liquidatable, or may have recovered, at these prices."""
    n, capacity, keys, roots = codes[ASSETS], codes[CAPACITY], codes[KEYS], codes[ROOTS]
    for pair in range(n * n):
        waiting, overdue = roots + 2 * pair, roots + 2 * pair + 1
        if codes[waiting] == 0 and codes[overdue] == 0:
            continue
        now = level(cells, codes, prices, pair // n, pair % n)
        while codes[waiting] != 0 and now < -cells[keys + codes[waiting]]:
            node = codes[waiting]
            remove(cells, codes, 2 * pair, node)
            watch(cells, codes, prices, node - 1 - pair * capacity)
        while codes[overdue] != 0 and now >= cells[keys + codes[overdue]]:
            node = codes[overdue]
            remove(cells, codes, 2 * pair + 1, node)
            watch(cells, codes, prices, node - 1 - pair * capacity)
