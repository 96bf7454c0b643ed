"""The report: complete, honest, alone on its page, and the same when written again."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from report_runs import METRICS, browse, make_run
from test_report_panels import MORE_METRICS

from l2sim.report import write_report
from l2sim.report.answer import findings
from l2sim.report.evidence import Evidence
from l2sim.results import OutputError, Run, RunNotFound

FIGURES = ["cascades", "costs", "finality", "gains", "network", "timeline"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = make_run(tmp_path_factory.mktemp("report"))
    write_report(made)
    return made


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return (run.path / "report.html").read_text("utf-8")


class Page(HTMLParser):
    """Everything in a page that names something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, name: str) -> Iterator[str]:
        return (attributes[name] for _, attributes in self.tags if name in attributes)


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="([^"]+)">', page)


def answer(page: str) -> str:
    """The words of the answer, without markup and with plain spaces."""
    part = page[page.index('<section id="answer">') : page.index("</section>")]
    return " ".join(re.sub(r"<[^>]+>", " ", part).replace("\u202f", " ").replace("\u2212", "-").split())


# ---- the file


def test_it_is_the_same_when_written_again_elsewhere(run: Run, page: str, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in (run.path / "figures").iterdir()}
    copy = tmp_path / run.path.parent.name / run.path.name
    shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns("report.html", "figures"))
    (copy / "figures").mkdir()
    (copy / "figures" / "of_old.csv").write_text("the data of a figure that is no more", encoding="utf-8")
    program = "import sys; from l2sim.report import write_report; print(write_report(sys.argv[1]))"
    command = [sys.executable, "-W", "error", "-c", program, str(copy)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONHASHSEED": "4242"})
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()) == copy / "report.html"
    assert (copy / "report.html").read_text("utf-8") == page
    assert {path.name: path.read_bytes() for path in (copy / "figures").iterdir()} == files


def test_the_data_of_every_figure_lies_beside_it(run: Run, page: str) -> None:
    assert sorted(path.stem for path in (run.path / "figures").glob("*.csv")) == FIGURES
    for name in FIGURES:
        assert len(pd.read_csv(run.path / "figures" / f"{name}.csv")) > 0
        assert f'<figure id="{name}">' in page
    gains = pd.read_csv(run.path / "figures" / "gains.csv").set_index(["group", "what"])
    assert gains.loc[("longs", "difference"), "mean_usd"] == pytest.approx(-5e6)
    assert gains.loc[("longs", "as_written"), "mean_usd"] == pytest.approx(-5.1e6)


def test_what_cannot_be_read_or_written_is_said(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunNotFound):
        write_report(tmp_path)
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns("figures"))
    (copy / "figures").write_text("a file in the way", encoding="utf-8")
    with pytest.raises(OutputError, match="figures"):
        write_report(copy)


# ---- alone on its page


def test_nothing_is_asked_of_anybody(page: str) -> None:
    parsed = Page(page)
    references = [value for name in ("href", "src", "xlink:href", "action", "data", "poster", "srcset") for value in parsed.all(name)]
    assert references
    assert all(value.startswith("#") or value == "data:," for value in references)
    assert not {tag for tag, _ in parsed.tags} & {"script", "iframe", "object", "embed", "img", "base", "form", "image"}
    assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?([^)]*)", page))
    assert "@import" not in page
    assert "http://" not in page
    assert "default-src 'none'" in next(parsed.all("content"))


def test_names_in_the_page_are_unique_and_lead_somewhere(page: str) -> None:
    parsed = Page(page)
    names = Counter(parsed.all("id"))
    assert [name for name, times in names.items() if times > 1] == []
    targets = {value[1:] for value in parsed.all("href") if value.startswith("#")} | set(re.findall(r"url\(#([^)]*)\)", page))
    assert targets <= names.keys()


def test_pictures_are_described_and_text_is_text(page: str) -> None:
    described = [attributes for _, attributes in Page(page).tags if attributes.get("role") == "img"]
    assert len(described) == len(FIGURES)
    assert all(attributes["aria-label"] for attributes in described)
    assert page.count("<svg") == len(FIGURES)
    assert ">simulated time, minutes</text>" in page


def test_what_users_wrote_stays_text(page: str) -> None:
    assert "<h1>A &lt;b&gt;stop&lt;/b&gt; &amp; its price</h1>" in page
    assert "Who pays for a stop of three minutes?" in page
    assert "Nobody else trades." in page


# ---- complete


def test_every_section_is_there(page: str) -> None:
    figures = ["timeline", "finality", "liquidations", "gains", "costs", "network"]
    assert sections(page) == ["answer", *(f"{name}-section" for name in figures), "assumptions", "scenario", "manifest", "glossary"]
    for panel in ("Price of eth", "Notional liquidated", "Transactions waiting", "How far the heads of arb", "Base fee on l1"):
        assert f">{panel}" in page


def test_values_are_apart_by_where_they_come_from(page: str) -> None:
    captions = re.findall(r'<p class="caption">([^<]+)</p>', page)
    where = [caption.partition(" (")[0] for caption in captions if caption.endswith(")")]
    assert where == ["Sourced", "Assumed", "Left at their defaults, which are assumptions too"]
    assert "ethereum/consensus-specs" in page


