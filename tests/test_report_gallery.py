"""The gallery: every scenario with its question, what was computed, a picture, and a link that leads somewhere."""

import re
from collections import Counter
from html import unescape
from pathlib import Path

import pytest
from report_runs import browse
from report_studies import width_at

from l2sim.report.answer import findings
from l2sim.report.evidence import Evidence
from l2sim.report.gallery import write_gallery
from l2sim.results import Run
from l2sim.scenario import ScenarioError

QUIET = """\
title: A <quiet> hour
question: What happens when nothing does?
duration: 5min
prices: {eth: {kind: geometric_brownian, start: 3000 USD, volatility: 60 %}}
chains: {l1: {preset: ethereum}, arb: {preset: minimal}, outside: {kind: outside}}
markets: {feed: {kind: price_feed, on: arb, of: eth}, pool: {kind: constant_product, on: arb, base: eth, base_reserve: 100}}
agents:
  reporter: {kind: oracle_reporter, feed: feed}
  traders: {kind: crowd_of_traders, size: 20, market: pool, rate: 0.2 /s}
metrics: {delay: {kind: inclusion_delay}, throughput: {kind: throughput}}
"""
ATTACK = "attacks: {stop: {kind: sequencer_outage, on: arb, begins: 1min, lasts: 2min}}\n"
STOP = QUIET.replace("A <quiet> hour", "A stop") + ATTACK


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("gallery")
    (place / "scenarios").mkdir()
    (place / "scenarios" / "quiet.yaml").write_text(QUIET, encoding="utf-8")
    (place / "scenarios" / "stop.yaml").write_text(STOP, encoding="utf-8")
    write_gallery(place / "out", replications=2, jobs=1, scenarios=place / "scenarios")
    return place


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "out" / "gallery" / "index.html").read_text("utf-8")


def test_every_scenario_is_there_with_what_it_found(folder: Path, page: str) -> None:
    assert re.findall(r'<section id="([^"]+)">', page) == ["quiet", "stop"]
    assert "<h2>A &lt;quiet&gt; hour</h2>" in page
    assert page.count("What happens when nothing does?") == 2
    for name in ("quiet", "stop"):
        found = findings(Evidence(Run.load(next((folder / "out" / name).glob("*/manifest.json")).parent)))
        assert found
        assert all(finding.text in unescape(page) for finding in found[:2])
    assert page.count("<svg") == 2
    assert f"l2sim run {(folder / 'scenarios' / 'stop.yaml').as_posix()} --seed 1 --replications 2" in page


def test_links_lead_to_reports(folder: Path, page: str) -> None:
    links = re.findall(r'href="(\.\./[^"]+)"', page)
    assert len(links) == 2
    for link in links:
        assert (folder / "out" / "gallery" / link).is_file()
    names = Counter(re.findall(r'\bid="([^"]+)"', page))
    assert [name for name, times in names.items() if times > 1] == []
    assert set(re.findall(r"url\(#([^)]*)\)", page)) <= names.keys()


def test_what_is_there_is_not_run_again(folder: Path, page: str) -> None:
    kept = {path: path.stat().st_mtime_ns for path in (folder / "out").glob("*/*/replications/*/manifest.json")}
    assert len(kept) == 4
    write_gallery(folder / "out", replications=2, jobs=1, scenarios=folder / "scenarios")
    assert {path: path.stat().st_mtime_ns for path in (folder / "out").glob("*/*/replications/*/manifest.json")} == kept
    assert (folder / "out" / "gallery" / "index.html").read_text("utf-8") == page


def test_nothing_is_run_where_something_is_wrong(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no scenario in it"):
        write_gallery(tmp_path / "out", scenarios=tmp_path)
    (tmp_path / "good.yaml").write_text(QUIET, encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text(QUIET.replace("duration: 5min", "durations: 5min"), encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"wrong\.yaml.*durations"):
        write_gallery(tmp_path / "out", scenarios=tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_browser_opens_it(folder: Path, tmp_path: Path) -> None:
    place = folder / "out" / "gallery" / "index.html"
    shown, complaints = browse(place)
    assert complaints == []
    assert shown.count("<svg") == 2
    assert width_at(place, tmp_path, 390) == 390
