"""The scenario of saturated blobs, shortened: what an ether buys under two schedules; and its metrics and figure by themselves."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from l2sim import Scenario, simulate
from l2sim.events import BadDebtIncurred, BlockSealed, HeadAdvanced
from l2sim.events.l1_market import SpaceBought
from l2sim.log import Log
from l2sim.metrics.saturation import Saturation, made_at
from l2sim.report import saturation
from l2sim.report.evidence import Evidence
from l2sim.report.saturation import lines
from l2sim.results import Results
from l2sim.simulation import experiment
from l2sim.units import SECOND

FILE = Path(__file__).resolve().parent.parent / "scenarios" / "blob_saturation.yaml"
BRIEF = [
    "duration=50min", "prices.eth.shocks.crash.at=12min", "prices.eth.shocks.crash.over=6min",
    *(f"attacks.on_{side}.{what}" for side in ("prague", "today") for what in ("begins=4min", "lasts=45min", "budget=0.5 ETH")),
    *(f"agents.{side}_leveraged.size=1000" for side in ("prague", "today")),
    *(f"agents.{side}_traders.size=300" for side in ("prague", "today")),
    *(f"chains.{side}.backlog_limit=200 kB" for side in ("prague", "today")),
]  # fmt: skip


def brief() -> Scenario:
    return Scenario.load(FILE, BRIEF)


@cache
def hit() -> Results:
    return simulate(brief())


def test_an_ether_buys_less_delay_under_the_reserve_price() -> None:
    # Half an ether and tips of 100 gwei: dozens of blocks from 1 wei, fewer from the reserve with four transactions a block.
    figures: pd.Series[float] = hit().summary.iloc[0]
    calm = simulate(brief().without_attacks()).summary.iloc[0]
    assert 0.4 < figures["old.spent"] <= 0.5
    assert 0.4 < figures["new.spent"] <= 0.5
    assert figures["old.blocks"] > 1.5 * figures["new.blocks"]
    assert figures["old.lag"] > 1.3 * figures["new.lag"] > 1.3 * 1.5 * calm["new.lag"]
    assert figures["old.delay_per_ether"] == pytest.approx(figures["old.delay"] / figures["old.spent"])
    assert figures["new.bad_debt_per_ether"] == pytest.approx(figures["new.bad_debt"] / figures["new.spent"])
    assert calm["old.spent"] == calm["new.spent"] == 0.0
    assert pd.isna(calm["old.delay_per_ether"])
    assert calm["old.lag"] == pytest.approx(calm["new.lag"], abs=60.0)
    usual = [figures[f"{side}.lag"] - figures[f"{side}.delay"] for side in ("old", "new")]
    assert usual == [pytest.approx(4 * 60.0, abs=12.0)] * 2  # the attack begins before the first batch


def test_what_was_late_before_the_attack_is_not_its_work() -> None:
    """Blocks every 10 s. Newest safe ones: 2 from 40 s on, 5 from 70 s, 30 from 400 s to the end at 450 s; bought are 100 s and 112 s."""
    log = Log()
    log.about = {"duration": 450 * SECOND, "chains": {"it": {"kind": "rollup", "settles_on": "l1", "block_time": 10 * SECOND}}}
    for at, head, number in ((40, "safe", 2), (70, "safe", 5), (90, "finalized", 2), (400, "safe", 30), (430, "finalized", 5)):
        log.record(at * SECOND, HeadAdvanced("it", head, number))
    log.record(450 * SECOND, BadDebtIncurred("perp", 1, 30.0))
    calm = Saturation(rollup="it").measure(log)
    for at, spent in ((100, 0.5), (112, 1.5)):
        log.record(at * SECOND, SpaceBought("l1", at, 9, 0, 6, spent))  # type: ignore[call-arg]
    found = Saturation(rollup="it").measure(log)
    # Safe: just before 400 s the newest is of 50 s; before 100 s no age was more than 50, of block 2 at 70 s and of 5 at 100 s.
    assert found[["lag", "delay", "delay_per_ether"]].tolist() == [350.0, 300.0, 150.0]
    # Finalized: of 20 s just before 430 s; before the attack the age of nothing at 90 s.
    assert found[["finalized_lag", "finalized_delay", "finalized_delay_per_ether"]].tolist() == [410.0, 320.0, 160.0]
    assert found["bad_debt_per_ether"] == 15.0
    assert calm[["lag", "finalized_lag"]].tolist() == [350.0, 410.0]
    assert calm[["delay", "finalized_delay", "delay_per_ether"]].isna().all()


def test_every_blob_under_each_schedule_is_bought() -> None:
    log = hit().log(0)
    for l1, most in (("l1_prague", 9), ("l1_today", 21)):
        blobs, gas = log.select(SpaceBought, "blobs", "gas", chain=l1)
        assert max(blobs.tolist()) == most
        assert set(gas.tolist()) == ({21_000} if most == 9 else {84_000})


def test_the_report_shows_fees_and_heads(tmp_path: Path) -> None:
    evidence = Evidence(experiment(brief().vary(duration="12min"), replications=2, out=tmp_path))
    (picture,) = saturation.pictures(evidence)
    assert set(picture.data["rollup"]) == {"prague", "today"}
    assert picture.data.groupby("l1")["blob_fee_gwei"].max()["l1_prague"] > 1e-9
    assert (picture.data["age_s"] >= 0.0).all()
    assert picture.data["age_s"].max() > 300.0
    assert len(list(saturation.tables(evidence))) == 2
    assert not list(saturation.pictures(Evidence(experiment(brief().vary(duration="2min").without("answer", "metrics"), out=tmp_path))))


def test_blocks_after_an_outage_are_as_old_as_they_are() -> None:
    """Blocks every 10 s until 50 s, none for 300 s, then again; block 7 is empty and not in the log, and what is bought comes at 370 s."""
    log = Log()
    log.about = {"duration": 450 * SECOND, "chains": {"it": {"kind": "rollup", "settles_on": "l1", "block_time": 10 * SECOND}}}
    for number, at in ((1, 10), (3, 30), (5, 50), (6, 360), (8, 380)):
        log.record(at * SECOND, BlockSealed("it", number, 1, 21_000, 0, 0, 0, 0))
    assert (made_at(log, "it", np.arange(10)) / SECOND).tolist() == [0, 10, 20, 30, 40, 50, 360, 370, 380, 390]
    for at, number in ((60, 5), (365, 6), (390, 7)):
        log.record(at * SECOND, HeadAdvanced("it", "safe", number))
    log.record(370 * SECOND, SpaceBought("l1", 370, 9, 0, 6, 1.0))  # type: ignore[call-arg]
    found = Saturation(rollup="it").measure(log)
    # Just before 365 s the newest safe block is 5; at the end it is 7, which is 80 s old and no 380 s.
    assert found[["lag", "delay"]].tolist() == [315.0, 0.0]
    ages = lines([log], "it", np.array([400.0 * SECOND])).ages
    assert ages.tolist() == [[30.0]]
