"""A crowd that leaves a rollup whose operator is gone."""

from typing import Annotated

import numpy as np
from pydantic import Field

from l2sim.agents import Agent, Waiting
from l2sim.distributions import Distribution, In
from l2sim.distributions.lognormal import Lognormal
from l2sim.part import Refers
from l2sim.units import DAY, ETH, HOUR, Duration, Positive, Quantity, Wei
from l2sim.world.seat import Seat


class CrowdOfExiters(Agent):
    """Holds money on a rollup, and takes it out through the escape hatch as soon as the rollup's rules let it, see ``escape_after``.

    It gets what it owned in the last final state, as far as the bridge's escrow goes. Where the hatch opens on a request that is not
    served, one of them asks L1 to withdraw all that it has, and where that is served it collects it.
    """

    size: Annotated[int, Field(ge=1)] = 100
    """Accounts."""
    market: Annotated[str, Refers("markets", offers=("withdraw",))]
    """The bridge that leads away."""
    amount: Annotated[Distribution, In("usd")] = Lognormal(median=Quantity(2000.0, "usd"), sigma=1.5)
    """Worth of what each holds, in US dollars (assumed)."""
    attention: Annotated[Duration, Positive] = HOUR
    """How long after the hatch opened the slowest of them notices; each at a time of its own (assumed)."""
    patience: Annotated[Duration, Positive] = DAY
    """Where nobody has made a request and one is needed: how long L1 has seen nothing of the rollup when one of them does (assumed)."""
    gas: Wei = ETH // 20
    """Ether that each account brings to L1, and again to the rollup."""

    def accounts(self) -> int:
        return self.size

    def arrive(self, me: Seat) -> None:
        asset = me.underlying(self.market)
        price = 1.0 if asset == "usd" else me.price(asset)
        me.endow(me.chain_of(self.market), asset, self.amount.draw(me.rng("amounts"), self.size) / price)
        me.endow(me.chain_of(self.market), me.gas_token, self.gas / ETH)
        me.endow(me.settles_on(self.market), me.gas_token, self.gas / ETH)

    def run(self, me: Seat) -> Waiting:
        asker = 0
        while (opens := me.escapes(self.market)) is None or opens > me.now:
            due = me.seen_on_l1(self.market) + self.patience if opens is None else opens
            if due >= me.ends:
                return
            if due > me.now:
                yield me.sleep_until(due)
            else:
                me.start(self._ask(me, me.accounts[asker % self.size]))
                asker += 1
                yield me.sleep(self.attention)  # L1 may leave it waiting, or not take it
        notices = np.rint(me.rng("notices").random(self.size) * self.attention).astype(np.int64)
        began = me.now
        for one in np.argsort(notices, kind="stable").tolist():
            yield me.sleep_until(began + int(notices[one]))
            me.escape(self.market, account=me.accounts[one])

    def _ask(self, me: Seat, account: int) -> Waiting:
        """Ask L1 for an account's money, and collect it, should the rollup serve that."""
        held = me.balance(me.chain_of(self.market), me.underlying(self.market), account)
        if not held:
            return  # it has been served: nothing is left to ask for
        ticket = me.force(self.market, "withdraw", held, account=account, wait=True)
        yield me.receipt(ticket)
        gate = me.bridge(self.market)
        for withdrawal in gate.withdrawals(0):
            if withdrawal.account == account:
                yield from gate.collect(withdrawal.number, account, withdrawal.time)
