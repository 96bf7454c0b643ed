"""Batch posting at constant fees is the economic order quantity, and blobs and calldata part where theory says.

Sources: Harris 1913, n* = sqrt(2 F λ / h), for the trade-off between posting and waiting of Mamageishvili and Felten 2022; Crapis, Felten
and Mamageishvili 2023 (arXiv 2310.01155) for blobs against calldata: blobs cost less where λ > 2 h (sqrt B - sqrt P0)^2 / a^2.
"""

from collections.abc import Callable, Iterator, Mapping
from math import exp, expm1, sqrt
from typing import Any

import numpy as np
import pytest
from validation import SCENARIOS, DisagreementError, Estimate, agree, equal, run

from l2sim.agents.batch_poster import BatchPoster
from l2sim.fees.blob import GAS_PER_BLOB
from l2sim.log import Log
from l2sim.markets.constant_product import ConstantProduct
from l2sim.metrics.posting_cost import PostingCost
from l2sim.posting import Look, Terms
from l2sim.posting.optimal import Optimal
from l2sim.scenario import Scenario
from l2sim.units import SECOND

SIZE = 120
"""Bytes of a trade, in the listed rows and so in the pool of these tests."""
H = 1e-4
"""What it costs that a transaction waits, US dollars a second."""


@pytest.fixture(autouse=True, scope="module")
def trades_of_the_listed_size() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConstantProduct, "size", {"buy": SIZE, "sell": SIZE})
        yield


def posted(*settings: str) -> tuple[Scenario, Log]:
    scenario = Scenario.load(SCENARIOS / "posting.yaml", settings)
    return scenario, run(scenario)


def cost(scenario: Scenario, log: Log) -> Estimate:
    found = scenario.metrics["cost"].measure(log).loc["arb"]
    return Estimate(found["total"], found["total_error"], int(found["batches"]))


# ---- 5.4, the square-root law

ROWS = {
    "F = 2, λ = 5": (2.0, 5.0, 447.214, 0.0446714, 0.0558517),
    "F = 20, λ = 50": (20.0, 50.0, 4472.14, 0.447164, 0.558967),
}
"""US dollars a batch, transactions a second; n*, the cost at it and at half of it."""


def fees(row: str) -> tuple[str, ...]:
    fixed, rate, *_ = ROWS[row]
    return f"agents.traders.rate={rate} /s", f"chains.arb.batch_poster.gas={round(fixed * 100_000)} gas"


def by_size(row: str, part: float, duration: str, block_time: str = "200ms") -> tuple[Scenario, Log]:
    """A batch ends with the last whole block that fits, so that everything waits up to a block longer than in theory."""
    n = round(ROWS[row][2] * part)
    full = f"chains.arb.batch_poster.full={n * SIZE} B", "chains.arb.batch_poster.blobs=6"
    return posted(*fees(row), *full, f"duration={duration}", f"chains.arb.sequencer.block_time={block_time}")


def check(row: str, duration: str, block_time: str) -> list[str]:
    fixed, rate, n, least, at_half = ROWS[row]
    lines = []
    for part, expected in ((1.0, least), (0.5, at_half)):
        wrong = {"every transaction waits from the first": fixed * rate / (n * part) + H * (n * part - 1)}
        lines.append(agree(f"5.4 cost at {part:g} n*, {row} (USD/s)", cost(*by_size(row, part, duration, block_time)), expected, wrong))
    return lines


def test_the_square_root_law(record_property: Callable[..., None]) -> None:
    for line in check("F = 2, λ = 5", "3h", "200ms"):
        record_property("validation", line)


@pytest.mark.validate
@pytest.mark.parametrize("row", ROWS)
def test_the_square_root_law_in_full(row: str, record_property: Callable[..., None]) -> None:
    for line in check(row, "16h", "20ms"):
        record_property("validation", line)


