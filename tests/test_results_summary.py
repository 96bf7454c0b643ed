"""Results of small worlds made by hand: summary, pairs, facts, and what is kept in a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2sim.events import PositionLiquidated, PriceMoved
from l2sim.log import Log
from l2sim.results import Measured, OutputError, Results, Run, RunNotFound
from l2sim.results.results import figures_of
from l2sim.scenario import Scenario

NAN = float("nan")
PLAN: dict[str, Any] = {
    "title": "Made by hand",
    "duration": "1min",
    "prices": {"eth": {"kind": "geometric_brownian", "start": "3000 USD", "volatility": "90 %"}},
    "chains": {"outside": {"kind": "outside"}},
    "metrics": {"cascade": {"kind": "liquidation_cascade"}, "wait": {"kind": "inclusion_delay"}},
}


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario.of(PLAN, name="by_hand")


def log_of(liquidations: int, market: str = "perp") -> Log:
    log = Log()
    log.about = {"duration": 60}
    log.record(0, PriceMoved("eth", 100.0, 100.0))
    for i in range(liquidations):
        log.record(i, PositionLiquidated(market, i, 2, 1.0, 100.0, 99.0, 1.0, 2.0, 3.0, 0.0))
    return log


def results(scenario: Scenario, figures: Mapping[int, Mapping[str, float]], seed: int = 1) -> Results:
    return Results(scenario, seed, {number: Measured(log_of(number), log_of(number).digest, values) for number, values in figures.items()})


def test_a_summary_has_a_row_for_each_replication(scenario: Scenario) -> None:
    found = results(scenario, {1: {"cascade.notional": 5.0, "wait.arb.mean": 2.0}, 0: {"cascade.notional": 3.0}})
    assert found.replications == 2
    assert found.summary.index.tolist() == [0, 1]
    assert found.summary["cascade.notional"].tolist() == [3.0, 5.0]
    assert np.isnan(found.summary.loc[0, "wait.arb.mean"])
    assert found.units == {"cascade.notional": "USD", "wait.arb.mean": "s"}
    mean = found.mean()
    assert mean.loc["cascade.notional", ["mean", "n", "unit"]].tolist() == [4.0, 2, "USD"]
    assert mean.loc["wait.arb.mean", ["mean", "n"]].tolist() == [2.0, 1]


def test_a_metric_by_subject_is_spread_over_columns() -> None:
    class Chairs:
        def measure(self, log: Log) -> pd.DataFrame:
            return pd.DataFrame({"legs": [4.0, 3.0]}, index=["kitchen", "stool"])

    assert figures_of("chairs", Chairs(), Log()) == {"chairs.kitchen.legs": 4.0, "chairs.stool.legs": 3.0}  # type: ignore[arg-type]


def test_differences_are_paired_and_count_their_observations(scenario: Scenario) -> None:
    hit = results(
        scenario,
        {
            0: {"cascade.notional": 5.0, "wait.arb.mean": NAN},
            1: {"cascade.notional": 9.0, "wait.arb.mean": 2.0},
            2: {"cascade.notional": 1.0},
        },
    )
    calm = results(scenario, {0: {"cascade.notional": 3.0, "wait.arb.mean": 1.0}, 1: {"cascade.notional": 5.0, "wait.arb.mean": 1.5}})
    answer = hit.minus(calm)
    assert answer.loc["cascade.notional", ["mean", "n", "one_sided", "unit"]].tolist() == [3.0, 2, 0, "USD"]
    assert answer.loc["wait.arb.mean", ["mean", "n", "one_sided", "unit"]].tolist() == [0.5, 1, 1, "s"]
    assert np.isnan(answer.loc["wait.arb.mean", "low"])
    low, high = answer.loc["cascade.notional", ["low", "high"]]
    assert (low + high) / 2 == pytest.approx(3.0)
    assert high - low == pytest.approx(2 * 12.7062, abs=1e-3)  # t(1, 0.975) = 12.7062, s / sqrt(2) = 1


def test_a_figure_of_one_world_only_has_no_pairs(scenario: Scenario) -> None:
    hit = results(scenario, {0: {"cascade.notional": 5.0}, 1: {"cascade.notional": 5.0}})
    calm = results(scenario, {0: {"wait.arb.mean": 5.0}, 1: {"wait.arb.mean": NAN}})
    answer = hit.minus(calm)
    assert answer["n"].tolist() == [0, 0]
    assert answer["one_sided"].tolist() == [2, 1]
    assert answer["mean"].isna().all()


def test_only_the_same_luck_is_paired(scenario: Scenario) -> None:
    one = results(scenario, {0: {"cascade.notional": 5.0}})
    with pytest.raises(ValueError, match="seeds differ"):
        one.minus(results(scenario, {0: {"cascade.notional": 5.0}}, seed=2))
    with pytest.raises(ValueError, match="no replication in common"):
        one.minus(results(scenario, {1: {"cascade.notional": 5.0}}))


def test_facts_of_all_replications(scenario: Scenario) -> None:
    found = Results(
        scenario, 1, {0: Measured(log_of(2), "a", {}), 1: Measured(log_of(0), "b", {}), 2: Measured(log_of(1, "other"), "c", {})}
    )
    frame = found.events("PositionLiquidated")
    assert frame["replication"].tolist() == [0, 0, 2]
    assert frame["market"].tolist() == ["perp", "perp", "other"]
    assert frame["market"].dtype == "category"
    empty = found.events("BatchPosted")
    assert len(empty) == 0
    assert list(empty.columns[:3]) == ["replication", "time", "chain"]
    with pytest.raises(KeyError, match="did you mean 'PositionLiquidated'"):
        found.events("PositionLiquidatd")
    with pytest.raises(KeyError, match="there is no replication 7; there are 0, 1, 2"):
        found.log(7)


def test_the_digest_is_that_of_all_replications_in_order(scenario: Scenario) -> None:
    one = results(scenario, {0: {}, 1: {}})
    assert one.digest == results(scenario, {1: {}, 0: {}}).digest
    assert one.digest != results(scenario, {0: {}}).digest
    assert one.digest[:16] in repr(one)


def test_results_are_kept_and_come_back(scenario: Scenario, tmp_path: Path) -> None:
    kept = results(scenario, {0: {"cascade.notional": 0.1 + 0.2, "wait.arb.mean": NAN}, 3: {"cascade.notional": 7.0}})
    kept.save(tmp_path / "deep" / "down")
    again = Results.load(tmp_path / "deep" / "down")
    assert again.scenario == scenario
    assert again.seed == kept.seed
    assert again.digests == kept.digests
    pd.testing.assert_frame_equal(again.summary, kept.summary)
    assert again.log(3).digest == kept.digests[3]
    pd.testing.assert_frame_equal(again.events("PositionLiquidated"), kept.events("PositionLiquidated"))
    assert Run.load(tmp_path / "deep" / "down").replications == 2
    with pytest.raises(RunNotFound, match="no world 'as_writen'; did you mean 'as_written'"):
        Results.load(tmp_path / "deep" / "down", world="as_writen")


def test_results_are_not_kept_where_nothing_can_be_written(scenario: Scenario, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(OutputError, match=r"cannot write to '.*file.*': .*--out"):
        results(scenario, {0: {}}).save(tmp_path / "file" / "below")
