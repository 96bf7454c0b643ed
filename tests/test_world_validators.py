"""Validators in a run: what their absence does to heads, which blocks are undone, and that nobody who looks on changes anything."""

from typing import Any

import numpy as np
import pytest
from validation import SCENARIOS, run_file
from worlds import HERE

from l2sim.consensus import Closed, Ended
from l2sim.consensus.casper import Ballot, Casper
from l2sim.events import BatchPosted, ChainReorganized, HeadAdvanced
from l2sim.events.consensus import ProposerDrawn, VotesCounted
from l2sim.log import Log
from l2sim.metrics.loss_of_finality import LossOfFinality
from l2sim.scenario import Scenario, ScenarioError
from l2sim.streams import Streams
from l2sim.units import SECOND
from l2sim.world.world import World

SLOT = 12 * SECOND
ROWS = "metrics.rows={kind: consecutive_slots, length: 2}"
GROUPS = {"some": {"stake": "14_400_000 ETH"}, "others": {"stake": "21_600_000 ETH"}}


def with_groups(**some: Any) -> str:
    return f"chains.l1.consensus.groups={ {**GROUPS, 'some': GROUPS['some'] | some} }".replace("'", '"')


def away(begins: int, lasts: int, group: str = "some") -> str:
    return f"attacks.gone={{kind: validators_offline, on: l1, group: {group}, begins: {begins * 12}s, lasts: {lasts * 12}s}}"


