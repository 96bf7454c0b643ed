"""The published test vectors of fee arithmetic, number by number.

Each block of rows names the repository, path, commit and test that published it; where nobody published one, the rows say
so and were computed with the reference code of the EIP.
"""

import pytest

from l2sim.fees.blob import GAS_PER_BLOB, blob_base_fee, fake_exponential, next_excess_blob_gas
from l2sim.fees.eip1559 import calldata_floor_gas, gas_limit_is_valid, next_base_fee, next_gas_limit

# base fee, gas limit, gas used, elasticity, denominator; next base fee
BASE_FEES = [
    # ethereum/go-ethereum consensus/misc/eip1559/eip1559_test.go @ 02b73d4ea718, TestCalcBaseFee (London+)
    (1_000_000_000, 20_000_000, 9_000_000, 2, 8, 987_500_000),
    (1_000_000_000, 20_000_000, 11_000_000, 2, 8, 1_012_500_000),
    # alloy-rs/alloy crates/eips/src/eip1559/helpers.rs @ e1b4bf79c608, calculate_base_fee_success (London+)
    (1_000_000_000, 12_000_000, 10_000_000, 2, 8, 1_083_333_333),
    (1_000_000_000, 14_000_000, 10_000_000, 2, 8, 1_053_571_428),
    (1_072_671_875, 10_000_000, 9_000_000, 2, 8, 1_179_939_062),
    (1_059_263_476, 14_000_000, 10_001_000, 2, 8, 1_116_028_649),
    (1_049_238_967, 2_000_000, 0, 2, 8, 918_084_097),
    (1_049_238_967, 18_000_000, 10_000_000, 2, 8, 1_063_811_730),
    (0, 18_000_000, 10_000_000, 2, 8, 1),
    (2, 18_000_000, 10_000_000, 2, 8, 3),
    # alloy-rs/alloy crates/eips/src/eip1559/helpers.rs @ e1b4bf79c608, calculate_optimism_sepolia_base_fee_success (OP Bedrock)
    (1_000_000_000, 10_000_000, 10_000_000, 6, 50, 1_100_000_048),
    (1_000_000_000, 14_000_000, 10_000_000, 6, 50, 1_065_714_297),
    (1_072_671_875, 10_000_000, 9_000_000, 6, 50, 1_167_067_046),
    (1_059_263_476, 14_000_000, 10_001_000, 6, 50, 1_128_881_311),
    (1_049_238_967, 18_000_000, 10_000_000, 6, 50, 1_098_203_452),
    (1, 18_000_000, 10_000_000, 6, 50, 2),
    (2, 18_000_000, 10_000_000, 6, 50, 3),
    # alloy-rs/alloy crates/eips/src/eip1559/helpers.rs @ e1b4bf79c608, calculate_optimism_base_fee_success (OP Bedrock)
    (1_000_000_000, 10_000_000, 10_000_000, 6, 50, 1_100_000_048),
    (1_000_000_000, 12_000_000, 10_000_000, 6, 50, 1_080_000_000),
    (1_000_000_000, 14_000_000, 10_000_000, 6, 50, 1_065_714_297),
    (1_072_671_875, 10_000_000, 9_000_000, 6, 50, 1_167_067_046),
    (1_059_263_476, 14_000_000, 10_001_000, 6, 50, 1_128_881_311),
    (1_049_238_967, 2_000_000, 0, 6, 50, 1_028_254_188),
    (1_049_238_967, 18_000_000, 10_000_000, 6, 50, 1_098_203_452),
    (0, 18_000_000, 10_000_000, 6, 50, 1),
    (1, 18_000_000, 10_000_000, 6, 50, 2),
    (2, 18_000_000, 10_000_000, 6, 50, 3),
    # alloy-rs/alloy crates/eips/src/eip1559/helpers.rs @ e1b4bf79c608, calculate_optimism_canyon_base_fee_success (OP Canyon)
    (1_000_000_000, 10_000_000, 10_000_000, 6, 250, 1_020_000_009),
    (1_000_000_000, 12_000_000, 10_000_000, 6, 250, 1_016_000_000),
    (1_000_000_000, 14_000_000, 10_000_000, 6, 250, 1_013_142_859),
    (1_059_263_476, 14_000_000, 10_001_000, 6, 250, 1_073_187_043),
    (1_049_238_967, 2_000_000, 0, 6, 250, 1_045_042_012),
    (1, 18_000_000, 10_000_000, 6, 250, 2),
    (2, 18_000_000, 10_000_000, 6, 250, 3),
    # alloy-rs/alloy crates/eips/src/eip1559/helpers.rs
    # @ e1b4bf79c608, calculate_base_sepolia_base_fee_success (OP Bedrock (Base Sepolia elasticity 10))
    (1_000_000_000, 12_000_000, 10_000_000, 10, 50, 1_146_666_666),
    (1_000_000_000, 14_000_000, 10_000_000, 10, 50, 1_122_857_142),
    (1_072_671_875, 10_000_000, 9_000_000, 10, 50, 1_244_299_375),
    (1_059_263_476, 14_000_000, 10_001_000, 10, 50, 1_189_416_692),
    (1_049_238_967, 2_000_000, 0, 10, 50, 1_028_254_188),
    (1_049_238_967, 18_000_000, 10_000_000, 10, 50, 1_144_836_295),
    (1, 18_000_000, 10_000_000, 10, 50, 2),
    (2, 18_000_000, 10_000_000, 10, 50, 3),
    # ethereum-optimism/op-geth consensus/misc/eip1559/eip1559_test.go @ 7b56c731573a, TestCalcBaseFeeOptimism (OP Bedrock)
    (1_000_000_000, 30_000_000, 4_000_000, 6, 50, 996_000_000),
    (1_000_000_000, 30_000_000, 10_000_000, 6, 50, 1_020_000_000),
    # ethereum-optimism/op-geth consensus/misc/eip1559/eip1559_test.go @ 7b56c731573a, TestCalcBaseFeeOptimism (OP Canyon)
    (1_000_000_000, 30_000_000, 5_000_000, 6, 250, 1_000_000_000),
    (1_000_000_000, 30_000_000, 4_000_000, 6, 250, 999_200_000),
    (1_000_000_000, 30_000_000, 10_000_000, 6, 250, 1_004_000_000),
    # ethereum-optimism/op-geth consensus/misc/eip1559/eip1559_test.go @ 7b56c731573a, TestCalcBaseFeeOptimismHolocene (OP Holocene)
    (10_000_000, 30_000_000, 10_000_000, 2, 10, 9_666_667),
    (10_000_000, 30_000_000, 20_000_000, 2, 10, 10_333_333),
    (10_000_000, 30_000_000, 1_000_000, 10, 2, 6_666_667),
    (10_000_000, 30_000_000, 30_000_000, 10, 2, 55_000_000),
]

