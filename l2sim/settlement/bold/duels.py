"""Duels: two stakers who hold different things argue one against one, each with a clock, down to a step that L1 executes."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar

from l2sim.events import AssertionChallenged, DisputeEnded, DisputeMoved
from l2sim.events.stakes import DefenderPaid, MatchEnded, MatchMade
from l2sim.settlement import INVALIDATED, STOPPED
from l2sim.settlement.bold.contract import Contract, Node, _Staked
from l2sim.settlement.bold.histories import Bits, Machine, middle
from l2sim.settlement.bold.players import NEVER, Move, Player
from l2sim.units import ETH, SECOND, Duration, Fraction, Gas, Positive, Share, Wei

TRANSITIONS: Mapping[tuple[str, str], str] = {
    ("asserted", "taken up"): "free",
    ("asserted", "refused"): "rejected",
    ("free", "a duel begins"): "in a duel",
    ("free", "a challenge period old without a rival"): "final",
    ("free", "what it stands on is rejected"): "rejected",
    ("free", STOPPED): "rejected",
    ("free", INVALIDATED): "rejected",
    ("in a duel", "it bisects"): "in a duel",
    ("in a duel", "the other's clock is out"): "free",
    ("in a duel", "L1 executes a step, as it said"): "free",
    ("in a duel", "the other leaves"): "free",
    ("in a duel", "its clock is out"): "rejected",
    ("in a duel", "L1 executes a step, as the other said"): "rejected",
    ("in a duel", "what it stands on is rejected"): "rejected",
    ("in a duel", INVALIDATED): "rejected",
}
"""The states of an assertion: what happens in one, and which comes next. Whoever is free may be set against a rival."""


class Duel:
    """Where an argument stands."""

    def __init__(self, number: int, first: Node, second: Node, height: int, now: int) -> None:
        self.number = number
        self.sides = first, second
        self.low = 0
        self.high = 1 << height
        self.turn = second
        """Who has to move: at first whoever came later."""
        self.since = now
        """Since when (ns)."""
        self.moves = 0
        self.wrong = (-1, -1)
        """Block and transaction of the step that L1 executed."""

    def other(self, node: Node) -> Node:
        """The other side."""
        return self.sides[1] if node is self.sides[0] else self.sides[0]


class DuelContract(Contract):
    """Assertions whose stakers are set against each other in pairs; a kind says who meets whom."""

    def __init__(self, rules: Any, me: Any) -> None:
        super().__init__(rules, me)
        self.duels: dict[int, Duel] = {}
        self.clocks: dict[int, int] = {}
        """What is left on the clock of each assertion in its present duel (ns)."""
        self.wins: dict[int, int] = {}
        """How often each assertion has won."""
        self._of_node: dict[int, Duel] = {}
        self._numbered = 0

    def needed(self) -> tuple[int, int]:
        return int(self.rules.assertion_stake), int(self.rules.assertion_stake)

    # ---- moves

    def moves(self, player: Player) -> list[Move]:
        if player.number is not None:
            duel = self._of_node.get(player.number)
            return [] if duel is None else list(self._of(duel, player))
        return [move for duel in self.duels.values() for move in self._of(duel, player)]

    def _of(self, duel: Duel, player: Player) -> Iterator[Move]:
        """What a party may do in a duel: only whoever staked moves, and only in turn."""
        node = duel.turn
        mine = node.number == player.number if player.number is not None else node.account == player.account
        if not mine or duel.other(node).account == player.account or not node.held_by(player.side):
            return  # nobody argues with itself: one of the two lets its clock run out
        due = partial(self._ends, duel)
        possible = partial(self._possible, duel, duel.moves)
        key = duel.number, duel.moves
        if duel.high - duel.low > 1:
            act = self._once(node, player, possible, partial(self._bisect, duel, node))
            yield Move(key, "bisect", self.rules.bisection_gas, 0, due, act)
        elif self._true(node, duel):
            act = self._once(node, player, possible, partial(self._prove, duel, node))
            yield Move(key, "prove", self.rules.proof_gas, 0, due, act)

    def _possible(self, duel: Duel, moves: int) -> bool:
        """Whether a move is still the next one."""
        return duel.number in self.duels and duel.moves == moves and self._ends(duel) > self.me.now

    def _ends(self, duel: Duel) -> int:
        """When whoever has to move has lost (ns)."""
        return duel.since + self.clocks[duel.turn.number]

    def _bisect(self, duel: Duel, node: Node, cost: float) -> bool:
        """Say what the history is half way; the argument goes on in the half on which they do not agree."""
        self._moved(duel, node, cost)
        cut = middle(duel.low, duel.high)
        one, two = (self.history(side.case.asserter, side).root(cut) for side in duel.sides)
        duel.low, duel.high = (cut, duel.high) if one == two else (duel.low, cut)
        self.happens(node, "it bisects")
        self.clocks[node.number] -= self.me.now - duel.since
        duel.turn, duel.since = duel.other(node), self.me.now
        return True

    def _prove(self, duel: Duel, node: Node, cost: float) -> bool:
        """Have L1 execute the step."""
        if not self._true(node, duel):
            return False
        self._moved(duel, node, cost)
        duel.wrong = self.history(self.truth, node).wrong(duel.low)
        self._end(duel, node, "L1 executes a step, as it said", "L1 executes a step, as the other said")
        return True

    def _true(self, node: Node, duel: Duel) -> bool:
        said, true = self.history(node.case.asserter, node), self.history(self.truth, node)
        return said.root(duel.high) == true.root(duel.high)

    def _moved(self, duel: Duel, node: Node, cost: float) -> None:
        duel.moves += 1
        self.me.announce(DisputeMoved(self.chain, node.number, node.account, "history", duel.low, min(duel.high, 1 << 62), cost))

    # ---- who meets whom

    def pairs(self, free: list[Node]) -> list[tuple[Node, Node]]:
        """Of those that stand on the same assertion and are in no duel, in the order in which they were made, who meets whom."""
        found: list[tuple[Node, Node]] = []
        left = list(free)
        while left:
            one = left.pop(0)
            other = next((node for node in left if node.digest != one.digest), None)
            if other is not None:
                left.remove(other)
                found.append((one, other))
        return found

    def clock(self, node: Node) -> int:
        """What an assertion has on its clock as a duel begins (ns): a whole challenge period."""
        return int(self.rules.challenge_period)

    def advance(self) -> int:
        now = self.me.now
        for duel in list(self.duels.values()):
            if self._ends(duel) <= now:
                self._end(duel, duel.other(duel.turn), "the other's clock is out", "its clock is out")
        for base in {node.parent.number: node.parent for node in self.nodes if node.parent is not None}.values():
            busy = {node.number for duel in self.duels.values() for node in duel.sides}
            free = [node for node in base.children if not (node.lost or node.final or node.number in busy)]
            for one, other in self.pairs(free) if free else ():
                self._begin(one, other)
        due = min((self._ends(duel) for duel in self.duels.values()), default=NEVER)
        return min(due, self._confirmed())

    def _begin(self, one: Node, other: Node) -> None:
        duel = self.duels[self._numbered] = Duel(self._numbered, one, other, self.machine.height, self.me.now)
        self._numbered += 1
        for node in duel.sides:
            self.clocks[node.number] = self.clock(node)
            self._of_node[node.number] = duel
            self.happens(node, "a duel begins")
        self.me.announce(MatchMade(self.chain, duel.number, one.number, other.number, self.wins.get(one.number, 0)))
        self._challenged(*((one, other) if other.case.valid else (other, one)))
        self.stirred()

    def _challenged(self, about: Node, by: Node) -> None:
        if not about.joined:
            about.joined = True
            about.case.status = "challenged"
            self.me.announce(AssertionChallenged(self.chain, about.number, by.account, 0.0, 0.0, 1))
            about.case.turned.ring()

    def happens(self, node: Node, event: str) -> None:
        self.rules.happens(node.case, event)

    def reject(self, node: Node, event: str, refunds: bool = False) -> None:
        duel = self._of_node.get(node.number)
        if duel is not None:
            self._over(duel)
            self.happens(duel.other(node), "the other leaves")
        super().reject(node, event, refunds)

    def _over(self, duel: Duel) -> None:
        del self.duels[duel.number]
        for node in duel.sides:
            del self._of_node[node.number]

    def _end(self, duel: Duel, winner: Node, won: str, lost_by: str) -> None:
        """One of the two has lost, and all that stands on it; part of what it staked goes to the other."""
        loser = duel.other(winner)
        self._over(duel)
        if duel.turn is winner:
            self.clocks[winner.number] -= self.me.now - duel.since
        self.wins[winner.number] = self.wins.get(winner.number, 0) + 1
        self.me.announce(MatchEnded(self.chain, duel.number, winner.number, loser.number, duel.moves))
        self.happens(winner, won)
        lost = loser.stake
        self.reject(loser, lost_by)
        if loser.joined:
            self.me.announce(DisputeEnded(self.chain, loser.number, winner.account, loser.account, *duel.wrong, duel.moves))
        reward = int(lost * self.rules.reward)
        if reward:
            self.assertions.transfer(self.treasury, winner.account, reward)
            self.me.announce(DefenderPaid(self.chain, winner.number, winner.account, 0.0, reward / ETH))
        self.stirred()


class _Duelling(_Staked):
    """What settlements by duels have in common; a kind names its contract, which says who meets whom."""

    transitions: ClassVar[Mapping[tuple[str, str], str]] = TRANSITIONS

    challenge_period: Annotated[Duration, Positive] = 45_818 * 12 * SECOND
    """What is on a party's clock, and the time after which an assertion without rivals is final (45,818 blocks, as in BoLD)."""
    assertion_stake: Annotated[Wei, Positive] = 1 * ETH
    """What is staked with an assertion that does not stand on one of its staker's own (assumed)."""
    reward: Annotated[Fraction, Share] = 0.5
    """Share of the loser's stake that the winner gets; the rest goes to the treasury (assumed)."""
    block_bits: Bits = 26
    """Bits of a position in a history that number the block: an assertion goes at most 2 to the power of this further than the one it
    stands on."""
    transaction_bits: Bits = 19
    """Bits that number the transaction in its block."""
    step_bits: Bits = 23
    """Bits that number the step in its transaction."""
    bisection_gas: Gas = 350_000
    """Gas of a bisection (as in BoLD)."""
    proof_gas: Gas = 2_400_000
    """Gas of executing one step on L1 (as in BoLD)."""

    def machine(self) -> Machine:
        """How positions in a history are put together."""
        return Machine(self.block_bits, self.transaction_bits, self.step_bits)

    def usual(self) -> int:
        return self.challenge_period
