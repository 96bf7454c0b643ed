"""The ledger: who holds how much of which asset where, double entry, in columns of plain numbers."""

from collections.abc import Iterator
from math import fsum
from typing import Any

import numpy as np

from l2sim.events import AccountClosed
from l2sim.state import State

BURNED = "burned"
EXPENSES = "expenses"
"""Where goes what is paid to nobody in the model: computers and their power."""
GAS_TOKEN = "gas"  # noqa: S105
"""The asset that fees are paid in: ether in a purse of its own, apart from ether that is traded."""


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
    """Balances by (place, asset), each a column indexed by account; places are chains and outside venues."""

    def __init__(self, capacity: int) -> None:
        """Room for ``capacity`` accounts."""
        self.capacity = capacity
        self.groups: dict[str, Group] = {}
        self.size = 0
        self.states: dict[str, State] = {}
        """The state of each place; its balances are among its columns."""
        self._minted: dict[tuple[str, str], list[float]] = {}
        self._opening: dict[tuple[str, str], dict[str, float]] = {}

    def found(self, place: str, state: State) -> State:
        """Make a place known, with the state that keeps its balances."""
        self.states[place] = state
        return state

    def open(self, name: str, kind: str, section: str, n: int = 1) -> range:
        """New accounts for a group; only before the clock starts."""
        accounts = range(self.size, self.size + n)
        self.groups[name] = Group(name, kind, section, accounts)
        self.size += n
        if self.size > self.capacity:
            raise ValueError(f"'{name}' needs {n} accounts, but the ledger has room for {self.capacity}")
        return accounts

    def column(self, place: str, asset: str) -> Any:
        """The balances of an asset at a place, indexed by account."""
        state = self.states[place]
        return state.purses[state.purse(asset)]

    def _columns(self) -> list[tuple[str, str]]:
        return sorted((place, asset) for place, state in self.states.items() for asset in state.assets)

    def mint(self, place: str, asset: str, account: int, amount: float) -> None:
        """Bring an amount from outside the modelled world."""
        self.column(place, asset)[account] += amount
        self._minted.setdefault((place, asset), []).append(amount)

    def bring(self, place: str, asset: str, amount: float) -> None:
        """Note that an amount comes from outside the modelled world, which is credited apart from this."""
        self._minted.setdefault((place, asset), []).append(amount)

    def held(self, place: str, asset: str, group: str) -> float:
        """What the accounts of a group hold together."""
        accounts = self.groups[group].accounts
        return fsum(self.column(place, asset)[accounts.start : accounts.stop])

    def begin(self) -> None:
        """Remember what everybody holds at the start."""
        self._opening = {key: {name: self.held(*key, name) for name in self.groups} for key in self._columns()}

    def check(self) -> None:
        """Whether what was minted is what is held, for every asset at every place, within 1e-9 of what is at stake.

        Raises:
            BooksDoNotClose: with place, asset and the difference.
        """
        for place, asset in self._columns():
            column = np.asarray(self.states[place].raw[f"balances/{asset}"])
            minted = fsum(self._minted.get((place, asset), ()))
            held, stake = float(column.sum()), max(1.0, float(abs(column).sum()))
            if not abs(held - minted) <= 1e-9 * stake:
                raise BooksDoNotClose(f"{asset} on {place}: {minted!r} was brought in, but {held!r} is held")

    def statement(self, prices: dict[str, float]) -> Iterator[AccountClosed]:
        """What each group held at the start and holds now, the change valued at ``prices`` (USD)."""
        for place, asset in self._columns():
            for name, group in sorted(self.groups.items()):
                opening = self._opening.get((place, asset), {}).get(name, 0.0)
                closing = self.held(place, asset, name)
                if opening or closing:
                    price = prices[asset]
                    yield AccountClosed(name, group.kind, place, asset, opening, closing, price, (closing - opening) * price)
