"""Stalled game: disputes for the sake of the time that they take."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.streams import mix
from l2sim.units import ETH, GWEI, MINUTE, Duration, Positive, Wei
from l2sim.world.seat import AttackSeat, Waiting


class StalledGame(Attack):
    """Somebody challenges true assertions, or makes false ones, and argues until its clocks or its budget are out.

    Where many may argue over an assertion, as in ``dispute_game``. It claims digests of states that nobody has computed, from some
    transaction of some block on, so it loses every dispute that is fought to the end; what it wins is time. Its account on L1 may go
    into debt for gas and, up to its budget, for bonds.
    """

    contests: ClassVar[bool] = True

    on: Annotated[str, Refers("chains", kind="rollup", has="settlement")]
    """The rollup."""
    challenges: bool = True
    """Whether it challenges true assertions."""
    asserts: bool = False
    """Whether it makes false assertions."""
    every: Annotated[Duration, Positive] | None = None
    """Time between its false assertions; without it, it makes one."""
    most: Annotated[int, Field(ge=1)] | None = None
    """How many true assertions it challenges; without it, all that are made while the attack lasts."""
    budget: Wei = 1000 * ETH
    """What it stakes in all."""
    stalls: Duration | None = 1 * MINUTE
    """How long before its clock runs out it moves; without it, it moves as soon as it can."""
    response: Duration | None = None
    """Time it needs for a move where it does not stall; without it, what the settlement says."""
    tip: Wei = 2 * GWEI
    """Priority fee it offers on L1, wei per gas."""

    @model_validator(mode="after")
    def _does_something(self) -> "StalledGame":
        if not (self.challenges or self.asserts):
            raise PydanticCustomError("idle", "it neither challenges nor asserts anything: set 'challenges' or 'asserts' to true")
        return self

    def proposes(self) -> tuple[str, ...]:
        return (self.on,) if self.asserts else ()

    def strike(self, me: AttackSeat) -> None:
        manner = me.settlement(self.on).manner(self.response, self.stalls, self.budget)
        if self.challenges:
            me.start(self._challenge(me, manner))
        if self.asserts:
            me.start(self._assert(me, manner))

    def relent(self, me: AttackSeat) -> None:
        """Disputes that it has begun go on."""

    def _challenge(self, me: AttackSeat, manner: Any) -> Waiting:
        docket, ends, done = me.settlement(self.on), me.now + self.lasts, 0
        number = docket.number()
        while self.most is None or done < self.most:
            while docket.number() <= number:
                yield me.any(docket.made(), me.sleep_until(ends))
                if me.now >= ends:
                    return
            assertion = docket.assertion(number)
            if docket.digest(assertion.last) == assertion.digest:
                lie = Lie(docket, assertion.first, assertion.last, me.luck("block", assertion.key), me.luck("step", assertion.key))
                if not docket.join(number, digests=lie.digest, steps=lie.steps, tip=self.tip, manner=manner):
                    docket.challenge(number, digests=lie.digest, steps=lie.steps, tip=self.tip, manner=manner)
                done += 1
            number += 1

    def _assert(self, me: AttackSeat, manner: Any) -> Waiting:
        docket, ends, number = me.settlement(self.on), me.now + self.lasts, 0
        while me.now < ends:
            last, first = docket.head(), docket.final() + 1
            if last >= first:
                lie = Lie(docket, first, last, me.luck("false_block", number), me.luck("false_step", number))
                docket.propose(last, lie.digest(last), digests=lie.digest, steps=lie.steps, tip=self.tip, manner=manner)
            number += 1
            yield me.sleep_until(ends if self.every is None else me.now + self.every)


class Lie:
    """The true digests up to a transaction of a block, and others from it on."""

    def __init__(self, docket: Any, first: int, last: int, block: float, step: float) -> None:
        self._docket = docket
        self._block = first + int(block * (last - first + 1))
        self._step = int(step * (docket.transactions(self._block) + 1))

    def digest(self, block: int) -> int:
        """What it says of the state after a block."""
        true = int(self._docket.digest(block))
        return true if block < self._block else mix(true, self._block)

    def steps(self, block: int) -> Sequence[int]:
        """What it says of the states in the course of a block."""
        true = self._docket.steps(block)
        begins = self._step if block == self._block else 0 if block > self._block else len(true)
        return [digest if i < begins else mix(digest, self._block) for i, digest in enumerate(true)]
