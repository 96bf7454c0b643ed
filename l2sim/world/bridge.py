"""The L1 end of a bridge: an escrow, and the proofs by which withdrawals are paid out of it."""

from collections import deque
from collections.abc import Callable
from math import fsum
from typing import TYPE_CHECKING, Any, NamedTuple

from l2sim.books import Claim
from l2sim.events import WithdrawalFinalized, WithdrawalProven, WithdrawalRefused
from l2sim.markets.bridge import Bridge, BridgeBook, Withdrawal
from l2sim.world.assertions import Assertions
from l2sim.world.deposits import Deposits
from l2sim.world.fast_withdrawals import FastWithdrawals

if TYPE_CHECKING:
    from l2sim.world.history import Replica
    from l2sim.world.rollup import LiveRollup


class Proof(NamedTuple):
    """A withdrawal that was shown to be in the state which an assertion claims."""

    withdrawal: Withdrawal
    assertion: int
    valid: bool
    """Whether that state is the true one."""
    time: int
    """When it was proved (ns)."""


class LiveBridge:
    """The escrow of a bridge in a run."""

    def __init__(self, name: str, rules: Bridge, chain: "LiveRollup") -> None:
        if chain.l1 is None or chain.rules.settlement is None:
            raise ValueError(f"bridge '{name}' needs a settlement that decides what it pays: give '{chain.name}' one")
        self.name = name
        self.rules = rules
        self.chain = chain
        self.l1 = chain.l1
        self.book: BridgeBook = chain.books[chain.codes[name]]  # type: ignore[assignment]
        self.account = self.book.account
        settlement: Any = chain.rules.settlement
        self.maturity: int = settlement.proof_maturity if rules.proof_maturity is None else rules.proof_maturity
        """How long ago a withdrawal must have been proved when it is paid (ns); 0 where proof and payment are one."""
        self.proofs: dict[tuple[int, int], Proof] = {}
        """By number and account, which stand for the hash of a withdrawal."""
        self.paid: set[tuple[int, int]] = set()
        self.deposits = Deposits(self)
        self.fast = FastWithdrawals(self)
        self._done: deque[tuple[int, Callable[[], object]]] = deque()
        """How to undo what L1's blocks did here, with their slots, the latest last."""
        chain.world.ledger.mint(self.l1.name, rules.asset, self.account, rules.escrow)
        self._column: Any = chain.world.ledger.column(self.l1.name, rules.asset)

    def escrow(self) -> float:
        """What lies there, in units of the asset."""
        return float(self._column[self.account])

    def since(self, number: int) -> list[Withdrawal]:
        """The withdrawals after a number, the oldest first; as the rollup shows them after its last block."""
        entries = self.book.entries
        return [Withdrawal(later, *entries[later]) for later in range(number + 1, len(entries) + 1)]

    def claims(self) -> list[Claim]:
        """What was withdrawn and is not paid, as far as the escrow covers it, each in the same proportion."""
        open_ = [one for one in self.since(0) if (one.number, one.account) not in self.paid]
        owed = fsum(one.amount for one in open_)
        worth = min(1.0, self.escrow() / owed) if owed else 0.0
        holders = self.fast.holders
        mine = [Claim(holders.get((one.number, one.account), one.account), self.rules.asset, one.amount * worth) for one in open_]
        return mine + self.deposits.claims()

    def exists(self, number: int, account: int, amount: float) -> bool:
        """Whether the rollup's own state has such a withdrawal."""
        found = self.book.withdrawal(number)
        return found is not None and found.account == account and found.amount == amount

    def remember(self, undo: Callable[[], object]) -> None:
        """Something was done in the L1 block that is being made; how to undo it, should L1 undo that block."""
        if self.l1.history is not None:
            while self._done and self._done[0][0] <= self.l1.safe:
                self._done.popleft()
            self._done.append((self.l1.after.slot, undo))

    def undo(self, until: int) -> None:
        """L1 undid its blocks after a slot, and the calls in them are pending again: so is what they did here.

        These are deposits and withdrawals paid in advance: L1 undoes nothing under assertions, which proofs and payments need, nor
        once the rollup is frozen, after which its escape hatch pays.
        """
        while self._done and self._done[-1][0] > until:
            self._done.pop()[1]()
        self.deposits.undone_on_l1(until)

    def prove(self, number: int, account: int, assertion: int, cost: float, replica: "Replica | None" = None) -> bool:
        """Accept a proof that a withdrawal is in the state that an assertion claims; whether it is.

        Who proves against a state that never was has to show that state: a replica with the asserted digest. Where the rollup's data
        are withheld, nobody can make a proof from the state.
        """
        case = self._assertions().cases[assertion]
        if case.status == "rejected" or self._assertions().paused:
            return False
        if replica is None and not self.chain.publication.knows(case.assertion.last):
            return False
        if replica is None:
            found = self.book.withdrawal(number)
            shown = case.valid and found is not None and found.time <= case.assertion.until
        else:
            found = self._twin(replica).withdrawal(number)
            shown = replica.digest() == case.assertion.digest
        if found is None or found.account != account or not shown:
            return False
        self.proofs[number, account] = Proof(found, assertion, case.valid, self.chain.world.clock.now)
        self.chain.world.record(WithdrawalProven(self.name, account, number, assertion, cost))
        return True

    def due(self, proof: Proof) -> int | None:
        """When a withdrawal may be paid (ns), where its assertion is final: the later of that and the proof's maturity."""
        case = self._assertions().cases[proof.assertion]
        return max(case.settled, proof.time + self.maturity) if case.status == "final" else None

    def pay(
        self, number: int, account: int, cost: float, assertion: int | None = None, replica: "Replica | None" = None
    ) -> bool:  # fmt: skip
        """Pay a withdrawal that is due, and proved or to be proved now against an assertion, to whoever owns it; whether it was."""
        world, key = self.chain.world, (number, account)
        if assertion is not None:
            self.prove(number, account, assertion, 0.0, replica)
        proof = self.proofs.get(key)
        due = None if proof is None else self.due(proof)
        if self._assertions().paused or proof is None or due is None or world.clock.now < due or key in self.paid:
            return False
        amount, held = proof.withdrawal.amount, self.escrow()
        if held < amount:
            world.record(WithdrawalRefused(self.name, account, number, amount, held, cost))
            return False
        self.paid.add(key)
        self.l1.pay(self.rules.asset, self.account, -amount)
        self.l1.pay(self.rules.asset, self.fast.holders.get(key, account), amount)
        world.record(WithdrawalFinalized(self.name, account, number, amount, int(proof.valid), cost))
        return True

    def forge(self, replica: "Replica", account: int, amount: float) -> int:
        """In a copy of the rollup's state, give an account an amount that nobody loses, and withdraw it there; its number."""
        replica.tamper(self.rules.asset, account, amount)
        twin = self._twin(replica)
        return int(twin.apply(0, account, amount, 0.0, 0.0, float("inf"), 0.0).x)

    def _twin(self, replica: "Replica") -> BridgeBook:
        return replica.execution.books[self.chain.codes[self.name]]  # type: ignore[return-value]

    def _assertions(self) -> Assertions:
        return self.chain.assertions
