"""Capital locked, value at risk before finality and capital efficiency, from logs small enough to work out by hand."""

import numpy as np
import numpy.typing as npt
import pytest
from validation import run, run_file
from worlds import small

from l2sim.events import (
    AccountClosed,
    AssertionConfirmed,
    AssertionMade,
    BadDebtIncurred,
    BlockSealed,
    HeadAdvanced,
    PositionClosed,
    PositionLiquidated,
    PositionOpened,
    PriceMoved,
    WithdrawalFinalized,
    WithdrawalInitiated,
)
from l2sim.events.bridging import DepositCredited, DepositMade, WithdrawalAdvanced
from l2sim.events.positions import PositionBrought
from l2sim.log import Log
from l2sim.markets.perpetual.accounts import PerpetualAccounts
from l2sim.markets.perpetual.book import PerpetualBook
from l2sim.markets.perpetual.positions import Position
from l2sim.metrics.capital_efficiency import CapitalEfficiency, positions
from l2sim.metrics.capital_locked import CapitalLocked, level
from l2sim.metrics.counterparty_exposure import CounterpartyExposure
from l2sim.metrics.time_to_finality import TimeToFinality
from l2sim.metrics.value_at_risk_before_finality import ValueAtRiskBeforeFinality
from l2sim.metrics.withdrawal_delay import WithdrawalDelay
from l2sim.streams import Streams
from l2sim.units import DAY, SECOND
from l2sim.world.engine import Engine
from l2sim.world.world import World

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@pytest.fixture
def bridged() -> Log:
    """10 ether leave at 10 s, are advanced at 20 s and paid at 60 s; 4 go in at 30 s and are there at 40 s; 5 USD each, from 25 s on 6."""
    log = Log()
    log.about = {
        "duration": 100 * SECOND,
        "markets": {"gate": {"kind": "bridge", "on": "op", "base": "eth"}},
        "groups": {},
        "prices": {"eth": 6.0},
    }
    facts = [
        (0, PriceMoved("eth", 5.0, 5.0)),
        (10, BlockSealed("op", 1, 1, 0, 0, 0, 0, 0)),
        (10, WithdrawalInitiated("gate", 7, 1, 10.0)),
        (20, WithdrawalAdvanced("gate", 7, 1, 9, 10.0, 0.5, 1, 0.0)),
        (25, PriceMoved("eth", 6.0, 6.0)),
        (30, DepositMade("gate", 7, 1, 4.0, 3, 0.0)),
        (40, BlockSealed("op", 2, 1, 0, 0, 0, 0, 0)),
        (40, DepositCredited("gate", 7, 1, 4.0, 2)),
        (50, HeadAdvanced("op", "safe", 1)),
        (55, HeadAdvanced("op", "finalized", 1)),
        (60, AssertionConfirmed("op", 0, 1, 1)),
        (60, WithdrawalFinalized("gate", 7, 1, 10.0, 1, 0.0)),
    ]
    for time, fact in facts:
        log.record(time * SECOND, fact)
    return log


def test_what_is_on_its_way(bridged: Log) -> None:
    found = CapitalLocked(rate=0.365).measure(bridged).loc["gate"]
    # 50 USD for 10 s with its owner, 40 s with the provider; 24 USD for 10 s.
    assert found[["waiting_mean", "advanced_mean", "inward_mean"]].tolist() == pytest.approx([5.0, 20.0, 2.4])
    assert found["locked_mean"] == pytest.approx(27.4)
    assert found["locked_max"] == pytest.approx(74.0)
    assert found["cost"] == pytest.approx(27.4 * 0.001 * 100 * SECOND / DAY)
    late = CapitalLocked.model_validate({"kind": "capital_locked", "warm_up": "15s", "cool_down": "75s"}).measure(bridged).loc["gate"]
    assert late[["waiting_mean", "advanced_mean"]].tolist() == pytest.approx([25.0, 25.0])
    assert np.isnan(CapitalLocked().measure(_empty()).loc["gate", "locked_mean"])


def _empty() -> Log:
    log = Log()
    log.about = {"duration": 10, "markets": {"gate": {"kind": "bridge", "on": "op", "base": None}}, "groups": {}, "prices": {}}
    return log


def test_amounts_that_change_hands_at_once_are_not_counted_twice() -> None:
    begins, ends, amounts = np.array([0, 10]), np.array([10, 20]), np.array([3.0, 3.0])
    assert level(begins, ends, amounts, 0, 20) == (3.0, 3.0)


