"""Chance as the event loop deals it: Poisson arrivals, their thinning, what they see of a queue, and a clock that does not drift.

This is 12.6 (b) and (c) of the validations. The rest of it is looked at where it belongs:

- (a) the same seed, the same log, whatever the cores, processes, hash seeds, order of members and metrics: ``test_honesty``
  (cores, looking in between), ``test_ties`` (order of members), ``test_metamorphic`` (an onlooker, metrics), ``test_streams`` (streams
  by name and index); here the integer clock.
- (c) the numbers that arrivals meet, ρ^n: also ``test_validation_queues``.
- (d) simultaneous events in the order of a seeded key, never of insertion: ``test_ties``.
- (e) conservation of every asset after every block, profits that sum to zero: ``test_metamorphic`` and ``test_conservation``.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from validation import DisagreementError, Estimate, agree, run_file

from l2sim.agents import crowd_of_traders
from l2sim.events import BlockSealed, TransactionIncluded, TransactionServed
from l2sim.units import SECOND

Floats = npt.NDArray[np.float64]
Record = Callable[..., None]

RATE = 3.0
THINNED = (
    f"agents.traders.rate={RATE} /s",
    "agents.traders.ceiling=3.3333333333333335",  # so that candidates come ten a second, and three in ten come about
    "agents.traders.fee_response=1",
    "agents.traders.usual_fee=0.02 USD",
    "chains.arb.fee.fee=0.01 gwei",  # 1 Mgas at 2000 USD per ether: the usual fee exactly
    "agents.traders.gas_used=1 Mgas",
)
PLAIN = THINNED[:1]


def arrivals(seconds: int, settings: Sequence[str], record_property: Record) -> None:
    """A crowd's transactions as a Poisson process: exponential gaps, and numbers in a second with their mean as variance."""
    (submitted,) = run_file("queue", *settings, f"duration={seconds} s").select(TransactionIncluded, "submitted")
    times = np.sort(submitted) / SECOND
    counts = np.bincount(times.astype(np.int64), minlength=seconds)[: seconds - 1].astype(np.float64)  # the last second has no block
    name = "thinned arrivals" if settings is THINNED else "arrivals"
    for line in (
        agree(f"12.6 index of dispersion, {name}", dispersion(counts), 1.0, {"evenly spaced candidates": 0.7}),
        agree(f"12.6 {name} a second", Estimate.of_run(counts), RATE, {"not thinned": 10.0}),
    ):
        record_property("validation", line)
    p = scipy.stats.kstest(np.diff(times), "expon", args=(0.0, 1.0 / RATE)).pvalue
    if not p > 6.3e-5:  # four standard errors
        raise DisagreementError(f"gaps of {name} are not exponential: p = {p:.2g}")


def dispersion(counts: Floats) -> Estimate:
    """Variance over mean of counts, with the standard error sqrt(2 / n) that it has for a Poisson process."""
    return Estimate(float(counts.var(ddof=1) / counts.mean()), float(np.sqrt(2.0 / len(counts))), len(counts))


@pytest.mark.parametrize("settings", [PLAIN, THINNED], ids=["plain", "thinned"])
def test_arrivals_are_a_poisson_process(settings: Sequence[str], record_property: Record) -> None:
    arrivals(10_000, settings, record_property)


@pytest.mark.validate
@pytest.mark.parametrize("settings", [PLAIN, THINNED], ids=["plain", "thinned"])
def test_arrivals_are_a_poisson_process_in_full(settings: Sequence[str], record_property: Record) -> None:
    arrivals(200_000, settings, record_property)


def evenly(rng: np.random.Generator, rate: float, start: int, span: int) -> npt.NDArray[np.int64]:
    """The mistake: as many arrivals as usual, but at regular distances."""
    gap = SECOND / rate
    return start + (np.arange(gap / 2.0, span, gap)).astype(np.int64)


@pytest.mark.parametrize("settings", [PLAIN, THINNED], ids=["plain", "thinned"])
def test_evenly_spaced_candidates_are_caught(settings: Sequence[str], monkeypatch: pytest.MonkeyPatch, record_property: Record) -> None:
    monkeypatch.setattr(crowd_of_traders, "arrivals", evenly)
    with pytest.raises(DisagreementError, match="dispersion"):
        arrivals(10_000, settings, record_property)


def test_gaps_that_are_uniform_are_caught(monkeypatch: pytest.MonkeyPatch, record_property: Record) -> None:
    """The mistake: gaps between nothing and twice the mean; numbers in a second alone would show it as well, the gaps do at once."""

    def uniform(rng: np.random.Generator, rate: float, start: int, span: int) -> npt.NDArray[np.int64]:
        times = np.cumsum(rng.uniform(0.0, 2.0 / rate, int(rate * span / SECOND * 1.2))) * SECOND
        return start + times[times < span].astype(np.int64)

    monkeypatch.setattr(crowd_of_traders, "arrivals", uniform)
    monkeypatch.setattr("test_validation_arrivals.dispersion", lambda counts: Estimate(1.0, 0.01, len(counts)))
    with pytest.raises(DisagreementError, match="not exponential"):
        arrivals(2_000, PLAIN, record_property)


def those_who_wait(seconds: int) -> str:
    """PASTA: Poisson arrivals find the server busy as often as it is, 0.8; evenly spaced ones, D/M/1, 0.6287: s = e^(-(1 - s) / 0.8)."""
    log = run_file("queue", "agents.traders.gas_used={kind: exponential, mean: 1 Mgas}", f"duration={seconds} s")
    arrives, begins = log.select(TransactionServed, "arrives", "begins")
    waits = Estimate.of_run((begins > arrives).astype(np.float64))
    return agree("12.6 share of arrivals that wait, M/M/1", waits, 0.8, {"evenly spaced": 0.6287, "everybody": 1.0})


def test_poisson_arrivals_see_time_averages(record_property: Record) -> None:
    record_property("validation", those_who_wait(1_300))


@pytest.mark.validate
def test_poisson_arrivals_see_time_averages_in_full(record_property: Record) -> None:
    record_property("validation", those_who_wait(15_000))


def test_arrivals_that_are_not_poisson_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd_of_traders, "arrivals", evenly)
    with pytest.raises(DisagreementError, match="share of arrivals"):
        those_who_wait(1_300)


def test_the_clock_does_not_drift() -> None:
    """Blocks of 100 ms are on the grid to the nanosecond after an hour; the sum of 36,000 tenths of a second in floats is not."""
    settings = "chains.arb.sequencer.block_time=100 ms", "agents.traders.rate=1 /s", "duration=1 h"
    time, number = run_file("queue", *settings).select(BlockSealed, "time", "number")
    assert number[-1] > 35_000
    assert (time == number * (SECOND // 10)).all()
    mistaken = (np.cumsum(np.full(number[-1], 0.1)) * SECOND).astype(np.int64)[number - 1]
    assert (mistaken != time).any()
