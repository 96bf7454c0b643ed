"""The scenario of a censored trader, on a fall of three hours and with Arbitrum's delay made two: who is out when, and at what loss."""

from functools import cache

import pandas as pd
import pytest
from worlds import SCENARIOS

from l2sim import Scenario, simulate
from l2sim.results import Results

SHORT = (
    *("duration=5h", "prices.eth.shocks.fall.at=10min", "prices.eth.shocks.fall.over=3h", "prices.eth.volatility=5 %"),
    *("chains.arb.forced_inclusion.delay=600", "chains.op.forced_inclusion.window=900"),
    *(f"attacks.on_{chain}.{what}" for chain in ("op", "arb", "zk", "taiko") for what in ("begins=5min", "lasts=295min")),
)


@cache
def results(which: str) -> Results:
    scenario = Scenario.load(SCENARIOS / "censored_user.yaml", SHORT)
    if which == "calm":
        scenario = scenario.without_attacks()
    if which == "stubborn":
        scenario = scenario.vary({"attacks.on_op.stubborn": True})
    return simulate(scenario, seed=3)


@cache
def figures(which: str) -> "pd.Series[float]":
    return results(which).summary.iloc[0]


def test_the_rules_decide_when_the_trader_is_out() -> None:
    hit = figures("hit")
    patience = 300
    assert patience + 576 < hit["censorship.taiko.mean"] < patience + 576 + 60
    assert patience + 1788 < hit["censorship.op.mean"] < patience + 1800 + 60
    assert patience + 601 * 12 < hit["censorship.arb.mean"] < patience + 601 * 12 + 60
    assert hit["censorship.zk.never"] == 1
    # By then the position has been liquidated where it took so long.
    assert hit["censorship.arb.failed"] == 1
    assert hit["censorship.op.failed"] == hit["censorship.taiko.failed"] == 0
    assert figures("calm")[[f"censorship.{chain}.attempts" for chain in ("op", "arb", "zk", "taiko")]].tolist() == [0] * 4


def test_the_longer_the_wait_the_greater_the_loss() -> None:
    effect = figures("calm") - figures("hit")
    lost = {chain: effect[f"profit.groups.{chain}_trader.profit"] for chain in ("op", "arb", "zk", "taiko")}
    assert 0 < lost["taiko"] < lost["op"] < lost["arb"]
    assert lost["arb"] == pytest.approx(lost["zk"], rel=0.02)
    liquidated = results("hit").events("PositionLiquidated")["market"].astype(str)
    assert sorted(liquidated) == ["arb_perp", "zk_perp"]
    assert "PositionLiquidated" not in results("calm").log(0)


def test_censoring_costs_nothing_until_the_blocks_stay_empty() -> None:
    calm, hit, stubborn = (figures(which) for which in ("calm", "hit", "stubborn"))
    name = "throughput.op.transactions"
    assert abs(hit[name] - calm[name]) <= 2
    # It holds its origin back for the window of three hours; after the drift nobody's transactions are in its blocks.
    assert stubborn["delay.op.max"] > 2 * 3600 > 3600 > hit["delay.op.max"]
    assert stubborn["censorship.op.mean"] > 900 * 12
    assert stubborn["censorship.op.failed"] == 1