@pytest.mark.parametrize(("until", "out"), [("safe", 40.0), ("finalized", 45.0), ("withdrawable", 50.0)])
def test_value_that_is_not_final(bridged: Log, until: str, out: float) -> None:
    metric = ValueAtRiskBeforeFinality.model_validate({"kind": "value_at_risk_before_finality", "until": until})
    found = metric.measure(bridged).loc["op"]
    # The deposit's block never becomes final: 24 USD from 40 s to the end.
    assert found["bridged_mean"] == found["mean"] == pytest.approx((50.0 * out + 24.0 * 60.0) / 100.0)
    assert found["max"] == 74.0
    assert np.isnan(found["traded_mean"])


def test_trades_count_with_their_notional() -> None:
    log = Log()
    log.about = {"duration": 100 * SECOND, "markets": {"perp": {"kind": "perpetual", "on": "op", "base": "eth"}}, "groups": {}}
    log.record(10 * SECOND, BlockSealed("op", 1, 2, 0, 0, 0, 0, 0))
    log.record(10 * SECOND, PositionOpened("perp", 1, -2.0, 100.0, 20.0, 0.0, 0.0))
    log.record(10 * SECOND, PositionClosed("perp", 2, 1.0, 110.0, 0.0))
    log.record(20 * SECOND, HeadAdvanced("op", "finalized", 1))
    found = ValueAtRiskBeforeFinality().measure(log).loc["op"]
    assert found["traded_mean"] == pytest.approx(31.0)
    assert found["max"] == 310.0


def test_the_value_on_its_way_of_a_run_is_what_the_bridge_still_owes() -> None:
    log = run_file("fast_withdrawals", "duration=10h")
    left, paid = log.frame("WithdrawalInitiated"), log.frame("WithdrawalFinalized")
    found = CapitalLocked().measure(log).loc["bridge"]
    times = np.concatenate([left["time"], paid["time"]])
    steps = np.concatenate([left["amount"], -paid["amount"]])[np.argsort(times, kind="stable")]
    times = np.append(np.sort(times), 10 * 3600 * SECOND)
    assert found["locked_mean"] == pytest.approx((np.cumsum(steps) * np.diff(times)).sum() / times[-1])
    assert found["waiting_mean"] + found["advanced_mean"] == pytest.approx(found["locked_mean"])


# ---- capital efficiency


def test_notional_per_unit_of_collateral() -> None:
    """1000 USD from before for 100 s, of which a quarter is closed half way; 300 USD opened at a quarter, liquidated at three."""
    log = Log()
    groups = {"house": ("market_maker", "perp", 50), "crowd": ("crowd", "perp", 60), "next_door": ("market_maker", "other", 70)}
    log.about = {
        "duration": 100 * SECOND,
        "markets": {name: {"kind": "perpetual", "on": "op", "base": "eth"} for name in ("perp", "other")},
        "groups": {
            name: {"kind": kind, "section": "agents", "first": at, "last": at + 5, "market": market}
            for name, (kind, market, at) in groups.items()
        },
    }
    for time, fact in [
        (0, PositionBrought("perp", 62, -2.5, 100.0, 25.0)),
        (0, PositionBrought("perp", 63, 7.5, 100.0, 75.0)),
        (25, PositionOpened("perp", 61, 3.0, 100.0, 60.0, 0.0, 0.0)),
        (30, PositionOpened("perp", 51, 9.0, 100.0, 60.0, 0.0, 0.0)),
        (50, PositionClosed("perp", 62, -2.5, 90.0, 0.0)),
        (75, PositionLiquidated("perp", 61, 50, 3.0, 80.0, 80.0, 0.0, 0.0, 0.0, 20.0)),
        (75, BadDebtIncurred("perp", 61, 20.0)),
        (100, AccountClosed("house", "market_maker", "op", "usd", 200.0, 0.0, 1.0, 0.0)),
        (100, AccountClosed("perp", "perpetual", "op", "usd", 130.0, 0.0, 1.0, 0.0)),
        (100, AccountClosed("next_door", "market_maker", "op", "usd", 7000.0, 0.0, 1.0, 0.0)),
    ]:
        log.record(time * SECOND, fact)
    assert CapitalEfficiency().measure(log).loc["other", "collateral"] == 7000.0
    found = CapitalEfficiency().measure(log).loc["perp"]
    assert found["notional"] == pytest.approx(1000.0 - 250.0 / 2 + 300.0 / 2)
    # Margins of 100, a quarter less from half way, and 60 for half of the time; the maker's 200, and 30 of insurance.
    assert found["collateral"] == pytest.approx(100.0 - 25.0 / 2 + 60.0 / 2 + 200.0 + 30.0)
    assert found["bad_debt"] == 20.0
    assert found["efficiency"] == pytest.approx(found["notional"] / found["collateral"])
    assert found["sufficient"] == pytest.approx(found["notional"] / (found["collateral"] + 20.0))


