"""What a user gets who makes a mistake, or stops a run: a short message that names place and remedy, an exit code, no half-written run.

Each of these is a command typed in an empty folder.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest
from worlds import SMALL, as_a_shell_sees, interrupted, without_workers

from l2sim.results import Run
from l2sim.scenario import Scenario

TEXT = SMALL.read_text("utf-8")
WRONG, FAILED, INTERRUPTED = 2, 1, 130

REPLAYED = """\
duration: 5min
data:
  day: {file: day.csv, time: time, columns: [price]}
prices:
  eth: {kind: replay, data: day, column: price, impact: clean}
"""


def typed(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """A command line in a folder."""
    return subprocess.run([sys.executable, "-m", "l2sim", *words], cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def swapped(old: str, new: str) -> Callable[[Path], None]:
    """The small market with something in it written differently."""

    def write(folder: Path) -> None:
        assert TEXT.count(old) == 1
        (folder / "s.yaml").write_text(TEXT.replace(old, new), "utf-8")

    return write


def recorded(*rows: str) -> Callable[[Path], None]:
    """A scenario that replays a recording of these rows."""

    def write(folder: Path) -> None:
        (folder / "s.yaml").write_text(REPLAYED, "utf-8")
        (folder / "day.csv").write_text("\n".join(["time,price", *rows, ""]), "utf-8")

    return write


def binary(folder: Path) -> None:
    (folder / "s.yaml").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")


def nothing(folder: Path) -> None: ...


MINUTES = [f"2026-01-01T00:{minute:02}:00Z,{3000 + minute}" for minute in range(10)]

MISTAKES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    # name: what is in the folder, where the message points, what it says
    "unknown key": (swapped("long_share:", "long_shar:"), "agents.leveraged.long_shar", "did you mean 'long_share'?"),
    "misspelt kind": (swapped("kind: liquidator", "kind: liqidator"), "agents.keepers.kind", "did you mean 'liquidator'?"),
    "missing unit": (swapped("duration: 24min", "duration: 24"), "duration", "24 has no unit: write a duration like '250ms'"),
    "wrong unit": (swapped("depth: 100 kUSD", "depth: 100 gwei"), "agents.maker.depth", "write an amount of money like '3000 USD'"),
    "negative duration": (swapped("lasts: 3min", "lasts: -3min"), "attacks.outage.lasts", "must be 0 or more, but is -3min"),
    "no such market": (swapped("keepers: {kind: liquidator, count: 3, market: eth_perp", "keepers: {kind: liquidator, market: eth_prep"),
                       "agents.keepers.market", "there is no market 'eth_prep'; did you mean 'eth_perp'?"),
    "unsuited market": (swapped("keepers: {kind: liquidator, count: 3, market: eth_perp", "keepers: {kind: liquidator, market: pool"),
                        "agents.keepers.market", "which has no action 'liquidate'; those that have: eth_perp"),
    "no such preset": (swapped("preset: arbitrum_one", "preset: arbitrum"), "chains.arb.preset", "did you mean 'arbitrum_one'?"),
    "not YAML": (swapped("attacks:\n", "attacks: [\n"), ": not YAML", "not YAML: expected ',' or ']'"),
    "a binary file": (binary, "s.yaml: ", "is not a text file in UTF-8"),
    "no file": (nothing, "s.yaml: ", "there is no such file"),
    "a gap": (recorded(*MINUTES[:4], *MINUTES[7:]), "day.csv, line 6: ", "gaps: hold"),
    "no number": (recorded(*MINUTES[:4], "2026-01-01T00:04:00Z,NaN", *MINUTES[5:]), "day.csv, line 6: ", "gaps: hold"),
    "too short": (recorded(*MINUTES[:2]), "data.day", "shorten 'duration'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_input(mistake: str, tmp_path: Path) -> None:
    write, place, remedy = MISTAKES[mistake]
    write(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = typed(tmp_path, "run", "s.yaml")
    assert (done.returncode, done.stdout) == (WRONG, "")
    assert place in done.stderr
    assert remedy in done.stderr
    assert re.match(r"s\.yaml:\d+:\d+: " if "s.yaml" not in place else "", done.stderr)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 8
    assert sorted(tmp_path.rglob("*")) == before


def test_several_mistakes_are_told_at_once_and_a_good_scenario_beside_them_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(TEXT, "utf-8")
    (tmp_path / "s.yaml").write_text(
        TEXT.replace("duration: 24min", "duration: 24").replace("on: arb, base: eth", "on: abr, base: eht"), "utf-8"
    )
    done = typed(tmp_path, "run", "good.yaml", "s.yaml", "--set", "agents.keepers.cuont=5")
    assert (done.returncode, done.stdout) == (WRONG, "")
    for message in ("24 has no unit", "did you mean 'arb'?", "there is no price 'eht'", "did you mean 'count'?"):
        assert message in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.yaml", "s.yaml"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    if not Path("/proc/self").exists():
        pytest.skip("there is no /proc here, which nobody may write to")
    out = "/proc/nowhere"
    (tmp_path / "s.yaml").write_text(TEXT, "utf-8")
    began = monotonic()
    done = typed(tmp_path, "run", "s.yaml", "--set", "duration=30d", "--out", out)
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert f"cannot write to '{out}" in done.stderr
    assert "--out" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert monotonic() - began < 60  # it is said before anything is run
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"]


def test_a_folder_that_may_not_be_written_is_no_reason_to_run_first(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("whoever is root may write everywhere")
    (tmp_path / "s.yaml").write_text(TEXT, "utf-8")
    (tmp_path / "locked").mkdir(mode=0o500)
    done = typed(tmp_path, "run", "s.yaml", "--out", "locked/results")
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert "cannot write to 'locked/results" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="process groups are those of POSIX")
def test_ctrl_c_in_the_middle_keeps_whole_replications_and_nothing_else(tmp_path: Path) -> None:
    settings = ["duration=4min", "agents.leveraged.size=100"]
    (tmp_path / "s.yaml").write_text(TEXT, "utf-8")
    words = ["run", "s.yaml", "--replications", "200", "--jobs", "2", *(word for setting in settings for word in ("--set", setting))]
    process = subprocess.Popen(
        [sys.executable, "-m", "l2sim", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    give_up = monotonic() + 60
    while not list(tmp_path.glob("results/s/*/replications/[0-9]*")) and process.poll() is None and monotonic() < give_up:
        sleep(0.02)
    out, errors = interrupted(process)
    assert (as_a_shell_sees(process.returncode), out) == (INTERRUPTED, "")
    assert without_workers(errors) == "interrupted; replications that were finished are kept\n"
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]
    (folder,) = tmp_path.glob("results/s/*")
    run = Run.load(folder)
    assert 1 <= run.replications < 200
    assert run.scenario == Scenario.load(tmp_path / "s.yaml", settings)
    for number in run.worlds["as_written"].measured:
        for world in run.worlds.values():
            assert world.log(number).digest == world.digests[number]
    assert not (folder / "report.html").exists()
