"""A market of proofs: who asks for one waits in a single queue for the next free machine of somebody who may make it."""

from bisect import insort
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from simpy.events import Event

from l2sim.events.proofs import ProofLost, ProofMade, ProofRequested, ProverFined, ProverOpened
from l2sim.part import Part, Refers
from l2sim.streams import mix
from l2sim.units import ETH, Duration, Positive, Usd, Wei

GIGA = 1e9


class ProofMarket(Part):
    """The rules by which a rollup buys proofs. The oldest request is served first, by the cheapest of the machines that are free."""

    designated: tuple[Annotated[str, Refers("agents", kind="prover")], ...] = ()
    """Those who alone may make a proof in the ``window`` after it is asked for; without any, everybody may."""
    window: Annotated[Duration, Positive] | None = None
    """Time after which a proof that is asked for is open to everybody, and in which who takes it on has to deliver it (Taiko's contract,
    read in 2026: a proving window of 4 h); without one, never, and as long as it takes."""
    stake: Wei = 0
    """What a prover pledges for each proof that it takes on. It goes to who asked where the prover stops, or takes longer than the
    ``window`` (assumed; on Taiko a part of it goes to who proves instead)."""
    most: Annotated[Usd, Positive] | None = None
    """The most that a proof may cost; without it, whatever is asked."""
    cycles_per_block: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Machine cycles of proving an empty block; a prover with a ``speed`` takes time for cycles."""
    cycles_per_gas: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Machine cycles of proving a gas of execution (about 1,700, if the worst block of OP Mainnet takes 100 bn cycles, as Kailua's
    documentation says, and has 60 Mgas)."""

    @model_validator(mode="after")
    def _timed(self) -> Self:
        if self.window is None and (self.designated or self.stake):
            name = "designated" if self.designated else "stake"
            raise PydanticCustomError("window", "'{name}' needs an end: give a 'window', such as '4 h'", {"name": name})
        return self


class Job:
    """A proof that somebody asks for."""

    def __init__(self, number: int, side: Any, assertion: int, key: int, cycles: float, clock: Any) -> None:
        self.number = number
        self.side = side
        """Who asks and pays."""
        self.assertion = assertion
        self.key = key
        """A number of its own for luck."""
        self.cycles = cycles
        self.requested: int = clock.now
        self.made = Event(clock)
        """When somebody has delivered it."""
        self.works: list[Work] = []
        """Those who make it; several only where one is late."""

    def __lt__(self, other: "Job") -> bool:
        return self.number < other.number


class Work:
    """A job that a prover has taken on, and what lies in escrow for it."""

    def __init__(self, job: Job, desk: "Desk", price: int, stake: int, ether: float, clock: Any) -> None:
        self.job = job
        self.desk = desk
        self.price = price
        """Wei that it gets for the proof."""
        self.stake = stake
        """Wei that it pledged and has not lost."""
        self.ether = ether
        """US dollars an ether when it was taken on."""
        self.begun: int = clock.now
        self.over = Event(clock)
        """When there is no use going on."""
        self.attempts = 0
        self.spent = 0.0
        """Ether that it cost the prover so far."""


class Desk:
    """Where a prover deals with those who need proofs."""

    def __init__(self, market: "LiveProofMarket", side: Any, key: int) -> None:
        self._market = market
        self.side = side
        self.key = key
        self.up = True
        self.parked: list[Event] = []
        """Machines that wait for power."""
        self._price = 0.0, 0.0

    def ask(self, price: float, per_gigacycle: float) -> None:
        """Ask so many US dollars for a proof and for each 10^9 cycles."""
        self._price = price, per_gigacycle

    def price(self, job: Job) -> float:
        """What it asks for a job (USD)."""
        fixed, each = self._price
        return fixed + each * job.cycles / GIGA

    def hire(self) -> Event:
        """A machine is free; the event's value is its next Work."""
        return self._market.free(self)

    def deliver(self, work: Work) -> None:
        """Hand over a proof."""
        self._market.deliver(work)


