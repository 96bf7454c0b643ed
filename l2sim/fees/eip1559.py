"""The base fee of EIP-1559, and the arithmetic of gas around it, in exact integers.

Sources: EIP-1559 (base fee), EIP-7623 (calldata floor), execution-specs (gas limit), the OP Stack specifications of
Canyon, Holocene and Jovian (other parameters of the base fee, data footprint, minimum base fee); read 2026.
"""

from collections.abc import MutableSequence, Sequence
from typing import Annotated

from pydantic import Field
from pydantic_core import PydanticCustomError

from l2sim.fees import Fee, FeeState, Used
from l2sim.units import GWEI, Wei

TRANSACTION_GAS = 21_000
"""Gas that every transaction pays (yellow paper, G_transaction)."""
CALLDATA_FLOOR = 10
"""Gas that a token of calldata costs at least since Prague (EIP-7623)."""
MINIMUM_GAS_LIMIT = 5_000
"""No block may have a lower gas limit (execution-specs, GAS_LIMIT_MINIMUM)."""


def next_base_fee(
    base_fee: int,
    gas_limit: int,
    gas_used: int,
    *,
    elasticity: int = 2,
    denominator: int = 8,
    blob_gas_used: int = 0,
    minimum: int = 0,
) -> int:
    """The base fee after a block, wei per gas (EIP-1559).

    On the OP Stack since Jovian, ``blob_gas_used`` is the data footprint of the block, of which and the gas used the larger
    counts, and ``minimum`` the lowest base fee; elsewhere both are 0.
    """
    return after(base_fee, max(gas_used, blob_gas_used), gas_limit, (elasticity, denominator, minimum))


def after(base_fee: int, gas: int, gas_limit: int, terms: Sequence[int]) -> int:
    """The same in a scalar subset of Python: ``terms`` are elasticity, denominator and minimum."""
    target = gas_limit // terms[0]
    fee = base_fee
    if gas > target:
        fee = base_fee + max(base_fee * (gas - target) // target // terms[1], 1)
    elif gas < target:
        fee = base_fee - base_fee * (target - gas) // target // terms[1]
    return max(fee, terms[2])


def step(state: MutableSequence[int], gas: int, gas_limit: int, second: int, following: int, terms: Sequence[int]) -> int:
    """The kernel: ``after`` on a state that holds the base fee."""
    fee = state[0]
    target = gas_limit // terms[0]
    if gas > target:
        fee += max(fee * (gas - target) // target // terms[1], 1)
    elif gas < target:
        fee -= fee * (target - gas) // target // terms[1]
    state[0] = max(fee, terms[2])
    return state[0]


def gas_limit_is_valid(parent: int, gas_limit: int) -> bool:
    """Whether a block after one with gas limit ``parent`` may have this one: it moves by less than a 1024th."""
    return abs(gas_limit - parent) < parent // 1024 and gas_limit >= MINIMUM_GAS_LIMIT


def next_gas_limit(parent: int, desired: int) -> int:
    """The valid gas limit nearest to the one that the proposer desires."""
    most = max(parent // 1024 - 1, 0)
    return max(min(max(desired, parent - most), parent + most), MINIMUM_GAS_LIMIT)


def calldata_tokens(zeros: int, nonzeros: int) -> int:
    """Calldata in tokens: a zero byte is one, any other four (EIP-7623)."""
    return zeros + 4 * nonzeros


def calldata_gas(zeros: int, nonzeros: int) -> int:
    """The standard gas of calldata, without the floor: 4 a zero byte and 16 any other (EIP-2028)."""
    return 4 * calldata_tokens(zeros, nonzeros)


def calldata_floor_gas(zeros: int, nonzeros: int, floor: int = CALLDATA_FLOOR) -> int:
    """The least gas that a transaction with this calldata uses since Prague: ``floor`` a token, which is 10 (EIP-7623)."""
    return TRANSACTION_GAS + floor * calldata_tokens(zeros, nonzeros)


def transaction_gas(zeros: int, nonzeros: int, execution: int = 0, floor: int = CALLDATA_FLOOR) -> int:
    """Gas of a transaction with this calldata that executes ``execution`` gas, the floor applied (EIP-7623); 0 is no floor."""
    return max(TRANSACTION_GAS + calldata_gas(zeros, nonzeros) + execution, calldata_floor_gas(zeros, nonzeros, floor))


class Eip1559(Fee):
    """The base fee rises after a block above its gas target and falls after one below it; the state is (base fee,)."""

    kernel = staticmethod(step)

    elasticity: Annotated[int, Field(ge=1)] = 2
    """Gas limit / gas target, dimensionless: 2 on Ethereum (EIP-1559), 6 on OP chains before Holocene; at most the gas limit, or the
    target would be no gas."""
    denominator: Annotated[int, Field(ge=1)] = 8
    """A full block at elasticity 2 raises the fee by 1 / denominator; 8 on Ethereum (EIP-1559), 250 on OP chains since Canyon."""
    initial: Wei = GWEI
    """Base fee of the first block, wei per gas; 1 gwei when EIP-1559 began."""
    minimum: Wei = 0
    """The lowest base fee, as on OP chains since Jovian; 0 where there is none."""

    def allows(self, gas_limit: int) -> None:
        if gas_limit < self.elasticity:
            raise PydanticCustomError(
                "elasticity",
                "'elasticity' is {elasticity}, so that the gas target of a block of {gas_limit} gas would be 0: lower it",
                {"elasticity": self.elasticity, "gas_limit": gas_limit},
            )

    def genesis(self) -> FeeState:
        return (max(self.initial, self.minimum),)

    def next(self, state: FeeState, used: Used) -> FeeState:
        return (after(state[0], used.gas, used.gas_limit, self.terms()),)

    def terms(self) -> tuple[int, ...]:
        return self.elasticity, self.denominator, self.minimum

    def price(self, state: FeeState, timestamp: int = 0) -> int:
        return state[0]
