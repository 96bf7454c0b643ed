"""The sentinel of a pool: it notices that the chain has been down, and keeps a grace period then. Scalar functions, for kernels."""

from typing import Any

from l2sim.markets.lending_pool.layout import GRACE, GRACE_ENDS, GRACE_THRESHOLD, LIQUIDATED_BELOW, OUTAGE_AFTER, TIME
from l2sim.transactions import NEVER

NO_GRACE = -1
"""When the grace period ends, where there is none."""


def install(cells: Any, codes: Any, grace: int, outage_after: int, threshold: float) -> None:
    """Write down the rules of a pool that opens: how long a grace period is and what gap between blocks is an outage (ns)."""
    codes[GRACE], codes[GRACE_ENDS] = grace, NO_GRACE
    codes[OUTAGE_AFTER] = outage_after if grace > 0 else NEVER
    cells[GRACE_THRESHOLD], cells[LIQUIDATED_BELOW] = threshold, 1.0


def notice(cells: Any, codes: Any, now: int, elapsed: int) -> None:
    """Begin a grace period where this block comes after an outage, end one that is over."""
    if elapsed > codes[OUTAGE_AFTER]:
        codes[GRACE_ENDS] = now + codes[GRACE]
        cells[LIQUIDATED_BELOW] = cells[GRACE_THRESHOLD]
    elif now > codes[GRACE_ENDS]:
        codes[GRACE_ENDS] = NO_GRACE
        cells[LIQUIDATED_BELOW] = 1.0


def in_grace(codes: Any) -> bool:
    """Whether the last block was in a grace period."""
    return bool(codes[TIME] <= codes[GRACE_ENDS])
