"""The fee markets of L1 in the long run: fullness, stability, fluctuation; and the blob fee under each fork."""

from collections.abc import Callable, Mapping
from math import ceil, exp, log, log1p, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from validation import SCENARIOS, DisagreementError, Estimate, agree, equal, run

from l2sim.demand.poisson import Poisson
from l2sim.events import BlockSealed
from l2sim.fees import Used, eip1559
from l2sim.fees import blob as blob_rule
from l2sim.fees.blob import GAS_PER_BLOB, MAINNET
from l2sim.fees.eip1559 import Eip1559
from l2sim.scenario import Scenario

Floats = npt.NDArray[np.float64]
GWEI = 10**9
LARGE = 10**15
"""A reference fee (wei) at which whole numbers of wei hide nothing."""


def market(blocks: int, chain: Mapping[str, Any]) -> Scenario:
    """The file with other parameters of its L1, long enough for so many blocks."""
    base = Scenario.load(SCENARIOS / "fee_market.yaml")
    return base.vary({"duration": f"{12 * blocks} s"} | {f"chains.l1.{name}": value for name, value in chain.items()})


def fees(blocks: int, chain: Mapping[str, Any], seed: int = 1) -> tuple[list[int], list[int], list[int]]:
    """Base fee, blob fee and blobs of each block."""
    made = run(market(blocks, chain), seed).select(BlockSealed, "base_fee", "blob_base_fee", "blobs", chain="l1")
    base, blob, blobs = (column.tolist() for column in made)
    assert len(base) == blocks
    return base, blob, blobs


def isoelastic(elasticity: float, start: float, **changes: Any) -> dict[str, Any]:
    """Demand of constant elasticity that fills the target at ``LARGE`` wei; the first block's fee is ``start`` times that."""
    return {
        "base_fee": {"kind": "eip1559", "initial": f"{round(start * LARGE)} wei", **changes},
        "gas_limit": "60000000 Mgas",
        "gas_demand": {"kind": "elastic", "mean": 1, "reference": f"{LARGE} wei", "elasticity": elasticity, "noise": 0},
    }


def fullness(elasticity: float, blocks: int) -> float:
    """Mean gas used, in targets."""
    (gas,) = run(market(blocks, isoelastic(elasticity, 1.3)), 1).select(BlockSealed, "gas", chain="l1")
    assert len(gas) == blocks
    return float(gas.mean()) / (30 * 10**12)


# ---- 2.2 how full blocks are in the long run

BOUND = 2.0 * -log1p(-1 / 8) / (log1p(1 / 8) - log1p(-1 / 8))
"""Twice the share of full blocks among full and empty ones that leaves the fee where it was."""
FULLNESS = {2: (0.99999, 1e-4), 10: (0.99999, 1e-4), 18: (1.02284, 2e-3), 40: (1.05554, 2e-3), 200: (1.05617, 2e-3)}


def check_fullness(elasticity: float, blocks: int, wider: float = 1.0) -> str:
    expected, tolerance = FULLNESS[int(elasticity)]
    found = fullness(elasticity, blocks)
    assert 1.0 - 10.0 / blocks <= found <= BOUND + 10.0 / blocks
    return equal(f"2.2 fullness, elasticity {elasticity}: targets", found, expected, tolerance * wider / expected)


def test_the_bound_on_fullness() -> None:
    assert pytest.approx(1.062664, abs=5e-6) == BOUND


@pytest.mark.parametrize("elasticity", [2, 40])
def test_fullness(elasticity: float, record_property: Callable[..., None]) -> None:
    record_property("validation", check_fullness(elasticity, 20_000, wider=3.0))


@pytest.mark.validate
@pytest.mark.parametrize("elasticity", list(FULLNESS))
def test_fullness_in_full(elasticity: float, record_property: Callable[..., None]) -> None:
    record_property("validation", check_fullness(elasticity, 200_000))


def test_a_symmetric_update_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: the logarithm of the fee moves by (x - 1) / 8, so that fullness is 1 whatever the demand."""

    def symmetric(self: Eip1559, state: tuple[int, ...], used: Used) -> tuple[int, ...]:
        return (max(round(state[0] * exp((used.gas / (used.gas_limit / 2) - 1.0) / 8.0)), 1),)

    monkeypatch.setattr(Eip1559, "next", symmetric)
    assert fullness(40, 5_000) == pytest.approx(1.0, abs=2e-3)
    with pytest.raises(DisagreementError):
        check_fullness(40, 5_000, wider=5.0)


# ---- 2.3 whether the controller settles

SETTLING = {1: (8, 0.34372), 4: (4, 0.062705), 8: (1, 0.0034913), 12: (4, 0.061875), 15: (8, 0.34174), 17: (8, 2.5851)}
"""By elasticity: after how many blocks, and how much of the deviation's logarithm is left."""


