"""A player: answers in a game whatever contradicts what it holds the trace to be.

A claim is its own side's where it would have made it itself, whoever did. It answers the root where it disagrees with it, and each
answer to a claim of its own side: by an attack where it holds another digest there, by a defence where it holds the same one and so
must disagree about what comes later. So do the challengers of the OP Stack (op-challenger, "honest actor" of the specs).
"""

from typing import TYPE_CHECKING, Any

from l2sim.settlement import Waiting
from l2sim.settlement.dispute_game.positions import Trace, depth_of, moved

if TYPE_CHECKING:
    from l2sim.settlement.dispute_game import DisputeGame
    from l2sim.settlement.dispute_game.game import Claim, Game


class Player:
    """Somebody in a game, on the side of its own trace."""

    def __init__(self, rules: "DisputeGame", me: Any, game: "Game", side: Any) -> None:
        self.rules = rules
        self.me = me
        self.game = game
        self.side = side
        self.trace = Trace(game.tree, side.digest, side.steps)
        self._ours: set[int] = set()
        self._seen = 0

    def play(self) -> Waiting:
        """Answer until the game is over."""
        while self.game.state == "in progress":
            for claim in self.game.claims[self._seen :]:
                if self._contradicts(claim):
                    self.me.start(self._answer(claim))
            self._seen = len(self.game.claims)
            yield self.game.changed.wait()

    def _contradicts(self, claim: "Claim") -> bool:
        """Whether it has to be answered; else it is noted where it is the side's own."""
        if claim.parent < 0:
            ours = self.trace.at(claim.position) == claim.digest
        elif claim.parent in self._ours:
            return True
        else:
            ours = self._contradicts_root_of(claim) and self._is_answer(claim)
        if ours:
            self._ours.add(claim.number)
        return claim.parent < 0 and not ours

    def _contradicts_root_of(self, claim: "Claim") -> bool:
        """Whether a claim's parent is one that the side has to answer."""
        parent = self.game.claims[claim.parent]
        return parent.number not in self._ours and (parent.parent < 0 or parent.parent in self._ours)

    def _is_answer(self, claim: "Claim") -> bool:
        """Whether a claim is the answer that the side itself would give."""
        return claim.attack == self._attacks(self.game.claims[claim.parent]) and self.trace.at(claim.position) == claim.digest

    def _attacks(self, claim: "Claim") -> bool:
        return self.trace.at(claim.position) != claim.digest

    def _answered(self, claim: "Claim") -> bool:
        game = self.game
        return claim.counter is not None or any(self._is_answer(game.claims[number]) for number in claim.answers)

    def _answer(self, claim: "Claim") -> Waiting:
        """Take the time that its manner takes, and answer a claim unless somebody else has done so."""
        me, game, side, manner = self.me, self.game, self.side, self.side.manner
        at_the_bottom = depth_of(claim.position) == self.rules.max_depth
        response = self.rules.response if manner.response is None else manner.response
        if manner.stalls is not None:
            yield me.sleep_until(game.runs_out(claim.number) - manner.stalls)
        elif response:
            yield me.sleep(response)
        if game.barred(side) or self._answered(claim):
            return
        attack = self._attacks(claim)
        if at_the_bottom:
            yield side.post(self.rules.step_gas, lambda cost: game.step(side, claim.number, attack, cost))
            return
        position = moved(claim.position, attack)
        bond, budget = self.rules.bond(depth_of(position)), manner.budget
        if (budget is not None and budget.left < bond) or not game.assertions.affords(side, bond):
            return
        digest = self.trace.at(position)
        if claim.parent < 0:
            yield side.post(self.rules.move_gas, lambda cost: game.challenge(side, cost))
        else:
            yield side.post(self.rules.move_gas, lambda cost: game.move(side, claim.number, attack, digest, cost))
