"""Tournament: rival assertions meet one against one, round after round, until one is left."""

from collections.abc import Mapping
from typing import ClassVar

from l2sim.settlement.bold.contract import Node
from l2sim.settlement.bold.duels import TRANSITIONS, DuelContract, _Duelling
from l2sim.settlement.bold.players import NEVER
from l2sim.units import MINUTE, Duration


class Bracket(DuelContract):
    """Round after round all that are left meet in pairs; one who is left over goes on to the next round."""

    def pairs(self, free: list[Node]) -> list[tuple[Node, Node]]:
        base = free[0].parent
        siblings = base.children if base is not None else []
        numbers = {node.number for node in siblings}
        if self._opens(siblings) > self.me.now or any(side.number in numbers for duel in self.duels.values() for side in duel.sides):
            return []
        found = super().pairs(free)
        met = {node.number for pair in found for node in pair}
        for node in free if found else ():
            if node.number not in met:
                self.happens(node, "left over in a round")
        return found

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


class Tournament(_Duelling):
    """An assertion is final when a challenge period has passed and it has beaten the rivals that it met, round after round.

    After Cartesi's tournaments as the BoLD paper (arXiv 2404.10491) describes them: with N malicious assertions there are
    ceil(log2(1 + N)) rounds, and each can take a challenge period. Whether clocks are kept from one round to the next decides how often
    an attacker can have an honest party's clock run down by keeping it from L1.
    """

    transitions: ClassVar[Mapping[tuple[str, str], str]] = {**TRANSITIONS, ("free", "left over in a round"): "free"}
    contract = Bracket

    entry: Duration = 10 * MINUTE
    """Time after the second of several rival assertions until the first round; who comes later enters the next one (assumed)."""
    keeps_clocks: bool = True
    """Whether what a match took off a clock is missing in the next one."""
