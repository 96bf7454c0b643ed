import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from l2sim.compiled import compiled
from l2sim.fees import Fee, Used
from l2sim.fees.blob import GAS_PER_BLOB, Blob, Fork, fake_exponential, fake_exponential_64, next_excess_blob_gas
from l2sim.fees.constant import Constant
from l2sim.fees.eip1559 import (
    Eip1559,
    calldata_floor_gas,
    calldata_gas,
    gas_limit_is_valid,
    next_base_fee,
    next_gas_limit,
    transaction_gas,
)
from l2sim.fees.starknet import Starknet
from l2sim.units import GWEI

FULL, EMPTY = 30_000_000, 0


def after(initial: int, used: list[int]) -> int:
    """The base fee after these blocks of a chain with a target of 15 Mgas."""
    rule = Eip1559(initial=f"{initial} wei")
    state = rule.genesis()
    for gas in used:
        state = rule.next(state, Used(gas=gas, gas_limit=FULL))
    return rule.price(state)


@pytest.mark.parametrize(
    ("initial", "used", "expected"),
    [
        (10 * GWEI, [FULL] * 10, 32_473_210_250),  # in floating point 32473210254.7
        (10 * GWEI, [EMPTY] * 10, 2_630_755_764),
        (7, [FULL] * 5, 12),  # without the least step of 1 wei it stays at 7
        (7, [EMPTY] * 5, 7),
        (GWEI, [FULL, EMPTY] * 50, 455_018_209),
        (GWEI, [EMPTY, FULL] * 50, 455_018_208),
        (GWEI, [FULL // 2] * 100, GWEI),
    ],
)
def test_runs_of_blocks(initial, used, expected):
    assert after(initial, used) == expected


def test_growth_is_bounded_by_an_eighth_a_block():
    start = 10**18
    assert after(start, [FULL] * 300) / start == pytest.approx(2.217e15, rel=2e-4)  # an hour of full blocks
    assert after(start, [FULL] * 300) <= start * 9**300 // 8**300
    assert after(start, [FULL] * 5) < 2 * start < after(start, [FULL] * 6)  # doubles in ln 2 / ln(9/8) = 5.9 blocks


@given(st.integers(0, 10**13), st.integers(5_000, 10**9), st.floats(0, 1), st.integers(1, 10), st.integers(1, 250))
def test_base_fee_moves_the_right_way(fee, limit, share, elasticity, denominator):
    used, target = int(limit * share), limit // elasticity
    found = next_base_fee(fee, limit, used, elasticity=elasticity, denominator=denominator)
    assert found >= 0
    assert (found > fee) == (used > target)
    assert found <= fee or found - fee <= max(fee * (limit - target) // target // denominator, 1)
    assert fee - found <= fee // denominator
    assert next_base_fee(fee, limit, used, elasticity=elasticity, denominator=denominator, minimum=fee) >= fee


def test_the_lowest_base_fee_holds_from_the_start():
    rule = Eip1559(initial="1 wei", minimum="0.1 gwei")
    assert rule.price(rule.genesis()) == GWEI // 10
    assert rule.next((GWEI // 10,), Used(gas=0, gas_limit=FULL)) == (GWEI // 10,)


@given(st.integers(5_000, 10**9), st.integers(0, 10**9))
def test_gas_limit_walks_as_fast_as_it_may(parent, desired):
    found = next_gas_limit(parent, desired)
    assert gas_limit_is_valid(parent, found) or found == parent
    if gas_limit_is_valid(parent, desired):
        assert found == desired
    elif desired > parent and parent >= 10_240:
        assert not gas_limit_is_valid(parent, found + 1)


def test_gas_of_data_and_of_execution():
    assert calldata_gas(10, 20) == 4 * 10 + 16 * 20
    assert transaction_gas(0, 1000) == calldata_floor_gas(0, 1000) == 21_000 + 40_000
    assert transaction_gas(0, 1000, execution=24_001) == 21_000 + 16_000 + 24_001


def prague(*, reserve: bool, excess: int) -> Blob:
    fork = {"begins": 0, "target": 6, "maximum": 9, "update_fraction": 5_007_716, "reserve": reserve}
    return Blob(initial_excess=f"{excess} gas", forks={"prague": fork})


def fees(rule: Blob, blobs: int, n: int, base_fee: int = 8 * GWEI) -> list[int]:
    """The blob base fee before each of n blocks with that many blobs, and after the last."""
    state, found = rule.genesis(), []
    for _ in range(n):
        found.append(rule.price(state))
        state = rule.next(state, Used(blobs=blobs, base_fee=base_fee))
    return [*found, rule.price(state)]


def test_reserve_price_keeps_the_fee_near_a_sixteenth_of_the_base_fee():
    path = fees(prague(reserve=True, excess=115_306_922), 2, 4000)
    parity = 8 * GWEI // 16
    assert next(i for i, fee in enumerate(path) if fee < parity) == 29
    assert (min(path[3501:]), max(path[3501:])) == (455_584_459, 505_882_845)


def test_without_reserve_price_the_fee_falls_to_one_wei():
    assert fees(prague(reserve=False, excess=115_306_922), 2, 300).index(1) == 214


def test_reserve_price_does_not_lift_an_unused_market():
    assert set(fees(prague(reserve=True, excess=0), 2, 100)) == {1}


def test_reserve_price_freezes_the_excess_of_empty_blocks():
    assert set(fees(prague(reserve=True, excess=100_000_000), 0, 100)) == {470_442_149}


# Blocks from a fee of 1 wei to 1 or 10 gwei of constant full (or nearly full) blocks: fraction x ln(fee) / (2^17 x surplus).
@pytest.mark.parametrize(
    ("fork", "blobs", "fee", "expected"),
    [("cancun", 6, 1, 176), ("prague", 9, 1, 264), ("prague", 7, 1, 792), ("bpo2", 21, 1, 264), ("prague", 9, 10, 294)],
)
def test_blocks_until_the_fee_matters(fork, blobs, fee, expected):
    rule = Blob(forks={fork: {**Blob().forks[fork].model_dump(), "reserve": False}})
    path = fees(rule, blobs, expected + 1)
    assert next(i for i, found in enumerate(path) if found >= fee * GWEI) == expected


@pytest.mark.parametrize(
    ("fork", "full", "empty"),
    [("cancun", 1.125, 0.888889), ("prague", 1.081687, 0.854666), ("bpo1", 1.081687, 0.854666), ("bpo2", 1.081687, 0.854666)],
)
def test_a_full_and_an_empty_block(fork, full, empty):
    parameters = Blob().forks[fork].model_copy(update={"reserve": False})
    rule = Blob(initial_excess="300 Mgas", forks={fork: parameters})
    before = rule.price(rule.genesis())
    for blobs, factor in ((parameters.maximum, full), (0, empty)):
        assert rule.price(rule.next(rule.genesis(), Used(blobs=blobs))) / before == pytest.approx(factor, abs=1e-5)


# Excess, fork and blob base fee.
@pytest.mark.parametrize(
    ("excess", "fork", "expected"),
    [
        (0, "cancun", 1), (3_338_477, "cancun", 2), (33_384_770, "cancun", 22_026),
        (100_000_000, "prague", 470_442_149), (103_776_000, "prague", 999_954_090), (200_000_000, "bpo2", 27_137_919),
    ],
)  # fmt: skip
def test_fee_under_a_fork(excess, fork, expected):
    assert Blob().price((excess,), Blob().forks[fork].begins) == expected


def test_forks_of_mainnet_in_time():
    rule = Blob()
    found = [rule.target_and_max(fork.begins + seconds) for fork in rule.forks.values() for seconds in (-1, 0)]
    assert found == [(3, 6), (3, 6), (3, 6), (6, 9), (6, 9), (6, 9), (6, 9), (10, 15), (10, 15), (14, 21)]
    assert rule.target_and_max(0) == (3, 6)
    assert rule.target_and_max(2**40) == (14, 21)


def test_the_first_block_after_a_fork_is_under_its_schedule():
    rule, excess = Blob(), 100_000_000
    begins = rule.forks["prague"].begins
    used = Used(blobs=6, timestamp=begins - 1)
    assert rule.next((excess,), used) == (excess + 3 * GAS_PER_BLOB,)
    assert rule.next((excess,), used._replace(timestamp=begins)) == (excess,)
    assert rule.price((excess,), begins) < rule.price((excess,), begins - 1)


def test_reserve_price_begins_with_osaka():
    rule, excess = Blob(), 50_000_000
    begins = rule.forks["osaka"].begins
    used = Used(blobs=6, base_fee=100 * GWEI, timestamp=begins - 1)
    assert rule.next((excess,), used) == (excess,)
    assert rule.next((excess,), used._replace(timestamp=begins)) == (excess + 2 * GAS_PER_BLOB,)


def test_blobs_are_conserved_while_the_fee_is_off_the_floor():
    rule, rng = prague(reserve=False, excess=200_000_000), np.random.default_rng(27)
    state, total = rule.genesis(), 0
    for blobs in rng.choice([0, 9], 5_000, p=[1 / 3, 2 / 3]).tolist():
        state, total = rule.next(state, Used(blobs=blobs)), total + blobs
        assert state[0] > 0
    assert (total - 5_000 * 6) * GAS_PER_BLOB == state[0] - 200_000_000


@given(st.integers(0, 10**9), st.integers(0, 21), st.integers(0, 10**12))
def test_reserve_price_never_lowers_the_excess(excess, blobs, base_fee):
    plain = next_excess_blob_gas(excess, blobs * GAS_PER_BLOB, 14, 21)
    held = next_excess_blob_gas(excess, blobs * GAS_PER_BLOB, 14, 21, update_fraction=11_684_671, base_fee=base_fee)
    assert plain <= held <= excess + max(blobs, 7) * GAS_PER_BLOB
    assert held >= 0


@given(st.integers(1, 1 << 26), st.integers(1, 40), st.fractions(0, 40, max_denominator=1 << 16))
def test_the_exponential_in_64_bits_is_exact_or_declines(denominator, factor, x):
    numerator = int(x * denominator)
    found = compiled(fake_exponential_64)(factor, numerator, denominator)
    assert found in (-1, fake_exponential(factor, numerator, denominator))
    assert found == fake_exponential_64(factor, numerator, denominator)
    declines = x > 25 or factor * denominator > 1 << 25
    assert (found == -1) == declines or int(x * denominator) == 25 * denominator


@pytest.mark.parametrize("fork", Blob().forks.values(), ids=str)
@pytest.mark.parametrize("gwei", [0.001, 0.03, 1.0, 50.0])
def test_the_exponential_in_64_bits_does_for_the_fees_of_every_fork(fork, gwei):
    excess = int(math.log(gwei * GWEI) * fork.update_fraction)
    assert compiled(fake_exponential_64)(1, excess, fork.update_fraction) == fake_exponential(1, excess, fork.update_fraction)


def test_a_fork_with_a_target_above_its_maximum_is_refused():
    with pytest.raises(ValidationError, match="'target' must not be above 'maximum'"):
        Fork(begins=0, target=7, maximum=6, update_fraction=1)


@pytest.mark.parametrize(("base_fee", "excess"), [(16, 1), (17, 5)])
def test_the_reserve_price_binds_above_a_sixteenth_and_not_at_it(base_fee, excess):
    """EIP-7918: 8192 x base fee > 131072 x blob fee. At an excess of 0 the blob fee is 1 wei; a block of 15 blobs, 14 and 21 a block.

    Where it does not bind 15 - 14 blobs are in excess, where it binds 15 (21 - 14) / 21.
    """
    held = next_excess_blob_gas(0, 15 * GAS_PER_BLOB, 14, 21, update_fraction=11_684_671, base_fee=base_fee)
    assert held == excess * GAS_PER_BLOB


@pytest.mark.parametrize(("used", "price"), [(0, 9_400_000), (40, 9_500_000), (80, 9_600_000), (100, 9_650_000)])
def test_starknets_price_moves_by_the_distance_from_its_target(used, price):
    """max(previous (1 + (used - target) / target / 48), least), the target being 80 % of capacity; from 9,600,000 wei, used in %.

    40 % is half of the target: 1 / 96 less. 100 % is a quarter above it: 1 / 192 more.
    """
    rule = Starknet(initial="9600000 wei")
    assert rule.price(rule.next(rule.genesis(), Used(gas=used * 10**7, gas_limit=10**9))) == price


def test_constant_fee():
    for rule, price in ((Constant(fee=0), 0), (Fee.model_validate("0.1 gwei"), GWEI // 10)):
        state = rule.next(rule.genesis(), Used(gas=FULL, gas_limit=FULL))
        assert rule.price(state) == price


# Long-run fullness under demand of elasticity e: x = min(2, b^-e) of the target (validation of the controller, 2e5 blocks).
@pytest.mark.parametrize(("elasticity", "expected", "tolerance"), [(2, 0.99999, 1e-4), (18, 1.02284, 2e-3), (40, 1.05554, 2e-3)])
def test_mean_fullness_lies_between_one_and_the_bound(elasticity, expected, tolerance):
    reference, target, total, n = 10**12, 15_000_000, 0, 50_000
    fee = int(1.3 * reference)
    for _ in range(n):
        used = round(target * min(2.0, (fee / reference) ** -elasticity))
        total += used
        fee = next_base_fee(fee, 2 * target, used)
    assert total / n / target == pytest.approx(expected, abs=2 * tolerance)
    assert total / n / target < 1.062664


def test_linear_response_to_a_disturbance():
    # ln(b_n / b*) / ln(b_0 / b*) after n blocks at elasticity e, from the recursion in floating point.
    for elasticity, n, expected in ((1, 8, 0.34372), (4, 4, 0.062705), (12, 4, 0.061875), (17, 8, 2.5851)):
        reference, target = 10**15, 10**12
        fee = reference + reference // 1000
        start = math.log(fee / reference)
        for _ in itertools.repeat(None, n):
            fee = next_base_fee(fee, 2 * target, round(target * (fee / reference) ** -elasticity))
        assert math.log(fee / reference) / start == pytest.approx(expected, rel=2e-5)