def test_loans_count_with_what_is_owed_and_pledged() -> None:
    log = Log()
    log.about = {"duration": 100, "markets": {"pool": {"kind": "lending_pool", "on": "op", "base": None}}, "groups": {}}
    log.record(0, PriceMoved("eth", 3000.0, 3000.0))
    for group, asset, opening in [("some", "eth", 2.0), ("some", "usd", -4000.0), ("pool", "usd", 4000.0), ("pool", "eth", -2.0)]:
        log.record(100, AccountClosed(group, "", "pool", asset, opening, 0.0, 1.0, 0.0))
    found = CapitalEfficiency().measure(log).loc["pool"]
    assert found[["notional", "collateral"]].tolist() == [4000.0, 6000.0]


def test_a_market_of_a_run_has_the_margins_and_makers_that_were_brought() -> None:
    log = run(small("metrics.capital={kind: capital_efficiency}", "duration=20min"))
    found = CapitalEfficiency().measure(log).loc["eth_perp"]
    brought = log.frame("PositionBrought")
    assert found["collateral"] == pytest.approx(2e6 + 3 * 2e5 + 500.0 + brought["margin"].sum(), rel=0.05)
    notional = (brought["size"].abs() * brought["entry"]).sum()
    assert 0.5 * notional < found["notional"] < 1.5 * notional
    assert "PositionBrought" not in run(small("duration=1min")).tables


