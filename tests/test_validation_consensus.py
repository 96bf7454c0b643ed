"""Proposers, the inactivity leak and slashing, as the slots and epochs of a run give them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from validation import DisagreementError, Estimate, agree, equal, run_file

from l2sim.consensus.casper import Ballot, Casper, Cohort, penalties
from l2sim.events import HeadAdvanced
from l2sim.events.consensus import ProposerDrawn, StakeChanged, VotesCounted
from l2sim.log import Log
from l2sim.metrics.consecutive_slots import ConsecutiveSlots

ETH = 10**9


def groups(some: int, others: int, **more: str) -> list[str]:
    """Settings: what two groups have at stake (ETH)."""
    return [f"chains.l1.consensus.groups={{some: {{stake: {some} ETH}}, others: {{stake: {others} ETH}}}}", *more.values()]


# ---- 6.2: k slots in a row


def rows(some: int, length: int, window: int, windows: int) -> tuple[ConsecutiveSlots, Log, list[bool]]:
    metric = f"metrics.rows={{kind: consecutive_slots, length: {length}, window: {window}}}"
    log = run_file("consensus_of_l1", *groups(32_000 * some, 32_000 * (30 - some)), metric, f"duration={12 * window * windows}s")
    (drawn,) = log.select(ProposerDrawn, "group", chain="l1")
    assert len(drawn) == window * windows
    return ConsecutiveSlots(length=length, window=window), log, (drawn == log.names.find("some")).tolist()


def in_a_window(share: float, length: int, window: int) -> float:
    """P(at least one row), by the chain of the length of the row so far."""
    state = np.eye(length + 1)[0]
    step = np.zeros((length + 1, length + 1))
    step[:length, 0] = 1.0 - share
    step[range(length), range(1, length + 1)] = share
    step[length, length] = 1.0
    return float((state @ np.linalg.matrix_power(step, window))[length])


def to_first(share: float, length: int) -> float:
    return (1.0 - share**length) / ((1.0 - share) * share**length)


def check_rows(some: int, length: int, window: int, windows: int, deck: float | None = None) -> list[str]:
    """Both figures of a row of 6.2; ``deck`` is what drawing without replacement in an epoch gives."""
    metric, log, own = rows(some, length, window, windows)
    share = some / 30
    found = metric.measure(log).loc["some"]
    there = [bool(metric._rows(own[at : at + window])) for at in range(0, len(own), window)]
    assert found["windows_with_row"] == np.mean(there)
    assert found["share"] == pytest.approx(share, abs=4 * (share * (1 - share) / len(own)) ** 0.5)
    starts = window - length + 1
    wrong = {"union bound": starts * share**length, **({} if deck is None else {"without replacement": deck})}
    name = f"6.2 {share:.3f} of stake, {length} slots of {window}"
    line = agree(f"{name}: P(a row)", Estimate.of(there), in_a_window(share, length, window), wrong)
    waits = np.diff(metric._rows(own), prepend=0)
    assert found["to_row_mean"] == waits.mean()
    independent = {"one over the probability": share**-length} if share > 0.3 else {}
    return [line, agree(f"{name}: slots to a row", Estimate.of(waits), to_first(share, length), independent)]


def test_the_closed_forms_are_those_of_the_table() -> None:
    assert [round(in_a_window(*row), 5) for row in ((0.1, 4, 7200), (1 / 3, 3, 32), (0.2, 6, 7200))] == [0.47691, 0.56119, 0.30824]
    assert [round(to_first(*row)) for row in ((0.1, 4), (1 / 3, 3), (0.2, 6))] == [11110, 39, 19530]


def test_three_slots_in_a_row_of_an_epoch(record_property: Callable[..., None]) -> None:
    for line in check_rows(10, 3, 32, 3_000):
        record_property("validation", line)


@pytest.mark.validate
@pytest.mark.parametrize(("some", "length", "windows", "deck"), [(3, 4, 300, 0.077), (6, 6, 640, 0.037)])
def test_rows_of_slots_in_a_day(some: int, length: int, windows: int, deck: float, record_property: Callable[..., None]) -> None:
    for line in check_rows(some, length, 7200, windows, deck):
        record_property("validation", line)


def test_drawing_without_replacement_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: each epoch deals its slots out by stake, so that rows are too rare."""
    check = lambda: agree("slots to a row of 2", Estimate.of(waits()), to_first(0.1, 2), {})  # noqa: E731

    def waits() -> Any:
        metric, _, own = rows(3, 2, 32, 3_000)
        return np.diff(metric._rows(own), prepend=0)

    check()
    turn, decks = Casper.turn, {}

    def dealt(rules: Casper, state: Ballot, slot: int, luck: Callable[[str], float]) -> Any:
        epoch, place = divmod(slot, 32)
        if epoch not in decks:
            rng = np.random.default_rng(epoch)
            decks[epoch] = rng.permutation(32) < 3 + (rng.random() < 0.2)
        return turn(rules, state, slot, lambda purpose: 0.99 if decks[epoch][place] else 0.0)

    monkeypatch.setattr(Casper, "turn", dealt)
    with pytest.raises(DisagreementError):
        check()


# ---- 6.4: how long a leak lasts

WITH_EFFECTIVE_BALANCES = {0.34: 512, 0.40: 2_948, 0.50: 4_685}
"""Epochs of leak until the others have two thirds."""


