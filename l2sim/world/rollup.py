"""A rollup: a sequencer makes blocks, a batch poster puts them on L1, heads follow L1's."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from simpy.events import Event

from l2sim.books import Owed
from l2sim.events import BatchPosted, ChainReorganized, HeadAdvanced
from l2sim.fees import Fee, FeeState, Used
from l2sim.markets import Market
from l2sim.markets.bridge import Bridge
from l2sim.ordering import Ordering
from l2sim.part import ChainName, Part, in_room
from l2sim.transactions import Rows, Status
from l2sim.units import ETH, Bytes, Fraction, Gas, GasRate, Positive
from l2sim.world import Chain
from l2sim.world.assertions import Assertions
from l2sim.world.bridge import LiveBridge
from l2sim.world.chain import LiveChain
from l2sim.world.history import SNAPSHOT_EVERY
from l2sim.world.service import Service
from l2sim.world.stretch import Machine, able, stretch

if TYPE_CHECKING:
    from l2sim.world.l1 import LiveL1
    from l2sim.world.world import World

GAS_PER_BLOB = 131_072
"""EIP-4844."""
BYTES_A_BLOB = 130_044
"""Usable bytes of a blob in the OP Stack's encoding, (4 x 31 + 3) x 1024 - 4; optimism op-service/eth/blob.go, 2024-10-25."""


class Rollup(Chain):
    """A chain whose blocks are made by a sequencer and whose data and settlement are on L1."""

    settles_on: ChainName | None = None
    """The L1 that it posts its batches to; without one it has an unsafe head only."""
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
    """What users pay for a compressed byte, relative to what a full blob's byte costs on L1."""
    block_overhead: Bytes = 20
    """Compressed bytes in a batch for a block, besides its transactions."""
    backlog_limit: Bytes | None = None
    """Unposted bytes at which the sequencer is throttled; without one it never is."""
    throttled_gas_limit: Gas = 1_000_000
    """Gas that fits into a block while it is throttled."""
    sequencer: Annotated[Part, in_room("agents")]
    """Who makes the blocks."""
    batch_poster: Annotated[Part, in_room("agents")] | None = None
    """Who posts the batches; needed where it settles on an L1."""
    proposer: Annotated[Part, in_room("agents")] | None = None
    """Who asserts its state on L1."""
    settlement: Annotated[Part, in_room("settlement")] | None = None
    """What makes assertions final. Without one nothing is asserted, and no withdrawal is paid."""
    snapshot_every: Annotated[int, Field(ge=1)] = SNAPSHOT_EVERY
    """Blocks between two copies of its state, from which blocks are executed again; kept where they may be disputed or undone."""

    @model_validator(mode="after")
    def _decided(self) -> "Rollup":
        if self.settlement is not None and self.settles_on is None:
            raise PydanticCustomError("settlement", "a settlement needs an L1 to be on: name it under 'settles_on'")
        if self.proposer is not None and self.settlement is None:
            raise PydanticCustomError("proposer", "a proposer needs a settlement that takes up what it asserts: give the rollup one")
        return self

    def disputed(self) -> bool:
        return self.settlement is not None

    def start(self, name: str, world: "World") -> "LiveRollup":
        return LiveRollup(self, name, world)