@pytest.mark.parametrize("engine", ["lists", "arrays"])
def test_the_margins_of_a_run_are_those_of_each_account(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What each position's margin and notional at entry are is written down in the book, whenever one changes."""
    changes: list[tuple[int, int, float, float]] = []

    def establish(book: PerpetualBook, accounts: Ints, size: Floats, entry: Floats, margin: Floats) -> None:
        held = accounts.tolist(), margin.tolist(), (np.abs(size) * entry).tolist()
        changes.extend((0, *one) for one in zip(*held, strict=True))
        PerpetualAccounts.establish(book, accounts, size, entry, margin)

    replaces = PerpetualBook._replace

    def replace(book: PerpetualBook, account: int, old: Position | None, new: Position | None) -> None:
        margin, notional = (new.margin, abs(new.size) * new.entry) if new is not None else (0.0, 0.0)
        changes.append((book.now, account, margin, notional))
        replaces(book, account, old, new)

    monkeypatch.setattr(PerpetualBook, "establish", establish)
    monkeypatch.setattr(PerpetualBook, "_replace", replace)
    scenario = small("metrics.exposure={kind: counterparty_exposure}", "agents.leveraged.leverage={kind: lognormal, median: 8, sigma: 0.9}")
    log = World(scenario, Streams(3), {}, engine).run()
    crowd, duration = log.about["groups"]["leveraged"], log.about["duration"]
    held: dict[int, tuple[float, float]] = {}
    levels, since = np.zeros(2), 0
    areas, largest = np.zeros(2), 0.0
    for time, account, margin, notional in changes:
        areas += levels * (time - since)
        largest = max(largest, levels[0] if time > since else 0.0)
        since = time
        if crowd["first"] <= account < crowd["last"]:
            held[account] = margin, notional
            levels = np.sum(list(held.values()), axis=0)
    areas += levels * (duration - since)
    assert len(log.select(PositionLiquidated, "time")[0]) > 50
    assert len(log.select(PositionOpened, "time")[0]) > 50
    times, notional_, margin_ = positions("eth_perp", log)
    assert (margin_[-1], notional_[-1]) == pytest.approx(levels.tolist())
    spans = np.diff(np.append(times, duration))
    assert [(step * spans).sum() for step in (margin_, notional_)] == pytest.approx(areas.tolist())
    found = CounterpartyExposure().measure(log).loc["arb"]
    assert found["held_mean"] == found["l1_mean"] == pytest.approx(areas[0] / duration)
    assert found["held_max"] == pytest.approx(max(largest, levels[0]))


def test_who_holds_nothing_opens_before_it_closes_in_a_block() -> None:
    log = Log()
    log.about = {"duration": 100, "groups": {}}
    log.record(10, PositionOpened("perp", 1, 2.0, 100.0, 50.0, 0.0, 0.0))
    log.record(10, PositionClosed("perp", 1, 2.0, 100.0, 0.0))
    log.record(20, PositionOpened("perp", 1, 2.0, 100.0, 50.0, 0.0, 0.0))
    log.record(30, PositionClosed("perp", 1, 2.0, 100.0, 0.0))  # and turned over
    log.record(30, PositionOpened("perp", 1, -1.0, 90.0, 40.0, 0.0, 0.0))
    log.record(40, PositionOpened("perp", 1, -3.0, 90.0, 60.0, 0.0, 0.0))  # more of it, and all that liquidated
    log.record(40, PositionLiquidated("perp", 1, 2, -3.0, 100.0, 99.0, 0.0, 0.0, 0.0, 0.0))
    times, notional, margin = (column.tolist() for column in positions("perp", log))
    assert times == [0, 10, 10, 20, 30, 30, 40, 40]
    assert notional == [0.0, 200.0, 0.0, 200.0, 0.0, 90.0, 270.0, 0.0]
    assert margin == [0.0, 50.0, 0.0, 50.0, 0.0, 40.0, 60.0, 0.0]


BESIDE = (
    "prices.btc={kind: path, points: {0: 60 kUSD}}",
    "markets.btc_perp={kind: perpetual, on: arb, index: btc, insurance_fund: 7 kUSD}",
    "agents.btc_maker={kind: market_maker, market: btc_perp, capital: 3 MUSD}",
    "agents.btc_keeper={kind: liquidator, market: btc_perp, capital: 1 MUSD}",
)


def test_what_stands_behind_another_market_of_the_chain_does_not_count() -> None:
    ask = "metrics.capital={kind: capital_efficiency}", "duration=5min"
    alone = CapitalEfficiency().measure(run(small(*ask)))
    both = CapitalEfficiency().measure(run(small(*ask, *BESIDE)))
    assert both.loc["eth_perp", "collateral"] == pytest.approx(alone.loc["eth_perp", "collateral"], rel=1e-3)
    assert both.loc["btc_perp", "collateral"] == pytest.approx(3e6 + 1e6 + 7e3)


# ---- counterparty exposure


def margins(settles_on: str | None = None, availability: str = "blobs", kind: str = "rollup") -> Log:
    """Margins of 100 USD from before, all closed at 60 s, and of 50 in a second market from 20 s to 70 s, when 10 are left; 100 s."""
    log = Log()
    log.about = {
        "duration": 100 * SECOND,
        "chains": {"it": {"kind": kind, "settles_on": settles_on, "availability": availability}},
        "markets": {
            **{name: {"kind": "perpetual", "on": "it", "base": "eth"} for name in ("one", "two")},
            "pool": {"kind": "constant_product", "on": "it", "base": "eth"},
        },
        "groups": {"house": {"kind": "market_maker", "section": "agents", "first": 50, "last": 51, "market": "one"}},
    }
    for time, fact in [
        (0, PositionBrought("one", 1, 5.0, 100.0, 100.0)),
        (20, PositionOpened("two", 3, 2.0, 100.0, 50.0, 0.0, 0.0)),
        (30, PositionOpened("one", 50, 2.0, 100.0, 7777.0, 0.0, 0.0)),
        (60, PositionClosed("one", 1, 5.0, 110.0, 0.0)),
        (70, PositionClosed("two", 3, 1.6, 90.0, 0.0)),
    ]:
        log.record(time * SECOND, fact)
    return log


@pytest.mark.parametrize(
    ("chain", "whose"),
    [
        ({}, "own"),
        ({"settles_on": "l1"}, "l1"),
        ({"settles_on": "l1", "availability": "calldata"}, "l1"),
        ({"settles_on": "l1", "availability": "committee"}, "committee"),
        ({"kind": "l1"}, "l1"),
    ],
)
def test_margins_rest_on_those_who_can_keep_them(chain: dict[str, str], whose: str) -> None:
    found = CounterpartyExposure().measure(margins(**chain))
    assert found.index.tolist() == ["it"]
    held = found.loc["it"]
    assert held["held_mean"] == pytest.approx((100.0 * 60 + 50.0 * 50 + 10.0 * 30) / 100)
    assert held["held_max"] == 150.0
    assert {name for name in ("own", "committee", "l1") if held[f"{name}_mean"]} == {whose}
    assert held[f"{whose}_mean"] == held["held_mean"]


def test_margins_of_a_part_of_the_run() -> None:
    asked = CounterpartyExposure.model_validate({"kind": "counterparty_exposure", "warm_up": "50s", "cool_down": "20s"})
    held = asked.measure(margins()).loc["it"]
    assert held[["held_mean", "held_max"]].tolist() == pytest.approx([(150.0 * 10 + 50.0 * 10 + 10.0 * 10) / 30, 150.0])
    none = CounterpartyExposure.model_validate({"kind": "counterparty_exposure", "warm_up": "100s"}).measure(margins()).loc["it"]
    assert none.isna().all()


# ---- delays


def test_fast_withdrawals_have_figures_of_their_own() -> None:
    log = run_file("fast_withdrawals")
    found = WithdrawalDelay().measure(log).loc["bridge"]
    assert found["fast"] == len(log.frame("WithdrawalAdvanced"))
    # A wait for a block every two minutes, and a slot.
    assert found["fast_mean"] == pytest.approx((60 + 12) / 3600, rel=0.1)
    assert found["fast_max"] < 0.05
    assert found["min"] <= found["p05"] <= found["p25"] <= found["p50"] <= found["p75"] <= found["p95"]
    advanced = log.frame("WithdrawalAdvanced")
    assert found["fast_fee"] == pytest.approx((advanced["fee"] / advanced["amount"]).mean())


def test_withdrawable_is_a_level_of_finality_where_assertions_are_made() -> None:
    log = run_file("fast_withdrawals")
    found = TimeToFinality.model_validate({"kind": "time_to_finality", "cool_down": "9h"}).measure(log).loc["op"]
    # Half an interval of proposals and its slot, then the window.
    assert found["withdrawable_mean"] == pytest.approx((7.5 * 3600) + 12, rel=0.01)
    assert found["withdrawable_unresolved"] == 0
    assert "withdrawable_mean" not in TimeToFinality().measure(run_file("waits_on_a_rollup", "duration=1min")).columns


def test_what_nothing_is_asserted_about_is_final_by_itself_or_not_at_all() -> None:
    log = Log()
    log.about = {
        "duration": 100 * SECOND, "groups": {}, "chains": {"l1": {"kind": "l1"}, "op": {"kind": "rollup"}, "bare": {"kind": "rollup"}},
        "markets": {f"on_{chain}": {"kind": "perpetual", "on": chain, "base": "eth"} for chain in ("l1", "op", "bare")},
    }  # fmt: skip
    for chain in ("l1", "op", "bare"):
        log.record(10 * SECOND, BlockSealed(chain, 1, 1, 0, 0, 0, 0, 0))
        log.record(10 * SECOND, PositionOpened(f"on_{chain}", 1, 1.0, 100.0, 20.0, 0.0, 0.0))
        log.record(20 * SECOND, HeadAdvanced(chain, "finalized", 1))
    log.record(30 * SECOND, AssertionMade("op", 0, 0, 1, 1, 1, 1, 1.0, 0.5))
    log.record(50 * SECOND, AssertionConfirmed("op", 0, 1, 1))
    found = ValueAtRiskBeforeFinality(until="withdrawable").measure(log)["mean"]
    assert found.to_dict() == pytest.approx({"l1": 10.0, "op": 40.0, "bare": np.nan}, nan_ok=True)
    levels = TimeToFinality().measure(log)["withdrawable_from_block_unresolved"]
    assert levels.to_dict() == pytest.approx({"l1": np.nan, "op": 0.0, "bare": np.nan}, nan_ok=True)


def test_nobody_else_leaves_through_a_false_assertion() -> None:
    log = Log()
    log.about = {
        "duration": 100 * SECOND, "groups": {}, "chains": {"op": {"kind": "rollup"}},
        "markets": {"perp": {"kind": "perpetual", "on": "op", "base": "eth"}},
    }  # fmt: skip
    log.record(10 * SECOND, BlockSealed("op", 1, 1, 0, 0, 0, 0, 0))
    log.record(10 * SECOND, PositionOpened("perp", 1, 1.0, 100.0, 20.0, 0.0, 0.0))
    for number, valid, time in ((0, 0, 30), (1, 1, 50)):
        log.record((20 + number) * SECOND, AssertionMade("op", number, 0, 1, 1, number, valid, 1.0, 0.5))
        log.record(time * SECOND, AssertionConfirmed("op", number, 1, valid))
    assert ValueAtRiskBeforeFinality(until="withdrawable").measure(log)["mean"]["op"] == pytest.approx(40.0)
    assert TimeToFinality().measure(log)["withdrawable_from_block_mean"]["op"] == pytest.approx(40.0)
