"""What disputes cost either side: who is on which, by hand, and what accounts lost is what the metrics say."""

from functools import cache
from typing import Any

import pytest
from test_scenarios_dispute_delay import SHORT
from test_settlement_disputes import played
from worlds import SCENARIOS, lived

from l2sim.events import AssertionChallenged, AssertionConfirmed, AssertionMade, BondSlashed, DisputeMoved
from l2sim.events.dispute_game import MoveRefused
from l2sim.events.stakes import DefenderPaid, StakeForfeited, StakePosted
from l2sim.log import Log
from l2sim.metrics.dispute_economics import DisputeEconomics
from l2sim.metrics.disputes import Disputes
from l2sim.scenario import Scenario
from l2sim.units import DAY, HOUR

PROPOSER, WATCH, ATTACK, QUARREL = 1, 2, 8, 9


def row(metric: Any, log: Log, chain: str) -> dict[str, float]:
    return dict(metric.measure(log).loc[chain])


def log_of_a_game(challenger: int) -> Log:
    """A true assertion is challenged and lost against two who defend it; each side's moves and bonds in round numbers."""
    log = Log()
    log.about = {"duration": 20 * DAY, "groups": {"attack": {"section": "attacks", "first": ATTACK, "last": ATTACK + 1}}}
    log.record(HOUR, AssertionMade("op", 0, 0, 10, PROPOSER, 1, 1, 1.0, 0.5))
    log.record(2 * HOUR, AssertionChallenged("op", 0, challenger, 1.0, 0.01, 1))
    log.record(3 * HOUR, DisputeMoved("op", 0, PROPOSER, "block", 0, 8, 0.02))
    log.record(3 * HOUR, MoveRefused("op", 0, 1, WATCH, "claimed already", 0.03))
    log.record(4 * HOUR, DisputeMoved("op", 0, challenger, "block", 0, 4, 0.04))
    log.record(5 * HOUR, DisputeMoved("op", 0, WATCH, "block", 0, 2, 0.05))
    log.record(5 * HOUR, MoveRefused("op", 0, 1, challenger, "too late", 0.06))
    log.record(DAY, BondSlashed("op", 0, challenger, WATCH, 6.0, 1.0))
    log.record(9 * DAY, AssertionConfirmed("op", 0, 10, 1))
    return log


@pytest.mark.parametrize("challenger", [ATTACK, QUARREL])
def test_whoever_stands_by_a_true_assertion_defends_and_whoever_challenges_it_attacks(challenger: int) -> None:
    log = log_of_a_game(challenger)
    found, spent = row(Disputes(), log, "op"), row(DisputeEconomics(), log, "op")
    for one in (found, spent):
        assert one["attackers_gas"] == pytest.approx(0.01 + 0.04 + 0.06)
        assert one["defenders_gas"] == pytest.approx(0.02 + 0.03 + 0.05)
    assert (found["attackers_bonds"], found["defenders_bonds"], found["defenders_rewards"]) == (7.0, 0.0, 6.0)
    assert found["spend_ratio"] == pytest.approx((0.11 + 7.0) / 0.10)
    assert spent["attackers_spent"] == pytest.approx(0.11 + 7.0)
    assert spent["defenders_spent"] == pytest.approx(0.10 - 6.0)


