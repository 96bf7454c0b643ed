"""Data that are withheld: heads stand still, nothing can be checked or proved, until they come back."""

from functools import cache

import numpy as np
import pytest
from validation import SCENARIOS, run
from worlds import differences, frames

from l2sim.availability.committee import Committee
from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.units import HOUR, MINUTE, SECOND

BEGINS, ENDS = HOUR, HOUR + 40 * MINUTE


@cache
def log_of(*settings: str) -> Log:
    return run(Scenario.load(SCENARIOS / "withholding.yaml", settings))


@cache
def calm() -> Log:
    return run(Scenario.load(SCENARIOS / "withholding.yaml", ()).without_attacks())


def safe(log: Log) -> tuple[np.ndarray, np.ndarray]:
    return tuple(log.frame("HeadAdvanced").query("chain == 'val' and head == 'safe'")[["time", "number"]].to_numpy().T)  # type: ignore[return-value]


def while_dark(times: np.ndarray) -> np.ndarray:
    return (times > BEGINS) & (times < ENDS)


def test_l1_has_commitments_but_the_heads_stand_still() -> None:
    log = log_of()
    batches, withheld = log.frame("BatchPosted"), log.frame("DataWithheld")
    assert while_dark(batches["time"].to_numpy()).sum() == len(withheld) >= 6
    times, numbers = safe(log)
    assert not while_dark(times).any()
    assert (np.diff(numbers) > 0).all()
    (back,) = log.frame("DataReleased").itertuples()
    assert (back.time, back.batches) == (ENDS, len(withheld))
    assert numbers[times == ENDS].tolist() == withheld["last"].tolist()
    final = log.frame("HeadAdvanced").query("chain == 'val' and head == 'finalized'")
    assert final["number"].is_monotonic_increasing
    assert not (final["number"].isin(withheld["last"]) & (final["time"] < ENDS)).any()
    assert set(withheld["last"]) <= set(final["number"])


def test_nobody_gets_a_transaction_into_a_block_and_all_wait() -> None:
    log = log_of()
    included = log.frame("TransactionIncluded").query("chain == 'val'")
    assert not while_dark(included["time"].to_numpy()).any()
    waited = included[included["submitted"].between(BEGINS, ENDS - 1)]
    assert len(waited) > 1000
    assert waited["time"].min() >= ENDS


def test_it_may_go_on_serving_who_takes_its_word() -> None:
    log = log_of("attacks.dark.serves=true")
    included = log.frame("TransactionIncluded").query("chain == 'val'")
    assert while_dark(included["time"].to_numpy()).sum() > 1000
    assert not while_dark(safe(log)[0]).any()


def test_withdrawals_wait_for_the_data_and_are_all_paid_in_the_end() -> None:
    log = log_of()
    proven = log.frame("WithdrawalProven")["time"].to_numpy()
    # What was asserted about blocks that everybody knew can still be proved for a while; nothing of what followed can.
    assert (while_dark(proven) & (proven > BEGINS + 15 * MINUTE)).sum() == 0
    assert (proven > ENDS).sum() > 20
    assert while_dark(calm().frame("WithdrawalProven")["time"].to_numpy()).sum() > 20
    paid, usual = (set(one.frame("WithdrawalFinalized")["number"]) for one in (log, calm()))
    assert len(paid) > 0.8 * len(usual)


def test_validators_cannot_check_what_is_asserted_and_a_thief_gets_away() -> None:
    """A false assertion about withheld blocks: by the time the data are back its window is over."""
    settlement = "chains.val.settlement={kind: optimistic, window: 20min, bond: 1 ETH, response: 1min, clock: 20min}"
    fraud = "attacks.fraud={kind: invalid_assertion, bridge: bridge, begins: 62min, lasts: 30min}"
    serves, watcher = "attacks.dark.serves=true", "agents.watcher={kind: validator, on: val}"
    log = log_of(settlement, fraud, serves, watcher)
    (false,) = log.frame("AssertionMade").query("valid == 0").itertuples()
    assert (log.frame("AssertionConfirmed").query("valid == 0")["number"] == false.number).all()
    assert (log.frame("WithdrawalFinalized")["valid"] == 0).sum() > 0
    seen = log_of(settlement, fraud, serves, watcher, "attacks.dark.members=2")
    assert len(seen.frame("AssertionRejected")) == 1
    assert (seen.frame("WithdrawalFinalized")["valid"] == 1).all()