def test_the_same_by_time(record_property: Callable[..., None]) -> None:
    """T* = sqrt(2 F / (h λ)), and the leading cost is the same; the clock starts with the first block, a fifth of a second later."""
    fixed, rate, *_ = ROWS["F = 2, λ = 5"]
    every = sqrt(2.0 * fixed / (H * rate))
    settings = f"chains.arb.batch_poster.max_delay={round(every * 10) / 10} s", "chains.arb.batch_poster.full=700 kB"
    found = cost(*posted(*fees("F = 2, λ = 5"), *settings))
    record_property("validation", agree("5.4 cost by a clock at T* (USD/s)", found, sqrt(2.0 * fixed * H * rate), {"twice T*": 0.0559}))


def optimal(rate: float, delay: float, **more: Any) -> str:
    given = {"kind": "optimal", "rate": f"{rate!r} /s", "size": f"{SIZE} B", "delay_cost": f"{delay * 3600!r} USD", **more}
    return "{" + ", ".join(f"{name}: {value}" for name, value in given.items()) + "}"


def test_the_optimal_policy_finds_it(record_property: Callable[..., None]) -> None:
    policy = optimal(5.0, H, ether="2000 USD", base_fee="4 gwei")
    scenario, log = posted(f"chains.arb.batch_poster.policy={policy}", "chains.arb.batch_poster.full=200 kB")
    found = cost(scenario, log)
    record_property("validation", agree("5.4 cost of the optimal policy (USD/s)", found, 0.0446714, {"at n*/2": 0.0558517}))
    batches = log.frame("BatchPosted")["size"].to_numpy()[:-1] / SIZE
    assert batches.mean() == pytest.approx(447.214, rel=0.01)


def test_what_l1_takes_is_told_apart() -> None:
    """A batch is included in the next slot, six seconds later in the mean and at most twelve."""
    scenario, log = posted("duration=1h")
    found = scenario.metrics["cost"].measure(log).loc["arb"]
    assert 0.0 < found["l1_mean"] <= 12.0
    assert found["wait_mean"] == pytest.approx(446.0 / 2.0 / 5.0, rel=0.05)


def test_waiting_that_is_charged_from_the_beginning_of_the_batch_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: all of a batch's transactions wait as long as its first."""
    cycles = PostingCost._cycles

    def whole(metric: PostingCost, *given: Any) -> Any:
        spans, _, numbers = cycles(metric, *given)
        return spans, spans * numbers, numbers

    monkeypatch.setattr(PostingCost, "_cycles", whole)
    with pytest.raises(DisagreementError):
        check("F = 2, λ = 5", "90min", "200ms")


