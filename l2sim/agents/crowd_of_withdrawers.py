"""A crowd that takes its money from a rollup back to L1."""

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from l2sim.agents import Agent, Waiting
from l2sim.distributions import Distribution, In
from l2sim.distributions.constant import Constant
from l2sim.distributions.lognormal import Lognormal
from l2sim.part import Refers
from l2sim.streams import arrivals
from l2sim.units import DAY, ETH, HOUR, YEAR, Duration, Frequency, Positive, Quantity, Usd, Wei
from l2sim.world.seat import Seat

if TYPE_CHECKING:
    from l2sim.markets.bridge import Withdrawal

CHUNK = HOUR
"""Withdrawals are drawn for this long at a time."""


class CrowdOfWithdrawers(Agent):
    """Many small accounts that withdraw through a bridge at random times, prove what they withdrew, and collect it when it is due.

    Whoever finds the escrow too small goes away empty-handed. Where they are in a hurry, they look for a provider that pays at once.
    """

    size: Annotated[int, Field(ge=1)] = 1000
    """Accounts."""
    market: Annotated[str, Refers("markets", offers=("withdraw",))]
    """The bridge."""
    rate: Annotated[Frequency, Positive]
    """Withdrawals of the whole crowd."""
    amount: Annotated[Distribution, In("usd")] = Lognormal(median=Quantity(2000.0, "usd"), sigma=1.5)
    """Worth of a withdrawal in US dollars (assumed)."""
    until: Duration | None = None
    """When the last one withdraws; without it, they never stop."""
    delay: Annotated[Distribution, In("duration")] = Constant(value=Quantity(0.0, "duration"))
    """How long after an assertion covers it its owner proves a withdrawal, where proof and payment are not one."""
    urgency: Annotated[Distribution, In("fraction")] | None = None
    """What a year of waiting is worth to the owner of a withdrawal, as a share of its amount: who finds a provider that takes less than
    ``expected_delay`` is worth sells it at once. Without it, all wait."""
    expected_delay: Annotated[Duration, Positive] = 7 * DAY
    """How long they expect to wait otherwise."""
    wealth: Annotated[Usd, Positive] = 1e6
    """US dollars, or the bridge's asset for as much, that each account brings to the rollup."""
    gas: Wei = ETH // 20
    """Ether that each account brings for fees, to the rollup and again to L1."""

    def accounts(self) -> int:
        return self.size

    def arrive(self, me: Seat) -> None:
        chain, asset = me.chain_of(self.market), me.underlying(self.market)
        me.endow(chain, asset, self.wealth / self._price(me))
        me.endow(chain, me.gas_token, self.gas / ETH)
        me.endow(me.settlement(chain).l1, me.gas_token, self.gas / ETH)

    def _price(self, me: Seat) -> float:
        asset = me.underlying(self.market)
        return 1.0 if asset == "usd" else me.price(asset)

    def run(self, me: Seat) -> Waiting:
        me.start(self._withdraw(me))
        if self.urgency is not None:
            yield from self._hurry(me, self.urgency)
        docket, gate = me.settlement(me.chain_of(self.market)), me.bridge(self.market)
        seen = 0
        while True:
            yield docket.made()
            for withdrawal in gate.withdrawals(seen):
                seen = withdrawal.number
                if withdrawal.account in me.accounts:
                    me.start(self._collect(me, seen, withdrawal.account, withdrawal.time))

    def _withdraw(self, me: Seat) -> Waiting:
        ends = me.ends if self.until is None else min(me.ends, self.until)
        drawn = 0
        for chunk in range(-(-ends // CHUNK)):
            rng = me.rng("arrivals", chunk)
            times = arrivals(rng, self.rate, chunk * CHUNK, CHUNK)
            n = len(times)
            who = (rng.random(n) * self.size).astype(np.int64)
            amounts = self.amount.draw(rng, n) / self._price(me)
            early = int(np.searchsorted(times, ends))
            me.submit_rows(
                self.market,
                "withdraw",
                submitted=times[:early],
                accounts=me.accounts.start + who[:early],
                decisions=np.arange(drawn, drawn + early),
                a=amounts[:early],
            )
            drawn += n
            yield me.sleep_until((chunk + 1) * CHUNK)

    def _collect(self, me: Seat, number: int, account: int, time: int) -> Waiting:
        """Prove a withdrawal against the first assertion that covers it, wait until it is due, and ask for it."""
        delay = int(self._luck(me, "delay", self.delay, account, time))
        yield from me.bridge(self.market).collect(number, account, time, delay)

    def _luck(self, me: Seat, purpose: str, of: Distribution, account: int, time: int) -> float:
        """What a withdrawal draws from a distribution."""
        luck = me.luck(purpose, time * self.size + account - me.accounts.start)
        return float(of.quantile(np.array([max(luck, 2.0**-54)]))[0])

    def _hurry(self, me: Seat, urgency: Distribution) -> Waiting:
        """See every withdrawal once it is in a block, and look what it would fetch at once."""
        gate, seen = me.bridge(self.market), 0
        while True:
            yield me.news(self.market)
            for withdrawal in gate.withdrawals(seen):
                seen = withdrawal.number
                if withdrawal.account in me.accounts:
                    rate = self._luck(me, "urgency", urgency, withdrawal.account, withdrawal.time)
                    me.start(self._leave(me, withdrawal, rate))

    def _leave(self, me: Seat, withdrawal: "Withdrawal", rate: float) -> Waiting:
        """Sell a withdrawal where the wait is worth more than the fee; else, or where the provider does not pay, wait."""
        gate, (number, account, amount, time) = me.bridge(self.market), withdrawal
        offer = gate.cheapest(amount)
        if offer is not None and offer.fee(amount) < amount * rate * self.expected_delay / YEAR:
            paid = yield gate.sell(offer, number, amount, time, account)
            if paid:
                return
        yield from self._collect(me, number, account, time)