# The test asserts equality with the rule at max(gas used, blob gas used), clamped; the number is for a base fee of 1 gwei.
# base fee, gas limit, gas used, blob gas used, elasticity, denominator, minimum; next base fee
JOVIAN_BASE_FEES = [
    # base/base crates/execution/chainspec/src/basefee.rs
    # @ 98a8db8dee5b, test_next_base_fee_jovian_blob_gas_used_greater_than_gas_used (OP Jovian)
    (1_000_000_000, 10_000_000_000, 1_000_000_000, 5_000_000_000, 10, 50, 100_000_000, 1_080_000_000),
    # base/base crates/execution/chainspec/src/basefee.rs
    # @ 98a8db8dee5b, test_next_base_fee_jovian_blob_gas_used_less_than_gas_used (OP Jovian)
    (1_000_000_000, 10_000_000_000, 1_000_000_000, 100_000_000, 10, 50, 100_000_000, 1_000_000_000),
]

# excess blob gas, update fraction; blob base fee
BLOB_BASE_FEES = [
    # alloy-rs/alloy crates/eips/src/eip4844/mod.rs @ e1b4bf79c608, test_calc_blob_fee (Cancun)
    (2_314_057, 3_338_477, 1),
    (2_314_058, 3_338_477, 2),
    (10_485_760, 3_338_477, 23),
    (148_099_578, 3_338_477, 18_446_739_238_971_471_609),
    (148_099_579, 3_338_477, 18_446_744_762_204_311_910),
    (161_087_488, 3_338_477, 902_580_055_246_494_526_580),
    # ethereumjs/ethereumjs-monorepo packages/block/test/eip4844block.spec.ts @ 272509a9cdce, blob gas tests (Cancun)
    (5000, 3_338_477, 1),
    (6_291_456, 3_338_477, 6),
    # ethereum/EIPs EIPS/eip-4844.md + eip-7892.md @ f767a1e8078e (Prague/Osaka); not published, computed with the reference code
    (0, 5_007_716, 1),
    (1_179_648, 5_007_716, 1),
    (65_536_000, 5_007_716, 482_629),
    (131_072_000, 5_007_716, 232_931_037_523),
    # ethereum/EIPs EIPS/eip-4844.md + eip-7892.md @ f767a1e8078e (BPO1); not published, computed with the reference code
    (0, 8_346_193, 1),
    (1_179_648, 8_346_193, 1),
    (2_752_512, 8_346_193, 1),
    (13_107_200, 8_346_193, 4),
    (32_768_000, 8_346_193, 50),
    (65_536_000, 8_346_193, 2571),
    (131_072_000, 8_346_193, 6_612_058),
    # ethereum/EIPs EIPS/eip-4844.md + eip-7892.md @ f767a1e8078e (BPO2); not published, computed with the reference code
    (0, 11_684_671, 1),
    (2_752_512, 11_684_671, 1),
    (65_536_000, 11_684_671, 272),
    (131_072_000, 11_684_671, 74_416),
]

