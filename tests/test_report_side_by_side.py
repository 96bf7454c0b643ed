"""Rollups side by side in one world: paired, in scenario order, told in few words; and nothing of it where there is one rollup."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from report_runs import make_run

from l2sim.events import AccountClosed, BadDebtIncurred, PositionLiquidated, PositionOpened, TransactionDropped, TransactionIncluded
from l2sim.log import Log
from l2sim.report import write_report
from l2sim.report.answer import findings
from l2sim.report.cards import CARDS, Card, cards
from l2sim.report.evidence import Evidence
from l2sim.report.panels import _finish
from l2sim.report.side_by_side import Measure, headline, measures, sides, tables
from l2sim.results import Run
from l2sim.results.results import figures_of
from l2sim.results.run import keep, record_of, run_id, seal, worlds_of
from l2sim.results.tables import pack
from l2sim.scenario import Scenario
from l2sim.units import MINUTE, SECOND

CHAINS = ("a", "b", "c")
ROLES = ("crowd", "keeper", "maker", "savers", "tippers")
ROLLUP = {
    "kind": "rollup",
    "ordering": {"kind": "first_come_first_served"},
    "fee": {"kind": "constant", "fee": "0.001 gwei"},
    "sequencer": {"kind": "sequencer", "block_time": "1s"},
}
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
                **dict.fromkeys(chains, ROLLUP),
            },
            "markets": {f"{chain}_perp": {"kind": "perpetual", "on": chain, "index": "eth"} for chain in chains},
            "agents": agents,
            "attacks": {"stop": {"kind": "sequencer_outage", "on": "a", "begins": "5min", "lasts": "1min"}} if attacked else {},
            "metrics": {**asked, **cascades, "throughput": {"kind": "throughput"}} if metrics is None else metrics,
        },
        "beside",
    )


def log_of(chains: tuple[str, ...], luck: int) -> Log:
    """Luck moves the bad debt of all chains alike, by 100 USD; the second has 30 less than the first, the third 10 more or less."""
    log = Log()
    names = [f"{chain}_{role}" for chain in chains for role in ROLES]
    groups = {
        name: {"kind": KINDS.get(name[2:], "crowd_of_leveraged_traders"), "section": "agents", "first": i, "last": i + 1}
        for i, name in enumerate(names)
    }
    places = {chain: {"kind": "rollup", "settles_on": None, "block_time": SECOND, "blocks": 600} for chain in chains}
    markets = {f"{chain}_perp": {"kind": "perpetual", "on": chain, "base": None} for chain in chains}
    log.about = {"duration": 10 * MINUTE, "prices": {"eth": 3000.0}, "groups": groups, "chains": places, "markets": markets}
    wave = (-1, 2, -1)[luck % 3]
    for time, chain in enumerate(chains):
        debt = 500.0 + 100 * luck + (0, -30, 10 * wave)[CHAINS.index(chain)]
        now = MINUTE + time
        log.record(now, PositionOpened(f"{chain}_perp", 1, 1.0, 2990.0, 300.0, 2700.0, 2690.0))
        log.record(now, PositionLiquidated(f"{chain}_perp", 1, 2, 1.0, 2800.0, 2790.0, 5.0, 10.0, 0.0, debt))
        log.record(now, BadDebtIncurred(f"{chain}_perp", 1, debt))
    for chain in chains:
        for place, role in enumerate(ROLES):
            wait = (1 + place * (1 + CHAINS.index(chain))) * SECOND
            sender = names.index(f"{chain}_{role}")
            log.record(2 * MINUTE, TransactionIncluded(chain, 1, 2 * MINUTE - wait, sender, "x", "open", 0, 1, 0.0, 0.0, 0.0, 0.0))
        log.record(3 * MINUTE, TransactionDropped(chain, 2 * MINUTE, names.index(f"{chain}_keeper"), "x", "open", 1))
    for place, name in enumerate(names):
        gain = (place - len(names) / 2) * 1000.0 + luck
        log.record(10 * MINUTE, AccountClosed(name, str(groups[name]["kind"]), name[0], "usd", 0.0, gain, 1.0, gain))
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
