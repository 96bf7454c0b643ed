"""When L1 is final: Casper's checkpoints, 64 to 95 slots behind, mean 954 s; as L1, its users and a rollup's poster see it."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from validation import SCENARIOS, SEED, DisagreementError, Estimate, agree, equal, run, run_file

from l2sim.events import BatchPosted, BlockSealed, HeadAdvanced, TransactionIncluded
from l2sim.log import Log
from l2sim.metrics.time_to_finality import NOT_YET, reached
from l2sim.scenario import Scenario
from l2sim.units import SECOND
from l2sim.world.l1 import LiveL1, Quiet

Floats = npt.NDArray[np.float64]


def mean_delay(slot: float = 12.0, epoch: int = 32, justified: float = 1.0) -> float:
    """From a slot's begin: 3 epochs less j slots for slot j > 0 of an epoch, 2 epochs for slot 0, its own checkpoint.

    Where epochs are justified with probability p only, two in a row take (1 + p) / p^2 epochs instead of two.
    """
    usual = (2 * epoch + sum(3 * epoch - j for j in range(1, epoch))) / epoch
    return slot * (usual + epoch * ((1.0 + justified) / justified**2 - 2.0))


def mistakes(slot: float = 12.0, epoch: int = 32, wait: float = 0.0) -> dict[str, float]:
    return {
        "two epochs flat": 2 * epoch * slot + wait,
        "slot 0 waits three epochs": mean_delay(slot, epoch) + slot + wait,
        "twelve confirmations": 12 * slot + wait,
    }


def scenario(name: str, n_slots: int, *settings: str) -> Scenario:
    base = Scenario.load(SCENARIOS / f"{name}.yaml", settings)
    return base.vary(duration=f"{n_slots * base.chains['l1'].slot} ns")  # type: ignore[attr-defined]


def resolved(since: npt.NDArray[np.int64], until: npt.NDArray[np.int64], duration: int, slowest: int) -> Floats:
    """Delays (s) of what began early enough that it must have become final; what began later would favour the quick."""
    early = since <= duration - slowest
    assert (until[early] != NOT_YET).all()
    return (until - since)[early] / SECOND


def of_blocks(plan: Scenario, log: Log, epochs: int = 4) -> Floats:
    """Delays from the beginnings of slots, over whole epochs."""
    l1 = plan.chains["l1"]
    made, number = log.select(BlockSealed, "time", "number", chain="l1")
    delays = resolved(made, reached("l1", "finalized", number, log), plan.duration, epochs * l1.slots_per_epoch * l1.slot)  # type: ignore[attr-defined]
    return delays[: len(delays) // l1.slots_per_epoch * l1.slots_per_epoch]  # type: ignore[attr-defined]


def of_transactions(plan: Scenario, log: Log) -> Floats:
    """Delays from the instants of submission, in order of time; the metric must say the same."""
    submitted, block = log.select(TransactionIncluded, "submitted", "block", chain="l1")
    delays = resolved(submitted, reached("l1", "finalized", block, log), plan.duration, 3600 * SECOND)
    measured = plan.metrics["finality"].measure(log)
    assert float(measured.loc["l1", "finalized_mean"]) == pytest.approx(delays.mean(), rel=1e-12)
    return delays[np.argsort(submitted[: len(delays)], kind="stable")]


def of_batches(log: Log, slot: int) -> Floats:
    """Delays from the slots whose blocks took batches to the finality of the rollup's blocks in them."""
    last, l1_block = log.select(BatchPosted, "last", "l1_block", chain="arb")
    until = reached("arb", "finalized", last, log)
    return ((until - l1_block * slot)[until != NOT_YET]) / SECOND


# ---- from the beginning of a slot


@pytest.mark.parametrize(("slot", "epoch"), [(12, 32), (4, 16)])
def test_every_epoch_justified(slot: int, epoch: int, record_property: Callable[..., None]) -> None:
    plan = scenario("finality_of_l1", 40 * epoch, f"chains.l1.slot={slot} s", f"chains.l1.slots_per_epoch={epoch}").without(
        "agents", "metrics"
    )
    delays = of_blocks(plan, run(plan))
    assert len(delays) >= 30 * epoch
    assert (delays.min(), delays.max()) == (2 * epoch * slot, (3 * epoch - 1) * slot)
    line = equal(f"6.1 finality from slot, {slot} s x {epoch}: mean (s)", delays.mean(), mean_delay(slot, epoch))
    record_property("validation", line)
    if (slot, epoch) == (12, 32):
        assert (delays.min(), delays.mean(), delays.max()) == (768.0, 954.0, 1140.0)
        assert delays.std() == pytest.approx(110.8, abs=0.05)