# excess blob gas, update fraction, blobs; fee of the blobs in wei
BLOB_DATA_FEES = [
    # ethereumjs/ethereumjs-monorepo packages/block/test/eip4844block.spec.ts @ 272509a9cdce, blob gas tests (Cancun)
    (5000, 3_338_477, 1, 131_072),
    (6_291_456, 3_338_477, 6, 4_718_592),
]

# excess blob gas, blob gas used, target, maximum; next excess blob gas
EXCESSES = [
    # ethereum/go-ethereum consensus/misc/eip4844/eip4844_test.go @ 02b73d4ea718, TestCalcExcessBlobGas (Cancun)
    (0, 0 * GAS_PER_BLOB, 3, 6, 0),
    (0, 3 * GAS_PER_BLOB, 3, 6, 0),
    (0, 4 * GAS_PER_BLOB, 3, 6, 131_072),
    (1, 5 * GAS_PER_BLOB, 3, 6, 262_145),
    (393_216, 3 * GAS_PER_BLOB, 3, 6, 393_216),
    (393_216, 2 * GAS_PER_BLOB, 3, 6, 262_144),
    (393_216, 1 * GAS_PER_BLOB, 3, 6, 131_072),
    (131_071, 2 * GAS_PER_BLOB, 3, 6, 0),
    # hyperledger/besu ethereum/core/src/test/java/org/hyperledger/besu/ethereum/mainnet/CancunTargetingGasLimitCalculatorTest.java
    # @ 3fd224e2e49d, pragueBlobGasses (Prague)
    (786_432, 0 * GAS_PER_BLOB, 6, 9, 0),
    (6, 0 * GAS_PER_BLOB, 6, 9, 0),
    (0, 6 * GAS_PER_BLOB, 6, 9, 0),
    (1, 6 * GAS_PER_BLOB, 6, 9, 1),
    (786_432, 1 * GAS_PER_BLOB, 6, 9, 131_072),
    # ethereumjs/ethereumjs-monorepo packages/block/test/eip4844block.spec.ts @ 272509a9cdce, blob gas tests (Cancun)
    (6_291_456, 6 * GAS_PER_BLOB, 3, 6, 6_684_672),
]

