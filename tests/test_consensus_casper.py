"""Casper's law: the four rules of finalization, votes that come late, the exit queue, the fork choice, and what is refused."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from l2sim.consensus import Ended
from l2sim.consensus.casper import Ballot, Casper, _justified
from l2sim.consensus.casper.fork_choice import Late, left_out, overtakes, slots_needed

ETH = 10**9


def casper(**groups: int) -> Casper:
    """Groups with so many validators of 32 ETH."""
    return Casper.model_validate({"groups": {name: {"stake": f"{32 * n} ETH"} for name, n in groups.items()}})


def justified(*epochs: str) -> list[int]:
    """The finalized epoch after each of a row of epochs: ``n`` justified now, ``l`` the one before late, ``b`` both, ``-`` neither.

    Epochs begin with 0 and nothing before it is justified.
    """
    state = casper(all=1).genesis()._replace(bits=(False,) * 4, previous=-9, current=-9, finalized=-9)
    found = []
    for number, word in enumerate(epochs):
        state = _justified(state, number, word in "lb", word in "nb")
        found.append(state.finalized)
    return found


# ---- ethereum/consensus-specs: specs/phase0/beacon-chain.md, weigh_justification_and_finalization


@pytest.mark.parametrize(
    ("epochs", "finalized"),
    [
        ("nn", [-9, 0]),  # rule 4: an epoch and the next
        ("nnn", [-9, 0, 1]),
        ("n-b", [-9, -9, 0]),  # rule 3: the next one late, together with the one after
        ("n-l", [-9, -9, 0]),  # rule 2: the next one late
        ("-lll", [-9, -9, -9, 0]),  # rule 1: two in a row, each late
        ("-llll", [-9, -9, -9, 0, 1]),
        ("n-n-n", [-9, -9, -9, -9, -9]),  # never two in a row
        ("n--l", [-9, -9, -9, -9]),
        ("nn--nn", [-9, 0, 0, 0, 0, 4]),
    ],
)
def test_the_four_rules(epochs: str, finalized: list[int]) -> None:
    assert justified(*epochs) == finalized


def test_the_start_is_in_the_middle_of_a_healthy_chain() -> None:
    rules = casper(all=10)
    state = rules.genesis()
    for number in range(4):
        closed = rules.close(state, Ended(number, 32, 32 * number + 31, 0.0))
        assert (closed.justified, closed.finalized) == (number, number - 1)
        assert closed.tally is not None
        assert not closed.tally.leak
        state = closed.state


def run(rules: Casper, state: Ballot, epochs: int, last: int = 31) -> list[tuple[int | None, int | None]]:
    """What each epoch justified and finalized; ``last`` is the place of an epoch's last block."""
    found = []
    for number in range(epochs):
        closed = rules.close(state, Ended(number, 32, 32 * number + last, 0.0))
        found.append((closed.justified, closed.finalized))
        state = closed.state
    return found


def test_two_thirds_is_enough_and_less_is_not() -> None:
    for others, enough in ((6_667, True), (6_666, False)):
        rules = casper(away=10_000 - others, others=others)
        found = run(rules, rules.leave(rules.genesis(), 0, 0), 12)
        assert any(done is not None and done > 0 for done, _ in found) is enough


def test_votes_of_the_last_slot_are_counted_an_epoch_late() -> None:
    """With 68 % of stake, 31 of 32 slots' votes are 65.9 % at the end of an epoch; the last slot's make it two thirds in the next."""
    rules = casper(away=32, others=68)
    late = run(rules, rules.leave(rules.genesis(), 0, 0), 8)
    assert late[4:] == [(number - 1, number - 3) for number in range(4, 8)]
    # So it is for all of them where an epoch's last blocks are missing.
    everybody = casper(all=100)
    assert run(everybody, everybody.genesis(), 8, last=20)[4:] == late[4:]
    assert run(everybody, everybody.genesis(), 8, last=22)[4:] == [(number, number - 1) for number in range(4, 8)]


