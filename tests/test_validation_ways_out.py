"""How long money takes to leave a rollup with validity proofs: the wait for an assertion, the proof, and the delay before execution."""

from collections.abc import Callable
from math import exp

import pytest
from validation import DisagreementError, Estimate, agree, run_file

from l2sim.events import TransactionIncluded, WithdrawalFinalized, WithdrawalProven

HOURS = 3.6e12
SLOT = 12.0 / 3600.0
"""Hours."""
OTHERS = [f"{one}=null" for one in ("agents.from_op", "agents.from_arbitrum", "agents.provider", "agents.other")]
OTHERS += [f"{one}=null" for name in ("op", "arbitrum") for one in (f"markets.{name}_bridge", f"chains.{name}")]


def delays(bridge: str, hours: int, *settings: str) -> Estimate:
    """Mean delay (hours); the withdrawals under one assertion share its proof, so each assertion is one observation."""
    spans = f"duration={hours + 40}h", *(f"agents.from_{one}.until={hours}h" for one in ("era", "starknet"))
    log = run_file("ways_out", *OTHERS, *spans, *settings)
    submitted, numbers = log.select(TransactionIncluded, "submitted", "x", market=bridge)
    times, paid = log.select(WithdrawalFinalized, "time", "number", market=bridge)
    proved, assertion = log.select(WithdrawalProven, "number", "assertion", market=bridge)
    since = dict(zip(numbers.astype(int).tolist(), submitted.tolist(), strict=True))
    under = dict(zip(proved.tolist(), assertion.tolist(), strict=True))
    found: dict[int, list[float]] = {}
    for time, number in zip(times.tolist(), paid.tolist(), strict=True):
        found.setdefault(under[number], []).append((time - since[number]) / HOURS)
    assert len(paid) == len(since) > 0
    return Estimate.of([sum(some) / len(some) for some in found.values()])


def check(bridge: str, median: float, execution: float, hours: int) -> str:
    """Half an interval; the assertion, the verification and the payment in a slot each; the proof; the delay before it counts."""
    proof, wait = median * exp(0.4**2 / 2), 0.5 + 2.5 * SLOT
    wrong = {"no wait for an assertion": proof + execution, "the delay twice": proof + wait + 2 * execution + 1.0}
    return agree(f"6.6 withdrawal, {bridge}: mean (h)", delays(bridge, hours), proof + execution + wait, wrong)


@pytest.mark.parametrize(("bridge", "median", "execution"), [("era_bridge", 1.0, 21.0), ("starknet_bridge", 2.0, 0.0)])
def test_withdrawals_behind_validity_proofs(
    bridge: str, median: float, execution: float, record_property: Callable[..., None]
) -> None:  # fmt: skip
    record_property("validation", check(bridge, median, execution, 300))


@pytest.mark.validate
@pytest.mark.parametrize(("bridge", "median", "execution"), [("era_bridge", 1.0, 21.0), ("starknet_bridge", 2.0, 0.0)])
def test_withdrawals_behind_validity_proofs_in_full(
    bridge: str, median: float, execution: float, record_property: Callable[..., None]
) -> None:  # fmt: skip
    record_property("validation", check(bridge, median, execution, 1000))


def test_leaving_the_execution_delay_out_is_caught() -> None:
    with pytest.raises(DisagreementError):
        agree("mean", delays("era_bridge", 60, "chains.era.settlement.execution_delay=20h"), exp(0.08) + 21.5 + 2.5 * SLOT, {})
