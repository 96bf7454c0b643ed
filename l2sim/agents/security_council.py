"""Security council: may stop payments on L1, take assertions out, and change which game is respected."""

import itertools
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated, Any

from l2sim.agents import Agent, Waiting
from l2sim.part import Refers
from l2sim.units import DAY, ETH, GWEI, HOUR, Duration, Fraction, Gas, Share, Wei
from l2sim.world.seat import Seat

if TYPE_CHECKING:
    from simpy.events import Event

ENDS = {"pause": "resume", "fall back": "restore"}
"""What a council does until an upgrade, and what ends it then."""


class SecurityCouncil(Agent):
    """A multisignature account that watches what a settlement is about to make final, and steps in where it is false.

    It looks at an assertion once nothing stands against it: under the OP Stack's game when that is over, so that it acts in the
    airgap; under ``bold`` and the protocols before it while no rival is there, or when it has won, so that it acts in the grace
    period; under ``optimistic`` while nobody disputes it; under ``validity_proof`` when L1 has verified it, so that it acts in the
    ``execution_delay``, on what a fault of prover and verifier let pass (``faulty_from``). If that is so still when it has enough
    signatures it invalidates the assertion, may pause payments, and may fall back to the permissioned game until an upgrade, which
    under ``validity_proof`` mends the fault. What stands already it does not do again, and an upgrade that is under way is for all
    that it finds meanwhile. The settlement names it as its ``guardian``; without that it may do nothing.
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
    """Whether it also pauses payments, as long as an upgrade takes; under ``validity_proof`` nothing is verified or becomes final
    meanwhile."""
    pauses_at: Duration | None = None
    """When it pauses whatever has happened, for a fault found in an audit."""
    falls_back: bool = False
    """Whether it also falls back to the permissioned game, until an upgrade, where there is one (``dispute_game``); that ends all games
    before, also of what is true."""
    falls_back_at: Duration | None = None
    """When it falls back whatever has happened, for a fault found in an audit; OP Mainnet's did on 16 August 2024."""
    upgrade_delay: Duration | None = 26 * DAY
    """Time from what it did to the upgrade that ends it (OP Mainnet: 16 August to 11 September 2024); without it, never."""
    gas: Gas = 300_000
    """Gas of each of its acts on L1 (assumed)."""
    funds: Wei = 10 * ETH
    """Ether it brings to L1."""
    tip: Wei = 2 * GWEI
    """Priority fee it offers, wei per gas."""

    def calls(self) -> dict[str, int]:
        """Gas of its transactions on L1, each of which has to fit into one, by the field that says so."""
        return {"gas": self.gas}

    def arrive(self, me: Seat) -> None:
        me.endow(me.settlement(self.on).l1, me.gas_token, self.funds / ETH)

    def run(self, me: Seat) -> Waiting:
        docket = me.settlement(self.on)
        due: set[str] = set()  # what an upgrade under way is to do
        for time, act in ((self.falls_back_at, "fall back"), (self.pauses_at, "pause")):
            if time is not None:
                me.start(self._warned(me, time, act, due))
        for number in itertools.count():
            while docket.number() <= number:
                yield docket.made()
            me.start(self._watch(me, number, due))

    def _watch(self, me: Seat, number: int, due: set[str]) -> Waiting:
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
        ends: list[str] = []
        if self.pauses:
            ends += yield from self._halt(me, "pause", due)
        if self.invalidates:
            yield self._act(me, "invalidate", number)
        if self.falls_back:
            ends += yield from self._halt(me, "fall back", due)
        yield from self._upgrade(me, ends[::-1], due)

    def _warned(self, me: Seat, time: int, act: str, due: set[str]) -> Waiting:
        """Step in at a time, until an upgrade."""
        yield me.sleep_until(time)
        ends = yield from self._halt(me, act, due)
        yield from self._upgrade(me, ends, due)

    def _halt(self, me: Seat, act: str, due: set[str]) -> Generator[Any, Any, list[str]]:
        """Do what an upgrade is to end, unless it has been done and not ended yet; what will end it."""
        end = ENDS[act]
        if end in due:
            return []
        due.add(end)
        yield self._act(me, act)
        return [end]

    def _upgrade(self, me: Seat, ends: list[str], due: set[str]) -> Waiting:
        """Let the fault be mended, unless that is under way, and go back to what was before."""
        docket = me.settlement(self.on)
        acts = ["upgrade"] * ("upgrade" in docket.powers and "upgrade" not in due) + ends
        if not acts or self.upgrade_delay is None:
            return
        due.update(acts)
        yield me.sleep(self.upgrade_delay)
        for act in acts:
            if act != "upgrade" or docket.upgradable():
                yield self._act(me, act)
            due.remove(act)

    def _act(self, me: Seat, act: str, number: int = -1) -> "Event":
        return me.settlement(self.on).govern(act, number, gas=self.gas, tip=self.tip)
