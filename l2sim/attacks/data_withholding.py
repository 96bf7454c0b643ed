"""Data withholding."""

from typing import Annotated

from pydantic import Field

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.world.seat import AttackSeat


class DataWithholding(Attack):
    """A rollup's operator gives nobody the data of its blocks any more, and L1 no more than it has to.

    Where the data are with a committee and enough of its members collude, blocks go on without anybody's transactions, L1 gets
    commitments, and nobody can compute the state: the safe head stands still, validators cannot check what is asserted, and no withdrawal
    can be proved against it, until the data come back. Where batches carry their data to L1, or too few collude, all that the operator
    can do is fall silent; others may then take over (``takeover`` of the rollup's ``availability``).
    """

    on: Annotated[str, Refers("chains", kind="rollup")]
    """The rollup whose operator it is."""
    members: Annotated[int, Field(ge=0)] = 0
    """Members of the committee that collude with it."""
    serves: bool = False
    """Whether it goes on taking users' transactions, who have to take its word for the state; otherwise they wait."""

    def strike(self, me: AttackSeat) -> None:
        me.withhold(self.on, self.members, self.serves)

    def relent(self, me: AttackSeat) -> None:
        me.release(self.on)
