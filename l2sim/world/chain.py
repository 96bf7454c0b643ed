"""A running chain: an inbox, books, and the making of blocks. Rollups and L1 are special cases; so is an outside venue."""

from operator import mul
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from l2sim.events import BlockSealed, TransactionDropped, TransactionIncluded
from l2sim.markets import Book, Market, Opening, PriceSource
from l2sim.ordering import Ordering
from l2sim.streams import mix
from l2sim.transactions import Receipt, Rows, Status
from l2sim.units import ETH
from l2sim.world.inbox import Inbox

if TYPE_CHECKING:
    import numpy as np

    from l2sim.world import Chain
    from l2sim.world.world import World

GAS_TOKEN = "eth"  # noqa: S105


class LiveChain:
    """What all chains of a run share."""

    def __init__(self, rules: "Chain", name: str, world: "World") -> None:
        self.name = name
        self.world = world
        self.kind = rules.kind
        self.region = "us_east"
        self.ordering: Ordering | None = None
        self.inbox = Inbox()
        self.height = 0
        self.last_block = 0
        self.books: list[Book] = []
        self.markets: list[Market] = []
        self.market_names: list[str] = []
        self.codes: dict[str, int] = {}
        self.sources: dict[str, PriceSource] = {}
        self._waiters: list[tuple[int, Event]] = []
        self._listeners: dict[int, list[tuple[int, Event]]] = {}
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
            if self._listeners[code] and self.books[code].calls():
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
        if len(self.inbox):
            assert self.ordering is not None
            rows, reasons, dropped = self.inbox.select(now, base_fee, gas_limit, self.ordering, self._ordering_luck)
            if dropped is not None:
                for i, status in reasons:
                    self._drop(now, dropped, i, status)
            if rows.number:
                rows, fees, data = self._charge(rows, base_fee, now)
                gas, size, included = sum(rows.gas), sum(rows.size), rows.number
                self._execute(rows, fees, data, now)
        for book in self.books:
            if book.facts:
                for fact in book.facts:
                    self.world.record(fact)
                book.facts.clear()
        if included or blobs or self.kind == "l1":
            self._sealed.append(now, BlockSealed(self.name, self.height, included, gas, base_fee, blob_base_fee, blobs, len(self.inbox)))
        self._tell(now)
        return gas, size

    def _ordering_luck(self) -> "np.random.Generator":
        return self.world.streams.generator(f"chains/{self.name}/ordering", self.height)

    def _set_references(self, rows: Rows) -> None:
        mids = [book.mid() for book in self.books]
        if len(mids) == 1:
            mid = mids[0]
            rows.reference[:] = [given or mid for given in rows.reference]
        else:
            rows.reference[:] = [given or mids[market] for given, market in zip(rows.reference, rows.market, strict=True)]

    def _charge(self, rows: Rows, base_fee: int, now: int) -> tuple[Rows, list[float], list[float]]:
        """Debit every sender; those who cannot pay are dropped before anything is executed."""
        token = self.world.ledger.column(self.name, GAS_TOKEN)
        per_byte = self.data_price()
        if max(rows.tip):
            prices = [min(base_fee + tip, cap) / ETH for tip, cap in zip(rows.tip, rows.cap, strict=True)]
            fees = list(map(mul, rows.gas, prices))
        else:
            price = base_fee / ETH
            fees = [gas * price for gas in rows.gas]
        data = [size * per_byte for size in rows.size]
        broke = []
        for i, sender in enumerate(rows.sender):
            left = token[sender] - fees[i] - data[i]
            if left < 0.0:
                broke.append(i)
            else:
                token[sender] = left
        if broke:
            poor = set(broke)
            for i in broke:
                self._drop(now, rows, i, Status.INSUFFICIENT_FUNDS)
            able = [i for i in range(rows.number) if i not in poor]
            rows, fees, data = rows.take(able), [fees[i] for i in able], [data[i] for i in able]
        if rows.gas:
            self.collect(token, rows, fees, data, base_fee)
        return rows, fees, data

    def collect(self, token: list[float], rows: Rows, fees: list[float], data: list[float], base_fee: int) -> None:
        """Credit what senders paid; kinds of chain say to whom."""
        raise TypeError(f"{self.kind} collects no fees")

    def _execute(self, rows: Rows, fees: list[float], data: list[float], now: int) -> None:
        n = rows.number
        market = rows.market
        first = market[0]
        if len(self.books) == 1 or (market[-1] == first and market.count(first) == n):
            status, x, y = self.books[first].run(rows, 0, n)
            code, actions = self._call_codes[first]
            markets = [code] * n
            calls = [actions[action] for action in rows.action]
        else:
            status, x, y = [], [], []
            start = 0
            while start < n:
                stop, which = start + 1, market[start]
                while stop < n and market[stop] == which:
                    stop += 1
                part = self.books[which].run(rows, start, stop)
                status += part[0]
                x += part[1]
                y += part[2]
                start = stop
            markets = [self._call_codes[m][0] for m in market]
            calls = [self._call_codes[m][1][action] for m, action in zip(market, rows.action, strict=True)]
        columns = [rows.submitted, rows.sender, markets, calls, status, rows.gas, fees, data, x, y]
        self._included.extend(n, (now, self._chain_code, self.height), columns)
        if any(rows.ticket):
            for i, ticket in enumerate(rows.ticket):
                if ticket:
                    self.world.deliver(ticket, Receipt(status[i], self.height, x[i], y[i], fees[i] + data[i]))
        if any(status):
            for i, what in enumerate(status):
                if what:
                    self.world.failed(rows, i, what)

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
        return min(5.0, waiting * self.inbox.waiting.gas[self.inbox.head] / limit)

    def claims(self) -> dict[str, list[Any]]:
        """What each market here owes, by name of the market."""
        return {name: list(self.books[code].claims()) for name, code in self.codes.items()}
