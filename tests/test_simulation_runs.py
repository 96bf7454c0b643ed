"""Running: the same answer on any number of cores, runs that are kept whole, resumed, swept, interrupted and replayed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds import interrupted, without_workers

from l2sim import simulation
from l2sim.attacks import Attack
from l2sim.log import Log
from l2sim.metrics import Metric
from l2sim.part import ROOMS, room
from l2sim.results import OutputError, Run, RunNotFound
from l2sim.results.run import run_id, worlds_of
from l2sim.scenario import Scenario
from l2sim.simulation import Progress, RunFailed, experiment, replay, simulate
from l2sim.world.seat import AttackSeat

PLAN: dict[str, Any] = {
    "title": "A price and nobody there",
    "duration": "1min",
    "prices": {
        "eth": {
            "kind": "geometric_brownian",
            "start": "3000 USD",
            "volatility": "90 %",
            "shocks": {"fall": {"at": "10s", "size": "-10 %", "over": "5s"}},
        },
    },
    "chains": {"outside": {"kind": "outside"}},
    "metrics": {"cascade": {"kind": "liquidation_cascade"}},
}


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario.of(PLAN, name="alone")


@pytest.fixture
def guests() -> Iterator[None]:
    """Kinds for one test, forgotten afterwards."""
    before = {name: dict(room(name).kinds()) for name in ("attacks", "metrics")}

    class Noise(Attack):
        """An attack that does nothing."""

        def strike(self, me: AttackSeat) -> None: ...

        def relent(self, me: AttackSeat) -> None: ...

    class Nothing(Metric):
        """A question that cannot be answered."""

        def measure(self, log: Log) -> "pd.Series[float]":
            raise ZeroDivisionError("nothing to divide by")

    yield
    for name, kinds in before.items():
        ROOMS[name]._kinds = kinds


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# ---- the same answer


def test_replications_differ_and_are_the_same_again(scenario: Scenario) -> None:
    one = simulate(scenario, seed=3, replications=3)
    assert len(set(one.digests.values())) == 3
    assert simulate(scenario, seed=3, replications=2).digests == {0: one.digests[0], 1: one.digests[1]}
    assert simulate(scenario, seed=4).digests[0] != one.digests[0]
    assert one.summary.shape[0] == 3


def test_the_number_of_cores_does_not_matter(scenario: Scenario, tmp_path: Path) -> None:
    alone, together = simulate(scenario, seed=3, replications=3), simulate(scenario, seed=3, replications=3, jobs=2)
    assert together.digest == alone.digest
    pd.testing.assert_frame_equal(together.summary, alone.summary)
    for jobs in (1, 2):
        experiment(scenario, seed=3, replications=3, jobs=jobs, out=tmp_path / str(jobs))
    one, two = tmp_path / "1", tmp_path / "2"
    assert files(one) == files(two)
    for name in files(one):
        if not name.endswith("manifest.json"):
            assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_no_metric_changes_what_happened(scenario: Scenario) -> None:
    assert simulate(scenario.without("metrics.cascade")).digest == simulate(scenario).digest


def test_a_failing_metric_is_named(scenario: Scenario, guests: None) -> None:
    with pytest.raises(RunFailed, match=r"metric 'broken' failed .* ZeroDivisionError: nothing to divide by"):
        simulate(scenario.vary(metrics__broken={"kind": "nothing"}))


def test_numbers_that_make_no_sense_are_refused(scenario: Scenario, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="replications must be 1 or more"):
        simulate(scenario, replications=0)
    with pytest.raises(ValueError, match="jobs must be 1 or more"):
        simulate(scenario, jobs=0)
    with pytest.raises(ValueError, match="replications must be 1 or more"):
        experiment(scenario, replications=0, out=tmp_path)
    assert not files(tmp_path)


def test_progress_reaches_the_end(scenario: Scenario) -> None:
    seen: list[Progress] = []
    simulate(scenario, replications=2, progress=seen.append)
    assert seen[-1].simulated == seen[-1].duration == 2 * scenario.duration
    assert seen[-1].events > 0
    assert [each.simulated for each in seen] == sorted(each.simulated for each in seen)


# ---- a run in a folder


def test_what_a_run_keeps(scenario: Scenario, tmp_path: Path) -> None:
    run = experiment(scenario, seed=5, replications=2, out=tmp_path)
    assert run.path == tmp_path / "alone" / run_id(scenario, 5)
    assert list(run.worlds) == ["as_written", "without_impact"]
    assert {"scenario.yaml", "manifest.json", "summary.csv", "replications/0001/manifest.json"} <= files(run.path)
    assert {"replications/0000/as_written/PriceMoved.parquet", "replications/0000/as_written/about.json"} <= files(run.path)
    manifest = json.loads((run.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["seed"] == 5
    assert manifest["replications"] == [0, 1]
    assert manifest["versions"]["numpy"] == np.__version__
    assert manifest["digests"]["as_written"]["0"] == simulate(scenario, seed=5).digests[0]
    summary = pd.read_csv(run.path / "summary.csv")
    assert list(summary.columns) == ["replication", "world", "figure", "value", "unit"]
    assert len(summary) == 4 * len(run.worlds["as_written"].summary.columns)
    assert Scenario.load(run.path / "scenario.yaml") == scenario
    assert run.worlds["without_impact"].scenario.chains["outside"].impact == "none"  # type: ignore[attr-defined]


def test_a_run_is_known_by_scenario_seed_and_version(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    name = run_id(scenario, 1)
    assert len(name) == 16
    assert int(name, 16) >= 0
    assert name == run_id(Scenario.of(PLAN), 1)
    assert name != run_id(scenario, 2)
    assert name != run_id(scenario.vary(duration="2min"), 1)
    monkeypatch.setattr("l2sim.results.run.__version__", "999")
    assert name != run_id(scenario, 1)


def test_what_is_there_is_not_run_again(scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[int] = []
    play = simulation._play

    def counted(scenario: Scenario, seed: int, replication: int, tick: Any) -> Log:
        played.append(replication)
        return play(scenario, seed, replication, tick)

    monkeypatch.setattr(simulation, "_play", counted)
    first = experiment(scenario, replications=2, out=tmp_path)
    more = experiment(scenario, replications=4, out=tmp_path)
    assert played == [0, 0, 1, 1, 2, 2, 3, 3]
    assert more.path == first.path
    assert more.replications == 4
    assert more.worlds["as_written"].digests == simulate(scenario, replications=4).digests
    fewer = experiment(scenario, replications=2, out=tmp_path)
    assert fewer.worlds["as_written"].digest == first.worlds["as_written"].digest
    assert (more.path / "replications" / "0003").is_dir()


def test_worlds_are_the_counterfactuals_that_make_sense(scenario: Scenario, guests: None) -> None:
    assert list(worlds_of(scenario.without("metrics.cascade"))) == ["as_written"]
    assert list(worlds_of(scenario.vary(chains__outside__impact="none"))) == ["as_written"]
    attacked = scenario.vary(attacks={"noise": {"kind": "noise", "begins": "10s", "lasts": "5s"}})
    worlds = worlds_of(attacked)
    assert list(worlds) == ["as_written", "without_attacks", "without_impact"]
    assert not worlds["without_attacks"].attacks
    assert worlds["without_impact"].attacks


def test_key_figures_and_the_multiplier(scenario: Scenario, guests: None, tmp_path: Path) -> None:
    attacked = scenario.vary(attacks={"noise": {"kind": "noise", "begins": "10s", "lasts": "5s"}})
    run = experiment(attacked, replications=3, out=tmp_path)
    figures = run.key_figures()
    assert figures.loc["cascade.price_drop", "without"] == figures.loc["cascade.price_drop", "mean"]
    assert figures.loc["cascade.price_drop", ["difference", "pairs"]].tolist() == [0.0, 3]
    assert "cascade.largest_notional" not in figures.index  # nothing was liquidated: there is no largest cascade
    assert "cascade.rewards" not in figures.index
    multiplier = run.multiplier()
    assert multiplier.loc["cascade.price_drop", ["mean", "n", "left_out"]].tolist() == [1.0, 3, 0]
    assert multiplier.loc["cascade.notional", ["n", "left_out"]].tolist() == [0, 3]
    assert experiment(scenario.vary(chains__outside__impact="none"), out=tmp_path).multiplier().empty


def test_replay_says_whether_it_happened_again(scenario: Scenario, tmp_path: Path) -> None:
    run = experiment(scenario, replications=2, out=tmp_path)
    again = replay(run.path, 1)
    assert again.same
    assert "happened again, event for event" in str(again)
    manifest = run.path / "replications" / "0001" / "manifest.json"
    record = json.loads(manifest.read_text(encoding="utf-8"))
    record["worlds"]["as_written"]["digest"] = "0" * 64
    manifest.write_text(json.dumps(record), encoding="utf-8")
    other = replay(run.path, 1)
    assert not other.same
    assert "did NOT happen again" in str(other)
    assert "as_written: DIFFERENT, 0000" in str(other)
    assert "without_impact: the same" in str(other)
    with pytest.raises(RunNotFound, match="has no replication 5; it has 0, 1"):
        replay(run.path, 5)


def test_a_folder_without_a_run(scenario: Scenario, tmp_path: Path) -> None:
    with pytest.raises(RunNotFound, match="is no run"):
        Run.load(tmp_path / "nowhere")
    run = experiment(scenario, out=tmp_path)
    with pytest.raises(RunNotFound, match=run.path.name):
        Run.load(run.path.parent)


# ---- nothing half-written


def test_what_a_dead_process_left_is_swept(scenario: Scenario, tmp_path: Path) -> None:
    run = experiment(scenario, out=tmp_path)
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    dead = run.path / "replications" / f".partial-{gone.pid}-0007"
    living = run.path / "replications" / f".partial-{os.getppid()}-0008"
    for folder in (dead, living):
        folder.mkdir()
        (folder / "half").write_text("a log", encoding="utf-8")
    (run.path / f".partial-{gone.pid}-summary.csv").write_text("half", encoding="utf-8")
    experiment(scenario, out=tmp_path)
    assert not dead.exists()
    assert living.exists()
    assert not list(run.path.glob(".partial-*"))


def test_a_failure_leaves_what_was_finished(scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play = simulation._play

    def stopped(scenario: Scenario, seed: int, replication: int, tick: Any) -> Log:
        if replication == 2:
            raise KeyboardInterrupt
        return play(scenario, seed, replication, tick)

    monkeypatch.setattr(simulation, "_play", stopped)
    with pytest.raises(KeyboardInterrupt):
        experiment(scenario, replications=4, out=tmp_path)
    run = Run.load(tmp_path / "alone" / run_id(scenario, 1))
    assert run.replications == 2
    assert not [name for name in files(tmp_path) if "partial" in name]
    monkeypatch.undo()
    assert experiment(scenario, replications=4, out=tmp_path).replications == 4


def test_an_interruption_before_anything_is_finished_leaves_nothing(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> Log:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulation, "_play", stopped)
    with pytest.raises(KeyboardInterrupt):
        experiment(scenario, out=tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_an_interruption_while_writing_leaves_nothing_half(scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []
    write = Path.write_bytes

    def interrupted(path: Path, content: bytes) -> int:
        written.append(path)
        if path.name == "PriceMoved.parquet":
            raise KeyboardInterrupt
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        experiment(scenario, out=tmp_path / "results")
    assert len(written) > 1
    assert not (tmp_path / "results").exists()


def test_a_place_that_cannot_be_written_is_said_before_anything_runs(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "_play", None)
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(OutputError, match=r"cannot write to '.*taken.*--out"):
        experiment(scenario, out=tmp_path / "taken")
    assert files(tmp_path) == {"taken"}


INTERRUPTED = """
import sys
from pathlib import Path
from l2sim.scenario import Scenario
from l2sim.simulation import experiment

