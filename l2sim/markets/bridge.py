"""The rollup's end of a bridge: what is given up here may be taken out of an escrow on L1 later, what goes in there comes out here."""

from collections.abc import Mapping
from math import fsum, inf
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field

from l2sim.books import Book, Opening
from l2sim.events import WithdrawalInitiated
from l2sim.markets import Market
from l2sim.part import Refers
from l2sim.transactions import Outcome, Status
from l2sim.units import Duration, Gas


class Bridge(Market):
    """A bridge between a rollup and its L1. What was deposited on L1 before the run lies there in escrow.

    A deposit is handed out on the rollup once so many blocks of L1 lie on top of the one that took it into the escrow.

    A withdrawal is paid out of it once an assertion that covers its block is final, and, where proofs take time to mature, so long
    after its owner proved it against that assertion: the later of the two counts, not their sum (OP Stack, OptimismPortal2).
    """

    actions: ClassVar[Mapping[str, tuple[str, ...]]] = {"withdraw": ("amount",)}
    """``withdraw`` gives an amount up; x is the number of the withdrawal, y the amount."""
    gas: ClassVar[Mapping[str, int]] = {"withdraw": 120_000}
    """Assumed: a token transfer and one storage write."""
    size: ClassVar[Mapping[str, int]] = {"withdraw": 107}
    """Measured on generated transactions, signed and compressed 2,000 together by brotli 6 (``benchmarks/compression.py``)."""

    on: Annotated[str, Refers("chains", kind="rollup", has="settlement")]
    """The rollup it leads away from; its settlement decides what is paid."""
    asset: Annotated[str, Refers("prices", also=("usd",))] = "usd"
    """What it carries: US dollars, or an asset by the name of its price."""
    escrow: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """What lies on L1 at the start, in units of the asset (a plain number)."""
    proof_maturity: Duration | None = None
    """How long ago a withdrawal must have been proved when it is paid; 0 where proof and payment are one; without it, the settlement's."""
    proof_gas: Gas = 200_000
    """Gas of a proof on L1 (assumed)."""
    payment_gas: Gas = 150_000
    """Gas of the payment on L1 (assumed)."""
    deposit_confirmations: Annotated[int, Field(ge=0)] = 4
    """Blocks of L1 on top of the one with a deposit before the rollup hands it out (assumed; operators choose it)."""
    deposit_gas: Gas = 100_000
    """Gas of a deposit on L1 (assumed)."""
    advance_gas: Gas = 120_000
    """Gas on L1 of paying somebody else's withdrawal out of one's own money, and taking it over (assumed)."""

    def calls(self) -> Mapping[str, int]:
        """Gas of its transactions on L1, each of which has to fit into one, by the field that says so."""
        return {name: getattr(self, name) for name in type(self).model_fields if name.endswith("_gas")}

    def underlying(self) -> str:
        return self.asset

    def assets(self) -> tuple[str, ...]:
        return (self.asset,)

    def open(self, opening: Opening) -> "BridgeBook":
        return BridgeBook(self, opening)


class Withdrawal(NamedTuple):
    """What somebody gave up on the rollup."""

    number: int
    """Counts the bridge's withdrawals, from 1."""
    account: int
    amount: float
    """Units of the bridge's asset."""
    time: int
    """Of its block (ns)."""


class BridgeBook(Book):
    """The withdrawals so far. What was given up stays on the bridge's own account, which deposits are handed out of."""

    def __init__(self, market: Bridge, opening: Opening) -> None:
        super().__init__(opening.state)
        self.name = opening.name
        self.account = opening.account
        self.balances = opening.balances(market.asset)
        self.entries = opening.state.entries(f"{opening.name}/withdrawals")
        self.deposited = 0.0
        """What deposits have taken from that account so far, as its end on L1 has it."""

    def apply(self, action: int, sender: int, a: float, b: float, c: float, slippage: float, reference: float) -> Outcome:
        outcome = self.quote(action, a, b, c)
        if outcome.status:
            return outcome
        if self.balances[sender] < a:
            return Outcome(Status.INSUFFICIENT_FUNDS)
        number = int(outcome.x)
        self.balances[sender] -= a
        self.balances[self.account] += a
        self.entries[number] = (sender, a, self.now)
        self.facts.append(WithdrawalInitiated(self.name, sender, number, a))
        return outcome

    def quote(self, action: int, a: float, b: float, c: float) -> Outcome:
        return Outcome(0, float(len(self.entries) + 1), a) if 0.0 < a < inf else Outcome(Status.INVALID)

    def mid(self) -> float:
        return 0.0

    def audit(self) -> float:
        """Whether what was given up is there, but for what deposits have taken."""
        held, given = self.balances[self.account], fsum(amount for _, amount, _ in self.entries.values())
        return abs(held - (given - self.deposited)) / max(1.0, abs(held), given, self.deposited)

    def calls(self) -> int:
        """How many withdrawals there are: who advances them wants to know."""
        return len(self.entries)

    def withdrawal(self, number: int) -> Withdrawal | None:
        """A withdrawal by its number; None where there is none in this state."""
        entry = self.entries.get(number)
        return None if entry is None else Withdrawal(number, *entry)

    def view(self) -> tuple[Withdrawal, ...]:
        """All withdrawals, the oldest first."""
        return tuple(Withdrawal(number, *entry) for number, entry in self.entries.items())
