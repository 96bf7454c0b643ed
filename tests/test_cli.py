"""The command line: what goes to stdout and stderr, and with which exit code. Runs themselves are tested elsewhere."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner
from worlds import as_a_shell_sees, interrupted, without_workers

import l2sim
from l2sim import simulation
from l2sim.agents import Agent, Waiting
from l2sim.cli import app
from l2sim.cli.exits import exits
from l2sim.results import OutputError, RunNotFound
from l2sim.scenario import Scenario
from l2sim.units import HOUR
from l2sim.world.seat import Seat
from l2sim.world.world import RunFailed

GOOD = "title: Good\nduration: 1h\nchains:\n  outside: {kind: outside}\nmetrics:\n  speed: {kind: throughput}\n"
HEAVY = ("numpy", "pandas", "matplotlib", "pyarrow", "scipy", "simpy", "networkx", "numba", "ruamel", "joblib")


@pytest.fixture
def good(tmp_path: Path) -> str:
    (tmp_path / "good.yaml").write_text(GOOD)
    return str(tmp_path / "good.yaml")


@pytest.fixture
def bad(tmp_path: Path) -> str:
    (tmp_path / "bad.yaml").write_text(GOOD.replace("duration: 1h", "duration: 1"))
    return str(tmp_path / "bad.yaml")


def call(*words: str) -> Any:
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize(
    ("words", "heavy"),
    [(["--help"], (*HEAVY, "pydantic")), (["--version"], (*HEAVY, "pydantic")), ([], (*HEAVY, "pydantic")), (["run", "--help"], HEAVY)],
)
def test_help_imports_nothing_heavy(words: list[str], heavy: tuple[str, ...]) -> None:
    # typer itself loads pydantic once a command has parameters with types.
    code = f"""
import sys
from l2sim.cli import app
from l2sim.cli.exits import exits
try:
    app({words!r})
except SystemExit as error:
    assert error.code in (0, 2), error.code
print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_version() -> None:
    result = call("--version")
    assert (result.exit_code, result.stdout) == (0, f"{l2sim.__version__}\n")


def test_check_prints_the_resolved_scenario(good: str) -> None:
    result = call("check", good)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == Scenario.load(good).yaml()


def test_check_with_settings_and_several_files(good: str) -> None:
    result = call("check", good, good, "--set", "duration=2h", "--set", "title=Two")
    first, second = result.stdout.split("---\n")
    assert first == second == Scenario.load(good, set=["duration=2h", "title=Two"]).yaml()


