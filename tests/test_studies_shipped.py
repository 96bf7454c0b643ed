"""The studies that come with the project: complete, listed with their findings, and able to answer, shown on small copies."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from l2sim.study.description import Study
from l2sim.study.findings import Findings
from l2sim.study.running import sweep

FOLDER = Path(__file__).resolve().parent.parent / "scenarios" / "studies"
FILES = sorted(FOLDER.glob("*.yaml"))

SMALL: dict[str, dict[str, Any]] = {
    "block_time_and_arbitrage": {
        "set": {"duration": "2h"},
        "factors": {"chains.rollup.sequencer.block_time": ["2s", "12s"], "markets.pool.fee": ["5 bps"]},
    },
    "grace_period": {
        "set": {
            "duration": "1h",
            "prices.eth.shocks.fall": {"at": "5min", "size": "-25 %", "over": "25min"},
            "attacks.outage.begins": "10min",
            "agents.automatic.size": 100,
            "agents.people.size": 300,
        },
        "factors": {"attacks.outage.lasts": ["10min"], "markets.loans.grace_period": ["0s", "10min"]},
    },
    "leverage_frontier": {
        "set": {
            "duration": "30min",
            "agents.leveraged.size": 300,
            "chains.outside.depth": "90 kUSD",
            "markets.eth_perp.insurance_fund": "1 USD",
            "prices.eth.shocks.fall": {"at": "1min", "size": "-12 %", "over": "10min"},
            "attacks.outage": {"begins": "3min", "lasts": "15min"},
        },
        "factors": {"agents.leveraged.leverage.high": [3, 25]},
    },
}
"""What makes a study quick: values for every point, and levels in place of the first and the last of each factor."""


def small(file: Path) -> Study:
    """The study with few levels, two replications, and a small scenario."""
    page = YAML(typ="safe").load(file)
    change = SMALL.get(file.stem, {})
    page["replications"] = 2
    page["set"] = page.get("set", {}) | change.get("set", {})
    factors = page.get("vary", {}).get("factors", {})
    for name, levels in factors.items():
        if isinstance(levels, list):
            factors[name] = change.get("factors", {}).get(name, [levels[0], levels[-1]])
    return Study.of(page, file.stem, file.parent)


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Findings]:
    """What a small copy of each found, run once."""
    out = tmp_path_factory.mktemp("studies")
    return cache(lambda name: sweep(small(FOLDER / f"{name}.yaml"), out=out))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_says_what_it_asks_and_every_level_makes_sense(file: Path) -> None:
    study = Study.load(file)
    assert study.title
    assert study.question.endswith("?")
    assert study.compare
    assert len(study.points) >= 8
    assert study.base.assumptions
    study.check()


def test_the_list_of_studies_names_each_and_its_finding() -> None:
    rows = re.findall(r"^\| .*\[(\w+\.yaml)\]\((\w+\.yaml)\) \| (.+) \|$", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == [file.name for file in FILES]
    assert all(name == link for name, link, _ in rows)
    assert all(re.search(r"\d.*\[.*\d.*,.*\d.*\]", finding) for _, _, finding in rows), "a finding is a number with its interval"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_small_copy_of_each_answers_everything_that_it_is_asked(file: Path, findings: Callable[[str], Findings]) -> None:
    found = findings(file.stem)
    assert found.failures.empty
    assert set(found.readings) == set(found.study.compare)
    for reading in found.readings.values():
        assert reading.findings
        assert all(re.search(r"\d", sentence) for sentence in reading.findings)
        assert len(reading.table)


def test_more_leverage_leaves_more_bad_debt_and_an_outage_most_of_it(findings: Callable[[str], Findings]) -> None:
    found = findings("leverage_frontier")
    low, high = found.frame("as_written")["debt.bad_debt"].groupby("point").mean()
    _, calm = found.frame("without_attacks")["debt.bad_debt"].groupby("point").mean()
    assert low == 0.0
    assert high > 1000.0 + calm


def test_shorter_blocks_take_less_from_the_pool_as_theory_says_but_for_gas(findings: Callable[[str], Findings]) -> None:
    readings = findings("block_time_and_arbitrage").readings
    free, paid = (readings[name].table.set_index("chains.rollup.sequencer.block_time") for name in ("fixed_times", "with_gas"))
    assert free["mean"][2.0] < 0.8 * free["mean"][12.0]
    assert free["mean"].to_numpy() == pytest.approx(free["theory"].to_numpy(), rel=0.3)
    assert (paid["theory"] == free["theory"]).all(), "theory knows no gas"
    assert (paid["mean"] < free["mean"]).all()
