"""Settlement: the contract on L1 that decides when an assertion about a rollup is final. The verb is ``run(me)``.

``run`` is a generator, like an agent's; what L1 keeps of the assertions (bonds, who stands for what) is ``me.duty.assertions``.
A kind waits for assertions, lets time, disputes or proofs decide, and confirms or rejects each. Whoever asserts or challenges is
a ``Side``: it says what it holds the states of the chain to be, and pays for its own transactions on L1. What can happen stands in
the kind's table of ``transitions``.
"""

from abc import abstractmethod
from collections.abc import Generator, Mapping
from typing import Any, ClassVar

from l2sim.part import AgentName, Part
from l2sim.units import Duration, Gas
from l2sim.world.seat import Seat

Waiting = Generator[Any, Any, None]
INVALIDATED = "invalidated by the guardian"
"""What happens to an assertion that a guardian takes out."""
STOPPED = "due to be final, but the rollup was stopped for good"
"""What happens to an assertion that nothing stood against when a rollup had been frozen, see ``escape_after``."""


class Settlement(Part, room="settlement"):
    """What makes an assertion final."""

    count: ClassVar[int] = 1
    atomic: ClassVar[bool] = False
    stage: ClassVar[int] = 0

    transitions: ClassVar[Mapping[tuple[str, str], str]] = {}
    """From a state and what happens in it, the next state; what is not there cannot happen."""
    rivals: ClassVar[bool] = False
    """Whether a false assertion is answered by a rival one, as agents of kind ``staker`` do, and nobody may merely challenge it."""
    challenged: ClassVar[bool] = True
    """Whether somebody may contest an assertion, by a challenge or a rival."""
    powers: ClassVar[tuple[str, ...]] = ("invalidate",)
    """What its guardian may do besides ``pause`` and ``resume``."""

    instead: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Fields that stand in for others: what a preset, or a file that is extended, says under these gives way where the field is given."""

    assertion_gas: Gas = 300_000
    """Gas of an assertion on L1 (assumed)."""
    guardian: AgentName | None = None
    """Who may pause what is paid out on L1 and go on with it, and invalidate assertions that are not final, such as an agent of kind
    ``security_council``; without one, nobody."""
    proof_maturity: Duration = 0
    """How long ago a withdrawal must have been proved when a bridge pays it (OP Stack: 7 d); 0 where proof and payment are one."""

    def accounts(self) -> int:
        """It has one account on L1, where bonds are kept."""
        return 1

    def arrive(self, me: Seat) -> None:
        """It brings nothing."""

    def stake(self) -> int:
        """What must be bonded with an assertion, and again by who challenges it (wei); 0 where nobody challenges."""
        return 0

    def first_stake(self) -> int:
        """What who asserts first must put down (wei)."""
        return self.stake()

    def calls(self) -> Mapping[str, int]:
        """Gas of its transactions on L1, each of which has to fit into one, by the field that says so."""
        return {name: getattr(self, name) for name in type(self).model_fields if name.endswith("_gas")}

    def cost_of_challenge(self) -> int:
        """Gas of a challenge on L1."""
        return 0

    def admits(self, assertions: Any, side: Any, last: int, digest: int) -> bool:
        """Whether somebody may assert that now."""
        return True

    def open(self, assertions: Any, case: Any) -> Any:
        """What it keeps of disputes over a new assertion, where there may be many at a time; None where one challenger is all.

        It has a ``state``, ``challenge(side, cost)`` and ``join(side)``, and keeps the bonds, which the contract's ``claims()`` list.
        """
        return None

    def deploy(self, assertions: Any) -> Any:
        """What it keeps on L1 besides assertions and their bonds, and says by ``claims()`` whose that is; None where it is nothing."""
        return None

    def guarded_by(self) -> str | None:
        """The agent that may pause payments on L1 and do what else is left to a guardian; None where nobody may."""
        return self.guardian

    def govern(self, assertions: Any, act: str, number: int) -> bool:
        """Do something else that only its guardian may ask for; whether that changed anything.

        ``invalidate`` rejects an assertion that is not final, whoever is right; bonds go back to who put them down.
        """
        case = assertions.cases[number]
        if act != "invalidate" or case.status not in ("pending", "challenged"):
            return False
        sides = case.sides() if case.status == "challenged" else (case.asserter,)
        self.happens(case, INVALIDATED)
        for side in sides:
            assertions.release(side.account, case.assertion.bond)
        assertions.reject(case)
        return True

    def upgradable(self, assertions: Any) -> bool:
        """Whether its guardian's ``upgrade`` would change anything, where that is among its powers."""
        return False

    def passes(self, assertions: Any, case: Any) -> bool:
        """Whether an assertion will be final as things stand, since nobody disputes it or those who did have lost."""
        return bool(case.status == "pending")

    def seen(self, case: Any) -> int:
        """When an assertion showed L1 that somebody still runs the rollup (ns): it will be final if it stands."""
        return int(case.assertion.made)

    def usual(self) -> int:
        """Time from an assertion to finality where nobody disputes it (ns)."""
        return 0

    def conclude(self, assertions: Any, case: Any, event: str) -> None:
        """By that event nothing stands against an assertion any more: it is final, unless the rollup was stopped for good."""
        self.happens(case, STOPPED if assertions.chain.frozen else event)
        assertions.confirm(case)

    def happens(self, case: Any, event: str) -> None:
        """Let something happen to an assertion, by the table: it is in the next state.

        Raises:
            ValueError: that cannot happen to it now.
        """
        if not self.transitions:
            return
        if (case.state, event) not in self.transitions:
            raise ValueError(f"assertion {case.assertion.number} is '{case.state}', where '{event}' cannot happen")
        case.state = self.transitions[case.state, event]

    @abstractmethod
    def run(self, me: Seat) -> Waiting:
        """Decide: yield what ``me`` lets it wait for, confirm and reject through ``me.duty.assertions``."""
