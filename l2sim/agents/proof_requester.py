"""Others who buy proofs from the provers of a rollup."""

from typing import Annotated, ClassVar

import numpy as np

from l2sim.agents import Agent, Waiting
from l2sim.distributions import Distribution, In
from l2sim.distributions.constant import Constant
from l2sim.part import Refers
from l2sim.streams import arrivals
from l2sim.units import ETH, HOUR, Duration, Frequency, Positive, Quantity, Wei
from l2sim.world.seat import Seat

CHUNK = HOUR
"""Requests are drawn for this long at a time."""


class ProofRequester(Agent):
    """Asks a rollup's provers for proofs of its own at random times, and so makes the rollup's wait: they serve whoever came first."""

    needs: ClassVar[str] = "market"

    on: Annotated[str, Refers("chains", kind="rollup", has="settlement")]
    """The rollup in whose ``market`` the provers are."""
    rate: Annotated[Frequency, Positive]
    """How often it asks; requests are a Poisson process."""
    gigacycles: Annotated[Distribution, In("fraction")] = Constant(value=Quantity(0.0))
    """Work in a proof, 10^9 cycles (a plain number)."""
    until: Duration | None = None
    """When it asks for the last; without it, it never stops."""
    funds: Wei = 1000 * ETH
    """Ether that it brings to L1; what it cannot pay is not made."""

    def arrive(self, me: Seat) -> None:
        me.endow(me.settlement(self.on).l1, me.gas_token, self.funds / ETH)

    def run(self, me: Seat) -> Waiting:
        docket = me.settlement(self.on)
        market, side = docket.contract, docket.side()
        if market is None or not hasattr(market, "request"):
            raise ValueError(f"nobody sells proofs for '{self.on}': give its settlement, of kind 'validity_proof', a 'market'")
        ends = me.ends if self.until is None else min(me.ends, self.until)
        for chunk in range(-(-ends // CHUNK)):
            rng = me.rng("requests", chunk)
            times = arrivals(rng, self.rate, chunk * CHUNK, CHUNK)
            cycles = self.gigacycles.draw(rng, len(times)) * 1e9
            keys = rng.integers(0, 2**63, len(times), dtype=np.int64)
            for time, key, work in zip(times.tolist(), keys.tolist(), cycles.tolist(), strict=True):
                if time >= ends:
                    return
                yield me.sleep_until(time)
                market.request(side, key, work)
