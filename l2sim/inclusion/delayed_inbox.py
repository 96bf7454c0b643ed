"""Arbitrum's delayed inbox."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.inclusion import ForcedInclusion, Memory, Wait
from l2sim.part import Part
from l2sim.units import SECOND, Duration

BASIS = 10_000


def buffer_after(start: int, end: int, buffer: int, sequenced: int, threshold: int, most: int, replenish: int) -> int:
    """The delay buffer when the next message is looked at (Arbitrum nitro-contracts src/bridge/DelayBuffer.sol, ``calcBuffer``).

    Args:
        start: L1 block of the last message that was included.
        end: L1 block of the next one.
        buffer: L1 blocks in it before.
        sequenced: L1 block in which the last message was included.
        threshold: delays up to this are expected, and the buffer never holds less.
        most: what it holds at most.
        replenish: what it regains, in ten thousandths of the L1 blocks between the two messages, rounded down.
    """
    elapsed = max(0, end - start)
    unexpected = min(max(0, sequenced - start - threshold), elapsed)
    return max(threshold, min(most, buffer + elapsed * replenish // BASIS - unexpected))


class DelayBuffer(Part):
    """Delays that the sequencer may still cause: what it used up is missing the next time."""

    most: Annotated[int, Field(ge=1)] = 14_400
    """What it holds at most, and at the start, L1 blocks (Arbitrum One: 48 h)."""
    threshold: Annotated[int, Field(ge=1)] = 150
    """Delays up to this are expected, L1 blocks (Arbitrum One: 30 min; Nova: 300)."""
    replenish: Annotated[int, Field(ge=0, le=BASIS)] = 500
    """What it regains, in ten thousandths of the time that passes between messages (Arbitrum One: 500)."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.threshold > self.most:
            raise PydanticCustomError("buffer", "the buffer never holds less than 'threshold', so 'most' must not be less than it")
        return self


class DelayedInbox(ForcedInclusion):
    """A message enters the delayed inbox on L1; if the sequencer ignores it for the delay, anybody may force it in by a call.

    The sequencer reads the inbox in order. The delay is the lesser of ``delay`` and what the delay buffer holds; the call is
    accepted in the first L1 block that is later than that (``forceInclusion``). (Arbitrum One: nitro-contracts
    scripts/files/configs/arb1.ts.) That a message is sequenced in the L1 block of the rollup's block, not in that of its batch, is
    assumed.
    """

    called = True

    delay: Annotated[int, Field(ge=1)] = 5760
    """L1 blocks for which a message is the sequencer's alone (Arbitrum One: 5760, a day when a block took 15 s, 19.2 h now)."""
    delay_time: Duration = 0
    """How long it is so besides, by the clock; contracts without a delay buffer ask for both (24 h on Arbitrum One before 2025)."""
    buffer: DelayBuffer | None = DelayBuffer()
    """The delay buffer; ``null`` for a chain without one."""
    confirmations: Annotated[int, Field(ge=0)] = 50
    """L1 blocks after which an honest sequencer includes a message (Arbitrum's documentation: about ten minutes)."""

    def genesis(self) -> Memory:
        return () if self.buffer is None else (self.buffer.most, 0, 0)

    def usual(self) -> Wait:
        return Wait(self.confirmations)

    def due(self, block: int, memory: Memory) -> Wait:
        later = Wait(min(self.delay, self._buffer(block, memory)) + 1)
        return later._replace(least=self.delay_time + SECOND) if self.delay_time else later  # timestamps are whole seconds

    def read(self, memory: Memory, block: int, now: int) -> Memory:
        return () if self.buffer is None else (self._buffer(block, memory), block, now)

    def _buffer(self, block: int, memory: Memory) -> int:
        if self.buffer is None:
            return self.delay
        held, start, sequenced = memory
        return buffer_after(start, block, held, sequenced, self.buffer.threshold, self.buffer.most, self.buffer.replenish)
