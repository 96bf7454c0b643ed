"""The docket: assertions about a rollup as everybody sees them on L1, and what their parties may do there."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from simpy.events import Event

from l2sim.streams import mix
from l2sim.units import ETH, GWEI
from l2sim.world.assertions import Assertion, Assertions, Side, Status

if TYPE_CHECKING:
    from l2sim.markets.bridge import Withdrawal
    from l2sim.world.bridge import LiveBridge, Proof
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
        return {"latest": chain.height, "safe": chain.safe, "finalized": chain.finalized}[which]

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

    def luck(self, number: int) -> float:
        """A uniform number that belongs to an assertion and is the same for all, for what befalls everybody at once."""
        key = self._seat._world.streams.key(f"chains/{self._assertions.chain.name}/assertions")
        return mix(key, self._assertions.cases[number].assertion.key) / 2.0**64

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

    # ---- what its owner does

    def propose(self, last: int, digest: int, *, digests: Digests | None = None, steps: Steps | None = None, tip: int = TIP) -> Event:
        """Assert on L1 the digest of the state after block ``last``; the event's value is Posted, its answer the number.

        The answer is -1 where the bond could not be paid. ``digests`` and ``steps`` are what it will say in a dispute; without
        them, what honest execution gives.

        Raises:
            ValueError: no such block has been made.
        """
        chain = self._assertions.chain
        if not 0 < last <= chain.height:
            raise ValueError(f"it asserts block {last} of '{chain.name}', which has made {chain.height} so far")
        side = self._side(digests, steps, tip)
        gas = self._assertions.rules.assertion_gas
        return self._post(gas, tip, lambda cost: self._assertions.make(side, last, digest, cost))

    def challenge(self, number: int, *, digests: Digests | None = None, steps: Steps | None = None, tip: int = TIP) -> Event:
        """Challenge an assertion on L1, ready to say other ``digests`` and ``steps`` than honest execution gives, where they are given.

        The event's value is Posted, its answer whether the challenge was taken up.
        """
        side = self._side(digests, steps, tip)
        gas = self._assertions.rules.cost_of_challenge()
        return self._post(gas, tip, lambda cost: self._assertions.challenge(side, number, cost))

    def spend(self, wei: int) -> None:
        """Pay for computing, out of its ether on L1."""
        self._assertions.spend(self._seat.accounts.start, wei)

    def _side(self, digests: Digests | None, steps: Steps | None, tip: int) -> Side:
        seat = self._seat
        return Side(
            seat.accounts.start,
            digests or self.digest,
            steps or self.steps,
            lambda gas: self._post(gas, tip, lambda cost: None),
            seat.credit,
        )

    def _post(self, gas: int, tip: int, call: Callable[[float], object]) -> Event:
        return self._seat.post(self.l1, gas, call, tip=tip)


class Gate:
    """A bridge, for one seat."""

    __slots__ = ("_bridge", "_seat")

    def __init__(self, bridge: "LiveBridge", seat: "Caller") -> None:
        self._bridge = bridge
        self._seat = seat

    def escrow(self) -> float:
        """What lies on L1, in units of the bridge's asset."""
        return self._bridge.escrow()

    def withdrawals(self, after: int) -> "list[Withdrawal]":
        """The withdrawals after a number, the oldest first, as the rollup shows them after its last block."""
        return self._bridge.since(after)

    def proof(self, number: int, account: int | None = None) -> "Proof | None":
        """The proof of a withdrawal of its own, where it was accepted."""
        return self._bridge.proofs.get((number, self._seat._own(account)))

    def due(self, number: int, account: int | None = None) -> int | None:
        """When a withdrawal of its own may be paid (ns); None as long as that cannot be said."""
        proof = self.proof(number, account)
        return None if proof is None else self._bridge.due(proof)

    def prove(self, number: int, assertion: int, account: int | None = None, replica: "Replica | None" = None) -> Event:
        """Prove on L1 that a withdrawal is in the state that an assertion claims; Posted, its answer whether it is.

        Without a replica that shows the state, it is the true one.
        """
        own, bridge = self._seat._own(account), self._bridge
        gas = bridge.rules.proof_gas
        return self._seat.post(bridge.l1.name, gas, lambda cost: bridge.prove(number, own, assertion, cost, replica), account=account)

    def pay(
        self, number: int, account: int | None = None, assertion: int | None = None, replica: "Replica | None" = None
    ) -> Event:  # fmt: skip
        """Ask L1 to pay a withdrawal; Posted, its answer whether it did. Given an assertion, it is proved in the same transaction."""
        own, bridge = self._seat._own(account), self._bridge
        gas = bridge.rules.payment_gas + (0 if assertion is None else bridge.rules.proof_gas)
        return self._seat.post(bridge.l1.name, gas, lambda cost: bridge.pay(number, own, cost, assertion, replica), account=account)

    def forge(self, replica: "Replica", amount: float) -> int:
        """In a copy of the rollup's state, give itself an amount that nobody loses, and withdraw it there; the withdrawal's number."""
        return self._bridge.forge(replica, self._seat.accounts.start, amount)
