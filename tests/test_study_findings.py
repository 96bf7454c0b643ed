"""Findings: a study's folder read back, whatever is in it."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import SMALL

from l2sim.results import RunNotFound
from l2sim.results.comparison import compare
from l2sim.statistics.intervals import interval
from l2sim.study import Findings, Study
from l2sim.study.folder import land, opened

COUNTS = [1, 2, 4]
DEBT = "debt.bad_debt"
WORLDS = ["as_written", "without_attacks"]
CURVE = {"kind": "curves", "figures": [DEBT], "over": "agents.keepers.count"}


def study(**fields: Any) -> Study:
    page = {"scenario": str(SMALL), "vary": {"factors": {"agents.keepers.count": COUNTS}}, "replications": 4, "seed": 7, "worlds": WORLDS}
    return Study.of(page | fields, "small")


def figures(point: int, replication: int) -> dict[str, float | None]:
    """Made up: bad debt, a share, and a figure that is only there with one keeper."""
    made: dict[str, float | None] = {DEBT: 1000.0 / COUNTS[point] + 10.0 * replication, "cascade.price_drop": 0.1, "delay.mean": None}
    return made | ({"profit.groups.keepers.profit": float(replication)} if point == 0 else {})


def record(made: Study, run: int, figures: Callable[[int, int], dict[str, float | None]] = figures) -> dict[str, Any]:
    replication, point = divmod(run, len(made.points))
    values = figures(point, replication)
    calm = {name: None if value is None else value / 2 for name, value in values.items()}
    worlds = {"as_written": {"digest": f"{run:064x}", "figures": values}, "without_attacks": {"digest": f"{run:064x}", "figures": calm}}
    return {"run": run, "point": point, "replication": replication, "seed": 7, "worlds": worlds}


def failed(run: int) -> dict[str, Any]:
    said = {"type": "BooksDoNotClose", "message": "3 USD are missing", "traceback": "Traceback …"}
    return {"run": run, "point": run % 3, "replication": run // 3, "seed": 7, "failed": said}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eleven of twelve runs, one of them failed."""
    made, place = study(compare={"debt": CURVE}), tmp_path / "small" / "0123"
    with opened(place, made):
        for run in (11, 4, 0, 1, 2, 3, 6, 7, 8, 9):
            land(place, run, record(made, run))
        land(place, 5, failed(5))
    return place


def test_runs_are_found_by_point_and_replication(folder: Path) -> None:
    findings = Findings.load(folder)
    frame = findings.frame()
    assert frame.index.names == ["point", "replication"]
    assert frame.index.tolist() == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0), (2, 2), (2, 3)]
    assert frame.loc[(2, 3), DEBT] == 280.0
    assert np.isnan(frame.loc[(0, 0), "delay.mean"])
    assert np.isnan(frame.loc[(1, 0), "profit.groups.keepers.profit"])
    assert findings.frame("without_attacks").loc[(2, 3), DEBT] == 140.0
    assert findings.points["agents.keepers.count"].tolist() == COUNTS
    assert findings.worlds == ["as_written", "without_attacks"]
    with pytest.raises(ValueError, match="did you mean 'without_attacks'"):
        findings.frame("without_atacks")


def test_failed_runs_are_told_and_counted_out(folder: Path) -> None:
    failures = Findings.load(folder).failures
    assert failures.columns.tolist() == ["run", "point", "replication", "type", "message", "traceback"]
    assert failures.iloc[0].tolist() == [5, 2, 1, "BooksDoNotClose", "3 USD are missing", "Traceback …"]


def test_the_summary_has_intervals_in_order(folder: Path) -> None:
    findings = Findings.load(folder)
    summary = findings.summary
    assert summary.columns.tolist() == ["point", "agents.keepers.count", "world", "figure", "mean", "low", "high", "n", "unit"]
    row = summary[(summary["point"] == 2) & (summary["world"] == "as_written") & (summary["figure"] == DEBT)].iloc[0]
    exact = interval(np.array([250.0, 270.0, 280.0]))
    assert row[["mean", "low", "high", "n"]].tolist() == pytest.approx(list(exact))
    assert (row["agents.keepers.count"], row["unit"]) == (4, "USD")
    assert not (summary["figure"] == "delay.mean").any()
    assert summary[summary["figure"] == "cascade.price_drop"]["unit"].unique().tolist() == ["%"]
    place = [(point, findings.worlds.index(world), figure) for point, world, figure in summary[["point", "world", "figure"]].to_numpy()]
    assert place == sorted(place)


def test_the_summary_does_not_depend_on_the_order_in_which_runs_came(folder: Path, tmp_path: Path) -> None:
    made, other = study(compare={"debt": CURVE}), tmp_path / "again" / "0123"
    with opened(other, made):
        land(other, 5, failed(5))
        for run in (0, 1, 2, 3, 4, 6, 7, 8, 9, 11):
            land(other, run, record(made, run))
    assert Findings.load(folder).summary.to_csv() == Findings.load(other).summary.to_csv()


def test_comparisons_read_the_sample(folder: Path) -> None:
    findings = Findings.load(folder)
    reading = findings.readings["debt"]
    assert reading.table["agents.keepers.count"].tolist() == COUNTS
    assert reading.table["n"].tolist() == [4, 3, 3]
    assert findings.comparisons == reading.intervals == 4
    assert "bad debt" in reading.findings[0].lower()
    assert "keepers count" in reading.findings[0]
    assert findings.sample.paired
    assert findings.sample.resolved(2)["agents"]["keepers"]["count"] == 4


