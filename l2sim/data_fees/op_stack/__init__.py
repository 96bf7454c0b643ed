"""The fees of the OP Stack besides execution, from Bedrock to Jovian: L1 data fee, operator fee, and the data footprint.

Sources: op-geth core/types/rollup_cost.go, 2024-10-23 (Bedrock to Fjord); OP specifications protocol/fjord, isthmus and jovian
exec-engine, 2026-04-28 (size estimate, operator fee, data footprint).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.data_fees import Charge, DataFee, DataFeeState
from l2sim.units import ETH, Fraction, Positive, Share, Wei

FORKS = ("bedrock", "regolith", "ecotone", "fjord", "isthmus", "jovian")
Fork = Literal["bedrock", "regolith", "ecotone", "fjord", "isthmus", "jovian"]
UNSIGNED = 68
"""Bytes that Bedrock counted for a signature that the data held already."""
LEAST_SIZE = 100
"""Bytes that the smallest transaction counts for since Fjord."""
MILLION = 10**6


def calldata_gas(zeros: int, nonzeros: int) -> int:
    """L1 gas of the data as calldata: 4 a zero byte, 16 any other (EIP-2028)."""
    return 4 * zeros + 16 * nonzeros


def l1_gas(fork: Fork, zeros: int = 0, nonzeros: int = 0, fastlz: int = 0, overhead: int = 0) -> int:
    """The L1 gas that a receipt reports for a transaction's data, without the chain's overhead where that is 0."""
    if fork == "bedrock":
        return calldata_gas(zeros, nonzeros + UNSIGNED) + overhead
    if fork == "regolith":
        return calldata_gas(zeros, nonzeros) + overhead
    if fork == "ecotone":
        return calldata_gas(zeros, nonzeros)
    return estimated_size(fastlz) * 16 // MILLION


def estimated_size(fastlz: int) -> int:
    """Millionths of a byte that a transaction takes in a batch, estimated from its FastLZ size (Fjord)."""
    return max(LEAST_SIZE * MILLION, 836_500 * fastlz - 42_585_600)


def weighted(l1_base_fee: int, l1_blob_fee: int, base_scalar: int, blob_scalar: int) -> int:
    """Sixteen times a millionth wei of base fee and a millionth of blob fee, by the scalars (Ecotone)."""
    return 16 * l1_base_fee * base_scalar + l1_blob_fee * blob_scalar


def l1_fee(
    fork: Fork,
    l1_base_fee: int,
    l1_blob_fee: int = 0,
    *,
    zeros: int = 0,
    nonzeros: int = 0,
    fastlz: int = 0,
    overhead: int = 0,
    scalar: int = 0,
    base_scalar: int = 0,
    blob_scalar: int = 0,
) -> int:
    """The L1 data fee of one transaction, wei: exact.

    Args:
        zeros, nonzeros: bytes of the signed transaction (until Ecotone).
        fastlz: its FastLZ size (from Fjord on).
        overhead, scalar: of Bedrock and Regolith; the scalar in millionths.
        base_scalar, blob_scalar: since Ecotone, in millionths.
    """
    if fork in ("bedrock", "regolith"):
        return l1_gas(fork, zeros, nonzeros, overhead=overhead) * l1_base_fee * scalar // MILLION
    price = weighted(l1_base_fee, l1_blob_fee, base_scalar, blob_scalar)
    if fork == "ecotone":
        return calldata_gas(zeros, nonzeros) * price // (16 * MILLION)
    return estimated_size(fastlz) * price // MILLION**2


def operator_fee(fork: Fork, gas: int, scalar: int, constant: int) -> int:
    """The operator fee of one transaction, wei: none before Isthmus; Jovian multiplies by 100 where Isthmus divided by a million."""
    if fork == "jovian":
        return gas * scalar * 100 + constant
    return gas * scalar // MILLION + constant if fork == "isthmus" else 0


class OpStack(DataFee):
    """L1 data fee and operator fee of an OP Stack chain, by the rule of a fork.

    Since Fjord the rule asks for the bytes that a transaction takes in a batch, which is what sizes are here, and at least 100 of them.
    Older forks count the bytes of the signed transaction: they are taken to be its compressed size over ``compression``, of which
    ``zeros`` are zero. Fees are linear in size, so the rounding to whole wei of each transaction is left out.
    """

    fork: Fork = "jovian"
    """The rule in force: bedrock, regolith, ecotone, fjord, isthmus or jovian (on OP Mainnet since 2025-12-02)."""
    base_fee_scalar: Annotated[int, Field(ge=0, lt=2**32)] = 5227
    """Millionths of L1's base fee x 16 a byte pays since Ecotone; op-geth rollup_cost_test.go, OP Mainnet block 124665056."""
    blob_base_fee_scalar: Annotated[int, Field(ge=0, lt=2**32)] = 1_014_213
    """Millionths of L1's blob base fee a byte pays since Ecotone; op-geth rollup_cost_test.go, OP Mainnet block 124665056."""
    operator_fee_scalar: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Operator fee per gas: millionths of a wei in Isthmus, hundreds of wei in Jovian; set by the operator (assumed 0)."""
    operator_fee_constant: Wei = 0
    """Operator fee per transaction since Isthmus; set by the operator (assumed 0)."""
    footprint_gas: Annotated[int, Field(ge=0, lt=2**16)] = 400
    """Gas that a byte counts for in Jovian when a block is filled and its base fee moves; OP specs protocol/jovian, default 400."""
    overhead: Annotated[int, Field(ge=0)] = 188
    """L1 gas added per transaction in Bedrock and Regolith; OP Mainnet until Ecotone (assumed)."""
    scalar: Annotated[int, Field(ge=0)] = 684_000
    """Millionths of the data's L1 gas paid in Bedrock and Regolith; OP Mainnet until Ecotone (assumed)."""
    compression: Annotated[Fraction, Positive] = 0.4
    """Bytes in a batch per byte of the signed transaction, for forks before Fjord (assumed)."""
    zeros: Annotated[Fraction, Share] = 0.4
    """Share of zero bytes in the signed transaction, for forks before Fjord (assumed)."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        asked = {"operator_fee_scalar", "operator_fee_constant"} & self.model_fields_set
        if FORKS.index(self.fork) < FORKS.index("isthmus") and any(getattr(self, name) for name in asked):
            raise PydanticCustomError("fork", "there is an operator fee since isthmus only: leave it out, or take a later 'fork'")
        return self

    def charge(self, state: DataFeeState, l1_base_fee: int, l1_blob_fee: int, timestamp: int) -> Charge:
        if self.fork in ("bedrock", "regolith", "ecotone"):
            return self._by_calldata(l1_base_fee, l1_blob_fee)
        price = weighted(l1_base_fee, l1_blob_fee, self.base_fee_scalar, self.blob_base_fee_scalar)
        per_gas = {"isthmus": self.operator_fee_scalar / MILLION, "jovian": self.operator_fee_scalar * 100}.get(self.fork, 0)
        constant = self.operator_fee_constant if per_gas or self.fork in ("isthmus", "jovian") else 0
        footprint = self.footprint_gas if self.fork == "jovian" else 0
        return Charge(price / (MILLION * ETH), LEAST_SIZE, per_gas / ETH, constant / ETH, footprint)

    def _by_calldata(self, l1_base_fee: int, l1_blob_fee: int) -> Charge:
        gas = (16 - 12 * self.zeros) / self.compression
        if self.fork == "ecotone":
            return Charge(gas * weighted(l1_base_fee, l1_blob_fee, self.base_fee_scalar, self.blob_base_fee_scalar) / (16 * MILLION * ETH))
        price = l1_base_fee * self.scalar / (MILLION * ETH)
        fixed = self.overhead + (16 * UNSIGNED if self.fork == "bedrock" else 0)
        return Charge(gas * price, 0, 0.0, fixed * price)
