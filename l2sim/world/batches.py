"""Batches: what a rollup's blocks wait in until they are on L1, and what the heads make of them."""

from collections import deque
from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from simpy.events import Event

from l2sim.events import BatchPosted, HeadAdvanced

if TYPE_CHECKING:
    from l2sim.world.rollup import LiveRollup


class Batch(NamedTuple):
    """A batch that L1 included."""

    blocks: tuple[int, int, int]
    """First and last block, bytes."""
    blobs: int
    submitted: int
    slot: int
    safe_before: int
    """The safe head before it."""
    pieces: tuple["Piece", ...]
    """The L1 transactions that carry it."""
    before: dict[str, int]
    """Lengths of the log's tables before it was noted."""
    after: dict[str, int]
    """And after it."""


class Piece(NamedTuple):
    """An L1 transaction that carries a batch, or a part of it."""

    submitted: int
    """When the poster let go of it (ns)."""
    slot: int
    cost: float
    """ETH."""


Blocks = tuple[int, int, int, int]
"""Blocks of equal size that follow one another at equal distances: time of the first (ns), bytes of each, how many, time between them (ns).

A plain tuple, for there is one a block.
"""


class Batches:
    """The blocks of a rollup on their way to L1: unsent, in a batch that L1 has not included, or in one that is not final."""

    def __init__(self, chain: "LiveRollup") -> None:
        self.chain = chain
        self.world = chain.world
        self.wanted = chain.rules.batch_poster is not None
        """Whether anybody posts them."""
        self.unposted: deque[Blocks] = deque()
        """The blocks that are in no batch, the oldest first."""
        self.taken = 0
        """The last block that is in one."""
        self.backlog = 0
        """Bytes of the blocks that no batch on L1 holds."""
        self.unsent = 0
        """Bytes of the blocks that are in no batch."""
        self._ripe: tuple[Event, int, int] | None = None
        """Who waits for a batch: the event, bytes and age (ns)."""
        self._due: int | None = None
        self._posted: deque[Batch] = deque()
        """Batches on L1 that are not final."""

    # ---- blocks come and go

    def add(self, time: int, size: int) -> None:
        """A block was made, of so many bytes; nothing where nobody posts."""
        if self.wanted:
            size += self.chain.rules.block_overhead
            self.unposted.append((time, size, 1, 0))
            self.backlog += size
            self.unsent += size
            if self._ripe is not None:
                self._watch(time, 1)

    def add_several(self, times: list[int], sizes: list[int]) -> None:
        """Several blocks were made."""
        if self.wanted:
            overhead = self.chain.rules.block_overhead
            sizes = [size + overhead for size in sizes]
            self.unposted.extend(zip(times, sizes, repeat(1), repeat(0)))
            self._grown(sum(sizes), times[-1])

    def add_idle(self, times: Sequence[int]) -> None:
        """Blocks without transactions were made."""
        if self.wanted:
            size = self.chain.rules.block_overhead
            if isinstance(times, range):
                self.unposted.append((times[0], size, len(times), times.step))
            else:
                self.unposted.extend(zip(times, repeat(size), repeat(1), repeat(0)))
            self._grown(size * len(times), times[-1])

    def blocks_until_ripe(self) -> int | None:
        """How many empty blocks make a batch ripe by their bytes; None where nobody waits, or they have none."""
        overhead = self.chain.rules.block_overhead
        return None if self._ripe is None or not overhead else max(1, -(-(self._ripe[1] - self.unsent) // overhead))

    def _grown(self, size: int, time: int) -> None:
        self.backlog += size
        self.unsent += size
        if self._ripe is not None:
            self._watch(time, 1)

    def undoable(self) -> int:
        """How many of the latest blocks are in no batch."""
        return sum(number for _, _, number, _ in self.unposted) if self.wanted else self.chain.height

    def remove(self) -> None:
        """The latest block was undone."""
        if self.wanted:
            time, size, number, step = self.unposted.pop()
            if number > 1:
                self.unposted.append((time, size, number - 1, step))
            self.backlog -= size
            self.unsent -= size

    # ---- the poster's side

    def oldest(self) -> int | None:
        """Time (ns) of the oldest block that is in no batch; None where there is none."""
        return self.unposted[0][0] if self.unposted else None

    def take(self, most: int) -> tuple[int, int, int]:
        """Take blocks for a batch of at most ``most`` bytes (at least one block): first, last, bytes."""
        first, size = self.taken + 1, 0
        while self.unposted:
            time, each, number, step = self.unposted[0]
            n = max((most - size) // each if each else number, 0 if self.taken >= first else 1)
            size += min(n, number) * each
            self.taken += min(n, number)
            if n < number:
                self.unposted[0] = time + n * step, each, number - n, step
                break
            self.unposted.popleft()
        self.unsent -= size
        return first, self.taken, size

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

    def comes_of_age(self, block: int) -> int | None:
        """When a block due at that time (ns) would make a batch ripe by its age, if it were the oldest; None if none is waited for."""
        return block + self._ripe[2] if self._ripe is not None and not self.unposted else None

    def _watch(self, now: int, later: int = 0) -> None:
        """See whether a batch is ripe, and look again when the oldest block has come of age; who waits may act ``later`` (ns)."""
        if self._ripe is None or not self.unposted or self.chain.publication.holds_batches:
            return
        event, most, age = self._ripe
        due = self.unposted[0][0] + age
        if self.unsent >= most or due <= now:
            self._ripe = None
            self.world.clock.wake(event, now, value=now + later)
        elif self._due != due:
            self._due = due
            look = self.world.clock.wake(Event(self.world.clock), due)
            assert look.callbacks is not None  # noqa: S101
            look.callbacks.append(lambda _: self._watch(self.world.clock.now))

    def look_again(self) -> None:
        """See whether a batch is ripe, after nothing was posted for a while."""
        self._due = None
        self._watch(self.world.clock.now, 1)

    # ---- L1's side

    def posted(
        self, blocks: tuple[int, int, int], blobs: int, submitted: int, slot: int, cost: float,
        pieces: Sequence[tuple[int, int, float]] = (),
    ) -> None:  # fmt: skip
        """L1 included a batch: the safe head moves, the backlog shrinks. ``pieces``: submitted, slot, cost of each transaction.

        Where its data are withheld, the safe head stays.
        """
        chain, log = self.chain, self.world.log
        first, last, size = blocks
        self.backlog -= size
        before = log.lengths() if chain.l1 is not None and chain.l1.history is not None else {}
        self.world.record(BatchPosted(chain.name, first, last, size, blobs, submitted, slot, cost))
        chain.charging.posted(slot, cost)
        withheld = chain.publication.take(first, last, slot)
        if not withheld:
            self.world.record(HeadAdvanced(chain.name, "safe", last))
        if chain.l1 is not None:
            if chain.l1.history is not None:
                parts = tuple(Piece(*piece) for piece in pieces or [(submitted, slot, cost)])
                self._posted.append(Batch(blocks, blobs, submitted, slot, chain.safe, parts, before, log.lengths()))
            chain.l1.on_final(slot, lambda: self._finalize(last))
        if not withheld:
            chain.safe = last
        chain.settle(last)

    def unsettle(self, slot: int) -> list[Batch]:
        """L1 undid its blocks after a slot: batches in them are on their way again, and the safe head goes back; they."""
        undone = []
        self.chain.publication.unsettle(slot)
        while self._posted and self._posted[-1].slot > slot:
            batch = self._posted.pop()
            self.chain.safe = batch.safe_before
            self.backlog += batch.blocks[2]
            self.world.log.revert(batch.before, batch.after)
            undone.append(batch)
        return undone

    def _finalize(self, last: int) -> None:
        while self._posted and self._posted[0].blocks[1] <= last:
            self._posted.popleft()
        if not self.chain.publication.holds(last):
            self.chain.finalize(last)
