"""Validator: executes the rollup's blocks again and challenges what is asserted falsely."""

import itertools
from typing import Annotated, ClassVar

from pydantic import Field

from l2sim.agents import Agent, Waiting
from l2sim.part import Refers
from l2sim.units import ETH, GWEI, MS, Duration, Fraction, Share, Wei
from l2sim.world.seat import Seat


class Validator(Agent):
    """Checks each assertion, one after the other, and challenges the false ones, unless it fails.

    It fails for itself, or together with all others whose software has the same fault: n of them miss a false assertion with
    probability c + (1 - c) p^n. What befalls it belongs to the assertion, so it is the same in every world that has that one.
    Where the settlement lets many argue about an assertion, it stands by what is true.
    """

    contests: ClassVar[bool] = True

    count: Annotated[int, Field(ge=0)] = 1
    """How many of them there are, each with its own luck and its own accounts."""
    on: Annotated[str, Refers("chains", kind="rollup", has="settlement")]
    """The rollup that it watches."""
    failure: Annotated[Fraction, Share] = 0.0
    """Probability that it does not check an assertion: its machine is down, it does not bother."""
    common_failure: Annotated[Fraction, Share] = 0.0
    """Probability that nobody does, because all run the same faulty software."""
    time_per_block: Duration = 20 * MS
    """Time it takes to execute a block again (assumed)."""
    cost_per_block: Wei = 0
    """What that costs it in machines and power, ether."""
    funds: Wei = 100 * ETH
    """Ether it brings to L1 for bonds and gas; without enough for a bond it cannot challenge."""
    tip: Wei = 2 * GWEI
    """Priority fee it offers, wei per gas."""
    response: Duration | None = None
    """Time it needs for a move where many may argue; without it, what the settlement says."""
    stalls: Duration | None = None
    """How long before its clock runs out it moves there; without it, it moves as soon as it can."""

    def arrive(self, me: Seat) -> None:
        me.endow(me.settlement(self.on).l1, me.gas_token, self.funds / ETH)

    def run(self, me: Seat) -> Waiting:
        docket = me.settlement(self.on)
        executed = 0
        for number in itertools.count():
            while docket.number() <= number:
                yield docket.made()
            assertion = docket.assertion(number)
            if docket.luck(number) < self.common_failure or me.luck("failure", assertion.key) < self.failure:
                continue
            while not docket.known(number):
                yield docket.released()
            blocks, executed = max(0, assertion.last - executed), max(assertion.last, executed)
            if blocks:
                docket.spend(blocks * self.cost_per_block)
                yield me.sleep(blocks * self.time_per_block)
            if docket.join(number, tip=self.tip, manner=docket.manner(self.response, self.stalls)):
                continue
            if docket.digest(assertion.last) != assertion.digest:
                me.start(self._challenge(me, number))

    def _challenge(self, me: Seat, number: int) -> Waiting:
        """Challenge a false assertion, again where somebody else did so first and lost."""
        docket = me.settlement(self.on)
        while docket.bond() and me.balance(docket.l1, me.gas_token) >= docket.bond():
            if docket.status(number) == "pending":
                posted = yield docket.challenge(number, tip=self.tip)
                if not posted.answer:
                    continue
            elif docket.status(number) != "challenged":
                return
            yield docket.turn(number)