def test_check_prints_the_mistakes_of_all_files_to_stderr(good: str, bad: str, tmp_path: Path) -> None:
    (tmp_path / "worse.yaml").write_bytes(b"\x00\xff")
    result = call("check", bad, good, str(tmp_path / "worse.yaml"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{bad}:2:11: duration: 1 has no unit" in result.stderr
    assert "worse.yaml: is not a text file in UTF-8" in result.stderr
    assert "Traceback" not in result.stderr


def test_check_reads_recordings(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("time,price\n0,3000\n60,\n")
    (tmp_path / "s.yaml").write_text("duration: 1min\ndata:\n  day: {file: day.csv, time: time, columns: [price]}\n")
    result = call("check", str(tmp_path / "s.yaml"))
    assert result.exit_code == 2
    assert f"{tmp_path / 's.yaml'}:3:15: data.day: {tmp_path / 'day.csv'}, line 3: column 'price' has no value" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "Missing argument"),
        (["run", "FILE", "--seed", "x"], "--seed"),
        (["run", "FILE", "--replications", "0"], "--replications"),
        (["run", "FILE", "--jobs", "0"], "--jobs"),
        (["run", "FILE", "--speed", "1"], "No such option"),
        (["runn"], "No such command"),
        (["run", "BAD"], "duration: 1 has no unit"),
        (["run", "nowhere.yaml"], "nowhere.yaml: there is no such file"),
        (["run", "FILE", "--set", "duration"], "--set duration: write --set PATH=VALUE"),
        (["run", "FILE", "--set", "chains.outsid.depth=1 USD"], "chains.outsid"),
        (["check", "FILE", "--set", "chains.outside.depth=[1"], "not YAML"),
        (["kinds", "agnts"], "there is no room 'agnts'; did you mean 'agents'?"),
        (["kinds", "chains", "l11"], "there is no kind 'l11' in chains; did you mean 'l1'?"),
        (["presets", "etherium"], "there is no preset 'etherium'; did you mean 'ethereum'?"),
        (["replay", "results/x"], "write RUN#REPLICATION"),
        (["replay", "results/x#one"], "write RUN#REPLICATION"),
        (["replay", "nowhere#0"], "'nowhere' is no run"),
        (["report", "nowhere"], "'nowhere' is no run"),
    ],
)
def test_wrong_input_is_exit_code_2(
    words: list[str], message: str, good: str, bad: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(*({"FILE": good, "BAD": bad}.get(word, word) for word in words))
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RunFailed("'keepers/0' failed at 14400.000 s of simulated time: ZeroDivisionError: x"), 1, "'keepers/0' failed at 14400.000 s"),
        (OutputError("cannot write to 'results': permission denied"), 1, "cannot write to 'results'"),
        (RunNotFound("no run"), 2, "no run"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("oops"), 1, "failed: ZeroDivisionError: oops"),
    ],
)
def test_what_goes_wrong_in_a_run(error: BaseException, code: int, message: str, good: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **more: Any) -> None:
        raise error

    monkeypatch.setattr(simulation, "experiment", fail)
    result = call("run", good)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr


def test_run_prints_figures_and_the_report(good: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}
    figures = pd.DataFrame(
        {
            "mean": [12.5, 123456.7], "low": [11.0, float("nan")], "high": [14.0, float("nan")], "n": [8, 1], "unit": ["s", ""],
            "without": [2.0, 3.0], "difference": [10.5, float("nan")], "difference_low": [9.0, float("nan")],
            "difference_high": [12.0, float("nan")], "pairs": [8, 0],
        },
        index=["finality.mean", "cascade.size"],
    )  # fmt: skip
    loop = pd.DataFrame({"mean": [1.5], "low": [1.2], "high": [1.9]}, index=["cascade.notional"])
    run = SimpleNamespace(
        path=tmp_path / "results" / "good" / "abc", scenario=Scenario.load(good), seed=7, replications=8,
        key_figures=lambda: figures, multiplier=lambda: loop,
    )  # fmt: skip

    def experiment(scenario: Scenario, **more: Any) -> Any:
        seen.update(more)
        return run

    monkeypatch.setattr(simulation, "experiment", experiment)
    monkeypatch.setattr("l2sim.report.write_report", lambda path: path / "report.html", raising=False)
    result = call("run", good, "--seed", "7", "--jobs", "2", "--out", str(tmp_path))
    assert (result.exit_code, result.stderr) == (0, "")
    assert seen == {"seed": 7, "replications": 8, "jobs": 2, "out": tmp_path, "progress": None}
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[:2] == ["Good", "8 replications, seed 7"]
    assert "finality.mean (s) 12.5 11 to 14 2 10.5 9 to 12" in lines
    assert "cascade.size 123,457 – 3 – –" in lines
    assert "cascade.notional / without impact 1.5 × 1.2 to 1.9" in lines
    assert lines[-1] == f"report {run.path / 'report.html'}"


def test_a_replay_that_differs_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def replay(path: Any, replication: int) -> Any:
        assert (str(path), replication) == ("results/s/abc", 3)
        return simulation.Replay(Path(path), 3, {"as_written": "a"}, {"as_written": now}, {})

    monkeypatch.setattr(simulation, "replay", replay)
    now = "a"
    assert call("replay", "results/s/abc#3").exit_code == 0
    now = "b"
    result = call("replay", "results/s/abc#3")
    assert (result.exit_code, "DIFFERENT" in result.stdout) == (1, True)


