"""Chains side by side in one world: paired, in scenario order, told in few words; and nothing of it where there is one chain."""

import re
import shutil
import types
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from report_runs import make_run

from l2sim.events import AccountClosed, BadDebtIncurred, PositionLiquidated, PositionOpened, TransactionDropped, TransactionIncluded
from l2sim.events.inclusion import TransactionCensored
from l2sim.log import Log
from l2sim.report import write_report
from l2sim.report.answer import findings, introduction
from l2sim.report.cards import CARDS, Card, cards
from l2sim.report.evidence import Evidence
from l2sim.report.panels import LOOKS, _finish, picture
from l2sim.report.side_by_side import Measure, _Gather, _of_those_left_out, headline, measures, missing, sides, tables
from l2sim.results import Run
from l2sim.results.results import figures_of
from l2sim.results.run import keep, record_of, run_id, seal, worlds_of
from l2sim.results.tables import pack
from l2sim.scenario import Scenario
from l2sim.units import MINUTE, SECOND
from l2sim.wording import NOTHING

CHAINS = ("a", "b", "c")
ROLES = ("crowd", "keeper", "maker", "savers", "tippers")
ROLLUP = {
    "kind": "rollup",
    "ordering": {"kind": "first_come_first_served"},
    "fee": {"kind": "constant", "fee": "0.001 gwei"},
    "sequencer": {"kind": "sequencer", "block_time": "1s"},
}
L1 = {"preset": "ethereum"}
KINDS = {"keeper": "liquidator", "maker": "market_maker"}


def scenario(chains: tuple[str, ...] = CHAINS, metrics: dict[str, Any] | None = None, *, attacked: bool = False) -> Scenario:
    agents = {
        f"{chain}_{role}": {"kind": KINDS.get(role, "crowd_of_leveraged_traders"), "market": f"{chain}_perp"}
        | ({"size": 10, "notional": "100 USD", "leverage": 5} if role not in KINDS else {"capital": "1 MUSD"})
        for chain in chains
        for role in ROLES
    }
    cascades = {f"{chain}_cascade": {"kind": "liquidation_cascade", "market": f"{chain}_perp"} for chain in chains}
    asked = {"debt": {"kind": "bad_debt"}, "wait": {"kind": "inclusion_delay", "by": "agent"}, "profit": {"kind": "profit_and_loss"}}
    return Scenario.of(
        {
            "title": "Side by side",
            "duration": "10min",
            "prices": {"eth": {"kind": "geometric_brownian", "start": "3000 USD", "volatility": "60 %"}},
            "chains": {
                "outside": {"kind": "outside"},
                **{chain: L1 if chain == "l1" else ROLLUP for chain in chains},
            },
            "markets": {f"{chain}_perp": {"kind": "perpetual", "on": chain, "index": "eth"} for chain in chains},
            "agents": agents,
            "attacks": {"stop": {"kind": "sequencer_outage", "on": "a", "begins": "5min", "lasts": "1min"}} if attacked else {},
            "metrics": {**asked, **cascades, "throughput": {"kind": "throughput"}} if metrics is None else metrics,
        },
        "beside",
    )


