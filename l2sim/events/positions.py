"""Facts about positions besides those that say what became of one."""

from typing import NamedTuple


class PositionsBrought(NamedTuple):
    """Accounts held positions from before the start: how many, units on both sides together, notional at entry, and their margins."""

    market: str
    number: int
    size: float
    notional: float
    margin: float

    optional = True  # type: ignore[misc]  # of the class, not a field, which type checkers take it for
