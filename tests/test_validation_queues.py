"""A sequencer with a speed is the queue M/G/1, and blocks of limited capacity are Bailey's bulk service.

Sources: Pollaczek 1930, Khinchine 1932, Wq = λ E[S²] / (2 (1 - ρ)), and Little 1961, L = λ W; Bailey 1954, "On queueing processes with
bulk service": what a block leaves behind is Q' = max(Q + Poisson(a) - K, 0), and E[Q] follows from the roots of z^K = e^(a (z - 1)).
"""

from collections.abc import Callable, Mapping
from math import exp
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from validation import SCENARIOS, DisagreementError, Estimate, agree, equal, run

from l2sim.events import TransactionIncluded, TransactionServed
from l2sim.log import Log
from l2sim.metrics.queueing import Queueing
from l2sim.scenario import Scenario
from l2sim.units import SECOND
from l2sim.world.inbox import Inbox
from l2sim.world.service import Service

# ---- 5.1, one server


class Server(NamedTuple):
    """A law of gas, with 80 transactions a second that take 10 ms in the mean, and what theory says."""

    gas: str
    wait: float
    """Until execution begins, seconds."""
    number: float
    """In the system."""
    wait_mistakes: Mapping[str, float]
    number_mistakes: Mapping[str, float]


SERVERS = {
    "M/M/1": Server(
        "{kind: exponential, mean: 1 Mgas}", 0.040, 4.0,
        {"as for fixed gas": 0.020, "until the end of execution": 0.050},
        {"counted when executions end": 3.2, "as for fixed gas": 2.4},
    ),
    "M/D/1": Server(
        "1 Mgas", 0.020, 2.4,
        {"as for exponential gas": 0.040, "until the end of execution": 0.030},
        {"as for exponential gas": 4.0, "without the one that is executed": 1.6},
    ),
    "M/G/1": Server(
        "{kind: lognormal, median: 447214 gas, sigma: 1.2686362411795196}", 0.100, 8.8,
        {"as for exponential gas": 0.040, "as for fixed gas": 0.020},
        {"as for exponential gas": 4.0},
    ),
}  # fmt: skip
"""The lognormal has a mean of 1 Mgas, √5 medians, and a squared coefficient of variation of e^(sigma²) - 1 = 4."""


def queue(gas: str, seconds: int, *settings: str) -> tuple[Scenario, Log]:
    scenario = Scenario.load(SCENARIOS / "queue.yaml", (f"agents.traders.gas_used={gas}", f"duration={seconds} s", *settings))
    return scenario, run(scenario)


def waits_and_numbers(name: str, gas: str, seconds: int, coarse: bool = False) -> list[str]:
    """Both means held against theory; a small sample of a law with long tails cannot always tell the mistakes."""
    scenario, log = queue(gas, seconds)
    server, found = SERVERS[name], scenario.metrics["queue"].measure(log).loc["arb"]
    wait, number = (Estimate(found[f"{what}_mean"], found[f"{what}_error"], int(found["served"])) for what in ("wait", "number"))
    of_wait, of_number = ({}, {}) if coarse else (server.wait_mistakes, server.number_mistakes)
    return [
        agree(f"5.1 mean wait for execution, {name} (s)", wait, server.wait, of_wait),
        agree(f"5.1 mean number in the system, {name}", number, server.number, of_number),
    ]


@pytest.mark.parametrize(("name", "seconds"), [("M/M/1", 3600), ("M/D/1", 1800), ("M/G/1", 4200)])
def test_one_server(name: str, seconds: int, record_property: Callable[..., None]) -> None:
    for line in waits_and_numbers(name, SERVERS[name].gas, seconds, coarse=name == "M/G/1"):
        record_property("validation", line)


@pytest.mark.validate
@pytest.mark.parametrize(("name", "seconds"), [("M/M/1", 15_000), ("M/D/1", 15_000), ("M/G/1", 60_000)])
def test_one_server_in_full(name: str, seconds: int, record_property: Callable[..., None]) -> None:
    for line in waits_and_numbers(name, SERVERS[name].gas, seconds):
        record_property("validation", line)


@pytest.mark.parametrize("name", SERVERS)
def test_littles_law_holds_on_every_run(name: str, record_property: Callable[..., None]) -> None:
    """From the start to the last arrival, λW counts waits to their ends and L only what was waited by then: apart by no more than that."""
    for seconds in (30, 120, 480):
        _, log = queue(SERVERS[name].gas, seconds)
        found = Queueing().measure(log).loc["arb"]
        arrives, ends = log.select(TransactionServed, "arrives", "ends")
        last = arrives.max() / SECOND
        left = np.maximum(ends - arrives.max(), 0).sum() / SECOND
        through = found["served"] / last * found["system_mean"]
        record_property("validation", equal(f"5.1 Little's law, {name}, {seconds} s", found["number_mean"] + left / last, through))
        assert 0.0 <= (through - found["number_mean"]) * last <= 20.0  # seconds of waiting, however long the run


