"""Arbitrum's L1 pricer: users pay a price per unit of data that follows what batches really cost, in exact integers.

Source: OffchainLabs/nitro arbos/l1pricing/l1pricing.go (update for batch poster spending) and docs/arbos/l1-pricing.md, 2026-04-23. A
unit is a 16th of a compressed byte. The price moves so that the surplus, what users paid in less what is owed, goes to zero over
the equilibration units.
"""

from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field

from l2sim.data_fees import BatchReport, Charge, DataFee, DataFeeState
from l2sim.units import ETH, Wei

UNITS_A_BYTE = 16
"""L1 gas of a byte of calldata that is not zero (EIP-2028), the measure of data in Nitro."""
BASIS_POINTS = 10_000


class Pricer(NamedTuple):
    """The state of the pricer; money in wei."""

    price: int
    """Wei per unit."""
    units: int = 0
    """Units that users paid for and that no report has been set against."""
    funds: int = 0
    """In the pool: what users paid in and nobody has been paid yet."""
    poster_due: int = 0
    """Owed to the batch poster."""
    rewards_due: int = 0
    """Owed to the recipient of rewards."""
    updated: int = 0
    """Unix time (s) of the last batch that was reported; 0 before the first."""
    surplus: int = 0
    """After the last report."""
    poster_paid: int = 0
    """Paid to the batch poster so far."""
    rewards_paid: int = 0
    """Paid as rewards so far."""


class Arbitrum(DataFee):
    """Users pay for 16 units a compressed byte at a price that reports of what batches cost move; the state is a ``Pricer``.

    The pool is kept in the books of the rule: on the ledger what users pay is the chain's, which also bears what batches cost.
    A report comes when its batch is final on L1 (assumed; Nitro waits until L1 is safe from reorganization).
    """

    learns: ClassVar[bool] = True

    initial_price: Wei | None = None
    """Price at the start, wei per unit; without one, what a full blob's byte costs at L1's first fees (assumed)."""
    inertia: Annotated[int, Field(ge=1)] = 10
    """How slowly the price follows: equilibration units over this resist a change; nitro l1pricing.go, initial value."""
    equilibration_units: Annotated[int, Field(ge=1)] = 160_000_000
    """Units over which the surplus is to be paid back; nitro l1pricing.go, since version 6."""
    per_unit_reward: Wei = 10
    """Reward beside the poster's cost, wei per unit; nitro l1pricing.go, initial value."""
    cost_cap: Annotated[int, Field(ge=0)] = 0
    """Most that a batch may claim, in hundredths of a percent of its units at L1's base fee; 0 for no cap (nitro, since version 12)."""

    def genesis(self, l1_base_fee: int, l1_blob_fee: int) -> DataFeeState:
        price = -(-l1_blob_fee // UNITS_A_BYTE) if self.initial_price is None else self.initial_price
        return Pricer(price)

    def used(self, state: DataFeeState, size: int) -> DataFeeState:
        pricer, units = Pricer(*state), size * UNITS_A_BYTE
        return pricer._replace(units=pricer.units + units, funds=pricer.funds + units * pricer.price)

    def next(self, state: DataFeeState, report: BatchReport) -> DataFeeState:
        pricer = Pricer(*state)
        updated = report.posted - 1 if not pricer.updated and report.posted > 0 else pricer.updated
        if report.posted > report.now or report.posted < updated:
            return state
        # The report is set against the share of the units that the time up to its batch makes of the time up to now.
        share, of = (report.posted - updated, report.now - updated) if report.now > updated else (1, 1)
        allocated = pricer.units * share // of
        spent = report.spent
        if self.cost_cap:
            spent = min(spent, report.l1_base_fee * allocated * self.cost_cap // BASIS_POINTS)
        earned = self.per_unit_reward * allocated
        reward = min(pricer.funds, earned)
        refund = min(pricer.funds - reward, pricer.poster_due + spent)
        after = pricer._replace(
            units=pricer.units - allocated,
            funds=pricer.funds - reward - refund,
            poster_due=pricer.poster_due + spent - refund,
            rewards_due=pricer.rewards_due + earned - reward,
            updated=report.posted,
            poster_paid=pricer.poster_paid + refund,
            rewards_paid=pricer.rewards_paid + reward,
        )
        return self._priced(after, allocated) if allocated else after

    def _priced(self, pricer: Pricer, allocated: int) -> Pricer:
        """With the price that pays the surplus back; all divisions round down, as Go's on big integers do."""
        surplus = pricer.funds - pricer.poster_due - pricer.rewards_due
        desired = -surplus // self.equilibration_units
        actual = (surplus - pricer.surplus) // allocated
        change = (desired - actual) * allocated // (self.equilibration_units // self.inertia + allocated)
        return pricer._replace(price=max(pricer.price + change, 0), surplus=surplus)

    def accounts(self, state: DataFeeState) -> tuple[float, float]:
        pricer = Pricer(*state)
        return pricer.funds / ETH, (pricer.funds - pricer.poster_due - pricer.rewards_due) / ETH

    def charge(self, state: DataFeeState, l1_base_fee: int, l1_blob_fee: int, timestamp: int) -> Charge:
        return Charge(state[0] * UNITS_A_BYTE / ETH)
