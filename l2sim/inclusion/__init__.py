"""Forced inclusion: how a transaction reaches a rollup through its L1, whatever the sequencer wants. The verbs are ``price`` and ``due``.

A transaction that is sent through L1 enters a queue there, first in, first out. An honest sequencer takes it over after ``usual``.
One that does not want it may leave it, and everything behind it, until ``due``; from ``bars`` on its blocks may hold nothing else.
Law is pure: it counts L1 blocks and nanoseconds, and knows no clock.
"""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.part import Part
from l2sim.units import Duration, Gas

Memory = tuple[int, ...]
"""What the contract on L1 remembers between messages."""


class Wait(NamedTuple):
    """How long after the L1 block that holds a message: so many L1 blocks, and then so long (ns); but no less than ``least`` (ns)."""

    blocks: int
    time: int = 0
    least: int = 0


class ForcedInclusion(Part, room="inclusion"):
    """What a rollup's contracts on L1 say about transactions that are sent through them."""

    queues: ClassVar[bool] = True
    """Whether anything can be sent through L1 at all."""
    prepaid: ClassVar[bool] = False
    """Whether its gas on the rollup is bought on L1, so that it pays nothing there."""
    called: ClassVar[bool] = False
    """Whether somebody has to call the contract once a message is due; else the rollup's nodes include it by themselves."""
    closes: ClassVar[bool] = False
    """Whether the rollup takes nothing but messages from L1 once one was forced."""

    gas: Gas = 100_000
    """L1 gas of sending a message (assumed)."""
    force_gas: Gas = 150_000
    """L1 gas of the call that forces a message, where one is needed (assumed)."""
    escape_after: Annotated[Duration, Field(gt=0)] | None = None
    """How long what ``escape_when`` says has lasted when anybody may stop the rollup for good, so that users take out of its bridges
    what the last final state says is theirs; without it, never. At least as long as an assertion takes to be final. (StarkEx, dYdX v3
    among it: FREEZE_GRACE_PERIOD, 7 d or 14 d.)"""
    escape_when: Literal["silent", "unserved"] = "silent"
    """What opens that way: ``silent``, L1 has seen nothing of the rollup, neither an assertion that stands nor one that became final (as
    others may then prove Scroll's batches; ScrollChain.sol); ``unserved``, something that anybody sent through L1 is in no state that
    L1 has seen, under an assertion that stands, or under one that is final where proofs decide (StarkEx: ``freezeRequest``)."""
    escape_gas: Gas = 400_000
    """L1 gas of taking it out, with a proof of the balance (assumed)."""

    @model_validator(mode="after")
    def _asked(self) -> Self:
        if self.escape_when == "unserved" and not self.queues:
            raise PydanticCustomError(
                "escape_when",
                "nothing can be sent through L1 and stay unserved: write 'escape_when: silent', or a kind that takes requests",
            )
        return self

    def calls(self) -> dict[str, int]:
        """Gas of the transactions on L1 that it takes, each of which has to fit into one, by the field that says so."""
        used = {"gas": self.queues, "force_gas": self.called, "escape_gas": self.escape_after is not None}
        return {name: getattr(self, name) for name, there in used.items() if there}

    def genesis(self) -> Memory:
        """What the contract remembers at the start."""
        return ()

    def price(self, pending: int, l2_gas: int, base_fee: int) -> tuple[int, int]:
        """What sending a message costs: gas on L1, and a fee to the rollup's operator (wei).

        Args:
            pending: messages that wait in the queue.
            l2_gas: gas that it uses on the rollup.
            base_fee: of L1, wei per gas.
        """
        return self.gas, 0

    @abstractmethod
    def usual(self) -> Wait:
        """When an honest sequencer includes it."""

    def bars(self) -> Wait | None:
        """When the sequencer's blocks may hold nothing else as long as it waits; None where it never comes to that."""
        return None

    @abstractmethod
    def due(self, block: int, memory: Memory) -> Wait | None:
        """When a message that L1 took in a ``block`` is included without the sequencer; None where that never is."""

    def read(self, memory: Memory, block: int, now: int) -> Memory:
        """What the contract remembers after a message of one L1 block was included at another."""
        return memory
