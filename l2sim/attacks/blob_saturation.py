"""Blob saturation."""

from math import inf
from typing import Annotated

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.units import GWEI, Gas, Wei
from l2sim.world.seat import AttackSeat

EVERYTHING = 2**31


class BlobSaturation(Attack):
    """Somebody fills every block of an L1 with blobs of its own, so that no rollup can post.

    It buys whatever blobs are left, at a priority fee that outbids batch posters, until its budget does not pay for another block
    or the attack ends. What it spends is its loss: the price of the attack. As in Chaliasos et al. 2025, arXiv 2509.17126.
    """

    on: Annotated[str, Refers("chains", kind="l1")]
    """The L1 whose blobs it buys."""
    tip: Wei = 10 * GWEI
    """Priority fee paid for the gas of its transactions, wei per gas; those who offer more are served before it."""
    gas: Gas = 21_000
    """Execution gas of each of its transactions, which carry as many blobs as the fork allows (yellow paper, G_transaction)."""
    budget: Wei | None = None
    """What it spends at most; without one it goes on until the attack ends. What it bought in blocks that L1 undid counts as
    spent."""

    def strike(self, me: AttackSeat) -> None:
        budget = Budget(self.budget)
        me.demand(self.on, 0, EVERYTHING, self.tip, budget.spent, budget.pays, carrier=self.gas)

    def relent(self, me: AttackSeat) -> None:
        me.demand(self.on, 0, 0, 0)


class Budget:
    """What is left of so many wei, or of no limit: it pays until it cannot pay for another block."""

    def __init__(self, wei: int | None) -> None:
        self._left: float = inf if wei is None else wei

    def pays(self, wei: int) -> bool:
        """Whether it pays so much; once it does not, it never does again."""
        if wei > self._left:
            self._left = -1
        return self._left >= 0

    def spent(self, wei: int) -> None:
        """So much was spent."""
        self._left -= wei
