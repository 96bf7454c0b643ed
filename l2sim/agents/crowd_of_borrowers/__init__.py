"""A crowd with loans from a lending pool; how loans are drawn is in ``loans``, how borrowers look after theirs in ``crowd``."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.agents import Agent, Waiting
from l2sim.agents.crowd_of_borrowers.crowd import Crowd
from l2sim.agents.crowd_of_borrowers.loans import Loans, drawn, listed
from l2sim.distributions import Distribution, In
from l2sim.distributions.lognormal import Lognormal
from l2sim.part import DataName, Part, Refers
from l2sim.units import ETH, MINUTE, Duration, Fraction, Frequency, NotNegative, Positive, Quantity, Share, Wei
from l2sim.world.seat import Seat

Asset = Annotated[str, Refers("prices", also=("usd",))]
Weight = Annotated[float, Positive]


class Column(Part):
    """A column of a table."""

    data: DataName
    """The table: a recording without ``time``."""
    column: str
    """Its column, a number in each row."""


class Table(Part):
    """Loans from the user's own file, one a row."""

    collateral: Annotated[dict[Asset, Column], Field(min_length=1)]
    """Where units of each asset that they have supplied are written."""
    debt: Annotated[dict[Asset, Column], Field(min_length=1)]
    """Where units of each asset that they owe are written, interest so far included."""


class CrowdOfBorrowers(Agent):
    """Many accounts with a loan each, from before the start. Some look after theirs; some come later.

    Whoever looks after a loan repays or tops up when its health factor falls below a threshold, as far as its wallet goes. Whoever comes
    later supplies collateral, and borrows once that is there. Everybody else does nothing, and costs nothing.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"market": "pool", "collateral": {"eth": 1}}]})

    size: Annotated[int, Field(ge=1)] = 1000
    """Accounts with a loan from before the start; of a table, its rows."""
    market: Annotated[str, Refers("markets", offers=("borrow", "repay", "liquidate"))]
    """The lending pool."""
    collateral: dict[Asset, Weight] = {}
    """What they have supplied, one asset each: how many to each other have which (plain numbers)."""
    debt: Annotated[dict[Asset, Weight], Field(min_length=1)] = {"usd": 1.0}
    """What they owe, one asset each, independent of the collateral."""
    borrowed: Annotated[Distribution, In("usd")] = Lognormal(median=Quantity(5000.0, "usd"), sigma=1.8)
    """Worth of a debt, US dollars (assumed)."""
    health_factor: Annotated[Distribution, In("fraction")] = Lognormal(median=Quantity(1.7), sigma=0.4)
    """Health factor at the start (a plain number; assumed); who would be liquidatable at once draws again."""
    loan_to_value: Annotated[Distribution, In("fraction")] | None = None
    """Debt over collateral at the start, in place of ``health_factor``."""
    table: Table | None = None
    """Loans from a file, in place of all the above."""
    protect: Annotated[Fraction, Share] = 0.0
    """Share of the accounts that look after their loan."""
    acts_below: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.1
    """Health factor below which they act (a plain number)."""
    restores: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 1.3
    """Health factor that they try to restore (a plain number)."""
    acts_by: Literal["repay", "top_up"] = "repay"
    """Whether they repay of what they owe most of, or supply more of what they have supplied most of."""
    wallet: Annotated[Fraction, NotNegative] = 0.1
    """What each of them keeps ready for that on the chain, as a share of its debt, or of its collateral."""
    attention: Annotated[Duration, Positive] = 1 * MINUTE
    """How often each of them looks. They see the pool as the last block of its chain left it."""
    groups: Annotated[int, Field(ge=1)] = 1
    """Groups in which they look, one after the other, evenly over that time; of 1 all look at once (a plain number)."""
    newcomers: Annotated[int, Field(ge=0)] = 0
    """Accounts that take their loan during the run."""
    rate: Annotated[Frequency, NotNegative] = 0.0
    """How many of these come, at random times."""
    tip: Wei = 0
    """Priority fee, wei per gas."""
    gas: Wei = ETH // 20
    """Ether that each account brings for fees, where anybody acts."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if bool(self.collateral) == (self.table is not None):
            raise PydanticCustomError(
                "loans", "say what they have supplied, such as 'collateral: {eth: 1}', or give a 'table', and not both"
            )
        if self.table is not None and self.newcomers:
            raise PydanticCustomError("loans", "a table holds loans from before the start: put newcomers into a crowd of their own")
        if self.table is None and (both := sorted(set(self.collateral) & set(self.debt))):
            raise PydanticCustomError(
                "loans", "'{asset}' is both supplied and owed: make two crowds, one for each pair", {"asset": both[0]}
            )  # fmt: skip
        if self.restores <= self.acts_below:
            raise PydanticCustomError("health", "'restores' must be more than 'acts_below'")
        if self.groups > self.attention:
            raise PydanticCustomError("groups", "'groups' must be fewer than the nanoseconds of 'attention'")
        if bool(self.newcomers) != bool(self.rate):
            raise PydanticCustomError(
                "newcomers", "'newcomers' says how many there are and 'rate' how fast they come: give both or neither"
            )
        return self

    def accounts(self) -> int:
        return self.size + self.newcomers

    def loans(self, me: Seat) -> Loans:
        """Everybody's loan at the prices of the start, those of newcomers last."""
        return drawn(self, me) if self.table is None else listed(self, me)

    def arrive(self, me: Seat) -> None:
        loans = self.loans(me)
        collateral, debt = loans.collateral, loans.debt
        there = ({name: units[: self.size] for name, units in side.items()} for side in (collateral, debt))
        me.establish_loans(self.market, *there)
        if not self.protect and not self.newcomers:
            return
        chain, careful, later = me.chain_of(self.market), self.careful(me), np.arange(self.accounts()) >= self.size
        me.endow(chain, me.gas_token, self.gas / ETH)
        for owned, wallet in ((debt, self.acts_by == "repay"), (collateral, self.acts_by == "top_up")):
            for name, units in owned.items():
                kept = np.where(careful & wallet, self.wallet * units, 0.0)
                me.endow(chain, name, kept + np.where(later, units, 0.0) if owned is collateral else kept)

    def careful(self, me: Seat) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Who looks after its loan."""
        return me.rng("careful").random(self.accounts()) < self.protect

    def run(self, me: Seat) -> Waiting:
        if not self.protect and not self.newcomers:
            return
        crowd = Crowd(self, me)
        while True:
            crowd.look()
            yield me.sleep(self.attention // self.groups)
