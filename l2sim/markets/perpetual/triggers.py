"""Which positions may be liquidated, at a cost that depends on how many they are, not on how many there are."""

from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush

import numpy as np
import numpy.typing as npt

from l2sim.markets.perpetual.positions import Position

Heap = list[tuple[float, int]]


class _Side:
    """The longs or the shorts: those whose level had not come at the last look, the next one on top, and those whose level had.

    An entry is (key, account) with key ``-K`` for longs and ``K`` for shorts, see ``Position.trigger``, and triggered when
    its key is at or below the level. Entries of positions that have changed or gone stay behind and are recognised: their K
    is no longer that of the account's position.
    """

    def __init__(self, positions: Mapping[int, Position], sign: float, history: list[int]) -> None:
        self._positions = positions
        self._history = history
        self._sign = sign
        self.waiting: Heap = []
        self.overdue: dict[int, float] = {}
        """The keys of those who were triggered at the last look, by account."""
        self._leaving: Heap = []
        """The same with keys turned round: the first to recover on top."""

    def see(self, account: int) -> None:
        """Look at an account's position after it may have changed."""
        key = self._key(account)
        if self.overdue.get(account) != key:
            self.overdue.pop(account, None)
            if key is not None:
                heappush(self.waiting, (key, account))
                if len(self.waiting) > 2 * len(self._positions) + 1024:
                    self.waiting[:] = sorted({entry for entry in self.waiting if self._key(entry[1]) == entry[0]})

    def add_many(self, accounts: npt.NDArray[np.int64], triggers: npt.NDArray[np.float64]) -> None:
        keys = self._sign * triggers
        order = np.lexsort((accounts, keys))
        self.waiting += zip(keys[order].tolist(), accounts[order].tolist(), strict=True)
        if len(self.waiting) > len(accounts):
            heapify(self.waiting)

    def move(self, level: float) -> None:
        """Follow the level; whoever newly becomes triggered enters the history."""
        while self.waiting and self.waiting[0][0] <= level:
            key, account = heappop(self.waiting)
            if self._key(account) == key and account not in self.overdue:
                self.overdue[account] = key
                heappush(self._leaving, (-key, account))
                self._history.append(account)
        while self._leaving and (-self._leaving[0][0] > level or self._gone(self._leaving[0])):
            entry = heappop(self._leaving)
            if not self._gone(entry):
                del self.overdue[entry[1]]
                heappush(self.waiting, (-entry[0], entry[1]))
        if len(self._leaving) > 2 * len(self.overdue) + 1024:
            self._leaving[:] = sorted((-key, account) for account, key in self.overdue.items())

    def triggered(self) -> list[int]:
        """The accounts that are triggered, the most overdue first."""
        return [account for _, account in sorted((key, account) for account, key in self.overdue.items())]

    def _key(self, account: int) -> float | None:
        position = self._positions.get(account)
        return None if position is None or position.size * self._sign > 0 else self._sign * position.trigger()

    def _gone(self, entry: tuple[float, int]) -> bool:
        return self.overdue.get(entry[1]) != -entry[0]


class Triggers:
    """Both sides, as they stood at the last look. A price update costs what it triggers, and what a recovery makes healthy again.

    All of this follows from the positions and from what was seen of them; it is not state. The history is news, and news is
    what has changed from one look to the next: an account enters it when it is triggered now and was not so, with the same
    position, at the look before. Nothing leaves it again. So an action that is undone before anybody looked was never
    there; after a longer way back, who is triggered now and was gone or healthy at the last look comes up once more; and
    whoever reads the history from where it stopped reading misses nobody.
    """

    def __init__(self, positions: Mapping[int, Position]) -> None:
        self.history: list[int] = []
        """The accounts that became triggered so far, in that order; one that recovers and falls again is there again."""
        self._positions = positions
        self._changed: dict[int, None] = {}
        """Accounts whose positions may have changed since the last look."""
        self._longs = _Side(positions, -1.0, self.history)
        self._shorts = _Side(positions, 1.0, self.history)

    def watch(self, account: int) -> None:
        """Keep an eye on a position that is new, or has changed or gone."""
        self._changed[account] = None

    def watch_many(self, accounts: npt.NDArray[np.int64], size: npt.NDArray[np.float64], trigger: npt.NDArray[np.float64]) -> None:
        """The same for many at once, whose accounts had none."""
        self._longs.add_many(accounts[size > 0], trigger[size > 0])
        self._shorts.add_many(accounts[size < 0], trigger[size < 0])

    def restored(self, accounts: Iterable[int] | None) -> None:
        """Positions were given earlier values: those of these accounts, or any (None)."""
        if accounts is None:
            accounts = [*self._positions, *self._longs.overdue, *self._shorts.overdue]
            self._longs.waiting.clear()
            self._shorts.waiting.clear()
        self._changed.update(dict.fromkeys(accounts))

    def come_up(self, mark: float, funding: float, maintenance: float) -> int:
        """How often a position has become triggered so far."""
        for account in self._changed:
            self._longs.see(account)
            self._shorts.see(account)
        self._changed.clear()
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
