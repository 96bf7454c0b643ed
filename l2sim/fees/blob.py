"""The blob base fee, in exact integers, under the schedule of the fork in force.

Sources: EIP-4844 (rule and Cancun), EIP-7691 (Prague), EIP-7918 (reserve price, from Osaka), EIP-7892 (forks that change
the blob parameters only), EIP-7623 (calldata floor, Prague), EIP-7594 (blobs in a transaction, Osaka), EIP-7825 (gas of a
transaction, Osaka); activation times and parameters of Ethereum mainnet from go-ethereum's chain configuration, read 2026.
"""

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.fees import Fee, FeeState, Used
from l2sim.part import Part, did_you_mean
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


def fake_exponential_64(factor: int, numerator: int, denominator: int) -> int:
    """The same in a scalar subset of Python whose numbers have 64 bits; -1 where they might not do.

    Products of more are taken apart: t n // d = (t // d) n + (t mod d) n // d.
    """
    if numerator > 25 * denominator or factor > (1 << 25) // denominator:  # e^25 < 2^37, so that the sum is below 2^62
        return -1
    total, divisor, term = 0, denominator, factor * denominator
    while term > 0:
        total += term
        term = term // divisor * numerator + term % divisor * numerator // divisor
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
    price: int | None = None,
) -> int:
    """Excess blob gas after a block, with the target and maximum (in blobs) of the next one (EIP-4844).

    With ``base_fee``, the execution base fee of the block, the reserve price of EIP-7918 applies. ``price`` is the blob base fee at
    ``excess``, where it is known.
    """
    total = excess + blob_gas_used
    if total < target * GAS_PER_BLOB:
        return 0
    if base_fee is not None:
        price = blob_base_fee(excess, update_fraction, minimum) if price is None else price
        if BLOB_BASE_COST * base_fee > GAS_PER_BLOB * price:
            return excess + blob_gas_used * (maximum - target) // maximum
    return total - target * GAS_PER_BLOB


class Fork(Part):
    """What changes from a point in time on: the blob parameters, and the limits of a transaction."""

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
    calldata_floor: Annotated[int, Field(ge=0)] = 0
    """Gas that a token of calldata costs at least (a zero byte is one token, any other four); 0 where there is no floor (EIP-7623)."""
    blobs_per_transaction: Annotated[int, Field(ge=1)] | None = None
    """Most blobs in one transaction (EIP-7594); without it, as many as a block takes."""
    transaction_gas: Annotated[Gas, Positive] | None = None
    """Most gas that one transaction may use (EIP-7825); without it, as much as a block takes."""

    @property
    def most_blobs(self) -> int:
        """Most blobs in one transaction."""
        return self.blobs_per_transaction or self.maximum

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.target > self.maximum:
            raise PydanticCustomError("range", "'target' must not be above 'maximum'")
        if self.blobs_per_transaction is not None and self.blobs_per_transaction > self.maximum:
            raise PydanticCustomError(
                "range",
                "'blobs_per_transaction' is {most}, but a block takes {maximum} blobs at most: lower it, or raise 'maximum'",
                {"most": self.blobs_per_transaction, "maximum": self.maximum},
            )
        return self


_PRAGUE = {"calldata_floor": 10}
_OSAKA = {**_PRAGUE, "reserve": True, "blobs_per_transaction": 6, "transaction_gas": "16777216 gas"}


def _fork(begins: int, target: int, maximum: int, update_fraction: int, **rules: Any) -> Fork:
    return Fork(begins=begins, target=target, maximum=maximum, update_fraction=update_fraction, **rules)


MAINNET = {
    "cancun": _fork(1_710_338_135, 3, 6, 3_338_477),
    "prague": _fork(1_746_612_311, 6, 9, 5_007_716, **_PRAGUE),
    "osaka": _fork(1_764_798_551, 6, 9, 5_007_716, **_OSAKA),
    "bpo1": _fork(1_765_290_071, 10, 15, 8_346_193, **_OSAKA),
    "bpo2": _fork(1_767_747_671, 14, 21, 11_684_671, **_OSAKA),
}
"""The forks of Ethereum mainnet so far."""


