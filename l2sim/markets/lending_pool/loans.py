"""Loans that exist before the clock starts, put into a pool's columns all at once."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from l2sim.markets.lending_pool import layout
from l2sim.markets.lending_pool.kernel import set_rates
from l2sim.markets.lending_pool.triggers import plant
from l2sim.state import Cells

if TYPE_CHECKING:
    from l2sim.markets.lending_pool.book import LendingPoolBook

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def bare(column: Any) -> Any:
    """The list or array that a column is kept in."""
    return column.raw if isinstance(column, Cells) else column


def balances(book: "LendingPoolBook") -> tuple[Floats, Floats]:
    """Scaled supplies and debts, shape (accounts, assets) each; to read only."""
    n, first = len(book.assets), book.codes[layout.ACCOUNTS]
    table = np.asarray(bare(book.cells)[first : first + 2 * n * book.state.capacity], np.float64).reshape(-1, 2 * n)
    return table[:, :n], table[:, n:]


def amounts(book: "LendingPoolBook", given: Mapping[str, npt.ArrayLike], n: int, what: str) -> Floats:
    """Units by account and asset, shape (n, assets)."""
    table = np.zeros((n, len(book.assets)))
    for name, units in given.items():
        if name not in book.assets:
            raise ValueError(f"market '{book.name}' has no reserve '{name}'; it has {', '.join(book.assets)}")
        column = np.broadcast_to(np.asarray(units, np.float64), (n,))
        wrong = ~(np.isfinite(column) & (column >= 0.0))
        if wrong.any():
            raise ValueError(f"market '{book.name}': {what} in {name} must be 0 or more, but is {column[wrong][0]}")
        table[:, book.assets.index(name)] = column
    return table


def establish(book: "LendingPoolBook", accounts: Ints, collateral: Mapping[str, npt.ArrayLike], debt: Mapping[str, npt.ArrayLike]) -> None:
    """See ``LendingPoolBook.establish_loans``."""
    n, capacity = len(book.assets), book.state.capacity

    def field(which: int) -> Floats:
        return np.array([book.cells[layout.reserve(asset) + which] for asset in range(n)])

    prices = np.array([layout.price(book.codes, book.state.prices, asset) for asset in range(n)])
    worth, owed = prices * field(layout.LIQUIDITY_INDEX), prices * field(layout.BORROW_INDEX)
    supplies = amounts(book, collateral, len(accounts), "collateral") / field(layout.LIQUIDITY_INDEX)
    debts = amounts(book, debt, len(accounts), "debt") / field(layout.BORROW_INDEX)
    if np.bincount(accounts).max(initial=0) > 1 or any(table[accounts].any() for table in balances(book)):
        raise ValueError(f"market '{book.name}': an account is given a loan twice")

    # The same arithmetic as in ``health``, for all at once.
    counts = supplies * field(layout.THRESHOLD)
    pairs = np.count_nonzero(counts, axis=1) * np.count_nonzero(debts, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        health = np.where(debts.any(axis=1), (counts * worth).sum(axis=1) / (debts * owed).sum(axis=1), np.inf)
    heaps: list[tuple[int, Ints, Floats]] = []
    for pair in range(n * n):
        c, d = divmod(pair, n)
        having, level = np.flatnonzero((counts[:, c] > 0.0) & (debts[:, d] > 0.0)), worth[c] / owed[d]
        if len(having):
            sole, trigger = pairs[having] == 1, debts[having, d] / counts[having, c]
            health[having[sole]] = level / trigger[sole]
            heaps.append((2 * pair, 1 + pair * capacity + accounts[having], -np.where(sole, trigger, level / health[having])))
    if not (health >= 1.0).all():
        raise ValueError(
            f"market '{book.name}': {np.count_nonzero(health < 1.0)} of {len(accounts)} loans could be liquidated at once, the worst with "
            f"a health factor of {health.min():.4g}: bring more collateral, or less debt"
        )

    _write(book, accounts, np.hstack((supplies, debts)), heaps)
    for asset in range(n):
        at, borrowed = layout.reserve(asset), float(debts[:, asset].sum())
        lent = borrowed * book.cells[at + layout.BORROW_INDEX] / book.cells[at + layout.LIQUIDITY_INDEX]
        book.cells[at + layout.BORROWED] += borrowed
        book.cells[at + layout.SUPPLIED] += float(supplies[:, asset].sum()) + lent
        book.cells[layout.supply_at(book.codes, book.account, asset)] += lent
        set_rates(book.cells, book.codes, book.state.purses, asset)


def _put(column: Any, places: Ints, numbers: npt.NDArray[Any]) -> None:
    """Write numbers at places of a column; of a list only the part around them is copied."""
    raw = bare(column)
    if not isinstance(raw, list):
        raw[places] = numbers
    elif len(places):
        first, stop = int(places.min()), int(places.max()) + 1
        part = np.array(raw[first:stop])
        part[places - first] = numbers
        raw[first:stop] = part.tolist()


def _write(book: "LendingPoolBook", accounts: Ints, table: Floats, heaps: list[tuple[int, Ints, Floats]]) -> None:
    """Write balances of accounts, shape (n, 2 assets), and heaps of new nodes: which, the nodes, and their keys."""
    width, codes = table.shape[1], book.codes
    first_account, first_key, first_link = (int(codes[which]) for which in (layout.ACCOUNTS, layout.KEYS, layout.LINKS))
    _put(book.cells, (first_account + width * accounts[:, None] + np.arange(width)).ravel(), table.ravel())
    firsts = []
    for heap, nodes, keys in heaps:
        chain = nodes[np.lexsort((nodes, keys))]
        _put(book.cells, first_key + nodes, keys)
        links = first_link + 3 * chain
        _put(codes, np.concatenate((links[:-1] + layout.CHILD, links[1:] + layout.PREVIOUS)), np.concatenate((chain[1:], chain[:-1])))
        firsts.append((heap, int(chain[0])))
    for heap, first in firsts:
        plant(book.cells, book.codes, heap, first)
