"""Facts about positions besides those that say what became of one."""

from typing import NamedTuple


class PositionBrought(NamedTuple):
    """An account held a position from before the start: signed size, entry price, margin."""

    market: str
    account: int
    size: float
    entry: float
    margin: float

    optional = True  # type: ignore[misc]  # of the class, not a field, which type checkers take it for
