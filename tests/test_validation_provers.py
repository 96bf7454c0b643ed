"""Provers with one queue are the queue M/M/c, and a sequencer that orders by priority fee serves two classes without preemption.

Sources: Erlang 1917: with a = lambda / mu, P(wait) = C(c, a) and Wq = C(c, a) / (c mu - lambda). Cobham 1954: with W0 = lambda E[S^2] / 2,
the first class waits W0 / (1 - rho1) and the second W0 / ((1 - rho1) (1 - rho)), so that rho1 W1 + rho2 W2 = rho W0 / (1 - rho).
"""

from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from validation import SCENARIOS, DisagreementError, Estimate, agree, run

from l2sim.events import TransactionServed
from l2sim.events.proofs import ProofMade
from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.settlement.validity_proof.market import Desk, Job, LiveProofMarket
from l2sim.units import SECOND

Floats = npt.NDArray[np.float64]

# ---- 5.6, several machines


class Pool(NamedTuple):
    """Requests a minute for proofs that take a minute in the mean, the number of provers, and what theory says."""

    rate: float
    provers: int
    waited: float
    """Share of requests that find nobody free."""
    wait: float
    """Minutes."""


POOLS = {"10 provers": Pool(8.0, 10, 0.40918, 0.20459), "2 provers": Pool(1.6, 2, 0.711111, 1.77778)}
ALONE = 0.8, 4.0
"""The share and the wait where each prover has a queue of its own, chosen at random: M/M/1."""


def proofs(name: str, hours: int, *settings: str) -> tuple[Scenario, Log]:
    pool = POOLS[name]
    rates = f"agents.customers.rate={pool.rate} /min", f"agents.provers.count={pool.provers}"
    scenario = Scenario.load(SCENARIOS / "provers.yaml", (*rates, f"duration={hours}h", *settings))
    return scenario, run(scenario)


def waits_for_provers(name: str, hours: int, *settings: str, coarse: bool = False) -> list[str]:
    """Share and wait held against theory; a small sample of two provers cannot tell a share of 0.71 from one of 0.8."""
    scenario, log = proofs(name, hours, *settings)
    found, pool = scenario.metrics["proving"].measure(log).loc["zk"], POOLS[name]
    n, (share, wait) = int(found["made"]), ALONE
    waited = Estimate(found["waited_share"], found["waited_share_error"], n)
    minutes = Estimate(found["wait_mean"] / 60.0, found["wait_error"] / 60.0, n)
    return [
        agree(f"5.6 P(wait for a machine), {name}", waited, pool.waited, {} if coarse else {"a queue for each": share}),
        agree(f"5.6 mean wait for a machine, {name} (min)", minutes, pool.wait, {"a queue for each": wait}),
    ]


@pytest.mark.parametrize(("name", "hours"), [("10 provers", 30), ("2 provers", 200)])
def test_provers_with_one_queue(name: str, hours: int, record_property: Callable[..., None]) -> None:
    for line in waits_for_provers(name, hours, coarse=name == "2 provers"):
        record_property("validation", line)


@pytest.mark.validate
@pytest.mark.parametrize(("name", "hours"), [("10 provers", 2100), ("2 provers", 10_420)])
def test_provers_with_one_queue_in_full(name: str, hours: int, record_property: Callable[..., None]) -> None:
    """A million jobs, after which a standard error is 2 % of the wait with ten provers, 1.4 % with two, and less of the share."""
    for line in waits_for_provers(name, hours):
        record_property("validation", line)


def test_one_prover_with_ten_machines_is_ten_provers_with_one(record_property: Callable[..., None]) -> None:
    for line in waits_for_provers("10 provers", 30, "agents.provers.count=1", "agents.provers.machines=10"):
        record_property("validation", line)


@pytest.mark.parametrize("name", POOLS)
def test_each_wait_is_that_of_the_machine_that_is_free_first(name: str) -> None:
    """Kiefer and Wolfowitz 1955, on the simulator's own requests and proving times: every proof begins to the nanosecond when it must."""
    _, log = proofs(name, 20)
    job, requested, begun, made = log.select(ProofMade, "job", "requested", "begun", "time")
    order = np.argsort(job)
    order = order[job[order] == np.arange(len(job))]  # all until the first that is not made when the run ends
    assert len(order) > 0.9 * len(job)
    free = [0] * POOLS[name].provers
    for asks, begins, ends in zip(requested[order].tolist(), begun[order].tolist(), made[order].tolist(), strict=True):
        assert begins == max(asks, heappop(free))
        heappush(free, ends)