def log_of(chains: tuple[str, ...], luck: int) -> Log:
    """Luck moves the bad debt of all chains alike, by 100 USD; the second has 30 less than the first, the third 10 more or less.

    Where L1 is among the chains, somebody is left out on the first, and nobody anywhere else.
    """
    log = Log()
    names = [f"{chain}_{role}" for chain in chains for role in ROLES]
    groups = {
        name: {"kind": KINDS.get(name.partition("_")[2], "crowd_of_leveraged_traders"), "section": "agents", "first": i, "last": i + 1}
        for i, name in enumerate(names)
    }
    kinds = {chain: "l1" if chain == "l1" else "rollup" for chain in chains}
    places = {chain: {"kind": kinds[chain], "settles_on": None, "block_time": SECOND, "blocks": 600} for chain in chains}
    markets = {f"{chain}_perp": {"kind": "perpetual", "on": chain, "base": None} for chain in chains}
    log.about = {"duration": 10 * MINUTE, "prices": {"eth": 3000.0}, "groups": groups, "chains": places, "markets": markets}
    wave = (-1, 2, -1)[luck % 3]
    for time, chain in enumerate(chains):
        debt = 500.0 + 100 * luck + {"b": -30, "c": 10 * wave}.get(chain, 0)
        now = MINUTE + time
        log.record(now, PositionOpened(f"{chain}_perp", 1, 1.0, 2990.0, 300.0, 2700.0, 2690.0))
        log.record(now, PositionLiquidated(f"{chain}_perp", 1, 2, 1.0, 2800.0, 2790.0, 5.0, 10.0, 0.0, debt))
        log.record(now, BadDebtIncurred(f"{chain}_perp", 1, debt))
    for chain in chains:
        for place, role in enumerate(ROLES):
            wait = (1 + place * (1 + chains.index(chain))) * SECOND
            sender = names.index(f"{chain}_{role}")
            log.record(2 * MINUTE, TransactionIncluded(chain, 1, 2 * MINUTE - wait, sender, "x", "open", 0, 1, 0.0, 0.0, 0.0, 0.0))
        log.record(3 * MINUTE, TransactionDropped(chain, 2 * MINUTE, names.index(f"{chain}_keeper"), "x", "open", 1))
    if "l1" in chains:
        log.record(2 * MINUTE, TransactionCensored(chains[0], 2 * MINUTE, names.index(f"{chains[0]}_crowd"), "x", "close"))
    for place, name in enumerate(names):
        gain = (place - len(names) / 2) * 1000.0 + luck
        log.record(10 * MINUTE, AccountClosed(name, str(groups[name]["kind"]), name.partition("_")[0], "usd", 0.0, gain, 1.0, gain))
    return log


def make(
    out: Path, replications: int = 3, chains: tuple[str, ...] = CHAINS, metrics: dict[str, Any] | None = None, *, attacked: bool = False
) -> Run:
    """A run kept in a folder, of logs made by hand."""
    asked = scenario(chains, metrics, attacked=attacked)
    folder = out / asked.name / run_id(asked, 7)
    (folder / "replications").mkdir(parents=True)
    for number in range(replications):
        log = log_of(chains, number)
        files, records = {}, {}
        for name, variant in worlds_of(asked).items():
            figures: dict[str, float] = {}
            for metric, part in variant.metrics.items():
                figures |= figures_of(metric, part, log)
            files[name], records[name] = pack(log), record_of(log.digest, figures)
        keep(folder, number, files, {"seed": 7, "worlds": records, "seconds": 1.0})
    return seal(folder, asked, 7, range(replications))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = make(tmp_path_factory.mktemp("beside"))
    write_report(made)
    return made


@pytest.fixture(scope="module")
def evidence(run: Run) -> Evidence:
    return Evidence(run)


def plain(text: str) -> str:
    return text.replace("\u202f", " ").replace("\u2212", "-")


def told_by(evidence: Evidence) -> dict[str, str]:
    return {finding.topic: plain(finding.text) for finding in findings(evidence)}


def test_chains_with_a_market_of_one_kind_stand_side_by_side(evidence: Evidence, tmp_path: Path) -> None:
    assert sides(evidence) == ["a", "b", "c"]
    alone = Evidence(make(tmp_path, 1, ("a",)))
    assert sides(alone) == []
    assert measures(alone) == []
    assert headline(alone) is None