def test_it_says_how_to_do_it_again(run: Run, page: str) -> None:
    assert f"l2sim run scenario.yaml --seed 7 --replications 3   # the scenario above; makes run {run.path.name}" in page
    assert f"l2sim replay results/stop/{run.path.name}#0" in page
    assert run.worlds["as_written"].digests[2][:16] in page
    assert run.scenario.digest in page


def test_the_glossary_explains_the_kinds_that_are_used(page: str) -> None:
    glossary = page[page.index('<section id="glossary">') :]
    kinds = re.findall(r"<h3><code>([a-z0-9_]+)</code>", glossary)
    assert {"perpetual", "rollup", "sequencer_outage", "time_to_finality"} <= set(kinds)
    assert "jump_diffusion" not in kinds
    assert "How long it lasts." in glossary
    assert "``" not in glossary


@pytest.mark.parametrize("empty", [False, True])
def test_what_does_not_apply_is_left_out(tmp_path: Path, empty: bool) -> None:
    bare = {"chains": {"outside": {"kind": "outside"}}, "markets": {}, "agents": {}, "attacks": {}}
    page = write_report(make_run(tmp_path, 1, bare, empty=empty)).read_text("utf-8")
    there = set(sections(page))
    assert {"answer", "network-section", "assumptions", "scenario", "manifest", "glossary"} <= there
    assert ("gains-section" in there) is not empty
    assert "without attack" not in page
    assert "The scenario has no attack" in answer(page)
    if empty:
        assert not there & {"timeline-section", "finality-section", "liquidations-section", "costs-section"}


def test_a_scenario_without_metrics_has_a_report(tmp_path: Path) -> None:
    page = write_report(make_run(tmp_path, 1, {"metrics": {}})).read_text("utf-8")
    assert "nothing was measured" in answer(page)
    assert "timeline-section" in sections(page)


# ---- honest


def test_the_answer_is_computed(page: str) -> None:
    told = answer(page)
    assert "means over n = 3 replications; brackets are 95 % intervals" in told
    # 5 MUSD in every replication: an interval of no width; luck moves both worlds alike.
    assert "Worse off than without the attack: longs by 5 MUSD [5, 5]." in told
    assert "Better off: makers by 5 MUSD [5, 5]." in told
    # Of 101 transactions one waits 180 s instead of 3, 4 or 5: 176 / 101 more, ± 4.303 x (1 / 101) / sqrt(3).
    assert "In a block after: 5.7 s with the attack, 4.0 s without; difference +1.743 s [+1.718, +1.767]." in told
    # 3.1 units at 2800 USD more, on average.
    assert "Liquidated in all: 11 800 USD with the attack, 3 100 USD without; difference +8 700 USD [+8 000, +9 400]." in told
    assert "Liquidated notional is 1 [1, 1] times what it is where trades move no price: the same in every replication." in told


def told_by(run: Run) -> str:
    return " ".join(finding.text for finding in findings(Evidence(run))).replace("\u202f", " ").replace("\u2212", "-")


def test_no_effect_is_none(tmp_path: Path) -> None:
    told = told_by(make_run(tmp_path, 3, cost=0.0))
    assert "Worse off" not in told
    assert "Better off" not in told
    assert "Indistinguishable from zero: stop (+2 USD [-3, +7]). 2 others: nothing." in told


def test_luck_is_not_taken_for_an_effect(tmp_path: Path) -> None:
    run = make_run(tmp_path, 3)
    for number, profit in enumerate((-4e6, 5e6, -2e6)):
        figures = run.worlds["as_written"].measured[number].figures
        assert isinstance(figures, dict)
        figures["profit.groups.longs.profit"] = profit
    told = told_by(run)
    assert "Worse off" not in told
    assert "Better off than" not in told
    # The mean difference is -0.233 MUSD, its standard error 2.74 MUSD, t(2) = 4.303.
    assert "Indistinguishable from zero: longs (0 MUSD [-12, +12])" in told


def test_one_replication_has_no_interval(tmp_path: Path) -> None:
    page = write_report(make_run(tmp_path, 1)).read_text("utf-8")
    told = answer(page)
    assert "There is one replication" in told
    assert "one replication, no interval" in told
    assert "Worse off than without the attack: longs by 5 MUSD." in told
    assert not re.search(r"\[[-+]?\d", told)
    assert "95 % intervals" not in page


def test_a_group_that_only_one_world_has_is_compared_with_nothing(run: Run) -> None:
    gains = pd.read_csv(run.path / "figures" / "gains.csv").set_index(["group", "what"])
    assert gains.loc[("stop", "difference"), "mean_usd"] == pytest.approx(2.0)
    assert ("stop", "without_attacks") not in gains.index


# ---- in a browser


def test_a_browser_opens_it_without_a_request_or_a_complaint(run: Run, page: str, tmp_path: Path) -> None:
    shown, complaints = browse(run.path / "report.html")
    assert complaints == []
    assert shown.count("<svg") == len(FIGURES)
    assert "To do it again" in shown
    asking = tmp_path / "asking.html"
    asking.write_text(page.replace("</main>", '<img src="https://example.org/a.png"></main>'), encoding="utf-8")
    assert browse(asking)[1]  # the page's own policy turns any request into an error, so this test can fail


def test_no_metric_is_forgotten() -> None:
    from l2sim.part import room

    assert {part["kind"] for part in (METRICS | MORE_METRICS).values()} == {
        kind for kind, part in room("metrics").kinds().items() if part.__module__.startswith("l2sim.")
    }
