"""Validators offline."""

from typing import Annotated

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.world.seat import AttackSeat


class ValidatorsOffline(Attack):
    """A group of an L1's validators neither votes nor makes blocks: a bug in their client, or an operator who is down.

    Where a third of the stake or more is missing, nothing is justified, and so nothing final, until it is back or has leaked away.
    """

    on: Annotated[str, Refers("chains", kind="l1", has="consensus")]
    """The L1."""
    group: str
    """The group, as its consensus names it."""

    def strike(self, me: AttackSeat) -> None:
        me.validators(self.on).offline(self.group)

    def relent(self, me: AttackSeat) -> None:
        me.validators(self.on).online(self.group)