def test_l1_stands_beside_the_rollups_where_it_carries_such_a_market(tmp_path: Path) -> None:
    asked = {
        "wait": {"kind": "inclusion_delay", "by": "chain"},
        "margin": {"kind": "sequencer_margin"},
        "out": {"kind": "censorship_delay"},
    }
    evidence = Evidence(make(tmp_path, 2, ("a", "b", "l1"), metrics=asked))
    assert sides(evidence) == ["a", "b", "l1"]
    assert "The chains a, b and l1 are set side by side" in introduction(evidence)
    found = {measure.name: measure for measure in measures(evidence)}
    assert [found["wait.mean"].level(chain).mean for chain in ("a", "b", "l1")] == [3.0, 5.0, 7.0]
    assert "margin.margin_per_day" not in found  # Zero on the rollups, and none on L1.
    levels = tables(evidence)[0]
    assert levels.head == ["", "a", "b", "l1"]
    assert next(row for row in levels.rows if row[0] == "wait for a block, mean, s")[3] != NOTHING
    assert picture(evidence).data["chain"].unique().tolist() == ["a", "b", "l1"]  # type: ignore[union-attr]


def test_of_a_chain_where_nobody_was_left_out_nothing_is_said(tmp_path: Path) -> None:
    def measured(chains: tuple[str, ...], attempts: dict[str, float], never: dict[str, float]) -> Measure:
        columns = {f"out.{chain}.{name}": [of[chain]] * 2 for chain in chains for name, of in (("attempts", attempts), ("never", never))}
        evidence = types.SimpleNamespace(written=types.SimpleNamespace(summary=pd.DataFrame(columns), units={}))
        gather = _Gather(evidence, list(chains))  # type: ignore[arg-type]
        values = {chain: gather.column(f"out.{chain}.never") for chain in chains}
        return _of_those_left_out(gather, Measure("out.never", "in no block by the end", "", "", values, drawn=False))

    found = measured(("a", "b", "l1"), {"a": 1, "b": 2, "l1": 0}, {"a": 1, "b": 0, "l1": 0})
    assert [found.level(chain).n for chain in ("a", "b", "l1")] == [2, 2, 0]
    assert [found.level(chain).mean for chain in ("a", "b")] == [1.0, 0.0]
    assert missing(found) == ["l1"]


def test_blanks_are_explained(tmp_path: Path) -> None:
    values = {"a": np.array([1.0]), "b": np.array([2.0]), "l1": np.array([np.nan])}
    gap, whole = (Measure("m.mean", "wait", "", "s", {**values, "l1": last}, drawn=True) for last in (values["l1"], values["a"]))
    evidence = Evidence(make(tmp_path, 1, ("a", "b", "l1")))
    with pytest.MonkeyPatch.context() as patch:
        for found, explained in ((gap, True), (whole, False)):
            patch.setattr("l2sim.report.side_by_side.measures", lambda _, found=found: [found])
            patch.setattr("l2sim.report.panels.measures", lambda _, found=found: [found])
            levels = tables(evidence)[0]
            assert (levels.rows[0][3] == NOTHING) is explained
            assert ("no such thing: L1 has no sequencer and posts no batches" in levels.note) is explained
            assert ("A line without a dot" in picture(evidence).caption) is explained  # type: ignore[union-attr]


@pytest.mark.parametrize("chains", [4, 13])
def test_no_title_of_a_panel_reaches_its_neighbour(monkeypatch: pytest.MonkeyPatch, chains: int) -> None:
    names = [f"chain{place}" for place in range(chains)]
    words = ("at risk until it is final, mean over time", "kept out of blocks for, mean", "notional by unit of collateral", "bad debt")
    found = [Measure("m.mean", text, "", "s", {name: np.array([1.0]) for name in names}, drawn=True) for text in (*words, words[0])]
    drawn: list[Figure] = []
    monkeypatch.setattr("l2sim.report.panels.measures", lambda _: found)
    monkeypatch.setattr("l2sim.report.panels.Drawing", lambda figure, _: drawn.append(figure))
    picture(types.SimpleNamespace(replications=1, compared=False))  # type: ignore[arg-type]
    (figure,) = drawn
    figure.draw_without_rendering()
    panels = sorted(
        ((axes.get_subplotspec().rowspan.start, axes) for axes in figure.axes), key=lambda one: (one[0], one[1].get_position().x0)
    )  # type: ignore[union-attr]
    assert len(panels) == 5
    for (line, axes), (other, beside) in pairwise(panels):
        if line == other:
            assert axes._left_title.get_window_extent().x1 < beside.get_window_extent().x0
    assert len({marker for _, marker in LOOKS[:chains]}) == chains


