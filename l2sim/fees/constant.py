"""A constant fee."""

from collections.abc import MutableSequence, Sequence

from l2sim.fees import Fee, FeeState, Used
from l2sim.units import Wei


def same(state: MutableSequence[int], gas: int, gas_limit: int, second: int, following: int, terms: Sequence[int]) -> int:
    """The kernel: the fee after a block."""
    return state[0]


class Constant(Fee):
    """The same fee in every block; a bare amount in a file, such as ``0.1 gwei``, is one of these."""

    kernel = staticmethod(same)

    fee: Wei
    """Wei per unit of gas; 0 makes gas free."""

    def genesis(self) -> FeeState:
        return (self.fee,)

    def next(self, state: FeeState, used: Used) -> FeeState:
        return state

    def price(self, state: FeeState, timestamp: int = 0) -> int:
        return state[0]
