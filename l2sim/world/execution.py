"""Execution: what a block does to the state of its chain, a function of its inputs alone, whoever computes it and however often."""

from collections.abc import Callable, Collection, Sequence
from functools import reduce
from math import isfinite
from operator import add
from typing import Any, NamedTuple

from l2sim.books import Book
from l2sim.data_fees import Charge
from l2sim.state import PriceSource, State
from l2sim.transactions import STEPS, Output, Rows, Status, Step
from l2sim.units import ETH
from l2sim.world.inbox import Traits
from l2sim.world.ledger import GAS_TOKEN

Outcomes = tuple[list[int], list[float], list[float]]
"""Statuses, x and y of some rows."""
Collect = Callable[[Any, float, float, float], None]
"""Credits what the senders of a block paid (ETH): the column, execution fees, data fees, and the base fee's part of the former."""


class Block(NamedTuple):
    """The inputs of a block: rows start..stop of some columns, in the order of execution, and what they meet."""

    height: int
    time: int
    """ns."""
    base_fee: int
    """Wei per gas."""
    charge: Charge
    """What its transactions pay besides execution."""
    prices: tuple[float, ...]
    """What each source that looks outside saw, in their order."""
    rows: Rows
    start: int
    stop: int
    traits: Traits
    payments: tuple[tuple[int, int, float], ...] = ()
    """What balances changed by beside its rows, before it began, such as the fees of batches: code of the asset, account, change."""


class MarketFailed(Exception):
    """A market's own code raised, or left something that is no number."""

    def __init__(self, market: str, time: int, problem: str) -> None:
        super().__init__(market, time, problem)
        self.market = market
        self.time = time
        """Of the block (ns)."""
        self.problem = problem


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
    failed: bool
    """Whether any reverted."""
    metered: int
    """Gas that fills the block and moves the base fee: what was used, or the footprint of its data where that is larger."""

    @classmethod
    def nothing(cls) -> "Executed":
        """Of a block without rows."""
        return cls([], [], [], [], [], 0, 0, False, 0)