class Batch(NamedTuple):
    """A batch that L1 included."""

    blocks: tuple[int, int, int]
    """First and last block, bytes."""
    blobs: int
    submitted: int
    slot: int
    safe_before: int
    """The safe head before it."""
    before: dict[str, int]
    """Lengths of the log's tables before it was noted."""
    after: dict[str, int]
    """And after it."""


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
        self._data_scalar = rules.data_fee_scalar * GAS_PER_BLOB / BYTES_A_BLOB / ETH
        self.halted = False
        self._resumed = Event(world.clock)
        self.fee_state = rules.fee.genesis()
        self._resting: FeeState | None = None
        self.unposted: deque[tuple[int, int, int]] = deque()
        self.unposted_bytes = 0
        self._unsent = 0
        self.safe = 0
        self.finalized = 0
        self.machine: Machine | None = None
        self._ripe: tuple[Event, int, int] | None = None
        """Who waits for a batch: the event, bytes and age (ns)."""
        self._due: int | None = None
        self._fee_states: dict[int, FeeState] = {}
        """The fee's state before each block that can still be undone."""
        self._batches: deque[Batch] = deque()
        """Batches on L1 that are not final."""
        if self.history is not None:
            self.history.snapshot_every = rules.snapshot_every
        self.bridges: dict[str, LiveBridge] = {}
        rng = world.streams.generator(f"chains/{name}/block_times")
        self._instants: list[int] = rules.sequencer.instants(rng, world.duration)  # type: ignore[attr-defined]

    @cached_property
    def compiles(self) -> bool:
        """Whether its blocks can be made by compiled code."""
        return able(self)

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

    def instants(self) -> list[int]:
        return self._instants

    def block_interval(self) -> int:
        return int(self.rules.sequencer.block_time)  # type: ignore[attr-defined]

    def base_fee(self) -> int:
        return self.rules.fee.price(self.fee_state)

    def data_price(self) -> float:
        return self.l1.blob_base_fee() * self._data_scalar if self.l1 else 0.0

    def data_prices(self, times: Any) -> Any:
        """What a compressed byte will cost at several times, increasing, before the last of which nothing happens on L1 (ns)."""
        return self.l1.blob_base_fees(times) * self._data_scalar if self.l1 else np.zeros(len(times))

    def gas_limit(self) -> int:
        limit = self.rules.backlog_limit
        if limit is not None and self.unposted_bytes > limit:
            return min(self.rules.throttled_gas_limit, self.rules.block_gas_limit)
        return self.rules.block_gas_limit

    def most_gas(self) -> int:
        return self.rules.block_gas_limit

    def collect(self, token: list[float], fees: float, data: float, base: float) -> None:
        token[self.account] += fees + data

    # ---- the sequencer's side

    def seal(self, first: int) -> int:
        """Make the block that is due at ``instants()[first]``, which is now; and those after it that nobody can tell from now.

        Returns how many were made.
        """
        clock, instants, made = self.world.clock, self._instants, 0
        if self.compiles and not self.watched():
            until = clock.stirs()
            if self._ripe is not None and not self.unposted:
                until = min(until, instants[first] + self._ripe[2])
            last = bisect_left(instants, until, first)
            made = stretch(self, instants[first : max(last, first + 1)])
        if made:
            return made
        while True:
            self.height += 1
            gas, size = self.make_block(clock.now, self.gas_limit())
            self.sealed(self.height, clock.now, gas, size, self.next_fee(self.fee_state, gas))
            made += 1
            if first + made == len(instants) or self.compiles or instants[first + made] >= clock.stirs():
                return made
            clock.advance(instants[first + made])

    def next_fee(self, state: FeeState, gas: int) -> FeeState:
        """The fee's state after a block that used so much gas."""
        if not gas and state is self._resting:
            return state
        after = self.rules.fee.next(state, Used(gas=gas, gas_limit=self.rules.block_gas_limit))
        if not gas and after == state:
            self._resting = after
        return after

    def sealed(self, height: int, time: int, gas: int, size: int, fee_state: FeeState) -> None:
        """A block was made: its fee state is the chain's, its bytes wait for a batch."""
        if self.history is not None:
            self._fee_states[height] = self.fee_state
        self.fee_state = fee_state
        if self.rules.batch_poster is not None:
            size += self.rules.block_overhead
            self.unposted.append((height, time, size))
            self.unposted_bytes += size
            self._unsent += size
            if self._ripe is not None:
                self._watch(time, 1)

    def made(self, heights: Any, times: Any, sizes: Any) -> None:
        """Several blocks were made, without a place in the history."""
        self.height = int(heights[-1])
        self.last_block = int(times[-1])
        if self.rules.batch_poster is not None:
            sizes = sizes + self.rules.block_overhead
            self.unposted.extend(zip(heights.tolist(), times.tolist(), sizes.tolist(), strict=True))
            total = int(sizes.sum())
            self.unposted_bytes += total
            self._unsent += total
            if self._ripe is not None:
                self._watch(self.last_block, 1)

    def halt(self) -> None:
        """Stop making blocks; what arrives waits."""
        self.halted = True

    def resume(self) -> None:
        """Make blocks again."""
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
        unsent = sum(1 for height, _, _ in self.unposted) if self.rules.batch_poster is not None else self.height
        first = max(self.height - min(depth, unsent), self.history.settled) + 1
        if first > self.height:
            return
        last, self.height = self.height, first - 1
        undone = self.history.undo(self.height)
        self.unhear()
        for height in range(last, self.height, -1):
            self.fee_state = self._fee_states.pop(height)
            if self.rules.batch_poster is not None:
                _, _, size = self.unposted.pop()
                self.unposted_bytes -= size
                self._unsent -= size
        if self.service is not None:
            self.service.restart(self.world.clock.now)
        rows = Rows.none()
        for record in undone:
            rows.extend(record.block.rows.slice(record.block.start, record.block.stop))
        kept = rows.take([i for i, tie in enumerate(rows.tie) if not lost(tie)])
        if kept.number:
            self.inbox.put_back(kept)
        self.world.record(ChainReorganized(self.name, first, last, rows.number, rows.number - kept.number))
        for i, tie in enumerate(rows.tie):
            if lost(tie):
                self._drop(self.world.clock.now, rows, i, Status.REORGANIZED)

    # ---- the batch poster's side

    def oldest(self) -> int | None:
        """Time (ns) of the oldest block that is in no batch; None where there is none."""
        return self.unposted[0][1] if self.unposted else None

    def batch(self, most: int) -> tuple[int, int, int]:
        """Take blocks for a batch of at most ``most`` bytes (at least one block): first, last, bytes."""
        first, _, size = self.unposted.popleft()
        last = first
        while self.unposted and size + self.unposted[0][2] <= most:
            last, _, more = self.unposted.popleft()
            size += more
        self._unsent -= size
        return first, last, size

    def ripe(self, most: int, age: int) -> Event:
        """When unsent blocks are ``most`` bytes together, or the oldest of them is that old (ns).

        Its value is the earliest time at which one could act on it: blocks are seen after their instant.
        """
        event = Event(self.world.clock)
        self._ripe = event, most, age
        self._due = None
        self._watch(self.world.clock.now, 1)
        return event

    @property
    def ripens(self) -> int | None:
        """Unsent bytes for which somebody waits."""
        return None if self._ripe is None else self._ripe[1]

    def _watch(self, now: int, later: int = 0) -> None:
        """See whether a batch is ripe, and look again when the oldest block has come of age; who waits may act ``later`` (ns)."""
        if self._ripe is None or not self.unposted:
            return
        event, most, age = self._ripe
        due = self.unposted[0][1] + age
        if self._unsent >= most or due <= now:
            self._ripe = None
            self.world.clock.wake(event, now, value=now + later)
        elif self._due != due:
            self._due = due
            look = self.world.clock.wake(Event(self.world.clock), due)
            assert look.callbacks is not None  # noqa: S101
            look.callbacks.append(lambda _: self._watch(self.world.clock.now))

    def unsent_bytes(self) -> int:
        """Bytes of the blocks that are in no batch."""
        return self._unsent

    def posted(self, batch: tuple[int, int, int], blobs: int, submitted: int, slot: int, cost: float) -> None:
        """L1 included a batch: the safe head moves, the backlog shrinks."""
        first, last, size = batch
        self.unposted_bytes -= size
        before = self.world.log.lengths() if self.l1 is not None and self.l1.history is not None else {}
        self.world.record(BatchPosted(self.name, first, last, size, blobs, submitted, slot, cost))
        self.world.record(HeadAdvanced(self.name, "safe", last))
        if self.l1 is not None:
            if self.l1.history is not None:
                self._batches.append(Batch(batch, blobs, submitted, slot, self.safe, before, self.world.log.lengths()))
            self.l1.on_final(slot, lambda: self._finalize(last))
        self.safe = last
        if self.history is not None:
            self._settle(last)

    def _settle(self, last: int) -> None:
        """Blocks in a batch are not undone by the sequencer."""
        assert self.history is not None  # noqa: S101
        self.history.settle(last)
        for height in [height for height in self._fee_states if height <= last]:
            del self._fee_states[height]

    def unsettle(self, slot: int) -> list[Batch]:
        """L1 undid its blocks after a slot: batches in them are on their way again, and the safe head goes back; they."""
        undone = []
        while self._batches and self._batches[-1].slot > slot:
            batch = self._batches.pop()
            self.safe = batch.safe_before
            self.unposted_bytes += batch.blocks[2]
            self.world.log.revert(batch.before, batch.after)
            undone.append(batch)
        return undone

    def _finalize(self, last: int) -> None:
        self.finalized = last
        while self._batches and self._batches[0].blocks[1] <= last:
            self._batches.popleft()
        self.world.record(HeadAdvanced(self.name, "finalized", last))
