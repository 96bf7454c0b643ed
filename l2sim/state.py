"""State: all that the blocks of a chain can change, in named columns of numbers, with a journal of what was overwritten.

A chain's state is a deterministic function of its ordered inputs. Where transactions of several steps, reorganisations or
disputes need it, every old value goes into one journal over balances and books alike; everywhere else columns are plain
lists or arrays, and nobody pays for it.
"""

import struct
from collections.abc import Collection, Iterator, MutableMapping
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

ASSETS = 16
"""Most assets on one chain whose balances are arrays."""
_MODULUS = 1 << 256
_NUMPY = np.generic, np.ndarray


class Absent:
    """The value of what is not there; it counts as nothing in a digest."""


ABSENT = Absent()


class Old(NamedTuple):
    """A value before it was overwritten."""

    store: "Cells | Entries"
    key: int
    value: Any


class Journal:
    """Old values, the latest last. A mark is a place in it that stays valid until what lies before it is forgotten."""

    __slots__ = ("_forgotten", "entries")

    def __init__(self) -> None:
        self.entries: list[tuple[Any, int, Any]] = []
        self._forgotten = 0

    def mark(self) -> int:
        """The present, to come back to."""
        return self._forgotten + len(self.entries)

    def since_start(self) -> int:
        """The earliest mark that is still valid."""
        return self._forgotten

    def since(self, mark: int) -> list[tuple[Any, int, Any]]:
        """Entries made after a mark: store, key, old value."""
        return self.entries[mark - self._forgotten :]

    def undo(self, mark: int) -> list[tuple[str, int]]:
        """Give everything the value it had at a mark; names of columns and keys that were touched, each once."""
        entries, keep = self.entries, mark - self._forgotten
        touched: dict[tuple[str, int], None] = {}
        while len(entries) > keep:
            store, key, old = entries.pop()
            touched[store.name, key] = None
            if old is ABSENT:
                del store.raw[key]
            else:
                store.raw[key] = old
        return list(touched)

    def forget(self, mark: int) -> None:
        """Never go back behind a mark."""
        drop = mark - self._forgotten
        if drop > 0:
            del self.entries[:drop]
            self._forgotten = mark


class Cells:
    """A column as Python code sees it: plain numbers in and out, old values into the journal where there is one."""

    __slots__ = ("_log", "name", "raw")

    def __init__(self, name: str, raw: Any, journal: Journal | None) -> None:
        self.name = name
        self.raw = raw
        self._log = None if journal is None else journal.entries.append

    def __getitem__(self, key: Any) -> Any:
        value = self.raw[key]
        return value.tolist() if isinstance(value, _NUMPY) else value

    def __setitem__(self, key: int, value: Any) -> None:
        if self._log is not None:
            self._log((self, key, self[key]))
        self.raw[key] = value

    def __len__(self) -> int:
        return len(self.raw)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.raw.tolist() if isinstance(self.raw, np.ndarray) else self.raw)


class Entries(MutableMapping[int, Any]):
    """A mapping from numbers to numbers or tuples of numbers, old values into the journal. Its order is that of insertion."""

    __slots__ = ("_log", "name", "raw")

    def __init__(self, name: str, raw: dict[int, Any], journal: Journal) -> None:
        self.name = name
        self.raw = raw
        self._log = journal.entries.append

    def __getitem__(self, key: int) -> Any:
        return self.raw[key]

    def get(self, key: int, default: Any = None) -> Any:
        return self.raw.get(key, default)

    def __setitem__(self, key: int, value: Any) -> None:
        self._log((self, key, self.raw.get(key, ABSENT)))
        self.raw[key] = value

    def __delitem__(self, key: int) -> None:
        self._log((self, key, self.raw[key]))
        del self.raw[key]

    def __iter__(self) -> Iterator[int]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __contains__(self, key: object) -> bool:
        return key in self.raw


class Overlay:
    """A column to try things on: what is written to it is read back from it, and the column stays as it is."""

    __slots__ = ("_over", "_under")

    def __init__(self, under: Any) -> None:
        self._under = under
        self._over: dict[int, Any] = {}

    def __getitem__(self, key: int) -> Any:
        return self._over[key] if key in self._over else self._under[key]

    def __setitem__(self, key: int, value: Any) -> None:
        self._over[key] = value

    def __len__(self) -> int:
        return len(self._under)


class PriceSource:
    """A price that others update: the outside index as a chain sees it, or a feed on the chain."""

    __slots__ = ("column", "slot", "time")

    def __init__(self, price: float, time: int = 0, column: Any = None, slot: int = 0) -> None:
        self.column = [price] if column is None else column
        self.slot = slot
        """Where in ``State.prices`` it is, for kernels."""
        self.time = time
        self.price = price

    @property
    def price(self) -> float:
        """US dollars."""
        price: float = self.column[self.slot]
        return price

    @price.setter
    def price(self, value: float) -> None:
        self.column[self.slot] = value


