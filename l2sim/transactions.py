"""Transactions: an action, a sender, what it pays, waiting for a place in a block. Kept as columns, never as objects."""

from enum import IntEnum
from typing import NamedTuple

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
    DEADLINE = 20
    """Dropped: its deadline passed before a block took it."""
    FEE_TOO_LOW = 21
    """Dropped: its fee cap stayed below the base fee until its deadline."""


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


NEVER = 2**62
"""A deadline that does not pass, in nanoseconds."""
ANY_FEE = 2**62
"""A fee cap that is never reached, in wei per gas."""


class Rows:
    """Transactions as parallel lists, row i in each; the order of the columns is that of ``COLUMNS``."""

    COLUMNS = (
        "arrives",  # ns, at the sequencer
        "tie",  # seeded key among simultaneous arrivals
        "submitted",  # ns, when the sender let go of it
        "sender",  # ledger account
        "market",  # code of the market on its chain
        "action",  # code of the action in its market
        "a", "b", "c",  # the action's numeric fields
        "slippage",  # worst relative move from the reference price that the sender accepts; inf where it does not say
        "reference",  # the market's mid price when the row became pending; 0 until then
        "gas",  # gas used
        "size",  # bytes after compression, for the data fee
        "tip",  # wei per gas on top of the base fee
        "cap",  # most wei per gas, base fee and tip together
        "deadline",  # ns
        "ticket",  # 0, or the number under which the sender waits for a receipt
    )  # fmt: skip
    __slots__ = COLUMNS

    arrives: list[int]
    tie: list[int]
    submitted: list[int]
    sender: list[int]
    market: list[int]
    action: list[int]
    a: list[float]
    b: list[float]
    c: list[float]
    slippage: list[float]
    reference: list[float]
    gas: list[int]
    size: list[int]
    tip: list[int]
    cap: list[int]
    deadline: list[int]
    ticket: list[int]

    def __init__(self) -> None:
        for name in self.COLUMNS:
            setattr(self, name, [])

    def __len__(self) -> int:
        return len(self.arrives)

    def slice(self, start: int, stop: int) -> "Rows":
        """Rows start..stop as new columns."""
        rows = Rows.__new__(Rows)
        for name in self.COLUMNS:
            setattr(rows, name, getattr(self, name)[start:stop])
        return rows

    def extend(self, other: "Rows") -> None:
        """Append the rows of another."""
        for name in self.COLUMNS:
            getattr(self, name).extend(getattr(other, name))

    def take(self, indices: list[int]) -> "Rows":
        """The rows at those indices, in that order."""
        rows = Rows.__new__(Rows)
        for name in self.COLUMNS:
            column = getattr(self, name)
            setattr(rows, name, [column[i] for i in indices])
        return rows

    def sort(self) -> None:
        """Into the order of arrival, simultaneous ones by their tie keys."""
        keys = list(zip(self.arrives, self.tie, strict=True))
        order = sorted(range(len(keys)), key=keys.__getitem__)
        if order != list(range(len(keys))):
            for name in self.COLUMNS:
                column = getattr(self, name)
                setattr(self, name, [column[i] for i in order])

    @classmethod
    def of(cls, n: int, **columns: "list[int] | list[float] | npt.NDArray[np.generic] | float") -> "Rows":
        """Rows from columns of length ``n``; a scalar is repeated. Columns left out get their neutral value."""
        neutral: dict[str, float] = dict.fromkeys(cls.COLUMNS, 0)
        neutral |= {"a": 0.0, "b": 0.0, "c": 0.0, "slippage": float("inf"), "reference": 0.0, "cap": ANY_FEE, "deadline": NEVER}
        rows = cls.__new__(cls)
        for name in cls.COLUMNS:
            value = columns.get(name, neutral[name])
            if isinstance(value, np.ndarray):
                value = value.tolist()
            setattr(rows, name, value if isinstance(value, list) else [value] * n)
        return rows
