"""What disputes cost either side: who is on which, by hand, and what accounts lost is what the metrics say."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from test_scenarios_dispute_delay import SHORT
from test_settlement_disputes import played
from validation import SCENARIOS as SMALL
from worlds import SCENARIOS, lived

from l2sim.events import AssertionChallenged, AssertionConfirmed, AssertionMade, AssertionRejected, BondSlashed, DisputeMoved
from l2sim.events.dispute_game import BondsPaid, ClaimMade, ClaimResolved, GameResolved, MoveRefused
from l2sim.events.stakes import DefenderPaid, StakeForfeited, StakePosted, StakeReturned
from l2sim.log import Log
from l2sim.metrics.dispute_economics import DisputeEconomics
from l2sim.metrics.disputes import Disputes
from l2sim.metrics.sequencer_margin import SequencerMargin
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


# ---- what is locked, and until when


def test_bonds_are_locked_until_they_are_paid_out() -> None:
    """A game that is resolved on the first day is paid on the third; another begins meanwhile."""
    log = Log()
    log.about = {"duration": 20 * DAY, "groups": {"attack": {"section": "attacks", "first": ATTACK, "last": ATTACK + 1}}}
    for number, began in ((0, 0), (1, 2 * DAY)):
        log.record(began, AssertionMade("op", number, 0, 10 + number, PROPOSER, 1, 1, 1.0, 0.5))
        for claim, account, bond in ((0, PROPOSER, 1.0), (1, ATTACK, 2.0), (2, WATCH, 4.0)):
            log.record(began, ClaimMade("op", number, claim, claim - 1, claim, 1, account, 1, 0, bond, 0.0))
        for claim, account, winner, bond in ((2, WATCH, WATCH, 4.0), (1, ATTACK, WATCH, 2.0), (0, PROPOSER, PROPOSER, 1.0)):
            log.record(began + DAY, ClaimResolved("op", number, claim, int(account != winner), account, winner, bond))
        log.record(began + DAY, BondSlashed("op", number, ATTACK, WATCH, 2.0, 0.0))
        log.record(began + DAY, AssertionConfirmed("op", number, 10 + number, 1))
        for account, amount in ((PROPOSER, 1.0), (WATCH, 6.0)):
            log.record(began + 3 * DAY, BondsPaid("op", number, account, amount))
    found = row(DisputeEconomics(), log, "op")
    assert (found["attackers_locked"], found["defenders_locked"]) == (4.0, 10.0)
    assert (found["attackers_lost"], found["defenders_rewards"]) == (4.0, 4.0)


@pytest.mark.parametrize("resolved", [True, False])
def test_what_is_decided_is_not_open_though_it_is_kept(resolved: bool) -> None:
    """The run ends while a game's bonds are kept, after it was resolved or before."""
    log = Log()
    log.about = {"duration": 9 * DAY, "groups": {"attack": {"section": "attacks", "first": ATTACK, "last": ATTACK + 1}}}
    log.record(0, AssertionMade("op", 0, 0, 10, PROPOSER, 1, 1, 1.0, 0.5))
    for claim, account, bond in ((0, PROPOSER, 1.0), (1, ATTACK, 2.0)):
        log.record(0, ClaimMade("op", 0, claim, claim - 1, claim, 1, account, 1, 0, bond, 0.0))
    if resolved:
        log.record(8 * DAY, BondSlashed("op", 0, ATTACK, WATCH, 2.0, 0.0))
        log.record(8 * DAY, GameResolved("op", 0, 1, 2))
        log.record(8 * DAY, AssertionConfirmed("op", 0, 10, 1))
    found = row(DisputeEconomics.model_validate({"usual": "6d"}), log, "op")
    assert (found["attackers_locked"], found["defenders_locked"]) == (2.0, 1.0)
    assert (found["attackers_open"], found["defenders_open"]) == ((0.0, 0.0) if resolved else (2.0, 1.0))
    assert found["delay_per_ether"] == pytest.approx(86_400.0 if resolved else np.nan, nan_ok=True)


def test_the_bond_of_an_assertion_that_is_taken_out_is_free() -> None:
    log = Log()
    log.about = {"duration": 20 * DAY, "groups": {}}
    for number in range(3):
        log.record(number * DAY, AssertionMade("arb", number, 0, 10, PROPOSER, 1, 1, 1.0, 0.5))
        log.record(number * DAY + HOUR, AssertionRejected("arb", number, 10, 1))
    assert row(DisputeEconomics(), log, "arb")["defenders_locked"] == 1.0


