"""The study of the grace period: what it asks, and on a small copy what a grace period does and what it costs."""

import re
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from l2sim.scenario import Scenario
from l2sim.study.description import Study
from l2sim.study.findings import Findings
from l2sim.study.running import sweep

SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"
FILE = SCENARIOS / "studies" / "grace_period.yaml"
GRACE, OUTAGE = "markets.loans.grace_period", "attacks.outage.lasts"


def test_every_rule_meets_every_length_of_outage_and_of_grace() -> None:
    study = Study.load(FILE)
    study.check()
    assert len(study.points) == 48
    assert {point.levels[GRACE] for point in study.points} == {0.0, 1200.0, 3600.0, 7200.0}
    ends = 5400 + max(float(point.levels[OUTAGE]) + float(point.levels[GRACE]) for point in study.points)
    assert ends * 1e9 < study.base.duration, "each grace period is over before the end, so that what it deferred is seen"
    for point in study.points:
        pool = study.scenario(point).model_dump()["markets"]["loans"]
        assert pool["grace_threshold"] == (0.01 if point.levels["rule"] == "half, all spared" else 0.95)


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    page = YAML(typ="safe").load(FILE)
    page["set"] = {
        "duration": "3h",
        "agents.automatic.size": 100,
        "agents.people.size": 400,
        "prices.eth.shocks.fall.at": "30min",
        "attacks.outage.begins": "50min",
        "chains.arb.sequencer.block_time": "10s",
    }
    page["vary"]["factors"] |= {OUTAGE: ["30min"], GRACE: ["0s", "90min"]}
    page["replications"] = 2
    return sweep(Study.of(page, "grace_period", FILE.parent), out=tmp_path_factory.mktemp("grace"))


def mean(findings: Findings, figure: str) -> "pd.Series[float]":
    """By rule and length of grace."""
    frame = findings.frame("as_written")[figure].groupby("point").mean()
    return pd.Series(frame.to_numpy(), index=pd.MultiIndex.from_frame(findings.points[["rule", GRACE]]))


def test_grace_spares_loans_by_every_rule(findings: Findings) -> None:
    loans = mean(findings, "loans.loans")
    for rule in findings.points["rule"].unique():
        assert loans[rule, 5400.0] < 0.98 * loans[rule, 0.0]


def test_those_that_are_not_spared_lose_more_where_half_of_a_loan_would_have_done(findings: Findings) -> None:
    lost = mean(findings, "loans.borrowers_lost")
    assert lost["half", 5400.0] / lost["half", 0.0] > 1.02 * lost["whole", 5400.0] / lost["whole", 0.0]
    assert lost["to target", 0.0] < lost["half", 0.0] < lost["whole", 0.0]


def test_to_spare_all_costs_the_lenders(findings: Findings) -> None:
    debt = mean(findings, "loans.bad_debt")
    assert debt["half, all spared", 5400.0] > 1000.0 + debt["half, all spared", 0.0]
    assert debt["half, all spared", 5400.0] > 1000.0 + debt["half", 5400.0]
    assert debt["half", 0.0] == debt["half, all spared", 0.0], "without a grace period there is nobody to spare"


def test_every_comparison_says_something_computed(findings: Findings) -> None:
    assert findings.failures.empty
    assert set(findings.readings) == set(findings.study.compare)
    for reading in findings.readings.values():
        assert reading.findings
        assert all(re.search(r"\d", sentence) for sentence in reading.findings)


def test_the_scenario_is_one_point_of_it() -> None:
    study = Study.load(FILE)
    levels = {OUTAGE: 3600.0, GRACE: 3600.0, "rule": "half"}
    (point,) = (point for point in study.points if dict(point.levels) == levels)
    assert study.scenario(point).model_dump() == Scenario.load(SCENARIOS / "grace_after_an_outage.yaml").model_dump()