def recursion(elasticity: float, blocks: int, start: float = 1.001) -> float:
    """The same in real numbers."""
    fee = start
    for _ in range(blocks):
        fee *= 1.0 + (min(2.0, fee**-elasticity) - 1.0) / 8.0
    return log(fee) / log(start)


def deviation(elasticity: float, blocks: int) -> float:
    base, _, _ = fees(blocks + 1, isoelastic(elasticity, 1.001))
    return log(base[blocks] / LARGE) / log(base[0] / LARGE)


@pytest.mark.parametrize("elasticity", list(SETTLING))
def test_how_the_base_fee_settles(elasticity: float, record_property: Callable[..., None]) -> None:
    blocks, published = SETTLING[int(elasticity)]
    found = deviation(elasticity, blocks)
    assert found == pytest.approx(published, rel=3e-5)
    if elasticity != 8:
        assert abs(found) == pytest.approx(abs((1.0 - elasticity / 8.0) ** blocks), rel=0.02)
    record_property("validation", equal(f"2.3 elasticity {elasticity}, block {blocks}", found, recursion(elasticity, blocks), 1e-6))


def test_an_op_chain_settles_up_to_twice_its_denominator() -> None:
    def ripple(elasticity: float) -> list[float]:
        chain = isoelastic(elasticity, 1.001, denominator=50)
        return [abs(log(fee / LARGE)) for fee in fees(41, chain)[0]]

    assert ripple(98)[40] < ripple(98)[0] < 0.0011
    assert ripple(102)[40] > 2.0 * ripple(102)[0]


def test_a_lag_of_one_block_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: the fee answers to what was used two blocks ago; it oscillates from an elasticity of 2 on."""
    late = [30 * 10**12]

    def lagging(self: Eip1559, state: tuple[int, ...], used: Used) -> tuple[int, ...]:
        gas, late[0] = late[0], used.gas
        return (eip1559.after(state[0], gas, used.gas_limit, self.terms()),)

    monkeypatch.setattr(Eip1559, "next", lagging)
    with pytest.raises(DisagreementError):
        equal("elasticity 4", deviation(4, 4), recursion(4, 4), 1e-6)


# ---- 2.4 how much the base fee fluctuates


def fluctuation(count: int, blocks: int) -> tuple[Estimate, float]:
    """The variance of the logarithm of the base fee, by the means of batches, and what theory says of it."""
    chain = {
        "base_fee": {"kind": "eip1559", "initial": f"{LARGE} wei"},
        "gas_demand": {"kind": "poisson", "count": count, "reference": f"{LARGE} wei", "elasticity": 1},
    }
    levels = np.log(np.array(fees(blocks, chain)[0], np.float64) / LARGE)[200:]
    return Estimate.of_run((levels - levels.mean()) ** 2), (1 / 64) / (count * (1.0 - (1.0 - 1 / 8) ** 2))


def check_fluctuation(count: int, blocks: int, tolerance: float) -> str:
    found, expected = fluctuation(count, blocks)
    assert found.error / found.mean < 2.0 * tolerance
    line = f"2.4 sd of ln base fee, {count} transactions a target"
    return equal(line, sqrt(found.mean), sqrt(expected), tolerance)


def test_fluctuation(record_property: Callable[..., None]) -> None:
    record_property("validation", check_fluctuation(20, 30_000, 0.06))


@pytest.mark.validate
@pytest.mark.parametrize("count", [150, 20])
def test_fluctuation_in_full(count: int, record_property: Callable[..., None]) -> None:
    record_property("validation", check_fluctuation(count, 400_000, 0.03))


def test_demand_without_luck_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: the mean is used each slot; the fee does not fluctuate."""
    monkeypatch.setattr(Poisson, "draw", lambda self, rng, n: np.full(n, 0.5))
    with pytest.raises(DisagreementError):
        equal("sd", sqrt(fluctuation(20, 5_000)[0].mean), sqrt(fluctuation(20, 300)[1]), 0.06)


# ---- 2.5 what a full and an empty block do to the blob fee


@pytest.mark.parametrize(("fork", "full", "empty"), [
    ("cancun", 1.125, 0.888889), ("prague", 1.081687, 0.854666), ("bpo1", 1.081687, 0.854666), ("bpo2", 1.081687, 0.854666),
])  # fmt: skip
def test_full_and_empty_blocks(fork: str, full: float, empty: float, record_property: Callable[..., None]) -> None:
    # The base fee is free, so that the reserve price of later forks does not bind.
    chain = {
        "fork": fork, "blob_fee": {"kind": "blob", "initial_excess": f"{40 * MAINNET[fork].update_fraction} gas"},
        "base_fee": {"kind": "eip1559", "initial": "0 wei"}, "blob_demand": {"kind": "given", "fractions": [0, 1]},
        "gas_demand": {"kind": "given", "fractions": [0]},
    }  # fmt: skip
    _, blob, _ = fees(3, chain)
    assert blob[2] / blob[1] == pytest.approx(empty, abs=1e-4)
    record_property("validation", equal(f"2.5 {fork}: a full block", blob[1] / blob[0], full, 1e-4))


