"""Invalid assertion."""

from collections.abc import Generator
from typing import Annotated, Any

from pydantic import Field

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.units import GWEI, Duration, Positive, Wei
from l2sim.world.seat import AttackSeat, Waiting

Selling = Generator[Any, Any, list[int]]


class InvalidAssertion(Attack):
    """A malicious validator asserts a state in which it owns the bridge's money, and takes it out where nobody objects.

    It executes the rollup's latest blocks again on a copy, gives itself money in the middle of one, withdraws it there, and
    asserts the digest of what comes of it. Challenged, it answers with the digests of that copy. Its account on L1 may go into
    debt: what it loses in gas and bonds is the price of the attack.
    """

    bridge: Annotated[str, Refers("markets", offers=("withdraw",))]
    """The bridge that it is after."""
    amount: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """What it gives itself, in units of the bridge's asset (a plain number); without it, all that lies in escrow."""
    pieces: Annotated[int, Field(ge=1)] = 10
    """Withdrawals in which it takes that, because the escrow may hold less by then."""
    sells: bool = False
    """Whether it sells these withdrawals to providers of fast ones, who may believe what they are shown, as far as they take them."""
    depth: Annotated[int, Field(ge=1)] = 10
    """How many of the latest blocks it executes again; it cheats in the first of them."""
    again: Annotated[Duration, Positive] | None = None
    """Time between one false assertion and the next, as long as the attack lasts; without it there is only one."""
    tip: Wei = 2 * GWEI
    """Priority fee it offers on L1, wei per gas."""

    def proposes(self) -> tuple[str, ...]:
        return (self.bridge,)

    def strike(self, me: AttackSeat) -> None:
        me.start(self._lies(me))

    def relent(self, me: AttackSeat) -> None:
        """What has been asserted stands."""

    def _lies(self, me: AttackSeat) -> Waiting:
        ends, number = me.now + self.lasts, 0
        while me.now < ends:
            me.start(self._lie(me, number))
            number += 1
            yield me.sleep_until(ends if self.again is None else me.now + self.again)

    def _lie(self, me: AttackSeat, number: int) -> Waiting:
        """Make a false state, assert it, and collect what it says where it becomes final."""
        docket, gate = me.settlement(me.chain_of(self.bridge)), me.bridge(self.bridge)
        head = docket.head()
        block = max(1, head - self.depth + 1)
        if not head:
            return
        copy = docket.replica(block - 1)
        amount = self.amount or max(gate.escrow(), 1.0)
        cheats = int(me.luck("step", number) * (docket.transactions(block) + 1))
        steps = []
        withdrawals: list[int] = []
        for step, digest in enumerate(copy.steps()):
            if step == cheats:
                withdrawals += [gate.forge(copy, amount / self.pieces) for _ in range(self.pieces)]
                steps.append(copy.digest())
            else:
                steps.append(digest)
        digests = {block: steps[-1]}
        while copy.height < head:
            copy.advance()
            digests[copy.height] = copy.digest()
        posted = yield docket.propose(
            head,
            digests[head],
            digests=lambda height: digests[height] if height in digests else docket.digest(height),
            steps=lambda height: steps if height == block else docket.steps(height),
            tip=self.tip,
        )
        assertion = posted.answer
        if assertion < 0:
            return  # its block is final by now
        if self.sells:
            withdrawals = yield from self._sell(me, withdrawals, amount / self.pieces, assertion, copy)
        for withdrawal in withdrawals if gate.apart else ():
            yield gate.prove(withdrawal, assertion, replica=copy)
        while docket.status(assertion) in ("pending", "challenged"):
            yield docket.turn(assertion)
        for withdrawal in withdrawals if docket.status(assertion) == "final" else ():
            if gate.apart:
                yield me.sleep_until(gate.due(withdrawal) or 0)
            yield gate.pay(withdrawal, assertion=None if gate.apart else assertion, replica=copy)

    def _sell(self, me: AttackSeat, withdrawals: list[int], amount: float, assertion: int, copy: Any) -> Selling:
        """Sell what somebody takes; what is left."""
        gate, left = me.bridge(self.bridge), []
        for number in withdrawals:
            offer = gate.cheapest(amount)
            paid = offer is not None and (yield gate.sell(offer, number, amount, me.now, assertion=assertion, replica=copy))
            if not paid:
                left.append(number)
        return left
