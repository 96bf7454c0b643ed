"""Series: what is left of a log in a figure."""

import numpy as np
import pytest

from l2sim.events import (
    AttackBegan,
    AttackEnded,
    BlockSealed,
    HeadAdvanced,
    OracleUpdated,
    PositionLiquidated,
    PositionOpened,
    TransactionDropped,
    TransactionIncluded,
)
from l2sim.log import Log
from l2sim.report import series
from l2sim.units import SECOND

S = SECOND


@pytest.fixture
def log() -> Log:
    """240 seconds of a chain that makes a block every second, and none from 100 s to 160 s; empty ones are not in the log."""
    log = Log()
    log.about = {
        "duration": 240 * S,
        "chains": {"arb": {"kind": "rollup", "block_time": S, "blocks": 180}},
        "markets": {"pool": {"kind": "constant_product"}, "perp": {"kind": "perpetual"}},
    }
    for time in [*range(10, 101, 10), *range(160, 241, 10)]:
        number = time if time <= 100 else time - 59
        log.record(time * S, BlockSealed("arb", number, 1, 10**5, 2 * 10**9, 0, 0, 0))
    return log


def at(found: series.Series, seconds: float) -> float:
    """The value at the point nearest to a time."""
    return float(found.values[np.abs(found.times - seconds * S).argmin()])


def test_a_head_is_behind_by_now_less_the_time_of_its_block(log: Log) -> None:
    log.record(60 * S, HeadAdvanced("arb", "safe", 50))
    log.record(120 * S, HeadAdvanced("arb", "safe", 95))
    lag = series.lag(log, "arb", "safe")
    assert (np.diff(lag.times) >= 0).all()
    before, after = lag.values[lag.times == 60 * S].min(), lag.values[lag.times == 60 * S].max()
    assert (after, before) == (60.0, 10.0)
    assert lag.values[lag.times == 120 * S].min() == pytest.approx(25.0)  # block 95 was empty, between those of 90 s and 100 s
    assert lag.values[-1] == pytest.approx(145.0)
    assert not series.lag(log, "arb", "finalized").there
    assert not series.lag(log, "elsewhere", "safe").there


def test_a_head_of_empty_blocks_advances_too(log: Log) -> None:
    log.about |= {"duration": 600 * S, "chains": {"arb": {"kind": "rollup", "block_time": S, "blocks": 540}}}
    for time in range(300, 600, 60):
        log.record(time * S, HeadAdvanced("arb", "safe", time - 71))  # all empty after block 181, which was made at 240 s
    lag = series.lag(log, "arb", "safe")
    assert [lag.values[lag.times == time * S].min() for time in range(300, 600, 60)] == [pytest.approx(12.0)] * 5
    assert lag.values[-1] == pytest.approx(72.0)


def test_silence_is_not_mistaken_for_empty_blocks(log: Log) -> None:
    lag = series.lag(log, "arb", "unsafe")
    assert at(lag, 50) == pytest.approx(1.0)
    assert at(lag, 130) == pytest.approx(30.0, abs=1.0)
    assert lag.values.max() == pytest.approx(60.0)
    assert at(lag, 200) == pytest.approx(1.0)
    assert lag.values[-1] == pytest.approx(1.0)


def test_who_waits_is_who_was_sent_and_is_not_in_a_block(log: Log) -> None:
    for sent, done in ((100, 160), (120, 160), (140, 170)):
        log.record(done * S, TransactionIncluded("arb", done, sent * S, 1, "pool", "buy", 0, 1, 0.0, 0.0, 1.0, 1.0))
    log.record(150 * S, TransactionDropped("arb", 130 * S, 1, "pool", "buy", 20))
    waiting = series.waiting(log, "arb")
    assert [at(waiting, time) for time in (99, 110, 125, 135, 145, 155, 165, 200)] == [0, 1, 2, 3, 4, 3, 1, 0]
    executed = series.executed(log, "arb")
    assert executed.values.sum() == pytest.approx(3.0)  # intervals of a second
    assert not series.waiting(log, "elsewhere").there


def test_traded_prices_are_medians_of_what_was_done(log: Log) -> None:
    trades = (("buy", 0, 3000.0, 1.0), ("buy", 0, 3100.0, 1.0), ("sell", 0, 1.0, 2000.0), ("buy", 1, 9e9, 1.0))
    for action, status, x, y in trades:
        log.record(20 * S, TransactionIncluded("arb", 20, 0, 1, "pool", action, status, 1, 0.0, 0.0, x, y))
    assert series.traded(log, "pool").values.tolist() == [3000.0]
    log.record(0, PositionOpened("perp", 1, 1.0, 1000.0, 1.0, 1.0, 1.0))  # brought from before the start
    log.record(30 * S, PositionOpened("perp", 1, 1.0, 2950.0, 1.0, 1.0, 1.0))
    assert series.traded(log, "perp").values.tolist() == [2950.0]


def test_liquidations_are_notional_at_the_mark(log: Log) -> None:
    log.record(50 * S, PositionLiquidated("perp", 1, 2, -2.0, 3000.0, 2990.0, 0.0, 0.0, 0.0, 0.0))
    log.record(50 * S + 1, PositionLiquidated("perp", 1, 2, 1.0, 3000.0, 2990.0, 0.0, 0.0, 0.0, 0.0))
    found = series.liquidated(log)
    assert found.values.sum() == found.values.max() == 9000.0
    assert len(found.values) == series.BINS


def test_feeds_have_steps_and_fees_are_in_gwei(log: Log) -> None:
    log.record(10 * S, OracleUpdated("feed", 1.0))
    log.record(20 * S, OracleUpdated("feed", 2.0))
    assert series.feed(log, "feed").times.tolist() == [10 * S, 20 * S, 20 * S, 240 * S]
    assert series.feed(log, "feed").values.tolist() == [1.0, 1.0, 2.0, 2.0]
    assert set(series.fees(log, "arb", "base_fee").values) == {2.0}
    assert not series.fees(log, "arb", "blob_base_fee").there


def test_an_attack_lasts_until_it_ends_or_the_run_does(log: Log) -> None:
    log.record(10 * S, AttackBegan("spike"))
    log.record(30 * S, AttackEnded("spike"))
    log.record(20 * S, AttackBegan("outage"))
    assert series.windows(log) == [("spike", 10 * S, 30 * S), ("outage", 20 * S, 240 * S)]


def test_a_long_run_has_no_more_points(log: Log) -> None:
    for time in range(1, 2400):
        log.record(time * S // 10, HeadAdvanced("arb", "safe", time // 20))
    assert len(series.lag(log, "arb", "safe").times) == 2 * series.BINS