class LiveProofMarket:
    """The market of proofs of one rollup in a run."""

    def __init__(self, rules: ProofMarket, assertions: Any) -> None:
        self.rules = rules
        self.desks: list[Desk] = []
        self.waiting: list[Job] = []
        """Jobs that nobody makes, the oldest first; and those whose prover is late."""
        self.heavy: dict[int, float] = {}
        """Accounts whose transactions take more cycles a gas than others', and how many times as many."""
        self._assertions = assertions
        self._world = assertions.world
        self._idle: list[tuple[Desk, Event]] = []
        self._works: list[Work] = []
        self._down: list[range] = []
        """Accounts of provers whose machines are down, once for each reason."""
        self._jobs = 0

    # ---- who asks

    def prove(self, case: Any) -> Job:
        """Ask for a proof of an assertion, of all blocks since the one before it."""
        number, last = case.assertion.number, case.assertion.last
        before = [one.assertion.last for one in self._assertions.cases[:number] if one.valid and one.assertion.last < last]
        return self.request(case.asserter, case.assertion.key, self.cycles(max(before, default=0) + 1, last), number)

    def cycles(self, first: int, last: int) -> float:
        """How much work it is to prove some blocks."""
        rules, total = self.rules, (last - first + 1) * self.rules.cycles_per_block
        if not rules.cycles_per_gas:
            return total
        for height in range(first, last + 1):
            block = self._assertions.history.block(height - 1)
            gas, sender = block.rows.gas[block.start : block.stop], block.rows.sender[block.start : block.stop]
            total += rules.cycles_per_gas * sum(used * self.heavy.get(who, 1.0) for used, who in zip(gas, sender, strict=True))
        return total

    def request(self, side: Any, key: int, cycles: float = 0.0, assertion: int = -1) -> Job:
        """Ask for a proof at the expense of a side, who pays on delivery."""
        job = Job(self._jobs, side, assertion, key, cycles, self._world.clock)
        self._jobs += 1
        self._world.record(ProofRequested(self._assertions.chain.name, job.number, assertion, side.account, cycles))
        self._offer(job)
        if self.rules.designated:
            self._later(self.rules.window or 0, lambda: self._offer(job) if job in self.waiting else None)
        return job

    # ---- who proves

    def desk(self, side: Any, machines: int, key: int) -> Desk:
        """Open a desk for somebody with so many machines."""
        desk = Desk(self, side, key)
        desk.up = not self._stopped(desk)
        self.desks.append(desk)
        self._world.record(ProverOpened(self._assertions.chain.name, side.account, machines))
        return desk

    def free(self, desk: Desk) -> Event:
        """A machine is free, and takes the oldest job that it may; else it waits."""
        event = Event(self._world.clock)
        if desk.up:
            for job in self.waiting:
                if self.admits(desk, job) and self._assign(desk, job, event):
                    return event
            self._idle.append((desk, event))
        else:
            desk.parked.append(event)
        return event

    def admits(self, desk: Desk, job: Job) -> bool:
        """Whether somebody may make a proof, for what it asks."""
        rules = self.rules
        if any(work.desk is desk for work in job.works) or (rules.most is not None and desk.price(job) > rules.most):
            return False
        if not rules.designated or self._world.clock.now >= job.requested + (rules.window or 0):
            return True
        groups = self._world.ledger.groups
        return any(desk.side.account in groups[name].accounts for name in rules.designated)

    def deliver(self, work: Work) -> None:
        """A proof is there: its maker is paid, and others who are at it need not go on."""
        job, account = work.job, work.desk.side.account
        self._end(work)
        self._assertions.release(account, work.price)
        self._assertions.release(account, work.stake)
        if job in self.waiting:
            self.waiting.remove(job)
        self._world.record(
            ProofMade(
                self._assertions.chain.name, job.number, job.assertion, job.side.account, account, job.requested, work.begun,
                work.attempts, work.price / ETH, work.spent,
            )
        )  # fmt: skip
        for other in list(job.works):
            self._assertions.release(other.desk.side.account, other.stake)
            self._drop(other, "late")
        self._world.clock.wake(job.made, self._world.clock.now)

    # ---- what befalls provers

    def stop(self, accounts: range) -> None:
        """Machines go down: what they were at is lost, and waits for others."""
        self._down.append(accounts)
        for desk in self.desks:
            if desk.up and self._stopped(desk):
                desk.up = False
                desk.parked += [event for one, event in self._idle if one is desk]
        self._idle = [(desk, event) for desk, event in self._idle if desk.up]
        for work in [work for work in self._works if not work.desk.up]:
            self._fine(work)
            self._drop(work, "stopped")
            if not work.job.works and work.job not in self.waiting:
                insort(self.waiting, work.job)
        for job in list(self.waiting):
            self._offer(job)

    def restart(self, accounts: range) -> None:
        """They are back, unless they are down for another reason too."""
        self._down.remove(accounts)
        for desk in self.desks:
            if not desk.up and not self._stopped(desk):
                desk.up = True
                parked, desk.parked = desk.parked, []
                self._idle += [(desk, event) for event in parked]
        for job in list(self.waiting):
            self._offer(job)

    def _stopped(self, desk: Desk) -> bool:
        return any(desk.side.account in accounts for accounts in self._down)

    # ---- money

    def claims(self) -> list[Any]:
        """What lies in escrow: prices that belong to those who asked until they are due, and stakes."""
        claim, works = self._assertions.claim, self._works
        prices = [claim(work.job.side.account, work.price) for work in works if work.price]
        return prices + [claim(work.desk.side.account, work.stake) for work in works if work.stake]

    def _fine(self, work: Work) -> None:
        """Give a prover's stake to whoever waits for it."""
        if work.stake:
            job, stake = work.job, work.stake
            self._assertions.release(job.side.account, stake)
            work.stake = 0
            account = work.desk.side.account
            self._world.record(ProverFined(self._assertions.chain.name, job.number, account, job.side.account, stake / ETH))

    # ---- who makes what

    def _offer(self, job: Job) -> None:
        """Have the cheapest free machine make a job; where there is none, it waits in its place."""
        may = [(desk.price(job), mix(desk.key, job.number), place) for place, (desk, _) in enumerate(self._idle) if self.admits(desk, job)]
        for _, _, place in sorted(may):
            desk, event = self._idle[place]
            if self._assign(desk, job, event):
                del self._idle[place]
                return
        if job not in self.waiting:
            insort(self.waiting, job)

    def _assign(self, desk: Desk, job: Job, event: Event) -> bool:
        """Let a machine make a job, where its price and its stake are there."""
        ether, clock = self._world.gas_token_price(), self._world.clock
        price = int(desk.price(job) / ether * ETH)
        if price and not self._assertions.pledge(job.side, price):
            return False
        if self.rules.stake and not self._assertions.pledge(desk.side, self.rules.stake):
            self._assertions.release(job.side.account, price)
            return False
        if job in self.waiting:
            self.waiting.remove(job)
        work = Work(job, desk, price, self.rules.stake, ether, clock)
        job.works.append(work)
        self._works.append(work)
        if self.rules.window is not None:
            self._later(self.rules.window, lambda: self._late(work))
        clock.wake(event, clock.now, mix(desk.key, job.number), work)
        return True

    def _late(self, work: Work) -> None:
        """Who takes too long loses the stake, and others may try; it goes on nevertheless."""
        if work in self._works:
            self._fine(work)
            self._offer(work.job)

    def _drop(self, work: Work, why: Literal["stopped", "late"]) -> None:
        """End work that came to nothing; its price goes back."""
        self._end(work)
        self._assertions.release(work.job.side.account, work.price)
        chain, clock = self._assertions.chain.name, self._world.clock
        self._world.record(ProofLost(chain, work.job.number, work.desk.side.account, work.begun, work.spent, why))
        clock.wake(work.over, clock.now, mix(work.desk.key, work.job.number))

    def _end(self, work: Work) -> None:
        self._works.remove(work)
        work.job.works.remove(work)

    def _later(self, span: int, act: Any) -> None:
        """Do something after some time (ns)."""
        clock = self._world.clock
        alarm = Event(clock)
        alarm.callbacks.append(lambda _: act())
        clock.wake(alarm, clock.now + span)
