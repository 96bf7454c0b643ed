"""A rollup: a sequencer makes blocks, a batch poster puts them on L1, heads follow L1's."""

from bisect import bisect_left
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from simpy.events import Event

from l2sim.availability import Availability
from l2sim.availability.blobs import Blobs
from l2sim.books import Owed
from l2sim.data_fees import Charge, DataFee
from l2sim.data_fees.scalar import Scalar
from l2sim.events import ChainReorganized, HeadAdvanced
from l2sim.fees import Fee, FeeState, Used
from l2sim.inclusion import ForcedInclusion
from l2sim.markets import Market
from l2sim.markets.bridge import Bridge
from l2sim.ordering import Ordering
from l2sim.part import ChainName, Part, in_room
from l2sim.transactions import Rows, Status
from l2sim.units import DURATION, SECOND, Bytes, Duration, Fraction, Gas, GasRate, Positive
from l2sim.world import Chain
from l2sim.world.assertions import Assertions
from l2sim.world.batches import Batches
from l2sim.world.bridge import LiveBridge
from l2sim.world.chain import LiveChain
from l2sim.world.charging import Charging
from l2sim.world.forced import LiveForced
from l2sim.world.history import SNAPSHOT_EVERY
from l2sim.world.idle import able as may_idle
from l2sim.world.idle import idle
from l2sim.world.publication import Publication
from l2sim.world.service import Service
from l2sim.world.stretch import Machine, able, stretch
from l2sim.world.throttle import NO_LIMIT, DataLimit, DataThrottle

if TYPE_CHECKING:
    from l2sim.world.censorship import Unwanted
    from l2sim.world.l1 import LiveL1
    from l2sim.world.world import World


class Rollup(Chain):
    """A chain whose blocks are made by a sequencer and whose data and settlement are on L1."""

    settles_on: ChainName | None = None
    """The L1 that it posts its batches to; without one it has an unsafe head only."""
    final_after: Duration | None = None
    """How long after it was made a block is final by a consensus of the chain's own, where it settles on no L1; without it, never."""
    region: str = "us_east"
    """Region of the network in which its sequencer sits."""
    block_gas_limit: Annotated[Gas, Positive] = 32_000_000
    """Gas that fits into a block."""
    execution_speed: Annotated[GasRate, Positive] | None = None
    """Gas that the sequencer executes per second, one transaction after the other; a block takes what has been executed by then.
    Without it, execution takes no time."""
    ordering: Ordering
    """How the sequencer orders what waits."""
    fee: Fee
    """Execution base fee."""
    data_fee_scalar: Fraction = 1.0
    """What users pay for a compressed byte, relative to what a full blob's byte costs on L1; where no ``data_fee`` says otherwise."""
    data_fee: DataFee | None = None
    """What users pay besides execution; without one, ``data_fee_scalar`` times a full blob's byte."""
    block_overhead: Bytes = 20
    """Compressed bytes in a batch for a block, besides its transactions."""
    backlog_limit: Bytes | None = None
    """Unposted bytes at which the sequencer's blocks are throttled by their gas; without one they never are."""
    throttled_gas_limit: Gas = 1_000_000
    """Gas that fits into a block while it is throttled."""
    data_throttle: DataThrottle | None = None
    """How the data in its blocks are limited, and throttled while batches do not get through; without it, they are not."""
    sequencer: Annotated[Part, in_room("agents")]
    """Who makes the blocks."""
    batch_poster: Annotated[Part, in_room("agents")] | None = None
    """Who posts the batches; needed where it settles on an L1."""
    availability: Availability = Blobs()
    """Where its data are, and whether somebody can keep them back."""
    proposer: Annotated[Part, in_room("agents")] | None = None
    """Who asserts its state on L1."""
    settlement: Annotated[Part, in_room("settlement")] | None = None
    """What makes assertions final. Without one nothing is asserted, and no withdrawal is paid."""
    forced_inclusion: ForcedInclusion | None = None
    """How transactions reach it through its L1, whatever its sequencer wants; without it, they do not."""
    snapshot_every: Annotated[int, Field(ge=1)] = SNAPSHOT_EVERY
    """Blocks between two copies of its state, from which blocks are executed again; kept where they may be disputed or undone."""

    @model_validator(mode="after")
    def _decided(self) -> "Rollup":
        self.fee.allows(self.block_gas_limit)
        if self.data_fee is not None and self.data_fee_scalar != 1.0:
            raise PydanticCustomError("data_fee", "'data_fee' says what data costs: leave 'data_fee_scalar' out")
        if self.final_after is not None and self.settles_on is not None:
            raise PydanticCustomError("final_after", "what settles on an L1 is final when that is: leave 'final_after' or 'settles_on' out")
        if self.settlement is not None and self.settles_on is None:
            raise PydanticCustomError("settlement", "a settlement needs an L1 to be on: name it under 'settles_on'")
        if self.forced_inclusion is not None and self.settles_on is None:
            raise PydanticCustomError("forced_inclusion", "forced inclusion goes through an L1: name it under 'settles_on'")
        escape = None if self.forced_inclusion is None else self.forced_inclusion.escape_after
        usual: int = 0 if self.settlement is None else self.settlement.usual()  # type: ignore[attr-defined]
        if escape is not None and escape < usual:
            raise PydanticCustomError(
                "escape_after",
                "an assertion takes {usual} to be final, so a rollup that works could be stopped after {escape}: "
                "make 'escape_after' of 'forced_inclusion' at least as long",
                {"usual": DURATION.write(usual), "escape": DURATION.write(escape)},
            )
        if self.proposer is not None and self.settlement is None:
            raise PydanticCustomError("proposer", "a proposer needs a settlement that takes up what it asserts: give the rollup one")
        return self

    def disputed(self) -> bool:
        return self.settlement is not None

    def start(self, name: str, world: "World") -> "LiveRollup":
        return LiveRollup(self, name, world)