def test_the_section_follows_the_answer(run: Run) -> None:
    page = (run.path / "report.html").read_text("utf-8")
    assert re.findall(r'<section id="([^"]+)">', page)[:2] == ["answer", "side-by-side-section"]
    assert '<a href="#side-by-side-section">Side by side</a>' in page
    assert '<figure id="side_by_side">' in page
    assert page.index("Key figures:") > page.index('id="side-by-side-section"')
    for text in ("Bad debt", "Wait for a block, mean, by role", "Profit, by role (liquidators)", "USD", "savers"):
        assert f">{text}</text>" in page


def test_a_single_rollup_has_no_such_section(tmp_path: Path) -> None:
    page = write_report(make_run(tmp_path, 1)).read_text("utf-8")
    assert "Side by side" not in page
    assert page.index("Key figures:") < page.index('id="timeline-section"')


def test_it_is_the_same_when_written_again(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / run.path.parent.name / run.path.name
    shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns("report.html", "figures"))
    assert write_report(copy).read_bytes() == (run.path / "report.html").read_bytes()
    data = Path("figures") / "side_by_side.csv"
    assert (copy / data).read_bytes() == (run.path / data).read_bytes()


def test_the_data_has_a_row_for_each_mark(run: Run) -> None:
    data = pd.read_csv(run.path / "figures" / "side_by_side.csv", keep_default_na=False, na_values={"value": [""]})
    debt = data[(data["figure"] == "debt.bad_debt") & (data["chain"] == "b")]
    assert debt.loc[debt["what"] == "replication", "value"].tolist() == [470.0, 570.0, 670.0]
    assert debt.loc[debt["what"] == "mean", "value"].tolist() == [570.0]
    assert set(data.loc[data["figure"] == "profit.profit", "role"]) == {"keeper"}
    # The roles wait for 1, 2, …, 5 s on the first chain: 3 s on average.
    whole = data[(data["figure"] == "wait.mean") & (data["role"] == "") & (data["chain"] == "a") & (data["what"] == "mean")]
    assert whole["value"].tolist() == [3.0]


def test_differences_are_paired_by_replication(evidence: Evidence) -> None:
    levels, apart, *_ = tables(evidence)
    assert levels.head == ["", "a", "b", "c"]
    assert [plain(cell) for cell in apart.head] == ["", "b - a", "c - a"]
    debt = {row[0]: [plain(cell) for cell in row[1:]] for row in apart.rows}["bad debt, USD"]
    # 30 less in each replication, though luck spreads the levels by 100; -10, 20, -10: 0 ± 4.303 x 17.3 / sqrt(3).
    assert debt == ["-30 [-30, -30]", "0 [-40, +40] (0 inside)"]
    assert {row[0]: plain(" ".join(row[1:2])) for row in levels.rows}["bad debt, USD"] == "600 [350, 850]"


def test_roles_are_groups_without_the_name_of_their_chain(evidence: Evidence) -> None:
    waits = {measure.role: measure for measure in measures(evidence) if measure.name == "wait.mean" and measure.role}
    assert list(waits) == list(ROLES)
    assert [waits["tippers"].level(chain).mean for chain in CHAINS] == [5.0, 9.0, 13.0]


