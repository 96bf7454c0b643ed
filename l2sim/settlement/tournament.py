"""Tournament: rival assertions meet one against one, round after round, until one is left."""

from typing import Annotated

from l2sim.settlement import Settlement, Waiting
from l2sim.settlement.bold.contract import Node
from l2sim.settlement.bold.duels import DuelContract
from l2sim.settlement.bold.histories import Machine
from l2sim.settlement.bold.players import NEVER
from l2sim.units import ETH, MINUTE, SECOND, Duration, Fraction, Gas, Positive, Share, Wei
from l2sim.world.seat import Seat


class Bracket(DuelContract):
    """Round after round all that are left meet in pairs; one who is left over goes on to the next round."""

    def pairs(self, free: list[Node]) -> list[tuple[Node, Node]]:
        base = free[0].parent
        siblings = base.children if base is not None else []
        numbers = {node.number for node in siblings}
        if self._opens(siblings) > self.me.now or any(side.number in numbers for duel in self.duels.values() for side in duel.sides):
            return []
        return super().pairs(free)

    def advance(self) -> int:
        due = super().advance()
        opens = [self._opens(node.parent.children) for node in self.nodes if node.parent is not None]
        return min([due, *(time for time in opens if time > self.me.now)])

    def _opens(self, siblings: list[Node]) -> int:
        """When the first round begins: some time after the second claim."""
        return siblings[1].made + int(self.rules.entry) if len(siblings) > 1 else NEVER

    def clock(self, node: Node) -> int:
        whole = int(self.rules.challenge_period)
        return self.clocks.get(node.number, whole) if self.rules.keeps_clocks else whole


class Tournament(Settlement):
    """An assertion is final when a challenge period has passed and it has beaten the rivals that it met, round after round.

    After Cartesi's tournaments as the BoLD paper (arXiv 2404.10491) describes them: with N malicious assertions there are
    ceil(log2(1 + N)) rounds, and each can take a challenge period. Whether clocks are kept from one round to the next decides how often
    an attacker can have an honest party's clock run down by keeping it from L1.
    """

    challenge_period: Annotated[Duration, Positive] = 45_818 * 12 * SECOND
    """What an assertion has on its clock, and the time after which one without rivals is final (as in BoLD)."""
    entry: Duration = 10 * MINUTE
    """Time after the second of several rival assertions until the first round; who comes later enters the next one (assumed)."""
    keeps_clocks: bool = True
    """Whether what a match took off a clock is missing in the next one."""
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
        me.duty.assertions.contract = Bracket(self, me)

    def run(self, me: Seat) -> Waiting:
        yield from me.duty.assertions.contract.run()
