"""History: what a chain keeps of its blocks so that they can be undone, re-executed and disputed."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from l2sim.books import Opening
from l2sim.events import BlockSealed
from l2sim.state import Journal, PriceSource, State
from l2sim.world.execution import Block, Execution

if TYPE_CHECKING:
    from l2sim.world.chain import LiveChain

SNAPSHOT_EVERY = 256
"""Blocks between two copies of the whole state."""


class Record(NamedTuple):
    """A block that was made."""

    block: Block
    sealed: BlockSealed | None
    """What the log says of it."""
    mark: int
    """Place in the journal before it."""
    digest: int
    """Of the state after it."""
    before: dict[str, int]
    """Lengths of the log's tables before it."""
    after: dict[str, int]
    """And after it."""


class History:
    """The blocks of a chain since the start, digests of its state after each, and copies of it now and then."""

    def __init__(self, chain: "LiveChain", snapshot_every: int = SNAPSHOT_EVERY) -> None:
        self.chain = chain
        self.snapshot_every = snapshot_every
        self.records: list[Record] = []
        self.lookups = 0
        """How often somebody asked for a digest."""
        self.executed = 0
        """How many blocks were executed again."""
        self.settled = 0
        """The last block that will never be undone."""
        self._heights: list[int] = []
        self._first = 0
        self._snapshots: dict[int, dict[str, Any]] = {}
        self._mark = self._journal().mark()
        self._lengths: dict[str, int] = {}

    def _journal(self) -> Journal:
        journal = self.chain.state.journal
        if journal is None:
            raise TypeError(f"'{self.chain.name}' keeps no journal")
        return journal

    def begin(self) -> None:
        """Note the state before the first block."""
        self._first = self.chain.state.digest()
        self._snapshots[0] = self.chain.state.save()
        self._mark = self._journal().mark()

    def open(self) -> None:
        """A block is about to be made."""
        self._lengths = self.chain.world.log.lengths()

    def add(self, block: Block, sealed: BlockSealed | None = None) -> None:
        """A block was made."""
        journal, state = self._journal(), self.chain.state
        digest = state.digest_after(self._last(), self._mark)
        self.records.append(Record(block, sealed, self._mark, digest, self._lengths, self.chain.world.log.lengths()))
        self._heights.append(block.height)
        self._mark = journal.mark()
        if len(self.records) % self.snapshot_every == 0:
            self._snapshots[block.height] = state.save()

    def _last(self) -> int:
        return self.records[-1].digest if self.records else self._first

    def _position(self, height: int) -> int:
        """How many blocks there are up to a height.

        Raises:
            ValueError: no block of that height has been made.
        """
        position = bisect_left(self._heights, height)
        if height and (position == len(self._heights) or self._heights[position] != height):
            raise ValueError(f"'{self.chain.name}' has made no block {height}; its last is {self._heights[-1] if self._heights else 0}")
        return position + 1 if height else 0

    def digest(self, height: int) -> int:
        """The digest of the state after a block; 0 is the start. Counted."""
        self.lookups += 1
        position = self._position(height)
        return self.records[position - 1].digest if position else self._first

    # ---- backwards

    def undo(self, height: int) -> list[Record]:
        """Give the state the value it had after a block, and flag what the log holds of later ones; their records, oldest first.

        Raises:
            ValueError: one of them is settled.
        """
        if height < self.settled:
            raise ValueError(f"block {self.settled} of '{self.chain.name}' is settled: it cannot be undone")
        position = bisect_right(self._heights, height)
        undone = self.records[position:]
        self._mark = undone[0].mark if undone else self._mark
        touched = self._journal().undo(self._mark)
        del self.records[position:], self._heights[position:]
        self._snapshots = {at: saved for at, saved in self._snapshots.items() if at <= height}
        self.chain.execution.restored(touched, self._time())
        for record in undone:
            self.chain.world.log.revert(record.before, record.after)
        return undone

    def replay(self, undone: list[Record]) -> None:
        """Make blocks again that were just undone, and pay what had been paid since, as if it had never been undone."""
        for record in undone:
            self.open()
            since = self._lengths
            self.chain.make_again(record.block, record.sealed)
            self.add(record.block, record.sealed)
            self.chain.world.log.restate(record.before, record.after, since)
        self.chain.execution.pay(self.chain.payments)

    def settle(self, height: int) -> None:
        """Blocks up to this one will never be undone."""
        position = bisect_right(self._heights, height)
        self._journal().forget(self.records[position].mark if position < len(self.records) else self._mark)
        self.settled = max(self.settled, height)

    def _time(self, height: int | None = None) -> int:
        """When a block was made, by default the last one (ns); 0 for the start."""
        position = len(self.records) if height is None else self._position(height)
        return self.records[position - 1].block.time if position else 0

    # ---- again

    def replica(self, height: int) -> "Replica":
        """A copy of the chain as it was after a block: the copy of the state before it, and the blocks since executed again."""
        self._position(height)
        nearest = max(at for at in self._snapshots if at <= height)
        replica = Replica(self, nearest, self._snapshots[nearest])
        while replica.height < height:
            replica.advance()
        return replica

    def block(self, after: int) -> Block:
        """The block that follows a height."""
        return self.records[self._position(after)].block


