"""Players: parties to challenges, and the moves that are open to them on L1."""

from collections.abc import Callable
from typing import Any, NamedTuple

from l2sim.settlement.bold.histories import History

NEVER = 1 << 62
"""A time that does not come (ns)."""


class Move(NamedTuple):
    """A transaction that a party may send to L1."""

    key: tuple[Any, ...]
    """The same move has the same key, so that nobody sends it twice."""
    what: str
    """Which kind of move it is."""
    gas: int
    stake: int
    """What is staked with it, wei."""
    due: Callable[[], int]
    """The time by which it has to be on L1, as things stand, if its party is not to lose (ns)."""
    act: Callable[[float], bool]
    """What it does there, told its cost in ETH; whether it was still possible."""


class Player:
    """A party, its account, and what it says about each challenge in which it takes part."""

    def __init__(self, side: Any, honest: bool) -> None:
        self.side = side
        self.honest = honest
        """Whether it says what execution gives."""
        self.number: int | None = None
        """The assertion for which it stands, where it stands for one only."""
        self._histories: dict[tuple[int, int], History] = {}

    @property
    def account(self) -> int:
        """Its account on L1."""
        return int(self.side.account)

    def history(self, base: int, last: int, make: Callable[[Any], History]) -> History:
        """What it says happened between two blocks."""
        if (base, last) not in self._histories:
            self._histories[base, last] = make(self.side)
        return self._histories[base, last]
