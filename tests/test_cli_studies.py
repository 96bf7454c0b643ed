"""The command line of studies: what is printed, which exit code, what bad input gets, and that nothing is half-written."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from l2sim import __version__
from l2sim.cli import app
from l2sim.cli.progress import counting
from l2sim.log import Log
from l2sim.metrics import Metric
from l2sim.part import ROOMS, room
from l2sim.report import writing
from l2sim.study import Findings, cluster
from l2sim.study.running import Swept

MARKET = """\
title: A small pool
duration: 1min
prices: {eth: {kind: geometric_brownian, start: 3000 USD, volatility: 90 %, step: 1s}}
chains: {l1: {preset: ethereum}, op: {preset: op_mainnet}, outside: {kind: outside}}
markets: {pool: {kind: constant_product, on: op, base: eth, base_reserve: 100}}
agents: {traders: {kind: crowd_of_traders, market: pool, size: 10, rate: 0.5 /s}}
metrics: {speed: {kind: throughput}, delay: {kind: inclusion_delay}}
"""
STUDY = """\
title: How busy
question: How many transactions are there?
scenario: market.yaml
vary: {factors: {agents.traders.rate: [0.5 /s, 2 /s]}}
replications: 3
compare:
  busy: {kind: curves, figures: [speed.op.transactions], over: agents.traders.rate}