def test_waiting_that_goes_on_until_l1_includes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: inclusion by L1 is counted as if the policy could do something about it."""
    cycles = PostingCost._cycles

    def longer(metric: PostingCost, *given: Any) -> Any:
        spans, waits, numbers = cycles(metric, *given)
        return spans, waits + 6.0 * numbers, numbers

    monkeypatch.setattr(PostingCost, "_cycles", longer)
    with pytest.raises(DisagreementError):
        check("F = 2, λ = 5", "90min", "200ms")


# ---- 5.5, blobs or calldata

# B = 1, P0 = 0.2, a = 5e-4 a transaction, h = 1e-4, in units in which a trade counts for four transactions and a second for a twentieth:
# 192,000 gas and 1,920 gas for each trade at 0.4 gwei, a blob at 2.34375 gwei, and an ether of 2604.17 USD.
PACK, SPAN = 4.0, 20.0
THRESHOLD = 244.458 / PACK / SPAN
"""Trades a second."""
DELAY = H * PACK / SPAN
BLOB, CALLDATA = 0.312703, 0.384303
"""Cost rates at twice the threshold."""
SETTING = (
    "prices.eth.points={0: 2604.1666666666665 USD}", "chains.l1.base_fee.initial=0.3 gwei", "chains.l1.blob_fee.minimum=2.34375 gwei",
    "chains.arb.batch_poster.gas=192000 gas", "chains.arb.batch_poster.tip=0.1 gwei", "chains.arb.batch_poster.zeros=0",
    "chains.arb.batch_poster.calldata_floor=false", "chains.arb.batch_poster.full=130 kB", f"metrics.cost.delay_cost={DELAY * 3600!r} USD",
)  # fmt: skip


def by_data(data: str, rate: float, duration: str = "4h") -> tuple[Scenario, Log]:
    policy = optimal(rate, DELAY, ether="2604.1666666666665 USD", base_fee="0.3 gwei", blob_fee="2.34375 gwei")
    chosen = f"chains.arb.batch_poster.data={data}", f"chains.arb.batch_poster.policy={policy}"
    return posted(*SETTING, *chosen, f"agents.traders.rate={rate!r} /s", f"duration={duration}")


def check_data(duration: str) -> list[str]:
    lines = []
    wrong: Mapping[str, Mapping[str, float]] = {
        "blobs": {"as calldata": CALLDATA, "a blob paid for by the byte": 0.2 * 122.229 / 349.6 + 0.06},
        "calldata": {"as blobs": BLOB, "without what its bytes cost": 0.1398},
    }
    for data, expected in (("blobs", BLOB), ("calldata", CALLDATA)):
        found = cost(*by_data(data, 2.0 * THRESHOLD, duration))
        told = Estimate(found.mean * SPAN + (DELAY * SPAN / 2.0), found.error * SPAN, found.n)
        lines.append(agree(f"5.5 cost at twice the threshold, {data}", told, expected, {**wrong[data]}))
    return lines


def test_blobs_and_calldata_at_twice_the_threshold(record_property: Callable[..., None]) -> None:
    for line in check_data("2h"):
        record_property("validation", line)


@pytest.mark.validate
def test_blobs_and_calldata_at_twice_the_threshold_in_full(record_property: Callable[..., None]) -> None:
    for line in check_data("24h"):
        record_property("validation", line)


def difference(rate: float, duration: str) -> Estimate:
    """What blobs cost more than calldata."""
    blobs, calldata = (cost(*by_data(data, rate, duration)) for data in ("blobs", "calldata"))
    return Estimate(blobs.mean - calldata.mean, sqrt(blobs.error**2 + calldata.error**2), min(blobs.n, calldata.n))


@pytest.mark.validate
def test_the_sign_changes_at_the_threshold(record_property: Callable[..., None]) -> None:
    at = difference(THRESHOLD, "8h")
    record_property("validation", agree("5.5 blobs less calldata, at the threshold", at, 0.0, {}))
    below, above = difference(THRESHOLD / 2.0, "6h"), difference(2.0 * THRESHOLD, "4h")
    assert below.mean > 8.0 * below.error
    assert above.mean < -8.0 * above.error


def terms(data: str, full: int = 130_000) -> Terms:
    """The poster's terms, without a world."""
    gas = 192_000

    def price(size: int, base_fee: int, blob_fee: int) -> int:
        return gas * base_fee + GAS_PER_BLOB * blob_fee if data == "blobs" else (gas + 16 * size) * base_fee

    return Terms(full, 10**18, 0, 1, 0, 0, 1, gas, 12 * SECOND, 130_044, price)


def reckons(data: str, rate: float) -> float:
    policy = Optimal(
        rate=f"{rate!r} /s", size=f"{SIZE} B", delay_cost=f"{DELAY * 3600!r} USD", ether="2604.1666666666665 USD",
        base_fee="0.4 gwei", blob_fee="2.34375 gwei",
    )  # type: ignore[arg-type]  # fmt: skip
    return float(policy.prepare(terms(data)).cost)


def test_the_optimal_policy_knows_the_threshold(record_property: Callable[..., None]) -> None:
    """By bisection on the rate of arrivals, within 2 %."""
    low, high = THRESHOLD / 4.0, THRESHOLD * 4.0
    for _ in range(20):
        rate = sqrt(low * high)
        low, high = (rate, high) if reckons("blobs", rate) > reckons("calldata", rate) else (low, rate)
    record_property("validation", equal("5.5 threshold (transactions a second)", low * PACK * SPAN, 244.458, 0.02))
    assert reckons("blobs", 2.0 * THRESHOLD) * SPAN == pytest.approx(BLOB, rel=0.01)
    assert reckons("calldata", 2.0 * THRESHOLD) * SPAN == pytest.approx(CALLDATA, rel=0.01)