def test_what_is_locked_is_what_the_contract_keeps() -> None:
    """Games overlap and many are resolved, none is paid out by the end: all that was put down is still there."""
    settings = ("chains.op.settlement.bond_delay=100h", "attacks.against_op.lasts=12h", "duration=25h")
    world, log = played(Scenario.load(SCENARIOS / "dispute_delay.yaml", (*SHORT, *settings)))
    found = row(DisputeEconomics(), log, "op")
    assert len(log.frame("GameResolved")) > 10
    assert "BondsPaid" not in log.tables or not len(log.frame("BondsPaid"))
    kept = world.ledger.held("l1", "gas", "op.settlement")
    assert found["attackers_locked"] + found["defenders_locked"] == pytest.approx(kept, rel=1e-9)
    assert found["attackers_locked"] > 1000.0


# ---- games that are taken out


GAME = "kind: dispute_game, preimage_challenge: 0 s, response: 1s, clock: 1h, extension: 5min, airgap: 3h, bond_delay: 1h, guardian: boss"
FALLS_BACK = (
    "chains.op.sequencer.block_time=1min", "chains.op.proposer.interval=5h", f"chains.op.settlement={{{GAME}}}", "agents.leavers=null",
    "attacks.delay.stalls=null", "attacks.delay.most=1",
    "agents.boss={kind: security_council, on: op, falls_back_at: 3h, upgrade_delay: 4h, convenes: 1h}",
)  # fmt: skip


@pytest.mark.parametrize("duration", ["2h45min", "3h30min", "12h"])
def test_bonds_that_are_given_back_were_not_lost(duration: str) -> None:
    """Before the fall back a game has been resolved; by the end it is in its airgap still, is taken out, and is paid out."""
    world, log = played(Scenario.load(SMALL / "dispute_game.yaml", (*FALLS_BACK, f"duration={duration}")))
    resolved, back = len(log.frame("GameResolved")), duration != "2h45min"
    assert resolved >= 1
    assert ("GameInvalidated" in log.tables and len(log.frame("GameInvalidated")) >= 1) == back
    closed = log.frame("AccountClosed").query("asset == 'gas'")
    grew = (closed["closing"] - closed["opening"]).groupby(closed["group"].astype(str)).sum()
    spent, found = row(DisputeEconomics(), log, "op"), row(Disputes(), log, "op")
    assert -grew["delay"] == pytest.approx(spent["attackers_spent"], abs=1e-6)
    assert -grew["delay"] == pytest.approx(found["attackers_gas"] + found["attackers_bonds"], abs=1e-6)
    own = log.frame("AssertionMade")["cost"].sum()
    assert -grew[["op.proposer", "validators"]].sum() == pytest.approx(spent["defenders_spent"] + own, abs=1e-6)
    assert found["defenders_rewards"] == pytest.approx(spent["defenders_rewards"])
    assert (found["attackers_bonds"] == 0.0) == back
    margin = row(SequencerMargin(), log, "op")
    assert margin["other_cost"] == 0.0
    assert (margin["dispute_cost"] > 0.0) == back
    assert world.ledger.held("l1", "gas", "op.settlement") >= 0.0


# ---- what is usual


def test_where_every_assertion_was_disputed_the_delay_is_more_than_the_settlement_takes() -> None:
    """One assertion in the whole run, and rivals of it: nothing in the log says what would have been usual."""
    settings = (
        "duration=2d", "chains.arb.settlement={kind: partial_concurrency, challenge_period: 6h}", "chains.arb.proposer.interval=100d",
        "agents.leavers=null", "attacks.rivals.lasts=40h", "attacks.rivals.rivals=3",
    )  # fmt: skip
    log = lived(Scenario.load(SMALL / "delay.yaml", settings))
    (made,) = log.frame("AssertionMade").query("valid == 1")["time"]
    (final,) = log.frame("AssertionConfirmed").query("valid == 1")["time"]
    found = row(DisputeEconomics(), log, "arb")
    assert found["delay"] == pytest.approx((final - made - 6 * HOUR) / 1e9)
    assert found["delay"] > 6 * 3600
    assert found["opportunity_cost"] == pytest.approx(5.4e9 * 0.05 * found["delay"] / (365 * 86_400))


