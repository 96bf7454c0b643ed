"""BoLD: rival assertions with stakes, decided all against all within two challenge periods.

``edges`` is the protocol's heart, with the table of what may happen to an edge; ``challenge`` its contract on L1; ``stakes`` the
formulas by which a designer chooses stakes. What it shares with the protocols before it is here too: ``histories``, what a party says
of a rollup's states down to a single step; ``contract``, assertions that stand on one another with their stakes; ``players``, what a
party may do on L1; ``duels``, an argument of one against one.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.settlement.bold.challenge import BoldContract
from l2sim.settlement.bold.contract import _Staked
from l2sim.settlement.bold.edges import TRANSITIONS
from l2sim.settlement.bold.histories import Bits, Machine
from l2sim.units import ETH, SECOND, Duration, Fraction, Gas, Positive, Share, Wei

SLOT = 12 * SECOND


class Bold(_Staked):
    """An assertion is final when a challenge period has passed without a rival, or when it has won against all rivals at once.

    Assertions stand on one another; those that stand on the same one and differ exclude each other. Parties cut their histories in
    two, level after level, down to a step that L1 executes. Time that a stretch of a history has no rival belongs to that stretch,
    so everybody who holds the same history may defend it, and more rivals do not delay it: the root edge that has gathered a
    challenge period wins (arXiv 2404.10491). Stakes of those who lose are forfeited; who defended the winner gets gas back and a
    bounty, the rest stays in the rollup's treasury.
    """

    contract = BoldContract
    transitions: ClassVar[Mapping[tuple[str, str], str]] = TRANSITIONS

    challenge_period: Annotated[Duration, Positive] = 45_818 * SLOT
    """Time without a rival after which an assertion is final, and that a root edge must gather (45,818 blocks on Arbitrum One)."""
    grace: Duration = 14_400 * SLOT
    """Time between the end of a challenge and finality, in which a security council may step in (14,400 blocks on Arbitrum One)."""
    assertion_stake: Annotated[Wei, Positive] = 3600 * ETH
    """What is staked with an assertion that does not stand on one of its staker's own (3600 ETH on Arbitrum One)."""
    heights: tuple[Annotated[int, Field(ge=1, le=62)], ...] = (26, 19, 23)
    """Bisections of each level: powers of two (blocks, big steps and small steps on Arbitrum One)."""
    mini_stakes: tuple[Wei, ...] = (0, 555 * ETH, 79 * ETH)
    """What is staked with the first edge of each level (0, 555 and 79 ETH on Arbitrum One)."""
    block_bits: Bits = 26
    """Bits of a position in a history that number the block: an assertion goes at most 2 to the power of this further than the one it
    stands on; what follows numbers transactions and steps, and all fill the levels."""
    transaction_bits: Bits = 19
    """Bits that number the transaction in its block."""
    step_bits: Bits = 23
    """Bits that number the step in its transaction."""
    bounty: Annotated[Fraction, Share] = 0.01
    """Share of forfeited stakes for those who moved for the winner (1 %, Arbitrum's documentation)."""
    root_gas: Gas = 800_000
    """Gas of the first edge of a level (BoLD paper)."""
    bisection_gas: Gas = 350_000
    """Gas of a bisection (BoLD paper)."""
    update_gas: Gas = 60_000
    """Gas of bringing the time of one edge up to date (BoLD paper)."""
    proof_gas: Gas = 2_400_000
    """Gas of executing one step on L1 (BoLD paper)."""

    @model_validator(mode="after")
    def _levels_fit(self) -> "Bold":
        if len(self.heights) != len(self.mini_stakes):
            known = {"levels": len(self.heights), "stakes": len(self.mini_stakes)}
            message = "there are {levels} heights and {stakes} mini-stakes: give each level one of each"
            raise PydanticCustomError("levels", message, known)
        if not all(self.mini_stakes[1:]):
            message = "a stake of zero where one is due: below the first level, edges could be made without end"
            raise PydanticCustomError("levels", message)
        positions = self.block_bits + self.transaction_bits + self.step_bits
        if sum(self.heights) != positions:
            known = {"heights": sum(self.heights), "positions": positions}
            message = (
                "the heights add up to {heights} bisections, a position has {positions} bits: "
                "make block_bits, transaction_bits and step_bits add up to the same"
            )
            raise PydanticCustomError("levels", message, known)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """What the levels are called."""
        known = {1: ("step",), 2: ("block", "step"), 3: ("block", "big step", "small step")}
        return known.get(len(self.heights), tuple(f"level {level}" for level in range(len(self.heights))))

    def machine(self) -> Machine:
        """How positions in a history are put together."""
        return Machine(self.block_bits, self.transaction_bits, self.step_bits)

    def stride(self, level: int) -> int:
        """Steps that one step of a level stands for."""
        return 1 << sum(self.heights[level + 1 :])

    def usual(self) -> int:
        return self.challenge_period
