"""L1: slots, its fee market for gas and blobs, and Casper's finality, as seen by those who settle on it."""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError
from simpy.events import Event

from l2sim.consensus import Consensus
from l2sim.consensus.simple import Simple
from l2sim.demand import Demand
from l2sim.events import BlockSealed, HeadAdvanced
from l2sim.fees.blob import Blob, Fork
from l2sim.fees.eip1559 import Eip1559
from l2sim.ordering import Ordering
from l2sim.part import Refers
from l2sim.units import GWEI, SECOND, Duration, Fraction, Gas, Positive, Rhythm, Share, Wei
from l2sim.world import Chain
from l2sim.world.builders import Auction, Maker, Mempool, agreed
from l2sim.world.building import Building
from l2sim.world.censorship import censored
from l2sim.world.chain import LiveChain
from l2sim.world.execution import Block, Executed
from l2sim.world.fee_market import FeeMarket, Quiet, begins
from l2sim.world.ledger import BURNED
from l2sim.world.mail import BlobTransaction, Room, Saturation
from l2sim.world.validators import Validators

if TYPE_CHECKING:
    from l2sim.world.world import World

FORESEEN = 8
"""Slots that are worked out together where nothing happens."""


def _instant(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise PydanticCustomError(
            "instant", "'{text}' is no date and time: write it like 2026-01-29T00:00:00+00:00", {"text": text}
        ) from None
    return text


class L1(Chain):
    """Ethereum as rollups see it: slots, base fees, blobs, and a finalized checkpoint 64 to 95 slots behind."""

    slot: Annotated[Duration, Positive, Rhythm] = 12 * SECOND
    """Time between slots."""
    slots_per_epoch: Annotated[int, Field(ge=1)] = 32
    """Slots in an epoch."""
    missed: Annotated[Fraction, Share] = 0.0
    """Share of slots without a block, whoever's turn they are."""
    justification: Annotated[Fraction, Share] = 1.0
    """Probability that an epoch gathers the two thirds of stake that justify it, each on its own."""
    consensus: Consensus | None = None
    """Who proposes blocks and votes for checkpoints; without it nobody in particular, and ``justification`` says what is justified."""
    region: str = "us_east"
    """Region of the network that stands for its peer-to-peer mesh."""
    begins: Annotated[str, AfterValidator(_instant)] = "2026-06-01T00:00:00+00:00"
    """Calendar time of the start of the run: it decides which fork is in force, and a run may cross the next."""
    fork: str | None = None
    """Begin with this fork's first block instead, a name in the schedule of ``blob_fee`` such as ``prague``."""
    gas_limit: Annotated[Gas, Positive] = 60_000_000
    """Gas limit of a block."""
    base_fee: Eip1559
    """Execution base fee."""
    blob_fee: Blob
    """Blob base fee and the schedule of forks."""
    gas_demand: Demand
    """What everybody else wants of a block's gas."""
    blob_demand: Demand
    """How many blobs everybody else wants to post in a slot."""
    background_tip: Wei = 1 * GWEI
    """Priority fee of everybody else, wei per gas; batches and purchases that pay more go first, those that pay less get what is left.
    The run's transactions to markets here bid and pay so much at least."""
    ordering: Ordering
    """How a block orders the transactions of the run."""
    builders: dict[str, Maker] = {}
    """Who builds blocks for proposers, by name; without any, proposers build them themselves and leave out nobody."""
    relays: dict[str, Maker] = {}
    """Through whom builders offer blocks, by name; without any, directly."""
    bundles: tuple[Annotated[str, Refers("agents|attacks")], ...] = ()
    """Agents who hand their transactions to builders in bundles with revert protection: one that would revert is left out, and pays
    nothing."""

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        if self.consensus is not None and self.justification != 1:
            raise PydanticCustomError(
                "two_rules", "'consensus' says which epochs are justified: leave 'justification' out, or write it under 'consensus'"
            )
        if self.fork is not None:
            self.blob_fee.named(self.fork)
        self.base_fee.allows(self.gas_limit)
        agreed(self.builders, "builders")
        agreed(self.relays, "relays")
        begins(self)
        return self

    def began(self) -> int:
        """When the run begins, unix time in seconds."""
        if self.fork is not None:
            return self.blob_fee.named(self.fork).begins
        begins = datetime.fromisoformat(self.begins)
        return int(begins.replace(tzinfo=begins.tzinfo or UTC).timestamp())

    def tries(self) -> bool:
        return bool(self.bundles)

    @property
    def agreement(self) -> Consensus:
        """Who proposes and votes."""
        return self.consensus or Simple(justification=self.justification)

    def undoes(self) -> bool:
        return self.agreement.undoes()

    def start(self, name: str, world: "World") -> "LiveL1":
        return LiveL1(self, name, world)


class LiveL1(LiveChain):
    """L1 in a run. A block's number is its slot."""

    def __init__(self, rules: L1, name: str, world: "World") -> None:
        super().__init__(rules, name, world)
        self.rules = rules
        self.region = rules.region
        self.ordering = rules.ordering
        self.account = world.ledger.open(name, rules.kind, "chains").start
        self.safe = 0
        """The last justified checkpoint."""
        self.finalized = 0
        self.blob_transactions: list[BlobTransaction] = []
        self.saturation: dict[str, Saturation] = {}
        self.building = Building(self)
        self.market = FeeMarket(name, rules, world)
        self.after = self.market.genesis()
        self.validators = Validators(self)
        """The state after the last slot."""
        self._ahead: deque[tuple[Quiet, tuple[Any, ...]]] = deque()
        """Slots to come, worked out as if nothing happened till then, and their facts."""
        self._making = False
        self._besides = 0
        """Gas of the block that is being made that none of its rows uses, purchases excepted; everybody else yields what is too much."""
        self._armed: int | None = None
        """The next slot at whose time it wakes."""
        self._waiting_for_finality: list[tuple[int, Callable[[], None]]] = []
        self.mempool = Mempool(world.engines[name] == "arrays", partial(censored, self)) if rules.builders else None
        if self.mempool is not None:
            self.inbox = self.mempool
        self.inbox.least_tip = rules.background_tip
        self.auction = Auction(name, rules, self.market.uniform, world.ledger)
        self.taken: deque[tuple[int, BlobTransaction]] = deque()
        """Batches in blocks that can still be undone, with their slots."""
        self.again: dict[Event, Event] = {}
        """What tells of the next inclusion of a batch, by what told of one that was undone."""
        self.before: dict[int, Quiet] = {}
        """The state before each slot that can still be undone."""

    def instants(self) -> range:
        return range(self.rules.slot, self.world.duration + 1, self.rules.slot)

    def block_interval(self) -> int:
        return self.rules.slot

    def gas_limit(self) -> int:
        return self.rules.gas_limit

    def most_gas(self) -> int:
        most = self.fork().transaction_gas
        return self.rules.gas_limit if most is None else min(most, self.rules.gas_limit)

    def fork(self) -> Fork:
        """The fork in force in the next block, or in the one that is being made."""
        slot = self.world.clock.now // self.rules.slot
        return self.market.fork(slot if self._making else slot + 1)

    def base_fee(self) -> int:
        self.catch_up()
        return self.rules.base_fee.price(self.after.base)

    def blob_base_fee(self) -> int:
        """Blob base fee of the next block, wei per blob gas."""
        self.catch_up()
        return self.after.blob_price

    def fees(self, times: Any) -> tuple[list[tuple[int, int]], Any]:
        """Base fee and blob base fee of several next blocks, and which of them holds at each of several times.

        The times (ns) increase, and nothing happens here before the last of them.
        """
        self.catch_up()
        slot = self.rules.slot
        self._foresee(int(times[-1]) // slot)
        states = [self.after, *(ahead for ahead, _ in self._ahead)]
        which = np.array([ahead.slot * slot for ahead in states[1:]], np.int64).searchsorted(times, side="right")
        return [(self.rules.base_fee.price(state.base), state.blob_price) for state in states[: int(which[-1]) + 1]], which

    def _foresee(self, slot: int) -> None:
        """Work the slots up to one out, should nothing happen here until then."""
        last = self._ahead[-1][0] if self._ahead else self.after
        while last.slot < slot:
            self._ahead.append(self._empty(last))
            last = self._ahead[-1][0]

    def look(self) -> None:
        self.catch_up()

    # ---- slots

    def begin(self) -> None:
        self._arm()

    def on_final(self, slot: int, then: Callable[[], None]) -> None:
        """Call back when the block of that slot is final."""
        self._waiting_for_finality.append((slot, then))
        self._arm()

    def wait_block(self, key: int) -> Event:
        self.stirred()
        return super().wait_block(key)

    def stirred(self) -> None:
        """Something is about to happen here: what was worked out for later slots is void."""
        self.catch_up()
        self._ahead.clear()
        self._arm(self.after.slot + 1)

    def _quiet(self) -> bool:
        """Whether its slots hold nothing but what everybody else wants of them, so that they may be worked out when somebody looks."""
        return not (self.blob_transactions or self.saturation or self.books or self.history or self._waiters)

    def _arm(self, slot: int | None = None) -> None:
        """Wake at the next slot at which somebody is to be told something."""
        if slot is None:
            slot = self.after.slot + 1
            if self._quiet():
                if not self._waiting_for_finality:
                    return
                slot = -(-slot // self.rules.slots_per_epoch) * self.rules.slots_per_epoch
        if self._armed is None or slot < self._armed:
            self._armed = slot
            event = Event(self.world.clock)
            self.world.clock.wake(event, slot * self.rules.slot, 0, slot)
            assert event.callbacks is not None  # noqa: S101
            event.callbacks.append(self._woken)

    def _woken(self, event: Event) -> None:
        self.catch_up()
        if self._armed == event.value:
            self._armed = None
            self._arm()

    def catch_up(self) -> None:
        """Make the slots whose time has come."""
        clock, slot = self.world.clock, self.rules.slot
        if (self.after.slot + 1) * slot > clock.now:
            return
        sealed: list[tuple[Any, ...]] = []
        while (self.after.slot + 1) * slot <= clock.now and not self._making:
            time = (self.after.slot + 1) * slot
            if self._quiet():
                if not self._ahead:  # several are worked out together, which is quicker than each by itself
                    self._foresee(min(self.after.slot + FORESEEN, self.world.duration // slot))
                after, facts = self._ahead.popleft()
                self._enter(time, after, facts, sealed)
            else:
                self._seal(sealed)
                self._making = True
                with clock.at(time):
                    self.validators.leave_out_late()
                    self._make(self._vote(self.after))
                self._making = False
        self._seal(sealed)

    def _enter(self, time: int, after: Quiet, facts: tuple[tuple[Any, ...], ...], sealed: list[tuple[Any, ...]]) -> None:
        """A slot in which nothing happened but what was worked out for it; its block is to be written down with others."""
        self.after = after
        for fact in facts:
            if type(fact) is BlockSealed:
                sealed.append((time, *fact))
                self.last_block = time
                continue
            self.world.log.record(time, fact)
            if isinstance(fact, HeadAdvanced):
                with self.world.clock.at(time):
                    self._head(fact)

    def _seal(self, sealed: list[tuple[Any, ...]]) -> None:
        """Write blocks down that hold nothing of the run's, in one go."""
        if len(sealed) == 1:
            time, _, *columns = sealed.pop()
            self.seals.extend(1, time, self.log_code, *columns)
        elif sealed:
            time, _, *columns = map(list, zip(*sealed, strict=True))
            self.seals.extend(len(sealed), time, self.log_code, *columns)
            sealed.clear()

    def _vote(self, before: Quiet) -> tuple[Quiet, list[tuple[Any, ...]]]:
        """The next slot before its block, and what became of the checkpoints."""
        slot, votes = before.slot + 1, before.votes
        facts: list[tuple[Any, ...]] = []
        if slot % self.rules.slots_per_epoch == 0:
            votes, facts = self.validators.close(before)  # the votes of the epoch that just ended count now
        return Quiet(slot, before.height, before.base, before.blob, before.blob_price, votes, before.parent), facts

    def _empty(self, before: Quiet) -> tuple[Quiet, tuple[tuple[Any, ...], ...]]:
        """The next slot if it holds only what everybody else wants of it, and its facts."""
        after, facts = self._vote(before)
        turn = self.validators.turn(after.votes, after.slot)
        facts += self.validators.tells(after.slot, turn)
        if turn is not None and not turn.made:
            return self.market.passed(after), tuple(facts)
        gas, blobs, _ = self.market.background(after)
        facts.append(BlockSealed(self.name, after.slot, 0, gas, self.rules.base_fee.price(after.base), after.blob_price, blobs, 0))
        return self.market.after(after, gas, blobs), tuple(facts)

    def _make(self, voted: tuple[Quiet, list[tuple[Any, ...]]]) -> None:
        before = self.after
        self.after, facts = voted
        state, slot, now = self.after, self.after.slot, self.world.clock.now
        turn = self.validators.turn(state.votes, slot)
        for fact in (*facts, *self.validators.tells(slot, turn)):
            self.world.record(fact)
            if isinstance(fact, HeadAdvanced):
                self._head(fact)
        if turn is not None and not turn.made:
            self.after = self.market.passed(state)
            return
        rules, market, blob_fee = self.rules, self.market, state.blob_price
        if self.history is not None:
            self.before[slot] = before
            self.validators.made(slot, turn)
        base_fee = rules.base_fee.price(state.base)
        background_gas, background_blobs, blob_most = market.background(state)
        self.after = state._replace(height=slot)

        room = Room(slot, rules.gas_limit, blob_most, base_fee, blob_fee, market.fork(slot), self.auction.made(slot))
        left, blobs_used = self.building.fill(room, background_gas, background_blobs)
        self._besides = rules.gas_limit - left + background_gas
        gas, _ = self.make_block(now, left, blobs_used, blob_fee)
        gas_used = min(self._besides + self.building.bought + gas, rules.gas_limit)
        self.building.signed(room)
        self.after = market.after(self.after, gas_used, blobs_used - self.building.unbought)

    def note(self, time: int, block: BlockSealed) -> BlockSealed:
        used = self._besides + self.building.bought + block.gas
        blobs = block.blobs - self.building.unbought
        return super().note(time, block._replace(gas=min(used, self.rules.gas_limit), blobs=blobs))

    def _execute(self, block: Block) -> tuple[Block, Executed]:
        return super()._execute(self.building.bundled(block) if self.rules.bundles else block)

    def collect(self, token: list[float], fees: float, data: float, base: float) -> None:
        token[self.world.ledger.groups[BURNED].accounts.start] += base
        token[self.account] += fees - base

    def _head(self, head: HeadAdvanced) -> None:
        """A head moved up."""
        if head.head == "safe":
            self.safe = head.number
        else:
            self._finalize(head.number)

    def _finalize(self, slot: int) -> None:
        self.finalized = slot
        if self.history is not None:
            self.history.settle(slot)
            for old in [old for old in self.before if old < slot]:
                del self.before[old]
            while self.taken and self.taken[0][0] <= slot:
                self.taken.popleft()
        ready = [then for at, then in self._waiting_for_finality if at <= slot]
        self._waiting_for_finality = [(at, then) for at, then in self._waiting_for_finality if at > slot]
        for then in ready:
            then()

    @property
    def height(self) -> int:
        """The slot of its last block."""
        self.catch_up()
        return self.after.height

    @height.setter
    def height(self, slot: int) -> None:
        pass

    def forgets(self, slot: int) -> None:
        """Blocks after a slot were undone: nobody waits for their finality."""
        self._waiting_for_finality = [(at, then) for at, then in self._waiting_for_finality if at <= slot]
