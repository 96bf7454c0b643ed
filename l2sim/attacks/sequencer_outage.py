"""Sequencer outage."""

from typing import Annotated

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.world.seat import AttackSeat


class SequencerOutage(Attack):
    """The sequencer makes no blocks; what users send meanwhile waits for it and is worked off when it is back."""

    on: Annotated[str, Refers("chains", kind="rollup")]
    """The rollup whose sequencer stops."""

    def strike(self, me: AttackSeat) -> None:
        me.halt(self.on)

    def relent(self, me: AttackSeat) -> None:
        me.resume(self.on)
