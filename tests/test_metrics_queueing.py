"""Queueing figures of small logs written by hand, with answers worked out by hand."""

import numpy as np
import pytest

from l2sim.events import BlockSealed, TransactionServed
from l2sim.log import Log
from l2sim.metrics.queueing import Queueing, time_averages
from l2sim.units import SECOND


def served(log: Log, *rows: tuple[float, float, float], chain: str = "arb") -> None:
    for arrives, begins, ends in rows:
        times = (round(time * SECOND) for time in (arrives, begins, ends))
        log.record(round(ends * SECOND), TransactionServed(chain, 0, 1, *times))


def sealed(log: Log, *blocks: tuple[int, int], chain: str = "arb") -> None:
    """Blocks by number, which is also their second, and what they leave behind."""
    for number, pending in blocks:
        log.record(number * SECOND, BlockSealed(chain, number, 1, 0, 0, 0, 0, pending))


@pytest.fixture
def log() -> Log:
    log = Log()
    sealed(log, (1, 0), (2, 3), (5, 1))
    served(log, (0, 0, 2), (1, 2, 3), (4, 4, 5), (6, 6, 9))
    return log


def test_waits_and_numbers(log: Log) -> None:
    arb = Queueing(batches=2).measure(log).loc["arb"]
    assert arb["served"] == 4
    assert arb["wait_mean"] == pytest.approx(0.25)
    assert arb["system_mean"] == pytest.approx((2 + 2 + 1 + 3) / 4)
    # Until the last arrival at 6 s there are 1, 2, 1, 0, 1 and 0 in the system, second by second.
    assert arb["number_mean"] == pytest.approx(5 / 6)
    assert arb["busy_share"] == pytest.approx(4 / 6)
    # Batches of waits are 0.5 and 0; of numbers, up to 3 s and up to 6 s, 4 / 3 and 1 / 3.
    assert arb["wait_error"] == pytest.approx(0.25)
    assert arb["number_error"] == pytest.approx(0.5)
    assert np.isnan(Queueing(batches=5).measure(log).loc["arb", "wait_error"])


def test_a_warm_up_leaves_out_what_came_in_it_but_counts_who_is_still_there(log: Log) -> None:
    arb = Queueing(warm_up="1500ms", batches=2).measure(log).loc["arb"]
    assert arb["served"] == 2
    assert arb["wait_mean"] == 0.0
    assert arb["number_mean"] == pytest.approx((2 * 0.5 + 1 + 0 + 1 + 0) / 4.5)
    assert arb["left_behind"] == pytest.approx((3 + 0 + 0 + 1) / 4)


def test_blocks_that_the_log_leaves_out_left_nothing_behind(log: Log) -> None:
    arb = Queueing(batches=5).measure(log).loc["arb"]
    assert arb["left_behind"] == pytest.approx((0 + 3 + 0 + 0 + 1) / 5)
    assert arb["left_behind_error"] == pytest.approx(np.std([0, 3, 0, 0, 1], ddof=1) / np.sqrt(5))


def test_chains_are_kept_apart_and_those_without_a_speed_have_no_waits(log: Log) -> None:
    sealed(log, (1, 7), chain="op")
    figures = Queueing(batches=2).measure(log)
    assert figures.loc["op", "left_behind"] == 7.0
    assert figures.loc["op", ["wait_mean", "system_mean", "number_mean", "busy_share"]].isna().all()
    assert figures.loc["arb", "served"] == 4


def test_time_averages_are_those_of_a_step_function_sampled_finely() -> None:
    rng = np.random.Generator(np.random.Philox(5))
    begins = np.sort(rng.integers(0, 1000, 60))
    ends = begins + rng.integers(0, 100, 60)
    edges = np.array([100.0, 333.0, 700.0, 900.0])
    found = time_averages(begins, ends, edges)
    for first, last, average in zip(edges[:-1], edges[1:], found, strict=True):
        instants = np.arange(first, last) + 0.5
        there = [np.count_nonzero((begins <= instant) & (ends > instant)) for instant in instants]
        assert average == pytest.approx(np.mean(there), rel=1e-12)
