"""Running a study: whatever runs it and however often it is interrupted, it ends in the same summary; nothing is lost."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pytest
from pydantic import model_validator

from benchmarks.studies import PRICE
from l2sim.log import Log
from l2sim.metrics import Metric
from l2sim.part import ROOMS, room
from l2sim.report import write_report
from l2sim.report.readings import short
from l2sim.results import OutputError, RunNotFound
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.simulation import simulate
from l2sim.study import running
from l2sim.study.description import Study
from l2sim.study.findings import Findings
from l2sim.study.running import PartDone, Swept, replay, study_id, sweep


def study(*, vary: dict[str, Any] | None = None, **fields: Any) -> Study:
    """Two durations, four replications of each, unless told otherwise."""
    factors = {"duration": ["10s", "20s"]} if vary is None else vary
    often = {} if "precision" in fields else {"replications": 4}
    plan = {"scenario": PRICE, "vary": {"kind": "grid", "factors": factors}, "worlds": ["as_written"], **often, **fields}
    return Study.of(plan, name="durations")


def files(folder: Path) -> dict[str, bytes]:
    """All files by name, but for the manifest, which holds times."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if path.name != "manifest.json"}


def place(out: Path, of: Study) -> Path:
    return out / of.name / study_id(of)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return sweep(study(), out=tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def guests() -> Iterator[None]:
    """Kinds for one test, forgotten afterwards."""
    before = dict(room("metrics").kinds())

    class Nothing(Metric):
        """A question that cannot be answered."""

        def measure(self, log: Log) -> "pd.Series[float]":
            raise ZeroDivisionError("nothing to divide by")

    class Picky(Metric):
        """A question with two numbers that do not go together."""

        one: int = 0
        """A number."""
        other: int = 0
        """Another number."""

        @model_validator(mode="after")
        def _do_not_go_together(self) -> Self:
            if self.one and self.other:
                raise ValueError("one and other do not go together")
            return self

        def measure(self, log: Log) -> "pd.Series[float]":
            return pd.Series({"sum": float(self.one + self.other)})

    yield
    ROOMS["metrics"]._kinds = before


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the runs that are run in this process, as they begin."""
    numbers: list[int] = []
    run = running._run

    def counted(what: Study, number: int) -> dict[str, Any]:
        numbers.append(number)
        return run(what, number)

    monkeypatch.setattr(running, "_run", counted)
    return numbers


# ---- the same answer


def test_what_a_study_keeps(undisturbed: Findings) -> None:
    there = files(undisturbed.path)
    assert {"study.yaml", "points.csv", "summary.csv", *(f"runs/{run:06d}.json" for run in range(8))} == set(there)
    assert there["points.csv"] == b"point,duration\n0,10.0\n1,20.0\n"
    record = json.loads(there["runs/000005.json"])
    assert {name: record[name] for name in ("run", "point", "replication", "seed")} == {"run": 5, "point": 1, "replication": 2, "seed": 1}
    alone = simulate(Scenario.of({**PRICE, "duration": "20s"}), replications=3)
    assert record["worlds"]["as_written"]["digest"] == alone.digests[2]
    assert undisturbed.manifest["replications"] == [4, 4]
    assert (undisturbed.manifest["runs"], undisturbed.manifest["failed"]) == (8, 0)


def test_the_number_of_cores_does_not_matter(undisturbed: Findings, tmp_path: Path) -> None:
    assert files(sweep(study(), jobs=2, out=tmp_path).path) == files(undisturbed.path)


def test_points_share_their_luck_unless_they_are_independent(tmp_path: Path) -> None:
    other = sweep(study(independent=True, replications=1), out=tmp_path)
    seeds = [json.loads(content)["seed"] for name, content in files(other.path).items() if name.startswith("runs/")]
    assert len(set(seeds)) == 2


def test_progress_counts_runs(tmp_path: Path, guests: None) -> None:
    seen: list[Swept] = []
    sweep(study(vary={"metrics.more": {"fine": {"kind": "picky"}, "broken": {"kind": "nothing"}}}), out=tmp_path, progress=seen.append)
    assert [step.runs for step in seen] == [*range(1, 9), 8]
    assert seen[-1] == Swept(8, 8, 4)


# ---- what is there is not run again


def test_a_study_goes_on_where_it_was(undisturbed: Findings, tmp_path: Path, ran: list[int]) -> None:
    folder = place(tmp_path, study())

    def stop(now: Swept) -> None:
        if now.runs == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(study(), out=tmp_path, progress=stop)
    assert len(list((folder / "runs").iterdir())) == 3
    assert not (folder / "summary.csv").exists()
    assert files(sweep(study(), out=tmp_path).path) == files(undisturbed.path)
    assert sorted(ran) == list(range(8))
    sweep(study(), out=tmp_path)
    assert len(ran) == 8


def test_more_replications_are_added_to_those_that_are_there(tmp_path: Path, ran: list[int]) -> None:
    few = sweep(study(replications=2), out=tmp_path)
    more = sweep(study(replications=4), out=tmp_path)
    assert more.path == few.path
    assert sorted(ran) == list(range(8))
    assert more.manifest["replications"] == [4, 4]


def test_runs_beyond_what_is_asked_do_not_count(tmp_path: Path, ran: list[int]) -> None:
    few = files(sweep(study(replications=2), out=tmp_path / "few").path)["summary.csv"]
    sweep(study(replications=3), out=tmp_path / "many")
    ran.clear()
    found = sweep(study(replications=2), out=tmp_path / "many")
    assert not ran
    assert files(found.path)["summary.csv"] == few


def test_a_run_that_cannot_be_read_is_named(tmp_path: Path, ran: list[int]) -> None:
    folder = sweep(study(), out=tmp_path).path
    torn = folder / "runs" / "000003.json"
    torn.write_bytes(torn.read_bytes()[:40])
    with pytest.raises(RunNotFound, match=r"000003\.json"):
        sweep(study(), out=tmp_path)
    ran.clear()
    sweep(study(), out=tmp_path, retry=True)
    assert ran == [3]


def test_what_a_dead_process_left_is_swept(tmp_path: Path) -> None:
    folder = sweep(study(), out=tmp_path).path
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    dead, living = (folder / "runs" / f".partial-{number}-000001.json" for number in (gone.pid, os.getppid()))
    other = folder / "runs" / f".partial-{gone.pid}@00000000-000001.json"
    for partial in (dead, living, other):
        partial.write_text("half", encoding="utf-8")
    sweep(study(), out=tmp_path)
    assert (dead.exists(), living.exists(), other.exists()) == (False, True, True)
    os.utime(other, (0, 0))  # another machine's, but forgotten for long
    sweep(study(), out=tmp_path)
    assert not other.exists()


# ---- what fails


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failed_run_is_recorded_and_stops_nothing(tmp_path: Path, guests: None, jobs: int, ran: list[int]) -> None:
    broken = study(vary={"metrics.more": {"fine": {"kind": "picky"}, "broken": {"kind": "nothing"}}})
    found = sweep(broken, out=tmp_path, jobs=jobs)
    assert len(found.frame("as_written")) == 4
    assert list(found.failures["run"]) == [0, 2, 4, 6]
    first = found.failures.iloc[0]
    assert first["type"] == "RunFailed"
    assert "metric 'more' failed" in first["message"]
    assert "nothing to divide by" in first["traceback"]
    assert found.manifest["failed"] == 4
    ran.clear()  # of jobs in other processes nothing is counted
    sweep(broken, out=tmp_path)
    assert ran == []
    sweep(broken, out=tmp_path, retry=True)
    assert sorted(ran) == [0, 2, 4, 6]
    again = replay(found.path, 2)
    assert again.same
    assert "run 2 of" in str(again)


def test_a_bad_combination_is_a_failed_point(tmp_path: Path, guests: None) -> None:
    changes = {"metrics.picky": {"kind": "picky"}}
    picky = study(vary={"metrics.picky.one": [0, 1], "metrics.picky.other": [0, 1]}, set=changes, replications=1)
    found = sweep(picky, out=tmp_path)
    assert list(found.failures["point"]) == [3]
    assert found.failures.iloc[0]["type"] == "ScenarioError"
    assert "do not go together" in found.failures.iloc[0]["message"]


def test_a_mistake_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError):
        sweep(study(vary={"duration": ["10s", "10 parsecs"]}), out=tmp_path)
    for part in ((0, 3), (4, 3), (1, 0)):
        with pytest.raises(ValueError, match="parts are numbered from 1"):
            sweep(study(), part=part, out=tmp_path)
    with pytest.raises(ValueError, match="jobs must be 1 or more"):
        sweep(study(), jobs=0, out=tmp_path)
    assert not list(tmp_path.iterdir())


# ---- parts


def test_parts_share_a_folder_and_the_last_one_seals_it(undisturbed: Findings, tmp_path: Path, ran: list[int]) -> None:
    for number, missing in ((1, 5), (3, 2)):
        with pytest.raises(PartDone, match=rf"{missing} of the 8 runs .* are missing") as told:
            sweep(study(), part=(number, 3), out=tmp_path)
        assert (told.value.missing, told.value.of) == (missing, 8)
        assert not (told.value.folder / "summary.csv").exists()
    assert sorted(ran) == [0, 1, 3, 4, 6, 7]
    assert files(sweep(study(), part=(2, 3), out=tmp_path).path) == files(undisturbed.path)


# ---- a target precision


def wanted(**fields: Any) -> Study:
    target = {"figure": "cascade.price_drop", "width": "60 %", "least": 3, "step": 2, "most": 11, **fields}
    return study(precision=target)


def test_replications_are_added_until_the_interval_is_narrow_enough(tmp_path: Path) -> None:
    one = sweep(wanted(), out=tmp_path / "one")
    replications = one.manifest["replications"]
    assert all(3 <= count <= 11 and count % 2 == 1 for count in replications)
    assert max(replications) > 3
    target = one.study.precision
    assert target is not None
    for point, count in enumerate(replications):
        values = one.frame("as_written").loc[point]["cascade.price_drop"].to_numpy()
        assert len(values) == count
        assert count == 11 or target.reached(values)
        assert count == 3 or not target.reached(values[: count - 2])
    assert files(sweep(wanted(), jobs=2, out=tmp_path / "two").path) == files(one.path)

    def stop(now: Swept) -> None:
        if now.runs == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(wanted(), out=tmp_path / "three", progress=stop)
    with pytest.raises(PartDone):
        sweep(wanted(), out=tmp_path / "three", part=(1, 2))
    assert files(sweep(wanted(), out=tmp_path / "three", part=(2, 2)).path) == files(one.path)


def test_a_target_out_of_reach_ends_at_the_most(tmp_path: Path) -> None:
    found = sweep(wanted(width="0.01 %", most=6), out=tmp_path)
    assert found.manifest["replications"] == [6, 6]
    assert found.short == [0, 1]
    said = "The precision asked of cascade.price_drop is not reached at points 0 and 1: it would take more than 6 replications ('most')."
    assert short(found) == said
    assert said in write_report(found).with_suffix(".md").read_text("utf-8")
    assert not short(sweep(wanted(width="900 %"), out=tmp_path / "easy"))


def test_a_target_for_what_is_not_measured_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"no run has measured 'cascade\.price_dorp'; did you mean 'cascade\.price_drop'"):
        sweep(wanted(figure="cascade.price_dorp"), out=tmp_path)
    assert len(list(tmp_path.rglob("runs/*.json"))) == 6


def test_a_study_with_a_target_loads_as_it_was_kept() -> None:
    assert Study.of(wanted().resolved()) == wanted()


# ---- folders


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    folder = sweep(study(), out=tmp_path).path
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))

    def said(**changes: Any) -> str:
        (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}), encoding="utf-8")
        with pytest.raises(OutputError) as told:
            sweep(study(), out=tmp_path)
        return str(told.value)

    assert "made by l2sim 0.0.1" in said(versions={"l2sim": "0.0.1"})
    assert "they do not mix" in said(format=0)
    assert "belong to another study" in said(study_digest="0" * 64)
    (folder / "manifest.json").unlink()
    with pytest.raises(OutputError, match="no manifest that says what made them"):
        sweep(study(), out=tmp_path)


def test_the_name_depends_on_what_is_run_and_on_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    name = study_id(study())
    assert name == study_id(study(replications=9, title="Another title"))
    assert name != study_id(study(seed=2))
    monkeypatch.setattr("l2sim.study.running.__version__", "999")
    assert name != study_id(study())


def test_a_full_disk_loses_nothing(undisturbed: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name.endswith("000004.json"):
            write(path, content[:20])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"no space left on device; what was finished is kept: make room and start the same again"):
        sweep(study(), out=tmp_path)
    monkeypatch.undo()
    there = files(place(tmp_path, study()))
    assert {name for name in there if "runs/" in name} == {f"runs/{run:06d}.json" for run in (0, 2)}
    assert files(sweep(study(), out=tmp_path).path) == files(undisturbed.path)


# ---- replay


def test_replay_says_whether_a_run_happened_again(tmp_path: Path) -> None:
    folder = sweep(study(), out=tmp_path).path
    assert replay(folder, 5).same
    assert f"run 5 of {folder} happened again, event for event" in str(replay(folder, 5))
    file = folder / "runs" / "000005.json"
    record = json.loads(file.read_text("utf-8"))
    record["worlds"]["as_written"]["digest"] = "0" * 64
    file.write_text(json.dumps(record), encoding="utf-8")
    assert "did NOT happen again" in str(replay(folder, 5))
    with pytest.raises(RunNotFound, match="has no run 99; it has 8 runs"):
        replay(folder, 99)
    with pytest.raises(RunNotFound, match="is no study"):
        replay(tmp_path, 0)
