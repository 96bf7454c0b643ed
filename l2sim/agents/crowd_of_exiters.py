"""A crowd that leaves a rollup whose operator is gone."""

from typing import Annotated

import numpy as np
from pydantic import Field

from l2sim.agents import Agent, Waiting
from l2sim.distributions import Distribution, In
from l2sim.distributions.lognormal import Lognormal
from l2sim.part import Refers
from l2sim.units import ETH, HOUR, Duration, Positive, Quantity, Wei
from l2sim.world.seat import Seat


class CrowdOfExiters(Agent):
    """Holds money on a rollup, and takes it out through the escape hatch as soon as the rollup's rules let it, see ``escape_after``.

    It gets what it owned in the last final state, as far as the bridge's escrow goes.
    """

    size: Annotated[int, Field(ge=1)] = 100
    """Accounts."""
    market: Annotated[str, Refers("markets", offers=("withdraw",))]
    """The bridge that leads away."""
    amount: Annotated[Distribution, In("usd")] = Lognormal(median=Quantity(2000.0, "usd"), sigma=1.5)
    """Worth of what each holds, in US dollars (assumed)."""
    attention: Annotated[Duration, Positive] = HOUR
    """How long after the hatch opened the slowest of them notices; each at a time of its own (assumed)."""
    gas: Wei = ETH // 20
    """Ether that each account brings to L1."""

    def accounts(self) -> int:
        return self.size

    def arrive(self, me: Seat) -> None:
        asset = me.underlying(self.market)
        price = 1.0 if asset == "usd" else me.price(asset)
        me.endow(me.chain_of(self.market), asset, self.amount.draw(me.rng("amounts"), self.size) / price)
        me.endow(me.settles_on(self.market), me.gas_token, self.gas / ETH)

    def run(self, me: Seat) -> Waiting:
        while True:
            opens = me.escapes(self.market)
            if opens is None or opens >= me.ends:
                return
            if opens <= me.now:
                break
            yield me.sleep_until(opens)
        notices = np.rint(me.rng("notices").random(self.size) * self.attention).astype(np.int64)
        began = me.now
        for one in np.argsort(notices, kind="stable").tolist():
            yield me.sleep_until(began + int(notices[one]))
            me.escape(self.market, account=me.accounts[one])
