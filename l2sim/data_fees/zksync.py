"""ZKsync's fee model of two fair prices, one for gas on L2 and one for a byte of published data, in exact integers.

Source: zksync-docs, how L2 gas price works (fee model V2), and zksync-era etc/env and fee_model.rs, read 2026-11. No official
pairs of numbers exist; the formulas are those of the documentation.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.data_fees import Charge, DataFee, DataFeeState
from l2sim.units import ETH, Bytes, Fraction, Gas, Multiplier, NotNegative, Positive, Share, Wei

PARTS = 10**6
"""Shares and multipliers are counted in millionths."""


class Zksync(DataFee):
    """A byte costs the fair price of published data, gas the fair price of gas: both carry a share of what a batch costs on L1.

    The chain's ``fee`` is the least price of gas; this rule adds the rest. Sizes are bytes of published data: state differences,
    compressed (assumed to be a transaction's bytes in a batch).
    """

    minimal_gas_price: Wei = 25_000_000
    """The least fair price of gas, which the chain's ``fee`` charges; 0.025 gwei in zksync-docs' example of mainnet."""
    compute_part: Annotated[Fraction, Share] = 0.0
    """Share of a batch's overhead that gas bears; zksync-docs, default 0."""
    pubdata_part: Annotated[Fraction, Share] = 1.0
    """Share of a batch's overhead that published data bears; zksync-docs, default 1."""
    batch_overhead: Gas = 800_000
    """Gas on L1 that a batch costs besides its data; zksync-era etc/env."""
    max_gas_per_batch: Annotated[Gas, Positive] = 200_000_000
    """Gas of L2 over which a batch's overhead is spread; zksync-era etc/env."""
    max_pubdata_per_batch: Annotated[Bytes, Positive] = 500_000
    """Bytes over which a batch's overhead is spread; zksync-era etc/env (file-based configuration)."""
    l1_multiplier: Annotated[Fraction, NotNegative, Multiplier] = 0.8
    """L1's base fee is taken times this; zksync-era etc/env, internal_l1_pricing_multiplier."""
    pubdata_multiplier: Annotated[Fraction, NotNegative, Multiplier] = 1.0
    """L1's blob base fee is taken times this; zksync-era, internal_pubdata_pricing_multiplier, default 1."""
    max_gas_per_pubdata: Annotated[int, Field(ge=1)] = 50_000
    """Most gas that a byte may cost: above it the price of gas rises instead; zksync-era, MAX_GAS_PER_PUBDATA_BYTE."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.compute_part and not self.pubdata_part and self.batch_overhead:
            raise PydanticCustomError(
                "overhead", "nobody bears a batch's overhead: give 'compute_part' or 'pubdata_part' a share, or set 'batch_overhead' to 0"
            )
        return self

    def fair_prices(self, l1_base_fee: int, l1_blob_fee: int) -> tuple[int, int]:
        """Wei per gas and wei per byte of published data."""
        l1_gas_price = l1_base_fee * round(self.l1_multiplier * PARTS) // PARTS
        byte = l1_blob_fee * round(self.pubdata_multiplier * PARTS) // PARTS
        overhead = self.batch_overhead * l1_gas_price
        gas = self.minimal_gas_price + round(self.compute_part * PARTS) * overhead // (PARTS * self.max_gas_per_batch)
        return gas, byte + round(self.pubdata_part * PARTS) * overhead // (PARTS * self.max_pubdata_per_batch)

    def gas_and_pubdata(self, l1_base_fee: int, l1_blob_fee: int) -> tuple[int, int]:
        """The base fee (wei per gas), and the gas that a byte of published data takes."""
        gas, byte = self.fair_prices(l1_base_fee, l1_blob_fee)
        base_fee = max(gas, -(-byte // self.max_gas_per_pubdata), 1)
        return base_fee, -(-byte // base_fee)

    def charge(self, state: DataFeeState, l1_base_fee: int, l1_blob_fee: int, timestamp: int) -> Charge:
        base_fee, gas_a_byte = self.gas_and_pubdata(l1_base_fee, l1_blob_fee)
        return Charge(gas_a_byte * base_fee / ETH, per_gas=max(base_fee - self.minimal_gas_price, 0) / ETH)
