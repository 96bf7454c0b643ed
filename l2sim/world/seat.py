"""Seat: all that an agent may touch; its local name is ``me``. What it shows, its owner could have seen at that time."""

from collections.abc import Callable, Generator
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from simpy.events import AnyOf, Event

from l2sim.data_fees.scalar import BYTES_A_BLOB
from l2sim.streams import mix
from l2sim.transactions import ANY_FEE, NEVER, STEPS, Failure
from l2sim.units import ETH
from l2sim.world.arriving import Arrival
from l2sim.world.censorship import Unwanted, impose
from l2sim.world.chain import LiveChain
from l2sim.world.duty import Duty
from l2sim.world.l1 import LiveL1
from l2sim.world.ledger import GAS_TOKEN
from l2sim.world.mail import BlobTransaction, Saturation
from l2sim.world.reorganization import latest, reorganize
from l2sim.world.rollup import LiveRollup
from l2sim.world.sending import Do, Ints
from l2sim.world.throttle import NO_LIMIT, DataLimit
from l2sim.world.validators import Validators

if TYPE_CHECKING:
    from l2sim.world.world import World

Waiting = Generator[Any, Any, None]

__all__ = ["AttackSeat", "Do", "Fill", "Seat", "Waiting", "Waits"]


class Fill(NamedTuple):
    """What a trade outside gave."""

    quantity: float
    """Units bought (negative: sold)."""
    cost: float
    """US dollars paid (negative: received)."""


class Waits(NamedTuple):
    """A transaction in a mempool, as everybody sees it where the ordering shows it; who sent it is not told."""

    market: str
    action: str
    a: float
    b: float
    c: float
    slippage: float
    """Worst relative move from the reference price that its sender accepts; inf where it does not say."""
    reference: float
    """The price that its limit refers to."""
    tip: int
    """Priority fee, wei per gas."""


