"""Partial concurrency: rival stakers argue in pairs, each with one other at a time, as before BoLD."""

from typing import Annotated

from l2sim.settlement import Settlement, Waiting
from l2sim.settlement.bold.duels import DuelContract
from l2sim.settlement.bold.histories import Machine
from l2sim.units import ETH, SECOND, Duration, Fraction, Gas, Positive, Share, Wei
from l2sim.world.seat import Seat


class Crowded(DuelContract):
    """Several may stake on the same claim."""

    crowded = True


class PartialConcurrency(Settlement):
    """An assertion is final when a challenge period has passed and no staker on a rival one is left.

    The first Arbitrum protocol, as the BoLD paper (arXiv 2404.10491) describes it. A staker is in one challenge at a time, one against
    one, and each has a clock of its own for it. So one honest staker meets malicious ones one after the other, and every one of
    these delays by what is on its clock, and on the honest one's where that is kept from L1. Only the staker itself may move.
    """

    challenge_period: Annotated[Duration, Positive] = 45_818 * 12 * SECOND
    """What a staker has on its clock in each challenge, and the time after which an assertion is final (45,818 blocks)."""
    assertion_stake: Annotated[Wei, Positive] = 1 * ETH
    """What is staked with an assertion that does not stand on one of its staker's own (assumed)."""
    reward: Annotated[Fraction, Share] = 0.5
    """Share of the loser's stake that the winner gets; the rest goes to the treasury (assumed)."""
    block_bits: int = 26
    """Bits of a position in a history that number the block."""
    transaction_bits: int = 19
    """Bits that number the transaction in its block."""
    step_bits: int = 23
    """Bits that number the step in its transaction."""
    bisection_gas: Gas = 350_000
    """Gas of a bisection (as in BoLD)."""
    proof_gas: Gas = 2_400_000
    """Gas of executing one step on L1 (as in BoLD)."""

    def machine(self) -> Machine:
        """How positions in a history are put together."""
        return Machine(self.block_bits, self.transaction_bits, self.step_bits)

    def accounts(self) -> int:
        """Two on L1: one where stakes are kept, and the treasury where forfeited ones go."""
        return 2

    def arrive(self, me: Seat) -> None:
        me.duty.assertions.contract = Crowded(self, me)

    def run(self, me: Seat) -> Waiting:
        yield from me.duty.assertions.contract.run()
