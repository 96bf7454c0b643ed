"""Starknet's price of L1 data gas: a mean of L1's blob base fee over an hour, times a factor.

Sources: starknet-docs learn/protocol/fees, 2026; starkware-libs/sequencer, apollo_consensus_orchestrator utils.rs (the factor is on the
mean, the tip on the price of L1 gas only). No official pairs of numbers exist.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from l2sim.data_fees import Charge, DataFee, DataFeeState
from l2sim.units import ETH, MINUTE, Fraction, Positive, Wei

THOUSAND = 1000


class Starknet(DataFee):
    """A byte of state differences costs the mean of L1's blob base fee times a factor; the state are the samples, the latest last.

    Samples are taken once a minute, at the first block from then on. Messages to L1 are not charged. A transaction's state
    differences are taken to be its bytes in a batch over ``compression``.
    """

    every: ClassVar[int] = MINUTE

    samples: Annotated[int, Field(ge=1)] = 60
    """How many samples the mean is taken over, one a minute; starknet-docs."""
    factor: Annotated[int, Field(ge=0)] = 135
    """Thousandths of the mean that data gas costs; starknet-docs, for the compression of state differences."""
    least_price: Wei = 1
    """The lowest price of data gas, wei; (assumed)."""
    compression: Annotated[Fraction, Positive] = 0.135
    """Bytes in a batch per byte of state differences; the factor stands for the same (assumed)."""

    def genesis(self, l1_base_fee: int, l1_blob_fee: int) -> DataFeeState:
        return (l1_blob_fee,)

    def sample(self, state: DataFeeState, l1_base_fee: int, l1_blob_fee: int) -> DataFeeState:
        return (*state, l1_blob_fee)[-self.samples :]

    def price(self, state: DataFeeState) -> int:
        """Wei per unit of data gas, which is a byte of state differences."""
        return max(self.factor * (sum(state) // len(state)) // THOUSAND, self.least_price)

    def charge(self, state: DataFeeState, l1_base_fee: int, l1_blob_fee: int, timestamp: int) -> Charge:
        return Charge(self.price(state) / (self.compression * ETH))
