"""Optimistic settlement: what nobody challenges is final, and who is challenged argues down to one transaction."""

from collections.abc import Callable, Generator, Mapping
from itertools import count
from typing import Annotated, Any, ClassVar

from l2sim.settlement import INVALIDATED, STOPPED, Settlement, Waiting
from l2sim.units import DAY, ETH, MINUTE, Duration, Fraction, Gas, Positive, Share, Wei
from l2sim.world.seat import Seat

Asking = Generator[Any, Any, Any]
"""A generator that returns an answer."""

TRANSITIONS: Mapping[tuple[str, str], str] = {
    ("asserted", "challenged"): "challenged",
    ("asserted", "window over"): "final",
    ("asserted", STOPPED): "rejected",
    ("asserted", INVALIDATED): "rejected",
    ("challenged", "the asserter wins the dispute"): "asserted",
    ("challenged", "the challenger wins the dispute"): "rejected",
    ("challenged", INVALIDATED): "rejected",
}
"""The states of an assertion: what happens in one, and which comes next."""


class Optimistic(Settlement):
    """An assertion is final when its window has passed and nobody has challenged it.

    Asserter and challenger say in turns what the digest is half way between the last block on which they agree and the first on
    which they do not, until that is one block; then the same over its transactions, until L1 executes a single one of them
    and sees who is right. The loser's bond goes to the winner. One dispute at a time is fought over an assertion; where the
    challenger loses, the window begins anew, so that nobody can shield a false assertion by challenging it badly.
    """

    transitions: ClassVar[Mapping[tuple[str, str], str]] = TRANSITIONS

    window: Annotated[Duration, Positive] = 7 * DAY
    """Time in which an assertion may be challenged (OP Mainnet: 3.5 d of clock and 3.5 d of airgap; Arbitrum One: 45,818 slots)."""
    bond: Annotated[Wei, Positive] = 8 * ETH // 100
    """What is staked on an assertion, and again on a challenge (0.08 ETH: OP Mainnet's dispute game at depth 0)."""
    burned: Annotated[Fraction, Share] = 0.0
    """Share of the loser's bond that is burned, so that challenging oneself costs something."""
    challenge_gas: Gas = 250_000
    """Gas of a challenge (assumed)."""
    move_gas: Gas = 150_000
    """Gas of a move (assumed)."""
    proof_gas: Gas = 2_000_000
    """Gas of executing one transaction on L1, paid by the challenger (assumed)."""
    response: Duration = 1 * MINUTE
    """Time that a party needs for a move, besides what L1 takes to include it."""
    clock: Annotated[Duration, Positive] = DAY
    """Time that a party has for each move; whose move is not on L1 by then has lost."""

    def stake(self) -> int:
        return self.bond

    def cost_of_challenge(self) -> int:
        return self.challenge_gas

    def admits(self, assertions: Any, side: Any, last: int, digest: int) -> bool:
        return bool(last > assertions.final)  # what is final is not asserted again

    def run(self, me: Seat) -> Waiting:
        assertions = me.duty.assertions
        for number in count():
            while len(assertions.cases) <= number:
                yield assertions.made.wait()
            me.start(self._settle(me, assertions.cases[number]))

    def usual(self) -> int:
        return self.window

    def _settle(self, me: Seat, case: Any) -> Waiting:
        """Wait for the window to pass, and see every dispute through."""
        assertions, since = me.duty.assertions, me.now
        while True:
            yield me.any(case.challenged, me.sleep_until(since + self.window))
            if case.status == "rejected":
                return
            if case.challenger is None:
                self.conclude(assertions, case, "window over")
                return
            self.happens(case, "challenged")
            dispute = Dispute(self, me, case)
            winner = yield from dispute.winner()
            if winner is None:
                return
            self.happens(case, f"the {'asserter' if winner is case.asserter else 'challenger'} wins the dispute")
            assertions.decide(case, winner, dispute.block, dispute.transaction, dispute.moves, self.burned)
            if case.status == "rejected":
                return
            since = me.now


class Over(Exception):
    """There is nothing to argue about any more."""


class Forfeit(Exception):
    """A side did not move in time, or contradicted itself."""

    def __init__(self, side: Any) -> None:
        super().__init__()
        self.side = side


class Dispute:
    """Two sides who look for the first thing on which they do not agree."""

    def __init__(self, rules: Optimistic, me: Seat, case: Any) -> None:
        self.rules = rules
        self.me = me
        self.case = case
        self.assertions = me.duty.assertions
        self.asserter, self.challenger = case.sides()
        self.block = -1
        """The block in question, once it is found."""
        self.transaction = -1
        """And the transaction; -1 is the block's beginning."""
        self.moves = 0

    def winner(self) -> Asking:
        """See it through; who has won. None where the guardian has ended it."""
        try:
            return (yield from self._argued())
        except Over:
            return None
        except Forfeit as forfeit:
            return self.challenger if forfeit.side is self.asserter else self.asserter

    def _argued(self) -> Asking:
        last, sides = self.case.assertion.last, (self.asserter, self.challenger)
        if self.asserter.digest(last) != self.case.assertion.digest:
            raise Forfeit(self.asserter)
        if self.challenger.digest(last) == self.case.assertion.digest:
            raise Forfeit(self.challenger)
        agreed = self.assertions.common(self.case)
        self.block = yield from self._bisected("block", agreed, last, [side.digest for side in sides])
        said = [side.steps(self.block) for side in sides]
        steps = self.assertions.transactions(self.block) + 1
        for side, digests in zip(sides, said, strict=True):
            if len(digests) != steps or digests[-1] != side.digest(self.block):
                raise Forfeit(side)
        step = yield from self._bisected("transaction", -1, steps - 1, [digests.__getitem__ for digests in said])
        self.transaction = step - 1
        yield from self._move(self.challenger, "proof", step - 1, step, self.rules.proof_gas)
        return self.asserter if said[0][step] == self.assertions.steps(self.block)[step] else self.challenger

    def _bisected(self, level: str, low: int, high: int, said: list[Callable[[int], int]]) -> Asking:
        """Halve what lies between agreement at ``low`` and disagreement at ``high``; the first thing on which they do not agree."""
        while high - low > 1:
            middle = (low + high) // 2
            for side in (self.asserter, self.challenger):
                yield from self._move(side, level, low, high, self.rules.move_gas)
            low, high = (middle, high) if said[0](middle) == said[1](middle) else (low, middle)
        return high

    def _move(self, side: Any, level: str, low: int, high: int, gas: int) -> Waiting:
        """Wait for a side's move to be on L1.

        Raises:
            Forfeit: it was not in time.
            Over: the assertion was invalidated meanwhile.
        """
        me, ends = self.me, self.me.now + self.rules.clock
        if self.rules.response:
            yield me.sleep(self.rules.response)
        included = side.post(gas)
        yield me.any(included, me.sleep_until(ends))
        if self.case.status == "rejected":
            raise Over
        if not included.triggered:
            raise Forfeit(side)
        self.moves += 1
        self.assertions.moved(self.case, side, level, low, high, included.value.cost)
