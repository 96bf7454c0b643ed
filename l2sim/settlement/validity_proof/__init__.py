"""Settlement by validity proofs: what is proved is final, and nothing false can be proved, unless prover and verifier have a fault."""

from collections.abc import Mapping
from itertools import count
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.distributions import Distribution, In
from l2sim.distributions.constant import Constant
from l2sim.events.proofs import ProofPaid, ProofsVerified
from l2sim.settlement import INVALIDATED, STOPPED, Settlement, Waiting
from l2sim.settlement.validity_proof.market import LiveProofMarket, ProofMarket
from l2sim.units import ETH, HOUR, Duration, Gas, Positive, Quantity, Wei
from l2sim.world.seat import Seat

FALSELY = "proved, though false, through a fault"
"""What happens to a false assertion where prover and verifier have a fault."""
HELD = "delay over, during a pause"
"""What happens to an assertion that would be final, but for the guardian's pause."""
CONTRADICTED = "delay over, behind what is final and says otherwise"
"""What happens to a false assertion whose proof is late: L1 has gone on from another state."""
TRANSITIONS: Mapping[tuple[str, str], str] = {
    ("asserted", "proved"): "proved",
    ("asserted", FALSELY): "proved",
    ("asserted", INVALIDATED): "rejected",
    ("proved", "verified by L1, alone or with others"): "verified",
    ("proved", INVALIDATED): "rejected",
    ("verified", "delay over"): "final",
    ("verified", HELD): "held",
    ("verified", CONTRADICTED): "rejected",
    ("verified", STOPPED): "rejected",
    ("verified", INVALIDATED): "rejected",
    ("held", "the pause is over"): "final",
    ("held", CONTRADICTED): "rejected",
    ("held", STOPPED): "rejected",
    ("held", INVALIDATED): "rejected",
}
"""The states of an assertion: what happens in one, and which comes next. Nothing false gets beyond the first, but through a fault."""