class Replica:
    """A chain's state apart from the chain, to execute its blocks again or to try other ones."""

    def __init__(self, history: History, height: int, saved: dict[str, Any]) -> None:
        chain = history.chain
        self.height = height
        self._history = history
        self.state = State(chain.state.capacity, journal=Journal(), reversible=True)
        self.execution = Execution(self.state, chain.collect)
        self.execution.bundles = chain.execution.bundles
        sources: dict[str, PriceSource] = {}

        def source(name: str) -> PriceSource:
            # Asked for in the same order as when the chain opened its markets, so that slots are the same.
            if name not in sources:
                sources[name] = PriceSource(chain.sources[name].price, column=self.state.prices, slot=self.state.slot())
                if name in chain.outside:
                    self.execution.outside.append(sources[name])
            return sources[name]

        for asset in chain.state.assets:
            self.state.purse(asset)
        for name, market, account in zip(chain.market_names, chain.markets, chain.execution.accounts, strict=True):
            book = market.open(Opening(name, account, lambda asset: self.state.purses[self.state.purse(asset)], source, self.state))
            book.reopened(chain.books[chain.codes[name]])
            self.execution.open(name, account, book)
            if name in chain.sources:
                sources[name] = book.source  # type: ignore[attr-defined]
        for name in chain.outside:
            source(name)
        self.state.load(saved)
        self.execution.restored(None, history._time(height))
        self._digest = history.digest(height)
        history.lookups -= 1  # its own, not a party's
        journal = self.state.journal
        assert journal is not None  # noqa: S101
        self._journal = journal
        journal.forget(journal.mark())

    def digest(self) -> int:
        """Of its state now."""
        self._digest = self.state.digest_after(self._digest, self._journal.since_start())
        self._journal.forget(self._journal.mark())
        return self._digest

    def tamper(self, asset: str, account: int, amount: float) -> None:
        """Give an account an amount of an asset that nobody loses."""
        self.state.purses[self.state.purse(asset)][account] += amount

    def advance(self) -> None:
        """Execute the next block again."""
        block = self._history.block(self.height)
        self.execution.again(block)
        self._over(block)

    def steps(self) -> Iterator[int]:
        """Execute the next block again, transaction by transaction: the digest after its beginning, and after each of them."""
        block = self._history.block(self.height)
        fees, data = self.execution.enter(block)
        if block.stop > block.start:
            self.execution.paid(block, fees, data)
        yield self.digest()
        for i in range(block.start, block.stop):
            self.execution.run(block.rows, i, i + 1)
            yield self.digest()
        self._over(block)

    def _over(self, block: Block) -> None:
        for book in self.execution.books:
            book.facts.clear()
        self.height = block.height
        self._history.executed += 1
