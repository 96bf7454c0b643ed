"""L1 fee spike."""

from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.units import GWEI, Gas, Wei
from l2sim.world.seat import AttackSeat


class L1FeeSpike(Attack):
    """Somebody buys gas or blobs in every slot, so that fees rise for those who need them: batch posters above all.

    The attacker pays what it uses, out of an account that may go into debt; its loss is the price of the attack.
    """

    on: Annotated[str, Refers("chains", kind="l1")]
    """The L1 whose fees rise."""
    gas: Gas = 0
    """Gas bought in every slot, as far as there is room."""
    blobs: Annotated[int, Field(ge=0)] = 0
    """Blobs bought in every slot, as far as there is room."""
    tip: Wei = 10 * GWEI
    """Priority fee paid for the gas, wei per gas; those who offer more are served before the attacker, those who offer less after it."""
    budget: Wei | None = None
    """What it spends at most, but for the slot that exhausts it; without one it goes on until the attack ends. What it bought in
    blocks that L1 undid counts as spent."""

    @model_validator(mode="after")
    def _buys(self) -> "L1FeeSpike":
        if not self.gas and not self.blobs:
            raise PydanticCustomError("nothing_bought", "this attack buys nothing: give it 'gas' or 'blobs', such as 'blobs: 9'")
        return self

    def strike(self, me: AttackSeat) -> None:
        left = self.budget

        def spent(wei: int) -> None:
            nonlocal left
            if left is not None:
                left -= wei
                if left <= 0:
                    self.relent(me)

        me.demand(self.on, self.gas, self.blobs, self.tip, spent)

    def relent(self, me: AttackSeat) -> None:
        me.demand(self.on, 0, 0, 0)
