"""Fees of rollups equal published numbers: OP Stack (data, operator, FastLZ) and Arbitrum (base fee, L1 pricer).

Sources: ethereum-optimism/op-geth core/types/rollup_cost_test.go @7b56c731 and its Jovian-era copy; base/base
crates/execution/revm/src/l1block.rs @98a8db8d; OffchainLabs/nitro util/arbmath/math_test.go, arbos/l2pricing tests and
arbos/l1pricing_test.go @6dce8d13; NethermindEth/nethermind-arbitrum L2PricingTests.cs @1c295c8d.
"""

from typing import Any

import pytest

from l2sim.data_fees import BatchReport
from l2sim.data_fees.arbitrum import Arbitrum as Pricing
from l2sim.data_fees.arbitrum import Pricer
from l2sim.data_fees.op_stack import OpStack, l1_fee, l1_gas, operator_fee
from l2sim.data_fees.op_stack.fastlz import fastlz_size
from l2sim.data_fees.starknet import Starknet
from l2sim.data_fees.zksync import Zksync
from l2sim.fees import Used
from l2sim.fees.arbitrum import Arbitrum, approx_exp_basis_points, exponent
from l2sim.units import ETH, GWEI

CALL = bytes.fromhex(
    "02f901550a758302df1483be21b88304743f94f80e51afb613d764fa61751affd3313c190a86bb870151bd62fd12adb8e41ef24f3f00000000000000000000"
    "0000000000000000000000000000000000000000006e000000000000000000000000af88d065e77c8cc2239327c5edb3a432268e583100000000000000000000"
    "0000000000000000000000000000000000000003c1e5000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000a000000000000000000000000000000000000000000000000000000000000000148c89ed219d02f1a5"
    "be012c689b4f5b731827bebe000000000000000000000000c001a033fd89cb37c31b2cba46b6466e040c61fc9b2a3675a7f5f493ebd5ad77c497f8a07cdf6568"
    "0e238392693019b4092f610222e71b7cec06449cb922b93b6a12744e"
)
TRANSFER = bytes.fromhex(
    "02f8b30a832253fc8402d11f39842c8a46398301388094dc6ff44d5d932cbd77b52e5612ba0529dc6226f180b844a9059cbb000000000000000000000000d43e"
    "02db81f4d46cdf8521f623d21ea0ec7562a50000000000000000000000000000000000000000000000008ac7230489e80000c001a02947e24750723b48f88693"
    "1562c55d9e07f856d8e06468e719755e18bbc3a570a0784da9ce59fd7754ea5be6e17a86b348e441348cd48ace59d174772465eadbd1"
)


def zeros_and_others(data: bytes) -> dict[str, int]:
    return {"zeros": data.count(0), "nonzeros": len(data) - data.count(0)}


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"", 0), (b"\x01" * 1000, 21), (b"\x00" * 1000, 21), (CALL, 202),
        (bytes.fromhex("facade"), 4), (bytes.fromhex("fa00ca00de"), 6),
    ],
)  # fmt: skip
def test_fastlz_sizes(data: bytes, size: int) -> None:
    assert fastlz_size(data) == size


EMPTY = {"zeros": 0, "nonzeros": 30}
MAINNET = {"base_scalar": 1368, "blob_scalar": 810_949}
MINIMUM = {"base_scalar": 2, "blob_scalar": 3}
OLD = {"overhead": 50, "scalar": 7_000_000}


@pytest.mark.parametrize(
    ("fork", "base_fee", "blob_fee", "given", "fee"),
    [
        ("bedrock", GWEI, 0, EMPTY | OLD, 11_326_000_000_000),
        ("regolith", GWEI, 0, EMPTY | OLD, 3_710_000_000_000),
        ("ecotone", GWEI, 10_000_000, EMPTY | MINIMUM, 960_900),
        ("fjord", GWEI, 10_000_000, {"fastlz": 31} | MINIMUM, 3_203_000),
        ("fjord", GWEI, 10_000_000, {"fastlz": 100} | MINIMUM, 3_203_000),
        ("fjord", GWEI, 10_000_000, {"fastlz": 150} | MINIMUM, 3_203_000),
        ("fjord", GWEI, 10_000_000, {"fastlz": 170} | MINIMUM, 3_203_000),
        ("fjord", 2_000_000, 3_000_000, {"fastlz": 235, "base_scalar": 20, "blob_scalar": 15}, 105_484),
        ("ecotone", 47_036_678_951, 57_422_457_042, zeros_and_others(TRANSFER) | MAINNET, 7_306_020_222_001),
        ("regolith", 1000, 0, {"nonzeros": 3, "overhead": 1000, "scalar": 1000}, 1048),
        ("fjord", 1000, 1000, {"fastlz": 4, "base_scalar": 1000, "blob_scalar": 1000}, 1700),
    ],
)
def test_l1_data_fees(fork: Any, base_fee: int, blob_fee: int, given: dict[str, int], fee: int) -> None:
    assert l1_fee(fork, base_fee, blob_fee, **given) == fee


