"""What the scenario about delays found: shortened, its order of protocols and its multiples of a period are the same."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from worlds import SCENARIOS, lived

from l2sim.log import Log
from l2sim.report import delays
from l2sim.report.evidence import Evidence
from l2sim.scenario import Scenario
from l2sim.simulation import experiment

PERIOD = 6 * 3600.0
RIVALS = ("bold", "bracket", "pairs")
SHORT = (
    "duration=60h",
    *(f"chains.{name}.settlement.challenge_period=6h" for name in RIVALS),
    *("chains.bold.settlement.grace=2h", "chains.op.settlement.clock=3h", "chains.op.settlement.extension=5min"),
    *("chains.op.settlement.preimage_challenge=10min", "chains.op.settlement.airgap=3h", "chains.op.settlement.bond_delay=1h"),
    *(f"chains.{name}.sequencer.block_time=5min" for name in (*RIVALS, "op")),
    *(f"chains.{name}.proposer.{what}" for name in (*RIVALS, "op") for what in ("interval=1h", "phase=30min")),
    *(f"attacks.against_{name}.{what}" for name in RIVALS for what in ("begins=1h", "lasts=58h", "wait=5h50min")),
    *("attacks.against_op.begins=1h", "attacks.against_op.lasts=40h"),
)


@cache
def history(*settings: str) -> tuple[Scenario, Log]:
    scenario = Scenario.load(SCENARIOS / "dispute_delay.yaml", (*SHORT, *settings))
    return scenario, lived(scenario)


def found(*settings: str) -> Any:
    scenario, log = history(*settings)
    return scenario.metrics["economics"].measure(log)


def test_delays_grow_with_rivals_but_not_under_bold() -> None:
    """A rival just before the period is over: then each round is a period that nobody would have waited anyway."""
    delays = found()["delay"] / PERIOD
    assert 2 / 6 < delays["bold"] < 4 / 6  # the council's days, and 71 moves that each take the defender more than a minute
    assert delays["bracket"] == pytest.approx(3, abs=0.3)  # five claims: three rounds
    assert delays["pairs"] == pytest.approx(4, abs=0.4)


def test_who_asserts_rivals_at_once_gives_a_period_away() -> None:
    delays = found(*(f"attacks.against_{name}.wait=0" for name in RIVALS))["delay"] / PERIOD
    assert 2 / 6 < delays["bold"] < 4 / 6
    assert delays["bracket"] == pytest.approx(3 - 1, abs=0.3)
    assert delays["pairs"] == pytest.approx(4 - 1, abs=0.4)


def test_one_rival_delays_by_a_period_but_not_under_bold() -> None:
    one = found(*(f"attacks.against_{name}.rivals=1" for name in RIVALS))["delay"] / PERIOD
    assert one["bold"] == found()["delay"]["bold"] / PERIOD
    assert one["bracket"] == pytest.approx(1, abs=0.1)
    assert one["pairs"] == pytest.approx(1, abs=0.1)


def test_every_attacker_uses_its_budget() -> None:
    locked = found()["attackers_lost"]
    assert locked["bold"] == 3 * (3600 + 555 + 79)
    assert locked[["bracket", "pairs"]].tolist() == [14_400.0] * 2
    assert 14_400 - 61 < locked["op"] <= 14_400  # less than the last bond of a game is left
    assert found()["defenders_lost"].max() == 0.0


def test_rivals_under_bold_are_argued_down_and_defenders_stake_at_each_level() -> None:
    _, log = history()
    edges = log.frame("StakePosted").query("purpose == 'edge'")
    assert edges.groupby("account")["amount"].agg(["sum", "count"]).values.tolist() == [[3 * 634.0, 6], [3 * 634.0, 6]]
    assert found()["defenders_locked"][["bold", "bracket", "pairs"]].tolist() == [3600 + 3 * 634.0, 3600.0, 3600.0]


def test_rivals_come_just_before_the_period_is_over() -> None:
    for scenario in (history()[0], Scenario.load(SCENARIOS / "dispute_delay.yaml")):
        for name in RIVALS:
            attack: Any = scenario.attacks[f"against_{name}"]
            rollup: Any = scenario.chains[name]
            assert 0.97 * rollup.settlement.challenge_period < attack.wait < rollup.settlement.challenge_period


def numbers(log: Log, fact: str) -> set[tuple[str, int]]:
    """The assertions that a fact is about."""
    return set(zip(*(log.frame(fact)[column].tolist() for column in ("chain", "number")), strict=True))


def test_what_was_attacked_is_decided_within_the_run() -> None:
    _, log = history()
    decided = numbers(log, "AssertionConfirmed") | numbers(log, "AssertionRejected")
    assert len(numbers(log, "AssertionChallenged")) == 3 + 4 + 4 + 40
    assert numbers(log, "AssertionChallenged") <= decided


def test_a_day_under_bold_is_the_dearest() -> None:
    per_ether = found()["delay_per_ether"]
    assert per_ether.idxmin() == "bold"
    assert per_ether["pairs"] > per_ether["bracket"] > 3 * per_ether["bold"]


def test_a_report_of_a_run_that_ends_in_the_middle_says_that_disputes_are_open(tmp_path: Path) -> None:
    early = Scenario.load(SCENARIOS / "dispute_delay.yaml", (*SHORT, "duration=14h"))
    evidence = Evidence(experiment(early, out=tmp_path))
    told = dict(delays.sentences(evidence))
    assert "still open when the run ends: " in told["Delay of bracket"]
    assert "of stakes and bonds" in told["Delay of bracket"]
    assert " still staked;" in told["Delay of bracket"]
    assert "was final" not in told["Delay of bracket"]
    assert not evidence.level("economics.bracket.delay_per_ether").n
