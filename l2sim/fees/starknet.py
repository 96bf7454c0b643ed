"""Starknet's price of L2 gas: like EIP-1559 with another target and a slower pace, in exact integers.

Sources: starknet-docs learn/protocol/fees, v0.14, 2026; starkware-libs/sequencer apollo_consensus_orchestrator fee_market (the
change is rounded down, and a price never falls below the least). No official pairs of numbers exist.
"""

from collections.abc import MutableSequence, Sequence
from typing import Annotated

from pydantic import Field

from l2sim.fees import Fee, FeeState, Used
from l2sim.units import Fraction, Positive, Share, Wei

PARTS = 10_000
"""Shares are counted in basis points."""


def after(state: MutableSequence[int], gas: int, gas_limit: int, second: int, following: int, terms: Sequence[int]) -> int:
    """The kernel: the price after a block; terms are the target (basis points of the gas limit), denominator and least price."""
    target = max(gas_limit * terms[0] // PARTS, 1)
    price = state[0]
    if gas > target:
        price += price * (gas - target) // (target * terms[1])
    else:
        price -= price * (target - gas) // (target * terms[1])
    state[0] = max(price, terms[2])
    return state[0]


class Starknet(Fee):
    """The price of L2 gas rises after a block above the target and falls after one below it; the state is (price,)."""

    kernel = staticmethod(after)

    target: Annotated[Fraction, Positive, Share] = 0.8
    """Target over the gas limit; 80 % since v0.14, starknet-docs."""
    denominator: Annotated[int, Field(ge=1)] = 48
    """A block without gas lowers the price by 1 / denominator; starknet-docs."""
    minimum: Wei = 50_000
    """The lowest price, wei per gas: 3 gFri in v0.14 (starknet-docs) at 60,000 STRK per ether (assumed)."""
    initial: Wei = 50_000
    """The price of the first block, wei per gas; the lowest (assumed)."""

    def genesis(self) -> FeeState:
        return (max(self.initial, self.minimum),)

    def next(self, state: FeeState, used: Used) -> FeeState:
        cells = list(state)
        after(cells, used.gas, used.gas_limit, 0, 0, self.terms())
        return tuple(cells)

    def terms(self) -> tuple[int, ...]:
        return round(self.target * PARTS), self.denominator, self.minimum

    def price(self, state: FeeState, timestamp: int = 0) -> int:
        return state[0]
