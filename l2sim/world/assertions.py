"""Assertions: what L1 keeps of the claims about a rollup's state, the bonds behind them, and what became of each."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from simpy.events import Event

from l2sim.books import Claim
from l2sim.events import (
    AssertionChallenged,
    AssertionConfirmed,
    AssertionMade,
    AssertionRejected,
    BondSlashed,
    DisputeEnded,
    DisputeMoved,
)
from l2sim.events.dispute_game import GuardianActed
from l2sim.streams import mix
from l2sim.units import ETH
from l2sim.world.clock import Clock
from l2sim.world.ledger import BURNED, EXPENSES, GAS_TOKEN

if TYPE_CHECKING:
    from l2sim.world.rollup import LiveRollup

_SHOWN = (1 << 63) - 1
"""The part of a digest that fits into a column of the log."""


Status = Literal["pending", "challenged", "final", "rejected"]
"""What has become of an assertion."""


class Assertion(NamedTuple):
    """A claim about the state of a rollup after a block, as it stands on L1."""

    number: int
    """Counts the assertions about the rollup, from 0."""
    first: int
    """The block after the newest final assertion: everything from here on may be disputed."""
    last: int
    """The block after which the state is claimed."""
    until: int
    """Time of that block (ns)."""
    digest: int
    """What is claimed: the digest of the state."""
    account: int
    """Who claims it."""
    bond: int
    """What is lost if it is wrong, wei."""
    made: int
    """When L1 took it up (ns)."""
    key: int
    """A number of its own for luck: the same whenever the same party asserts the same block, whoever else asserts what."""


class Budget:
    """What somebody is ready to stake in all, on whatever it asserts and challenges."""

    def __init__(self, wei: int) -> None:
        self.left = wei

    def take(self, wei: int) -> bool:
        """Take a stake out of it; whether there was enough."""
        if wei > self.left:
            return False
        self.left -= wei
        return True


class Manner(NamedTuple):
    """How somebody argues a dispute."""

    response: int | None = None
    """Time that it needs for a move (ns); None stands for what the settlement says."""
    stalls: int | None = None
    """How long before its clock runs out it moves (ns); None where it moves as soon as it can."""
    budget: Budget | None = None
    """What it is ready to stake; None for all that it has."""


class Side(NamedTuple):
    """Somebody who may be asked in a dispute, and what it holds the chain's states to be."""

    account: int
    """Its account on L1."""
    digest: Callable[[int], int]
    """The digest of the state after a block."""
    steps: Callable[[int], Sequence[int]]
    """The digests in the course of a block: after its beginning and after each of its transactions."""
    post: Callable[..., Event]
    """Sends a transaction of so much gas to L1, in its name and at its expense; a second argument is what it calls there."""
    credit: bool = False
    """Whether its account may go into debt, as attackers' do: what they lose is the price of the attack."""
    manner: Manner = Manner()
    """How it argues."""


class Bell:
    """Wakes whoever waits for a matter, in a fair order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiters: list[tuple[int, Event]] = []

    def wait(self, key: int = 0) -> Event:
        """An event at the next ring, for whoever has that tie key; the protocol's own, 0, goes first."""
        event = Event(self._clock)
        self._waiters.append((key, event))
        return event

    def ring(self) -> None:
        """Wake them."""
        waiters, self._waiters = self._waiters, []
        now = self._clock.now
        for key, event in waiters:
            self._clock.wake(event, now, mix(key, now) if key else 0)


class Case:
    """An assertion on its way: who stands for it and against it, and what became of it."""

    def __init__(self, assertion: Assertion, valid: bool, asserter: Side, clock: Clock) -> None:
        self.assertion = assertion
        self.valid = valid
        """Whether it is true, which L1 does not know."""
        self.asserter = asserter
        self.challenger: Side | None = None
        self.status: Status = "pending"
        self.state = "asserted"
        """Where it is in the settlement's table of transitions, where that is about assertions."""
        self.settled = -1
        """When it became final (ns)."""
        self.challenged = Event(clock)
        """When somebody challenges it, the next time."""
        self.turned = Bell(clock)
        """Rings whenever its status changes, and when L1 has verified a proof of it."""
        self.contest: Any = None
        """What the settlement keeps of disputes over it, where there may be many at a time; its bonds are kept there too."""

    def sides(self) -> tuple[Side, Side]:
        """Who asserts it and who challenges it.

        Raises:
            ValueError: nobody challenges it.
        """
        if self.challenger is None:
            raise ValueError(f"nobody challenges assertion {self.assertion.number}")
        return self.asserter, self.challenger


