"""The ledger: who holds how much of which asset where, double entry, in columns of plain numbers."""

from collections.abc import Collection, Iterator
from math import fsum
from typing import Any

import numpy as np

from l2sim.events import AccountClosed

BURNED = "burned"
GAS_TOKEN = "gas"  # noqa: S105
"""The asset that fees are paid in: ether in a purse of its own, apart from ether that is traded."""

Column = Any
"""A list of floats, or a float64 array: the same numbers either way, indexed by account."""


class BooksDoNotClose(Exception):
    """Money appeared or vanished; a run that does this must not be believed."""


class Group:
    """The accounts of one agent, market or chain."""

    def __init__(self, name: str, kind: str, section: str, accounts: range) -> None:
        self.name = name
        self.kind = kind
        self.section = section
        self.accounts = accounts


class Ledger:
    """Balances by (place, asset), each a list indexed by account; places are chains, outside venues and markets' claims."""

    def __init__(self, capacity: int, arrays: Collection[str] = ()) -> None:
        """Room for ``capacity`` accounts; balances at the places in ``arrays`` are numpy arrays, which compiled code can read."""
        self.capacity = capacity
        self._arrays = arrays
        self.groups: dict[str, Group] = {}
        self.size = 0
        self._columns: dict[tuple[str, str], Column] = {}
        self._minted: dict[tuple[str, str], list[float]] = {}
        self._opening: dict[tuple[str, str], dict[str, float]] = {}

    def open(self, name: str, kind: str, section: str, n: int = 1) -> range:
        """New accounts for a group; only before the clock starts."""
        accounts = range(self.size, self.size + n)
        self.groups[name] = Group(name, kind, section, accounts)
        self.size += n
        if self.size > self.capacity:
            raise ValueError(f"'{name}' needs {n} accounts, but the ledger has room for {self.capacity}")
        return accounts

    def column(self, place: str, asset: str) -> Column:
        """The balances of an asset at a place, indexed by account."""
        key = (place, asset)
        if key not in self._columns:
            self._columns[key] = np.zeros(self.capacity) if place in self._arrays else [0.0] * self.capacity
            self._minted[key] = []
        return self._columns[key]

    def mint(self, place: str, asset: str, account: int, amount: float) -> None:
        """Bring an amount from outside the modelled world."""
        self.column(place, asset)[account] += amount
        self._minted[place, asset].append(amount)

    def held(self, place: str, asset: str, group: str) -> float:
        """What the accounts of a group hold together."""
        accounts = self.groups[group].accounts
        return fsum(self.column(place, asset)[accounts.start : accounts.stop])

    def begin(self) -> None:
        """Remember what everybody holds at the start."""
        self._opening = {key: {name: self.held(*key, name) for name in self.groups} for key in sorted(self._columns)}

    def check(self) -> None:
        """Whether what was minted is what is held, for every asset at every place, within 1e-9 of what is at stake.

        Raises:
            BooksDoNotClose: with place, asset and the difference.
        """
        for (place, asset), column in sorted(self._columns.items()):
            minted = fsum(self._minted[place, asset])
            held = fsum(column)
            stake = max(1.0, fsum(map(abs, column)))
            if not abs(held - minted) <= 1e-9 * stake:
                raise BooksDoNotClose(f"{asset} on {place}: {minted!r} was brought in, but {held!r} is held")

    def statement(self, prices: dict[str, float]) -> Iterator[AccountClosed]:
        """What each group held at the start and holds now, the change valued at ``prices`` (USD)."""
        for (place, asset), _ in sorted(self._columns.items()):
            for name, group in sorted(self.groups.items()):
                opening = self._opening.get((place, asset), {}).get(name, 0.0)
                closing = self.held(place, asset, name)
                if opening or closing:
                    price = prices[asset]
                    yield AccountClosed(name, group.kind, place, asset, opening, closing, price, (closing - opening) * price)
