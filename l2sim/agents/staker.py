"""Staker: asserts a rollup's state with a stake, answers false assertions with true ones, and defends what is true."""

import itertools
from typing import Annotated, Any, ClassVar, Literal

from l2sim.agents import Agent, Waiting
from l2sim.part import Refers
from l2sim.units import ETH, GWEI, MINUTE, MS, Duration, Fraction, Positive, Share, Wei
from l2sim.world.seat import Seat


class Staker(Agent):
    """An honest party where assertions exclude each other: under ``bold``, ``partial_concurrency`` or ``tournament``.

    It executes the rollup's blocks, asserts at a rhythm of its own if it has one, and asserts what is true beside a false assertion
    that nobody has answered. In every challenge it makes all moves that are open to what it holds true, as soon as L1 lets it. It may
    fail to look at an assertion, run out of ether, and be kept from L1 for some time.
    """

    roles: ClassVar[tuple[str, ...]] = ("proposer",)
    contests: ClassVar[bool] = True
    needs: ClassVar[str] = "rivals"

    on: Annotated[str, Refers("chains", kind="rollup", has="settlement")] | None = None
    """The rollup that it watches; by default the one whose proposer it is."""
    interval: Annotated[Duration, Positive] | None = None
    """Time between its assertions; without one it only answers false ones."""
    phase: Duration = 0
    """When the first is due; the others follow at the interval."""
    head: Literal["latest", "safe", "finalized"] = "safe"
    """Which block it asserts: the last one, the last one in a batch on L1, or the last one whose batch is final."""
    failure: Annotated[Fraction, Share] = 0.0
    """Probability that it does not look at an assertion by somebody else."""
    response: Duration = 1 * MINUTE
    """Time that it needs for a move, besides what L1 takes to include it (assumed)."""
    time_per_block: Duration = 20 * MS
    """Time it takes to execute a block again (assumed)."""
    cost_per_block: Wei = 0
    """What that costs it in machines and power, ether."""
    funds: Wei = 10_000 * ETH
    """Ether it brings to L1 for stakes and gas; what it cannot pay, it lets be."""
    tip: Wei = 2 * GWEI
    """Priority fee it offers, wei per gas."""
    censored_from: Duration = 0
    """When somebody begins to keep its moves from L1 (its first assertions pass: an attack begins when something is asserted)."""
    censored_for: Duration = 0
    """For how long its moves do not reach L1."""
    censored_every: Annotated[Duration, Positive] | None = None
    """Time from one such spell to the next; without it there is only one."""

    def proposes(self) -> tuple[str, ...]:
        return () if self.on is None or self.interval is None else (self.on,)

    def arrive(self, me: Seat) -> None:
        me.endow(me.settlement(self._rollup(me)).l1, me.gas_token, self.funds / ETH)

    def _rollup(self, me: Seat) -> str:
        if self.on is None and me.duty is None:
            raise ValueError("it watches no rollup: name one under 'on'")
        return self.on or str(me.duty.name)

    def run(self, me: Seat) -> Waiting:
        docket = me.settlement(self._rollup(me))
        if docket.contract is None or not hasattr(docket.contract, "moves"):
            raise ValueError(f"the settlement of '{self._rollup(me)}' has no rivals to play against: take a validator instead")
        sent: dict[int, Any] = {}
        if self.interval is not None:
            me.start(self._assert(me, docket, sent))
        me.start(self._play(me, docket))
        executed = 0
        for number in itertools.count():
            while docket.number() <= number:
                yield docket.made()
            assertion = docket.assertion(number)
            if assertion.account == me.accounts.start or me.luck("failure", assertion.key) < self.failure:
                continue
            blocks, executed = max(0, assertion.last - executed), max(assertion.last, executed)
            if blocks:
                docket.spend(blocks * self.cost_per_block)
                yield me.sleep(blocks * self.time_per_block)
            if docket.digest(assertion.last) != assertion.digest:
                me.start(self._answer(me, docket, number, assertion.last, sent))

    def _assert(self, me: Seat, docket: Any, sent: dict[int, Any]) -> Waiting:
        """Assert at the interval, each time further than before; ``sent`` keeps what it has sent to L1, by block."""
        side, asserted, number = docket.side(tip=self.tip), 0, 0
        while self.interval is not None:
            yield me.sleep_until(self.phase + number * self.interval)
            number += 1
            last = docket.contract.reach(side, docket.head(self.head))
            if last > asserted:
                sent[last] = docket.propose(last, docket.digest(last), tip=self.tip)
                yield sent[last]
                asserted = last

    def _answer(self, me: Seat, docket: Any, number: int, last: int, sent: dict[int, Any]) -> Waiting:
        """Assert what is true beside a false assertion, unless somebody has; one answer is enough for all that end with the same block."""
        yield from self._free(me)
        yield me.sleep(self.response)
        under_way = last in sent and not sent[last].processed
        if not under_way and docket.contract.unanswered(number, docket.side()):
            sent[last] = docket.propose(last, docket.digest(last), tip=self.tip)
            yield sent[last]

    def _play(self, me: Seat, docket: Any) -> Waiting:
        """Make every move that is open, each once."""
        contract = docket.contract
        player = contract.player(docket.side(tip=self.tip), True)
        sent: set[Any] = set()
        while True:
            for move in contract.moves(player):
                if move.key not in sent and me.balance(docket.l1, me.gas_token) * ETH >= move.stake:
                    sent.add(move.key)
                    me.start(self._make(me, docket, move))
            yield docket.stirs()

    def _make(self, me: Seat, docket: Any, move: Any) -> Waiting:
        yield me.sleep(self.response)
        yield from self._free(me)
        yield me.post(docket.l1, move.gas, move.act, tip=self.tip)

    def _free(self, me: Seat) -> Waiting:
        """Wait until nobody keeps it from L1."""
        while (until := self._censored(me.now)) > me.now:
            yield me.sleep_until(until)

    def _censored(self, now: int) -> int:
        """Until when it is kept from L1, if it is (ns)."""
        since = now - self.censored_from
        if since < 0:
            return now
        begun = self.censored_from if self.censored_every is None else now - since % self.censored_every
        return max(now, begun + self.censored_for)
