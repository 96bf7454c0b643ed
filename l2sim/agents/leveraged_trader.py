"""A trader with a leveraged position who insists on closing it."""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from l2sim.agents import Agent, Waiting
from l2sim.part import Refers
from l2sim.transactions import Status
from l2sim.units import ETH, MINUTE, SECOND, Duration, Fraction, Positive, Usd, Wei
from l2sim.world.seat import Seat


class LeveragedTrader(Agent):
    """Holds a position on a perpetual from the start and closes it when it has lost too much of its margin.

    If the close is in no block in time, the trader gives it up and sends it through L1, see ``forced_inclusion`` of the rollup; if
    there is no such way, it sends it again.
    """

    market: Annotated[str, Refers("markets", offers=("open", "close", "liquidate"))]
    """The perpetual."""
    side: Literal["long", "short"] = "long"
    """Which way."""
    notional: Annotated[Usd, Positive] = 50_000.0
    """Worth of the position at the start, US dollars (assumed)."""
    leverage: Annotated[float, Field(gt=0)] = 5.0
    """Notional over margin at the start (assumed)."""
    stop: Annotated[Fraction, Field(gt=0, lt=1)] = 0.3
    """Share of the margin that may be lost (assumed)."""
    attention: Annotated[Duration, Positive] = 30 * SECOND
    """How often it looks at the price (assumed)."""
    patience: Annotated[Duration, Positive] = 5 * MINUTE
    """How long it waits for a block before it goes through L1 (assumed)."""
    insists: bool = True
    """Whether it goes through L1 at all."""
    tip: Wei = 0
    """Priority fee on the rollup, wei per gas."""
    gas: Wei = ETH
    """Ether for fees that it brings to the rollup, and again to L1."""

    def arrive(self, me: Seat) -> None:
        me.endow(me.chain_of(self.market), me.gas_token, self.gas / ETH)
        if self.insists and me.forcible(self.market):
            me.endow(me.settles_on(self.market), me.gas_token, self.gas / ETH)
        price = me.price(me.underlying(self.market))
        size = self._sign() * self.notional / price
        me.establish(self.market, np.array([size]), np.array([price]), np.array([self.notional / self.leverage]))

    def _sign(self) -> int:
        return 1 if self.side == "long" else -1

    def run(self, me: Seat) -> Waiting:
        index = me.underlying(self.market)
        entry = me.price(index)
        while self._sign() * (1.0 - me.price(index) / entry) * self.leverage < self.stop:
            yield me.sleep(self.attention)
        while True:
            ends = me.now + self.patience
            receipt = me.receipt(me.submit(self.market, "close", 1.0, tip=self.tip, deadline=ends, wait=True))
            yield me.any(receipt, me.sleep_until(ends + SECOND))
            told: Any = receipt.value if receipt.triggered else None
            if told is not None and told.status < Status.DEADLINE:
                return
            if self.insists and me.forcible(self.market):
                break
        me.force(self.market, "close", 1.0)