def heads(log: Log, head: str) -> dict[int, int]:
    """The slot in which the head reached each checkpoint."""
    time, number = log.select(HeadAdvanced, "time", "number", chain="l1", head=head)
    return dict(zip(number.tolist(), (time // SLOT).tolist(), strict=True))


# ---- loss of finality


def test_a_simple_consensus_is_what_an_l1_has_without_one() -> None:
    settings = ["duration=20h", "chains.l1.missed=0.1"]
    plain = run_file("finality_of_l1", *settings, "chains.l1.justification=0.8")
    explicit = run_file("finality_of_l1", *settings, "chains.l1.consensus={kind: simple, justification: 0.8}")
    assert plain.digest == explicit.digest
    assert plain.digest != run_file("finality_of_l1", *settings, "chains.l1.justification=0.7").digest


def test_all_are_there_and_heads_are_those_of_the_simple_consensus() -> None:
    found, plain = run_file("consensus_of_l1"), run_file("consensus_of_l1", "chains.l1.consensus=null")
    for head in ("safe", "finalized"):
        assert heads(found, head) == heads(plain, head)
    votes, late, total = found.select(VotesCounted, "votes", "late", "total")
    assert (late == total).all()
    np.testing.assert_allclose(votes / total, 31 / 32)
    assert plain.frame("VotesCounted").empty


def test_two_fifths_away_stop_finality_until_they_are_back() -> None:
    """They are away from slot 161, the second of epoch 5, to slot 256, the end of epoch 7."""
    log = run_file("consensus_of_l1", with_groups(), away(160, 96), ROWS)
    safe, finalized = heads(log, "safe"), heads(log, "finalized")
    # Epoch 4 was justified before. Epochs 5 to 7 never are; 8 and 9 are in time, and finalize 8.
    assert safe[4 * 32] == 5 * 32
    assert [number // 32 for number in safe if number > 4 * 32][:2] == [8, 9]
    assert safe[8 * 32] == 9 * 32
    assert finalized[3 * 32] == 5 * 32
    assert min(slot for number, slot in finalized.items() if number > 3 * 32) == 10 * 32
    assert 4 * 32 not in finalized
    measured = LossOfFinality().measure(log).loc["l1"]
    assert measured["epochs_not_justified"] == 3
    assert measured["longest_without_finality"] == 5 * 32 * 12
    assert measured["votes_min"] == pytest.approx(0.6)
    assert (measured["epochs_in_leak"], measured["stake_lost"]) == (0, 0)
    # Whoever is away makes no blocks.
    slot, group, made = log.select(ProposerDrawn, "slot", "group", "made", chain="l1")
    gone = (slot >= 161) & (slot <= 256) & (group == log.names.find("some"))
    assert ((made == 0) == gone).all()
    assert measured["missed_slots"] == gone.sum() > 20
    told = log.frame("ValidatorsLeft")
    assert told[["slot", "back"]].to_numpy().tolist() == [[161, 0], [257, 1]]


def test_a_leak_hurts_only_the_absent_and_only_while_it_lasts() -> None:
    log = run_file("consensus_of_l1", with_groups(), away(160, 320), "duration=8h")
    epoch, leak = log.select(VotesCounted, "epoch", "leak")
    assert epoch[leak == 1].tolist() == list(range(9, 16))  # 3 is final, and 9 - 1 - 3 > 4; 15 is justified, and 16 finalizes it
    changed = log.frame("StakeChanged")
    assert set(changed["group"]) == {"some"}
    scores = dict(zip(changed["epoch"], changed["score"], strict=True))
    assert 8 not in scores
    assert [scores[number] for number in range(9, 18)] == [4, 8, 12, 16, 20, 24, 28, 11, 0]
    assert changed["lost"].is_monotonic_increasing
    lost = LossOfFinality().measure(log).loc["l1", "stake_lost"]
    assert lost == changed["lost"].iloc[-1] > 0


def test_an_epoch_that_late_votes_justify_is_justified_where_the_head_moves_once_for_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """One slot in twenty has a block, so votes are late and come in heaps: what the bits of the specification say counts."""
    closed: list[tuple[int, tuple[bool, ...]]] = []
    close = Casper.close

    def heard(rules: Casper, state: Ballot, ended: Ended) -> Closed:
        after = close(rules, state, ended)
        closed.append((ended.number, after.state.bits))
        return after

    monkeypatch.setattr(Casper, "close", heard)
    rarely = [f"chains.l1.consensus.groups.{group}.proposes=0.05" for group in ("some", "others")]
    log = run_file("consensus_of_l1", *rarely, "duration=10h")
    bits = dict(closed)
    justified = {number for number, (now, *_) in bits.items() if now} | {number - 1 for number, (_, before, *_) in bits.items() if before}
    never = set(range(1, max(bits) + 1)) - justified
    moves = len(log.select(HeadAdvanced, "number", chain="l1", head="safe")[0])
    assert moves + 10 < len(bits) - 1 - len(never)  # many at once
    assert LossOfFinality().measure(log).loc["l1", "epochs_not_justified"] == len(never) > 0


def test_without_attacks_everybody_is_there() -> None:
    base = Scenario.load(SCENARIOS / "consensus_of_l1.yaml", [with_groups(), away(160, 96)])
    hit, calm = (World(one, Streams(1, 0)).run() for one in (base, base.without_attacks()))
    before = 161 * SLOT
    for name in ("BlockSealed", "HeadAdvanced"):
        one, other = hit.frame(name), calm.frame(name)
        assert one[one["time"] < before].equals(other[other["time"] < before])


# ---- blocks that are undone


def late_scenario(*settings: str) -> Log:
    return run_file("consensus_of_l1", with_groups(late=0.3), ROWS, "duration=40h", *settings)


def test_late_blocks_are_left_out_by_the_next_proposer() -> None:
    log = late_scenario("chains.l1.missed=0.05")
    slot, made = log.select(ProposerDrawn, "slot", "made", chain="l1")
    state = dict(zip(slot.tolist(), made.tolist(), strict=True))
    first, last = log.select(ChainReorganized, "first", "last", chain="l1")
    assert (first == last).all()
    undone = set(first.tolist())
    late = {number for number, what in state.items() if what == 2}
    # The next slot has a block and begins no epoch; the slot before has a block that stands.
    due = {
        number for number in sorted(late)
        if state.get(number + 1) and (number + 1) % 32 and state.get(number - 1) and number - 1 not in undone
    }  # fmt: skip
    assert undone == due
    assert 0.5 * len(late) < len(undone) < len(late)
    blocks = log.frame("BlockSealed", reverted=True)
    assert set(blocks[~blocks["canonical"]]["number"]) == undone


@pytest.mark.parametrize(
    "setting",
    [
        "chains.l1.consensus.late_votes=0.2",  # the head is not weak
        "chains.l1.consensus.groups.others.online=0.6",  # its parent is not strong: 76 % of stake vote
        "chains.l1.consensus.leaves_late_blocks_out=false",
    ],
)
def test_late_blocks_stand_where_the_rule_does_not_hold(setting: str) -> None:
    log = late_scenario(setting)
    assert (log.select(ProposerDrawn, "made")[0] == 2).sum() > 500
    assert log.frame("ChainReorganized").empty


def reorganized(share: float, *settings: str, **attack: Any) -> Log:
    """The scenario of reorganisations, with a group that undoes what it can for as long as it lasts."""
    stake = round(1_000_000 * share) * 32
    plan = {"kind": "consecutive_slots_reorg", "on": "l1", "group": "some", "begins": "100s", "lasts": "4h"} | attack
    base = Scenario.load(HERE / "scenarios" / "reorganizations.yaml", list(settings)).without("agents", "metrics").resolved()
    base["chains"]["l1"]["consensus"] = {
        "kind": "casper",
        "groups": {"some": {"stake": f"{stake} ETH"}, "others": {"stake": f"{32_000_000 - stake} ETH"}},
    }
    base |= {"attacks": {"row": plan}, "markets": {}, "duration": "5h", "metrics": {"rows": {"kind": "consecutive_slots", "length": 2}}}
    base["chains"].pop("outside")
    return World(Scenario.of(base), Streams(4, 0)).run()


@pytest.mark.parametrize(("share", "needed", "depth"), [(0.3, 2, 1), (0.25, 2, 1), (0.2, 3, 1), (0.33, 3, 2)])
def test_who_owns_slots_in_a_row_undoes_the_honest_ones_behind(share: float, needed: int, depth: int) -> None:
    log = reorganized(share, depth=depth)
    slot, group, made = log.select(ProposerDrawn, "slot", "group", "made", chain="l1")
    own = dict(zip(slot.tolist(), (group == log.names.find("some")).tolist(), strict=True))
    there = dict(zip(slot.tolist(), made.tolist(), strict=True))
    time, first, last = log.select(ChainReorganized, "time", "first", "last", chain="l1")
    assert len(first) > 3
    for when, one, other in zip(time.tolist(), first.tolist(), last.tolist(), strict=True):
        row = range(one - needed, one)
        assert other - one + 1 == depth
        assert all(own[number] and not there[number] for number in row)
        assert not any(own[number] for number in range(one, other + 1))
        assert when == other * SLOT + 2 * SECOND
    assert len(log.frame("BlocksWithheld")) == len(first)


def test_undone_slots_are_counted_from_the_first_to_the_last() -> None:
    log = Log()
    log.about = {"duration": 480 * SECOND, "chains": {"l1": {"kind": "l1", "block_time": SLOT}}}
    for first, last in ((10, 12), (20, 20)):
        log.record(last * SLOT, ChainReorganized("l1", first, last, 0, 0))
    assert LossOfFinality().measure(log).loc["l1", "undone_slots"] == 3 + 1


def test_batches_in_them_are_posted_again() -> None:
    log = reorganized(0.3)
    undone = log.frame("BatchPosted", reverted=True)
    lost = undone[~undone["canonical"]]
    assert len(lost) >= 1
    first, last = log.select(BatchPosted, "first", "last")
    assert (first[1:] == last[:-1] + 1).all()
    assert set(lost["last"]) <= set(last.tolist())


def test_whose_votes_are_too_few_does_not_try() -> None:
    log = reorganized(0.2, depth=1, most=1)
    assert len(log.frame("ChainReorganized")) == 1
    assert reorganized(0.01).frame("ChainReorganized").empty


# ---- what is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["chains.l1.justification=0.9"], "'consensus' says which epochs are justified: leave 'justification' out"),
        ([away(1, 1, "somme")], "there is no group of validators 'somme' on 'l1'; did you mean 'some'?"),
        ([away(1, 1), "chains.l1.consensus=null"], "'l1' has no consensus: give it one"),
        ([away(1, 1), "chains.l1.consensus={kind: simple}"], "needs a consensus that has some, such as 'casper'"),
        (["chains.l1.slots_per_epoch=0"], "slots_per_epoch"),
        (["chains.l1.consensus.groups.some.late=120 %"], "must be between 0 and 1"),
        (["attacks.row={kind: consecutive_slots_reorg, on: l1, group: some, begins: 1s, lasts: 1s, depth: 0}"], "depth"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        Scenario.load(SCENARIOS / "consensus_of_l1.yaml", settings)
    assert message in str(error.value)


def test_l1_is_not_undone_by_late_blocks_under_a_dispute() -> None:
    plan = Scenario.load(SCENARIOS / "disputes.yaml").resolved()
    plan["chains"]["l1"]["consensus"] = {"kind": "casper", "groups": {"all": {"stake": "3200 ETH", "late": 0.01}}}
    with pytest.raises(ScenarioError) as error:
        Scenario.of(plan)
    assert "cannot be undone on 'l1', where blocks of 'all' may be late and undone: leave 'late' out" in str(error.value)