def test_kinds() -> None:
    everything = call("kinds").stdout
    assert "chains: Where markets live" in everything
    assert "sequencer_outage" in everything
    assert "sequencer_outage" not in call("kinds", "chains").stdout
    page = call("kinds", "markets", "constant_product").stdout
    assert page.startswith("kind: constant_product\n")
    assert "on (required)" in page
    assert "fee: 30 bps" in page
    assert "actions: " in page


def test_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert "arbitrum_one" in call("presets").stdout
    page = " ".join(call("presets", "ethereum").stdout.split())
    assert "slot: 12 s" in page
    assert "sourced: 12 000 ms; ethereum/consensus-specs" in page
    assert "assumed: " in page


def test_schema() -> None:
    assert json.loads(call("schema").stdout)["title"] == "l2sim scenario"


def test_a_closed_pipe_is_no_failure_with_a_traceback(good: str) -> None:
    command = f"'{sys.executable}' -m l2sim kinds | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("agents: ")
    assert "Traceback" not in done.stderr


# ---- short runs, for what only a run can show


class Clumsy(Agent):
    """Fails after an hour."""

    def run(self, me: Seat) -> Waiting:
        yield me.sleep(HOUR)
        raise ZeroDivisionError("a mistake in a plug-in")


def test_a_plug_in_that_raises_is_named_with_the_simulated_time(good: str, tmp_path: Path) -> None:
    words = [
        "--set",
        "agents.hasty.kind=clumsy",
        "--set",
        "duration=2h",
        "--replications",
        "1",
        "--jobs",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    result = call("run", good, *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "'hasty/0' failed at 3600.000 s of simulated time: ZeroDivisionError: a mistake in a plug-in" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("out/**/*.parquet"))


def test_a_folder_that_cannot_be_written(good: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = call("run", good, "--out", str(tmp_path / "file" / "results"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "cannot write to" in result.stderr
    assert "--out" in result.stderr


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_leaves_no_half_written_run(jobs: str, tmp_path: Path) -> None:
    spike = "attacks: {spike: {kind: l1_fee_spike, on: l1, begins: 1s, lasts: 49d, blobs: 1}}  # no slot of L1 is quiet\n"
    long = GOOD.replace("1h", "50d").replace("{kind: outside}", "{kind: outside}\n  l1: {preset: ethereum}") + spike
    (tmp_path / "long.yaml").write_text(long)
    words = [sys.executable, "-m", "l2sim", "run", str(tmp_path / "long.yaml"), "--jobs", jobs, "--out", str(tmp_path / "out")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    give_up = monotonic() + 60
    while not list(tmp_path.glob("out/long/*/replications")) and process.poll() is None and monotonic() < give_up:
        sleep(0.05)
    out, err = interrupted(process)
    kept = "interrupted; replications that were finished are kept\n"
    assert (as_a_shell_sees(process.returncode), out, without_workers(err)) == (130, "", kept)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("first", "ends"), [(KeyboardInterrupt(), 130), (ZeroDivisionError(), 1)])
def test_an_error_that_an_interruption_led_to_is_one(first: BaseException, ends: int, capsys: pytest.CaptureFixture[str]) -> None:
    stopped = SystemError("a compiled function was stopped")
    stopped.__cause__ = first
    with pytest.raises(typer.Exit) as left, exits():
        raise stopped
    assert left.value.exit_code == ends
    assert capsys.readouterr().err.startswith("interrupted" if ends == 130 else "failed: SystemError")


class Closed:
    """Something whose end is interrupted, where Python cannot raise."""

    def __del__(self) -> None:
        raise KeyboardInterrupt


def dropped() -> None:
    Closed()
    sleep(30)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals to threads are those of POSIX")
def test_an_interruption_that_python_drops_is_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    hook = sys.unraisablehook
    with pytest.raises(typer.Exit) as left, exits():
        dropped()
    assert left.value.exit_code == 130
    assert capsys.readouterr().err == "interrupted; replications that were finished are kept\n"
    assert sys.unraisablehook is hook