def test_the_share_of_time_in_which_it_executes(record_property: Callable[..., None]) -> None:
    scenario, log = queue(SERVERS["M/M/1"].gas, 1800)
    arrives, begins, ends = log.select(TransactionServed, "arrives", "begins", "ends")
    load = Estimate.of_run((ends - begins) / SECOND * 80.0)
    record_property("validation", agree("5.1 load, M/M/1", load, 0.8, {"always busy": 1.0}))
    assert scenario.metrics["queue"].measure(log).loc["arb"]["busy_share"] == pytest.approx(load.mean, rel=0.01)
    for number in (1, 3):  # a Poisson arrival sees the time average, ρ^n
        there = np.searchsorted(np.sort(ends), arrives, side="left")
        sees = Estimate.of_run((np.arange(len(arrives)) - there >= number).astype(np.float64))
        agree(f"5.1 P(an arrival meets {number} or more), M/M/1", sees, 0.8**number, {"one fewer": 0.8 ** (number + 1)})


# ---- 5.3, bulk service


class Bulk(NamedTuple):
    """Poisson arrivals in a slot and a block's capacity, both in transactions, and what theory says."""

    mean: float
    capacity: int
    left: float
    """Mean number that a block leaves behind."""
    wait: float
    """Mean wait in slots, first come first served."""

    def mistakes(self, coarse: bool) -> dict[str, float]:
        """What queues that serve one at a time would leave behind; a small sample cannot tell the second from nearly full blocks."""
        load = self.mean / self.capacity
        single = load * load / (1.0 - load)
        return {"M/M/1 of the same load": single} if coarse else {"M/M/1 of the same load": single, "M/D/1 of the same load": single / 2}


BULKS = {
    "45 of 50": Bulk(45.0, 50, 1.77866, 0.539526),
    "8 of 10": Bulk(8.0, 10, 0.878622, 0.609828),
    "48 of 50": Bulk(48.0, 50, 8.56849, 0.67851),
}


def bulk_service(bulk: Bulk, slots: int, *settings: str) -> tuple[Scenario, Log]:
    rates = f"agents.traders.rate={bulk.mean} /s", f"chains.arb.block_gas_limit={bulk.capacity} Mgas"
    scenario = Scenario.load(SCENARIOS / "bulk_service.yaml", (*rates, f"duration={slots} s", *settings))
    return scenario, run(scenario)


def waits(log: Log) -> npt.NDArray[np.float64]:
    """In slots of a second, in the order of submission."""
    included, submitted = log.select(TransactionIncluded, "time", "submitted")
    return ((included - submitted) / SECOND)[np.argsort(submitted, kind="stable")]


def leaves_behind(name: str, slots: int, *settings: str, coarse: bool = False) -> list[str]:
    bulk = BULKS[name]
    scenario, log = bulk_service(bulk, slots, *settings)
    found = scenario.metrics["queue"].measure(log).loc["arb"]
    left, wait = Estimate(found["left_behind"], found["left_behind_error"], slots), Estimate.of_run(waits(log))
    mistakes = bulk.mistakes(coarse)
    delays = {mistake: value / bulk.mean + 0.5 for mistake, value in mistakes.items()} | ({} if coarse else {"always room": 0.5})
    return [
        agree(f"5.3 left behind by a block, {name}", left, bulk.left, mistakes),
        agree(f"5.3 mean wait, {name} (slots)", wait, bulk.wait, delays),
    ]


@pytest.mark.parametrize(("name", "slots"), [("45 of 50", 5000), ("8 of 10", 8000), ("48 of 50", 5200)])
def test_blocks_of_limited_capacity(name: str, slots: int, record_property: Callable[..., None]) -> None:
    for line in leaves_behind(name, slots, coarse=name == "48 of 50"):
        record_property("validation", line)


@pytest.mark.validate
@pytest.mark.parametrize(("name", "slots"), [("45 of 50", 40_000), ("8 of 10", 60_000), ("48 of 50", 60_000)])
def test_blocks_of_limited_capacity_in_full(name: str, slots: int, record_property: Callable[..., None]) -> None:
    for line in leaves_behind(name, slots):
        record_property("validation", line)


