"""Metrics on small logs written by hand, with answers worked out by hand."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2sim.events import (
    AccountClosed,
    BadDebtIncurred,
    BlockSealed,
    HeadAdvanced,
    PositionLiquidated,
    PriceMoved,
    TransactionDropped,
    TransactionIncluded,
)
from l2sim.log import Log
from l2sim.metrics import Metric
from l2sim.metrics.bad_debt import BadDebt
from l2sim.metrics.cost_per_transaction import CostPerTransaction
from l2sim.metrics.inclusion_delay import InclusionDelay
from l2sim.metrics.liquidation_cascade import LiquidationCascade
from l2sim.metrics.profit_and_loss import ProfitAndLoss
from l2sim.metrics.throughput import Throughput
from l2sim.metrics.time_to_finality import TimeToFinality
from l2sim.part import room
from l2sim.transactions import Status
from l2sim.units import SECOND

METRICS = [metric for metric in room("metrics").kinds().values() if metric.__module__.startswith("l2sim.")]
REQUIRED: dict[str, dict[str, Any]] = {"consecutive_slots": {"length": 2}, "saturation": {"rollup": "arb"}}
"""Fields without a default, by kind."""
ABOUT: dict[str, Any] = {
    "chains": {
        "arb": {"kind": "rollup", "settles_on": "l1", "block_time": 2 * SECOND, "blocks": 3},
        "l1": {"kind": "l1", "settles_on": None, "block_time": 12 * SECOND, "blocks": 0},
    },
    "markets": {
        "pool": {"kind": "constant_product", "on": "arb", "base": "eth"},
        "perp": {"kind": "perpetual", "on": "arb", "base": "eth"},
        "loans": {"kind": "lending_pool", "on": "arb", "base": "eth"},
        "bridge": {"kind": "bridge", "on": "arb", "base": None},
    },
}
"""What a run says of a rollup with a market of each kind."""


def asked(metric: type[Metric], log: Log) -> "pd.Series[float] | pd.DataFrame":
    """The answer of a metric whose other fields are at their defaults."""
    return metric.model_validate({"kind": metric.kind, **REQUIRED.get(metric.kind, {})}).measure(log)


def sealed(log: Log, chain: str, seconds: float, number: int, gas: int = 0, pending: int = 0) -> None:
    log.record(round(seconds * SECOND), BlockSealed(chain, number, 0, gas, 0, 0, 0, pending))


def included(
    log: Log, chain: str, seconds: float, block: int, submitted: float, status: int = 0, fees: tuple[float, float] = (0.0, 0.0)
) -> None:
    fact = TransactionIncluded(chain, block, round(submitted * SECOND), 0, "pool", "swap", status, 21_000, *fees, 0.0, 0.0)
    log.record(round(seconds * SECOND), fact)


def liquidated(log: Log, seconds: float, size: float, mark: float, price: float = 0.0, market: str = "perp", **money: float) -> None:
    parts = {"reward": 0.0, "penalty": 0.0, "returned": 0.0, "shortfall": 0.0} | money
    log.record(round(seconds * SECOND), PositionLiquidated(market, 1, 2, size, mark, price or mark, **parts))


@pytest.fixture
def rollup() -> Log:
    """Three blocks with a transaction each; the safe head reaches the second, the finalized head the first, then the second."""
    log = Log()
    log.about = {"duration": 40 * SECOND}
    for number, (block, submitted) in enumerate([(2.0, 1.0), (4.0, 3.5), (6.0, 5.0)], start=1):
        sealed(log, "arb", block, number, gas=1000 * number, pending=number % 3)
        included(log, "arb", block, number, submitted)
    log.record(10 * SECOND, HeadAdvanced("arb", "safe", 2))
    log.record(20 * SECOND, HeadAdvanced("arb", "finalized", 1))
    log.record(30 * SECOND, HeadAdvanced("arb", "finalized", 2))
    log.record(31 * SECOND, HeadAdvanced("l1", "finalized", 99))
    return log


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.kind)
def test_an_empty_log_gives_an_answer_without_a_warning(metric: type[Metric]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = asked(metric, Log())
    assert isinstance(answer, pd.Series | pd.DataFrame)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.kind)
@pytest.mark.parametrize("about", [{}, ABOUT], ids=["nothing", "no_duration"])
def test_a_log_that_says_little_of_its_run_gives_an_answer(metric: type[Metric], about: dict[str, Any], rollup: Log) -> None:
    rollup.about = about
    assert isinstance(asked(metric, rollup), pd.Series | pd.DataFrame)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.kind)
def test_a_mean_without_an_observation_is_not_zero(metric: type[Metric]) -> None:
    log = Log()
    log.about = ABOUT | {"duration": SECOND}
    sealed(log, "arb", 1.0, 1)
    answer = asked(metric, log)
    figures = answer if isinstance(answer, pd.DataFrame) else answer.to_frame().T
    means = [name for name in figures.columns if {"mean", "median", "p50", "p95", "p99", "max", "share"} & set(str(name).split("_"))]
    observed = {"pending_max", "held_mean", "held_max", "own_mean", "committee_mean", "l1_mean"}  # nothing is held
    observed |= {name for name in means if str(name).startswith(("safe_from", "finalized_from"))}
    assert figures[[name for name in means if name not in observed]].isna().all(axis=None)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.kind)
def test_the_figures_quoted_first_exist(metric: type[Metric], rollup: Log) -> None:
    rollup.record(0, AccountClosed("longs", "crowd", "arb", "usd", 0.0, 1.0, 1.0, 1.0))
    answer = asked(metric, rollup)
    names = answer.columns if isinstance(answer, pd.DataFrame) else answer.index
    assert metric.key
    assert set(metric.key) <= {part for name in names for part in (str(name), str(name).rpartition(".")[2])}


# ---- finality


def test_time_to_finality_by_head(rollup: Log) -> None:
    arb = TimeToFinality().measure(rollup).loc["arb"]
    assert arb["soft_mean"] == pytest.approx((1.0 + 0.5 + 1.0) / 3)
    assert arb["soft_observed"] == 3
    assert arb["safe_mean"] == pytest.approx((9.0 + 6.5) / 2)
    assert (arb["safe_observed"], arb["safe_unresolved"]) == (2, 1)
    assert arb["finalized_mean"] == pytest.approx((19.0 + 26.5) / 2)
    assert arb["finalized_p50"] == pytest.approx(22.75)
    assert arb["finalized_unresolved"] == 1
    assert arb["finalized_from_block_mean"] == pytest.approx((18.0 + 26.0) / 2)
    assert (arb["finalized_from_block_observed"], arb["finalized_from_block_unresolved"]) == (2, 1)


def test_warm_up_and_cool_down_leave_out_both_ends(rollup: Log) -> None:
    late = TimeToFinality(cool_down="35.5 s").measure(rollup).loc["arb"]
    assert (late["soft_observed"], late["finalized_unresolved"], late["finalized_from_block_unresolved"]) == (2, 0, 0)
    early = TimeToFinality(warm_up="2 s").measure(rollup).loc["arb"]
    assert early["soft_observed"] == 2
    assert early["finalized_mean"] == pytest.approx(26.5)


def test_finality_of_l1_blocks_by_epochs_is_954_seconds_in_the_mean() -> None:
    """Casper FFG without a missed slot: at the start of epoch k the first block of epoch k - 2 is final.

    A block at slot j > 0 of its epoch waits 96 - j slots, one at slot 0 64: (64 + sum of 65..95) / 32 x 12 s = 954 s.
    """
    log = Log()
    log.about = {"duration": 4980 * SECOND}
    for slot in range(416):
        sealed(log, "l1", slot * 12.0, slot)
        if slot % 32 == 0 and slot >= 64:
            log.record(slot * 12 * SECOND, HeadAdvanced("l1", "finalized", slot - 64))
    l1 = TimeToFinality(cool_down="1152 s").measure(log).loc["l1"]
    assert l1["finalized_from_block_observed"] == 320
    assert l1["finalized_from_block_mean"] == pytest.approx(954.0)
    assert l1["finalized_from_block_unresolved"] == 0
    censored = TimeToFinality().measure(log).loc["l1"]
    assert censored["finalized_from_block_unresolved"] == 416 - 321


def test_a_head_that_falls_back_does_not_hide_what_was_reached() -> None:
    log = Log()
    sealed(log, "arb", 1.0, 5)
    for seconds, number in ((10, 6), (20, 3), (30, 7)):
        log.record(seconds * SECOND, HeadAdvanced("arb", "safe", number))
    assert TimeToFinality().measure(log).loc["arb"]["safe_from_block_mean"] == 9.0


# ---- transactions


def test_inclusion_delay_by_agent() -> None:
    """Accounts 0 to 2 are the crowd's, 3 the keeper's; the last group sends nothing and has no row."""
    log = Log()
    log.about = {"groups": {"keeper": {"first": 3, "last": 4}, "crowd": {"first": 0, "last": 3}, "maker": {"first": 4, "last": 5}}}
    for sender, waited in ((0, 2.0), (2, 4.0), (3, 10.0)):
        fact = TransactionIncluded("arb", 1, 0, sender, "pool", "swap", 0, 21_000, 0.0, 0.0, 0.0, 0.0)
        log.record(round(waited * SECOND), fact)
    log.record(SECOND, TransactionDropped("arb", 0, 3, "pool", "swap", 1))
    by_agent = InclusionDelay(by="agent").measure(log)
    assert list(by_agent.index) == ["crowd", "keeper"]
    assert by_agent["mean"].tolist() == [3.0, 10.0]
    assert by_agent["dropped"].tolist() == [0.0, 1.0]
    assert InclusionDelay().measure(log).loc["arb", "included"] == 3


def test_a_cascade_says_whose_positions_they_were() -> None:
    log = Log()
    log.about = {"groups": {"longs": {"first": 0, "last": 2}, "shorts": {"first": 2, "last": 4}}}
    for second, account in enumerate((0, 1, 3)):
        fact = PositionLiquidated("perp", account, 9, 1.0, 100.0, 100.0, 0.0, 0.0, 0.0, 0.0)
        log.record(second * SECOND, fact)
    answer = LiquidationCascade().measure(log)
    assert (answer["positions"], answer["longs.positions"], answer["shorts.positions"]) == (3, 2, 1)


def test_inclusion_delay_counts_the_dropped_apart(rollup: Log) -> None:
    rollup.record(5 * SECOND, TransactionDropped("arb", SECOND, 0, "pool", "swap", Status.DEADLINE))
    arb = InclusionDelay().measure(rollup).loc["arb"]
    assert arb["mean"] == pytest.approx(2.5 / 3)
    assert (arb["p50"], arb["max"], arb["included"], arb["dropped"]) == (1.0, 1.0, 3, 1)
    assert arb["p95"] == 1.0


def test_cost_per_transaction_in_ether_and_in_the_dollars_of_its_block() -> None:
    log = Log()
    log.about = {"prices": {"eth": 1.0}}
    log.record(0, PriceMoved("eth", 2000.0, 2000.0))
    log.record(3 * SECOND, PriceMoved("eth", 2000.0, 3000.0))
    for seconds, fees in ((2.0, (0.001, 0.002)), (3.0, (0.003, 0.0)), (5.0, (0.002, 0.002))):
        included(log, "arb", seconds, 1, 0.0, fees=fees)
    arb = CostPerTransaction().measure(log).loc["arb"]
    assert arb["execution_mean_eth"] == pytest.approx(0.002)
    assert arb["data_median_eth"] == pytest.approx(0.002)
    assert arb["total_median_eth"] == pytest.approx(0.003)
    assert arb["execution_mean_usd"] == pytest.approx((2.0 + 9.0 + 6.0) / 3)
    assert arb["total_mean_usd"] == pytest.approx((6.0 + 9.0 + 12.0) / 3)


def test_cost_without_a_price_of_ether_is_unknown_or_as_stated() -> None:
    log = Log()
    included(log, "arb", 1.0, 1, 0.0, fees=(0.001, 0.001))
    assert np.isnan(CostPerTransaction().measure(log).loc["arb"]["total_mean_usd"])
    assert CostPerTransaction(ether="2500 USD").measure(log).loc["arb"]["total_mean_usd"] == pytest.approx(5.0)
    log.about = {"prices": {"eth": 2000.0}}
    assert CostPerTransaction(ether="2500 USD").measure(log).loc["arb"]["total_mean_usd"] == pytest.approx(4.0)


def test_throughput(rollup: Log) -> None:
    included(rollup, "arb", 6.0, 3, 5.0, status=Status.SLIPPAGE)
    rollup.record(5 * SECOND, TransactionDropped("arb", SECOND, 0, "pool", "swap", Status.DEADLINE))
    arb = Throughput().measure(rollup).loc["arb"]
    assert arb["transactions_a_second"] == pytest.approx(4 / 40)
    assert arb["gas_a_second"] == pytest.approx(6000 / 40)
    assert (arb["succeeded_share"], arb["reverted_share"], arb["dropped_share"]) == pytest.approx((3 / 5, 1 / 5, 1 / 5))
    assert (arb["blocks"], arb["pending_max"], arb["pending_last"], arb["longest_silence"]) == (3, 2, 0, 2)


def test_empty_blocks_that_the_log_leaves_out_break_a_silence() -> None:
    log = Log()
    log.about = {"duration": 100 * SECOND, "chains": {"arb": {"block_time": 2 * SECOND, "blocks": 40}}}
    for seconds, number in ((10, 5), (50, 25), (70, 26), (74, 28)):
        sealed(log, "arb", seconds, number)
    arb = Throughput().measure(log).loc["arb"]
    assert (arb["blocks"], arb["longest_silence"]) == (40, 20)


def test_slots_of_l1_without_a_block_are_silent_and_no_blocks() -> None:
    """On L1 the number of a block is its slot, and every block is in the log."""
    log = Log()
    log.about = {"duration": 120 * SECOND, "chains": {"l1": ABOUT["chains"]["l1"] | {"blocks": 10}}}
    for slot in (1, 2, 7, 8, 10):
        sealed(log, "l1", 12 * slot, slot, gas=15_000_000)
    l1 = Throughput().measure(log).loc["l1"]
    assert (l1["blocks"], l1["longest_silence"], l1["gas_a_second"]) == (5, 60, 625_000)


def test_chains_without_markets_and_transactions_are_left_out_where_there_is_nothing_to_say(rollup: Log) -> None:
    sealed(rollup, "l1", 12.0, 1)
    assert list(InclusionDelay().measure(rollup).index) == list(CostPerTransaction().measure(rollup).index) == ["arb"]
    assert list(TimeToFinality().measure(rollup).index) == list(Throughput().measure(rollup).index) == ["arb", "l1"]


# ---- liquidations, debts, gains


def test_liquidation_cascades_are_cut_at_pauses() -> None:
    log = Log()
    for seconds, size, mark in ((100, 2.0, 100.0), (100, -1.0, 100.0), (130, 3.0, 90.0), (161, 4.0, 80.0), (400, 1.0, 50.0)):
        liquidated(log, seconds, size, mark)
    for index in (100.0, 110.0, 88.0, 99.0):
        log.record(0, PriceMoved("eth", 100.0, index))
    cascade = LiquidationCascade(gap="30 s").measure(log)
    assert cascade["cascades"] == 3
    assert cascade["positions"] == 5
    assert cascade["notional"] == pytest.approx(200 + 100 + 270 + 320 + 50)
    assert cascade["mean_notional"] == pytest.approx(940 / 3)
    assert cascade["largest_notional"] == pytest.approx(570)
    assert (cascade["largest_positions"], cascade["largest_rounds"], cascade["largest_duration"]) == (3, 2, 30)
    assert cascade["price_drop"] == pytest.approx(0.2)
    assert LiquidationCascade(gap="31 s").measure(log)["cascades"] == 2


def test_what_liquidation_takes_from_the_owners() -> None:
    """A long of 10 at mark 100 is sold at 99: of 25 left at the mark 10 go with the price, 5 are the penalty, 10 come back.

    Another is 20 under at the mark and 30 under at the price: it loses nothing by being liquidated. A third has 4 left at the
    mark and is 6 short at the price: it loses the 4.
    """
    log = Log()
    liquidated(log, 1, 10.0, 100.0, 99.0, reward=8.0, penalty=5.0, returned=10.0)
    assert LiquidationCascade().measure(log)["traders_lost"] == pytest.approx(15.0)
    liquidated(log, 1, 10.0, 100.0, 99.0, reward=8.0, shortfall=30.0)
    assert LiquidationCascade().measure(log)["traders_lost"] == pytest.approx(15.0)
    liquidated(log, 1, -10.0, 100.0, 101.0, reward=8.0, shortfall=6.0)
    cascade = LiquidationCascade().measure(log)
    assert cascade["traders_lost"] == pytest.approx(19.0)
    assert (cascade["rewards"], cascade["penalties"]) == (24.0, 5.0)


def test_a_cascade_of_one_market_falls_with_the_price_of_that_market() -> None:
    log = Log()
    log.about = {"markets": {"perp": {"base": "eth"}, "other": {"base": "btc"}}}
    liquidated(log, 1, 1.0, 100.0)
    liquidated(log, 2, 1.0, 100.0, market="other")
    for price, index in (("eth", 100.0), ("btc", 100.0), ("eth", 90.0), ("btc", 50.0)):
        log.record(0, PriceMoved(price, 100.0, index))
    assert LiquidationCascade().measure(log)[["positions", "price_drop"]].tolist() == pytest.approx([2, 0.5])
    assert LiquidationCascade(market="perp").measure(log)[["positions", "price_drop"]].tolist() == pytest.approx([1, 0.1])


def test_bad_debt_in_all_and_by_market() -> None:
    log = Log()
    liquidated(log, 1, 1.0, 100.0, shortfall=30.0)
    liquidated(log, 2, 1.0, 100.0, returned=3.0)
    liquidated(log, 2, 1.0, 100.0, market="other", shortfall=5.0)
    log.record(SECOND, BadDebtIncurred("perp", 1, 20.0))
    debt = BadDebt().measure(log)
    assert debt[["bad_debt", "shortfall", "covered", "positions"]].tolist() == [20.0, 35.0, 15.0, 2]
    assert "perp.bad_debt" in debt.index
    assert debt[["perp.bad_debt", "perp.covered", "other.bad_debt", "other.covered"]].tolist() == [20.0, 10.0, 0.0, 5.0]


def test_profit_and_loss_sums_to_zero_and_names_winners() -> None:
    log = Log()
    statements = [
        ("longs", "crowd", -100.0),
        ("longs", "crowd", 20.0),
        ("keepers", "liquidator", 50.0),
        ("others", "liquidator", 10.0),
        ("burned", "sink", 20.0),
    ]
    for group, kind, value in statements:
        log.record(0, AccountClosed(group, kind, "arb", "usd", 0.0, value, 1.0, value))
    answer = ProfitAndLoss().measure(log)
    assert answer["sum"] == 0.0
    assert answer["gained"] == 80.0
    assert answer["groups.longs.profit"] == -80.0
    assert answer["groups.longs.share"] == -1.0
    assert answer["groups.keepers.share"] == pytest.approx(0.625)
    assert answer["kinds.liquidator.total"] == 60.0
    assert (ProfitAndLoss.unit("groups.longs.profit"), ProfitAndLoss.unit("groups.longs.share")) == ("USD", "")


def test_units_of_figures() -> None:
    assert TimeToFinality.unit("arb.finalized_from_block_p95") == "s"
    assert TimeToFinality.unit("arb.finalized_unresolved") == ""
    assert CostPerTransaction.unit("arb.total_mean_usd") == "USD"
    assert LiquidationCascade.unit("traders_lost") == "USD"
    assert Throughput.unit("l1.gas_a_second") == "gas/s"


def test_those_whom_nobody_serves_need_not_count(rollup: Log) -> None:
    """What is left out of means is what one group sent, in a chain's figures and not in its own."""
    senders = rollup.select(TransactionIncluded, "sender", chain="arb")[0]
    first, last = int(senders.min()), int(senders.max()) + 1
    rollup.about["groups"] = {"all": {"kind": "crowd_of_traders", "section": "agents", "first": first, "last": last}}
    for kind, figure in (
        ("time_to_finality", "soft_observed"),
        ("cost_per_transaction", "transactions"),
        ("fee_components", "transactions"),
    ):
        metric = room("metrics").find(kind)
        whole, none = (metric.model_validate({"kind": kind, "leaves_out": groups}).measure(rollup) for groups in ((), ("all",)))
        assert whole.loc["arb", figure] == len(senders) > 0
        assert none.loc["arb", figure] == 0
        if kind == "fee_components":
            assert none.loc["all on arb", figure] == len(senders)