# excess blob gas, blob gas used, execution base fee, target, maximum, update fraction; next excess blob gas
RESERVED_EXCESSES = [
    # hyperledger/besu ethereum/core/src/test/java/org/hyperledger/besu/ethereum/mainnet/OsakaTargetingGasLimitCalculatorTest.java
    # @ 3fd224e2e49d, osakaExcessBlobGasTestCases (Osaka rule (EIP-7918), test-only schedule 9/10)
    (0, 8 * GAS_PER_BLOB, 0, 9, 10, 3_338_477, 0),
    (0, 9 * GAS_PER_BLOB, 0, 9, 10, 3_338_477, 0),
    (2_359_296, 10 * GAS_PER_BLOB, 17, 9, 10, 3_338_477, 2_490_368),
    (0, 10 * GAS_PER_BLOB, 0, 9, 10, 3_338_477, 131_072),
    (1_179_648, 1 * GAS_PER_BLOB, 0, 9, 10, 3_338_477, 131_072),
    (1_179_648, 10 * GAS_PER_BLOB, 1, 9, 10, 3_338_477, 1_310_720),
    (1_179_648, 10 * GAS_PER_BLOB, 16, 9, 10, 3_338_477, 1_310_720),
    (1_179_648, 2 * GAS_PER_BLOB, 0, 9, 10, 3_338_477, 262_144),
    (11_796_480, 2 * GAS_PER_BLOB, 0, 9, 10, 3_338_477, 10_878_976),
    # ethereum/go-ethereum consensus/misc/eip4844/eip4844_test.go @ 02b73d4ea718, TestCalcBlobFeePostOsaka (Osaka rule, devnet BPO schedule)
    (5_149_252, 1_310_720, 30, 9, 14, 8_832_827, 5_617_366),
    (19_251_039, 2_490_368, 50, 21, 32, 20_609_697, 20_107_103),
    # ethereum/go-ethereum consensus/misc/eip4844/eip4844_test.go @ 02b73d4ea718, TestCalcExcessBlobGasEIP7918 (Osaka)
    (0, 6 * GAS_PER_BLOB, 1_000_000_000, 6, 9, 5_007_716, 262_144),
    (0, 6 * GAS_PER_BLOB, 1, 6, 9, 5_007_716, 0),
]

# factor, numerator, denominator; result
FAKE_EXPONENTIALS = [
    # ethereum/go-ethereum consensus/misc/eip4844/eip4844_test.go @ 02b73d4ea718, TestFakeExponential
    (1, 0, 1, 1),
    (38_493, 0, 1000, 38_493),
    (0, 1234, 2345, 0),
    (1, 4, 2, 6),
    (1, 3, 1, 16),
    (1, 6, 2, 18),
    (1, 4, 1, 49),
    (1, 8, 2, 50),
    (1, 5, 2, 11),
    (2, 5, 2, 23),
    (1, 50_000_000, 2_225_652, 5_709_098_764),
    # alloy-rs/alloy crates/eips/src/eip4844/mod.rs @ e1b4bf79c608, fake_exp
    (1, 380_928, 3_338_477, 1),
    (0, 89, 1, 0),
    (1, 88, 1, 165_162_653_699_637_111_792_770_913_913_821_835_905),
]

# parent gas limit, gas limit; valid
GAS_LIMITS = [
    # ethereum/go-ethereum consensus/misc/eip1559/eip1559_test.go @ 02b73d4ea718, TestBlockGasLimits
    (20_000_000, 20_000_000, True),
    (20_000_000, 19_980_469, False),
    (40_000_000, 40_039_061, True),
    (40_000_000, 40_039_062, False),
]

