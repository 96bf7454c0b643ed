"""An oracle's reporter."""

from itertools import count
from statistics import median
from typing import Annotated

from pydantic import Field

from l2sim.agents import Agent, Waiting
from l2sim.part import Refers
from l2sim.units import ETH, SECOND, Duration, Fraction, NotNegative, Positive, Wei
from l2sim.world.seat import Seat


def due(seen: float, told: float, deviation: float | None, age: int, heartbeat: int) -> bool:
    """Whether a report is due: the price has moved by ``deviation`` since what was told, or that is ``heartbeat`` old."""
    return age >= heartbeat or (deviation is not None and abs(seen / told - 1.0) >= deviation)


class OracleReporter(Agent):
    """Watches the outside price and reports it to a feed; its reports are transactions and wait like any other."""

    feed: Annotated[str, Refers("markets", offers=("report",))]
    """The feed that it reports to; that says which price."""
    observe: Annotated[Duration, Positive] = 1 * SECOND
    """How often it looks at the price; with a heartbeat only, it looks at heartbeats only."""
    deviation: Annotated[Fraction, Positive] | None = 0.0005
    """Relative move since its last report that makes it report (Chainlink ETH/USD on Arbitrum One, 2026-09-11); 'null' turns it off."""
    heartbeat: Annotated[Duration, Positive] = 1755 * SECOND
    """Time since its last report after which it reports anyway (Chainlink ETH/USD on Arbitrum One, 2026-09-11)."""
    offset: Duration = 0
    """When its first heartbeat is, so that several feeds are not told in the same block; without it, a heartbeat after the start."""
    observers: Annotated[int, Field(ge=1)] = 1
    """Venues whose median it reports."""
    noise: Annotated[Fraction, NotNegative] = 0.0
    """Standard deviation of each venue's price around the index, relative."""
    tip: Wei = 0
    """Priority fee, wei per gas."""
    gas: Wei = 10 * ETH
    """Ether that it brings for fees."""

    def arrive(self, me: Seat) -> None:
        me.endow(me.chain_of(self.feed), me.gas_token, self.gas / ETH)
        me.admit(self.feed)

    def run(self, me: Seat) -> Waiting:
        name = me.rules(self.feed).of
        told, last = me.price(name), self.offset - self.heartbeat if self.offset else 0
        step = self.heartbeat if self.deviation is None else min(self.observe, self.heartbeat)
        for number in count(0 if self.offset else 1):
            yield me.sleep_until(self.offset + number * step)
            seen = me.price(name)
            if self.noise:
                errors = me.rng("observe", number).standard_normal(self.observers)
                seen *= max(1e-6, 1.0 + self.noise * median(errors.tolist()))
            if due(seen, told, self.deviation, me.now - last, self.heartbeat):
                me.submit(self.feed, "report", seen, tip=self.tip)
                told, last = seen, me.now
