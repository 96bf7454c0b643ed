"""Which positions may be liquidated, at a cost that depends on how many they are, not on how many there are."""

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush

import numpy as np
import numpy.typing as npt

from l2sim.markets.perpetual.positions import Position

Heap = list[tuple[float, int]]


class _Side:
    """The longs or the shorts: those whose level has not come yet, the next one on top, and those whose level has.

    An entry is (key, account) with key ``-K`` for longs and ``K`` for shorts, see ``Position.trigger``, and triggered when
    its key is at or below the level. Entries of positions that have changed or gone stay behind and are recognised: their K
    is no longer that of the account's position.
    """

    def __init__(self, positions: Mapping[int, Position], sign: float, history: list[int]) -> None:
        self._positions = positions
        self._history = history
        self._sign = sign
        self.waiting: Heap = []
        self.overdue: Heap = []

    def add(self, account: int, trigger: float) -> None:
        heappush(self.waiting, (self._sign * trigger, account))
        if len(self.waiting) > 2 * len(self._positions) + 1024:
            self.waiting[:] = sorted({entry for entry in self.waiting if self._holds(entry)})

    def add_many(self, accounts: npt.NDArray[np.int64], triggers: npt.NDArray[np.float64]) -> None:
        keys = self._sign * triggers
        order = np.lexsort((accounts, keys))
        self.waiting += zip(keys[order].tolist(), accounts[order].tolist(), strict=True)
        if len(self.waiting) > len(accounts):
            heapify(self.waiting)

    def move(self, level: float) -> None:
        """Follow the level; whoever newly becomes triggered enters the history."""
        while self.waiting and self.waiting[0][0] <= level:
            entry = heappop(self.waiting)
            if self._holds(entry):
                heappush(self.overdue, (-entry[0], entry[1]))
                self._history.append(entry[1])
        while self.overdue and (-self.overdue[0][0] > level or not self._holds((-self.overdue[0][0], self.overdue[0][1]))):
            key, account = heappop(self.overdue)
            if self._holds((-key, account)):
                heappush(self.waiting, (-key, account))

    def triggered(self) -> list[int]:
        """The accounts that are triggered, the most overdue first."""
        keys = sorted({(-key, account) for key, account in self.overdue if self._holds((-key, account))})
        if len(keys) < len(self.overdue):
            self.overdue[:] = [(-key, account) for key, account in keys]
            heapify(self.overdue)
        return [account for _, account in keys]

    def _holds(self, entry: tuple[float, int]) -> bool:
        position = self._positions.get(entry[1])
        return position is not None and position.size * self._sign < 0 and self._sign * position.trigger() == entry[0]


class Triggers:
    """Both sides. A price update costs what it triggers, and what a recovery makes healthy again."""

    def __init__(self, positions: Mapping[int, Position]) -> None:
        self.history: list[int] = []
        """The accounts that became triggered so far, in that order; one that recovers and falls again is there again."""
        self._longs = _Side(positions, -1.0, self.history)
        self._shorts = _Side(positions, 1.0, self.history)

    def watch(self, account: int, position: Position) -> None:
        """Keep an eye on a position that is new or has changed."""
        (self._longs if position.size > 0 else self._shorts).add(account, position.trigger())

    def watch_many(self, accounts: npt.NDArray[np.int64], size: npt.NDArray[np.float64], trigger: npt.NDArray[np.float64]) -> None:
        """The same for many at once."""
        self._longs.add_many(accounts[size > 0], trigger[size > 0])
        self._shorts.add_many(accounts[size < 0], trigger[size < 0])

    def come_up(self, mark: float, funding: float, maintenance: float) -> int:
        """How often a position has become triggered so far."""
        self._longs.move(-(mark * (1.0 - maintenance) - funding))
        self._shorts.move(mark * (1.0 + maintenance) - funding)
        return len(self.history)

    def any(self, mark: float, funding: float, maintenance: float) -> bool:
        """Whether anything is triggered."""
        self.come_up(mark, funding, maintenance)
        return bool(self._longs.overdue or self._shorts.overdue)

    def all(self, mark: float, funding: float, maintenance: float) -> Iterator[int]:
        """The accounts that are triggered: longs first, on each side the most overdue first."""
        self.come_up(mark, funding, maintenance)
        yield from self._longs.triggered()
        yield from self._shorts.triggered()


def triggered(position: Position, mark: float, funding: float, maintenance: float) -> bool:
    """Whether the equity of a position is at or below ``maintenance`` times its notional at the mark."""
    if position.size > 0:
        return mark * (1.0 - maintenance) - funding <= position.trigger()
    return mark * (1.0 + maintenance) - funding >= position.trigger()