@pytest.mark.parametrize(
    ("fork", "given", "gas"),
    [
        ("bedrock", EMPTY | {"overhead": 50}, 1618),
        ("regolith", EMPTY | {"overhead": 50}, 530),
        ("ecotone", EMPTY, 480),
        ("fjord", {"fastlz": 31}, 1600),
        ("fjord", {"fastlz": 100}, 1600),
        ("fjord", {"fastlz": 150}, 1600),
        ("fjord", {"fastlz": 170}, 1600),
        ("fjord", {"fastlz": 235}, 2463),
        ("ecotone", zeros_and_others(TRANSFER), 2456),
        ("bedrock", {"nonzeros": 3}, 1136),
        ("regolith", {"nonzeros": 3}, 48),
        ("regolith", {"zeros": 2, "nonzeros": 3}, 56),
    ],
)
def test_l1_gas(fork: Any, given: dict[str, int], gas: int) -> None:
    assert l1_gas(fork, **given) == gas


@pytest.mark.parametrize(
    ("fork", "gas", "scalar", "constant", "fee"),
    [
        ("isthmus", 1618, 1_439_103_868, 1_256_417_826_609_331_460, 1_256_417_826_611_659_930),
        ("jovian", 1618, 1_439_103_868, 1_256_417_826_609_331_460, 1_256_650_673_615_173_860),
        ("isthmus", 1000, 1000, 10, 11),
        ("jovian", 1000, 1000, 10, 100_000_010),
        ("fjord", 1000, 1000, 10, 0),
    ],
)
def test_operator_fees(fork: Any, gas: int, scalar: int, constant: int, fee: int) -> None:
    assert operator_fee(fork, gas, scalar, constant) == fee


def test_the_operator_fee_of_gas_that_was_not_used_is_given_back() -> None:
    assert operator_fee("isthmus", 50_000, 2000, 5) - operator_fee("isthmus", 0, 2000, 5) == 100


@pytest.mark.parametrize("fork", ["fjord", "isthmus", "jovian"])
@pytest.mark.parametrize("fastlz", [31, 235, 5000])
def test_what_blocks_charge_is_the_exact_rule(fork: Any, fastlz: int) -> None:
    """In bulk the estimated size is the size that the scenario gives, in whole bytes."""
    rule = OpStack.model_validate(
        {"fork": fork} | ({} if fork == "fjord" else {"operator_fee_scalar": 1000, "operator_fee_constant": "7 wei"})
    )
    scalars = {"base_scalar": rule.base_fee_scalar, "blob_scalar": rule.blob_base_fee_scalar}
    size = (836_500 * fastlz - 42_585_600) // 10**6
    data = l1_fee(fork, 3 * GWEI, 2 * GWEI, fastlz=fastlz, **scalars)
    exact = data + operator_fee(fork, 90_000, rule.operator_fee_scalar, rule.operator_fee_constant)
    charged = rule.charge((), 3 * GWEI, 2 * GWEI, 0).of(size, 90_000) * ETH
    assert charged == pytest.approx(exact, rel=1.0 / max(size, 100))
    assert charged <= exact * (1 + 1e-12)


@pytest.mark.parametrize("fork", ["bedrock", "regolith", "ecotone"])
def test_older_forks_count_the_bytes_of_the_signed_transaction(fork: Any) -> None:
    rule = OpStack.model_validate({"fork": fork, "compression": 0.5, "zeros": 0.25})
    given = {"zeros": 100, "nonzeros": 300, "overhead": rule.overhead, "scalar": rule.scalar}
    scalars = {"base_scalar": rule.base_fee_scalar, "blob_scalar": rule.blob_base_fee_scalar}
    charged = rule.charge((), 3 * GWEI, 2 * GWEI, 0).of(200, 90_000) * ETH
    assert charged == pytest.approx(l1_fee(fork, 3 * GWEI, 2 * GWEI, **given, **scalars), rel=1e-9)


# ---- Arbitrum: base fee


@pytest.mark.parametrize(("bips", "result"), [(0, 10_000), (500, 10_512), (-500, 9512), (10_000, 27_083), (20_000, 70_000)])
def test_the_exponential_in_basis_points(bips: int, result: int) -> None:
    assert approx_exp_basis_points(bips, 4) == result


def legacy(speed: int, tolerance: int, inertia: int, minimum: int = 100_000_000) -> Arbitrum:
    constraint = {"target": f"{speed} gas/s", "window": f"{inertia} s", "tolerance": f"{tolerance} s"}
    return Arbitrum.model_validate({"minimum": f"{minimum} wei", "constraints": {"legacy": constraint}})


@pytest.mark.parametrize(
    ("rule", "backlog", "passed", "fee", "left"),
    [
        (legacy(1_000_000, 10, 102), 9_999_999, 1, 100_000_000, 8_999_999),
        (legacy(1_000_000, 10, 100), 20_000_000, 1, 109_410_000, 19_000_000),
        (legacy(1000, 1, 1), 2**64 - 1, 0, 18_446_744_073_809_550_000, 2**64 - 1),
    ],
)
def test_the_backlog_sets_the_base_fee(rule: Arbitrum, backlog: int, passed: int, fee: int, left: int) -> None:
    state = (1000, backlog)
    assert rule.price(state, 1000 + passed) == fee
    assert rule.next(state, Used(time=1000 + passed)) == (1000 + passed, left)


