"""Reorganisation by whoever owns consecutive slots."""

from typing import Annotated

from pydantic import Field

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.units import SECOND, Duration, Positive
from l2sim.world.seat import AttackSeat, Waiting


class ConsecutiveSlotsReorg(Attack):
    """A group of validators withholds the blocks of slots that it owns in a row, votes for them, and undoes honest blocks with them.

    Proposers are known to the end of the next epoch, so it knows where it has slots enough: the fewest with which its votes in
    them and in the honest slots outweigh the honest ones and the proposer's boost of 40 %. It releases its blocks in the last of
    the honest slots, before the votes of that slot. They hold nothing of the run; what was in the honest blocks is pending again.
    No honest slot that it wants to undo begins an epoch, so that the vote for the checkpoint is the same on both branches.

    Source: Schwarz-Schilling and others 2022, "Three attacks on proof-of-stake Ethereum": ex-ante reorganisation.
    """

    on: Annotated[str, Refers("chains", kind="l1", has="consensus")]
    """The L1."""
    group: str
    """The group, as its consensus names it."""
    depth: Annotated[int, Field(ge=1)] = 1
    """Honest slots that it undoes each time."""
    most: Annotated[int, Field(ge=1)] | None = None
    """How many times it does so at most; without it, as often as its slots allow."""
    release: Annotated[Duration, Positive] = 2 * SECOND
    """When it releases its blocks, since the beginning of the last honest slot: before four seconds, when votes are due."""

    def reverses(self) -> tuple[str, ...]:
        return (self.on,)

    def strike(self, me: AttackSeat) -> None:
        me.start(self._lies_in_wait(me))

    def relent(self, me: AttackSeat) -> None:
        """What was undone stays so."""

    def _lies_in_wait(self, me: AttackSeat) -> Waiting:
        validators, done, ends = me.validators(self.on), 0, me.now + self.lasts
        while me.now < ends and done != self.most:
            found = self._opening(me)
            if found is None:
                yield me.sleep(validators.time_of(1))
                continue
            first, owned = found
            last = first + owned + self.depth - 1
            yield me.sleep_until(validators.time_of(first) - 1)
            validators.withhold(self.group, first, first + owned - 1)
            yield me.sleep_until(validators.time_of(last) + self.release)
            done += validators.release(self.group, owned, self.depth)

    def _opening(self, me: AttackSeat) -> tuple[int, int] | None:
        """The first slot of a row that it owns, and how many, with as many honest ones behind it as it wants to undo."""
        validators = me.validators(self.on)
        needed = validators.needs(self.group, self.depth)
        if needed is None:
            return None
        slot, turns = validators.turns()
        epoch = validators.slots_per_epoch
        for start in range(len(turns) - needed - self.depth + 1):
            row, behind = turns[start : start + needed], turns[start + needed : start + needed + self.depth]
            begins = any((slot + start + needed + ahead) % epoch == 0 for ahead in range(self.depth))
            if set(row) == {self.group} and self.group not in behind and not begins:
                return slot + start, needed
        return None
