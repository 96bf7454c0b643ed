"""World: one run, from a description and its luck to a log."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Generator, Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np
from simpy.events import Event

from l2sim.events import AccountClosed, PriceMoved
from l2sim.log import Log
from l2sim.markets import Market
from l2sim.part import Part
from l2sim.prices import Price, Recording
from l2sim.streams import Streams, mix, mix_many
from l2sim.transactions import Failure, Receipt
from l2sim.world import Chain
from l2sim.world.about import about
from l2sim.world.chain import LiveChain
from l2sim.world.clock import Clock
from l2sim.world.engine import Engine, engines
from l2sim.world.execution import MarketFailed
from l2sim.world.l1 import LiveL1
from l2sim.world.ledger import BURNED, EXPENSES, GAS_TOKEN, BooksDoNotClose, Ledger
from l2sim.world.network import LiveNetwork, Network
from l2sim.world.outside import LiveOutside
from l2sim.world.prices import LivePrices
from l2sim.world.reflexes import LiveReflex
from l2sim.world.seat import AttackSeat, Seat

SAMPLES = 1000
STEPS = 50
CHECKS = 10
"""Steps of a run after which somebody looks whether all numbers are numbers."""
LAST = 2**64
"""A tie key behind all others: when everybody else of an instant had a turn."""


class RunFailed(Exception):
    """An agent or attack raised: its name and the simulated time are in the message, the cause is chained."""


class Description(Protocol):
    """What a world is made from; a Scenario is one."""

    @property
    def duration(self) -> int: ...
    @property
    def prices(self) -> Mapping[str, Price]: ...
    @property
    def network(self) -> Network: ...
    @property
    def chains(self) -> Mapping[str, Chain]: ...
    @property
    def markets(self) -> Mapping[str, Market]: ...
    @property
    def agents(self) -> Mapping[str, Any]: ...
    @property
    def attacks(self) -> Mapping[str, Any]: ...


def _cast(description: Description) -> list[tuple[str, Any, str | None]]:
    """Every agent and settlement with its name and the chain that appointed it, where one did."""
    cast: list[tuple[str, Any, str | None]] = [(name, part, None) for name, part in description.agents.items()]
    for chain_name, chain in description.chains.items():
        for field in type(chain).model_fields:
            part = getattr(chain, field)
            if isinstance(part, Part) and part.room is not None and part.room.name in ("agents", "settlement"):
                cast.append((f"{chain_name}.{field}", part, chain_name))
    return cast


def _reversible(description: Description) -> set[str]:
    """The chains that somebody or their own rules may reorganize, or whose state is disputed."""
    attacked = {name for attack in description.attacks.values() for name in attack.reverses()}
    return attacked | {name for name, chain in description.chains.items() if chain.disputed() or chain.undoes()}


def _accounts(description: Description) -> int:
    """How many ledger accounts there will be: two sinks, two for each chain (its own, its committee's), markets, attacks, agents."""
    of_agents = sum(int(part.count * part.accounts()) for _, part, _ in _cast(description))
    return 2 + 2 * len(description.chains) + len(description.markets) + len(description.attacks) + of_agents


class World:
    """One run: clock, chains, ledger, network, prices, seats and the log.

    Nothing depends on the order in which a description lists its members: they are made in the order of their names, and
    simultaneous acts come in the order of seeded keys.
    """

    def __init__(
        self,
        description: Description,
        streams: Streams,
        recordings: Mapping[str, Recording] | None = None,
        engine: Engine = "auto",
        reversible: Collection[str] = (),
    ) -> None:
        """A world at its start.

        Args:
            description: what it is made from.
            streams: its luck.
            recordings: what was read from files, by name: series that prices replay, tables that agents are made from.
            engine: what executes blocks; both give the same bits.
            reversible: chains that are to be undoable, besides those that the description's own members may undo.
        """
        self.duration = description.duration
        self.description = description
        self.streams = streams
        self.clock = Clock()
        self.log = Log()
        self.reversible = _reversible(description) | set(reversible)
        """The chains whose blocks can be undone."""
        self.atomic = any(part.atomic for _, part, _ in _cast(description))
        """Whether anybody sends transactions of several steps."""
        self.needs: frozenset[str] = frozenset(name for metric in getattr(description, "metrics", {}).values() for name in metric.needs)
        """The optional facts that metrics of the scenario ask for."""
        self.engines = engines(description, engine, self.reversible)
        self.ledger = Ledger(_accounts(description))
        self.network = LiveNetwork(description.network, streams)
        self.ledger.open(BURNED, "sink", "chains")
        if any(chain.disputed() for chain in description.chains.values()):
            self.ledger.open(EXPENSES, "sink", "chains")
        self.chains: dict[str, LiveChain] = {}
        for name, chain in sorted(description.chains.items()):
            self.chains[name] = chain.start(name, self)
        self.venues = {name: chain for name, chain in self.chains.items() if isinstance(chain, LiveOutside)}
        self.recordings = recordings or {}
        self.prices = LivePrices(description.prices, self._calendar(), streams, self.recordings, self.clock)
        if self.venues:
            venue = next(iter(self.venues.values()))
            self.prices.factor, self.prices.factors = venue.factor, venue.factors
        self._open_markets(description.markets)
        self.carried: list[tuple[str, float, int]] = []
        """Positions outside from before the start: price, units, account."""
        self._tickets: dict[int, Event] = {}
        self._failures: dict[str, list[Failure]] = {}
        self._first_accounts: list[int] = []
        self._group_names: list[str] = []
        self._seat(description)

    def _calendar(self) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        instants = [np.array([0, self.duration], np.int64)]
        instants += [np.array(chain.instants(), np.int64) for chain in self.chains.values() if self.description.prices]
        return np.unique(np.concatenate(instants))

    def _open_markets(self, markets: Mapping[str, Market]) -> None:
        # Feeds open before the markets that read them.
        for name, market in sorted(markets.items(), key=lambda item: (item[1].underlying() in markets, item[0])):
            self.chains[market.on].open(name, market)
        self.home = {name: self.chains[market.on] for name, market in markets.items()}

    def _seat(self, description: Description) -> None:
        self.seats: list[tuple[Any, Seat]] = []
        for name, part, employer in sorted(_cast(description), key=lambda member: (member[1].stage, member[0])):
            duty = self.chains[employer] if employer else None
            accounts = self.ledger.open(name, part.kind, "agents", part.count * part.accounts())
            for i in range(part.count):
                own = accounts[i * part.accounts() : (i + 1) * part.accounts()]
                self.seats.append((part, Seat(self, f"{name}/{i}", name, part, own, duty)))
        for name, part in sorted(description.attacks.items()):
            own = self.ledger.open(name, part.kind, "attacks")
            self.seats.append((part, AttackSeat(self, name, name, part, own, None)))
        self._first_accounts = [group.accounts.start for group in self.ledger.groups.values()]
        self._group_names = list(self.ledger.groups)
        members = [(self.streams.key(f"accounts/{name}"), np.arange(len(group.accounts))) for name, group in self.ledger.groups.items()]
        self.identities = (np.concatenate([mix_many(key, numbers) for key, numbers in members]) >> np.uint64(32)).astype(np.int64)

    # ---- what chains and seats need

    def record(self, fact: tuple[Any, ...]) -> None:
        """Write a fact into the log, stamped with the time; an optional one only where a metric needs it."""
        self.record_at(self.clock.now, fact)

    def record_at(self, time: int, fact: tuple[Any, ...]) -> None:
        """The same with a time of its own (ns)."""
        if getattr(type(fact), "optional", False) is not True or type(fact).__name__ in self.needs:
            self.log.record(time, fact)

    def l1(self, name: str) -> LiveL1:
        """The running L1 of that name."""
        chain = self.chains[name]
        if not isinstance(chain, LiveL1):
            raise TypeError(f"'{name}' is not an l1")
        return chain

    def gas_token_price(self) -> float:
        """What the gas token is worth now (USD): the index of 'eth', or 3000 USD where the scenario has none."""
        return self.prices.index("eth") if "eth" in self.prices.parts else 3000.0

    def gas_token_prices(self, times: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """The same at several times, none of which has come (ns)."""
        return self.prices.indices("eth", times) if "eth" in self.prices.parts else np.full(len(times), 3000.0)

    def moves_outside(self) -> bool:
        """Whether trades outside move any price."""
        return any(venue.moves(name) for venue in self.venues.values() for name in self.prices.parts)

    def regime(self, chain: LiveChain) -> float:
        """Stress on messages to a chain: excess volatility plus congestion, 0 in calm times."""
        return self.prices.agitation(self.description.network.reference_volatility) + chain.congestion()

    def expect(self, ticket: int) -> Event:
        """The event that delivers the receipt of a ticket."""
        event = self._tickets[ticket] = Event(self.clock)
        return event

    def deliver(self, ticket: int, receipt: Receipt) -> None:
        """Hand a receipt to whoever waits for it."""
        event = self._tickets.pop(ticket, None)
        if event is not None:
            self.clock.wake(event, self.clock.now, mix(ticket, receipt.block), receipt)

    def watch_failures(self, group: str) -> list[Failure]:
        """A list to which the failures of a group are added from now on."""
        return self._failures.setdefault(group, [])

    def hears_of_failures(self) -> bool:
        """Whether anybody wants to know of failures."""
        return bool(self._failures)

    def failed(self, sender: int, status: int, action: int, first: float, submitted: int) -> None:
        """A transaction reverted or was dropped; ``first`` is its first field."""
        group = self._group_names[bisect_right(self._first_accounts, sender) - 1]
        watched = self._failures.get(group)
        if watched is not None:
            watched.append(Failure(sender, status, action, first, submitted))

    # ---- the run

    def run(self, progress: Callable[[int, int], None] | None = None) -> Log:
        """Live from the start to the end.

        Args:
            progress: called now and then with simulated time (ns) and the number of events so far.

        Raises:
            RunFailed: an agent or attack raised.
            BooksDoNotClose: money appeared or vanished.
        """
        for part, seat in self.seats:
            if not isinstance(seat, AttackSeat):
                try:
                    part.arrive(seat)
                except Exception as error:
                    raise self._blame(seat.name, error) from error
        for part, seat in self.seats:
            try:
                settings = part.settings(seat) if getattr(part, "reflex", None) is not None else None
            except Exception as error:
                raise self._blame(seat.name, error) from error
            if settings is not None:
                chain = self.home[part.market]
                chain.reflexes.append(LiveReflex(part, seat, chain, list(settings)))
        self.ledger.begin()
        for price, units, account in self.carried:
            next(iter(self.venues.values())).exchange(price, units, units * self.prices.path(price), account)
        self._opening_claims = self._claims()
        for chain in self.chains.values():
            for book in chain.books:
                for fact in book.facts:
                    self.record(fact)
                book.facts.clear()
            if chain.history is not None:
                chain.history.begin()
            chain.begin()
        for part, seat in sorted(self.seats, key=lambda member: mix(member[1]._key, 0)):  # who acts at once does so in fair order
            self.clock.process(self._life(partial(part.run, seat), seat.name))
        if self.prices.parts:
            self.clock.process(self._sample())
        for step in range(1, STEPS + 1):
            try:
                self.clock.run(until=self.clock.wake(Event(self.clock), self.duration * step // STEPS, LAST))
                if step % CHECKS == 0:
                    self._see_numbers()
            except (RunFailed, BooksDoNotClose):
                raise
            except Exception as error:
                raise self._blame("", error) from error
            if progress is not None:
                progress(self.clock.now, next(self.clock._eid))
        self._close()
        return self.log

    def start(self, life: Generator[Event, Any, None], name: str) -> None:
        """Let something that an agent of that name does take its course."""
        self.clock.process(self._life(lambda: life, name))

    def _blame(self, name: str, error: Exception) -> RunFailed:
        """The failure of an agent, or of the market whose code it ran."""
        who, time, problem = f"'{name}' " if name else "", self.clock.now, f"{type(error).__name__}: {error}"
        if isinstance(error, MarketFailed):
            who, time, problem = f"market '{error.market}' ", error.time, error.problem
        return RunFailed(f"{who}failed at {time / 1e9:.3f} s of simulated time: {problem}")

    def _see_numbers(self) -> None:
        """See that no market has left what is no number, here or in somebody's balance."""
        for chain in self.chains.values():
            for column, key in chain.state.no_numbers():
                kind, name = column.split("/", 1) if "/" in column else (column, "")
                if kind != "balances":
                    raise MarketFailed(kind, self.clock.now, f"there is no number in its column '{column}', place {key}")
                owner = self._group_names[bisect_right(self._first_accounts, key) - 1]
                problem = f"'{owner}' holds no number of {name} on '{chain.name}'"
                raise MarketFailed(owner if owner in chain.codes else " or ".join(chain.codes), self.clock.now, problem)

    def _life(self, begin: Callable[[], Generator[Event, Any, None]], name: str) -> Generator[Event, Any, None]:
        """An agent's own generator, its failures put down to its name."""
        value = None
        life = begin()
        while True:
            try:
                event = life.send(value)
            except StopIteration:
                return
            except (RunFailed, BooksDoNotClose):
                raise
            except Exception as error:
                raise self._blame(name, error) from error
            if not isinstance(event, Event):
                raise self._blame(name, TypeError(f"it yielded {event!r}, where something to wait for is due, such as me.sleep(…)"))
            value = yield event

    def _sample(self) -> Generator[Event, Any, None]:
        step = max(1, self.duration // SAMPLES)
        if not self.moves_outside():
            self._sample_paths(np.arange(0, self.duration + 1, step))
            return
        while True:
            for name in self.prices.parts:
                self.record(PriceMoved(name, self.prices.path(name), self.prices.index(name)))
            yield self.clock.wake(Event(self.clock), self.clock.now + step)

    def _sample_paths(self, times: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> None:
        """The same for prices that nobody moves: they need not be waited for."""
        names = [self.log.names.code(name) for name in self.prices.parts] * len(times)
        paths = np.stack([self.prices.indices(name, times) for name in self.prices.parts], axis=1).ravel().tolist()
        self.log.table(PriceMoved).extend(len(names), np.repeat(times, len(self.prices.parts)).tolist(), names, paths, paths)

    def _claims(self) -> dict[tuple[str, str, str], float]:
        """What each group is owed by each market or settlement: (debtor, asset, group) -> amount; the debtor's own entry balances it."""
        totals: dict[tuple[str, str, str], float] = {}
        for name, columns in (debtor for chain in self.chains.values() for debtor in chain.owed().items()):
            for asset, accounts, amounts in columns:
                of = np.searchsorted(self._first_accounts, accounts, side="right") - 1
                sums = np.bincount(of, amounts, len(self._group_names))
                for number in np.flatnonzero(np.bincount(of)).tolist():
                    key = (name, asset, self._group_names[number])
                    totals[key] = totals.get(key, 0.0) + float(sums[number])
                own = (name, asset, name)
                totals[own] = totals.get(own, 0.0) - float(sums.sum())
        return totals

    def _close(self) -> None:
        """Close the books: check them, write everybody's statement, and note what metrics need to know of the run."""
        for chain in self.chains.values():
            chain.look()
        for name in ("BlockSealed", "HeadAdvanced"):
            if name in self.log.tables:
                self.log.tables[name].put_in_order()
        self.ledger.check()
        for name, chain in self.home.items():
            book = chain.books[chain.codes[name]]
            gap = book.audit()
            if not gap <= 1e-9:
                raise BooksDoNotClose(f"market '{name}': what it holds and what it owes differ by {gap:.3g} of the sums involved")
        worth = {"usd": 1.0, GAS_TOKEN: self.gas_token_price()}
        worth |= {name: self.prices.index(name) for name in self.prices.parts}
        for fact in self.ledger.statement(worth):
            self.record(fact)
        closing = self._claims()
        for market, asset, group in sorted(set(closing) | set(self._opening_claims)):
            opening, now = self._opening_claims.get((market, asset, group), 0.0), closing.get((market, asset, group), 0.0)
            if opening or now:
                kind = self.ledger.groups[group].kind
                self.record(AccountClosed(group, kind, market, asset, opening, now, worth[asset], (now - opening) * worth[asset]))
        self.log.about = about(self)