@pytest.mark.parametrize(
    ("backlog", "fee"),
    [
        (0, 100_000_000), (1_000_000, 100_000_000), (70_000_000, 100_000_000), (100_000_000, 104_280_000),
        (3_000_000_000, 3_685_520_000), (9_000_000_000, 143_730_260_000), (90_000_000_000, 1_082_713_117_790_000),
    ],
)  # fmt: skip
def test_the_rule_before_arbos_51(backlog: int, fee: int) -> None:
    assert legacy(7_000_000, 10, 102).price((0, backlog), 0) == fee


@pytest.mark.parametrize(
    ("target", "window", "backlog", "weight", "most", "bips"),
    [(100, 10, 100, 1, 1, 1000), (40, 20, 200, 2, 2, 2500), (100_000, 10, 20_000, 2, 2, 200), (50_000, 5, 15_000, 1, 1, 600)],
)
def test_what_a_constraint_adds(target: int, window: int, backlog: int, weight: int, most: int, bips: int) -> None:
    assert exponent(backlog, target, window, weight=weight, max_weight=most) == bips


@pytest.mark.parametrize(
    ("backlog", "fee"),
    [
        (0, 20_000_000), (1_000_000_000, 209_066_000), (10_000_000_000, 359_063_750_000), (100_000_000_000, 3_081_554_432_662_000),
    ],
)  # fmt: skip
def test_the_ladder_of_arbitrum_one(backlog: int, fee: int) -> None:
    """Computed from the published ladder with Nitro's formula; no published test has these numbers."""
    assert Arbitrum().price((0, *[backlog] * 6), 0) == fee


# ---- Arbitrum: L1 pricer


@pytest.mark.parametrize(
    ("reward", "collected", "spent", "cap", "expected"),
    [
        (10, 7800, 3000, 2**64 - 1, (780, 156, 3000, 19_620)),
        (10, 31, 3000, 2**64 - 1, (93, 156, 0, 0)),
        (0, 7_800_000_000_000, 3_000_000_000_000, 100, (0, 156, 7_800_000_000, 23_392_200_000_000)),
    ],
)
def test_what_the_l1_pricer_pays(reward: int, collected: int, spent: int, cap: int, expected: tuple[int, ...]) -> None:
    rule = Pricing.model_validate({"per_unit_reward": f"{reward} wei", "cost_cap": min(cap, 2**63 - 1)})
    before = Pricer(price=GWEI, units=3 * 78, funds=3 * collected)
    after = Pricer(*rule.next(before, BatchReport(posted=1, now=3, spent=spent, l1_base_fee=10 * GWEI)))
    assert (after.rewards_paid, after.units, after.poster_paid, after.funds) == expected


@pytest.mark.parametrize(
    ("start", "costs", "found"),
    [(5 * GWEI, GWEI, 999_782_363), (2 * GWEI, 2 * GWEI, 2 * GWEI)],
)
def test_the_l1_price_goes_to_what_batches_cost(start: int, costs: int, found: int) -> None:
    """Nitro's test asks for 1 % of the movement; ``found`` is what the reference code gives."""
    rule = Pricing.model_validate({"per_unit_reward": "0 wei"})
    state = Pricer(price=start)
    for k in range(10):
        state = Pricer(*rule.used(state, rule.equilibration_units // 16))
        report = BatchReport(10 * (k + 1), 10 * (k + 1) + 5, costs * rule.equilibration_units, costs)
        state = Pricer(*rule.next(state, report))
    assert state.price == found


def test_a_report_that_is_older_than_the_last_changes_nothing() -> None:
    rule, state = Pricing(), Pricer(price=GWEI, units=100, funds=10**12, updated=50)
    assert rule.next(state, BatchReport(49, 60, 1, 1)) == state
    assert rule.next(state, BatchReport(61, 60, 1, 1)) == state


# ---- ZKsync and Starknet, by hand


@pytest.mark.parametrize(("blob_fee", "gas"), [(100_000_000, 4), (100_000_001, 5), (124_999_999, 5), (125_000_000, 5)])
def test_gas_of_a_byte_is_rounded_up(blob_fee: int, gas: int) -> None:
    """zksync-era: gas per byte of published data is ceil(fair price of a byte / base fee), here of 25,000,000 wei."""
    rule = Zksync(batch_overhead=0)  # type: ignore[arg-type]
    assert rule.gas_and_pubdata(0, blob_fee) == (25_000_000, gas)
    assert rule.charge((), 0, blob_fee, 0).per_byte == pytest.approx(gas * 25_000_000 / ETH, rel=1e-12)


def test_starknets_data_gas_costs_a_part_of_the_mean_of_an_hour() -> None:
    """The mean of the last 60 samples times 0.135: of 1 to 61 gwei, the first being forgotten, 31.5 gwei."""
    rule = Starknet()
    state = rule.genesis(0, GWEI)
    for sample in range(2, 62):
        state = rule.sample(state, 0, sample * GWEI)
    assert rule.price(state) == round(0.135 * 31.5 * GWEI)