def test_who_leaves_within_an_epoch_has_voted_before() -> None:
    rules = casper(away=50, others=50)
    state = rules.leave(rules.genesis(), 0, 16)
    closed = rules.close(state, Ended(0, 32, 31, 0.0))
    assert closed.tally is not None
    assert (closed.tally.votes, closed.tally.total) == (32 * ETH * (50 * 16 + 50 * 31) // 32, 3200 * ETH)
    back = rules.come_back(state, 0, 24)
    assert rules.close(back, Ended(0, 32, 31, 0.0)).tally == closed.tally._replace(votes=32 * ETH * (50 * 23 + 50 * 31) // 32)
    assert rules.leave(state, 0, 20) is state
    assert rules.come_back(state, 0, 16).away == ((), ())


def test_who_is_ejected_leaves_as_fast_as_the_queue_lets_him() -> None:
    rules = casper(poor=1_000, others=9_000)
    state = rules.genesis()
    poor = state.cohorts[1]._replace(effective=16 * ETH, balance=16 * ETH)
    assert rules.names[poor.group] == "poor"
    state = state._replace(cohorts=(state.cohorts[0], poor))
    active = []
    for number in range(12):
        state = rules.close(state, Ended(number, 32, 32 * number + 31, 0.0)).state
        active.append(state.cohorts[1].active)
    # The churn is 128 ETH an epoch, eight validators of 16 ETH, from the fifth epoch on.
    assert active == [1_000] * 5 + [1_000 - 8 * left for left in range(1, 8)]
    assert state.wheel[-1] == 32 * ETH * 9_000 + 16 * ETH * active[-1]


def one_by_one(last: int, slashed_at: int, seen: dict[int, tuple[bool, int]], n: tuple[int, int]) -> tuple[float, float]:
    """What absent and slashed validators have lost at the end (ETH), each by itself: ``process_epoch`` of the specification (electra).

    ``seen`` says of each epoch whether there is a leak and how much stake is active.
    """
    balance, effective, score = (np.full(sum(n), amount, np.int64) for amount in (32 * ETH, 32 * ETH, 0))
    leaves, withdraws = np.full(sum(n), 2**62), np.full(sum(n), 2**62)
    slashed = np.arange(sum(n)) >= n[0]
    earliest, to_consume = 0, 0

    def initiate_exit(index: int, epoch: int) -> None:
        nonlocal earliest, to_consume
        begins, weight, churn = max(earliest, epoch + 5), int(effective[index]), 128 * ETH
        to_consume = churn if earliest < begins else to_consume
        more = max(0, -(-(weight - to_consume) // churn))
        earliest, to_consume = begins + more, to_consume + more * churn - weight
        leaves[index], withdraws[index] = earliest, earliest + 256

    for epoch in range(last):
        leak, total = seen[epoch]
        if epoch == slashed_at:
            for index in np.flatnonzero(slashed).tolist():
                initiate_exit(index, epoch)
            withdraws[slashed] = np.maximum(withdraws[slashed], epoch + 8192)
            balance[slashed] -= effective[slashed] // 4096
        shown = slashed & (epoch >= slashed_at)
        eligible = (epoch - 1 < leaves) | (shown & (epoch < withdraws))
        eligible &= shown | ~slashed  # the others have voted
        score += 4 * eligible
        score -= np.where(eligible & (not leak), np.minimum(16, score), 0)
        balance -= np.where(eligible, effective * score // (4 * 2**24), 0)
        for index in np.flatnonzero((effective <= 16 * ETH) & (leaves == 2**62)).tolist():
            initiate_exit(index, epoch)
        rate = min(3 * 32 * ETH * n[1], total) // (total // ETH)
        balance -= np.where(shown & (epoch + 4096 == withdraws), rate * (effective // ETH), 0)
        follows = balance + ETH // 4 < effective
        effective = np.where(follows, balance - balance % ETH, effective)
    lost = 32 * ETH - balance
    return float(lost[~slashed].sum()) / ETH, float(lost[slashed].sum()) / ETH


@pytest.mark.parametrize("last", [4_600, 4_720, 4_900, 9_000])
def test_who_has_left_loses_no_more_unless_slashed(last: int) -> None:
    """Seven tenths are absent until they are ejected, after 4,686 epochs; others are slashed and pay until they may withdraw."""
    rules = casper(absent=700, others=300, slashed=40)
    state, seen = rules.leave(rules.genesis(), 0, 0), {}
    for number in range(last):
        if number == 100:
            state = rules.slash(state, 2, number, 1)
        closed = rules.close(state, Ended(number, 32, 32 * number + 31, 0.0))
        state = closed.state
        assert closed.tally is not None
        seen[number] = closed.tally.leak, closed.tally.total
    absent, others, slashed = (standing.lost / ETH for standing in rules.standings(state))
    assert others == 0
    assert (absent, slashed) == pytest.approx(one_by_one(last, 100, seen, (700, 40)), rel=1e-12)
    assert [standing.active for standing in rules.standings(state)] == [last < 4_800, True, False]


def test_a_group_that_is_partly_online_is_two_cohorts() -> None:
    rules = Casper.model_validate({"groups": {"some": {"stake": "3200 ETH", "online": "99 %"}}})
    assert [(cohort.members, cohort.online) for cohort in rules.genesis().cohorts] == [(99, True), (1, False)]
    assert rules.voting(rules.genesis(), 0) == 99 * 32 * ETH


def test_only_what_counts_is_drawn_from() -> None:
    """A validator with 4000 ETH counts 2048 since Electra."""
    rules = Casper.model_validate({"groups": {"big": {"stake": "4000 ETH", "balance": "4000 ETH"}, "small": {"stake": "2048 ETH"}}})
    state = rules.genesis()
    assert state.wheel == (2048 * ETH, 4096 * ETH)
    assert [rules.names[rules.drawn(state, luck).group] for luck in (0.0, 0.499, 0.5, 0.999)] == ["big", "big", "small", "small"]
    assert Casper.model_validate({**rules.model_dump(), "slashing": "bellatrix"}).genesis().wheel[0] == 32 * ETH


# ---- fork choice


def test_when_a_late_block_is_left_out() -> None:
    late = Late(slot=40, parent=39, head_weight=19, parent_weight=161, committee=100)
    assert left_out(late, 41, 32, 2)
    assert not left_out(late._replace(head_weight=20), 41, 32, 2)
    assert not left_out(late._replace(parent_weight=160), 41, 32, 2)
    assert not left_out(late._replace(parent=38), 41, 32, 2)
    assert not left_out(late, 42, 32, 2)
    assert not left_out(late, 41, 32, 3)
    assert not left_out(late._replace(slot=63, parent=62), 64, 32, 2)


@pytest.mark.parametrize(
    ("voters", "away", "told"),
    [
        (81, 39, True),  # 81 % of each committee: the parent has 162 %, with the votes of the late head's slot, which are for its branch
        (80, 39, False),  # 160 % is not more than 160 %
        (61, 40, True),  # all of them for the parent in its own slot, and 61 % after it
        (60, 40, False),
        (100, 41, True),
        (59, 39, False),
    ],
)
def test_the_parent_has_the_votes_of_the_late_slot_too(voters: int, away: int, told: bool) -> None:
    rules = casper(gone=32 * (100 - voters), voters=32 * voters) if voters < 100 else casper(voters=3200)
    state = rules.genesis()._replace(finalized=0)
    if voters < 100:
        state = rules.leave(state, rules.names.index("gone"), away)
    assert rules.leaves_out(state, 40, 39, 41, 32) is told


def test_how_many_slots_undo_an_honest_block() -> None:
    """One honest block has the boost only: k slots with a share b of stake overtake it if k b > 40 %."""
    for share in range(1, 50):
        assert slots_needed(1, share, 100 - share, 100, most=99) == 40 // share + 1
    assert not overtakes(2, 1, 20, 80, 100)
    assert overtakes(3, 1, 20, 80, 100)
    # Two have a committee's votes besides: (k + 1) b > 1 - b + 40 %.
    assert next(k for k in range(1, 5) if overtakes(k, 2, 33, 67, 100)) == 3
    assert slots_needed(3, 10, 90, 100) == 21
    assert slots_needed(9, 10, 90, 100) is None


# ---- what is refused


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"stake": "100 ETH"}, "'stake' must be a whole number of validators of 32 ETH: take 96 ETH"),
        ({"stake": "8 ETH"}, "take 32 ETH"),
        ({"stake": "0 ETH"}, "must be more than 0"),
        ({"stake": "1600 ETH", "balance": "16 ETH"}, "'balance' must be more than 16 ETH, at which a validator is ejected"),
        ({"stake": "3200 ETH", "online": "101 %"}, "must be between 0 and 1"),
        ({"stake": 3200}, "has no unit"),
    ],
)
def test_groups_that_make_no_sense_are_refused(group: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        Casper.model_validate({"groups": {"some": group}})
    assert message in str(error.value)


def test_somebody_has_to_validate() -> None:
    with pytest.raises(ValidationError):
        Casper.model_validate({"groups": {}})


def test_late_votes_make_the_difference() -> None:
    """The mistake: only the votes of an epoch itself are counted at its end."""
    assert justified("n", "-", "l")[-1] == 0
    only_now = [word if word == "n" else "-" for word in "n-l"]
    assert justified(*only_now)[-1] == -9