class Blob(Fee):
    """The fee grows exponentially with the blob gas used in excess of the target; the state is (excess blob gas,)."""

    initial: Wei | None = None
    """Blob fee of the first block, wei per blob gas, under whatever fork: its excess is the largest at which the fee is no more."""
    initial_excess: Gas | None = None
    """Excess blob gas of the first block, whatever ``initial`` says; 0, without either of them, makes the fee the minimum."""
    minimum: Annotated[Wei, Positive] = 1
    """The lowest fee, wei per blob gas (EIP-4844)."""
    forks: Annotated[dict[str, Fork], Field(min_length=1)] = MAINNET
    """The schedule, by name of the fork: from a fork's first block on its parameters apply, before the first fork that one's."""

    @model_validator(mode="after")
    def _one_at_a_time(self) -> Self:
        first: dict[int, str] = {}
        for name, fork in self.forks.items():
            if (other := first.setdefault(fork.begins, name)) != name:
                raise PydanticCustomError(
                    "forks",
                    "forks '{other}' and '{name}' begin at the same time, so one of them never applies: give each its own 'begins'",
                    {"other": other, "name": name},
                )
        return self

    def fork(self, timestamp: int) -> Fork:
        """The fork in force at a unix time in seconds."""
        for fork in self._latest_first:
            if fork.begins <= timestamp:
                return fork
        return self._latest_first[-1]

    def named(self, name: str) -> Fork:
        """The fork of that name.

        Raises:
            PydanticCustomError: there is none; the message names the nearest right spelling.
        """
        if name not in self.forks:
            known = {"name": name, "hint": did_you_mean(name, self.forks)}
            raise PydanticCustomError("unknown_fork", "there is no fork '{name}'{hint}", known)
        return self.forks[name]

    @cached_property
    def _latest_first(self) -> list[Fork]:
        return sorted(self.forks.values(), key=lambda fork: -fork.begins)

    def target_and_max(self, timestamp: int) -> tuple[int, int]:
        """Target and maximum of blobs a block at a unix time in seconds."""
        fork = self.fork(timestamp)
        return fork.target, fork.maximum

    def genesis(self, timestamp: int = 0) -> FeeState:
        """The state before the first block, which is one of the fork in force at ``timestamp`` (unix seconds)."""
        if self.initial_excess is not None or self.initial is None:
            return (self.initial_excess or 0,)
        fraction, least = self.fork(timestamp).update_fraction, 0
        most = fraction
        while fake_exponential(self.minimum, most, fraction) <= self.initial:
            least, most = most, 2 * most
        while most - least > 1:
            middle = (least + most) // 2
            least, most = (middle, most) if fake_exponential(self.minimum, middle, fraction) <= self.initial else (least, middle)
        return (least,)

    def next(self, state: FeeState, used: Used) -> FeeState:
        return self.under(self.fork(used.timestamp), state, used)

    def under(self, fork: Fork, state: FeeState, used: Used, price: int | None = None) -> FeeState:
        """The state of the next block, which is one of that fork; ``price`` is that of this state in the fork, where it is known."""
        excess = next_excess_blob_gas(
            state[0],
            used.blobs * GAS_PER_BLOB,
            fork.target,
            fork.maximum,
            update_fraction=fork.update_fraction,
            base_fee=used.base_fee if fork.reserve else None,
            minimum=self.minimum,
            price=price,
        )
        return (excess,)

    def price(self, state: FeeState, timestamp: int = 0) -> int:
        return self.priced(self.fork(timestamp), state)

    def priced(self, fork: Fork, state: FeeState, exponential: Callable[[int, int, int], int] | None = None) -> int:
        """Wei per blob gas in a block of that fork; ``exponential`` is a quicker form of ``fake_exponential_64``."""
        if exponential is not None and (price := exponential(self.minimum, state[0], fork.update_fraction)) >= 0:
            return price
        return blob_base_fee(state[0], fork.update_fraction, self.minimum)
