"""L1 reorganisation."""

from typing import Annotated

from pydantic import Field

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.world.seat import AttackSeat


class L1Reorg(Attack):
    """L1 undoes its latest blocks. Batches in them are pending again, and the safe heads of their rollups go back.

    Nothing that is justified is undone: that is where the choice of the head begins. The attack is over at once: ``lasts`` is
    how long it counts as going on.
    """

    on: Annotated[str, Refers("chains", kind="l1")]
    """The L1."""
    depth: Annotated[int, Field(ge=1)]
    """Slots that it undoes."""

    def reverses(self) -> tuple[str, ...]:
        return (self.on,)

    def strike(self, me: AttackSeat) -> None:
        me.reorganize(self.on, self.depth)

    def relent(self, me: AttackSeat) -> None:
        """Nothing to undo."""