"""
FAILED, WRONG = 1, 2


def call(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def typed(result: Any) -> str:
    """The output in single lines, whatever the width of the terminal."""
    return " ".join(result.output.split())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "market.yaml").write_text(MARKET)
    (tmp_path / "busy.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("l2sim.report.write_report", lambda place, pdf=False: Path(getattr(place, "path", place)) / "report.html")
    return tmp_path


@pytest.fixture
def kinds() -> Iterator[None]:
    """Forget the kinds that a test defines."""
    before = dict(room("metrics").kinds())
    yield
    ROOMS["metrics"]._kinds = before


def the(pattern: str) -> Path:
    """The one folder of results of that name."""
    (found,) = Path("results").glob(pattern)
    return found


# ---- what works


def test_check_resolves_a_study_beside_a_scenario(folder: Path) -> None:
    result = call("check", "market.yaml", "busy.yaml")
    assert result.exit_code == 0, result.output
    scenario, study = result.output.split("---\n")
    assert scenario.startswith("title: A small pool")
    assert "replications: 3" in study
    assert call("check", "busy.yaml", "--set", "agents.trader.rate=1 /s").exit_code == WRONG


def test_answers_come_in_the_order_of_the_questions(folder: Path) -> None:
    asked = STUDY + "  arrivals: {kind: curves, figures: [delay.op.mean], over: agents.traders.rate}\n"
    (folder / "busy.yaml").write_text(asked)
    told = typed(call("sweep", "busy.yaml", "--jobs", 1, "--replications", 2))
    assert told.index("Busy ") < told.index("Arrivals ")


def test_a_study_prints_what_it_found(folder: Path) -> None:
    result = call("sweep", "busy.yaml", "--jobs", 1)
    assert (result.exit_code, result.stderr) == (0, "")
    place = the("busy/*")
    findings = Findings.load(place)
    lines = result.stdout.splitlines()
    assert lines[:2] == ["How busy", "2 points, 6 runs, seed 1, the same luck at every point"]
    for sentence in findings.readings["busy"].findings:
        assert " ".join(sentence.split()) in typed(result)
    assert lines[-1] == f"report  {place / 'report.html'}"
    before = {path: path.stat().st_mtime_ns for path in (place / "runs").iterdir()}
    assert call("sweep", "busy.yaml", "--jobs", 1).stdout == result.stdout
    assert {path: path.stat().st_mtime_ns for path in (place / "runs").iterdir()} == before, "what is there is not run again"


def test_a_scenario_with_what_varies_is_a_grid(folder: Path) -> None:
    result = call(
        "sweep", "market.yaml", "--vary", "agents.traders.rate=0.5 /s,2 /s", "--vary", "agents.traders.size=10,20", "--set", "duration=30s",
        "--replications", 2, "--seed", 7, "--independent", "--jobs", 1, "--out", "elsewhere",
    )  # fmt: skip
    assert (result.exit_code, result.stderr) == (0, "")
    (place,) = folder.glob("elsewhere/market/*")
    findings = Findings.load(place)
    assert (len(findings.points), findings.study.seed, findings.study.independent, findings.study.replications) == (4, 7, True, 2)
    assert findings.study.base.duration == 30_000_000_000
    assert "4 points, 8 runs, seed 7, luck of its own at every point" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith("delay.op.mean")]
    assert len(rows) == 4
    assert [row[1] for row in rows] == ["0", "1", "2", "3"]


def test_parts_run_their_own_share_and_the_last_one_tells(folder: Path) -> None:
    first = call("sweep", "busy.yaml", "--part", "1/2", "--jobs", 1)
    assert (first.exit_code, first.stdout) == (0, "")
    assert "3 of the 6 runs" in typed(first)
    second = call("sweep", "busy.yaml", "--part", "2/2", "--jobs", 1)
    assert (second.exit_code, second.stderr) == (0, "")
    assert second.stdout.startswith("How busy\n2 points, 6 runs")


def test_points_and_runs_are_compared(folder: Path) -> None:
    assert call("sweep", "busy.yaml", "--jobs", 1).exit_code == 0
    place = the("busy/*")
    result = call("compare", f"{place}@1", f"{place}@0")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "the same luck in 3 replications" in typed(result)
    assert "agents.traders.rate" in typed(result)
    (row,) = [line for line in result.stdout.splitlines() if re.match(r"speed\.op\.transactions_a_second +as_written", line)]
    paired = Findings.load(place).results(1).minus(Findings.load(place).results(0)).loc["speed.op.transactions_a_second"]
    assert paired["low"] > 0.0
    assert "+" in row
    for seed in (1, 2):
        assert call("run", "market.yaml", "--seed", seed, "--replications", 2, "--jobs", 1).exit_code == 0
    one, other = sorted(Path("results/market").iterdir())
    assert "Seeds differ" in typed(call("compare", one, other))


def test_replay_and_report_of_a_study(folder: Path) -> None:
    assert call("sweep", "busy.yaml", "--jobs", 1).exit_code == 0
    place = the("busy/*")
    result = call("replay", f"{place}#5")
    assert (result.exit_code, "happened again, event for event" in result.stdout) == (0, True)
    record = json.loads((place / "runs" / "000005.json").read_text())
    record["worlds"]["as_written"]["digest"] = "0" * 64
    (place / "runs" / "000005.json").write_text(json.dumps(record))
    result = call("replay", f"{place}#5")
    assert (result.exit_code, "DIFFERENT" in result.stdout) == (FAILED, True)
    assert call("report", place).stdout == f"{place / 'report.html'}\n"


def test_the_gallery_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def write_gallery(out: Path, **more: Any) -> Path:
        asked.update(more, out=out)
        return out / "gallery" / "index.html"

    monkeypatch.setattr("l2sim.report.gallery.write_gallery", write_gallery)
    result = call("gallery", "mine", "--replications", 2, "--jobs", 1)
    assert (result.exit_code, result.stdout) == (0, f"{Path('results/gallery/index.html')}\n")
    assert asked == {"out": Path("results"), "replications": 2, "jobs": 1, "scenarios": Path("mine")}


# ---- bad input


@pytest.mark.parametrize(
    ("words", "place", "remedy"),
    [
        (["busy.yaml", "--set", "agents.trader.size=3"], "agents.trader", "did you mean 'agents.traders'?"),
        (["market.yaml", "--vary", "agents.traders.sise=1,2"], "agents.traders.sise", "did you mean 'size'?"),
        (["market.yaml", "--vary", "agents.traders.size="], "--vary agents.traders.size=", "such as --vary agents.keepers.count=1,2,4"),
        (["market.yaml", "--vary", "agents.traders.size=1,one"], "agents.traders.size", "valid integer"),
        (["empty.yaml"], "empty.yaml:2:", "name a factor and its levels"),
        (["no_levels.yaml"], "no_levels.yaml:2:", "give it at least one value"),
        (["nowhere.yaml"], "nowhere.yaml", "there is no such file"),
        (["busy.yaml", "--part", "3/2"], "--part 3/2", "write I/N with I from 1 to N, such as --part 3/8"),
        (["busy.yaml", "--part", "0/2"], "--part 0/2", "such as --part 3/8"),
        (["busy.yaml", "--part", "half"], "--part half", "such as --part 3/8"),
        (["busy.yaml", "--jobs", "2", "--cluster", "tcp://127.0.0.1:1"], "--cluster", "give one of them"),
        (["busy.yaml", "--replications", "0"], "--replications", "greater than or equal to 1"),
        (["busy.yaml", "--cluster", "tcp://127.0.0.1:1"], "tcp://127.0.0.1:1", "start one with 'dask scheduler'"),
    ],
)
def test_bad_input_is_told_and_nothing_is_written(
    words: list[str], place: str, remedy: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "connected", partial(cluster.connected, timeout=0.5))
    (folder / "empty.yaml").write_text("scenario: market.yaml\nvary: {factors: {}}\n")
    (folder / "no_levels.yaml").write_text("scenario: market.yaml\nvary: {factors: {agents.traders.size: []}}\n")
    before = sorted(folder.rglob("*"))
    result = call("sweep", *words)
    assert (result.exit_code, result.stdout) == (WRONG, "")
    assert place in typed(result)
    assert remedy in typed(result)
    assert "Traceback" not in result.stderr
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare", "nowhere", "nowhere"], "'nowhere' is no run"),
        (["compare", "STUDY", "STUDY"], "is a study: name two of its points"),
        (["compare", "STUDY@0", "STUDY@7"], "has no point 7; its points are 0 to 1"),
        (["compare", "STUDY@first", "STUDY@0"], "write RUN or STUDY@POINT"),
        (["compare", "nowhere@0", "STUDY@0"], "'nowhere' is no study"),
        (["replay", "STUDY#99"], "has no run 99"),
        (["gallery", "nowhere"], "'nowhere' has no scenario in it"),
        (["schema", "report"], "known are: scenario, study"),
    ],
)
def test_places_that_are_not_there(words: list[str], message: str, folder: Path) -> None:
    assert call("sweep", "busy.yaml", "--replications", 1, "--jobs", 1).exit_code == 0
    place = the("busy/*")
    result = call(*(word.replace("STUDY", str(place)) for word in words))
    assert (result.exit_code, result.stdout) == (WRONG, "")
    assert message in typed(result)


def test_a_comparison_that_asks_for_what_was_not_measured_keeps_the_runs(folder: Path) -> None:
    (folder / "busy.yaml").write_text(STUDY.replace("speed.op.transactions", "speed.op.transaction"))
    result = call("sweep", "busy.yaml", "--jobs", 1)
    assert (result.exit_code, result.stdout) == (WRONG, "")
    assert "compare.busy" in result.stderr
    assert "did you mean 'speed.op.transactions'?" in result.stderr
    assert "the runs are kept: mend the study" in result.stderr
    assert len(list(the("busy/*").glob("runs/*.json"))) == 6
    assert call("report", the("busy/*")).exit_code == WRONG


class Grumpy(Metric):
    """Fails where a run lasts longer than a minute."""

    def measure(self, log: Log) -> Any:
        import pandas as pd

        if log.about["duration"] > 60_000_000_000:
            raise ZeroDivisionError("too long for me")
        return pd.Series({"mood": 1.0})


@pytest.mark.usefixtures("kinds")
def test_a_study_whose_points_all_failed_says_why(folder: Path) -> None:
    ROOMS["metrics"].add(Grumpy)
    words = ["sweep", "market.yaml", "--set", "metrics.grumpy={kind: grumpy}", "--replications", 1, "--jobs", 1]
    result = call(*words, "--vary", "duration=61s,62s")
    assert (result.exit_code, result.stdout) == (FAILED, "")
    assert "2 of 2 runs failed, the first of them run 0: RunFailed: metric 'grumpy' failed after the run" in result.stderr
    assert "too long for me" in result.stderr
    assert "--retry" in result.stderr
    assert "Traceback" not in result.stderr
    some = call(*words, "--vary", "duration=59s,62s")
    assert (some.exit_code, "1 of 2 runs failed" in some.stderr) == (0, True)
    assert "grumpy.mood" in some.stdout


def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    (folder / "file").write_text("in the way")
    result = call("sweep", "busy.yaml", "--jobs", 1, "--out", folder / "file" / "results")
    assert (result.exit_code, result.stdout) == (FAILED, "")
    assert "cannot write to" in result.stderr
    assert "--out" in result.stderr
    assert (folder / "file").read_text() == "in the way"


def test_results_of_another_version(folder: Path) -> None:
    assert call("sweep", "busy.yaml", "--jobs", 1).exit_code == 0
    place = the("busy/*")
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["versions"]["l2sim"] = "0.0.1"
    (place / "manifest.json").write_text(json.dumps(manifest))
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    result = call("sweep", "busy.yaml", "--jobs", 1, "--replications", 4)
    assert (result.exit_code, result.stdout) == (FAILED, "")
    assert f"made by l2sim 0.0.1, and this is {__version__}" in result.stderr
    assert "--out" in result.stderr
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["report", "compare", "replay"])
def test_a_run_of_another_version_that_is_not_understood(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("run", "market.yaml", "--replications", 1, "--jobs", 1).exit_code == 0
    monkeypatch.setattr("l2sim.report.write_report", writing.write_report)
    place = the("market/*")
    text = (place / "scenario.yaml").read_text()
    (place / "scenario.yaml").write_text(text.replace("kind: crowd_of_traders", "kind: mob_of_traders"))
    words = {"report": [place], "compare": [place, place], "replay": [f"{place}#0"]}[command]
    result = call(command, *words)
    assert (result.exit_code, "was made by" in result.stderr) == (WRONG, False)
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["versions"]["l2sim"] = "0.0.1"
    (place / "manifest.json").write_text(json.dumps(manifest))
    result = call(command, *words)
    assert (result.exit_code, result.stdout) == (WRONG, "")
    assert f"was made by l2sim 0.0.1, and this is {__version__}: read it with that version, or run it again" in result.stderr
    assert "mob_of_traders" in result.stderr


def test_a_truncated_table_is_named_and_no_report_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2sim.report.write_report", writing.write_report)
    assert call("run", "market.yaml", "--replications", 1, "--jobs", 1).exit_code == 0
    place = the("market/*")
    for table in place.glob("replications/0000/as_written/*.parquet"):
        table.write_bytes(table.read_bytes()[:60])
    for file in (*place.glob("report.*"), *place.glob("figures/*")):
        file.unlink()
    result = call("report", place)
    assert result.exit_code in (FAILED, WRONG)
    assert result.stdout == ""
    assert ".parquet' is damaged" in result.stderr
    assert "run again" in result.stderr
    assert not list(place.glob("report.*"))


def test_ctrl_c_says_that_runs_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*words: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("l2sim.study.running.sweep", interrupted)
    result = call("sweep", "busy.yaml")
    assert (result.exit_code, result.stderr) == (130, "interrupted; runs that were finished are kept\n")


# ---- around it


@pytest.mark.parametrize("command", ["sweep", "compare", "report", "replay", "gallery", "reference"])
def test_help_imports_nothing_heavy(command: str) -> None:
    heavy = ("numpy", "pandas", "matplotlib", "pyarrow", "scipy", "simpy", "numba", "ruamel", "joblib", "dask", "distributed", "jinja2")
    code = f"""
import sys
from l2sim.cli import app
from l2sim.cli.progress import counting
try:
    app({[command, "--help"]!r})
except SystemExit as error:
    assert error.code == 0, error.code
print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_progress_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with counting("busy") as watch:
        assert watch is None
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with counting("busy") as watch:
        assert watch is not None
        watch(Swept(1_500, 2_000, 3))
    shown = capsys.readouterr().err
    assert "busy" in shown
    assert "1,500 of 2,000 runs, 3 failed" in shown


def test_the_schema_of_studies(folder: Path) -> None:
    assert json.loads(call("schema", "study").stdout)["title"] == "l2sim study"