# parent gas limit, desired; next gas limit
DESIRED_GAS_LIMITS = [
    # alloy-rs/alloy crates/eips/src/eip1559/helpers.rs @ e1b4bf79c608, calculate_block_gas_limit_bounds_desired_limit
    (30_000_000, 20_000_000, 29_970_705),
    (30_000_000, 30_000_000, 30_000_000),
    (30_000_000, 40_000_000, 30_029_295),
]

# zero bytes, other bytes; floor gas
FLOORS = [
    # ethereum/go-ethereum core/state_transition_test.go @ 02b73d4ea718, TestFloorDataGas (Prague (EIP-7623))
    (0, 0, 21_000),
    (100, 0, 22_000),
    (50, 50, 23_500),
    (0, 10, 21_400),
]


def test_every_vector_is_here():
    tables = (BASE_FEES, JOVIAN_BASE_FEES, BLOB_BASE_FEES, BLOB_DATA_FEES, EXCESSES, RESERVED_EXCESSES, FAKE_EXPONENTIALS)
    assert [len(table) for table in (*tables, GAS_LIMITS, DESIRED_GAS_LIMITS, FLOORS)] == [51, 2, 23, 2, 14, 13, 14, 4, 3, 4]


@pytest.mark.parametrize(("fee", "limit", "used", "elasticity", "denominator", "expected"), BASE_FEES)
def test_base_fee(fee, limit, used, elasticity, denominator, expected):
    assert next_base_fee(fee, limit, used, elasticity=elasticity, denominator=denominator) == expected


@pytest.mark.parametrize(("fee", "limit", "used", "blob", "elasticity", "denominator", "minimum", "expected"), JOVIAN_BASE_FEES)
def test_base_fee_with_data_footprint_and_minimum(fee, limit, used, blob, elasticity, denominator, minimum, expected):
    found = next_base_fee(fee, limit, used, elasticity=elasticity, denominator=denominator, blob_gas_used=blob, minimum=minimum)
    assert found == expected


@pytest.mark.parametrize(("excess", "fraction", "expected"), BLOB_BASE_FEES)
def test_blob_base_fee(excess, fraction, expected):
    assert blob_base_fee(excess, fraction) == expected


@pytest.mark.parametrize(("excess", "fraction", "blobs", "expected"), BLOB_DATA_FEES)
def test_fee_of_blobs(excess, fraction, blobs, expected):
    assert blobs * GAS_PER_BLOB * blob_base_fee(excess, fraction) == expected


@pytest.mark.parametrize(("excess", "used", "target", "maximum", "expected"), EXCESSES)
def test_excess_blob_gas(excess, used, target, maximum, expected):
    assert next_excess_blob_gas(excess, used, target, maximum) == expected


@pytest.mark.parametrize(("excess", "used", "base_fee", "target", "maximum", "fraction", "expected"), RESERVED_EXCESSES)
def test_excess_blob_gas_with_reserve_price(excess, used, base_fee, target, maximum, fraction, expected):
    assert next_excess_blob_gas(excess, used, target, maximum, update_fraction=fraction, base_fee=base_fee) == expected


@pytest.mark.parametrize(("factor", "numerator", "denominator", "expected"), FAKE_EXPONENTIALS)
def test_fake_exponential(factor, numerator, denominator, expected):
    assert fake_exponential(factor, numerator, denominator) == expected


@pytest.mark.parametrize(("parent", "limit", "valid"), GAS_LIMITS)
def test_gas_limit_is_valid(parent, limit, valid):
    assert gas_limit_is_valid(parent, limit) is valid


@pytest.mark.parametrize(("parent", "desired", "expected"), DESIRED_GAS_LIMITS)
def test_next_gas_limit(parent, desired, expected):
    assert next_gas_limit(parent, desired) == expected
    assert gas_limit_is_valid(parent, expected)


@pytest.mark.parametrize(("zeros", "nonzeros", "expected"), FLOORS)
def test_calldata_floor(zeros, nonzeros, expected):
    assert calldata_floor_gas(zeros, nonzeros) == expected
