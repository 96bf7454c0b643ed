"""Equivocation."""

from typing import Annotated

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.world.seat import AttackSeat


class Equivocation(Attack):
    """A group of an L1's validators signs two different votes or blocks, is reported at once, and is slashed.

    It votes and proposes no more; its stake counts until the exit queue has let it go. Half way to its withdrawal, 4096 epochs
    later, it loses the more, the more stake was slashed around that time. It is over at once: ``lasts`` is how long it counts as
    going on.
    """

    on: Annotated[str, Refers("chains", kind="l1", has="consensus")]
    """The L1."""
    group: str
    """The group, as its consensus names it."""

    def strike(self, me: AttackSeat) -> None:
        me.validators(self.on).slash(self.group)

    def relent(self, me: AttackSeat) -> None:
        """Nothing to undo."""
