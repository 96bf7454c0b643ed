"""The scenario of saturated blobs, shortened: what an ether buys under two schedules; and its metrics and figure by themselves."""

from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from l2sim import Scenario, simulate
from l2sim.events.l1_market import SpaceBought
from l2sim.report import saturation
from l2sim.report.evidence import Evidence
from l2sim.results import Results
from l2sim.simulation import experiment

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
    assert not list(saturation.pictures(Evidence(experiment(brief().vary(duration="2min").without("metrics"), out=tmp_path))))
