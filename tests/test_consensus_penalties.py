"""What absence and equivocation cost a validator, against numbers worked out from the specification's formulas."""

import pytest

from l2sim.consensus.casper import penalties
from l2sim.consensus.casper.penalties import Rules

ETH = 10**9

# ---- ethereum/consensus-specs, commit a08d8a6e: specs/electra, specs/bellatrix beacon-chain.md


@pytest.mark.parametrize(("effective", "penalty"), [(32, 7_812_500), (2048, 500_000_000), (17, 4_150_390)])
def test_initial_penalty_since_electra(effective: int, penalty: int) -> None:
    assert penalties.initial_penalty(effective * ETH, "electra") == penalties.whistleblower_reward(effective * ETH, "electra") == penalty


def test_initial_penalty_before_electra() -> None:
    assert penalties.initial_penalty(32 * ETH, "bellatrix") == ETH
    assert penalties.whistleblower_reward(32 * ETH, "bellatrix") == 62_500_000


CORRELATION = [
    (32, 3_200, 8_777_120, 0),
    (32, 350_000, 960_000_000, 0),
    (32, 3_500_000, 9_600_000_000, 9_000_000_000),
    (32, 11_666_667, 32_000_000_000, 32_000_000_000),
    (2048, 2_048, 359_510_016, 0),
]
"""Effective balance and stake slashed, of 35 M ETH (ETH); the penalty since Electra and before (gwei)."""


def correlation(rules: Rules, column: int) -> list[bool]:
    """Which rows come out right."""
    rows = [(penalties.correlation_penalty(row[0] * ETH, row[1] * ETH, 35_000_000 * ETH, rules), row[column]) for row in CORRELATION]
    return [found == expected for found, expected in rows]


def test_correlation_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(correlation("electra", 2))
    assert all(correlation("bellatrix", 3))
    # The mistakes: the other fork's flooring, and Altair's multiplier.
    assert not any(correlation("bellatrix", 2)[:3])
    monkeypatch.setattr(penalties, "MULTIPLIER", 2)
    assert not any(correlation("electra", 2))


LEAK = [
    (1, 31_999_998_093, 32_000_000_000, 4),
    (9, 31_999_914_173, 32_000_000_000, 36),
    (64, 31_996_032_747, 32_000_000_000, 256),
    (225, 31_951_505_772, 32_000_000_000, 900),
    (512, 31_749_511_973, 31_000_000_000, 2_048),
    (1_024, 31_022_476_707, 31_000_000_000, 4_096),
    (2_048, 28_268_931_637, 28_000_000_000, 8_192),
    (4_096, 19_505_630_341, 19_000_000_000, 16_384),
]
"""Epochs of absence in a leak; balance, effective balance (gwei) and score after them."""


def leaked(epochs: int) -> tuple[int, int, int]:
    balance = effective = 32 * ETH
    score = 0
    for _ in range(epochs):
        score = penalties.next_score(score, voted=False, leak=True)
        balance -= penalties.inactivity_penalty(effective, score)
        effective = penalties.next_effective(effective, balance, 32 * ETH)
    return balance, effective, score


@pytest.mark.parametrize(("epochs", "balance", "effective", "score"), LEAK)
def test_absence_in_a_leak(epochs: int, balance: int, effective: int, score: int) -> None:
    assert leaked(epochs) == (balance, effective, score)


def test_mistakes_in_the_leak_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quotient of Altair; a score that does not add up."""
    with monkeypatch.context() as other:
        other.setattr(penalties, "QUOTIENT", 3 * 2**24)
        assert not any(leaked(epochs)[0] == balance for epochs, balance, _, _ in LEAK)
    with monkeypatch.context() as other:
        other.setattr(penalties, "next_score", lambda score, voted, leak: 4)
        assert [leaked(epochs)[0] == balance for epochs, balance, _, _ in LEAK] == [True] + [False] * 7


def test_a_month_of_leak_takes_two_fifths() -> None:
    balance, _, _ = leaked(4096)
    assert balance / (32 * ETH) == pytest.approx(0.607, abs=0.003)
    assert 18.2 <= 4096 * 384 / 86_400 < 18.21  # days


# ---- scores, hysteresis, churn


def test_scores_fall_when_finality_is_back() -> None:
    assert penalties.next_score(100, voted=True, leak=True) == 99
    assert penalties.next_score(100, voted=True, leak=False) == 83
    assert penalties.next_score(100, voted=False, leak=False) == 88
    assert penalties.next_score(3, voted=False, leak=False) == penalties.next_score(0, voted=True, leak=True) == 0


def test_effective_balances_follow_late() -> None:
    def after(balance: int) -> int:
        return penalties.next_effective(32 * ETH, balance, 2048 * ETH)

    assert after(31_750_000_000) == after(33_250_000_000) == 32 * ETH
    assert after(31_749_999_999) == 31 * ETH
    assert after(33_250_000_001) == 33 * ETH
    assert penalties.next_effective(32 * ETH, 40 * ETH, 32 * ETH) == 32 * ETH


def test_how_fast_validators_may_leave() -> None:
    assert penalties.exit_churn(34_000_000 * ETH) == 256 * ETH
    assert penalties.exit_churn(1_000_000 * ETH) == 128 * ETH
    assert penalties.exit_churn(10_000_000 * ETH) == 152 * ETH  # 152.6 in whole ether


def test_a_leak_begins_after_four_epochs_without_finality() -> None:
    assert [penalties.in_leak(epoch, 10) for epoch in (11, 12, 15, 16)] == [False, False, False, True]