if __name__ == "__main__":
    watch = lambda progress: Path(sys.argv[3]).write_text(str(progress.events))
    try:
        experiment(Scenario.load(sys.argv[1]), replications=6, jobs=2, out=sys.argv[2], progress=watch)
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(130)
"""


@pytest.mark.skipif(os.name != "posix", reason="process groups are those of POSIX")
def test_ctrl_c_stops_all_processes_in_silence(scenario: Scenario, tmp_path: Path) -> None:
    nothing = {"kind": "given", "fractions": [0]}
    l1 = {"base_fee": {"kind": "eip1559"}, "blob_fee": {"kind": "blob"}, "gas_demand": nothing, "blob_demand": nothing}
    long = scenario.vary({"duration": "20d", "chains.l1": {"kind": "l1", "ordering": {"kind": "random"}, **l1}})
    (tmp_path / "scenario.yaml").write_text(long.yaml(), encoding="utf-8")
    (tmp_path / "program.py").write_text(INTERRUPTED, encoding="utf-8")
    beat = tmp_path / "beat"
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "scenario.yaml"), str(tmp_path / "out"), str(beat)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while not (beat.exists() and beat.read_text(encoding="utf-8") not in ("", "0")) and time.monotonic() < deadline:
            time.sleep(0.1)
        out, errors = interrupted(process)
    assert (process.returncode, out.strip(), without_workers(errors)) == (130, "interrupted", "")
    assert not [name for name in files(tmp_path) if "partial" in name]