@pytest.mark.parametrize(("times", "expected"), [(0.5, 0), (2.0, 1)])
def test_who_takes_the_cheaper_takes_blobs_above_the_threshold_only(times: float, expected: int) -> None:
    _, log = by_data("cheaper", times * THRESHOLD, "30min")
    blobs = log.frame("BatchPosted")["blobs"].to_numpy()
    assert len(blobs) > 5
    assert (blobs == expected).all()


def test_blobs_that_are_paid_for_by_the_byte_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: blobs are always cheaper."""
    exact = BatchPoster._cost

    def by_the_byte(poster: BatchPoster, me: Any, size: int, base_fee: int, blob_fee: int) -> int:
        blobs, gas = poster._weighed(me, size, base_fee, blob_fee)
        return exact(poster, me, size, base_fee, blob_fee) if not blobs else gas * base_fee + size * blob_fee

    monkeypatch.setattr(BatchPoster, "_cost", by_the_byte)
    scenario, log = by_data("blobs", 2.0 * THRESHOLD, "1h")
    found = cost(scenario, log)
    with pytest.raises(DisagreementError):
        agree("by the byte", Estimate(found.mean * SPAN, found.error * SPAN, found.n), BLOB, {})


# ---- fees that move


def test_where_fees_move_it_waits_for_cheap_ones() -> None:
    """The least size rises with the level of fees, and the plan costs less than one that knows only the usual level."""
    moving = Optimal(
        rate="5 /s", size="120 B", delay_cost="0.36 USD", ether="2000 USD", base_fee="5 gwei", deviation=0.5, reversion="10min", steps=400,
    )  # type: ignore[arg-type]  # fmt: skip
    plan = moving.prepare(terms("blobs", 400_000)._replace(gas=200_000))
    assert (np.diff(plan.least) >= 0).all()
    assert plan.least[0] < 447 * SIZE < plan.least[-1]
    assert plan.levels[len(plan.levels) // 2] == pytest.approx(1.0)
    assert (np.diff(np.log(plan.levels)) > 0).all()


@pytest.mark.parametrize("more", [{}, {"reversion": "30min"}, {"reversion": "10min"}, {"steps": 100}, {"levels": 21}, {"reversion": "10d"}])
def test_a_plan_is_found_however_short_its_steps(more: dict[str, Any]) -> None:
    """A step of 0.67 s or 6.7 s, in which fees that return within ten days hardly move."""
    given = {"rate": "5 /s", "size": "120 B", "delay_cost": "0.36 USD", "ether": "2000 USD", "base_fee": "5 gwei", "deviation": 0.5, **more}
    plan = Optimal(**given).prepare(terms("blobs", 400_000)._replace(gas=200_000))
    assert plan.least[0] < 447 * SIZE < plan.least[-1]
    assert plan.cost < 0.0461 * 1.02  # with the fee standing still at each level, the mean of sqrt(2 F h rate): 0.0447 x e^(1/32)


def chain_of_fees(step: float, **more: Any) -> tuple[Any, Any]:
    """The logarithm of the levels, and the probabilities to move between them in a step (s)."""
    policy = Optimal(rate="5 /s", size="120 B", delay_cost="0.36 USD", deviation=0.5, **more)  # type: ignore[arg-type]
    levels, moves = policy._fees(step)
    return np.log(levels), moves


def moments(logs: Any, moves: Any) -> tuple[float, float, float]:
    """Mean, standard deviation and first autocorrelation of a chain in its stationary law."""
    n = len(logs)
    stays = np.vstack([moves.T - np.eye(n), np.ones(n)])
    law = np.linalg.lstsq(stays, np.append(np.zeros(n), 1.0), rcond=None)[0]
    mean = law @ logs
    variance = law @ (logs - mean) ** 2
    return float(mean), float(sqrt(variance)), float((law * (logs - mean)) @ (moves @ (logs - mean)) / variance)


@pytest.mark.parametrize("more", [{}, {"levels": 2}, {"levels": 21}])
@pytest.mark.parametrize("reversion", [3600.0, 600.0, 12.0])
@pytest.mark.parametrize("step", [0.5, 5.0 / 3.0, 12.0, 600.0])
def test_the_chain_of_fees_has_the_law_that_was_asked_for(step: float, reversion: float, more: dict[str, Any]) -> None:
    """Rouwenhorst's chain is exact: stationary deviation, mean, and the autocorrelation exp(-step / reversion), however short the step."""
    logs, moves = chain_of_fees(step, **({} if reversion == 3600.0 else {"reversion": f"{reversion} s"}), **more)
    assert moves.min() >= 0.0
    assert moves.sum(axis=1) == pytest.approx(np.ones(len(logs)), abs=1e-12)
    mean, deviation, kept = moments(logs, moves)
    assert mean == pytest.approx(0.0, abs=1e-9)
    assert deviation == pytest.approx(0.5, rel=1e-9)
    assert 1.0 - kept == pytest.approx(-expm1(-step / reversion), rel=1e-6)