def test_the_answer_is_short_and_computed(evidence: Evidence) -> None:
    told = told_by(evidence)
    assert told["Bad debt"] == (
        "600 USD on a, 570 USD on b and 600 USD on c; against a, b -30 USD [-30, -30]; "
        "the difference of c from a is indistinguishable from zero."
    )
    waits = told["Mean wait for a block by role"]
    assert waits.startswith("tippers: 5 s on a, 9 s on b and 13 s on c. savers: 4 s on a, 7 s on b and 10 s on c.")
    assert "crowd" not in waits
    assert "4 of 5" in waits
    assert "3 more, in the table" in told["Who gained"]
    assert not [topic for topic in told if topic.startswith("Liquidations")]


def test_the_cards_are_the_chains(evidence: Evidence) -> None:
    shown = [(card.kicker, card.label, plain(card.value)) for card in cards(evidence)]
    assert shown == [("On a", "bad debt", "600 USD"), ("On b", "bad debt", "570 USD"), ("On c", "bad debt", "600 USD")]


def test_without_bad_debt_the_cards_show_what_there_is(tmp_path: Path) -> None:
    evidence = Evidence(make(tmp_path, 2, metrics={"wait": {"kind": "inclusion_delay", "by": "chain"}}))
    assert [(card.kicker, plain(card.value)) for card in cards(evidence)] == [("On a", "3 s"), ("On b", "5 s"), ("On c", "7 s")]


def test_one_replication_has_dots_but_no_interval(tmp_path: Path) -> None:
    run = make(tmp_path, 1)
    page = write_report(run).read_text("utf-8")
    assert "One replication, so no intervals." in page
    assert "95 % intervals" not in page
    assert "indistinguishable" not in page
    assert told_by(Evidence(run))["Bad debt"] == "500 USD on a, 470 USD on b and 490 USD on c; against a, b -30 USD and c -10 USD."


def test_one_replication_of_durations_far_apart_is_drawn() -> None:
    def measure(name: str, *seconds: float) -> Measure:
        return Measure(name, name, "", "s", {chain: np.array([one]) for chain, one in zip(CHAINS, seconds, strict=False)}, drawn=True)

    axes = Figure().subplots()
    _finish(axes, [measure("mean", 0.2, 30.0), measure("longest", 1.0, 86_400.0)], ticks=6)
    low, high = axes.get_xlim()
    assert axes.get_xscale() == "log"
    assert 0.1 < low < 0.2
    assert high > 86_400.0


def test_with_an_attack_the_answer_stays_about_the_attack(tmp_path: Path) -> None:
    run = make(tmp_path, 2, attacked=True)
    page = write_report(run).read_text("utf-8")
    assert "side-by-side-section" in page
    assert page.index("Key figures:") < page.index('id="side-by-side-section"')
    assert "All with the attack." in page
    evidence = Evidence(run)
    assert not [card for card in cards(evidence) if card.kicker.startswith("On ")]
    waits = told_by(evidence)["Mean wait for a block"]
    assert waits.count("with the attack") == 4
    assert "These are the 4 of 15 most changed by the attack" in waits


def test_ticks_are_round_in_the_unit_that_is_written() -> None:
    from matplotlib.figure import Figure

    from l2sim.report.figures import quantity_axis

    figure = Figure()
    axes = figure.subplots()
    axes.set_xlim(0.0, 130.0)
    assert quantity_axis(axes.xaxis, "s", 130.0, ticks=3) == "min"
    figure.canvas.draw()
    assert [text.get_text() for text in axes.get_xticklabels()][:3] == ["0", "1", "2"]


def test_differences_that_are_none_do_not_stand_first(monkeypatch: pytest.MonkeyPatch) -> None:
    none, some = Card("Difference", "notional", "0 USD", "", False, moves=False), Card("Difference", "wait", "+3 h", "", True)
    for found, shown in (([none, some], [some]), ([none], [none]), ([some] * 99, [some] * CARDS)):
        monkeypatch.setattr("l2sim.report.cards._cards", lambda _, found=found: iter(found))
        assert cards(None) == shown  # type: ignore[arg-type]
