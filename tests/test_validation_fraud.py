"""How often fraud passes: all who watch must fail, each for itself or all together, c + (1 - c) p^n (reliability theory)."""

from collections.abc import Callable
from math import sqrt

import numpy as np
import numpy.typing as npt
import pytest
from validation import SEED, DisagreementError, Estimate, agree, run_file

from l2sim.events import AssertionConfirmed, AssertionRejected
from l2sim.world.calling import Caller
from l2sim.world.docket import Docket

EVERY = 2
"""Seconds between false assertions in ``fraud.yaml``."""
AT_ONCE = 10_000
"""False assertions in one run."""


def missed(n: int, p: float, c: float) -> float:
    """The probability that nobody notices."""
    return c + (1.0 - c) * p**n


def fraud(n: int, p: float, c: float, attempts: int, replication: int = 0) -> npt.NDArray[np.bool_]:
    """Which of so many false assertions became final, in their order."""
    settings = (
        f"agents.validators.count={n}", f"agents.validators.failure={p!r}", f"agents.validators.common_failure={c!r}",
        f"attacks.fraud.lasts={attempts * EVERY} s", f"duration={attempts * EVERY + 30} s",
    )  # fmt: skip
    log = run_file("fraud", *settings, seed=SEED, replication=replication)
    passed, valid = log.select(AssertionConfirmed, "number", "valid")
    stopped, true = log.select(AssertionRejected, "number", "valid")
    assert not true.any()
    decided = np.sort(np.concatenate([passed[valid == 0], stopped]))
    assert len(np.unique(decided)) == len(decided) == attempts
    return np.isin(decided, passed)


def check(n: int, p: float, c: float, attempts: int) -> str:
    """The share that passes, with the standard error that it has if theory is right: a sample of rare events has no good one."""
    whole, rest = divmod(attempts, AT_ONCE)
    parts = [fraud(n, p, c, AT_ONCE if i < whole else rest, i) for i in range(whole + (rest > 0))]
    share = float(np.concatenate(parts).mean())
    expected = missed(n, p, c)
    found = Estimate(share, sqrt(expected * (1.0 - expected) / attempts), attempts)
    mistakes = {"one who fails is enough": 1.0 - (1.0 - p) ** n, "all fail together": p, "one of them does not count": missed(n - 1, p, c)}
    if c:
        mistakes = {"ignoring common mode": missed(n, p, 0.0), "all fail together": p}
    return agree(f"7.4 fraud undetected, n = {n}, p = {p}, c = {c}", found, expected, mistakes)


def test_two_watchers_miss_what_both_miss(record_property: Callable[..., None]) -> None:
    record_property("validation", check(2, 0.3, 0.0, 2_000))


def test_a_fault_that_all_share(record_property: Callable[..., None]) -> None:
    record_property("validation", check(3, 0.3, 0.1, 1_000))


@pytest.mark.parametrize(("n", "passes"), [(0, True), (1, False)])
def test_nobody_who_watches_and_somebody_who_always_does(n: int, passes: bool) -> None:
    assert (fraud(n, 0.0, 0.0, 50) == passes).all()


@pytest.mark.validate
@pytest.mark.parametrize(("n", "p", "c", "expected"), [(3, 0.1, 0.0, 0.001), (7, 0.3, 0.0, 0.0002187), (3, 0.1, 0.01, 0.01099)])
def test_undetected_fraud_in_full(n: int, p: float, c: float, expected: float, record_property: Callable[..., None]) -> None:
    assert missed(n, p, c) == pytest.approx(expected, rel=1e-12)
    record_property("validation", check(n, p, c, 100_000))


# ---- listed mistakes, injected


def test_ignoring_the_common_fault_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: everybody's luck is his own, 0.027 instead of 0.1243."""
    monkeypatch.setattr(Docket, "luck", lambda docket, number: 1.0)
    with pytest.raises(DisagreementError):
        check(3, 0.3, 0.1, 1_000)


def test_watchers_who_share_their_luck_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: one stream for all validators, who then fail together, with 0.3 instead of 0.09."""
    luck = Caller.luck

    def shared(seat: Caller, purpose: str, index: int) -> float:
        seat.name = seat.name.partition("/")[0]
        return luck(seat, purpose, index)

    monkeypatch.setattr(Caller, "luck", shared)
    with pytest.raises(DisagreementError):
        check(2, 0.3, 0.0, 2_000)


def test_attempts_are_independent() -> None:
    """What befalls a validator at one assertion says nothing of the next: runs of misses are as long as chance makes them."""
    passed = fraud(1, 0.5, 0.0, 1_000)
    changes = np.count_nonzero(passed[1:] != passed[:-1])
    assert changes == pytest.approx(0.5 * len(passed), abs=4 * sqrt(0.25 * len(passed)))