def test_what_rivals_win_from_each_other_is_not_spent() -> None:
    """Two rivals of one attacker, of which the first beats the second and then loses; half of a stake is the winner's."""
    log = Log()
    log.about = {"duration": 20 * DAY, "groups": {"attack": {"section": "attacks", "first": ATTACK, "last": ATTACK + 1}}}
    for number, account, valid in ((0, PROPOSER, 1), (1, ATTACK, 0), (2, ATTACK, 0)):
        log.record(HOUR, AssertionMade("arb", number, 0, 10, account, number, valid, 0.0, 0.5))
        log.record(HOUR, StakePosted("arb", number, account, "assertion", 100.0))
    for time, loser, winner, account in ((6 * DAY, 2, 1, ATTACK), (12 * DAY, 1, 0, PROPOSER)):
        log.record(time, StakeForfeited("arb", loser, ATTACK, "assertion", 100.0))
        log.record(time, DefenderPaid("arb", winner, account, 0.0, 50.0))
    log.record(12 * DAY, AssertionConfirmed("arb", 0, 10, 1))
    found = row(DisputeEconomics.model_validate({"usual": "6d"}), log, "arb")
    assert (found["attackers_lost"], found["attackers_rewards"], found["defenders_rewards"]) == (200.0, 50.0, 50.0)
    assert found["attackers_spent"] == pytest.approx(1.0 + 200.0 - 50.0)
    assert found["delay_per_ether"] == pytest.approx(found["delay"] / 151.0)


def test_two_defenders_of_a_game_and_the_ledger() -> None:
    """A proposer and a validator defend every true assertion; each pays for the moves that the other made first."""
    scenario = Scenario.load(SCENARIOS / "dispute_delay.yaml", (*SHORT, "attacks.against_op.budget=1500 ETH", "duration=25h"))
    world, log = played(scenario)
    found, first = row(Disputes(), log, "op"), {name: group.accounts.start for name, group in world.ledger.groups.items()}
    refused = log.frame("MoveRefused").query("chain == 'op'").groupby("account")["cost"].sum()
    assert refused[first["op.proposer"]] > 0
    assert refused[first["watch"]] > 0
    moved = log.frame("DisputeMoved").query("chain == 'op'").groupby("account")["cost"].sum()
    both = sum(moved[first[name]] + refused[first[name]] for name in ("op.proposer", "watch"))
    assert found["defenders_gas"] == pytest.approx(both)
    (change,) = (closed for (chain, side), closed in changes(log).items() if (chain, side) == ("op", True))
    assert change == pytest.approx(-found["attackers_gas"] - found["attackers_bonds"], abs=1e-6)
    assert found["spend_ratio"] == pytest.approx(-change / both, rel=1e-6)


SIDES = {chain: ((f"against_{chain}",), (f"{chain}.proposer",)) for chain in ("bold", "bracket", "pairs")}
SIDES["op"] = (("against_op",), ("op.proposer", "watch"))


def changes(log: Log) -> dict[tuple[str, bool], float]:
    """By how much each side's accounts grew, on L1 and in what contracts keep for them (ETH); attackers: True."""
    closed = log.frame("AccountClosed").query("asset == 'gas'")
    grew = (closed["closing"] - closed["opening"]).groupby(closed["group"].astype(str)).sum()
    return {
        (chain, attack): grew[list(groups)].sum()
        for chain, sides in SIDES.items()
        for groups, attack in zip(sides, (True, False), strict=True)
    }


@cache
def fought() -> Log:
    return lived(Scenario.load(SCENARIOS / "dispute_delay.yaml", SHORT))


@pytest.mark.parametrize("chain", SIDES)
def test_what_either_side_spent_is_what_its_accounts_lost(chain: str) -> None:
    log = fought()
    found = row(DisputeEconomics(), log, chain)
    own = log.frame("AssertionMade").query(f"chain == '{chain}' and valid == 1")["cost"].sum()
    assert -changes(log)[chain, True] == pytest.approx(found["attackers_spent"], abs=1e-6)
    assert -changes(log)[chain, False] == pytest.approx(found["defenders_spent"] + own, abs=1e-6)
    assert found["attackers_spent"] > 0
    assert found["delay_per_ether"] == pytest.approx(found["delay"] / found["attackers_spent"])


def test_a_move_that_came_too_late_is_paid_for_where_assertions_exclude_each_other_too() -> None:
    refused = fought().frame("MoveRefused")
    refused = refused[refused["chain"] != "op"]
    assert set(refused["reason"].astype(str)) == {"too late"}
    assert (refused["cost"] > 0).all()
    assert set(refused["parent"]) == {-1}
