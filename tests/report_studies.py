"""Studies kept in a folder with made-up figures, for the tests of reports, and a page measured by a browser."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from report_runs import SCENARIO

from l2sim.study import Findings, Study
from l2sim.study.folder import land, opened

LASTS = ["1min", "3min", "5min"]
DEBT, DROP = "debt.bad_debt", "cascade.price_drop"
COMPARE = {
    "debt_by_outage": {"kind": "curves", "figures": [DEBT], "over": "attacks.stop.lasts"},
    "map": {"kind": "heat_map", "figure": DEBT, "x": "attacks.stop.lasts", "y": "style"},
    "matters": {"kind": "sensitivity", "figure": DEBT},
    "best": {"kind": "ranking", "figure": DEBT, "factor": "style"},
}
FACTORS = {
    "attacks.stop.lasts": LASTS,
    "style": {"rough": {"prices.eth.volatility": "90 %"}, "calm": {"prices.eth.volatility": "20 %"}},
}


def study(**fields: Any) -> Study:
    page = {
        "title": "A <b>stop</b> & its length",
        "question": "How long may it be?",
        "scenario": SCENARIO,
        "vary": {"factors": FACTORS},
        "replications": 4,
        "seed": 7,
        "worlds": ["as_written", "without_attacks"],
        "compare": COMPARE,
    }
    return Study.of(page | fields, "stops")


def debt(made: Study, point: int, replication: int) -> float:
    """100 kUSD for each minute of the stop, half as much again in a rough market, and luck that all points share."""
    levels = made.points[point].levels
    minutes = float(levels.get("attacks.stop.lasts", 60.0)) / 60.0
    return 1e5 * minutes * (1.5 if levels.get("style") == "rough" else 1.0) + 1e3 * replication


def kept(out: Path, made: Study, *, without: tuple[int, ...] = (), failed: tuple[int, ...] = ()) -> Findings:
    """The study with all its runs but some that are missing or failed."""
    folder = out / made.name / "0123456789abcdef"
    with opened(folder, made):
        for run in range(len(made.points) * made.replications):
            replication, point = divmod(run, len(made.points))
            about: dict[str, Any] = {"run": run, "point": point, "replication": replication, "seed": 7}
            figures = {DEBT: debt(made, point, replication), DROP: 0.1 + 0.01 * replication, "delay.arb.mean": None}
            calm = {**figures, DEBT: 0.0}
            worlds = {name: {"digest": f"{run:064x}", "figures": one} for name, one in (("as_written", figures), ("without_attacks", calm))}
            if run in failed:
                about["failed"] = {"type": "BooksDoNotClose", "message": "<3 USD> are missing", "traceback": "Traceback …"}
            if run not in without:
                land(folder, run, about if run in failed else about | {"worlds": worlds})
    return Findings.load(folder)


def width_at(page: Path, folder: Path, width: int) -> int:
    """How wide a page is in a window of that width; more means that it must be pushed sideways to be read.

    A copy with a line of script of its own, which tells its frame, is looked at: a report has none and forbids any.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium, which is not here")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))
    tell = "<script>onload = () => parent.postMessage(document.documentElement.scrollWidth, '*')</script>"
    (folder / "copy.html").write_text(text.replace("</body>", f"{tell}</body>"), encoding="utf-8")
    frame = (
        "<!DOCTYPE html><script>onmessage = told => { document.title = told.data }</script>"
        f'<iframe src="copy.html" style="width:{width}px;height:800px;border:0"></iframe>'
    )
    (folder / "frame.html").write_text(frame, encoding="utf-8")
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
    command = [chromium, *switches, "--virtual-time-budget=4000", "--dump-dom", (folder / "frame.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    found = re.search(r"<title>(\d+)</title>", shown)
    assert found, shown
    return int(found[1])