def test_too_few_members_can_only_fall_silent() -> None:
    log = log_of("attacks.dark.members=2")
    assert len(log.frame("DataWithheld")) == 0
    assert not while_dark(log.frame("BatchPosted")["submitted"].to_numpy()).any()
    (told,) = log.frame("WithholdingBegan").itertuples()
    assert (told.hidden, told.time) == (0, BEGINS)


@pytest.mark.parametrize("availability", ["{kind: blobs, takeover: 10min}", "{kind: calldata, takeover: 10min}"])
def test_where_the_data_are_on_l1_others_take_over(availability: str) -> None:
    log = log_of(f"chains.val.availability={availability}")
    back = log.frame("DataReleased")
    assert back["time"].tolist() == [BEGINS + 10 * MINUTE]
    included = log.frame("TransactionIncluded").query("chain == 'val'")["time"]
    assert not included.between(BEGINS + 10 * SECOND, BEGINS + 10 * MINUTE - 1).any()
    assert included.between(BEGINS + 10 * MINUTE, BEGINS + 11 * MINUTE).any()


def test_without_the_attack_nothing_is_different_before_it() -> None:
    assert differences(frames(log_of(), before=BEGINS), frames(calm(), before=BEGINS)) == []


# ---- the committee


def test_a_certificate_takes_as_long_as_its_last_signature_that_is_needed() -> None:
    """The third of five exponential times of mean 1 s: 1/5 + 1/4 + 1/3 s in the mean."""
    committee = Committee(members=5, threshold=3, latency={"kind": "exponential", "mean": "1 s"})  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    times = np.array([committee.certified(rng.random(5)) for _ in range(40_000)]) / SECOND
    error = times.std() / 200.0
    assert times.mean() == pytest.approx(1 / 5 + 1 / 4 + 1 / 3, abs=4 * error)
    assert abs(times.mean() - 1 / 5) > 8 * error  # the mistake: the first signature is enough


def test_the_committee_is_paid_and_l1_gets_the_certificate_only() -> None:
    log = calm()
    batches = log.frame("BatchPosted")
    assert (batches["blobs"] == 0).all()
    paid = log.frame("AccountClosed").query("group == 'val.committee'")
    assert (paid["closing"] - paid["opening"]).sum() == pytest.approx(batches["size"].sum() / 1e6 * 0.01, rel=0.2)


def test_honest_members_cannot_be_left_out() -> None:
    committee = Committee(members=5, threshold=3)
    assert [committee.withheld_by(members) for members in (0, 2, 3, 5)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("chains.val.availability.threshold=6", "the committee has 5 members: no certificate would ever be complete"),
        ("chains.val.availability={kind: commitee}", "did you mean 'committee'?"),
        ("chains.val.availability={kind: blobs, takeover: 0}", "must be more than 0, but is 0"),
        ("attacks.dark.on=l1", "is of kind 'l1', where kind 'rollup' is due"),
        ("attacks.dark.members=-1", "greater than or equal to 0"),
        ("attacks.dark.members=6", "6 members collude, but the committee of 'val' has 5"),
        ("chains.val.availability={members: 2, threshold: 2}", "3 members collude, but the committee of 'val' has 2"),
    ],
)
def test_what_makes_no_sense_is_refused(setting: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(SCENARIOS / "withholding.yaml", (setting,))
    assert message in str(caught.value)
