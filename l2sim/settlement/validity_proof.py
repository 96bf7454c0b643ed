"""Settlement by validity proofs: what is proved is final, and nothing false can be proved."""

from itertools import count
from typing import Annotated, Any

import numpy as np

from l2sim.distributions import Distribution, In
from l2sim.distributions.constant import Constant
from l2sim.settlement import Settlement, Waiting
from l2sim.units import HOUR, Duration, Gas, Quantity, Wei
from l2sim.world.seat import Seat


class ValidityProof(Settlement):
    """An assertion is final when L1 has verified a proof of it. Whoever asserts has the proof made and pays for it.

    Proofs of several assertions are made at the same time; a later one that is ready first makes the blocks before it final too. A
    state that honest execution does not give has no proof, so its assertion stays where it is and costs its owner the gas.
    """

    proving_time: Annotated[Distribution, In("duration")] = Constant(value=Quantity(float(HOUR), "duration"))
    """Time to make a proof (assumed)."""
    proof_cost: Wei = 0
    """What a proof costs its owner in machines and power, ether."""
    verification_gas: Gas = 400_000
    """Gas of verifying a proof on L1 (assumed)."""
    execution_delay: Duration = 0
    """Time between verification and finality."""

    def run(self, me: Seat) -> Waiting:
        assertions = me.duty.assertions
        for number in count():
            while len(assertions.cases) <= number:
                yield assertions.made.wait()
            me.start(self._prove(me, assertions.cases[number]))

    def _prove(self, me: Seat, case: Any) -> Waiting:
        """Have an assertion proved and verified, where it can be."""
        assertion = case.assertion
        docket = me.settlement(me.duty.name)
        if docket.digest(assertion.last) != assertion.digest:
            return
        me.duty.assertions.spend(assertion.account, self.proof_cost)
        luck = max(me.luck("proving_time", assertion.key), 2.0**-54)
        yield me.sleep(int(self.proving_time.quantile(np.array([luck]))[0]))
        yield case.asserter.post(self.verification_gas)
        if self.execution_delay:
            yield me.sleep(self.execution_delay)
        me.duty.assertions.confirm(case)
