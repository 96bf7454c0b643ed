"""A running chain: an inbox, books, and the making of blocks. Rollups and L1 are special cases; so is an outside venue."""

from typing import TYPE_CHECKING, Any

import numpy as np
from simpy.events import Event

from l2sim.books import Opening, Owed
from l2sim.data_fees import NO_CHARGE, Charge
from l2sim.events import BlockSealed, TransactionDropped, TransactionIncluded
from l2sim.markets import Market
from l2sim.ordering import Ordering
from l2sim.state import Journal, PriceSource, State
from l2sim.streams import mix
from l2sim.transactions import STEPS, Receipt, Rows, Status
from l2sim.world.attribution import Attribution
from l2sim.world.censorship import Censor, admit, called
from l2sim.world.execution import Block, Executed, Execution
from l2sim.world.forced import LiveForced, join
from l2sim.world.history import History
from l2sim.world.inbox import NO_ROWS, Cut, Inbox
from l2sim.world.reflexes import LiveReflex, wanted
from l2sim.world.service import Service

NOTHING_EXECUTED = Executed.nothing()

if TYPE_CHECKING:
    from l2sim.world import Chain
    from l2sim.world.world import World


class LiveChain:
    """What all chains of a run share."""

    def __init__(self, rules: "Chain", name: str, world: "World") -> None:
        self.name = name
        self.world = world
        self.kind = rules.kind
        self.region = "us_east"
        self.ordering: Ordering | None = None
        self.inbox = Inbox(world.engines[name] == "arrays")
        self.censor: Censor | None = None
        self.forced: LiveForced | None = None
        self.service: Service | None = None
        """What executes transactions, where that takes time."""
        self.height = 0
        self.last_block = 0
        reversible = name in world.reversible
        tries = rules.tries()
        journal = Journal() if reversible or tries or (world.atomic and rules.trades) else None
        self.state = world.ledger.found(name, State(world.ledger.capacity, world.engines[name] == "arrays", journal, reversible or tries))
        self.execution = Execution(self.state, self.collect)
        self.books = self.execution.books
        self.markets: list[Market] = []
        self.market_names: list[str] = []
        self.codes: dict[str, int] = {}
        self.sources: dict[str, PriceSource] = {}
        self.outside: list[str] = []
        """Names of the prices that are looked up outside when a block begins; their sources are those of ``execution.outside``."""
        self.reflexes: list[LiveReflex] = []
        self.attribution = Attribution.wanted(self)
        self.history = History(self) if reversible else None
        self._waiters: list[tuple[int, Event]] = []
        self._listeners: dict[int, list[tuple[int, Event]]] = {}
        self.answered: dict[int, int] = {}
        self.call_codes: list[tuple[int, list[int]]] = []
        self.payments: list[tuple[int, int, float]] = []
        """What balances changed by since the last block, as in ``Block.payments``."""
        self.log_code = world.log.names.code(name)
        self.included = world.log.table(TransactionIncluded)
        self.seals = world.log.table(BlockSealed)

    # ---- what kinds of chain say differently

    def instants(self) -> list[int] | range:
        """The nominal times of its blocks (ns), known before the run; prices are drawn there."""
        return []

    def begin(self) -> None:
        """Start its processes."""

    def look(self) -> None:
        """Somebody is about to look at it: do what was put off until then."""

    def base_fee(self) -> int:
        """Execution base fee of the next block, wei per gas."""
        return 0

    def charge(self, now: int | None = None) -> Charge:
        """What transactions of the next block pay besides execution, as one can tell now; of the block that is made ``now`` (ns)."""
        return NO_CHARGE

    def block_interval(self) -> int:
        """Usual time between blocks, ns."""
        return 0

    def gas_limit(self) -> int:
        """Gas that fits into the next block."""
        return 0

    def most_gas(self) -> int:
        """Gas of the largest transaction that a block ever takes."""
        return self.gas_limit()

    def collect(self, token: Any, fees: float, data: float, base: float) -> None:
        """Credit what the senders of a block paid (ETH): execution fees, data fees, and the base fee's part of the former."""
        raise TypeError(f"{self.kind} collects no fees")

    # ---- markets

    def open(self, name: str, market: Market) -> None:
        """Open a market here: its account, what it brings, its book."""
        account = self.world.ledger.open(name, market.kind, "markets").start
        opening = Opening(name, account, lambda asset: self.world.ledger.column(self.name, asset), self.source, self.state)
        for asset, amount in sorted(market.brings(lambda price: PriceSource(self.world.prices.index(price))).items()):
            self.world.ledger.mint(self.name, asset, account, amount)
        book = market.open(opening)
        self.codes[name] = len(self.books)
        self.execution.open(name, account, book)
        self.markets.append(market)
        self.market_names.append(name)
        code = self.world.log.names.code
        self.call_codes.append((code(name), [code(action) for action in market.actions]))
        feed = getattr(book, "source", None)
        if isinstance(feed, PriceSource):
            self.sources[name] = feed

    def source(self, name: str) -> PriceSource:
        """The price under a name: a feed on this chain, or the outside index as it stands when a block starts."""
        if name not in self.sources:
            price = 1.0 if name == "usd" else self.world.prices.index(name)
            source = self.sources[name] = PriceSource(price, column=self.state.prices, slot=self.state.slot())
            if name != "usd":
                self.outside.append(name)
                self.execution.outside.append(source)
        return self.sources[name]

    def outside_sources(self) -> list[tuple[str, PriceSource]]:
        """The prices that are looked up outside when a block begins, by name."""
        return list(zip(self.outside, self.execution.outside, strict=True))

    # ---- waiting for it

    def wait_block(self, key: int) -> Event:
        """An event at the next block, for the agent with that tie key."""
        event = Event(self.world.clock)
        self._waiters.append((key, event))
        return event

    def wait_news(self, market: str, key: int) -> Event:
        """An event at the next block after which the market calls for somebody."""
        event = Event(self.world.clock)
        self._listeners.setdefault(self.codes[market], []).append((key, event))
        return event

    def tell(self, now: int) -> None:
        clock = self.world.clock
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for key, event in waiters:
                clock.wake(event, now, mix(key, self.height), self.height)
        for code in list(self._listeners):
            calls = self.execution.calls(code)
            if calls > self.answered.get(code, 0):
                self.answered[code] = calls
                for key, event in self._listeners.pop(code):
                    clock.wake(event, now, mix(key, self.height), self.height)

    def unhear(self) -> None:
        """Blocks were undone for good: calls of kernels that were in them are news once more, and their books say so to who looks."""
        for book in self.books:
            book.undoings += 1
        for code, heard in self.answered.items():
            if self.books[code].calls_code >= 0:
                self.answered[code] = min(heard, self.execution.calls(code))

    # ---- blocks

    def make_block(self, now: int, gas_limit: int, blobs: int = 0, blob_base_fee: int = 0) -> tuple[int, int]:
        """Take what has arrived, execute it, write it down, tell who waits. Returns gas that counts and bytes of the rows."""
        base_fee, charge = self.base_fee(), self.charge(now)
        if self.history is not None:
            self.history.open()
        self.execution.now = now
        forced, barred = NO_ROWS, False
        if self.forced is not None:
            forced, barred = self.forced.take(now), self.forced.barred
        fresh = self.inbox.arrivals(now)
        if fresh is not None:
            self._set_references(fresh)
        admit(self, now, fresh, charge)
        self.last_block = now
        seen = tuple([self.world.prices.index(name) for name in self.outside])
        self.execution.begin(now, seen)
        if self.reflexes and not barred and (reflexes := wanted(self, now, base_fee, charge)) is not None:
            self._set_references(reflexes)
            admit(self, now, reflexes, charge)
        executed, included, cut = NOTHING_EXECUTED, 0, NO_ROWS
        if self.ordering is not None and (len(self.inbox) or self.inbox.rivals) and not barred:
            queue = self.inbox if self.service is None else self.service
            cut, reasons, dropped = queue.select(now, base_fee, gas_limit, self.ordering, self._ordering_luck, charge)
            if dropped is not None:
                for i, status in reasons:
                    self._drop(now, dropped, i, status)
        payments = tuple(self.payments)
        self.payments.clear()
        if forced.stop:
            cut = join(self, forced, cut)
        block = Block(self.height, now, base_fee, charge, seen, cut.rows, cut.start, cut.stop, cut.traits, payments)
        if cut.stop > cut.start:
            block, executed = self._execute(block)
            included = block.stop - block.start
        self._tell_facts()
        sealed = None
        if included or blobs or self.kind == "l1" or (self.service is not None and len(self.inbox)):
            sealed = BlockSealed(self.name, self.height, included, executed.gas, base_fee, blob_base_fee, blobs, len(self.inbox))
            sealed = self.note(now, sealed)
        if self.history is not None:
            self.history.add(block, sealed)
        elif self.state.journal is not None:
            self.state.journal.forget(self.state.journal.mark())
        if self._waiters or self._listeners:
            self.tell(now)
        if included and (block.traits.tickets or executed.failed):
            self._answer(block, executed)
        return executed.metered, executed.size

    def make_again(self, block: Block, sealed: BlockSealed | None) -> None:
        """Make a block again that was undone, and write it down again; what its senders were told then they are not told again."""
        executed = self.execution.again(block)
        with self.world.clock.at(block.time):
            if block.stop > block.start:
                self._write(block, executed)
            self._tell_facts()
            if sealed is not None:
                self.seals.append(block.time, sealed)

    def pay(self, asset: str, account: int, change: float) -> None:
        """Change a balance by no transaction of a block, as L1's fees for batches do: it is an input of the next block."""
        self.world.ledger.column(self.name, asset)[account] += change
        if self.history is not None:
            self.payments.append((self.state.purse(asset), account, change))

    def _tell_facts(self) -> None:
        """Write down what the books told of."""
        for book in self.books:
            if book.facts:
                try:
                    for fact in book.facts:
                        self.world.record(fact)
                except Exception as error:
                    raise self.execution.failure(book, error) from error
                book.facts.clear()

    def _ordering_luck(self) -> "np.random.Generator":
        return self.world.streams.generator(f"chains/{self.name}/ordering", self.height)

    def _set_references(self, fresh: Cut) -> None:
        """Note the mid price at which each arrival found its market; what brought a reference of its own keeps it."""
        rows, start, stop, traits = fresh
        if traits.market is not None and not traits.references:
            rows.reference[start:stop] = [self.execution.mid(traits.market)] * (stop - start)
            return
        mids = self.execution.mids()
        if traits.references:
            found = zip(rows.reference[start:stop], rows.market[start:stop], strict=True)
            rows.reference[start:stop] = [given or mids[market] for given, market in found]
        else:
            rows.reference[start:stop] = [mids[market] for market in rows.market[start:stop]]

    def _execute(self, block: Block) -> tuple[Block, Executed]:
        """Charge and execute the rows of a block and write them down; the block without the rows of senders who could not pay."""
        execution = self.execution
        fees, data, broke = execution.charge(block)
        if broke:
            execution.refund(block, fees, data)
            able = execution.able(block, fees, data)
            for i in sorted(set(range(block.start, block.stop)) - set(able)):
                self._drop(block.time, block.rows, i, Status.INSUFFICIENT_FUNDS)
            if not able:
                return block._replace(stop=block.start), NOTHING_EXECUTED
            cut = Cut.whole(block.rows.take(able))
            block = block._replace(rows=cut.rows, start=cut.start, stop=cut.stop, traits=cut.traits)
            fees, data, _ = execution.charge(block)
        if self.attribution is not None:
            self.attribution.begin()
        executed = execution.finish(block, fees, data)
        self._write(block, executed)
        if self.attribution is not None:
            self.attribution.note(block, executed)
        return block, executed

    def _write(self, block: Block, executed: Executed) -> None:
        """Write the rows of a block down."""
        if self.forced is not None and self.forced.included:
            self.forced.tell(block)
        rows, start, stop, traits = block.rows, block.start, block.stop, block.traits
        fees, data = executed.fees, executed.data
        markets, calls = self._calls(rows, start, stop, traits.market)
        # What is the same for all rows of the block is written as one number.
        alike = traits.gas is not None
        self.included.extend(
            stop - start, block.time, self.log_code, block.height, rows.submitted[start:stop], rows.sender[start:stop], markets, calls,
            executed.status if executed.failed else 0, traits.gas if alike else rows.gas[start:stop],
            fees[0] if alike and not traits.tips else fees, data[0] if alike and traits.size is not None else data, executed.x, executed.y,
        )  # fmt: skip

    def _calls(self, rows: Rows, start: int, stop: int, alike: int | None) -> tuple[int | list[int], list[int]]:
        """The codes of markets and actions as the log knows them; one number where the market is the same for all."""
        actions, codes = rows.action[start:stop], self.call_codes
        if alike is not None and alike != STEPS:
            code, names = codes[alike]
            return code, list(map(names.__getitem__, actions))
        market = rows.market[start:stop]
        told = [
            self._steps_called(int(rows.a[start + i])) if which == STEPS else (codes[which][0], codes[which][1][action])
            for i, (which, action) in enumerate(zip(market, actions, strict=True))
        ]
        return [which for which, _ in told], [action for _, action in told]

    def _steps_called(self, number: int) -> tuple[int, int]:
        """A transaction of several steps goes under the market of its last step and under all its actions."""
        steps = self.execution.bundles[number]
        names = [list(self.markets[step.market].actions)[step.action] for step in steps]
        return self.call_codes[steps[-1].market][0], self.world.log.names.code("+".join(names))

    def _answer(self, block: Block, executed: Executed) -> None:
        """Tell senders what became of their transactions, where they listen."""
        rows, start = block.rows, block.start
        status, x, y, fees, data = executed[:5]
        if block.traits.tickets:
            for i, ticket in enumerate(rows.ticket[start : block.stop]):
                if ticket:
                    receipt = Receipt(status[i], block.height, x[i], y[i], fees[i] + data[i])
                    if ticket < 0:
                        self.reflexes[-1 - ticket].answered(rows.action[start + i], receipt)
                    else:
                        self.world.deliver(ticket, receipt)
        if executed.failed:
            for i, what in enumerate(status):
                if what:
                    self._failed(rows, start + i, what)

    def note(self, time: int, block: BlockSealed) -> BlockSealed:
        """Write a block down; what was written."""
        self.seals.append(time, block)
        return block

    def shows(self) -> bool:
        """Whether everybody sees what waits in the mempool."""
        return self.ordering is not None and self.ordering.visible("public", "pending")

    def listens(self, code: int) -> bool:
        """Whether anybody waits for news of a market."""
        return bool(self._listeners.get(code))

    def watched(self) -> bool:
        """Whether anybody waits for its next block, or for news of a market that compiled code cannot tell, or trades are attributed."""
        if self._waiters or self.attribution is not None:
            return True
        return any(self.listens(code) and self.books[code].calls_code < 0 for code in self._listeners)

    def _drop(self, now: int, rows: Rows, i: int, status: int) -> None:
        self.world.record(TransactionDropped(self.name, rows.submitted[i], rows.sender[i], *called(self, rows, i), status))
        if rows.ticket[i] > 0:
            self.world.deliver(rows.ticket[i], Receipt(status, self.height, 0.0, 0.0, 0.0))
        self._failed(rows, i, status)

    def _failed(self, rows: Rows, i: int, status: int) -> None:
        self.world.failed(rows.sender[i], status, rows.action[i], rows.a[i], rows.submitted[i])

    def congestion(self) -> float:
        """Waiting transactions in units of what a block takes, at most 5; 0 in calm times."""
        limit = self.gas_limit()
        waiting = len(self.inbox)
        if not waiting or not limit:
            return 0.0
        return min(5.0, waiting * self.inbox.waiting.rows.gas[self.inbox.waiting.start] / limit)

    def owed(self) -> dict[str, list[Owed]]:
        """What each market here owes, and what holds money for it elsewhere, by name."""
        return {name: self.books[code].owed() for name, code in self.codes.items()}