@pytest.mark.parametrize("name", BULKS)
def test_what_theory_says_of_bulk_service_is_the_markov_chain(name: str) -> None:
    """The stationary law of Q' = max(Q + Poisson(a) - K, 0), solved as it stands."""
    a, capacity, left, wait = BULKS[name]
    n = 400
    arriving = [exp(-a)]
    for k in range(1, n + capacity):
        arriving.append(arriving[-1] * a / k)
    steps = np.array([[arriving[j + capacity - i] if j + capacity >= i else 0.0 for j in range(n)] for i in range(n)])
    steps[:, 0] = [sum(arriving[: max(capacity - i, -1) + 1]) for i in range(n)]
    steps[:, -1] += 1.0 - steps.sum(axis=1)
    law = np.linalg.solve(np.vstack([(steps.T - np.eye(n))[:-1], np.ones(n)]), np.eye(n)[-1])
    mean = float(law @ np.arange(n))
    assert mean == pytest.approx(left, rel=1e-5)
    assert mean / a + 0.5 == pytest.approx(wait, rel=1e-5)


# ---- listed mistakes, injected


def test_gas_that_is_always_the_same_is_caught() -> None:
    """The mistake: 20 ms and 2.4 instead of 40 ms and 4."""
    with pytest.raises(DisagreementError):
        waits_and_numbers("M/M/1", "1 Mgas", 900)


def test_a_server_that_begins_anew_with_each_block_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: what is being executed when a block is made is begun once more; at twenty blocks a second, a fifth longer a wait."""
    select = Service.select

    def anew(service: Service, now: int, *rest: Any) -> Any:
        answer = select(service, now, *rest)
        service.restart(now)
        return answer

    monkeypatch.setattr(Service, "select", anew)
    scenario, log = queue(SERVERS["M/D/1"].gas, 900, "chains.arb.sequencer.block_time=50 ms")
    found = scenario.metrics["queue"].measure(log).loc["arb"]
    with pytest.raises(DisagreementError):
        agree("begun anew", Estimate(found["wait_mean"], found["wait_error"], 1), SERVERS["M/D/1"].wait, {})


def test_a_service_time_of_the_next_transaction_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: each is executed for as long as the one before it should be. The mean wait is the same; each row shows it."""
    execute = Service._execute

    def shifted(service: Service, rows: Any, *rest: Any) -> Any:
        return execute(service, rows._replace(gas=[*rows.gas[1:], rows.gas[0]]), *rest)

    def consistent(log: Log) -> bool:
        begins, ends = log.select(TransactionServed, "begins", "ends")
        (gas,) = log.select(TransactionIncluded, "gas")
        return bool((ends - begins == gas.astype(np.int64) * 10).all())

    assert consistent(queue(SERVERS["M/M/1"].gas, 30)[1])
    monkeypatch.setattr(Service, "_execute", shifted)
    assert not consistent(queue(SERVERS["M/M/1"].gas, 30)[1])


def test_a_queue_counted_when_executions_end_is_caught() -> None:
    """The mistake: the number just after each execution, weighted by the time until the next, 3.2 instead of 4."""
    scenario, log = queue(SERVERS["M/M/1"].gas, 3600)
    arrives, ends = (np.sort(column) for column in log.select(TransactionServed, "arrives", "ends"))
    after = np.searchsorted(arrives, ends[:-1], side="right") - np.arange(1, len(ends))
    lasting = np.diff(ends)
    counted = float((after * lasting).sum() / lasting.sum())
    found = scenario.metrics["queue"].measure(log).loc["arb"]
    assert counted == pytest.approx(3.2, rel=0.05)
    with pytest.raises(DisagreementError):
        agree("counted at ends", Estimate(counted, found["number_error"], 1), 4.0, {})


@pytest.mark.parametrize("capacity", [9, 11])
def test_a_block_that_takes_one_too_few_or_too_many_is_caught(capacity: int) -> None:
    with pytest.raises(DisagreementError):
        leaves_behind("8 of 10", 8000, f"chains.arb.block_gas_limit={capacity} Mgas")


def test_room_that_varies_with_the_gas_of_each_is_caught() -> None:
    """The mistake: as if a block had room for 10 in the mean."""
    with pytest.raises(DisagreementError):
        leaves_behind("8 of 10", 8000, "agents.traders.gas_used={kind: exponential, mean: 1 Mgas}")


def test_blocks_that_forget_what_they_leave_behind_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: everybody waits half a slot."""
    select = Inbox.select

    def forgetful(inbox: Inbox, now: int, base_fee: int, gas_limit: int, *rest: Any) -> Any:
        return select(inbox, now, base_fee, 10**12, *rest)

    monkeypatch.setattr(Inbox, "select", forgetful)
    _, log = bulk_service(BULKS["45 of 50"], 5000)
    with pytest.raises(DisagreementError):
        agree("5.3 always room", Estimate.of_run(waits(log)), BULKS["45 of 50"].wait, {})
