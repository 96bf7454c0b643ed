"""A running chain: an inbox, books, and the making of blocks. Rollups and L1 are special cases; so is an outside venue."""

from math import fsum
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np
from simpy.events import Event

from l2sim.events import BlockSealed, TransactionDropped, TransactionIncluded
from l2sim.markets import Book, Market, Opening, PriceSource
from l2sim.ordering import Ordering
from l2sim.streams import mix
from l2sim.transactions import Receipt, Rows, Status
from l2sim.units import ETH
from l2sim.world.inbox import Cut, Inbox
from l2sim.world.ledger import GAS_TOKEN

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
        self.height = 0
        self.last_block = 0
        self.books: list[Book] = []
        self.markets: list[Market] = []
        self.market_names: list[str] = []
        self.codes: dict[str, int] = {}
        self.sources: dict[str, PriceSource] = {}
        self._waiters: list[tuple[int, Event]] = []
        self._listeners: dict[int, list[tuple[int, Event]]] = {}
        self._answered: dict[int, int] = {}
        self._call_codes: list[tuple[int, list[int]]] = []
        self._chain_code = world.log.names.code(name)
        self._included = world.log.table(TransactionIncluded)
        self._sealed = world.log.table(BlockSealed)

    # ---- what kinds of chain say differently

    def instants(self) -> list[int]:
        """The nominal times of its blocks (ns), known before the run; prices are drawn there."""
        return []

    def begin(self) -> None:
        """Start its processes."""

    def base_fee(self) -> int:
        """Execution base fee of the next block, wei per gas."""
        return 0

    def data_price(self) -> float:
        """What a compressed byte costs its sender, ETH per byte."""
        return 0.0

    def block_interval(self) -> int:
        """Usual time between blocks, ns."""
        return 0

    def gas_limit(self) -> int:
        """Gas that fits into the next block."""
        return 0

    # ---- markets

    def open(self, name: str, market: Market) -> None:
        """Open a market here: its account, what it brings, its book."""
        account = self.world.ledger.open(name, market.kind, "markets").start
        opening = Opening(name, account, lambda asset: self.world.ledger.column(self.name, asset), self.source)
        for asset, amount in sorted(market.brings(lambda price: PriceSource(self.world.prices.index(price))).items()):
            self.world.ledger.mint(self.name, asset, account, amount)
        book = market.open(opening)
        self.codes[name] = len(self.books)
        self.books.append(book)
        self.markets.append(market)
        self.market_names.append(name)
        code = self.world.log.names.code
        self._call_codes.append((code(name), [code(action) for action in market.actions]))
        feed = getattr(book, "source", None)
        if isinstance(feed, PriceSource):
            self.sources[name] = feed

    def source(self, name: str) -> PriceSource:
        """The price under a name: a feed on this chain, or the outside index as it stands when a block starts."""
        if name not in self.sources:
            self.sources[name] = PriceSource(self.world.prices.index(name))
        return self.sources[name]

    def _look_outside(self, now: int) -> None:
        for name, source in self.sources.items():
            if name not in self.codes:
                source.price = self.world.prices.index(name)
                source.time = now

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

    def _tell(self, now: int) -> None:
        clock = self.world.clock
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for key, event in waiters:
                clock.wake(event, now, mix(key, self.height), self.height)
        for code in list(self._listeners):
            calls = self.books[code].calls()
            if calls > self._answered.get(code, 0):
                self._answered[code] = calls
                for key, event in self._listeners.pop(code):
                    clock.wake(event, now, mix(key, self.height), self.height)

    # ---- blocks

    def make_block(self, now: int, gas_limit: int, blobs: int = 0, blob_base_fee: int = 0) -> tuple[int, int]:
        """Take what has arrived, execute it, write it down, tell who waits. Returns gas used and bytes of the rows."""
        fresh = self.inbox.arrivals(now)
        if fresh is not None:
            self._set_references(fresh)
            self.inbox.admit(fresh)
        self.last_block = now
        base_fee = self.base_fee()
        if self.sources:
            self._look_outside(now)
        for book in self.books:
            book.begin(now)
        gas = size = included = 0
        if len(self.inbox) and self.ordering is not None:
            cut, reasons, dropped = self.inbox.select(now, base_fee, gas_limit, self.ordering, self._ordering_luck)
            if dropped is not None:
                for i, status in reasons:
                    self._drop(now, dropped, i, status)
            if cut.stop > cut.start:
                gas, size, included = self._execute(cut, base_fee, now)
        for book in self.books:
            if book.facts:
                for fact in book.facts:
                    self.world.record(fact)
                book.facts.clear()
        if included or blobs or self.kind == "l1":
            self.note(now, BlockSealed(self.name, self.height, included, gas, base_fee, blob_base_fee, blobs, len(self.inbox)))
        self._tell(now)
        return gas, size

    def _ordering_luck(self) -> "np.random.Generator":
        return self.world.streams.generator(f"chains/{self.name}/ordering", self.height)

    def _set_references(self, fresh: Cut) -> None:
        """Note the mid price at which each arrival found its market; what brought a reference of its own keeps it."""
        rows, start, stop, traits = fresh
        mids = [book.mid() for book in self.books]
        if traits.references:
            found = zip(rows.reference[start:stop], rows.market[start:stop], strict=True)
            rows.reference[start:stop] = [given or mids[market] for given, market in found]
        elif len(mids) == 1:
            rows.reference[start:stop] = mids * (stop - start)
        else:
            rows.reference[start:stop] = [mids[market] for market in rows.market[start:stop]]

    def _execute(self, cut: Cut, base_fee: int, now: int) -> tuple[int, int, int]:
        """Charge, execute and write down the rows of a block; gas, bytes and number of rows."""
        rows, start, stop, traits = cut
        n = stop - start
        per_byte = self.data_price()
        gas, size = rows.gas[start:stop], rows.size[start:stop]
        if traits.tips:
            tipped = zip(gas, rows.tip[start:stop], rows.cap[start:stop], strict=True)
            fees = [used * (min(base_fee + tip, cap) / ETH) for used, tip, cap in tipped]
        elif traits.gas is not None:
            fees = [traits.gas * (base_fee / ETH)] * n
        else:
            fees = [used * (base_fee / ETH) for used in gas]
        data = [traits.size * per_byte] * n if traits.size is not None else [one * per_byte for one in size]

        senders = rows.sender[start:stop]
        token = self.world.ledger.column(self.name, GAS_TOKEN)
        broke = False
        for sender, cost in zip(senders, map(add, fees, data), strict=True):
            left = token[sender] - cost
            token[sender] = left
            if left < 0.0:
                broke = True
        if broke:
            return self._without_the_broke(cut, token, fees, data, base_fee, now)
        used = sum(gas) if traits.gas is None else traits.gas * n
        self.collect(token, fsum(fees), fsum(data), used * base_fee / ETH)

        status, markets, calls, x, y = self._run(rows, start, stop)
        # What is the same for all rows of the block is written as one number.
        alike = traits.gas is not None
        self._included.extend(
            n, now, self._chain_code, self.height, rows.submitted[start:stop], senders, markets, calls, status, gas[0] if alike else gas,
            fees[0] if alike and not traits.tips else fees, data[0] if traits.size is not None else data, x, y,
        )  # fmt: skip
        if traits.tickets:
            for i, ticket in enumerate(rows.ticket[start:stop]):
                if ticket:
                    self.world.deliver(ticket, Receipt(status[i], self.height, x[i], y[i], fees[i] + data[i]))
        if any(status):
            for i, what in enumerate(status):
                if what:
                    self.world.failed(rows, start + i, what)
        return used, sum(size) if traits.size is None else traits.size * n, n

    def _without_the_broke(
        self, cut: Cut, token: list[float], fees: list[float], data: list[float], base_fee: int, now: int
    ) -> tuple[int, int, int]:
        """Some sender cannot pay: give all their money back, drop the rows that exceed it, and execute the others."""
        rows, start, stop, _ = cut
        for sender, cost in zip(rows.sender[start:stop], map(add, fees, data), strict=True):
            token[sender] += cost
        able: list[int] = []
        purse: dict[int, float] = {}
        for i in range(start, stop):
            sender = rows.sender[i]
            left = purse.get(sender, token[sender]) - (fees[i - start] + data[i - start])
            if left < 0.0:
                self._drop(now, rows, i, Status.INSUFFICIENT_FUNDS)
            else:
                purse[sender] = left
                able.append(i)
        return self._execute(Cut.whole(rows.take(able)), base_fee, now) if able else (0, 0, 0)

    def collect(self, token: list[float], fees: float, data: float, base: float) -> None:
        """Credit what the senders of a block paid (ETH): execution fees, data fees, and the base fee's part of the former."""
        raise TypeError(f"{self.kind} collects no fees")

    def _run(self, rows: Rows, start: int, stop: int) -> tuple[list[int], int | list[int], list[int], list[float], list[float]]:
        """Execute rows in runs of one market each: statuses, codes of market and action for the log, x and y."""
        market = rows.market[start:stop]
        first, n = market[0], stop - start
        if len(self.books) == 1 or market.count(first) == n:
            code, actions = self._call_codes[first]
            status, x, y = self.books[first].run(rows, start, stop)
            return status, code, [actions[action] for action in rows.action[start:stop]], x, y
        status, x, y = [], [], []
        begin = 0
        while begin < n:
            end, which = begin + 1, market[begin]
            while end < n and market[end] == which:
                end += 1
            part = self.books[which].run(rows, start + begin, start + end)
            status += part[0]
            x += part[1]
            y += part[2]
            begin = end
        codes = self._call_codes
        calls = [codes[m][1][action] for m, action in zip(market, rows.action[start:stop], strict=True)]
        return status, [codes[m][0] for m in market], calls, x, y

    def note(self, time: int, block: BlockSealed) -> None:
        """Write a block down."""
        self._sealed.append(time, block)

    def write(
        self, rows: Rows, start: int, stop: int, times: Any, heights: Any, status: Any, fees: Any, data: float, x: Any, y: Any
    ) -> None:
        """Write down executed rows of several blocks, on arrays, all of this chain's first market."""
        market, actions = self._call_codes[0]
        calls = np.array(actions)[rows.action[start:stop]]
        self._included.extend(
            stop - start, times, self._chain_code, heights, rows.submitted[start:stop], rows.sender[start:stop], market, calls,
            status, rows.gas[start:stop], fees, data, x, y,
        )  # fmt: skip

    def watched(self) -> bool:
        """Whether anybody waits for its next block, or anything here looks outside at it."""
        return bool(self._waiters or self.sources or any(self._listeners.values()))

    def _drop(self, now: int, rows: Rows, i: int, status: int) -> None:
        market = rows.market[i]
        action = list(self.markets[market].actions)[rows.action[i]]
        self.world.record(TransactionDropped(self.name, rows.submitted[i], rows.sender[i], self.market_names[market], action, status))
        if rows.ticket[i]:
            self.world.deliver(rows.ticket[i], Receipt(status, self.height, 0.0, 0.0, 0.0))
        self.world.failed(rows, i, status)

    def congestion(self) -> float:
        """Waiting transactions in units of what a block takes, at most 5; 0 in calm times."""
        limit = self.gas_limit()
        waiting = len(self.inbox)
        if not waiting or not limit:
            return 0.0
        return min(5.0, waiting * self.inbox.waiting.rows.gas[self.inbox.waiting.start] / limit)

    def claims(self) -> dict[str, list[Any]]:
        """What each market here owes, by name of the market."""
        return {name: list(self.books[code].claims()) for name, code in self.codes.items()}