class Assertions:
    """The claims about one rollup."""

    def __init__(self, chain: "LiveRollup") -> None:
        if chain.history is None or chain.l1 is None:
            raise TypeError(f"'{chain.name}' has no settlement")
        self.chain = chain
        self.l1 = chain.l1
        self.history = chain.history
        settlement: Any = chain.rules.settlement
        self.rules = settlement
        self.world = chain.world
        self.cases: list[Case] = []
        self.made = Bell(chain.world.clock)
        """Rings at each new assertion."""
        self.stirred = Bell(chain.world.clock)
        """Rings whenever something changes in the settlement's contract, if there is one."""
        self.contract: Any = settlement.deploy(self)
        """What a settlement keeps on L1 besides, stakes of its own for instance; it says whose they are by ``claims()``."""
        self.final = 0
        """The newest block under a final assertion."""
        self.paused = False
        """Whether its guardian has stopped what is paid out on L1."""
        self.resumed = Bell(chain.world.clock)
        """Rings when that is over."""
        self.upgraded = -1
        """When its guardian last replaced the settlement's contracts, and so mended what faults they had (ns); -1 where it has not."""
        self._finals: list[Assertion] = []
        self._account = chain.world.ledger.groups[f"{chain.name}.settlement"].accounts.start
        self._token = chain.world.ledger.column(chain.l1.name, GAS_TOKEN)
        self._executed: tuple[int, list[int]] = -1, []

    # ---- what parties do

    def make(self, side: Side, last: int, digest: int, cost: float) -> int:
        """Take up an assertion and its bond: its number, or -1 where the bond cannot be paid or the block was undone meanwhile."""
        world, bond = self.world, self.rules.stake()
        if self.chain.frozen or last > self.chain.height or not self.rules.admits(self, side, last, digest) or not self.pledge(side, bond):
            return -1
        number, now = len(self.cases), world.clock.now
        until = self.history.block(last - 1).time
        key = mix(int(world.identities[side.account]), last)
        assertion = Assertion(number, self.final + 1, last, until, digest, side.account, bond, now, key)
        case = Case(assertion, digest == self.digest(last), side, world.clock)
        self.cases.append(case)
        case.contest = self.rules.open(self, case)
        self.history.settle(last)  # a sequencer does not undo what is asserted
        name, shown = self.chain.name, digest & _SHOWN
        world.record(AssertionMade(name, number, self.final + 1, last, side.account, shown, int(case.valid), bond / ETH, cost))
        self.made.ring()
        return number

    def challenge(self, side: Side, number: int, cost: float) -> bool:
        """Take up a challenge and its bond; whether the assertion is still open to one and the bond was there."""
        case, bond = self.cases[number], self.rules.stake()
        if case.contest is not None:
            return bool(case.contest.challenge(side, cost))
        taken = bool(case.status == "pending" and bond and self.pledge(side, bond))
        self.world.record(AssertionChallenged(self.chain.name, number, side.account, bond / ETH, cost, int(taken)))
        if taken:
            self.dispute(case, side)
        return taken

    def dispute(self, case: Case, challenger: Side) -> None:
        """Somebody challenges an assertion that nobody challenges so far."""
        case.status, case.challenger = "challenged", challenger
        challenged, case.challenged = case.challenged, Event(self.world.clock)
        self.world.clock.wake(challenged, self.world.clock.now)
        case.turned.ring()

    def join(self, side: Side, number: int) -> bool:
        """Let somebody argue over an assertion on the side of its own digests; whether the settlement lets many do so."""
        contest = self.cases[number].contest
        if contest is not None:
            contest.join(side)
        return contest is not None

    def govern(self, account: int, act: str, number: int, cost: float) -> bool:
        """Do what only the settlement's guardian may: ``pause`` and ``resume`` payments, or what the settlement knows besides."""
        guardian = self.rules.guarded_by()
        if guardian is None or account not in self.world.ledger.groups[guardian].accounts:
            return False
        if act in ("pause", "resume"):
            done = self.paused != (act == "pause")
            self.paused = act == "pause"
            if done and act == "resume":
                self.resumed.ring()
        elif act == "invalidate" and not 0 <= number < len(self.cases):
            done = False
        else:
            done = bool(self.rules.govern(self, act, number))
        self.world.record(GuardianActed(self.chain.name, act, number, account, cost, int(done)))
        return done

    def spend(self, account: int, wei: int) -> None:
        """Pay for computing, which nobody in the model sells."""
        self._move(account, self.world.ledger.groups[EXPENSES].accounts.start, wei)

    # ---- what the settlement asks

    def common(self, case: Case) -> int:
        """The block up to which both sides agree: that of the newest final assertion which both hold to be true, or the start.

        What became final wrongly is nothing that an honest side builds on; then the one before it is asked about.
        """
        for final in reversed(self._finals):
            if final.last < case.assertion.last and all(side.digest(final.last) == final.digest for side in case.sides()):
                return final.last
        return 0

    def digest(self, block: int) -> int:
        """The digest of the true state after a block; -1 where it was undone, or has not been made."""
        return self.history.digest(block) if block <= self.chain.height else -1

    def transactions(self, block: int) -> int:
        """How many transactions a block has; its data are on L1. 0 where it was undone."""
        if block > self.chain.height:
            return 0
        inputs = self.history.block(block - 1)
        return inputs.stop - inputs.start

    def steps(self, block: int) -> list[int]:
        """The digests in the course of a block, executed again; done once for all who ask about the same block.

        None where it was undone.
        """
        if block > self.chain.height:
            return []
        if self._executed[0] != block:
            self._executed = block, list(self.history.replica(block - 1).steps())
        return self._executed[1]

    # ---- what it decides

    def moved(self, case: Case, side: Side, level: str, low: int, high: int, cost: float) -> None:
        """Note a move in a dispute."""
        self.world.record(DisputeMoved(self.chain.name, case.assertion.number, side.account, level, low, high, cost))

    def decide(self, case: Case, winner: Side, block: int, transaction: int, moves: int, burned: float) -> None:
        """End a dispute: the loser's bond goes to the winner, but for a share that is burned.

        Where the asserter wins, its assertion is open to other challenges again; where it loses, it is rejected.
        """
        asserter, challenger = case.sides()
        loser = challenger if winner is asserter else asserter
        number, bond = case.assertion.number, case.assertion.bond
        lost = int(bond * burned)
        self._move(self._account, winner.account, bond - lost)
        self._move(self._account, self.world.ledger.groups[BURNED].accounts.start, lost)
        name = self.chain.name
        self.world.record(DisputeEnded(name, number, winner.account, loser.account, block, transaction, moves))
        self.world.record(BondSlashed(name, number, loser.account, winner.account, (bond - lost) / ETH, lost / ETH))
        if winner is asserter:
            case.status, case.challenger = "pending", None
        else:
            case.status = "rejected"
            self.release(challenger.account, bond)
            self.world.record(AssertionRejected(name, number, case.assertion.last, int(case.valid)))
        case.turned.ring()

    def confirm(self, case: Case) -> None:
        """Make an assertion final and give its bond back; on a rollup that was stopped for good nothing becomes final any more."""
        number, last = case.assertion.number, case.assertion.last
        if case.contest is None:
            self.release(case.asserter.account, case.assertion.bond)
        if self.chain.frozen:
            self.reject(case)
            return
        case.status, case.settled = "final", self.world.clock.now
        self.final = max(self.final, last)
        self._finals.append(case.assertion)
        self.world.record(AssertionConfirmed(self.chain.name, number, last, int(case.valid)))
        case.turned.ring()

    def reject(self, case: Case) -> None:
        """See that an assertion never becomes final; what becomes of stakes is for the settlement to say."""
        case.status = "rejected"
        self.world.record(AssertionRejected(self.chain.name, case.assertion.number, case.assertion.last, int(case.valid)))
        case.turned.ring()

    def bell(self) -> Bell:
        """A bell for a matter of the settlement's own."""
        return Bell(self.world.clock)

    # ---- money on L1

    def affords(self, side: Side, wei: int) -> bool:
        """Whether a side has that much ether on L1, or may go into debt."""
        return side.credit or self._token[side.account] >= wei / ETH

    def transfer(self, giver: int, taker: int, wei: int) -> None:
        """Move ether between accounts on L1, as the settlement's contract has it."""
        self._move(giver, taker, wei)

    def claims(self) -> list[Claim]:
        """The bonds that it keeps, which belong to their owners until they are lost."""
        cases = [case for case in self.cases if case.contest is None]
        kept = [(case.asserter, case) for case in cases if case.status in ("pending", "challenged")]
        kept += [(case.challenger, case) for case in cases if case.challenger is not None and case.status == "challenged"]
        staked = [] if self.contract is None else self.contract.claims()
        return [Claim(side.account, GAS_TOKEN, case.assertion.bond / ETH) for side, case in kept] + staked

    def claim(self, account: int, wei: int) -> Claim:
        """What is kept for somebody, as it stands in the books."""
        return Claim(account, GAS_TOKEN, wei / ETH)

    def pledge(self, side: Side, bond: int) -> bool:
        """Take a bond from somebody; whether it was there."""
        if not self.affords(side, bond):
            return False
        if side.manner.budget is not None and not side.manner.budget.take(bond):
            return False
        self._move(side.account, self._account, bond)
        return True

    def release(self, account: int, wei: int) -> None:
        """Pay somebody out of the bonds that are kept."""
        self._move(self._account, account, wei)

    def _move(self, giver: int, taker: int, wei: int) -> None:
        self.l1.pay(GAS_TOKEN, giver, -wei / ETH)
        self.l1.pay(GAS_TOKEN, taker, wei / ETH)
