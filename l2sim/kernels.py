"""Kernels: what the books and the reflexes of a chain compute, as plain functions in a scalar subset of Python.

The same function runs on lists as it is, and on arrays once numba has translated it, with the same bits. It may index, loop, compare
and calculate with floats and whole numbers, and call functions of its own module that do no more; it may not call numpy,
make containers, or raise. Columns are written as ``column[i] = value``, balances as ``purses[asset][account]``.
"""

from typing import Any, Protocol

OUT = 16
"""Numbers that a kernel may leave: x, y, how many more there are, and these."""
INTENT = 7
"""Numbers of a transaction that a reflex wants: action, a, b, c, slippage, reference, tip (wei per gas)."""
MEMORY = 16
"""Numbers that a reflex may keep."""
INTENTS = 64
"""Most transactions that a reflex may want in one block."""


class Kernel(Protocol):
    """Executes one action of a market: ``kernel(cells, codes, purses, prices, action, sender, a, b, c, slippage, reference, out)``.

    Args:
        cells: the book's floats.
        codes: the book's whole numbers.
        purses: balances on the chain, ``purses[asset][account]``.
        prices: what books on the chain read, by slot.
        action, sender, a, b, c, slippage, reference: the row; a reference of 0.0 means that any price will do.
        out: left behind: x, y, how many numbers follow, and these, from which the book makes facts.

    Returns the status. A refusal changes nothing.
    """

    def __call__(
        self, cells: Any, codes: Any, purses: Any, prices: Any, action: int, sender: int, a: float, b: float, c: float,
        slippage: float, reference: float, out: Any, /,
    ) -> int: ...  # fmt: skip


class Begin(Protocol):
    """Starts a block at ``now`` (ns): accrues what accrues."""

    def __call__(self, cells: Any, codes: Any, prices: Any, now: int, /) -> None: ...


class Mid(Protocol):
    """The price that slippage limits refer to; 0.0 where there is none."""

    def __call__(self, cells: Any, codes: Any, purses: Any, prices: Any, /) -> float: ...


class Reflex(Protocol):
    """Decides what its owner sends into the block that is about to be made, on what everybody can see then.

    Books have begun the block, prices are those of its instant, nothing in it has been executed. What it wants enters the mempool
    behind everything that has arrived, and goes where its tip and the ordering put it; what does not get into the block is dropped.

    Args:
        settings: the agent's parameters, as floats in an order of its own (``Agent.settings``).
        memory: floats that it may keep from block to block, 0.0 at first.
        cells, codes, purses, prices: of its market's book and chain.
        own: its account; it looks at no other balances than its own and the market's.
        chain: price of gas (ETH: base fee and what the operator takes), data price (ETH per byte), price of ether (USD), time (s), number
            of the block, least bytes that a transaction pays for, and what each pays besides (ETH).
        start, stop: the pending transactions that it may see, as rows of the columns that follow; none where they are hidden.
        market, action, a, slippage, reference, tip: their columns; the market as its code, the agent's own market's is ``here``.
        here: code of its market.
        intents: the transactions that it wants, ``intents[k][field]``.

    Returns how many.
    """

    def __call__(
        self, settings: Any, memory: Any, cells: Any, codes: Any, purses: Any, prices: Any, own: int, chain: Any, here: int,
        start: int, stop: int, market: Any, action: Any, a: Any, slippage: Any, reference: Any, tip: Any, intents: Any, /,
    ) -> int: ...  # fmt: skip