class State:
    """The columns of one chain by name: ``balances/usd`` and those of its books, such as ``pool/cells``.

    Args:
        capacity: how many accounts there are.
        arrays: whether columns are numpy arrays, which compiled code can read, or lists.
        journal: where old values go; without one, nothing can be undone.
        reversible: whether blocks can be undone, so that every write is to be in the journal; else only those of transactions of
            several steps need be.
    """

    def __init__(self, capacity: int, arrays: bool = False, journal: Journal | None = None, reversible: bool = False) -> None:
        self.capacity = capacity
        self.arrays = arrays
        self.journal = journal
        self.reversible = reversible
        self.raw: dict[str, Any] = {}
        """Every column as it is kept: a list, an array, or a dict."""
        self.purses: list[Any] = []
        """Balances, ``purses[asset][account]``, as Python code sees them; ``assets`` tells the codes."""
        self.assets: list[str] = []
        self._codes: dict[str, int] = {}
        self.table = np.zeros((ASSETS, capacity)) if arrays else None
        """Balances as compiled code sees them, shape (assets, accounts)."""
        self.prices = self.floats("prices", ASSETS * 4)
        """Prices that books on this chain read, by slot."""
        self._slots = 0

    def slot(self) -> int:
        """A free slot for a price.

        Raises:
            ValueError: there is none left.
        """
        if self._slots == len(self.prices):
            raise ValueError(f"markets and agents on one chain look at more than {self._slots} prices: split them over several chains")
        self._slots += 1
        return self._slots - 1

    def fast(self, column: Any) -> Any:
        """A column for writes that need not be in the journal: the bare list where blocks are never undone."""
        return column.raw if isinstance(column, Cells) and not self.arrays and not self.reversible else column

    def _face(self, name: str, raw: Any) -> Any:
        if name in self.raw:
            raise ValueError(f"there is a column '{name}' already")
        self.raw[name] = raw
        return raw if self.journal is None and not self.arrays else Cells(name, raw, self.journal)

    def floats(self, name: str, n: int) -> Any:
        """A column of ``n`` floats, 0.0 at first."""
        return self._face(name, np.zeros(n) if self.arrays else [0.0] * n)

    def ints(self, name: str, n: int) -> Any:
        """A column of ``n`` whole numbers, 0 at first."""
        return self._face(name, np.zeros(n, np.int64) if self.arrays else [0] * n)

    def entries(self, name: str) -> MutableMapping[int, Any]:
        """A mapping from numbers to numbers or tuples of numbers, empty at first; only for books without a kernel."""
        raw: dict[int, Any] = {}
        self.raw[name] = raw
        return raw if self.journal is None else Entries(name, raw, self.journal)

    def purse(self, asset: str) -> int:
        """The code of an asset; its balances are ``purses[code]``, made when first asked for."""
        known = self._codes.get(asset)
        if known is None:
            known = code = self._codes[asset] = len(self.assets)
            if self.table is not None and code == ASSETS:
                raise ValueError(f"more than {ASSETS} assets on one chain need the engine 'lists'")
            raw = [0.0] * self.capacity if self.table is None else self.table[code]
            self.purses.append(self._face(f"balances/{asset}", raw))
            self.assets.append(asset)
        return known

    def no_numbers(self) -> list[tuple[str, int]]:
        """Names of columns and keys where there is not a number (NaN); mappings are left to who keeps them."""
        # A sum over a number that is none is none either: looking closer is seldom needed.
        columns = [(name, raw) for name, raw in self.raw.items() if not isinstance(raw, dict) and len(raw) and isinstance(raw[0], float)]
        sums = [(name, raw, float(raw.sum() if isinstance(raw, np.ndarray) else sum(raw))) for name, raw in columns]
        return [(name, key) for name, raw, total in sums if total != total for key in np.flatnonzero(np.isnan(raw)).tolist()]

    # ---- digests and snapshots

    def digest(self) -> int:
        """The identity of the state, from scratch: the sum of a hash of each number that is not 0, with its place (AdHash).

        Source: Bellare, Micciancio 1997, "A new paradigm for collision-free hashing: incrementality at reduced cost".
        """
        total = 0
        for name, raw in self.raw.items():
            if isinstance(raw, dict):
                total += sum(fingerprint(name, key, value) for key, value in raw.items())
            else:
                places = np.flatnonzero(np.asarray(raw))
                total += sum(fingerprint(name, key, raw[key]) for key in places.tolist())
        return total % _MODULUS

    def digest_after(self, digest: int, mark: int) -> int:
        """The digest now, from that at a mark of the journal: costs what has changed since.

        Raises:
            TypeError: the state keeps no journal.
        """
        if self.journal is None:
            raise TypeError("a state without a journal does not know what has changed")
        seen: set[tuple[str, int]] = set()
        for store, key, old in self.journal.since(mark):
            if (store.name, key) not in seen:
                seen.add((store.name, key))
                now = store.raw.get(key, ABSENT) if isinstance(store, Entries) else store.raw[key]
                digest += fingerprint(store.name, key, now) - fingerprint(store.name, key, old)
        return digest % _MODULUS

    def save(self) -> dict[str, Any]:
        """A copy of every column."""
        return {name: raw.copy() for name, raw in self.raw.items()}

    def load(self, saved: dict[str, Any]) -> None:
        """Become a copy that ``save`` made, of this state or of one with the same columns."""
        for name, raw in self.raw.items():
            if isinstance(raw, dict):
                raw.clear()
                raw.update(saved[name])
            else:
                raw[:] = saved[name]


def fingerprint(name: str, key: int, value: Any) -> int:
    """A 256-bit hash of a number, or a tuple of numbers, at its place; 0 for what is 0 or absent."""
    if value is ABSENT:
        return 0
    numbers: Collection[Any] = value if isinstance(value, tuple) else (value,)
    if not any(numbers) and not isinstance(value, tuple):
        return 0
    text = name.encode() + b"\0" + struct.pack(f"<q{len(numbers)}d", key, *numbers)
    return int.from_bytes(blake2b(text, digest_size=32).digest(), "little")