def given_fees(slots: int, usual: float, reversion: float) -> tuple[float, ...]:
    """What others take of L1's blocks so that the logarithm of its base fee is an autoregression, as far as EIP-1559 lets it move."""
    kept, log, fee, taken = exp(-12.0 / reversion), 0.0, usual, []
    for luck in np.random.default_rng(1).standard_normal(slots):
        log = kept * log + 0.5 * sqrt(1.0 - kept * kept) * luck
        taken.append(min(max(0.5 + 4.0 * (usual * exp(log) / fee - 1.0), 0.0), 1.0))
        fee *= 1.0 + (2.0 * taken[-1] - 1.0) / 8.0
    return tuple(taken)


def where_fees_move(policy: str, size: int) -> Estimate:
    """What posting and waiting cost where the base fee moves within an hour by half, in the mean around 5 gwei; one transaction in 20 s."""
    settings = (
        "duration=5d", "agents.traders.rate=0.05 /s", "metrics.cost.delay_cost=0.036 USD", "chains.arb.sequencer.block_time=10s",
        "chains.l1.base_fee.denominator=8", "chains.l1.base_fee.initial=5 gwei", "chains.l1.gas_limit=6 Ggas",
        "chains.arb.batch_poster.poll=12s", "chains.arb.batch_poster.tip=1 wei", f"chains.arb.batch_poster.full={size} B",
        f"chains.arb.batch_poster.policy={policy}",
    )  # fmt: skip
    scenario = Scenario.load(SCENARIOS / "posting.yaml", settings)
    l1: Any = scenario.chains["l1"]
    demand = l1.gas_demand.model_copy(update={"fractions": given_fees(36_002, 5.0, 3600.0)})
    chains = {**scenario.chains, "l1": l1.model_copy(update={"gas_demand": demand})}
    scenario = scenario.model_copy(update={"chains": chains})
    return cost(scenario, run(scenario))


BEST_SIZE = round(sqrt(2.0 * 2.0 * 0.05 / 1e-5)) * SIZE
"""The best size of a batch at the usual fee, 2 USD a batch."""


@pytest.fixture(scope="module")
def best_of_fixed_sizes() -> float:
    return min(where_fees_move("{kind: size_or_age}", round(BEST_SIZE * part)).mean for part in (0.75, 1.0, 1.5))


def where_fees_move_optimally() -> float:
    policy = optimal(0.05, 1e-5, ether="2000 USD", base_fee="5 gwei", deviation="0.5")
    return where_fees_move(policy, 200_000).mean


def test_where_fees_move_the_optimal_policy_costs_less_than_any_size(best_of_fixed_sizes: float) -> None:
    """Through the event loop, with L1's own fee rule, and at the default reversion."""
    assert where_fees_move_optimally() < 0.97 * best_of_fixed_sizes


def test_a_plan_that_takes_dear_fees_for_cheap_ones_is_caught(monkeypatch: pytest.MonkeyPatch, best_of_fixed_sizes: float) -> None:
    """The mistake: the level of fees with the wrong sign."""
    exact = Optimal.posts

    def turned_round(policy: Optimal, look: Look, *given: Any) -> bool:
        return exact(policy, look._replace(base_fee=policy.base_fee**2 // max(look.base_fee, 1)), *given)

    monkeypatch.setattr(Optimal, "posts", turned_round)
    assert where_fees_move_optimally() > best_of_fixed_sizes
