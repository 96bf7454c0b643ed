"""Transactions: an action, a sender, what it pays, waiting for a place in a block. Kept as columns, never as objects."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Status(IntEnum):
    """What became of a transaction. Reverted ones are in a block and pay; dropped ones never were."""

    SUCCEEDED = 0
    SLIPPAGE = 1
    """Reverted: the price was worse than the sender's limit."""
    INSUFFICIENT_FUNDS = 2
    """Reverted: the sender does not own what it wanted to spend."""
    NO_LIQUIDITY = 3
    """Reverted: nobody takes the other side."""
    NO_POSITION = 4
    """Reverted: there is no such position (any more)."""
    NOT_LIQUIDATABLE = 5
    """Reverted: the position is healthy."""
    UNHEALTHY = 6
    """Reverted: the margin would not suffice."""
    INVALID = 7
    """Reverted: the fields make no sense, such as a negative size."""
    DUST = 8
    """Reverted: what would be left of the position is too little."""
    UNPAID = 9
    """Reverted: what was borrowed within the transaction was not paid back."""
    GRACE_PERIOD = 10
    """Reverted: the chain had been down, and borrowers have a grace period."""
    DEADLINE = 20
    """Dropped: its deadline passed before a block took it."""
    FEE_TOO_LOW = 21
    """Dropped: its fee cap stayed below the base fee until its deadline."""
    REORGANIZED = 22
    """Dropped: its block was undone, and the sequencer forgot it."""
    LEFT_OUT = 23
    """Dropped: it would have reverted, and its sender pays builders for what succeeds only."""
    TOO_LARGE = 24
    """Dropped: no block of the chain has room for it, by its gas or by the footprint of its data."""


class Outcome(NamedTuple):
    """What a book answers to one action; ``x`` and ``y`` are what the action's docstring says they are."""

    status: int
    x: float = 0.0
    y: float = 0.0


class Receipt(NamedTuple):
    """What its sender learns of a transaction."""

    status: int
    block: int
    x: float
    y: float
    fee: float
    """Paid for execution and data, in ETH."""


class Failure(NamedTuple):
    """A transaction that reverted or was dropped, as its sender hears of it."""

    account: int
    status: int
    action: int
    """Code of the action in its market."""
    first: float
    """The action's first field."""
    submitted: int
    """When the sender let go of it (ns)."""


class Output(NamedTuple):
    """A field of a step whose value is what an earlier step of the same transaction gave."""

    step: int
    """Which step, from 0."""
    which: int = 1
    """0 for its x, 1 for its y."""


class Step(NamedTuple):
    """One action of a transaction of several steps."""

    market: int
    """Code of the market on its chain."""
    action: int
    """Code of the action in its market."""
    fields: tuple["float | Output", "float | Output", "float | Output"]
    """a, b and c."""
    slippage: float
    """As in ``Rows``."""
    reference: float
    """As in ``Rows``; 0 stands for the mid price when the transaction is executed."""


STEPS = -1
"""The market of a row that has several steps: they are all executed or none is; ``a`` is their number on the chain."""
NEVER = 2**62
"""A deadline that does not pass, in nanoseconds."""
ANY_FEE = 2**62
"""A fee cap that is never reached, in wei per gas."""


class Rows(NamedTuple):
    """Transactions as parallel lists, row i in each."""

    arrives: list[int]
    """When it reaches the sequencer (ns)."""
    tie: list[int]
    """Seeded key among simultaneous arrivals."""
    submitted: list[int]
    """When the sender let go of it (ns)."""
    sender: list[int]
    """Ledger account."""
    market: list[int]
    """Code of the market on its chain."""
    action: list[int]
    """Code of the action in its market."""
    a: list[float]
    """The action's first field."""
    b: list[float]
    """The action's second field."""
    c: list[float]
    """The action's third field."""
    slippage: list[float]
    """Worst relative move from the reference price that the sender accepts; inf where it does not say."""
    reference: list[float]
    """The market's mid price when the row became pending; 0 until then."""
    gas: list[int]
    """Gas used."""
    size: list[int]
    """Bytes in a batch, compressed, for the data fee."""
    tip: list[int]
    """Priority fee, wei per gas."""
    cap: list[int]
    """Most wei per gas, base fee and tip together."""
    deadline: list[int]
    """When the sender gives up (ns)."""
    ticket: list[int]
    """0, or the number under which the sender waits for a receipt."""

    @property
    def number(self) -> int:
        """How many rows there are."""
        return len(self.arrives)

    def slice(self, start: int, stop: int) -> "Rows":
        """Rows start..stop as new columns."""
        cut: Any = itemgetter(slice(start, stop))
        return Rows(*map(cut, self))

    def take(self, indices: Sequence[int]) -> "Rows":
        """The rows at those indices, in that order."""
        columns: list[Any] = [[column[i] for i in indices] for column in self]
        return Rows(*columns)

    def extend(self, other: "Rows") -> None:
        """Append the rows of another."""
        columns: Any = zip(self, other, strict=True)
        for column, more in columns:
            column.extend(more)

    def sorted(self) -> "Rows":
        """In the order of arrival, simultaneous ones by their tie keys."""
        keys = list(zip(self.arrives, self.tie, strict=True))
        return self.take(sorted(range(len(keys)), key=keys.__getitem__))

    @classmethod
    def none(cls) -> "Rows":
        """No rows."""
        return cls(*[[] for _ in cls._fields])

    def listed(self) -> "Rows":
        """The same rows as lists."""
        columns: list[Any] = [column.tolist() if isinstance(column, np.ndarray) else column for column in self]
        return Rows(*columns)

    @classmethod
    def given(cls, **columns: Any) -> "Rows":
        """Columns as they are, or single numbers where all rows have the same; what is left out gets its neutral value."""
        return cls(**{**_NEUTRAL, **columns})

    @classmethod
    def of(cls, n: int, arrays: bool = False, **columns: Any) -> "Rows":
        """Rows from columns of length ``n``; a scalar is repeated, columns left out get their neutral value.

        The columns are lists, or with ``arrays`` arrays, which compiled code can read.
        """
        made: list[Any] = []
        for name, value in zip(cls._fields, cls.given(**columns), strict=True):
            if arrays:
                dtype = _DTYPES.get(name, np.int64)
                made.append(np.ascontiguousarray(value, dtype) if isinstance(value, np.ndarray) else np.full(n, value, dtype))
            else:
                made.append(value.tolist() if isinstance(value, np.ndarray) else value if isinstance(value, list) else [value] * n)
        return cls(*made)


_DTYPES: Mapping[str, npt.DTypeLike] = {"tie": np.uint64, **dict.fromkeys(("a", "b", "c", "slippage", "reference"), np.float64)}
_NEUTRAL: Mapping[str, float] = {
    **dict.fromkeys(Rows._fields, 0), "a": 0.0, "b": 0.0, "c": 0.0, "slippage": float("inf"), "reference": 0.0,
    "cap": ANY_FEE, "deadline": NEVER,
}  # fmt: skip