def test_factors_have_names(tmp_path: Path) -> None:
    names = {
        "agents.leveraged.leverage.median": "leveraged leverage (median)",
        "agents.leveraged.stop_loss.high": "leveraged stop loss (high)",
        "agents.keepers.reaction": "keepers reaction",
        "chains.arb.sequencer.block_time": "arb sequencer block time",
        "network.within.sigma": "network within (sigma)",
        "duration": "duration",
        "impact": "impact",
    }
    levels = [
        [5, 10],
        ["90 %", "95 %"],
        ["1s", "2s"],
        ["1s", "2s"],
        [0.1, 0.2],
        ["24min", "1h"],
        {"deep": {"chains.outside.depth": "9 MUSD"}},
    ]
    made = study(vary={"factors": dict(zip(names, levels, strict=True))})
    with opened(tmp_path / "s", made):
        sample = Findings.load(tmp_path / "s").sample
    assert {name: sample.label(name) for name in names} == names
    said = sample.words({"agents.leveraged.leverage.median": 10.0, "duration": 3600.0})
    assert said == "leveraged leverage (median) 10 and duration 1\u202fh"


def test_all_comparisons_that_ask_for_what_is_not_there_are_named(tmp_path: Path) -> None:
    wrong = {"one": CURVE | {"figures": ["debt.bad_det"]}, "two": CURVE, "three": CURVE | {"over": "agents.keeper.count"}}
    made = study(compare=wrong)
    with opened(tmp_path / "s", made):
        land(tmp_path / "s", 0, record(made, 0))
    with pytest.raises(
        ValueError, match=r"compare\.one: .*did you mean 'debt.bad_debt'(.|\n)*compare\.three: .*did you mean 'agents.keepers"
    ):
        Findings.load(tmp_path / "s").readings  # noqa: B018


def test_points_can_be_subtracted(folder: Path) -> None:
    findings = Findings.load(folder)
    apart = findings.results(2).minus(findings.results(0))
    assert apart.loc[DEBT, "mean"] == pytest.approx(-750.0)
    assert apart.loc[DEBT, "n"] == 3
    assert findings.results(1).digests == {0: f"{1:064x}", 1: f"{4:064x}", 2: f"{7:064x}"}
    with pytest.raises(RunNotFound, match="points are 0 to 2"):
        findings.results(3)
    with pytest.raises(RunNotFound, match="keeps figures"):
        findings.results(1).events("PositionLiquidated")


def test_a_point_is_compared_like_a_run(folder: Path) -> None:
    findings = Findings.load(folder)
    run = findings.run(2)
    assert run.path.name == "0123@2"
    assert list(run.worlds) == ["as_written", "without_attacks"]
    found = compare(run, findings.run(0))
    assert found.paired
    assert found.differences["setting"].tolist() == ["agents.keepers.count"]


def test_a_study_without_any_run_is_empty(tmp_path: Path) -> None:
    with opened(tmp_path / "s", study()):
        land(tmp_path / "s", 1, failed(1))
        findings = Findings.load(tmp_path / "s")
    assert findings.worlds == ["as_written", "without_attacks"]
    assert findings.summary.empty
    assert findings.summary.columns[0] == "point"
    assert findings.frame().empty
    assert len(findings.failures) == 1
    assert "0 runs, 1 failed" in repr(findings)


@pytest.mark.parametrize("content", ['{"run": 4, "wor', "", "[]", '{"run": 3, "worlds": {}}', '{"run": 4}', "\xff\xfe"])
def test_a_damaged_run_is_named_with_a_remedy(folder: Path, content: str) -> None:
    (folder / "runs" / "000004.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(RunNotFound, match=r"000004\.json.*remove it and run the study again"):
        Findings.load(folder)


def test_what_is_half_written_is_no_run(folder: Path) -> None:
    (folder / "runs" / ".partial-1@ab-000010.json").write_text("{", encoding="utf-8")
    assert len(Findings.load(folder).frame()) == 10


def test_a_folder_that_is_no_study_names_those_nearby(folder: Path) -> None:
    with pytest.raises(RunNotFound, match=r"no study: name a folder .*small/0123"):
        Findings.load(folder.parent)
    (folder / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunNotFound, match=r"manifest\.json' cannot be read"):
        Findings.load(folder)


def test_many_runs_stay_small(tmp_path: Path) -> None:
    """1,000 runs of two worlds with 100 figures each: eight bytes a figure, and little else."""
    made, place = study(), tmp_path / "s"

    def many(point: int, replication: int) -> dict[str, float | None]:
        return {f"profit.groups.g{i}.profit": float(point + replication + i) for i in range(100)}

    with opened(place, made):
        for run in range(1000):
            (place / "runs" / f"{run:06d}.json").write_text(json.dumps(record(made, run, many)), encoding="utf-8")
    tracemalloc.start()
    findings = Findings.load(place)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(findings.frame()) == 1000
    assert kept < 2 * 1000 * 100 * 8 * 1.5 + 3e6
    assert peak < 2 * 1000 * 100 * 8 * 3 + 6e6
