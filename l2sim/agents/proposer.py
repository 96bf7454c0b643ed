"""Proposer: asserts the rollup's state on L1."""

from typing import Annotated, ClassVar, Literal

from l2sim.agents import Agent, Waiting
from l2sim.units import ETH, GWEI, HOUR, Duration, Positive, Wei
from l2sim.world.seat import Seat


class Proposer(Agent):
    """Asserts the state after a block at a rhythm of its own, and says what honest execution gives where it is challenged."""

    roles: ClassVar[tuple[str, ...]] = ("proposer",)

    interval: Annotated[Duration, Positive] = HOUR
    """Time between assertions (about an hour on OP Mainnet and Arbitrum One)."""
    phase: Duration = 0
    """When the first is due; the others follow at the interval."""
    head: Literal["latest", "safe", "finalized"] = "safe"
    """Which block it asserts: the last one, the last one in a batch on L1, or the last one whose batch is final."""
    funds: Wei = 1000 * ETH
    """Ether it brings to L1 for bonds and gas; where a bond cannot be paid, it lets an assertion be."""
    tip: Wei = 2 * GWEI
    """Priority fee it offers, wei per gas."""

    def arrive(self, me: Seat) -> None:
        me.endow(me.duty.settles_on, me.gas_token, self.funds / ETH)

    def run(self, me: Seat) -> Waiting:
        docket, l1 = me.settlement(me.duty.name), me.duty.settles_on
        asserted, number = 0, 0
        while True:
            yield me.sleep_until(self.phase + number * self.interval)
            number += 1
            last = docket.head(self.head)
            if last > asserted and me.balance(l1, me.gas_token) >= docket.bond():
                yield docket.propose(last, docket.digest(last), tip=self.tip)
                asserted = last
