"""The page of a study and of two runs: the answer first, every number from what was measured, nothing hidden."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_runs import browse, make_run
from report_studies import COMPARE, kept, study, width_at

from l2sim.comparisons import Bars, Curves, Grid, Line
from l2sim.report import write_report
from l2sim.report.charts import draw
from l2sim.report.readings import caption
from l2sim.results.comparison import compare
from l2sim.statistics.intervals import Interval
from l2sim.study import Findings

NOTHING = Interval(np.nan, np.nan, np.nan, 0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return kept(tmp_path_factory.mktemp("studies"), study())


@pytest.fixture(scope="module")
def page(whole: Findings) -> str:
    return write_report(whole.path).read_text("utf-8")


def words(page: str) -> str:
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]+>", " ", page, flags=re.DOTALL)
    return " ".join(text.replace("\u202f", " ").replace("\u2212", "-").split())


# ---- a study


def test_question_and_answer_come_first(page: str) -> None:
    assert "<h1>A &lt;b&gt;stop&lt;/b&gt; &amp; its length</h1>" in page
    sections = re.findall(r'<section id="([^"]+)">', page)
    assert sections[0] == "answer"
    assert sections[1:5] == [f"{name}-section" for name in COMPARE]
    assert sections[5:] == ["points-section", "assumptions", "study", "manifest", "glossary"]
    told = words(page)
    assert "How long may it be?" in told
    assert "24 of 24 runs are here: 6 points, 4 replications of each, every one in 2 worlds" in told
    # A calm market, one and five minutes: 100 and 500 kUSD, and luck of 0 to 3 kUSD that both share.
    assert "a difference of +400 000 USD [+400 000, +400 000]" in told or "a difference of +0.4 MUSD" in told, told[:3000]


def test_the_answer_is_short_and_the_rest_stands_below() -> None:
    from l2sim.comparisons import Reading
    from l2sim.report.readings import SAID, first

    many = Reading([f"Sentence {k}." for k in range(SAID + 2)], pd.DataFrame(), None, 0)
    assert first(many) == [*many.findings[:SAID], "2 more below."]
    assert first(many._replace(findings=many.findings[:SAID])) == many.findings[:SAID]


def test_how_many_comparisons_were_made_is_said(whole: Findings, page: str) -> None:
    assert f"make {whole.comparisons} intervals and tests" in words(page)
    assert f"each would need {100 * (1 - 0.05 / whole.comparisons):.4g} %" in words(page)


def test_figures_have_their_data_and_the_command_that_makes_them(whole: Findings, page: str) -> None:
    folder = whole.path / "figures"
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.{end}" for name in COMPARE for end in ("csv", "png"))
    for name in COMPARE:
        assert pd.read_csv(folder / f"{name}.csv").shape == whole.readings[name].table.shape
        assert f'<figure id="{name}">' in page
    assert page.count("<code>l2sim sweep results/stops/0123456789abcdef/study.yaml</code>") == len(COMPARE)
    assert "l2sim replay results/stops/0123456789abcdef#0" in page


def test_points_and_provenance_are_listed(page: str) -> None:
    told = words(page)
    assert "The points and their key figures" in told
    assert re.search(r"1 1 min rough 4 151 500 USD \[149 400, 153 600\]", told)
    assert "Sourced (" in told
    assert "Assumed (" in told
    # Bad debt is there with the attack alone: its mean over the points is 375 kUSD and 0 to 3 kUSD of luck.
    assert re.search(r"bad debt \+376 500 USD \[\+374 400, \+378 600\]", told)


def test_what_failed_or_is_missing_is_told(tmp_path: Path) -> None:
    page = write_report(kept(tmp_path, study(), without=(23,), failed=(5, 8)).path).read_text("utf-8")
    told = words(page)
    assert "21 of 24 runs are here" in told
    assert "2 failed and are listed below. 1 is missing." in told
    assert "BooksDoNotClose: &lt;3 USD&gt; are missing" in page
    assert "point 5: stop lasts 5 min and style rough" in told


def test_nothing_finished_is_no_failure_of_the_report(tmp_path: Path) -> None:
    page = write_report(kept(tmp_path, study(), without=tuple(range(24))).path).read_text("utf-8")
    assert "0 of 24 runs are here" in words(page)
    assert words(page).count("Not answered:") == len(COMPARE)


def test_without_comparisons_the_key_figures_are_drawn(tmp_path: Path) -> None:
    found = kept(tmp_path, study(compare={}))
    page = write_report(found).read_text("utf-8")
    assert re.findall(r'<figure id="([^"]+)">', page) == ["debt_bad_debt", "cascade_price_drop", "what_matters"]
    lone = kept(tmp_path / "lone", study(compare={}, vary=None))
    assert "1 point, 4 replications of each" in words(write_report(lone).read_text("utf-8"))


def test_a_single_replication_has_no_interval(tmp_path: Path) -> None:
    page = write_report(kept(tmp_path, study(replications=1))).read_text("utf-8")
    answer = page[page.index('<section id="answer">') : page.index('<section id="best-section">')]
    assert not re.search(r"\[[-+]?\d", words(answer).replace("[0, 0]", ""))
    assert "No intervals." in page


# ---- charts


def lines(*found: Interval, x: tuple[float | str, ...] = (1.0, 2.0), theory: bool = False) -> Curves:
    return Curves("wait", "s", "bad debt", "USD", [Line("here", x, list(found), theory)])


def drawn(picture: Curves | Bars | Grid) -> str:
    return draw(picture, "it").svg


def test_axes_carry_names_and_units() -> None:
    text = drawn(lines(Interval(2e6, 1e6, 3e6, 8), Interval(4e6, 3e6, 5e6, 8)))
    assert ">wait, s<" in text
    assert ">Bad debt<" in text
    assert ">MUSD<" in text
    grid = Grid("wait", "s", "depth", "USD", "share lost", "%", [60.0, 600.0], [1e6], {"": [[Interval(0.25, 0.2, 0.3, 8), NOTHING]]})
    text = drawn(grid)
    assert ">25<" in text
    assert ">10\u202fmin<" in text
    assert ">1\u202fMUSD<" in text
    assert "<image" not in text
    assert ">share of variance, %<" in drawn(Bars("share of variance", "%", ["wait"], {"first order": [Interval(0.5, 0.4, 0.6, 8)]}))


def test_what_cannot_be_drawn_is_left_out() -> None:
    for picture in (lines(NOTHING, NOTHING), lines(Interval(1.0, np.nan, np.nan, 1), NOTHING), Curves("a", "", "b", "", []), lines(x=())):
        assert "<svg" in drawn(picture)
    log = lines(Interval(1.0, -1.0, 3.0, 4), Interval(0.0, 0.0, 0.0, 4))._replace(y_log=True, x_log=True)
    assert "<svg" in drawn(log)
    assert "<svg" in drawn(Bars("x", "", ["wait"], {"total": [NOTHING]}))
    assert "<svg" in drawn(Grid("x", "", "y", "", "v", "", ["a"], ["b"], {"one": [[NOTHING]]}))


def test_every_mark_is_within_the_axes() -> None:
    many = [Line(str(k), [0.0, 7200.0], [Interval(k, k - 0.5, k + 0.5, 4)] * 2) for k in range(10)]
    picture = Curves("grace period", "s", "bad debt", "USD", many)
    text = drawn(picture)
    uses = [float(x) for x in re.findall(r'<use [^>]*x="([\d.]+)"', text)]
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', text)[1])  # type: ignore[index]
    assert len(uses) > 20
    assert 0.0 < min(uses) <= max(uses) < width


def test_captions_say_where_intervals_come_from() -> None:
    assert caption(lines(Interval(1, 0, 2, 8), Interval(1, 0, 2, 6))) == "Marks: estimates. Error bars: 95 % intervals, n = 6 to 8."
    assert caption(lines(Interval(1, np.nan, np.nan, 1))) == "Marks: estimates. No intervals."
    formula = lines(Interval(1, np.nan, np.nan, 0), theory=True)._replace(level=0.1, y_unit="%")
    assert caption(formula) == "Marks: estimates. Dashed: what the formula says. Dotted: 10\u202f%. No intervals."


# ---- two runs


def test_two_runs_beside_each_other(tmp_path: Path) -> None:
    found = compare(make_run(tmp_path, 3), make_run(tmp_path, 3, {"title": "A longer one", "duration": "25min"}, cost=2.0))
    page = write_report(found).read_text("utf-8")
    told = words(page)
    assert "differences are those of pairs" in told
    assert "duration 20 min 25 min" in told
    assert f"<code>l2sim compare results/stop/{found.one.path.name} results/stop/{found.other.path.name}</code>" in page
    assert '<figure id="comparison">' in page
    # An attack that costs 5 MUSD against one that costs 10: the longs lose 5 MUSD less.
    assert re.search(r"longs: profit -5\.10 MUSD \[-5\.35, -4\.85\] -10\.10 MUSD \[-10\.35, -9\.85\] \+5 MUSD \[\+5, \+5\]", told)
    assert {path.name for path in (found.path / "figures").iterdir()} == {"all_differences.csv", "comparison.csv", "comparison.png"}


def test_points_of_a_study_are_compared_like_runs(whole: Findings) -> None:
    found = compare(whole.run(0), whole.run(1))
    told = words(write_report(found).read_text("utf-8"))
    assert "l2sim compare results/stops/0123456789abcdef@0 results/stops/0123456789abcdef@1" in told
    assert "prices.eth.volatility 20 % 90 %" in told
    assert re.search(r"bad debt 101 500 USD \[99 400, 103 600\] 151 500 USD \[149 400, 153 600\] -50 000 USD \[-50 000, -50 000\]", told)


# ---- in a browser


def test_a_study_opens_on_a_desktop_and_on_a_phone(whole: Findings, page: str, tmp_path: Path) -> None:
    shown, complaints = browse(whole.path / "report.html")
    assert complaints == []
    assert shown.count("<svg") == len(COMPARE)
    assert width_at(whole.path / "report.html", tmp_path, 1280) == 1280
    assert width_at(whole.path / "report.html", tmp_path, 390) == 390
    wide = tmp_path / "wide.html"
    wide.write_text(page.replace("</main>", '<div style="width:800px">wide</div></main>'), encoding="utf-8")
    assert width_at(wide, tmp_path, 390) > 390  # so that this test can fail
