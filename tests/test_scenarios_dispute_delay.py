"""What the scenario about delays found: shortened, its order of protocols and its multiples of a period are the same."""

from functools import cache
from typing import Any

import pytest
from worlds import SCENARIOS, lived

from l2sim.scenario import Scenario

PERIOD = 6 * 3600.0
SHORT = (
    "duration=40h",
    *(f"chains.{name}.settlement.challenge_period=6h" for name in ("bold", "bracket", "pairs")),
    *("chains.bold.settlement.grace=2h", "chains.op.settlement.clock=3h", "chains.op.settlement.extension=5min"),
    *("chains.op.settlement.preimage_challenge=10min", "chains.op.settlement.airgap=3h", "chains.op.settlement.bond_delay=1h"),
    *(f"chains.{name}.proposer.{what}" for name in ("bold", "bracket", "pairs", "op") for what in ("interval=1h", "phase=30min")),
    *(f"attacks.against_{name}.{what}" for name in ("bold", "bracket", "pairs", "op") for what in ("begins=1h", "lasts=30h")),
)


@cache
def found() -> Any:
    scenario = Scenario.load(SCENARIOS / "dispute_delay.yaml", SHORT)
    return scenario.metrics["economics"].measure(lived(scenario))


def test_delays_grow_with_rivals_but_not_under_bold() -> None:
    delays = found()["delay"] / PERIOD
    assert delays["bold"] == pytest.approx(2 / 6, abs=0.1)  # the council's days
    assert delays["bracket"] == pytest.approx(3 - 1, abs=0.3)  # five claims: three rounds, one period being usual
    assert delays["pairs"] == pytest.approx(4 - 1, abs=0.4)


def test_every_attacker_spends_its_budget_but_against_games_each_one_is_paid_for() -> None:
    lost = found()["attackers_lost"]
    assert lost[["bold", "bracket", "pairs"]].tolist() == [14_400.0] * 3
    assert 300 < lost["op"] <= 14_400.0
    assert found()["defenders_lost"].max() == 0.0
    assert found()["defenders_locked"][["bold", "bracket", "pairs"]].tolist() == [3600.0] * 3


def test_a_day_under_bold_is_the_dearest() -> None:
    per_ether = found()["delay_per_ether"]
    assert per_ether.idxmin() == "bold"
    assert per_ether["pairs"] > per_ether["bracket"] > 3 * per_ether["bold"]