def leak(share: float, epochs: int) -> tuple[int, Log]:
    """Epochs of leak before the first checkpoint is justified again, in a run with a group that is away from the start."""
    some = round(100 * share)
    away = "attacks.gone={kind: validators_offline, on: l1, group: some, begins: 1s, lasts: 100d}"
    log = run_file("consensus_of_l1", *groups(320_000 * some, 320_000 * (100 - some)), away, f"duration={12 * 32 * epochs}s")
    time, leaking = log.select(VotesCounted, "time", "leak")
    (safe,) = log.select(HeadAdvanced, "time", head="safe")
    return int(leaking[time < min(safe, default=2**62)].sum()), log


@pytest.mark.parametrize("share", [0.34, 0.40, pytest.param(0.50, marks=pytest.mark.validate)])
def test_the_leak_lasts_until_the_others_have_two_thirds(share: float, record_property: Callable[..., None]) -> None:
    expected = WITH_EFFECTIVE_BALANCES[share]
    found, log = leak(share, expected + 20)
    record_property("validation", equal(f"6.4 epochs of leak, {share:.0%} away", found, expected))
    # It ends when finality is back, and nobody who voted lost anything.
    epoch, leaking, late, total = log.select(VotesCounted, "epoch", "leak", "late", "total")
    first = int(epoch[leaking == 1][0])
    assert first in (4, 5)  # more than four epochs after the last finalized one, the one before the start or the one before that
    assert epoch[leaking == 1].tolist() == list(range(first, first + expected + 2))
    assert (late * 3 >= total * 2)[leaking == 1].tolist() == [False] * expected + [True, True]
    assert set(log.frame("StakeChanged")["group"]) == {"some"}
    finalized = log.select(HeadAdvanced, "number", head="finalized")[0]
    assert finalized[-1] >= 32 * (expected + first)


def test_another_quotient_or_a_score_that_does_not_add_up_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as altair:
        altair.setattr(penalties, "QUOTIENT", 3 * 2**24)
        found, _ = leak(0.34, 1_000)
        assert found == pytest.approx(512 * 3**0.5, abs=1)
        with pytest.raises(DisagreementError):
            equal("6.4", found, 512)
    with monkeypatch.context() as linear:
        linear.setattr(penalties, "next_score", lambda score, voted, leak: 0 if voted else 4)
        assert leak(0.34, 1_000)[0] == 1_000 - 4 - 1  # to the end of the run: the last epoch's votes are not yet counted
    with monkeypatch.context() as actual:  # the mean field: balances count as they are, not in steps
        actual.setattr(penalties, "next_effective", lambda effective, balance, most: balance)
        assert leak(0.34, 1_100)[0] == pytest.approx(1_001, abs=4)


def test_the_stake_that_leaked_is_gone() -> None:
    _, log = leak(0.34, 540)
    balance, lost, effective = (column[-1] for column in log.select(StakeChanged, "balance", "lost", "effective"))
    assert balance + lost == pytest.approx(320_000 * 34)
    assert 0.25 / 32 < lost / (320_000 * 34) < 0.3 / 32  # from 31.75 ETH on an effective balance is 31 ETH; scores fall slowly
    assert effective == 320_000 * 34 * 31 // 32


# ---- 6.5: what equivocation costs


def slashed(some: int, others: int, rules: str = "electra") -> float:
    """The share of its balance that a group loses; epochs have eight slots, which the penalties do not depend on."""
    attack = "attacks.double={kind: equivocation, on: l1, group: some, begins: 1h, lasts: 1s}"
    settings = [f"chains.l1.consensus.slashing={rules}", "chains.l1.slots_per_epoch=8", attack, "duration=4150 h"]
    log = run_file("consensus_of_l1", *groups(some, others), *settings[:3], f"duration={12 * 8 * 4_200}s")
    balance, lost = log.select(StakeChanged, "balance", "lost", group="some")
    assert len(log.frame("ValidatorsSlashed")) == 1
    share: float = lost[-1] / (balance[-1] + lost[-1])
    return share


def test_one_in_a_hundred(record_property: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those slashed have left when the penalty is due, so 1 % is of the stake that is active then."""
    found = slashed(336_000, 33_600_000)
    record_property("validation", equal("6.5 1 % slashed: share lost", found, 0.030244141, 1e-7))
    assert found == 0.03 + 1 / 4096
    monkeypatch.setattr(penalties, "MULTIPLIER", 2)
    assert slashed(336_000, 33_600_000) == pytest.approx(0.02024, abs=1e-5)


def test_a_third(record_property: Callable[..., None]) -> None:
    record_property("validation", equal("6.5 1/3 slashed: share lost", slashed(320_000 * 32, 640_000 * 32), 1.0))


def test_a_single_validator_before_electra(record_property: Callable[..., None]) -> None:
    found = 32 * slashed(32, 33_999_968, "bellatrix")
    record_property("validation", equal("6.5 one validator, Bellatrix: ETH lost", found, 1.0))
    assert 32 * slashed(32, 33_999_968) == pytest.approx(32 / 4096 + 3 * 32**2 / 34e6, rel=1e-4)


def test_whoever_reports_is_rewarded() -> None:
    rules = Casper.model_validate({"groups": {"some": {"stake": "320 ETH"}, "others": {"stake": "3200 ETH"}}})
    after = rules.slash(rules.genesis(), 1, 10, 0)
    assert after.earned == (10 * 32 * ETH // 4096, 0)
    assert after.slashings == ((10, 320 * ETH),)
    lost = [cohort for cohort in after.cohorts if cohort.group == 1]
    assert [(cohort.balance, cohort.slashed) for cohort in lost] == [(32 * ETH - 32 * ETH // 4096, 10)]
    assert isinstance(lost[0], Cohort)
    assert rules.slash(after, 1, 11, 0) is after