class LiveRollup(LiveChain):
    """A rollup in a run."""

    def __init__(self, rules: Rollup, name: str, world: "World") -> None:
        super().__init__(rules, name, world)
        self.rules = rules
        self.region = rules.region
        self.ordering = rules.ordering
        if rules.execution_speed is not None:
            self.service = Service(self, rules.execution_speed)
        self.account = world.ledger.open(name, rules.kind, "chains").start
        self.charging = Charging(self, rules.data_fee or Scalar(scalar=rules.data_fee_scalar))
        self.halted = False
        self.frozen = False
        """Whether it was stopped for good."""
        self.leaves_out: Unwanted | None = None
        """What its sequencer never takes of its own accord."""
        if rules.forced_inclusion is not None:
            self.forced = LiveForced(rules.forced_inclusion, self)
        self._resumed = Event(world.clock)
        self.fee_state = rules.fee.genesis()
        self._resting: FeeState | None = None
        self.publication = Publication(self, rules.availability)
        self.batches = Batches(self)
        self.safe = 0
        self.finalized = 0
        self.machine: Machine | None = None
        self._fee_states: dict[int, FeeState] = {}
        """The fee's state before each block that can still be undone."""
        if self.history is not None:
            self.history.snapshot_every = rules.snapshot_every
        self.bridges: dict[str, LiveBridge] = {}
        rng = world.streams.generator(f"chains/{name}/block_times")
        self._instants: list[int] | range = rules.sequencer.instants(rng, world.duration)  # type: ignore[attr-defined]

    @cached_property
    def compiles(self) -> bool:
        """Whether its blocks can be made by compiled code."""
        return able(self)

    @cached_property
    def idles(self) -> bool:
        """Whether blocks that nobody has anything to do with can be made without a look at each."""
        return may_idle(self)

    @cached_property
    def l1(self) -> "LiveL1 | None":
        """The L1 that it settles on."""
        return self.world.l1(self.rules.settles_on) if self.rules.settles_on else None

    @cached_property
    def assertions(self) -> Assertions:
        """What L1 keeps of the claims about it."""
        return Assertions(self)

    def open(self, name: str, market: Market) -> None:
        super().open(name, market)
        if isinstance(market, Bridge):
            self.bridges[name] = LiveBridge(name, market, self)

    def owed(self) -> dict[str, list[Owed]]:
        owed = super().owed()
        if self.rules.settlement is not None:
            owed[f"{self.name}.settlement"] = Owed.of(self.assertions.claims())
        return owed | {name: Owed.of(bridge.claims()) for name, bridge in self.bridges.items()}

    def instants(self) -> list[int] | range:
        return self._instants

    def block_interval(self) -> int:
        return int(self.rules.sequencer.block_time)  # type: ignore[attr-defined]

    def base_fee(self) -> int:
        return self.rules.fee.price(self.fee_state, self.second(self.world.clock.now))

    def charge(self, now: int | None = None) -> Charge:
        return self.charging.now() if now is None else self.charging.due(now)

    def second(self, time: Any) -> Any:
        """Unix time (s) by which it counts, of a time or several (ns); its own start where it knows no L1's."""
        return self._began + time // SECOND

    @cached_property
    def _began(self) -> int:
        return self.l1.market.began if self.l1 is not None else 0

    def available_until(self) -> int:
        """Time of the last block whose state others than its operator can know (ns)."""
        return self.publication.until()

    def gas_limit(self) -> int:
        if self.publication.closed:
            return 0
        limit = self.rules.backlog_limit
        if limit is not None and self.batches.backlog > limit:
            return min(self.rules.throttled_gas_limit, self.rules.block_gas_limit)
        return self.rules.block_gas_limit

    def most_gas(self) -> int:
        return self.rules.block_gas_limit

    def data_limit(self) -> DataLimit:
        """What fits into the next block of data."""
        throttle = self.rules.data_throttle
        return NO_LIMIT if throttle is None else throttle.limit(self.batches.backlog)

    def collect(self, token: list[float], fees: float, data: float, base: float) -> None:
        token[self.account] += fees + data

    # ---- the sequencer's side

    def seal(self, first: int) -> int:
        """Make the block that is due at ``instants()[first]``, which is now; and those after it that nobody can tell from now.

        Returns how many were made.
        """
        clock, instants, made = self.world.clock, self._instants, 0
        if self.compiles and not self.watched() and self.censor is None and not (self.forced is not None and self.forced.busy()):
            until = clock.stirs()
            if (ripe := self.batches.comes_of_age(instants[first])) is not None:
                until = min(until, ripe)
            last = bisect_left(instants, until, first)
            made = stretch(self, instants[first : max(last, first + 1)])
        elif self.idles:
            made = idle(self, first, instants)
        if made:
            return made
        while True:
            self.height += 1
            self.inbox.data = self.data_limit()
            gas, size = self.make_block(clock.now, self.gas_limit())
            self.sealed(self.height, clock.now, gas, size, self.next_fee(self.fee_state, gas))
            made += 1
            if first + made == len(instants) or self.compiles or instants[first + made] >= clock.stirs():
                return made
            clock.advance(instants[first + made])

    def derive(self) -> None:
        """Make a block of what L1 forces into it and of nothing else, for which there need be no sequencer."""
        self.height += 1
        gas, size = self.make_block(self.world.clock.now, 0)
        self.sealed(self.height, self.world.clock.now, gas, size, self.next_fee(self.fee_state, gas))

    def next_fee(self, state: FeeState, gas: int) -> FeeState:
        """The fee's state after a block that used so much gas."""
        if not gas and state is self._resting:
            return state
        after = self.rules.fee.next(state, Used(gas, self.rules.block_gas_limit, 0, 0, 0, self.second(self.world.clock.now)))
        if not gas and after == state:
            self._resting = after
        return after

    def sealed(self, height: int, time: int, gas: int, size: int, fee_state: FeeState) -> None:
        """A block was made: its fee state is the chain's, its bytes wait for a batch."""
        if self.history is not None:
            self._fee_states[height] = self.fee_state
        self.fee_state = fee_state
        if self.charging.rule.learns:
            self.charging.sealed(height, size, undoable=self.history is not None)
        self.batches.add(time, size)

    def made(self, times: Any, sizes: Any) -> None:
        """Several blocks were made, without a place in the history."""
        self.height += len(times)
        self.last_block = int(times[-1])
        if self.charging.rule.learns:
            self.charging.sealed(self.height, int(sizes.sum()), undoable=False)
        self.batches.add_several(times.tolist(), sizes.tolist())

    def halt(self) -> None:
        """Stop making blocks; what arrives waits."""
        self.halted = True

    def resume(self) -> None:
        """Make blocks again, unless it was stopped for good."""
        if self.frozen:
            return
        self.halted = False
        event, self._resumed = self._resumed, Event(self.world.clock)
        self.world.clock.wake(event, self.world.clock.now)

    def resumed(self) -> Event:
        """When it makes blocks again."""
        return self._resumed

    def reorganize(self, depth: int, lost: Callable[[int], bool] = lambda tie: False) -> None:
        """Undo the latest blocks, but none that is in a batch or under an assertion; what was in them is pending again.

        Args:
            depth: how many blocks at most.
            lost: whether a transaction is forgotten instead, by its tie key.
        """
        if self.history is None:
            raise TypeError(f"the blocks of '{self.name}' cannot be undone")
        first = max(self.height - min(depth, self.batches.undoable()), self.history.settled) + 1
        if first > self.height:
            return
        last, self.height = self.height, first - 1
        undone = self.history.undo(self.height)
        self.payments.clear()  # inputs of the next block were undone too
        for bridge in self.bridges.values():
            bridge.deposits.undone_on_rollup(self.height)
        self.unhear()
        for height in range(last, self.height, -1):
            self.fee_state = self._fee_states.pop(height)
            self.charging.undone(height)
            self.batches.remove()
        if self.service is not None:
            self.service.restart(self.world.clock.now)
        rows = Rows.none()
        for record in undone:
            rows.extend(record.block.rows.slice(record.block.start, record.block.stop))
        forced = {} if self.forced is None else self.forced.included
        sent = {tie for tie in rows.tie if tie in forced}  # L1 has them: they are not the sequencer's to lose
        if self.forced is not None:
            self.forced.put_back(sent)
        kept = rows.take([i for i, tie in enumerate(rows.tie) if tie not in sent and not lost(tie)])
        if kept.number:
            self.inbox.put_back(kept)
        gone = rows.number - kept.number - len(sent)
        self.world.record(ChainReorganized(self.name, first, last, rows.number, gone))
        for i, tie in enumerate(rows.tie):
            if tie not in sent and lost(tie):
                self._drop(self.world.clock.now, rows, i, Status.REORGANIZED)

    # ---- heads

    def settle(self, last: int) -> None:
        """Blocks in a batch are not undone by the sequencer."""
        if self.history is not None:
            self.history.settle(last)
            self.charging.settled(last)
            for height in [height for height in self._fee_states if height <= last]:
                del self._fee_states[height]

    def finalize(self, last: int) -> None:
        """The batch that ends with that block is final on L1."""
        self.finalized = last
        self.world.record(HeadAdvanced(self.name, "finalized", last))