def check_justification(p: float, epochs: int) -> str:
    plan = scenario("finality_of_l1", 32 * epochs, f"chains.l1.justification={p!r}").without("agents", "metrics")
    delays = of_blocks(plan, run(plan), epochs=100)
    one_is_enough = mean_delay() + 384.0 * (1.0 / p - 1.0)
    wrong = {**mistakes(), "every epoch justified": mean_delay(), "one justified epoch is enough": one_is_enough}
    return agree(f"6.1 finality from slot, p = {p}: mean (s)", Estimate.of_run(delays), mean_delay(justified=p), wrong)


def test_nine_of_ten_epochs_justified(record_property: Callable[..., None]) -> None:
    assert mean_delay(justified=0.9) == pytest.approx(1086.741, abs=0.001)
    record_property("validation", check_justification(0.9, 4_000))


@pytest.mark.validate
@pytest.mark.parametrize("p", [0.95, 0.9, 0.7])
def test_some_epochs_justified_in_full(p: float, record_property: Callable[..., None]) -> None:
    record_property("validation", check_justification(p, 10_000))


# ---- from a random instant


def check_random(n: int) -> str:
    """Six seconds more in the mean; a submission's delay depends on its own instant alone, and those are independent."""
    plan = scenario("finality_of_l1", round(n / 0.05 / 12.0))
    delays = of_transactions(plan, run(plan))
    assert delays.min() > 768.0
    assert delays.max() <= 1152.0
    wrong = {**mistakes(wait=6.0), "from the slot": 954.0}
    return agree("6.1 finality from submission: mean (s)", Estimate.of(delays), mean_delay() + 6.0, wrong)


def test_from_a_random_instant(record_property: Callable[..., None]) -> None:
    record_property("validation", check_random(24_000))


@pytest.mark.validate
def test_from_a_random_instant_in_full(record_property: Callable[..., None]) -> None:
    record_property("validation", check_random(80_000))


# ---- as a batch poster sees it


def check_batches(period: float, n: int) -> str:
    """A poster whose rhythm shares nothing with the slots' meets every slot of an epoch equally often.

    Its slots are spread more evenly than random ones, so the standard error of independent ones is on the safe side.
    """
    log = run_file("finality_of_batches", f"chains.arb.batch_poster.poll={period!r} s", f"duration={n * period + 1200:.0f} s")
    delays = of_batches(log, 12 * SECOND)
    assert len(delays) >= 0.99 * n
    line = agree(f"6.1 finality of batches, every {period} s: mean (s)", Estimate.of(delays), mean_delay(), mistakes())
    assert (delays.min(), delays.max()) == (768.0, 1140.0)
    return line


def test_a_poster_out_of_step_with_the_slots(record_property: Callable[..., None]) -> None:
    record_property("validation", check_batches(53.17, 6_500))


@pytest.mark.validate
@pytest.mark.parametrize("period", [53.17, 137.0, 41.41])
def test_posters_out_of_step_with_the_slots_in_full(period: float, record_property: Callable[..., None]) -> None:
    record_property("validation", check_batches(period, 12_000))


# ---- listed mistakes, injected


def test_two_epochs_flat_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: every block is final after 64 slots, 768 s."""
    vote = LiveL1._vote

    def flat(l1: LiveL1, before: Quiet) -> tuple[Quiet, list[HeadAdvanced]]:
        after, _ = vote(l1, before)
        final = after.slot - 2 * l1.rules.slots_per_epoch
        return after, [HeadAdvanced(l1.name, "finalized", final)] if final >= 0 else []

    monkeypatch.setattr(LiveL1, "_vote", flat)
    plan = scenario("finality_of_l1", 1_280).without("agents", "metrics")
    delays = of_blocks(plan, run(plan))
    assert set(delays) == {768.0}
    with pytest.raises(DisagreementError):
        equal("mean", delays.mean(), mean_delay())


def test_a_checkpoint_without_its_own_slot_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: slot 0 of an epoch waits three epochs like its successors, 966 s in the mean."""
    vote = LiveL1._vote

    def late(l1: LiveL1, before: Quiet) -> tuple[Quiet, list[HeadAdvanced]]:
        after, heads = vote(l1, before)
        return after, [head._replace(number=head.number - 1) if head.head == "finalized" else head for head in heads]

    monkeypatch.setattr(LiveL1, "_vote", late)
    plan = scenario("finality_of_l1", 1_280).without("agents", "metrics")
    delays = of_blocks(plan, run(plan))
    assert delays.mean() == pytest.approx(966.0)
    with pytest.raises(DisagreementError):
        equal("mean", delays.mean(), mean_delay())
    with pytest.raises(DisagreementError):
        check_batches(53.17, 6_500)


def test_finality_comes_at_the_beginnings_of_epochs() -> None:
    times, numbers = run(scenario("finality_of_l1", 640).without("agents", "metrics"), SEED).select(
        HeadAdvanced, "time", "number", chain="l1", head="finalized"
    )
    assert (times % (384 * SECOND) == 0).all()
    assert (times // (12 * SECOND) - numbers == 64).all()
