"""Sequencer reorganisation."""

from typing import Annotated

from pydantic import Field

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.units import Fraction, Share
from l2sim.world.seat import AttackSeat


class SequencerReorg(Attack):
    """The sequencer takes back its latest blocks, which it had only promised, and makes other ones out of what was in them.

    It can take back what is in no batch. Users acted on the promise meanwhile; nobody gives them that back. The attack is over at
    once: ``lasts`` is how long it counts as going on.
    """

    on: Annotated[str, Refers("chains", kind="rollup")]
    """The rollup whose sequencer breaks its promise."""
    depth: Annotated[int, Field(ge=1)]
    """Blocks that it takes back."""
    lost: Annotated[Fraction, Share] = 0.0
    """Share of their transactions that it drops for good."""

    def reverses(self) -> tuple[str, ...]:
        return (self.on,)

    def strike(self, me: AttackSeat) -> None:
        me.reorganize(self.on, self.depth, self.lost)

    def relent(self, me: AttackSeat) -> None:
        """Nothing to undo."""