def test_a_queue_for_each_prover_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: a request goes to a prover at random, whoever is free."""
    admits = LiveProofMarket.admits

    def routed(market: LiveProofMarket, desk: Desk, job: Job) -> bool:
        return admits(market, desk, job) and market.desks[job.key % len(market.desks)] is desk

    monkeypatch.setattr(LiveProofMarket, "admits", routed)
    with pytest.raises(DisagreementError):
        waits_for_provers("10 provers", 30)


def test_a_machine_too_few_is_caught() -> None:
    with pytest.raises(DisagreementError):
        waits_for_provers("10 provers", 30, "agents.provers.count=9")


def test_proofs_that_all_take_a_minute_are_caught() -> None:
    with pytest.raises(DisagreementError):
        waits_for_provers("10 provers", 30, "agents.provers.proving_time=1min")


# ---- 5.7, two classes

FIRST, SECOND_CLASS, CONSERVED = 80.0 / 10_000 / 0.7, 80.0 / 10_000 / (0.7 * 0.2), 0.032
"""Seconds: lambda E[S^2] / 2 is 8 ms; and the sum of waits weighted by load."""
FIFO, PREEMPTIVE = 0.040, 0.3 / 70.0


def classes(seconds: int, *settings: str) -> Log:
    return run(Scenario.load(SCENARIOS / "priority_classes.yaml", (f"duration={seconds} s", *settings)))


def waits_of_classes(log: Log) -> dict[str, Floats]:
    """Seconds until execution begins, in the order of arrival, class by class."""
    arrives, begins, sender = log.select(TransactionServed, "arrives", "begins", "sender")
    found = {}
    for name in ("first", "second"):
        group = log.about["groups"][name]
        mine = (sender >= group["first"]) & (sender < group["last"]) & (arrives > 30 * SECOND)
        order = np.argsort(arrives[mine], kind="stable")
        found[name] = (begins - arrives)[mine][order] / SECOND
    return found


def two_classes(log: Log, mistakes: Mapping[str, tuple[float, float]]) -> list[str]:
    waits = {name: Estimate.of_run(values) for name, values in waits_of_classes(log).items()}
    sums = Estimate.of_run(conserved(log))
    return [
        agree("5.7 wait with a priority fee (s)", waits["first"], FIRST, {name: first for name, (first, _) in mistakes.items()}),
        agree("5.7 wait without (s)", waits["second"], SECOND_CLASS, {name: second for name, (_, second) in mistakes.items()}),
        agree("5.7 waits weighted by load (s)", sums, CONSERVED, {}),
    ]


def conserved(log: Log) -> Floats:
    """rho1 W1 + rho2 W2 on pieces of the run, each class by its share of arrivals: 0.8 times the wait of all."""
    arrives, begins = log.select(TransactionServed, "arrives", "begins")
    order = np.argsort(arrives, kind="stable")
    return 0.8 * ((begins - arrives)[order][arrives[order] > 30 * SECOND] / SECOND)


MISTAKES = {"first come first served": (FIFO, FIFO)}


def test_who_pays_waits_less_and_the_others_more(record_property: Callable[..., None]) -> None:
    for line in two_classes(classes(2400), MISTAKES):
        record_property("validation", line)


@pytest.mark.validate
def test_two_classes_in_full(record_property: Callable[..., None]) -> None:
    """A million transactions."""
    log = classes(12_600)
    for line in two_classes(log, MISTAKES):
        record_property("validation", line)
    waits = waits_of_classes(log)
    assert waits["first"].mean() == pytest.approx(FIRST, rel=0.02)
    assert abs(PREEMPTIVE - FIRST) >= 8.0 * Estimate.of_run(waits["first"]).error


def test_what_is_executed_is_never_interrupted() -> None:
    """One at a time, each for as long as its gas takes, whoever comes meanwhile; and the next one is of the first class, if any waits."""
    log = classes(60)
    arrives, begins, ends, sender = log.select(TransactionServed, "arrives", "begins", "ends", "sender")
    order = np.argsort(begins)
    arrives, begins, ends, sender = (column[order] for column in (arrives, begins, ends, sender))
    assert (begins[1:] >= ends[:-1]).all()
    group = log.about["groups"]["first"]
    first = (sender >= group["first"]) & (sender < group["last"])
    for i in np.flatnonzero(~first).tolist():
        assert not (first & (arrives < begins[i]) & (begins > begins[i])).any()
    met = sum(bool((~first & (begins < arrives[i]) & (ends > arrives[i])).any()) for i in np.flatnonzero(first).tolist())
    assert met > 100  # it did happen that the first class came while the second was executed


def test_first_come_first_served_is_caught() -> None:
    """The mistake: 40 ms for both."""
    with pytest.raises(DisagreementError):
        two_classes(classes(600, "chains.arb.ordering={kind: first_come_first_served}"), {})


def test_preemption_is_caught() -> None:
    """The mistake: who pays interrupts who does not, and waits as if those were not there: 4.286 ms."""
    waits = Estimate.of_run(waits_of_classes(classes(600, "agents.second.rate=0.001 /s"))["first"])
    agree("preemptive", waits, PREEMPTIVE, {"without preemption": FIRST})
    with pytest.raises(DisagreementError):
        agree("5.7 preemptive", waits, FIRST, {})
