"""Arbitrum's base fee: an exponential of how much gas the chain is behind its targets, in exact integers.

Source: OffchainLabs/nitro arbos/l2pricing/model.go and util/arbmath, 2026-04-23. Until ArbOS 50 one constraint with a tolerance, since
ArbOS 51 several without (the ladder of Arbitrum One, arbitrum-docs gas-and-fees, 2026-08-07).
"""

from collections.abc import MutableSequence, Sequence
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from l2sim.fees import Fee, FeeState, Used
from l2sim.part import Part
from l2sim.units import SECOND, Duration, GasRate, Positive, Wei

ONE = 10_000
"""1 in basis points."""
MOST_UNSIGNED = 2**64 - 1
MOST_SIGNED = 2**63 - 1
FITS = 250_000
"""Basis points up to which the exponential fits into 64 bits whatever the order of multiplication."""


def approx_exp_basis_points(value: int, accuracy: int = 4) -> int:
    """10,000 x e^(value / 10,000) by so many terms of its Taylor series in integers that saturate at 64 bits, as Nitro's do."""
    x = abs(value)
    result = ONE + x // accuracy
    for term in range(accuracy - 1, 0, -1):
        result = ONE + min(result * x, MOST_UNSIGNED) // (term * ONE)
    return ONE * ONE // result if value < 0 else min(result, MOST_SIGNED)


def exponent(backlog: int, target: int, window: int, tolerance: int = 0, weight: int = 1, max_weight: int = 1) -> int:
    """What a constraint adds to the exponent, basis points: the backlog beyond the tolerance over what the window takes at the target.

    Weights are those of several kinds of gas (ArbOS 60), 1 where there is one kind.
    """
    excess = min(max(backlog - tolerance * target, 0) * weight, MOST_SIGNED)
    return min(excess * ONE, MOST_SIGNED) // (window * target * max_weight)


def after(state: MutableSequence[int], gas: int, gas_limit: int, second: int, following: int, terms: Sequence[int]) -> int:
    """The kernel: pay the backlogs off up to a block, add its gas; the fee of the block that follows, -1 where that is too large.

    The state is the time of the last block and the backlog of each constraint; without any backlog the time is -1. Terms are the
    least fee, how many constraints there are, and of each target (gas/s), window and tolerance (s).
    """
    passed = max(second - state[0], 0) if state[0] >= 0 else 0
    total, busy = 0, 0
    for k in range(terms[1]):
        target, window, tolerance = terms[2 + 3 * k], terms[3 + 3 * k], terms[4 + 3 * k]
        backlog = max(state[1 + k] - passed * target, 0) + gas
        state[1 + k] = backlog
        if backlog > 0:
            busy = 1
        left = max(backlog - max(following - second, 0) * target - tolerance * target, 0)
        if left > 100_000_000_000_000:
            total = FITS + 1
        else:
            total += left * ONE // (window * target)
    state[0] = second if busy else -1
    if total > FITS:
        return -1
    result = ONE + total // 4
    for term in range(3, 0, -1):
        result = ONE + result * total // (term * ONE)
    if terms[0] > (1 << 62) // result:
        return -1
    return terms[0] * result // ONE


def _whole_seconds(value: int) -> int:
    if value % SECOND:
        raise PydanticCustomError("whole_seconds", "the protocol counts whole seconds: write it like '10 s'")
    return value


Seconds = Annotated[Duration, AfterValidator(_whole_seconds)]


class Constraint(Part):
    """A rate of gas that the chain is to keep, and how patiently."""

    target: Annotated[GasRate, Positive]
    """Gas per second that pays the backlog off."""
    window: Annotated[Seconds, Positive]
    """The fee grows by e when the backlog grows by what this time takes at the target (legacy: the inertia)."""
    tolerance: Seconds = 0
    """The backlog that this time takes at the target does not move the fee; 0 since ArbOS 51."""


LADDER = {
    "9s": Constraint.model_validate({"target": "60 Mgas/s", "window": "9s"}),
    "52s": Constraint.model_validate({"target": "41 Mgas/s", "window": "52s"}),
    "329s": Constraint.model_validate({"target": "29 Mgas/s", "window": "329s"}),
    "35min": Constraint.model_validate({"target": "20 Mgas/s", "window": "2105s"}),
    "4h": Constraint.model_validate({"target": "14 Mgas/s", "window": "13485s"}),
    "1d": Constraint.model_validate({"target": "10 Mgas/s", "window": "86400s"}),
}
"""Arbitrum One since ArbOS 51, 2026-01-05."""


class Arbitrum(Fee):
    """The least fee times e to the sum of what each constraint's backlog comes to; time pays backlogs off, blocks add to them.

    The state is (time of the last block in unix seconds, backlog of each constraint), see ``after``. The rule before ArbOS 51 is
    ``constraints: {legacy: {target: 7 Mgas/s, window: 102s, tolerance: 10s}}``.
    """

    kernel = staticmethod(after)

    minimum: Wei = 20_000_000
    """The least fee, wei per gas; 0.02 gwei on Arbitrum One since ArbOS 51 (0.01 gwei before), arbitrum-docs, 2026-08-07."""
    constraints: Annotated[dict[str, Constraint], Field(min_length=1)] = LADDER
    """The constraints by name, those of Arbitrum One by default."""

    def genesis(self) -> FeeState:
        return (-1, *[0] * len(self.constraints))

    def next(self, state: FeeState, used: Used) -> FeeState:
        cells = list(state)
        after(cells, used.gas, used.gas_limit, used.time, used.time, self.terms())
        return tuple(cells)

    def terms(self) -> tuple[int, ...]:
        return self._terms

    @cached_property
    def _terms(self) -> tuple[int, ...]:
        rows = [(one.target, one.window // SECOND, one.tolerance // SECOND) for one in self.constraints.values()]
        return (self.minimum, len(rows), *[number for row in rows for number in row])

    def price(self, state: FeeState, timestamp: int = 0) -> int:
        if state[0] < 0:
            return self.minimum
        passed = max(timestamp - state[0], 0)
        total = 0
        for backlog, one in zip(state[1:], self.constraints.values(), strict=True):
            left = max(backlog - passed * one.target, 0)
            total += exponent(left, one.target, one.window // SECOND, one.tolerance // SECOND)
        return self.minimum * approx_exp_basis_points(min(total, MOST_SIGNED)) // ONE
