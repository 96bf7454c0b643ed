"""The docket: assertions about a rollup as everybody sees them on L1, and what their parties may do there."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from simpy.events import Event

from l2sim.streams import mix
from l2sim.units import ETH, GWEI
from l2sim.world.assertions import Assertion, Assertions, Budget, Manner, Side, Status

if TYPE_CHECKING:
    from l2sim.world.calling import Caller
    from l2sim.world.history import Replica

Head = Literal["latest", "safe", "finalized"]
Digests = Callable[[int], int]
Steps = Callable[[int], Sequence[int]]
TIP = 2 * GWEI
"""Priority fee of calls on L1 that do not say otherwise, wei per gas."""


class Docket:
    """The assertions about one rollup, for one seat."""

    __slots__ = ("_assertions", "_seat")

    def __init__(self, assertions: Assertions, seat: "Caller") -> None:
        self._assertions = assertions
        self._seat = seat

    # ---- what it shows

    @property
    def l1(self) -> str:
        """The name of the L1 on which it is kept."""
        return self._assertions.l1.name

    def head(self, which: Head = "latest") -> int:
        """The rollup's last block, the last one in a batch, or the last one whose batch is final."""
        chain = self._assertions.chain
        return {"latest": chain.height, "safe": chain.publication.posted(), "finalized": chain.finalized}[which]

    def final(self) -> int:
        """The newest block under a final assertion."""
        return self._assertions.final

    def number(self) -> int:
        """How many assertions there are."""
        return len(self._assertions.cases)

    def assertion(self, number: int) -> Assertion:
        """An assertion by its number."""
        return self._assertions.cases[number].assertion

    def status(self, number: int) -> Status:
        """What has become of an assertion."""
        return self._assertions.cases[number].status

    def covering(self, time: int) -> Assertion | None:
        """The oldest assertion against which what was in a block at that time (ns) can be proved; None where there is none yet."""
        cases = self._assertions.cases
        fit = (case.assertion for case in cases if case.valid and case.status != "rejected" and case.assertion.until >= time)
        return next(fit, None)

    def bond(self) -> float:
        """What an assertion takes, and a challenge again (ETH)."""
        return float(self._assertions.rules.stake() / ETH)

    def passes(self, number: int) -> bool:
        """Whether an assertion will be final as things stand: nobody disputes it, or those who did have lost."""
        return bool(self._assertions.rules.passes(self._assertions, self._assertions.cases[number]))

    def paused(self) -> bool:
        """Whether payments on L1 are stopped."""
        return self._assertions.paused

    @property
    def powers(self) -> tuple[str, ...]:
        """What the settlement's guardian may do besides ``pause`` and ``resume``."""
        return tuple(self._assertions.rules.powers)

    def upgradable(self) -> bool:
        """Whether an upgrade by the settlement's guardian would change anything."""
        return bool(self._assertions.rules.upgradable(self._assertions))

    def luck(self, number: int) -> float:
        """A uniform number that belongs to an assertion and is the same for all, for what befalls everybody at once."""
        key = self._seat._world.streams.key(f"chains/{self._assertions.chain.name}/assertions")
        return mix(key, self._assertions.cases[number].assertion.key) / 2.0**64

    @property
    def contract(self) -> Any:
        """What the settlement keeps on L1 besides assertions, for those who play by its rules; None where it keeps nothing."""
        return self._assertions.contract

    def side(self, digests: "Digests | None" = None, steps: "Steps | None" = None, tip: int = TIP) -> Side:
        """Its owner as a party to disputes, who holds what honest execution gives to be true, but for what is given."""
        return self._side(digests, steps, tip)

    # ---- whose data are there

    def known(self, number: int) -> bool:
        """Whether the state that an assertion is about can be computed by others than the rollup's operator."""
        return self._assertions.chain.publication.knows(self._assertions.cases[number].assertion.last)

    def released(self) -> Event:
        """When an operator that withheld the rollup's data gives them out again."""
        return self._assertions.chain.publication.back.wait(self._seat._key)

    # ---- executing blocks again

    def digest(self, height: int) -> int:
        """The digest of the state after a block, as honest execution gives it; -1 where there is no such block (any more).

        Blocks are executed once for all who ask, so what that costs is to be charged to each.
        """
        return self._assertions.digest(height)

    def steps(self, block: int) -> Sequence[int]:
        """The digests in the course of a block, as honest execution gives them."""
        return self._assertions.steps(block)

    def transactions(self, block: int) -> int:
        """How many transactions a block has."""
        return self._assertions.transactions(block)

    def replica(self, height: int) -> "Replica":
        """A copy of the rollup after a block, to do with as one likes."""
        return self._assertions.history.replica(height)

    # ---- what its owner waits for

    def made(self) -> Event:
        """The next assertion."""
        return self._assertions.made.wait(self._seat._key)

    def turn(self, number: int) -> Event:
        """When the status of an assertion changes."""
        return self._assertions.cases[number].turned.wait(self._seat._key)

    def stirs(self) -> Event:
        """When something changes in the settlement's contract."""
        return self._assertions.stirred.wait(self._seat._key)

    def stands(self, number: int) -> Event:
        """When there is news of an assertion: its status changes, somebody makes a claim about it, or rivals move."""
        assertions, key = self._assertions, self._seat._key
        case = assertions.cases[number]
        if assertions.contract is not None and assertions.rules.rivals:
            return assertions.stirred.wait(key)
        event: Event = (case.turned if case.contest is None else case.contest.changed).wait(key)
        return event

    def resumed(self) -> Event:
        """When payments on L1 go on."""
        return self._assertions.resumed.wait(self._seat._key)

    # ---- what its owner does

    def manner(self, response: int | None = None, stalls: int | None = None, budget: int | None = None) -> Manner:
        """A manner of arguing: time for a move, how long before its clock runs out it moves (ns), what it stakes at most (wei).

        A budget is shared by all that is asserted and challenged in the same manner.
        """
        return Manner(response, stalls, None if budget is None else Budget(budget))

    def propose(
        self, last: int, digest: int, *, digests: Digests | None = None, steps: Steps | None = None, tip: int = TIP,
        manner: Manner | None = None,
    ) -> Event:  # fmt: skip
        """Assert on L1 the digest of the state after block ``last``; the event's value is Posted, its answer the number.

        The answer is -1 where the bond could not be paid. ``digests`` and ``steps`` are what it will say in a dispute; without
        them, what honest execution gives.

        Raises:
            ValueError: no such block has been made.
        """
        chain = self._assertions.chain
        if not 0 < last <= chain.height:
            raise ValueError(f"it asserts block {last} of '{chain.name}', which has made {chain.height} so far")
        side = self._side(digests, steps, tip, manner)
        gas = self._assertions.rules.assertion_gas
        return self._post(gas, tip, lambda cost: self._assertions.make(side, last, digest, cost))

    def challenge(
        self, number: int, *, digests: Digests | None = None, steps: Steps | None = None, tip: int = TIP, manner: Manner | None = None
    ) -> Event:  # fmt: skip
        """Challenge an assertion on L1, ready to say other ``digests`` and ``steps`` than honest execution gives, where they are given.

        The event's value is Posted, its answer whether the challenge was taken up.
        """
        side = self._side(digests, steps, tip, manner)
        gas = self._assertions.rules.cost_of_challenge()
        return self._post(gas, tip, lambda cost: self._assertions.challenge(side, number, cost))

    def join(
        self, number: int, *, digests: Digests | None = None, steps: Steps | None = None, tip: int = TIP, manner: Manner | None = None
    ) -> bool:  # fmt: skip
        """Argue about an assertion on the side of these digests, whoever begins; whether the settlement lets many do so."""
        return self._assertions.join(self._side(digests, steps, tip, manner), number)

    def govern(self, act: str, number: int = -1, *, gas: int = 200_000, tip: int = TIP) -> Event:
        """As guardian, ``pause`` or ``resume`` payments or do what the settlement knows; Posted, its answer whether it did."""
        account = self._seat.accounts.start
        return self._post(gas, tip, lambda cost: self._assertions.govern(account, act, number, cost))

    def spend(self, wei: int) -> None:
        """Pay for computing, out of its ether on L1."""
        self._assertions.spend(self._seat.accounts.start, wei)

    def _side(self, digests: Digests | None, steps: Steps | None, tip: int, manner: Manner | None = None) -> Side:
        seat = self._seat
        return Side(
            seat.accounts.start,
            digests or self.digest,
            steps or self.steps,
            lambda gas, call=lambda cost: None: self._post(gas, tip, call),
            seat.credit,
            manner or Manner(),
        )

    def _post(self, gas: int, tip: int, call: Callable[[float], object]) -> Event:
        return self._seat.post(self.l1, gas, call, tip=tip)