@pytest.mark.parametrize(("fork", "excess", "fee"), [
    ("cancun", 0, 1), ("cancun", 3_338_477, 2), ("cancun", 33_384_770, 22_026), ("prague", 100_000_000, 470_442_149),
    ("prague", 103_776_000, 999_954_090), ("bpo2", 200_000_000, 27_137_919),
])  # fmt: skip
def test_the_blob_fee_at_an_excess(fork: str, excess: int, fee: int) -> None:
    assert fees(1, {"fork": fork, "blob_fee": {"kind": "blob", "initial_excess": f"{excess} gas"}})[1] == [fee]


def test_an_old_fraction_with_a_new_target_is_caught() -> None:
    forks = {"mixed": {"begins": 0, "target": 6, "maximum": 9, "update_fraction": 3_338_477}}
    chain = {
        "fork": "mixed", "blob_fee": {"kind": "blob", "initial_excess": "133539080 gas", "forks": forks},
        "blob_demand": {"kind": "given", "fractions": [0]},
    }  # fmt: skip
    _, blob, _ = fees(2, chain)
    assert blob[1] / blob[0] == pytest.approx(0.7901, abs=1e-4)
    with pytest.raises(DisagreementError):
        equal("empty", blob[1] / blob[0], 0.854666, 1e-4)


# ---- 2.6 how long the blob fee takes to be found

DISCOVERY = [("cancun", 6, 1, 176), ("prague", 9, 1, 264), ("prague", 7, 1, 792), ("bpo2", 21, 1, 264), ("prague", 9, 10, 294)]


def discovery(fork: str, blobs: int, gwei: int, within: int) -> int:
    """Blocks, so many at most, until the blob fee reaches so many gwei from 1 wei."""
    chain = {
        "fork": fork, "blob_demand": {"kind": "given", "fractions": [blobs / MAINNET[fork].maximum]},
        "base_fee": {"kind": "eip1559", "initial": "0 wei"}, "gas_demand": {"kind": "given", "fractions": [0]},
    }  # fmt: skip
    _, blob, _ = fees(within + 1, chain)
    return next(n for n, fee in enumerate(blob) if fee >= gwei * GWEI)


@pytest.mark.parametrize(("fork", "blobs", "gwei", "blocks"), DISCOVERY)
def test_discovery_of_the_blob_fee(fork: str, blobs: int, gwei: int, blocks: int, record_property: Callable[..., None]) -> None:
    rules = MAINNET[fork]
    assert blocks == ceil(rules.update_fraction * log(gwei * GWEI) / (GAS_PER_BLOB * (blobs - rules.target)))
    record_property(
        "validation", equal(f"2.6 {fork}, {blobs} blobs, to {gwei} gwei: blocks", discovery(fork, blobs, gwei, blocks), blocks, 0.0)
    )


def test_a_fee_that_counts_its_own_block_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: the first update applies to the same block, so that one block fewer is needed."""
    genesis = blob_rule.Blob.genesis
    monkeypatch.setattr(blob_rule.Blob, "genesis", lambda self, *when: (genesis(self, *when)[0] + 3 * GAS_PER_BLOB,))
    assert discovery("prague", 9, 1, 264) == 263


# ---- 2.7 what blobs use on average


def check_conservation(blocks: int) -> str:
    chain = {
        "blob_fee": {"kind": "blob", "initial_excess": "103776000 gas"},
        "blob_demand": {"kind": "elastic", "mean": 1, "reference": "1 gwei", "elasticity": 1, "noise": 0.3},
    }
    # One block more, for the fee that the blobs of the last one counted lead to: from fee to fee the law holds to the letter.
    base = market(blocks + 1, chain).vary({"chains.l1.blob_fee.forks": {"prague": MAINNET["prague"].model_dump(mode="json")}})
    blob, blobs = run(base).select(BlockSealed, "blob_base_fee", "blobs", chain="l1")
    assert 0.01 * GWEI <= blob.min() <= blob.max() <= 100 * GWEI
    used, fraction = float(blobs[:-1].mean()), MAINNET["prague"].update_fraction
    line = equal(f"2.7 mean blobs of {blocks} blocks", used, 6.0 + fraction * log(blob[-1] / blob[0]) / (GAS_PER_BLOB * blocks), 1e-6)
    assert abs(used - 6.0) <= fraction * log(100 / 0.01) / (GAS_PER_BLOB * blocks)  # 0.00352 for 100,000 blocks
    return line


def test_blobs_are_conserved(record_property: Callable[..., None]) -> None:
    record_property("validation", check_conservation(20_000))


@pytest.mark.validate
def test_blobs_are_conserved_in_full(record_property: Callable[..., None]) -> None:
    record_property("validation", check_conservation(100_000))


def test_an_excess_that_is_clamped_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: the excess never falls below a floor, where the lowest fee should hold; fewer blobs than the target are used."""
    under = blob_rule.Blob.under
    monkeypatch.setattr(blob_rule.Blob, "under", lambda *given: (max(under(*given)[0], 103_776_000),))
    with pytest.raises(DisagreementError, match=r" 5\.[0-8]"):
        check_conservation(4_000)


