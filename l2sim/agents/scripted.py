"""An agent that does what it is told."""

from collections.abc import Iterator
from math import inf
from typing import Annotated, Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.agents import Agent, Waiting
from l2sim.part import ChainName, MarketName, Part, Refers
from l2sim.transactions import NEVER, Output, Status
from l2sim.units import ETH, Duration, Fraction, NotNegative, Quantity, Wei
from l2sim.world.seat import Do, Seat


def units(quantity: Quantity) -> float:
    """The number that a ledger or a market knows: ether in ETH, everything else in base units."""
    return quantity / ETH if quantity.dimension == "wei" else float(quantity)


class Then(Part):
    """What a transaction does next, on the same chain: all that it does is done, or nothing of it."""

    market: MarketName
    """The market."""
    action: str
    """The market's action."""
    fields: dict[str, Quantity] = {}
    """The action's fields by name, 0 where left out."""
    takes: str | None = None
    """The field that is given what the act before gave, by the market's account of its actions (their y); without one, none."""
    slippage: Annotated[Fraction, NotNegative] | None = None
    """Worst move from the market's price at that moment that it accepts; without one, any."""
    then: "Then | None" = None
    """What it does after that."""

    @model_validator(mode="after")
    def _given_once(self) -> "Then":
        if self.takes in self.fields:
            raise PydanticCustomError("takes", "'{field}' takes what the act before gave: leave it out of 'fields'", {"field": self.takes})
        return self


class Step(Part):
    """One act, or several that are one transaction: a transaction to a market, or a trade outside."""

    at: Duration
    """When it is sent, since the start; steps at the same time go in the order of their names, but their messages race."""
    market: MarketName | None = None
    """The market; without one the step is a trade outside."""
    action: str
    """The market's action; outside, 'trade'."""
    fields: dict[str, Quantity] = {}
    """The action's fields by name, 0 where left out; of a trade outside, the price's name and the units bought (negative: sold)."""
    then: Then | None = None
    """What the same transaction does next, such as selling elsewhere what it bought, or paying a flash loan back."""
    account: Annotated[int, Field(ge=0)] = 0
    """Which of its accounts acts, from 0."""
    slippage: Annotated[Fraction, NotNegative] | None = None
    """Worst move from the market's price when the transaction arrives that it accepts (with ``then``, when it is executed);
    without one, any."""
    tip: Wei = 0
    """Priority fee, wei per gas."""
    deadline: Duration | None = None
    """How long the transaction may wait for a block; without one, for as long as it takes."""
    forced_after: Duration | None = None
    """How long it may wait for a block before it is given up and sent through L1 instead, see ``forced_inclusion`` of the rollup; 0
    sends it there at once, without it never."""

    @model_validator(mode="after")
    def _through_l1(self) -> "Step":
        if self.forced_after is not None and (self.market is None or self.then is not None):
            raise PydanticCustomError("forced_after", "only a transaction of one act can go through L1: leave out 'forced_after'")
        return self

    @model_validator(mode="after")
    def _outside(self) -> "Step":
        if self.market is None and (self.action != "trade" or len(self.fields) != 1 or self.then is not None):
            raise PydanticCustomError(
                "step",
                "a step without a market trades outside, by itself: write 'action: trade' and 'fields: {eth: 2}', or name the market",
            )
        return self

    def acts(self) -> Iterator["Step | Then"]:
        """Itself, and what the same transaction does next."""
        act: Step | Then | None = self
        while act is not None:
            yield act
            act = act.then


class Scripted(Agent):
    """Takes named steps at given times: for tests and what-ifs."""

    steps: dict[str, Step] = {}
    """What it does, by name."""
    holdings: dict[ChainName, dict[Annotated[str, Refers("prices", also=("usd", "eth"))], Quantity]] = {}
    """What each of its accounts brings: place -> asset -> amount, such as {arb: {usd: 5000 USD, eth: 2}}."""
    gas: Wei = 1 * ETH
    """Ether for fees that each account brings to each chain on which it acts, and to each L1 through which it may act."""

    @property
    def atomic(self) -> bool:
        return any(step.then is not None for step in self.steps.values())

    def accounts(self) -> int:
        return 1 + max((step.account for step in self.steps.values()), default=0)

    def arrive(self, me: Seat) -> None:
        for place, assets in sorted(self.holdings.items()):
            for asset, amount in sorted(assets.items()):
                me.endow(place, asset, units(amount))
        markets = {act.market for step in self.steps.values() for act in step.acts() if act.market is not None}
        forced = {step.market for step in self.steps.values() if step.market is not None and step.forced_after is not None}
        for chain in sorted({me.chain_of(market) for market in markets} | {me.settles_on(market) for market in forced}):
            me.endow(chain, me.gas_token, self.gas / ETH)

    def run(self, me: Seat) -> Waiting:
        for _, step in sorted(self.steps.items(), key=lambda item: (item[1].at, item[0])):
            yield me.sleep_until(step.at)
            account = me.accounts[step.account]
            if step.market is None:
                ((price, quantity),) = step.fields.items()
                me.trade(price, units(quantity), account)
                continue
            deadline = NEVER if step.deadline is None else me.now + step.deadline
            if step.then is not None:
                acts = [self._act(me, act, place) for place, act in enumerate(step.acts())]
                me.submit_steps(*acts, tip=step.tip, deadline=deadline, account=account)
                continue
            fields = tuple(units(step.fields.get(field, Quantity(0.0))) for field in me.rules(step.market).actions[step.action])
            slippage = inf if step.slippage is None else step.slippage
            if step.forced_after is not None:
                deadline = min(deadline, me.now + step.forced_after)
                ticket = 0
                if step.forced_after:
                    ticket = me.submit(
                        step.market, step.action, *fields, slippage=slippage, tip=step.tip, deadline=deadline, account=account, wait=True
                    )  # fmt: skip
                me.start(self._insist(me, step, fields, account, ticket, deadline))
                continue
            me.submit(step.market, step.action, *fields, slippage=slippage, tip=step.tip, deadline=deadline, account=account)

    def _insist(self, me: Seat, step: Step, fields: tuple[float, ...], account: int, ticket: int, deadline: int) -> Waiting:
        """Wait for a transaction's block, and send it through L1 where it does not come."""
        assert step.market is not None  # noqa: S101
        if ticket:
            receipt = me.receipt(ticket)
            yield me.any(receipt, me.sleep_until(deadline))
            told: Any = receipt.value if receipt.triggered else None
            if told is not None and told.status < Status.DEADLINE:
                return
        me.force(step.market, step.action, *fields, account=account)

    def _act(self, me: Seat, act: Step | Then, place: int) -> Do:
        """One act of a transaction, the ``place``-th from 0."""
        assert act.market is not None  # noqa: S101
        known = me.rules(act.market).actions[act.action]
        taken = act.takes if isinstance(act, Then) else None
        fields = [Output(place - 1) if field == taken else units(act.fields.get(field, Quantity(0.0))) for field in known]
        return Do(act.market, act.action, tuple(fields), inf if act.slippage is None else act.slippage)
