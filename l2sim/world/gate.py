"""The gate: a bridge as everybody sees it from L1, and what its users may do there."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from l2sim.events.bridging import WithdrawalLost
from l2sim.streams import mix
from l2sim.world.deposits import Deposit
from l2sim.world.docket import TIP, Docket
from l2sim.world.fast_withdrawals import Desk, Offer, Sale

if TYPE_CHECKING:
    from l2sim.markets.bridge import Withdrawal
    from l2sim.world.bridge import LiveBridge, Proof
    from l2sim.world.history import Replica
    from l2sim.world.seat import Seat

Waiting = Generator[Any, Any, None]


class Gate:
    """A bridge, for one seat."""

    __slots__ = ("_bridge", "_seat")

    def __init__(self, bridge: "LiveBridge", seat: "Seat") -> None:
        self._bridge = bridge
        self._seat = seat

    @property
    def l1(self) -> str:
        """The name of the L1 on which its escrow lies."""
        return self._bridge.l1.name

    def escrow(self) -> float:
        """What lies on L1, in units of the bridge's asset."""
        return self._bridge.escrow()

    def withdrawals(self, after: int) -> "list[Withdrawal]":
        """The withdrawals after a number, the oldest first, as the rollup shows them after its last block."""
        return self._bridge.since(after)

    def withdrawal(self, number: int) -> "Withdrawal | None":
        """A withdrawal by its number, as the rollup shows it after its last block."""
        return self._bridge.book.withdrawal(number)

    # ---- in

    def deposit(self, amount: float, *, account: int | None = None, tip: int = TIP) -> Event:
        """Send an amount of its own on L1 to the same account on the rollup.

        The event comes when the rollup hands it out, its value True; or when L1 found too little on the account, False.

        Raises:
            ValueError: the amount is not a positive number.
        """
        own, bridge, seat = self._seat._own(account), self._bridge, self._seat
        if not 0.0 < amount < float("inf"):
            raise ValueError(f"it deposits {amount!r} through '{bridge.name}', where a positive amount is due")
        deposit = Deposit(own, float(amount), Event(seat._world.clock))
        seat.post(self.l1, bridge.rules.deposit_gas, lambda cost: bridge.deposits.make(deposit, cost), tip=tip, account=account)
        return deposit.credited

    # ---- out

    @property
    def apart(self) -> bool:
        """Whether a proof takes time to mature, so that a withdrawal is proved in one transaction and paid in a later one."""
        return self._bridge.maturity > 0

    def proof(self, number: int, account: int | None = None) -> "Proof | None":
        """The proof of a withdrawal of an account, by default its own, where it was accepted."""
        return self._bridge.proofs.get((number, self._seat._own(None) if account is None else account))

    def due(self, number: int, account: int | None = None) -> int | None:
        """When a withdrawal of an account, by default its own, may be paid (ns); None as long as that cannot be said."""
        proof = self.proof(number, account)
        return None if proof is None else self._bridge.due(proof)

    def prove(
        self, number: int, assertion: int, account: int | None = None, replica: "Replica | None" = None, *, payer: int | None = None
    ) -> Event:  # fmt: skip
        """Prove on L1 that a withdrawal is in the state that an assertion claims; Posted, its answer whether it is.

        Without a replica that shows the state, it is the true one. Anybody may prove an ``account``'s withdrawal; ``payer``, an
        account of its own, pays the gas, by default the same.
        """
        whose, bridge, seat = self._whose(account, payer), self._bridge, self._seat
        gas, payer = bridge.rules.proof_gas, account if payer is None else payer
        return seat.post(self.l1, gas, lambda cost: bridge.prove(number, whose, assertion, cost, replica), account=payer)

    def pay(
        self, number: int, account: int | None = None, assertion: int | None = None, replica: "Replica | None" = None, *,
        payer: int | None = None,
    ) -> Event:  # fmt: skip
        """Ask L1 to pay a withdrawal to whoever owns it; Posted, its answer whether it did.

        Given an assertion, it is proved in the same transaction. ``account`` and ``payer`` as in ``prove``.
        """
        whose, bridge, seat = self._whose(account, payer), self._bridge, self._seat
        gas = bridge.rules.payment_gas + (0 if assertion is None else bridge.rules.proof_gas)
        payer = account if payer is None else payer
        return seat.post(self.l1, gas, lambda cost: bridge.pay(number, whose, cost, assertion, replica), account=payer)

    def _whose(self, account: int | None, payer: int | None) -> int:
        return self._seat._own(account) if payer is None or account is None else account

    def collect(self, number: int, account: int, time: int, delay: int = 0, payer: int | None = None) -> Waiting:
        """Prove a withdrawal against the first assertion that covers it, wait until it is due, and ask for it: ``yield from`` it.

        Args:
            number: the withdrawal.
            account: whose it is on the rollup.
            time: of its block (ns).
            delay: how long after an assertion covers it it is proved, where proof and payment are not one (ns).
            payer: which account of its own pays the gas, by default ``account``.
        """
        bridge, seat = self._bridge, self._seat
        docket = Docket(bridge.chain.assertions, seat)
        while True:
            assertion = docket.covering(time)
            if assertion is None:
                yield docket.made()
                continue
            if not docket.known(assertion.number):
                yield docket.released()
                continue
            if self.apart:
                yield seat.sleep_until(assertion.made + delay)
                while docket.paused():
                    yield docket.resumed()
                yield self.prove(number, assertion.number, account, payer=payer)
            while docket.status(assertion.number) in ("pending", "challenged"):
                yield docket.turn(assertion.number)
            due = self.due(number, account)
            if self.apart and due is not None:
                yield seat.sleep_until(due)
                while docket.paused():
                    yield docket.resumed()
                yield self.pay(number, account, payer=payer)
                return
            if not self.apart and docket.status(assertion.number) == "final" and docket.known(assertion.number):
                while docket.paused():
                    yield docket.resumed()
                yield self.pay(number, account, assertion.number, payer=payer)
                return

    def forge(self, replica: "Replica", amount: float) -> int:
        """In a copy of the rollup's state, give itself an amount that nobody loses, and withdraw it there; the withdrawal's number."""
        return self._bridge.forge(replica, self._seat.accounts.start, amount)

    # ---- fast

    def offers(self) -> list[Offer]:
        """What providers want for paying withdrawals at once."""
        return self._bridge.fast.offers()

    def cheapest(self, amount: float) -> Offer | None:
        """The cheapest offer for an amount in units of the asset; None where nobody has one."""
        return self._bridge.fast.cheapest(amount, mix(self._seat._key, self._seat.now))

    def sell(
        self, offer: Offer, number: int, amount: float, time: int, account: int | None = None, assertion: int = -1,
        replica: "Replica | None" = None,
    ) -> Event:  # fmt: skip
        """Take an offer for a withdrawal of its own; the event's value is whether the provider paid.

        ``assertion`` and ``replica`` show it where it is in no state that everybody sees.
        """
        own, fast = self._seat._own(account), self._bridge.fast
        answered = Event(self._seat._world.clock)
        fast.sell(offer.provider, Sale(number, own, amount, offer.fee(amount), time, assertion, replica, answered))
        return answered

    def desk(self) -> Desk:
        """Its own desk, where it offers to pay others' withdrawals."""
        return self._bridge.fast.desk(self._seat.accounts.start)

    def sold(self) -> Event:
        """When somebody takes its offer."""
        return self.desk().bell.wait(self._seat._key)

    def shows(self, sale: Sale) -> bool:
        """Whether honest execution of the rollup's blocks gives the withdrawal that somebody sold."""
        return self._bridge.exists(sale.number, sale.account, sale.amount)

    def decline(self, sale: Sale) -> None:
        """Do not pay what was sold."""
        self._bridge.fast.close(self._seat.accounts.start, sale, False)

    def advance(self, sale: Sale, tip: int = TIP) -> Waiting:
        """Pay what was sold, and collect it: ``yield from`` it."""
        bridge, seat = self._bridge, self._seat
        own, fast = seat.accounts.start, bridge.fast
        posted = yield seat.post(self.l1, bridge.rules.advance_gas, lambda cost: fast.advance(own, sale, cost), tip=tip)
        fast.close(own, sale, bool(posted.answer))
        if not posted.answer:
            return
        if sale.replica is None:
            yield from self.collect(sale.number, sale.account, sale.time, payer=own)
        else:
            yield from self._collect_shown(sale)

    def _collect_shown(self, sale: Sale) -> Waiting:
        """Collect what is in an assertion only: whether it is ever paid depends on that."""
        bridge, seat = self._bridge, self._seat
        docket, own = Docket(bridge.chain.assertions, seat), seat.accounts.start
        if self.apart:
            yield self.prove(sale.number, sale.assertion, sale.account, sale.replica, payer=own)
        while docket.status(sale.assertion) in ("pending", "challenged"):
            yield docket.turn(sale.assertion)
        if docket.status(sale.assertion) == "rejected":
            seat._world.record(WithdrawalLost(bridge.name, own, sale.number, sale.amount - sale.fee))
            return
        if self.apart:
            yield seat.sleep_until(self.due(sale.number, sale.account) or 0)
        yield self.pay(sale.number, sale.account, None if self.apart else sale.assertion, sale.replica, payer=own)
