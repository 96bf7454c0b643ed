"""The figures that a scenario names as its answer come first, in its order and in its words."""

from pathlib import Path

import pytest
from report_runs import ABOUT, SCENARIO, log_of, make_run
from test_honesty import hurried
from worlds import SCENARIOS, lived

from l2sim.events import TransactionIncluded
from l2sim.log import Log
from l2sim.report.answer import findings, statement
from l2sim.report.cards import cards
from l2sim.report.evidence import Evidence
from l2sim.results.results import figures_of
from l2sim.scenario import Scenario, ScenarioError
from l2sim.wording import NOTHING


def evidence(folder: Path, *answer: dict[str, str]) -> Evidence:
    longs = {"kind": "scripted"}  # figures of nobody are refused
    return Evidence(make_run(folder, 2, {"answer": answer, "agents": {**SCENARIO["agents"], "longs": longs}}))


def test_the_answer_is_what_the_scenario_asks_for(tmp_path: Path) -> None:
    found = evidence(tmp_path, {"profit.groups.longs.profit": "profit of the longs"}, {"delay.arb.max": ""})
    assert [card.label for card in cards(found)] == ["profit of the longs", "arb: wait for a block, longest"]
    assert {card.kicker for card in cards(found)} == {"Difference the attack makes"}
    first = findings(found)[0]
    assert first.topic == "In short"
    assert first.text.startswith("Profit of the longs: ")
    assert first.text.index("with the attack") < first.text.index("Arb: wait for a block, longest")


def test_what_has_nothing_to_compare_with_is_no_difference(tmp_path: Path) -> None:
    def logs(world: str, luck: int) -> Log:
        log = Log() if world == "without_attacks" else log_of(world, luck)
        log.about = ABOUT
        return log

    found = Evidence(make_run(tmp_path, 2, {"answer": [{"delay.arb.max": "longest wait"}]}, logs=logs))
    assert [card.kicker for card in cards(found)] == ["As written"]


def test_what_the_attack_does_not_change_is_an_answer_too(tmp_path: Path) -> None:
    run = make_run(
        tmp_path, 2, {"answer": [{"throughput.arb.gas_a_second": "gas a second"}]}, logs=lambda _, luck: log_of("as_written", luck)
    )
    assert [card.kicker for card in cards(Evidence(run))] == ["As written"]


def test_a_figure_that_nobody_measures_is_told(tmp_path: Path) -> None:
    found = evidence(tmp_path, {"delay.arb.longest": "the wait"})
    assert findings(found)[0].text == "The wait: no metric of this run has a figure 'delay.arb.longest'."
    assert [card.label for card in cards(found)] == [card.label for card in cards(evidence(tmp_path / "other"))]


def test_a_metric_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(ScenarioError, match="there is no metric 'dalay'; did you mean 'delay'"):
        Scenario.of({**SCENARIO, "answer": [{"dalay.arb.max": "the wait"}]})


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_scenarios_ask_for_figures_that_there_are(path: Path) -> None:
    scenario = hurried(path)
    asked = [figure for one in scenario.answer for figure in one]
    log = lived(scenario)
    names = {figure.partition(".")[0] for figure in asked}
    assert set(asked) <= {figure for name in names for figure in figures_of(name, scenario.metrics[name], log)}


def free(world: str, luck: int) -> Log:
    """Transactions that cost nothing, but in the last replication none at all."""
    log = Log()
    log.about = ABOUT
    if luck < 2:
        log.record(10**10, TransactionIncluded("arb", 1, 0, 5, "perp", "open", 0, 400_000, 0.0, 0.0, 0.0, 0.0))
    return log


def test_what_costs_nothing_costs_zero_and_of_what_is_counted_there_is_none(tmp_path: Path) -> None:
    found = Evidence(make_run(tmp_path, 3, logs=free))
    told = {of.topic: of.text for of in findings(found)}["Costs on arb"].replace("\u202f", " ")
    assert told == "A transaction pays on average: 0 USD in every replication (from 2 of 3 replications)."
    assert statement(found, "delay.arb.dropped", "Transactions dropped") == "Transactions dropped: none in any replication."


def test_what_was_not_observed_has_no_card(tmp_path: Path) -> None:
    found = cards(Evidence(make_run(tmp_path, 2, empty=True)))
    assert NOTHING not in {card.value for card in found}
    assert "no pairs" not in {card.interval for card in found}