class ValidityProof(Settlement):
    """An assertion is final when L1 has verified a proof of it. Whoever asserts has the proof made and pays for it.

    Proofs of several assertions are made at the same time; a later one that is ready first makes the blocks before it final too. A
    state that honest execution does not give has no proof, so its assertion stays where it is and costs its owner the gas, unless
    prover and verifier have a fault; behind what is final and says otherwise it does not become final even then. With a ``market``,
    agents of kind ``prover`` make the proofs, as far as they have machines free; without one, there are always enough. Nobody can
    challenge anything; a ``guardian`` can take out what is not final, pause, which keeps L1 from verifying anything and anything from
    becoming final, and ``upgrade``, which mends a fault that there is.
    """

    transitions: ClassVar[Mapping[tuple[str, str], str]] = TRANSITIONS
    challenged: ClassVar[bool] = False
    powers: ClassVar[tuple[str, ...]] = ("invalidate", "upgrade")
    instead: ClassVar[Mapping[str, tuple[str, ...]]] = {"market": ("proving_time", "proof_cost")}

    proving_time: Annotated[Distribution, In("duration")] = Constant(value=Quantity(float(HOUR), "duration"))
    """Time to make a proof (assumed; about an hour for a batch of ZKsync); with a ``market``, its provers know."""
    proof_cost: Wei = 0
    """What a proof costs its owner in machines and power, ether; with a ``market``, its provers' price."""
    verification_gas: Gas = 400_000
    """Gas of verifying a proof on L1 (assumed; Groth16: 207,000 and 7,160 for each public input; Groth16 of SP1: 270,000)."""
    execution_delay: Duration = 0
    """Time between verification and finality (ZKsync Era: 3 h)."""
    market: ProofMarket | None = None
    """Where proofs are bought; without one, they are made by whoever asserts."""
    aggregate: Annotated[int, Field(ge=1)] = 1
    """Proofs that are aggregated into one, which L1 verifies once; their owners share the gas."""
    aggregate_for: Annotated[Duration, Positive] | None = None
    """How long the first of them waits at most for the others (bundles of Scroll: 36,000 s); without it, until they are there."""
    aggregation_time: Duration = 0
    """Time to aggregate proofs (assumed)."""
    gas_per_proof: Gas = 0
    """Gas of verification for each proof in an aggregate besides, for its public inputs (Groth16: 7,160 each)."""

    faulty_from: Duration | None = None
    """When a fault comes into prover and verifier, by which what is false is proved as what is true is, until an upgrade after that;
    without it, never. (ZKsync Era's circuits had one until September 2023, found before anybody used it; ChainLight, 2023-11-02.)"""

    @model_validator(mode="after")
    def _buys(self) -> Self:
        given = [name for name in self.instead["market"] if getattr(self, name) != type(self).model_fields[name].default]
        if self.market is not None and given:
            raise PydanticCustomError(
                "market",
                "with a 'market', the provers have '{name}' of their own: leave it out here, or write 'market: null' for no market",
                {"name": given[0]},
            )
        if self.aggregate == 1 and self.aggregate_for is not None:
            raise PydanticCustomError("aggregate", "'aggregate_for' is how long a proof waits for others: say under 'aggregate' how many")
        return self

    def calls(self) -> Mapping[str, int]:
        whole = self.verification_gas + self.aggregate * self.gas_per_proof
        return {"assertion_gas": self.assertion_gas, "verification_gas": whole}

    def deploy(self, assertions: Any) -> LiveProofMarket | None:
        return None if self.market is None else LiveProofMarket(self.market, assertions)

    def passes(self, assertions: Any, case: Any) -> bool:
        return bool(case.state in ("verified", "held"))

    def govern(self, assertions: Any, act: str, number: int) -> bool:
        """Besides the usual, ``upgrade``: a fault that prover and verifier have is mended, and what is false has no proof any more."""
        if act != "upgrade":
            return super().govern(assertions, act, number)
        changes, assertions.upgraded = self.upgradable(assertions), assertions.world.clock.now
        return changes

    def upgradable(self, assertions: Any) -> bool:
        return assertions.upgraded < 0 or self._faulty(assertions)

    def seen(self, case: Any) -> int:
        """Nobody can rely on an assertion before it is proved: only what became final shows that somebody runs the rollup."""
        return 0

    def usual(self) -> int:
        proving = 0 if self.market is not None else int(self.proving_time.quantile(np.array([0.5]))[0])
        return proving + self.aggregation_time + self.execution_delay

    def run(self, me: Seat) -> Waiting:
        assertions, shelf = me.duty.assertions, Shelf()
        for number in count():
            while len(assertions.cases) <= number:
                yield assertions.made.wait()
            me.start(self._prove(me, assertions.cases[number], shelf))

    def _prove(self, me: Seat, case: Any, shelf: "Shelf") -> Waiting:
        """Have an assertion proved and verified, where it can be."""
        assertion = case.assertion
        docket = me.settlement(me.duty.name)
        false = docket.digest(assertion.last) != assertion.digest
        if false and not self._faulty(me.duty.assertions):
            return
        if self.market is not None:
            yield docket.contract.prove(case).made
        else:
            if self.proof_cost:
                me.duty.assertions.spend(assertion.account, self.proof_cost)
                me.announce(ProofPaid(me.duty.name, assertion.number, assertion.account, self.proof_cost / ETH))
            luck = max(me.luck("proving_time", assertion.key), 2.0**-54)
            yield me.sleep(int(self.proving_time.quantile(np.array([luck]))[0]))
        if case.status == "rejected" or (false and not self._faulty(me.duty.assertions)):
            return
        self.happens(case, FALSELY if false else "proved")
        shelf.cases.append(case)
        if len(shelf.cases) == self.aggregate:
            yield from self._verify(me, shelf.clear())
        elif len(shelf.cases) == 1 and self.aggregate_for is not None:
            waiting = shelf.cases
            yield me.sleep(self.aggregate_for)
            if shelf.cases is waiting:
                yield from self._verify(me, shelf.clear())

    def _faulty(self, assertions: Any) -> bool:
        """Whether what is false has a proof now: an upgrade mends the fault that was there, not one that comes after it."""
        return self.faulty_from is not None and assertions.upgraded < self.faulty_from <= assertions.world.clock.now

    def _verify(self, me: Seat, cases: list[Any]) -> Waiting:
        """Have L1 verify proofs, at the expense of all who asserted what they are of, and make that final."""
        assertions, docket = me.duty.assertions, me.settlement(me.duty.name)
        if self.aggregation_time:
            yield me.sleep(self.aggregation_time)
        while docket.paused():
            yield docket.resumed()
        if not self._faulty(assertions):  # the verifier takes no false proof any more
            cases = [case for case in cases if docket.digest(case.assertion.last) == case.assertion.digest]
        if not cases:
            return
        poster = cases[-1].asserter
        gas = self.verification_gas + len(cases) * self.gas_per_proof
        posted = yield poster.post(gas)
        last = max(case.assertion.number for case in cases)
        me.announce(ProofsVerified(me.duty.name, last, len(cases), gas, posted.cost, poster.account))
        for case in cases[:-1]:
            share = int(posted.cost / len(cases) * ETH)
            if case.asserter.account != poster.account and assertions.affords(case.asserter, share):
                assertions.transfer(case.asserter.account, poster.account, share)
        cases = [case for case in sorted(cases, key=lambda case: int(case.assertion.number)) if case.status != "rejected"]
        for case in cases:
            self.happens(case, "verified by L1, alone or with others")
            case.turned.ring()  # its guardian has something to look at
        if self.execution_delay:
            yield me.sleep(self.execution_delay)
        event = "delay over"
        if docket.paused():
            event = "the pause is over"
            for case in cases:
                if case.status != "rejected":
                    self.happens(case, HELD)
        while docket.paused():
            yield docket.resumed()
        for case in cases:
            if case.status != "rejected":
                self.conclude(assertions, case, event)

    def conclude(self, assertions: Any, case: Any, event: str) -> None:
        """As ever, but what is false is rejected behind what is final and says otherwise."""
        if not self._contradicted(assertions, case):
            super().conclude(assertions, case, event)
            return
        self.happens(case, CONTRADICTED)
        assertions.reject(case)

    def _contradicted(self, assertions: Any, case: Any) -> bool:
        """Whether an assertion is false, and another that goes as far is final whose owner holds something else.

        A late proof of what is true is not asked: withdrawals may have been proved against it.
        """
        last, digest = case.assertion.last, case.assertion.digest
        if last > assertions.final or digest == assertions.digest(last):
            return False
        final = (other for other in assertions.cases if other.status == "final" and other.assertion.last >= last)
        return any(other.asserter.digest(last) != digest for other in final)


class Shelf:
    """Proofs that wait to be aggregated."""

    def __init__(self) -> None:
        self.cases: list[Any] = []

    def clear(self) -> list[Any]:
        """Take all of them."""
        cases, self.cases = self.cases, []
        return cases
