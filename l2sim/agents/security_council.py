"""Security council: may stop payments on L1, take assertions out, and change which game is respected."""

import itertools
from typing import TYPE_CHECKING, Annotated

from l2sim.agents import Agent, Waiting
from l2sim.part import Refers
from l2sim.units import DAY, ETH, GWEI, HOUR, Duration, Fraction, Gas, Share, Wei
from l2sim.world.seat import Seat

if TYPE_CHECKING:
    from simpy.events import Event


class SecurityCouncil(Agent):
    """A multisignature account that watches what a settlement is about to make final, and steps in where it is false.

    It looks at an assertion once nothing stands against it: under the OP Stack's game when that is over, so that it acts in the
    airgap; under ``bold`` and the protocols before it while no rival is there, or when it has won, so that it acts in the grace
    period; under ``optimistic`` while nobody disputes it; under ``validity_proof`` when it is proved, and so never false. If that
    is so still when it has enough signatures it invalidates the assertion, may pause payments, and may fall back to the
    permissioned game until an upgrade. The settlement names it as its ``guardian``; without that it may do nothing.
    """

    on: Annotated[str, Refers("chains", kind="rollup", has="settlement")]
    """The rollup."""
    convenes: Duration = 12 * HOUR
    """Time until enough members have signed (assumed)."""
    failure: Annotated[Fraction, Share] = 0.0
    """Probability that it misses a false assertion (assumed)."""
    invalidates: bool = True
    """Whether it takes out what is false."""
    pauses: bool = False
    """Whether it also pauses payments, as long as an upgrade takes."""
    falls_back: bool = False
    """Whether it also falls back to the permissioned game, until an upgrade, where there is one (``dispute_game``); that ends all games
    before, also of what is true."""
    falls_back_at: Duration | None = None
    """When it falls back whatever has happened, for a fault found in an audit; OP Mainnet's did on 16 August 2024."""
    upgrade_delay: Duration | None = 26 * DAY
    """Time from a fall-back or pause to the upgrade that ends it (OP Mainnet: 16 August to 11 September 2024); without it, never."""
    gas: Gas = 300_000
    """Gas of each of its acts on L1 (assumed)."""
    funds: Wei = 10 * ETH
    """Ether it brings to L1."""
    tip: Wei = 2 * GWEI
    """Priority fee it offers, wei per gas."""

    def arrive(self, me: Seat) -> None:
        me.endow(me.settlement(self.on).l1, me.gas_token, self.funds / ETH)

    def run(self, me: Seat) -> Waiting:
        docket = me.settlement(self.on)
        if self.falls_back_at is not None:
            me.start(self._falls_back(me, self.falls_back_at))
        for number in itertools.count():
            while docket.number() <= number:
                yield docket.made()
            me.start(self._watch(me, number))

    def _watch(self, me: Seat, number: int) -> Waiting:
        """Wait until nothing stands against an assertion, and step in where it is false."""
        docket = me.settlement(self.on)
        assertion = docket.assertion(number)
        while not docket.passes(number):
            if docket.status(number) in ("final", "rejected"):
                return
            yield docket.stands(number)
        if docket.digest(assertion.last) == assertion.digest or me.luck("failure", assertion.key) < self.failure:
            return
        yield me.sleep(self.convenes)
        while not docket.passes(number) and docket.status(number) != "final":
            if docket.status(number) == "rejected":
                return  # others have seen to it
            yield docket.stands(number)
        if self.pauses:
            yield self._act(me, "pause")
        if self.invalidates:
            yield self._act(me, "invalidate", number)
        if self.falls_back:
            yield self._act(me, "fall back")
        yield from self._upgrade(me, ["restore"] * self.falls_back + ["resume"] * self.pauses)

    def _falls_back(self, me: Seat, time: int) -> Waiting:
        yield me.sleep_until(time)
        yield self._act(me, "fall back")
        yield from self._upgrade(me, ["restore"])

    def _upgrade(self, me: Seat, acts: list[str]) -> Waiting:
        """Let the fault be mended, and go back to what was before."""
        if acts and self.upgrade_delay is not None:
            yield me.sleep(self.upgrade_delay)
            for act in acts:
                yield self._act(me, act)

    def _act(self, me: Seat, act: str, number: int = -1) -> "Event":
        return me.settlement(self.on).govern(act, number, gas=self.gas, tip=self.tip)
