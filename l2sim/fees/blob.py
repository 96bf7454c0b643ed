"""The blob base fee, in exact integers, under the schedule of the fork in force.

Sources: EIP-4844 (rule and Cancun), EIP-7691 (Prague), EIP-7918 (reserve price, from Osaka), EIP-7892 (forks that change
the blob parameters only); activation times and parameters of Ethereum mainnet from go-ethereum's chain configuration, read 2026.
"""

from functools import cached_property, lru_cache
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.fees import Fee, FeeState, Used
from l2sim.part import Part
from l2sim.units import Gas, Positive, Wei

GAS_PER_BLOB = 2**17
"""Blob gas of one blob (EIP-4844); as it happens also its size in bytes."""
BLOB_BASE_COST = 2**13
"""Execution gas that reserves a blob: below base fee x BLOB_BASE_COST a blob the target is not subtracted (EIP-7918)."""


def fake_exponential(factor: int, numerator: int, denominator: int) -> int:
    """factor x e^(numerator / denominator) by its Taylor series in integers (EIP-4844)."""
    total, divisor, term = 0, denominator, factor * denominator
    while term > 0:
        total += term
        term = term * numerator // divisor
        divisor += denominator
    return total // denominator


@lru_cache(maxsize=16)  # a slot's fee is asked for twice: as its price, and when the next excess is found
def blob_base_fee(excess_blob_gas: int, update_fraction: int, minimum: int = 1) -> int:
    """Wei per blob gas at that excess (EIP-4844)."""
    return fake_exponential(minimum, excess_blob_gas, update_fraction)


def next_excess_blob_gas(
    excess: int,
    blob_gas_used: int,
    target: int,
    maximum: int,
    *,
    update_fraction: int = 0,
    base_fee: int | None = None,
    minimum: int = 1,
) -> int:
    """Excess blob gas after a block, with the target and maximum (in blobs) of the next one (EIP-4844).

    With ``base_fee``, the execution base fee of the block, the reserve price of EIP-7918 applies.
    """
    total = excess + blob_gas_used
    if total < target * GAS_PER_BLOB:
        return 0
    if base_fee is not None and BLOB_BASE_COST * base_fee > GAS_PER_BLOB * blob_base_fee(excess, update_fraction, minimum):
        return excess + blob_gas_used * (maximum - target) // maximum
    return total - target * GAS_PER_BLOB


class Fork(Part):
    """The blob parameters from a point in time on."""

    begins: Annotated[int, Field(ge=0)]
    """Activation, unix time in seconds."""
    target: Annotated[int, Field(ge=1)]
    """Blobs a block at which the fee stays."""
    maximum: Annotated[int, Field(ge=1)]
    """Most blobs in a block."""
    update_fraction: Annotated[int, Field(ge=1)]
    """Excess blob gas that multiplies the fee by e."""
    reserve: bool = False
    """Whether the fee is held near a 16th of the execution base fee (EIP-7918)."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.target > self.maximum:
            raise PydanticCustomError("range", "'target' must not be above 'maximum'")
        return self


MAINNET = {
    "cancun": Fork(begins=1_710_338_135, target=3, maximum=6, update_fraction=3_338_477),
    "prague": Fork(begins=1_746_612_311, target=6, maximum=9, update_fraction=5_007_716),
    "osaka": Fork(begins=1_764_798_551, target=6, maximum=9, update_fraction=5_007_716, reserve=True),
    "bpo1": Fork(begins=1_765_290_071, target=10, maximum=15, update_fraction=8_346_193, reserve=True),
    "bpo2": Fork(begins=1_767_747_671, target=14, maximum=21, update_fraction=11_684_671, reserve=True),
}
"""The forks of Ethereum mainnet so far."""


class Blob(Fee):
    """The fee grows exponentially with the blob gas used in excess of the target; the state is (excess blob gas,)."""

    initial_excess: Gas = 0
    """Excess blob gas of the first block; 0 makes the fee 1 wei."""
    minimum: Annotated[Wei, Positive] = 1
    """The lowest fee, wei per blob gas (EIP-4844)."""
    forks: Annotated[dict[str, Fork], Field(min_length=1)] = MAINNET
    """The schedule, by name of the fork: from a fork's first block on its parameters apply, before the first fork that one's."""

    def fork(self, timestamp: int) -> Fork:
        """The fork in force at a unix time in seconds."""
        for fork in self._latest_first:
            if fork.begins <= timestamp:
                return fork
        return self._latest_first[-1]

    @cached_property
    def _latest_first(self) -> list[Fork]:
        return sorted(self.forks.values(), key=lambda fork: -fork.begins)

    def target_and_max(self, timestamp: int) -> tuple[int, int]:
        """Target and maximum of blobs a block at a unix time in seconds."""
        fork = self.fork(timestamp)
        return fork.target, fork.maximum

    def genesis(self) -> FeeState:
        return (self.initial_excess,)

    def next(self, state: FeeState, used: Used) -> FeeState:
        fork = self.fork(used.timestamp)
        excess = next_excess_blob_gas(
            state[0],
            used.blobs * GAS_PER_BLOB,
            fork.target,
            fork.maximum,
            update_fraction=fork.update_fraction,
            base_fee=used.base_fee if fork.reserve else None,
            minimum=self.minimum,
        )
        return (excess,)

    def price(self, state: FeeState, timestamp: int = 0) -> int:
        return blob_base_fee(state[0], self.fork(timestamp).update_fraction, self.minimum)
