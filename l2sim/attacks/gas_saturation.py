"""Gas saturation."""

from typing import Annotated

from l2sim.attacks import Attack
from l2sim.attacks.blob_saturation import EVERYTHING, Budget
from l2sim.part import Refers
from l2sim.units import GWEI, Fraction, Share, Wei
from l2sim.world.seat import AttackSeat


class GasSaturation(Attack):
    """Somebody fills every block of an L1 with transactions that do nothing, so that others wait or outbid it.

    It buys whatever gas is left to those who pay its priority fee, until its budget does not pay for another block or the attack
    ends. The base fee grows by an eighth a block meanwhile. What it spends is its loss: the price of the attack.
    """

    on: Annotated[str, Refers("chains", kind="l1")]
    """The L1 whose gas it buys."""
    share: Annotated[Fraction, Share] = 1.0
    """Share of a block's gas that it buys at most."""
    tip: Wei = 10 * GWEI
    """Priority fee, wei per gas; those who offer more are served before it, those who offer less after it."""
    budget: Wei | None = None
    """What it spends at most; without one it goes on until the attack ends."""

    def strike(self, me: AttackSeat) -> None:
        gas = EVERYTHING if self.share == 1.0 else int(self.share * me.gas_limit(self.on))
        budget = Budget(self.budget)
        me.demand(self.on, gas, 0, self.tip, budget.spent, budget.pays)

    def relent(self, me: AttackSeat) -> None:
        me.demand(self.on, 0, 0, 0)
