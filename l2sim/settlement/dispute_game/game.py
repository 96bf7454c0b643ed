"""A game: the contract that keeps the claims about one assertion, their clocks and bonds, and sees who is right.

Source: optimism, packages/contracts-bedrock/src/dispute/FaultDisputeGame.sol (``move``, ``step``, ``resolveClaim``, ``resolve``).
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from l2sim.events import AssertionChallenged, BondSlashed, DisputeEnded
from l2sim.events.dispute_game import (
    BondsPaid,
    ClaimMade,
    ClaimResolved,
    ClaimStepped,
    GameInvalidated,
    GameResolved,
    MoveRefused,
)
from l2sim.settlement import INVALIDATED, STOPPED
from l2sim.settlement.dispute_game.clocks import extended, out, used
from l2sim.settlement.dispute_game.positions import Trace, Tree, depth_of, moved, trace_index
from l2sim.units import ETH

if TYPE_CHECKING:
    from l2sim.settlement.dispute_game import DisputeGame

SHOWN = (1 << 63) - 1
"""The part of a digest that fits into a column of the log."""

TRANSITIONS: Mapping[tuple[str, str], str] = {
    ("in progress", "a move in time"): "in progress",
    ("in progress", "a step against a claim"): "in progress",
    ("in progress", "all clocks out, the root stands"): "defender wins",
    ("in progress", "all clocks out, the root is countered"): "challenger wins",
    ("in progress", INVALIDATED): "invalid",
    ("defender wins", "airgap over"): "final",
    ("defender wins", STOPPED): "closed",
    ("defender wins", INVALIDATED): "invalid",
    ("challenger wins", "airgap over"): "closed",
    ("final", "bonds paid"): "paid out",
    ("closed", "bonds paid"): "paid out",
    ("invalid", "bonds given back"): "paid out",
}
"""The states of a game: what happens in one, and which comes next."""


class Claim:
    """A claim in a game."""

    def __init__(
        self, number: int, parent: int, attack: bool, position: int, digest: int, side: Any, bond: int, made: int, clock: int
    ) -> None:
        self.number = number
        self.parent = parent
        """The claim that it answers; -1 for the root."""
        self.attack = attack
        """Whether it disagrees with that claim; else it agrees, and disputes what comes after it."""
        self.position = position
        self.digest = digest
        self.side = side
        self.bond = bond
        self.made = made
        self.clock = clock
        """Time that its side has used up (ns)."""
        self.answers: list[int] = []
        self.counter: Any = None
        """Who countered it: by a step at once, by an answer that stands when all clocks are out."""


class Game:
    """The claims about one assertion."""

    def __init__(self, rules: "DisputeGame", assertions: Any, case: Any, permissioned: bool) -> None:
        self.rules = rules
        self.assertions = assertions
        self.case = case
        self.permissioned = permissioned
        """Whether only the proposer and the appointed challenger play."""
        self.state = "in progress"
        self.changed = assertions.bell()
        """Rings at each claim and each change of the state."""
        self.joined: list[Any] = []
        """Sides that argue."""
        about = case.assertion
        self.tree = Tree(about.first - 1, about.last, rules.split_depth, rules.max_depth, assertions.transactions)
        self._truth = Trace(self.tree, assertions.digest, assertions.steps)
        self.claims = [Claim(0, -1, True, 1, about.digest, case.asserter, about.bond, about.made, 0)]
        self.ends = out(0, about.made, rules.clock)
        """When all clocks are out, if nothing happens till then (ns)."""
        self._taken: set[tuple[int, int, int]] = set()
        self._stepped: Claim | None = None
        self._owed: list[tuple[int, int]] = [(about.account, about.bond)]
        self.join(case.asserter)
        self._note(self.claims[0], 0.0)

    def happens(self, event: str) -> None:
        """Go on to the next state, by the table."""
        self.state = TRANSITIONS[self.state, event]
        self.changed.ring()

    # ---- what players do

    def join(self, side: Any) -> None:
        """Let somebody argue on the side of its own trace."""
        if all(other.account != side.account for other in self.joined):
            self.joined.append(side)
            self.changed.ring()

    def challenge(self, side: Any, cost: float) -> bool:
        """Attack the root, and argue from then on; whether such a claim was taken up."""
        why = self._move(side, 0, True, Trace(self.tree, side.digest, side.steps).at(2), cost)
        stake = self.claims[-1].bond if not why else 0
        self.assertions.world.record(
            AssertionChallenged(self.assertions.chain.name, self.case.assertion.number, side.account, stake / ETH, cost, int(not why))
        )
        self.join(side)
        return not why

    def move(self, side: Any, number: int, attack: bool, digest: int, cost: float) -> bool:
        """Answer a claim; whether the answer was taken up."""
        why = self._move(side, number, attack, digest, cost)
        if why:
            self._refuse(side, number, why, cost)
        else:
            self._tell(side, number, cost)
        return not why

    def step(self, side: Any, number: int, attack: bool, cost: float) -> bool:
        """Have L1 execute the instruction below a claim at the greatest depth; whether that showed that the claim is wrong."""
        claim = self.claims[number]
        why = self.barred(side) or self._stands(claim, attack)
        if why:
            self._refuse(side, number, why, cost)
            return False
        claim.counter = side
        self._stepped = claim
        name, about = self.assertions.chain.name, self.case.assertion.number
        self.assertions.world.record(ClaimStepped(name, about, number, side.account, cost))
        self._tell(side, number, cost, "proof")
        self.happens("a step against a claim")
        return True

    def runs_out(self, number: int) -> int:
        """When nobody can answer a claim any more (ns)."""
        claim = self.claims[number]
        return out(self._inherited(claim), claim.made, self.rules.clock)

    # ---- the rules

    def _inherited(self, claim: Claim) -> int:
        return self.claims[claim.parent].clock if claim.parent >= 0 else 0

    def barred(self, side: Any) -> str:
        """Why somebody may not play; nothing where it may."""
        if self.state != "in progress":
            return "the game is over"
        return "not appointed" if self.permissioned and not self.rules.appointed(self.assertions, side.account) else ""

    def _move(self, side: Any, number: int, attack: bool, digest: int, cost: float) -> str:
        """Make a claim against another; why that is refused, nothing where it is not."""
        rules, parent, now = self.rules, self.claims[number], self.assertions.world.clock.now
        position = moved(parent.position, attack)
        depth = depth_of(position)
        why = self.barred(side)
        if why:
            return why
        if not attack and (number == 0 or depth == rules.split_depth + 2):
            return "the root of a game cannot be defended"
        if depth > rules.max_depth:
            return "too deep"
        if depth == rules.split_depth + 1 and not self._fits(parent, position, attack, digest):
            return "the wrong result for the block in dispute"
        clock = used(self._inherited(parent), parent.made, now, rules.clock)
        if clock == rules.clock:
            return "too late"
        if (number, position, digest) in self._taken:
            return "claimed already"
        bond = rules.bond(depth)
        if not self.assertions.pledge(side, bond):
            return "no bond"
        clock = extended(clock, rules.clock, rules.extension_at(depth))
        claim = Claim(len(self.claims), number, attack, position, digest, side, bond, now, clock)
        self.claims.append(claim)
        self._taken.add((number, position, digest))
        parent.answers.append(claim.number)
        self._owed.append((side.account, bond))
        self.ends = max(self.ends, self.runs_out(claim.number))
        self._note(claim, cost)
        if number == 0 and self.case.status == "pending":
            self.assertions.dispute(self.case, side)
        self.happens("a move in time")
        return ""

    def _fits(self, parent: Claim, position: int, attack: bool, digest: int) -> bool:
        """Whether the root of a block's execution says what it has to.

        Another result than was claimed for the block, where the other side claimed it; the same, where one's own side did.
        """
        disputed = parent if attack else self._about(parent, self.tree.leaf(position), self.tree.split)
        if disputed is None:
            return False
        others = attack or depth_of(disputed.position) % 2 == self.rules.split_depth % 2
        return (digest != disputed.digest) == others

    def _about(self, claim: Claim, index: int, depth: int) -> Claim | None:
        """The claim about a leaf among a claim and those that it goes back to."""
        while True:
            if depth_of(claim.position) <= depth and trace_index(claim.position, depth) == index:
                return claim
            if claim.parent < 0:
                return None
            claim = self.claims[claim.parent]

    def _stands(self, claim: Claim, attack: bool) -> str:
        """Why a claim is not shown to be wrong by executing one instruction, from it or up to it.

        L1 is shown the state before the instruction. In the model a state can be shown that the machine was really in.
        """
        deepest, truth = self.rules.max_depth, self._truth
        if depth_of(claim.position) != deepest:
            return "not at the greatest depth"
        if claim.counter is not None:
            return "countered already"
        index, leaf = trace_index(claim.position, deepest), self.tree.leaf(claim.position)
        instruction = self.tree.instruction(claim.position)
        if attack:
            before = self._about(claim, index - 1, deepest) if instruction else None
            shown = before is None or before.digest == truth.after(leaf, instruction - 1)
            shown = shown and (before is not None or self._begins(claim, leaf))
            right, agrees = truth.after(leaf, instruction) == claim.digest, True
        else:
            after = self._about(claim, index + 1, deepest)
            if after is None:
                return "nothing claimed after it"
            shown = claim.digest == truth.after(leaf, instruction)
            right = truth.after(leaf, instruction + 1) == after.digest
            agrees = (deepest - depth_of(after.position)) % 2 == 0
        if not shown:
            return "no such state can be shown"
        return "the claim is right" if right == agrees else ""

    def _begins(self, claim: Claim, leaf: int) -> bool:
        """Whether the state that a block's execution begins with is the true one; the anchor's always is."""
        before = self._about(claim, leaf - 1, self.rules.split_depth) if leaf else None
        return before is None or before.digest == self._truth.output(leaf - 1)

    # ---- the end

    def resolve(self) -> None:
        """All clocks are out: see from the bottom up what stands, and whose each bond is.

        A claim is countered by the answer that stands and is furthest to the left; who made it gets the claim's bond.
        """
        record, name, about = self.assertions.world.record, self.assertions.chain.name, self.case.assertion.number
        won: list[tuple[int, int]] = []
        for claim in reversed(self.claims):
            standing = [self.claims[number] for number in claim.answers if self.claims[number].counter is None]
            if standing:
                claim.counter = min(standing, key=lambda answer: answer.position).side
            winner = claim.side if claim.counter is None else claim.counter
            won.append((winner.account, claim.bond))
            countered = int(claim.counter is not None)
            record(ClaimResolved(name, about, claim.number, countered, claim.side.account, winner.account, claim.bond / ETH))
            if countered:
                record(BondSlashed(name, about, claim.side.account, winner.account, claim.bond / ETH, 0.0))
        self._owed = won
        root = self.claims[0]
        record(GameResolved(name, about, int(root.counter is None), len(self.claims)))
        if root.answers:
            self._end(root)
        self.happens("all clocks out, the root stands" if root.counter is None else "all clocks out, the root is countered")
        if root.counter is not None:
            self.assertions.reject(self.case)

    def _end(self, root: Claim) -> None:
        """Note who won the dispute, and over which transaction."""
        loser = self.case.challenger if root.counter is None else root.side
        winner = root.side if root.counter is None else root.counter
        last = self._stepped or self.claims[-1]
        block = transaction = -1
        if depth_of(last.position) > self.tree.split:
            leaf = self.tree.leaf(last.position)
            block = self.tree.block(leaf)
            transaction = self.tree.part(leaf, self.tree.instruction(last.position))[0] - 1
        number, moves = self.case.assertion.number, len(self.claims) - 1
        self.assertions.world.record(
            DisputeEnded(self.assertions.chain.name, number, winner.account, loser.account, block, transaction, moves)
        )

    def invalidate(self) -> bool:
        """Take an assertion out, whatever its game says: bonds go back to who put them down."""
        if (self.state, INVALIDATED) not in TRANSITIONS:
            return False
        self._owed = [(claim.side.account, claim.bond) for claim in self.claims]
        self.happens(INVALIDATED)
        self.assertions.world.record(GameInvalidated(self.assertions.chain.name, self.case.assertion.number))
        self.assertions.reject(self.case)
        return True

    def bonds(self) -> Iterator[tuple[int, int]]:
        """Whose the bonds are that it keeps: account and wei."""
        yield from self._owed

    def pay(self) -> None:
        """Pay the bonds out."""
        totals: dict[int, int] = {}
        for account, wei in self._owed:
            totals[account] = totals.get(account, 0) + wei
        self._owed = []
        for account, wei in sorted(totals.items()):
            self.assertions.release(account, wei)
            self.assertions.world.record(BondsPaid(self.assertions.chain.name, self.case.assertion.number, account, wei / ETH))
        self.happens("bonds given back" if self.state == "invalid" else "bonds paid")

    # ---- the log

    def _note(self, claim: Claim, cost: float) -> None:
        self.assertions.world.record(
            ClaimMade(
                self.assertions.chain.name, self.case.assertion.number, claim.number, claim.parent, depth_of(claim.position),
                int(claim.attack), claim.side.account, claim.digest & SHOWN, claim.clock, claim.bond / ETH, cost,
            )
        )  # fmt: skip

    def _refuse(self, side: Any, number: int, why: str, cost: float) -> None:
        self.assertions.world.record(MoveRefused(self.assertions.chain.name, self.case.assertion.number, number, side.account, why, cost))

    def _tell(self, side: Any, number: int, cost: float, level: str = "") -> None:
        """Note a move as all protocols do: what was in dispute before it, in blocks or in transactions of one."""
        position, tree = self.claims[number].position, self.tree
        span = (1 << max(tree.split, depth_of(position)) - depth_of(position)) - 1
        leaf = tree.leaf(position)
        if depth_of(position) <= tree.split:
            low, high = tree.block(leaf - span - 1), tree.block(leaf)
            kind = "block"
        else:
            below = (1 << (tree.deepest - depth_of(position))) - 1
            high = tree.part(leaf, tree.instruction(position))[0]
            low = max(-1, tree.part(leaf, tree.instruction(position) - below)[0] - 1)
            kind = "transaction"
        self.assertions.moved(self.case, side, level or kind, low, high, cost)