class Execution:
    """The books of a chain over its state."""

    def __init__(self, state: State, collect: Collect) -> None:
        self.state = state
        self.collect = collect
        self.books: list[Book] = []
        self.names: list[str] = []
        """Of their markets."""
        self.accounts: list[int] = []
        """And the accounts of these."""
        self.outside: list[PriceSource] = []
        """What books see of prices outside, in the order of ``Block.prices``."""
        self.bundles: dict[int, tuple[Step, ...]] = {}
        """Transactions of several steps, by number; they are inputs, not state."""
        self.given: list[list[tuple[float, float]]] | None = None
        """What each step of each transaction of several steps gave, where somebody asks: added to, emptied by who asks."""
        self.now = 0
        self._token: Any = None

    def open(self, name: str, account: int, book: Book) -> None:
        """Add the book of a market."""
        self.books.append(book)
        self.names.append(name)
        self.accounts.append(account)

    def begin(self, now: int, prices: Sequence[float]) -> None:
        """Start a block: books see what prices there are outside, and begin."""
        self.now = now
        for source, price in zip(self.outside, prices, strict=False):  # one that was first asked for later had no price yet
            source.price, source.time = price, now
        for book in self.books:
            try:
                book.begin(now)
            except Exception as error:
                raise self.failure(book, error) from error

    def mids(self) -> list[float]:
        """The mid price of each market."""
        return [self.mid(which) for which in range(len(self.books))]

    def mid(self, which: int) -> float:
        """The mid price of one market."""
        try:
            return self.books[which].mid()
        except Exception as error:
            raise self.failure(self.books[which], error) from error

    def calls(self, which: int) -> int:
        """How often a market has called for strangers."""
        try:
            return self.books[which].calls()
        except Exception as error:
            raise self.failure(self.books[which], error) from error

    def again(self, block: Block) -> Executed:
        """Execute a block again, whose senders could all pay."""
        fees, data = self.enter(block)
        return self.finish(block, fees, data) if block.stop > block.start else Executed.nothing()

    def enter(self, block: Block) -> tuple[list[float], list[float]]:
        """Do again what comes before the rows of a block; their fees."""
        self.pay(block.payments)
        self.begin(block.time, block.prices)
        fees, data, _ = self.charge(block) if block.stop > block.start else ([], [], False)
        return fees, data

    def pay(self, payments: Sequence[tuple[int, int, float]]) -> None:
        """Change balances, see ``Block.payments``."""
        for purse, account, change in payments:
            self.state.purses[purse][account] += change

    def restored(self, touched: Collection[tuple[str, int]] | None, now: int) -> None:
        """The state was given the values that it had after the block at ``now``, see ``Book.restored``."""
        self.now = now
        for source in self.outside:
            source.time = now
        for book in self.books:
            book.now = now
            book.restored(touched)

    def failure(self, book: Book, error: Exception) -> MarketFailed:
        """What an error in a market's book comes to: its name, and when."""
        return MarketFailed(self.names[self.books.index(book)], self.now, f"{type(error).__name__}: {error}")

    def charge(self, block: Block) -> tuple[list[float], list[float], bool]:
        """Debit the senders: execution fees and data fees (ETH), and whether anybody could not pay."""
        rows, start, stop, traits = block.rows, block.start, block.stop, block.traits
        n, per_gas, gas, size = stop - start, block.base_fee / ETH, traits.gas, traits.size
        if traits.tips:
            tipped = zip(rows.gas[start:stop], rows.tip[start:stop], rows.cap[start:stop], strict=True)
            fees = [used * (min(block.base_fee + tip, cap) / ETH) for used, tip, cap in tipped]
        else:
            fees = [gas * per_gas] * n if gas is not None else [used * per_gas for used in rows.gas[start:stop]]
        charge = block.charge
        if size is not None and gas is not None:
            data = [charge.of(size, gas)] * n
        elif charge.linear:
            data = [size * charge.per_byte] * n if size is not None else [one * charge.per_byte for one in rows.size[start:stop]]
        else:
            data = list(map(charge.of, rows.size[start:stop], rows.gas[start:stop]))
        token, broke = self.token(), False
        if gas is not None and size is not None and not traits.tips:
            cost = fees[0] + data[0]
            for sender in rows.sender[start:stop]:
                token[sender] = left = token[sender] - cost
                if left < 0.0:
                    broke = True
            return fees, data, broke
        for sender, cost in zip(rows.sender[start:stop], map(add, fees, data), strict=True):
            token[sender] = left = token[sender] - cost
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
        if self._token is None:
            self._token = self.state.fast(self.state.purses[self.state.purse(GAS_TOKEN)])
        return self._token

    def able(self, block: Block, fees: list[float], data: list[float]) -> list[int]:
        """The rows whose senders can pay for them, in order."""
        able: list[int] = []
        purse: dict[int, float] = {}
        token = self.token()
        for i in range(block.start, block.stop):
            sender = block.rows.sender[i]
            left = purse.get(sender, token[sender]) - (fees[i - block.start] + data[i - block.start])
            if left >= 0.0:
                purse[sender] = left
                able.append(i)
        return able

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
        status, x, y = self.run(rows, start, stop, traits.market)
        metered = gas
        if block.charge.footprint:
            metered = max(gas, sum(map(block.charge.counts, rows.size[start:stop])))
        return Executed(status, x, y, fees, data, gas, size, any(status), metered)

    def run(self, rows: Rows, start: int, stop: int, alike: int | None = None) -> Outcomes:
        """Execute rows in order, in runs of one market each, or of the one for which all are: statuses, x and y."""
        if alike is not None and alike != STEPS:
            return self._run(alike, rows, start, stop)
        market, n = rows.market[start:stop], stop - start
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
                parts = self._run(which, rows, start + begin, start + end)
            status += parts[0]
            x += parts[1]
            y += parts[2]
            begin = end
        return status, x, y

    def _run(self, which: int, rows: Rows, start: int, stop: int) -> Outcomes:
        """Execute rows of one market."""
        book = self.books[which]
        try:
            status, x, y = book.run(rows, start, stop)
            self._check(which, x, y)
        except Exception as error:
            raise self.failure(book, error) from error
        return status, x, y

    def _check(self, which: int, x: list[float], y: list[float]) -> None:
        """See that a market gives numbers and holds numbers.

        Raises:
            ArithmeticError: it does not.
        """
        account, purses = self.accounts[which], self.state.purses
        if isfinite(sum(x) + sum(y) + sum([purse[account] for purse in purses])):
            return
        for one in (*x, *y):
            if not isfinite(one):
                raise ArithmeticError(f"an action gave {one}")
        for asset, purse in zip(self.state.assets, purses, strict=True):
            if not isfinite(purse[account]):
                raise ArithmeticError(f"it holds {purse[account]} {asset}")

    def together(self, sender: int, steps: Sequence[Step]) -> tuple[int, float, float]:
        """Execute the steps of one transaction, all of them or none; status, and x and y of the last."""
        journal = self.state.journal
        if journal is None:
            raise TypeError("this chain keeps no journal, without which it cannot undo a part of a transaction")
        mark = journal.mark()
        facts = [len(book.facts) for book in self.books]
        given: list[tuple[float, float]] = []
        status = 0
        book = self.books[steps[0].market]
        try:
            for market, action, fields, slippage, reference in steps:
                book = self.books[market]
                a, b, c = (given[field.step][field.which] if isinstance(field, Output) else field for field in fields)
                status, x, y = book.apply(action, sender, a, b, c, slippage, reference or book.mid())
                if status:
                    break
                self._check(market, [x], [y])
                given.append((x, y))
            if not status and any(book.owing(sender) for book in self.books):
                status = int(Status.UNPAID)
        except Exception as error:
            raise self.failure(book, error) from error
        if not status:
            if not self.state.reversible:
                journal.forget(journal.mark())
            if self.given is not None:
                self.given.append(given)
            return 0, *given[-1]
        touched = journal.undo(mark)
        for book, before in zip(self.books, facts, strict=True):
            del book.facts[before:]
            book.restored(touched)
        return status, 0.0, 0.0


def _total(amounts: list[float]) -> float:
    """From left to right, as compiled code adds up; ``sum`` does that in some versions of Python only."""
    return reduce(add, amounts, 0.0)