def test_the_base_fee_drifts(record_property: Callable[..., None]) -> None:
    expected = 0.5 * (log1p(1 / 8) + log1p(-1 / 8))
    assert expected == pytest.approx(-0.00787418, abs=5e-9)
    # A fee of more than 2^63 wei does not fit into the log: many short walks instead of a long one.
    steps = np.concatenate([walk_of_gas(seed) for seed in range(1, 51)])
    record_property("validation", agree("2.7 drift of ln base fee", Estimate.of(steps), expected, {"no drift": 0.0}))


def walk_of_gas(seed: int, blocks: int = 400) -> Floats:
    chain = {"base_fee": {"kind": "eip1559", "initial": "1000 gwei"}, "gas_demand": {"kind": "discrete", "fractions": [0, 1]}}
    return np.diff(np.log(np.array(fees(blocks, chain, seed)[0], np.float64)))


def walk_of_blobs(seed: int, blocks: int) -> Floats:
    chain = {
        "blob_fee": {"kind": "blob", "initial_excess": "150 Mgas"},
        "blob_demand": {"kind": "discrete", "fractions": [0, 1], "weights": [1, 2]},
    }
    return np.diff(np.log(np.array(fees(blocks, chain, seed)[1], np.float64)))


def test_the_blob_fee_does_not_drift(record_property: Callable[..., None]) -> None:
    steps = np.concatenate([walk_of_blobs(seed, 400) for seed in range(1, 51)])
    assert steps.std() == pytest.approx(0.1110, abs=0.003)
    record_property("validation", agree("2.7 drift of ln blob fee", Estimate.of(steps), 0.0, {"the rule of EIP-1559": -0.00787418}))


# ---- 2.8 the reserve price


def reserved(fork: str, fraction: float, excess: int, blocks: int = 4_001) -> list[int]:
    """Blob fees under a base fee of 8 gwei, from the start on."""
    chain = {
        "fork": fork, "blob_fee": {"kind": "blob", "initial_excess": f"{excess} gas"},
        "base_fee": {"kind": "eip1559", "initial": "8 gwei"}, "blob_demand": {"kind": "given", "fractions": [fraction]},
    }  # fmt: skip
    base, blob, _ = fees(blocks, chain)
    assert set(base) == {8 * GWEI}
    return blob


def check_reserve() -> list[str]:
    """Osaka has the targets of Prague and the reserve."""
    held, free = reserved("osaka", 2 / 9, 115_306_922), reserved("prague", 2 / 9, 115_306_922)
    late = held[3501:4001]
    return [
        equal("2.8 blocks until the fee is below parity", next(n for n, fee in enumerate(held) if fee < 500_000_000), 29, 0.0),
        equal("2.8 lowest fee", min(late), 455_584_459, 0.0),
        equal("2.8 highest fee", max(late), 505_882_845, 0.0),
        equal("2.8 without reserve, blocks until 1 wei", next(n for n, fee in enumerate(free) if fee == 1), 214, 0.0),
        equal("2.8 from excess 0", reserved("osaka", 2 / 9, 0, 200)[-1], 1, 0.0),
        equal("2.8 no blobs, the excess is frozen", reserved("osaka", 0, 100_000_000, 101)[-1], 470_442_149, 0.0),
    ]


def test_the_reserve_price(record_property: Callable[..., None]) -> None:
    for line in check_reserve():
        record_property("validation", line)


def test_the_draft_of_the_reserve_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: parity of a draft, TX_BASE_COST against the target's blob gas, base fee / 37.4."""
    monkeypatch.setattr(blob_rule, "BLOB_BASE_COST", 21_000 // 6)
    with pytest.raises(DisagreementError):
        check_reserve()


def test_a_target_that_is_always_subtracted_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_rule, "BLOB_BASE_COST", 0)
    with pytest.raises(DisagreementError):
        check_reserve()