class Seat(Arrival):
    """One agent's place in the world: its name, its accounts, its luck, its view, and what it may do."""

    gas_token = GAS_TOKEN
    """Asset in which all chains take their fees."""
    blob_bytes = BYTES_A_BLOB
    """Usable bytes of a blob."""

    def __init__(self, world: "World", name: str, group: str, part: Any, accounts: range, duty: LiveChain | None) -> None:
        super().__init__(world, name, part, accounts)
        self.duty: Any = None if duty is None else Duty(duty)  # type: ignore[arg-type]
        """The chain that appointed it (its sequencer, its batch poster); None for everybody else."""
        self._group = group
        self._woken = 0

    # ---- time and luck

    @property
    def ends(self) -> int:
        """When the run ends (ns)."""
        return self._world.duration

    def sleep(self, duration: int) -> Event:
        """Wait that long: ``yield me.sleep(250 * MS)``."""
        return self.sleep_until(self.now + duration)

    def sleep_until(self, time: int) -> Event:
        """Wait until that time; where it has passed, until everybody else of this instant had a turn."""
        clock = self._world.clock
        if self.duty is not None:
            return clock.wake(Event(clock), max(time, self.now))
        self._woken += 1
        return clock.wake(Event(clock), max(time, self.now), mix(self._key, self._woken))

    def rng(self, purpose: str, index: int = 0) -> np.random.Generator:
        """Its own luck for a purpose and an index (chunk, decision): same pair, same luck, whenever it is asked."""
        return self._world.streams.generator(f"agents/{self.name}/{purpose}", index)

    # ---- what it sees

    def price(self, name: str) -> float:
        """The outside index now, impact included (USD)."""
        return self._world.prices.index(name)

    def volatility(self, name: str) -> float:
        """Volatility of the outside price as seen lately, per sqrt(year)."""
        return self._world.prices.volatility(name)

    def height(self, chain: str) -> int:
        """Number of the chain's last block."""
        return self._world.chains[chain].height

    def silence(self, chain: str) -> int:
        """Time since the chain's last block that its operator has shown (ns)."""
        live = self._world.chains[chain]
        live.look()
        return self.now - (live.available_until() if isinstance(live, LiveRollup) else live.last_block)

    def gas_limit(self, chain: str) -> int:
        """Gas that fits into the chain's next block."""
        return self._world.chains[chain].gas_limit()

    def footprint(self, chain: str) -> int:
        """Gas that a byte of a transaction counts for when the chain's blocks are filled; 0 where data does not count."""
        return self._world.chains[chain].charge().footprint

    def data_limit(self, chain: str) -> DataLimit:
        """Bytes of data that fit into the chain's next block, and those of the largest transaction in it."""
        live = self._world.chains[chain]
        return live.data_limit() if isinstance(live, LiveRollup) else NO_LIMIT

    def block_interval(self, chain: str) -> int:
        """The chain's usual time between blocks (ns)."""
        return self._world.chains[chain].block_interval()

    def within(self, market: str, patience: int) -> int:
        """The deadline of a transaction that may wait so long (ns) for a block, but for two usual blocks of the market's chain at least."""
        return self.now + max(patience, 2 * self._world.home[market].block_interval())

    def base_fee(self, chain: str) -> int:
        """Execution base fee of the chain's next block (wei per gas)."""
        return self._world.chains[chain].base_fee()

    def blob_base_fee(self, chain: str) -> int:
        """Blob base fee of an L1's next block (wei per blob gas)."""
        return self._world.l1(chain).blob_base_fee()

    def fee(self, market: str, action: str, tip: int = 0, gas: float | None = None) -> float:
        """What an action would cost now in US dollars: execution and data, at the gas token's price; ``gas`` where it uses other gas."""
        chain = self._world.home[market]
        rules = chain.markets[chain.codes[market]]
        used = rules.gas[action] if gas is None else gas
        execution = used * (chain.base_fee() + self.bid(market, tip)) / ETH
        return (execution + chain.charge().of(rules.size[action], used)) * self._world.gas_token_price()

    def bid(self, market: str, tip: int = 0) -> int:
        """Priority fee that a transaction to a market bids (wei per gas): its tip, or on an L1 what everybody bids where that is more."""
        return max(tip, self._world.home[market].inbox.least_tip)

    def mid(self, market: str) -> float:
        """The market's mid price after the last block."""
        chain = self._world.home[market]
        return chain.books[chain.codes[market]].mid()

    def quote(self, market: str, action: str, *fields: float) -> tuple[int, float, float]:
        """What an action would give on the state after the last block: status, x, y."""
        chain = self._world.home[market]
        a, b, c = (*fields, 0.0, 0.0, 0.0)[:3]
        return chain.books[chain.codes[market]].quote(self._action(market, action), a, b, c)

    def view(self, market: str) -> Any:
        """The market's public state after the last block, read-only: the kind of market says what it shows."""
        chain = self._world.home[market]
        return chain.books[chain.codes[market]].view()

    def slot(self, market: str, price: str) -> int:
        """Where kernels on a market's chain find a price, kept current from now on; for the settings of a reflex."""
        return self._world.home[market].source(price).slot

    def pending(self, chain: str) -> list[Waits]:
        """What the last block of a chain left waiting, the earliest first, where its ordering lets the public see it."""
        live = self._world.chains[chain]
        if not live.shows():
            return []
        rows, start, stop, _ = live.inbox.waiting
        return [
            Waits(
                live.market_names[rows.market[i]], list(live.markets[rows.market[i]].actions)[rows.action[i]],
                rows.a[i], rows.b[i], rows.c[i], rows.slippage[i], rows.reference[i], rows.tip[i],
            )
            for i in range(start, stop)
            if rows.market[i] != STEPS
        ]  # fmt: skip

    def charges(self, chain: str) -> list[float]:
        """What transactions on a chain pay now, as reflexes are told it (``l2sim.kernels.Reflex``, ``chain``)."""
        live = self._world.chains[chain]
        charge, per_gas, ether = live.charge(), live.base_fee() / ETH, self._world.gas_token_price()
        return [
            per_gas + charge.per_gas, charge.per_byte, ether, self.now / 1e9, float(live.height), float(charge.floor_bytes),
            charge.per_transaction,
        ]  # fmt: skip

    def balance(self, place: str, asset: str, account: int | None = None) -> float:
        """What one of its accounts (by default the first) holds of an asset on a chain or an outside venue."""
        return float(self._world.ledger.column(place, asset)[self._own(account)])

    def identities(self, accounts: Ints) -> Ints:
        """Numbers below 2^32 that accounts, anybody's, keep whoever else is there, shape as given; for decisions about them."""
        return self._world.identities[accounts]

    def chain_of(self, market: str) -> str:
        """The chain that a market is on."""
        return self._world.home[market].name

    def rules(self, market: str) -> Any:
        """The market's frozen parameters."""
        return self._world.description.markets[market]

    def underlying(self, market: str) -> str:
        """The name of the outside price that a market is about, through a feed where it reads one."""
        name: str = self.rules(market).underlying()
        return self.underlying(name) if name in self._world.description.markets else name

    def venue(self) -> str:
        """The name of the outside venue.

        Raises:
            ValueError: the scenario has none.
        """
        for name in self._world.venues:
            return name
        raise ValueError("this agent trades outside, but the scenario has no chain of kind 'outside'")

    def failures(self) -> list[Failure]:
        """Its group's transactions that reverted or were dropped since last asked."""
        watched = self._world.watch_failures(self._group)
        mine = [failure for failure in watched if failure.account in self.accounts]
        watched[:] = [failure for failure in watched if failure.account not in self.accounts]
        return mine

    # ---- what it waits for

    def block(self, chain: str) -> Event:
        """The chain's next block."""
        return self._world.chains[chain].wait_block(self._key)

    def news(self, market: str) -> Event:
        """The next block after which strangers may want to act on the market (positions to liquidate)."""
        return self._world.home[market].wait_news(market, self._key)

    def receipt(self, ticket: int) -> Event:
        """The Receipt of a transaction that it sent with ``wait=True``."""
        return self._world.expect(ticket)

    def any(self, *events: Event) -> Event:
        """Whichever of these comes first."""
        return AnyOf(self._world.clock, events)

    # ---- what it does besides sending transactions

    def trade(self, price: str, quantity: float, account: int | None = None) -> Fill:
        """Buy (or sell, quantity < 0) outside at once, moving the price. Outside, balances may be negative: it is a margin account."""
        venue = self._world.venues[self.venue()]
        return Fill(quantity, venue.trade(price, quantity, self._own(account)))

    def announce(self, fact: tuple[Any, ...]) -> None:
        """Put a fact of its own into the log."""
        self._world.record(fact)

    # ---- for batch posters

    def carries(self, l1: str) -> tuple[int, int]:
        """Most blobs and most gas of a transaction in an L1's next block."""
        chain = self._world.l1(l1)
        fork = chain.fork()
        return fork.most_blobs, chain.most_gas()

    def calldata_floor(self, l1: str) -> int:
        """Gas that a token of calldata costs at least in an L1's next block; 0 where there is no floor."""
        return self._world.l1(l1).fork().calldata_floor

    def post_blobs(self, blobs: int, gas: int, tip: int, cap: int, blob_cap: int) -> Event:
        """Send a blob transaction to the L1 of its chain; the event's value is (slot, cost in ETH, submitted)."""
        l1 = self._world.l1(self.duty.settles_on)
        self._sent += 1
        arrives = self.now + self._world.network.delay(self._key, self._region, l1.region, self.now, self._world.regime(l1))
        included = Event(self._world.clock)
        tie = mix(self._key, self.now)
        l1.stirred()
        l1.blob_transactions.append(BlobTransaction(arrives, tie, self.now, self._own(None), blobs, gas, tip, cap, blob_cap, included))
        return included

    def again(self, included: Event) -> Event:
        """What tells that L1 has a blob transaction: the same event, or another where the block that had it was undone since."""
        return latest(self._world.l1(self.duty.settles_on), included)

    def withdraw_blobs(self, included: Event) -> None:
        """Take a blob transaction back that no block has included, to replace it."""
        l1 = self._world.l1(self.duty.settles_on)
        l1.blob_transactions = [t for t in l1.blob_transactions if t.included is not included]


