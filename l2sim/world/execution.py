"""Execution: what a block does to the state of its chain, a function of its inputs alone, whoever computes it and however often."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any, NamedTuple

from l2sim.markets import Book
from l2sim.state import State
from l2sim.transactions import STEPS, Output, Rows, Status, Step
from l2sim.units import ETH
from l2sim.world.inbox import Traits
from l2sim.world.ledger import GAS_TOKEN

Collect = Callable[[Any, float, float, float], None]
"""Credits what the senders of a block paid (ETH): the column, execution fees, data fees, and the base fee's part of the former."""


class Block(NamedTuple):
    """The inputs of a block: rows start..stop of some columns, in the order of execution, and what they meet."""

    height: int
    time: int
    """ns."""
    base_fee: int
    """Wei per gas."""
    per_byte: float
    """Data price, ETH per byte."""
    prices: tuple[float, ...]
    """What each source that looks outside saw, in their order."""
    rows: Rows
    start: int
    stop: int
    traits: Traits


class Executed(NamedTuple):
    """What became of the rows of a block, and what they paid."""

    status: list[int]
    x: list[float]
    y: list[float]
    fees: list[float]
    """For execution, ETH."""
    data: list[float]
    """For data, ETH."""
    gas: int
    size: int

    @classmethod
    def nothing(cls) -> "Executed":
        """Of a block without rows."""
        return cls([], [], [], [], [], 0, 0)


class Execution:
    """The books of a chain over its state."""

    def __init__(self, state: State, collect: Collect) -> None:
        self.state = state
        self.collect = collect
        self.books: list[Book] = []
        self.bundles: dict[int, tuple[Step, ...]] = {}
        """Transactions of several steps, by number; they are inputs, not state."""

    def begin(self, now: int) -> None:
        """Start a block, once prices are set."""
        for book in self.books:
            book.begin(now)

    def charge(self, block: Block) -> tuple[list[float], list[float], bool]:
        """Debit the senders: execution fees and data fees (ETH), and whether anybody could not pay."""
        rows, start, stop, traits = block.rows, block.start, block.stop, block.traits
        n, base_fee = stop - start, block.base_fee
        gas, size = rows.gas[start:stop], rows.size[start:stop]
        if traits.tips:
            tipped = zip(gas, rows.tip[start:stop], rows.cap[start:stop], strict=True)
            fees = [used * (min(base_fee + tip, cap) / ETH) for used, tip, cap in tipped]
        elif traits.gas is not None:
            fees = [traits.gas * (base_fee / ETH)] * n
        else:
            fees = [used * (base_fee / ETH) for used in gas]
        data = [traits.size * block.per_byte] * n if traits.size is not None else [one * block.per_byte for one in size]
        token = self.token()
        broke = False
        for sender, cost in zip(rows.sender[start:stop], map(add, fees, data), strict=True):
            left = token[sender] - cost
            token[sender] = left
            if left < 0.0:
                broke = True
        return fees, data, broke

    def refund(self, block: Block, fees: list[float], data: list[float]) -> None:
        """Undo a charge."""
        token = self.token()
        for sender, cost in zip(block.rows.sender[block.start : block.stop], map(add, fees, data), strict=True):
            token[sender] += cost

    def token(self) -> Any:
        """The balances that fees are paid from."""
        return self.state.fast(self.state.purses[self.state.purse(GAS_TOKEN)])

    def paid(self, block: Block, fees: list[float], data: list[float]) -> int:
        """Credit what the senders paid; the gas that the block uses."""
        rows, start, stop, traits = block.rows, block.start, block.stop, block.traits
        gas = sum(rows.gas[start:stop]) if traits.gas is None else traits.gas * (stop - start)
        self.collect(self.token(), _total(fees), _total(data), gas * block.base_fee / ETH)
        return gas

    def finish(self, block: Block, fees: list[float], data: list[float]) -> Executed:
        """Execute rows whose senders have paid."""
        rows, start, stop, traits = block.rows, block.start, block.stop, block.traits
        gas = self.paid(block, fees, data)
        size = sum(rows.size[start:stop]) if traits.size is None else traits.size * (stop - start)
        return Executed(*self.run(rows, start, stop), fees, data, gas, size)

    def run(self, rows: Rows, start: int, stop: int) -> tuple[list[int], list[float], list[float]]:
        """Execute rows in order, in runs of one market each: statuses, x and y."""
        market = rows.market[start:stop]
        first, n = market[0], stop - start
        if first != STEPS and (len(self.books) == 1 or market.count(first) == n):
            return self.books[first].run(rows, start, stop)
        status: list[int] = []
        x: list[float] = []
        y: list[float] = []
        begin = 0
        while begin < n:
            end, which = begin + 1, market[begin]
            if which == STEPS:
                at = start + begin
                parts: Any = [[one] for one in self.together(rows.sender[at], self.bundles[int(rows.a[at])])]
            else:
                while end < n and market[end] == which:
                    end += 1
                parts = self.books[which].run(rows, start + begin, start + end)
            status += parts[0]
            x += parts[1]
            y += parts[2]
            begin = end
        return status, x, y

    def together(self, sender: int, steps: Sequence[Step]) -> tuple[int, float, float]:
        """Execute the steps of one transaction, all of them or none; status, and x and y of the last."""
        journal = self.state.journal
        if journal is None:
            raise TypeError("this chain keeps no journal, without which it cannot undo a part of a transaction")
        mark = journal.mark()
        facts = [len(book.facts) for book in self.books]
        given: list[tuple[float, float]] = []
        status = 0
        for market, action, fields, slippage, reference in steps:
            book = self.books[market]
            a, b, c = (given[field.step][field.which] if isinstance(field, Output) else field for field in fields)
            status, x, y = book.apply(action, sender, a, b, c, slippage, reference or book.mid())
            if status:
                break
            given.append((x, y))
        if not status and any(book.owing(sender) for book in self.books):
            status = int(Status.UNPAID)
        if not status:
            if not self.state.reversible:
                journal.forget(journal.mark())
            return 0, *given[-1]
        touched = journal.undo(mark)
        for book, before in zip(self.books, facts, strict=True):
            del book.facts[before:]
            book.restored(touched)
        return status, 0.0, 0.0


def _total(amounts: list[float]) -> float:
    """From left to right, as compiled code adds up; ``sum`` does that in some versions of Python only."""
    return reduce(add, amounts, 0.0)