@pytest.mark.parametrize(
    ("said", "disputed", "ends", "delay"),
    [
        (DAY, True, [3 * DAY], 2 * DAY),
        (DAY, True, [2 * DAY, 5 * DAY], 4 * DAY),
        (DAY, True, [DAY // 2, 3 * DAY], 5 * DAY // 2),  # the shortest took less than the settlement says
        (DAY, False, [2 * DAY, 5 * DAY], 3 * DAY),  # provers were slow, nobody disputed
        (None, True, [2 * DAY, 5 * DAY], 3 * DAY),
        (DAY, True, [], 19 * DAY),  # open at the end
        (30 * DAY, True, [], np.nan),  # too early to say
        (DAY, False, [], np.nan),
    ],
)
def test_usual_is_what_a_settlement_takes_where_nobody_disputes(said: int | None, disputed: bool, ends: list[int], delay: float) -> None:
    log = Log()
    log.about = {"duration": 20 * DAY, "groups": {}, "chains": {"op": {"usual": said}}}
    for number in range(max(1, len(ends))):
        log.record(0, AssertionMade("op", number, 0, 10 + number, PROPOSER, 1, 1, 1.0, 0.5))
    if disputed:
        log.record(HOUR, AssertionChallenged("op", 0, ATTACK, 1.0, 0.01, 1))
    for number, end in enumerate(ends):
        log.record(end, AssertionConfirmed("op", number, 10 + number, 1))
    assert row(DisputeEconomics(), log, "op")["delay"] == pytest.approx(delay / 1e9, nan_ok=True)


def test_a_false_assertion_that_passes_ends_no_delay() -> None:
    """Rivals up to the same block: a false one is final after a day, the true one after nine; six are usual."""
    log = Log()
    log.about = {"duration": 20 * DAY, "groups": {}}
    for number, account, valid in ((0, PROPOSER, 1), (1, ATTACK, 0)):
        log.record(0, AssertionMade("op", number, 0, 10, account, number, valid, 0.0, 0.5))
    for end, number, valid in ((DAY, 1, 0), (9 * DAY, 0, 1)):
        log.record(end, AssertionConfirmed("op", number, 10, valid))
    assert row(DisputeEconomics.model_validate({"usual": "6d"}), log, "op")["delay"] == 3 * 86_400


def test_what_nothing_true_is_asserted_up_to_delays_nobody() -> None:
    """A false assertion without a rival is taken out; the next true one comes a day later, up to a later block, and takes what is usual."""
    log = Log()
    log.about = {"duration": 20 * DAY, "groups": {}}
    for time, number, last, valid in ((0, 0, 10, 1), (HOUR, 1, 12, 0), (DAY, 2, 20, 1)):
        log.record(time, AssertionMade("op", number, 0, last, PROPOSER if valid else ATTACK, number, valid, 0.0, 0.5))
    for time, number, last in ((6 * DAY, 0, 10), (7 * DAY, 2, 20)):
        log.record(time, AssertionConfirmed("op", number, last, 1))
    found = row(DisputeEconomics.model_validate({"usual": "6d"}), log, "op")
    assert (found["delay"], found["opportunity_cost"]) == (0.0, 0.0)


def test_stakes_are_open_while_a_dispute_is() -> None:
    """A rival of a true assertion stakes 100 ETH; the run ends before either is decided, ten days after, or goes on until both are."""

    def ends(day: int) -> dict[str, float]:
        log = Log()
        log.about = {"duration": day * DAY, "groups": {"attack": {"section": "attacks", "first": ATTACK, "last": ATTACK + 1}}}
        for number, account, valid in ((0, PROPOSER, 1), (1, ATTACK, 0)):
            log.record(0, AssertionMade("arb", number, 0, 10, account, number, valid, 0.0, 0.5))
            log.record(0, StakePosted("arb", number, account, "assertion", 100.0))
        if day > 12:
            log.record(12 * DAY, StakeForfeited("arb", 1, ATTACK, "assertion", 100.0))
            log.record(12 * DAY, StakeReturned("arb", 0, PROPOSER, "assertion", 100.0))
            log.record(12 * DAY, AssertionConfirmed("arb", 0, 10, 1))
        return row(DisputeEconomics.model_validate({"usual": "6d"}), log, "arb")

    still, over = ends(10), ends(20)
    assert (still["attackers_open"], still["defenders_open"], still["unresolved"]) == (100.0, 100.0, 1.0)
    assert (still["attackers_spent"], still["delay"]) == (0.5, 4 * 86_400.0)
    assert np.isnan(still["delay_per_ether"])
    assert (over["attackers_open"], over["defenders_open"], over["unresolved"]) == (0.0, 0.0, 0.0)
    assert over["delay_per_ether"] == pytest.approx(over["delay"] / 100.5)
