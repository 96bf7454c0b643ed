"""Recorded days under the outage scenario, brought in as the how-to says; and what the how-to shows, run."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from l2sim import Scenario, simulate
from l2sim.results import Run

ROOT = Path(__file__).resolve().parent.parent
OUTAGE = ROOT / "scenarios" / "sequencer_outage.yaml"
HOW_TO = ROOT / "docs" / "how_to_bring_your_data.md"
SMALL = ["agents.leveraged.size=5000", "metrics.finality.cool_down=45min"]


def play(file: Path, column: str, time: str, prices: "pd.Series[float]", hours: int, outage: str) -> "pd.Series[float]":
    """The hours in which a recording falls most, with an outage; what the run saw is checked against the recording."""
    trough = (prices / prices.rolling(f"{hours}h").max()).idxmin()
    start = max(trough - pd.Timedelta(hours=hours) + pd.Timedelta("30min"), prices.index[0])
    settings = [
        f"data.day={{file: '{file}', time: {time}, columns: [{column}], from: '{start.isoformat()}'}}",
        f"prices.eth={{kind: replay, data: day, column: {column}, impact: contains_impact}}",
        f"duration={hours}h",
        f"attacks.outage={outage}",
        *SMALL,
    ]
    hit = simulate(Scenario.load(OUTAGE, settings))
    moved = hit.events("PriceMoved")
    at = pd.DatetimeIndex(start + pd.to_timedelta(moved["time"], unit="ns"))
    recorded = prices.reindex(at, method="ffill").to_numpy()
    assert moved["path"].to_numpy() == pytest.approx(recorded, rel=1e-12)
    assert (moved["index"] == moved["path"]).all(), "a price that contains impact is moved by nobody"
    return hit.summary.iloc[0]


def test_a_day_of_gmx_on_arbitrum(shared_data: Path) -> None:
    file = shared_data / "gmxv2_arbitrum_eth_usd_2025-11-11_minute.csv"
    prices = pd.read_csv(file, parse_dates=["timestamp"]).set_index("timestamp")["indexPrice"].tz_localize("UTC")
    assert prices.index.to_series().diff().max() == pd.Timedelta("1min"), "no gap to deal with"
    found = play(file, "indexPrice", "timestamp", prices, hours=8, outage="{begins: 5h, lasts: 1h}")
    assert found["throughput.arb.longest_silence"] == pytest.approx(3600, abs=1)
    assert 0.03 < found["cascade.price_drop"] < 0.066
    assert found["cascade.positions"] > 50


def test_the_worst_day_of_a_winter_on_coinbase(shared_data: Path) -> None:
    """Bars of five minutes, semicolons between the columns, every bar there: no gap to deal with."""
    file = shared_data / "coinbase_ethusd_5min_2020-21.csv.gz"
    close = pd.read_csv(file, sep=";", parse_dates=["time"]).set_index("time")["close"]
    assert close.index.to_series().diff().max() == pd.Timedelta("5min")
    fall = 1.0 - close / close.rolling("24h").max()
    worst = fall.idxmax()
    assert (worst.date().isoformat(), round(fall.max(), 3)) == ("2021-01-11", 0.299)
    day = close.loc[worst - pd.Timedelta("24h") : worst]
    found = play(file, "close", "time", day, hours=4, outage="{begins: 150min, lasts: 1h}")
    assert found["throughput.arb.longest_silence"] == pytest.approx(3600, abs=1)
    assert 0.1 < found["cascade.price_drop"] < 0.299
    assert found["debt.shortfall"] > 0


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL)


def test_the_how_to_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file, its command and its overlay, in an empty folder with the scenarios beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / OUTAGE.name).write_bytes(OUTAGE.read_bytes())
    makes_file, from_python = blocks("python")
    exec(compile(makes_file, HOW_TO.name, "exec"), {})
    assert len(pd.read_csv("prices.csv")) == 181

    (command,) = blocks("sh")
    words = command.replace(".venv/bin/python", f"'{sys.executable}'").replace("--replications 2", "--replications 1")
    ran = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    (kept,) = (tmp_path / "results" / "sequencer_outage").iterdir()
    run = Run.load(kept)
    assert run.worlds["as_written"].summary["cascade.price_drop"].iloc[0] == pytest.approx(0.1)
    assert run.multiplier()["mean"].tolist() == [1.0, 1.0], "1 by construction, as the how-to says"

    loading = from_python.partition("hit = simulate")[0]
    names: dict[str, Scenario] = {}
    exec(compile(loading, HOW_TO.name, "exec"), names)
    assert names["scenario"].prices["eth"].kind == "replay"

    (overlay,) = blocks("yaml")
    (tmp_path / "mine.yaml").write_text(overlay)
    mine = Scenario.load("mine.yaml")
    assert mine.recordings()["day"].columns["close"].min() == 2250.0
    assert mine.prices["eth"] == names["scenario"].prices["eth"]
