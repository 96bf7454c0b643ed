"""A multiple of what a byte in a full blob costs."""

from typing import Annotated

from l2sim.data_fees import Charge, DataFee, DataFeeState
from l2sim.units import ETH, Fraction, Multiplier

GAS_PER_BLOB = 131_072
"""EIP-4844."""
BYTES_A_BLOB = 130_044
"""Usable bytes of a blob in the OP Stack's encoding, (4 x 31 + 3) x 1024 - 4; optimism op-service/eth/blob.go, 2024-10-25."""


class Scalar(DataFee):
    """A compressed byte costs a multiple of its share of a full blob's fee; a bare number in a file is one of these."""

    scalar: Annotated[Fraction, Multiplier] = 1.0
    """The multiple, dimensionless; at 1 users pay what full blobs cost, and nothing for the batch's execution gas (assumed)."""

    def charge(self, state: DataFeeState, l1_base_fee: int, l1_blob_fee: int, timestamp: int) -> Charge:
        return Charge(l1_blob_fee * (self.scalar * GAS_PER_BLOB / BYTES_A_BLOB / ETH))