class AttackSeat(Seat):
    """The seat of an attack: it may also do what the protocol does not forbid an adversary."""

    credit = True

    def halt(self, chain: str) -> None:
        """Take a rollup's sequencer down."""
        self._world.chains[chain].halt()  # type: ignore[attr-defined]

    def withhold(self, chain: str, members: int, serves: bool) -> None:
        """As a rollup's operator, together with members of its committee, give nobody its data any more; ``serves`` users or not."""
        self._world.chains[chain].publication.withhold(members, serves)  # type: ignore[attr-defined]

    def release(self, chain: str) -> None:
        """Give out a rollup's data again."""
        self._world.chains[chain].publication.release()  # type: ignore[attr-defined]

    def resume(self, chain: str) -> None:
        """Let it come back."""
        self._world.chains[chain].resume()  # type: ignore[attr-defined]

    def censor(self, chain: str, unwanted: Unwanted | None, *, forced: bool = True, stubborn: bool = False) -> None:
        """Have a rollup's sequencer leave out what is unwanted; None ends that.

        Args:
            chain: the rollup.
            unwanted: whether a transaction is left out, by its sender's account, its market and its action.
            forced: whether that goes for what comes through L1 too, as long as the rules let it.
            stubborn: whether it goes on where its blocks may then hold nothing else.
        """
        impose(self._world.chains[chain], unwanted, forced=forced, stubborn=stubborn)  # type: ignore[arg-type]

    def accounts_of(self, group: str) -> range:
        """The ledger accounts of an agent."""
        return self._world.ledger.groups[group].accounts

    def validators(self, l1: str) -> Validators:
        """The validators of an L1, some of whom may misbehave."""
        return self._world.l1(l1).validators

    def reorganize(self, chain: str, depth: int, lost: float = 0.0) -> None:
        """Undo the latest blocks of a rollup or an L1, on a rollup dropping a share of their transactions for good."""
        live = self._world.chains[chain]
        if isinstance(live, LiveL1):
            reorganize(live, depth)
        else:
            luck = self._world.streams.key(f"attacks/{self.name}/lost")
            live.reorganize(depth, lambda tie: mix(luck, tie) < lost * 2.0**64)  # type: ignore[attr-defined]

    def fund(self, chain: str, ether: float) -> None:
        """Bring ether for fees to a chain, from outside the modelled world."""
        self._world.ledger.bring(chain, GAS_TOKEN, ether)
        self._world.chains[chain].pay(GAS_TOKEN, self._own(None), ether)

    def fill(self, market: str, size: int, gas: int, *, tip: int = 0, deadline: int = NEVER) -> None:
        """Send so many incompressible bytes to a market's contract, which makes nothing of them but that they are paid and posted."""
        chain = self._world.home[market]
        self._send(chain, chain.codes[market], 0, (0.0, 0.0, 0.0), inf, 0.0, gas, size, tip, ANY_FEE, deadline, None, False)

    def demand(
        self, l1: str, gas: int, blobs: int, tip: int, spent: Callable[[int], None] = lambda wei: None,
        pays: Callable[[int], bool] | None = None, carrier: int = 0,
    ) -> None:  # fmt: skip
        """Buy gas and blobs in every slot from now on, with that priority fee; 0 and 0 stop it.

        Args:
            l1: the chain.
            gas: in every slot, as far as there is room.
            blobs: the same.
            tip: wei per gas.
            spent: told what each slot cost, in wei.
            pays: asked before each slot whether it pays up to so much for it, in wei; without it, whatever it costs. It costs
                less where transactions of the run bid more, which come first.
            carrier: execution gas of each transaction that carries blobs.
        """
        self._world.l1(l1).stirred()
        saturation = self._world.l1(l1).saturation
        if gas or blobs:
            saturation[self.name] = Saturation(self._own(None), gas, blobs, tip, spent, pays, carrier)
        else:
            saturation.pop(self.name, None)
