"""An agent that does what it is told."""

from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.agents import Agent, Waiting
from l2sim.part import ChainName, MarketName, Part, Refers
from l2sim.transactions import NEVER
from l2sim.units import ETH, Duration, Fraction, NotNegative, Quantity, Wei
from l2sim.world.seat import Seat


def units(quantity: Quantity) -> float:
    """The number that a ledger or a market knows: ether in ETH, everything else in base units."""
    return quantity / ETH if quantity.dimension == "wei" else float(quantity)


class Step(Part):
    """One act: a transaction to a market, or a trade outside."""

    at: Duration
    """When it is sent, since the start; steps at the same time go in the order of their names, but their messages race."""
    market: MarketName | None = None
    """The market; without one the step is a trade outside."""
    action: str
    """The market's action; outside, 'trade'."""
    fields: dict[str, Quantity] = {}
    """The action's fields by name, 0 where left out; of a trade outside, the price's name and the units bought (negative: sold)."""
    account: Annotated[int, Field(ge=0)] = 0
    """Which of its accounts acts, from 0."""
    slippage: Annotated[Fraction, NotNegative] | None = None
    """Worst move from the market's price when the transaction arrives that it accepts; without one, any."""
    tip: Wei = 0
    """Priority fee, wei per gas."""
    deadline: Duration | None = None
    """How long the transaction may wait for a block; without one, for as long as it takes."""

    @model_validator(mode="after")
    def _outside(self) -> "Step":
        if self.market is None and (self.action != "trade" or len(self.fields) != 1):
            raise PydanticCustomError(
                "step", "a step without a market trades outside: write 'action: trade' and 'fields: {eth: 2}', or name the market"
            )
        return self


class Scripted(Agent):
    """Takes named steps at given times: for tests and what-ifs."""

    steps: dict[str, Step] = {}
    """What it does, by name."""
    holdings: dict[ChainName, dict[Annotated[str, Refers("prices", also=("usd", "eth"))], Quantity]] = {}
    """What each of its accounts brings: place -> asset -> amount, such as {arb: {usd: 5000 USD, eth: 2}}."""
    gas: Wei = 1 * ETH
    """Ether for fees that each account brings to each chain on which it acts."""

    def accounts(self) -> int:
        return 1 + max((step.account for step in self.steps.values()), default=0)

    def arrive(self, me: Seat) -> None:
        for place, assets in sorted(self.holdings.items()):
            for asset, amount in sorted(assets.items()):
                me.endow(place, asset, units(amount))
        markets = {step.market for step in self.steps.values() if step.market is not None}
        for chain in sorted({me.chain_of(market) for market in markets}):
            me.endow(chain, me.gas_token, self.gas / ETH)

    def run(self, me: Seat) -> Waiting:
        for _, step in sorted(self.steps.items(), key=lambda item: (item[1].at, item[0])):
            yield me.sleep_until(step.at)
            account = me.accounts[step.account]
            if step.market is None:
                ((price, quantity),) = step.fields.items()
                me.trade(price, units(quantity), account)
                continue
            fields = me.rules(step.market).actions[step.action]
            me.submit(
                step.market,
                step.action,
                *(units(step.fields.get(field, Quantity(0.0))) for field in fields),
                slippage=float("inf") if step.slippage is None else step.slippage,
                tip=step.tip,
                deadline=NEVER if step.deadline is None else me.now + step.deadline,
                account=account,
            )
