"""How long a withdrawal takes that nobody disputes: the wait for the next assertion, and then the later of window and proof."""

from collections.abc import Callable
from typing import Any

import pytest
from validation import DisagreementError, Estimate, agree, equal, run_file

from l2sim.events import TransactionIncluded, WithdrawalFinalized
from l2sim.log import Log
from l2sim.metrics.withdrawal_delay import WithdrawalDelay
from l2sim.world.bridge import LiveBridge, Proof

HOURS = 3.6e12
"""ns."""
SLOT = 12.0 / 3600.0
"""A message to L1 is in the slot after it (hours): an assertion, a proof, a payment."""
PERIOD = 45_818 * SLOT
"""Arbitrum's challenge period, in slots of 12 s (hours): 6.3636 days."""

OP: tuple[str, ...] = ()
"""Game and airgap of 3.5 d each, a proof that matures in 7 d, proposals every hour: what ``withdrawals.yaml`` says."""
ARBITRUM = (f"chains.op.settlement.window={45_818 * 12} s", "markets.bridge.proof_maturity=0")


def delays(n: int, *settings: str) -> Any:
    """Delays (hours) of ``n`` withdrawals and some, sent at uniform times of whole intervals."""
    hours = -(-n // 150)  # so many that all proofs against an assertion fit into one block
    span = 260 if "agents.leavers.delay=2d" in settings else 175
    rate = f"agents.leavers.rate={n / hours!r} /h", f"agents.leavers.until={hours}h", f"duration={hours + span}h"
    log = run_file("withdrawals", *rate, *settings)
    found = of(log)
    table: Any = WithdrawalDelay().measure(log)
    assert table.loc["bridge", "mean"] == pytest.approx(found.mean(), rel=1e-12)
    assert table.loc["bridge", "unpaid"] == 0
    return found


def of(log: Log) -> Any:
    submitted, numbers = log.select(TransactionIncluded, "submitted", "x", market="bridge")
    times, paid = log.select(WithdrawalFinalized, "time", "number")
    since = dict(zip(numbers.astype(int).tolist(), submitted.tolist(), strict=True))
    assert len(times) == len(since) > 0
    return (times - [since[number] for number in paid.tolist()]) / HOURS


def check_op(n: int) -> str:
    """Three messages: the assertion, the proof at once, the payment when it is due."""
    found, wait = delays(n, *OP), 3 * SLOT
    wrong = {"7 d from the withdrawal itself": 168.0 + wait, "window and proof one after the other": 2 * 168.0 + 0.5 + wait}
    line = agree("6.6 withdrawal, OP, proposals every hour: mean (h)", Estimate.of(found), 168.5 + wait, wrong)
    assert 168.0 + wait <= found.min() < 168.02 + wait
    assert 168.98 + wait < found.max() <= 169.0 + wait
    assert found.std() == pytest.approx(0.2887, rel=0.1)
    return line


def check_late(n: int) -> str:
    """Proved two days after the proposal."""
    found, wait = delays(n, *OP, "agents.leavers.delay=2d"), 3 * SLOT
    wrong = {"proved at once": 168.5 + wait, "the proof counts from the window's end": 168.0 * 2 + 48.5 + wait}
    return agree("6.6 withdrawal, OP, proved after 2 d: mean (h)", Estimate.of(found), 9.0 * 24 + 0.5 + wait, wrong)


def check_arbitrum(n: int) -> str:
    """Two messages: the assertion, and the payment with its proof."""
    found, wait = delays(n, *ARBITRUM), 2 * SLOT
    wrong = {"from the withdrawal itself": PERIOD + wait, "seven days": 168.5 + wait}
    line = agree("6.6 withdrawal, Arbitrum, an assertion an hour: mean (h)", Estimate.of(found), PERIOD + 0.5 + wait, wrong)
    assert PERIOD + wait <= found.min() < PERIOD + 0.02 + wait
    return line


def test_what_the_tables_say() -> None:
    equal("Arbitrum's mean in days", (PERIOD + 0.5) / 24, 6.384444, 1e-6)
    equal("proved after two days, in days", 9.0 + 0.5 / 24, 9.02083, 1e-6)


@pytest.mark.parametrize("check", [check_op, check_late, check_arbitrum])
def test_withdrawals(check: Callable[[int], str], record_property: Callable[..., None]) -> None:
    record_property("validation", check(1_000))


@pytest.mark.validate
@pytest.mark.parametrize("check", [check_op, check_late, check_arbitrum])
def test_withdrawals_in_full(check: Callable[[int], str], record_property: Callable[..., None]) -> None:
    record_property("validation", check(20_000))


# ---- listed mistakes, injected


def test_counting_from_the_withdrawal_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: seven days from the transaction on the rollup, not from the proposal: half an hour less."""

    def due(bridge: LiveBridge, proof: Proof) -> int:
        return proof.withdrawal.time + 7 * 24 * int(HOURS)

    monkeypatch.setattr(LiveBridge, "due", due)
    settings = "chains.op.settlement.window=1h", "markets.bridge.proof_maturity=1s"
    with pytest.raises(DisagreementError):
        agree("mean", Estimate.of(delays(1_000, *settings)), 168.5 + 3 * SLOT, {})


def test_one_clock_after_the_other_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: the proof begins to mature when the window is over: 14 days."""

    def due(bridge: LiveBridge, proof: Proof) -> int | None:
        case = bridge.chain.assertions.cases[proof.assertion]
        return case.settled + bridge.maturity if case.status == "final" else None

    monkeypatch.setattr(LiveBridge, "due", due)
    log = run_file("withdrawals", "duration=340h", "agents.leavers.until=1h", "agents.leavers.rate=300 /h")
    with pytest.raises(DisagreementError):
        agree("mean", Estimate.of(of(log)), 168.5 + 3 * SLOT, {})
    assert of(log).mean() == pytest.approx(2 * 168.5, rel=0.01)
