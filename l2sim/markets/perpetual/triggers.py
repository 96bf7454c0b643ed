"""Which positions may be liquidated, at a cost that depends on how many they are, not on how many there are."""

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush
from itertools import chain

import numpy as np
import numpy.typing as npt

from l2sim.markets.perpetual.positions import Position

Heap = list[tuple[float, int]]


class Triggers:
    """Two heaps of (key, account): longs by ``-K``, shorts by ``K``; see ``Position.trigger``.

    An entry is triggered when its key is at or below the level of its side. Entries of positions that have changed or gone
    stay behind and are recognised: their K is no longer that of the account's position.
    """

    def __init__(self, positions: Mapping[int, Position]) -> None:
        self._positions = positions
        self._longs: Heap = []
        self._shorts: Heap = []

    def watch(self, account: int, position: Position) -> None:
        """Keep an eye on a position that is new or has changed."""
        trigger = position.trigger()
        heap, entry = (self._longs, (-trigger, account)) if position.size > 0 else (self._shorts, (trigger, account))
        heappush(heap, entry)
        if len(heap) > 2 * len(self._positions) + 1024:
            heap[:] = [entry for entry in heap if self._holds(heap, entry)]
            heapify(heap)

    def watch_many(self, accounts: npt.NDArray[np.int64], size: npt.NDArray[np.float64], trigger: npt.NDArray[np.float64]) -> None:
        """The same for many at once."""
        long = size > 0
        for heap, side, keys in ((self._longs, long, -trigger), (self._shorts, ~long, trigger)):
            keys, owners = keys[side], accounts[side]
            order = np.lexsort((owners, keys))
            entries = list(zip(keys[order].tolist(), owners[order].tolist(), strict=True))
            if heap:
                heap += entries
                heapify(heap)
            else:
                heap[:] = entries

    def any(self, mark: float, funding: float, maintenance: float) -> bool:
        """Whether anything is triggered."""
        for heap, level in self._levels(mark, funding, maintenance):
            while heap and heap[0][0] <= level:
                if self._holds(heap, heap[0]):
                    return True
                heappop(heap)
        return False

    def all(self, mark: float, funding: float, maintenance: float) -> Iterator[int]:
        """The accounts that are triggered: longs first, on each side the most overdue first."""
        return chain.from_iterable(self._below(heap, level) for heap, level in self._levels(mark, funding, maintenance))

    def _levels(self, mark: float, funding: float, maintenance: float) -> tuple[tuple[Heap, float], ...]:
        return (self._longs, -(mark * (1.0 - maintenance) - funding)), (self._shorts, mark * (1.0 + maintenance) - funding)

    def _below(self, heap: Heap, level: float) -> Iterator[int]:
        """Walk down the heap from its top, best first, without taking anything out of it."""
        last = None
        fringe = [(heap[0], 0)] if heap else []
        while fringe and fringe[0][0][0] <= level:
            entry, i = heappop(fringe)
            if entry != last and self._holds(heap, entry):
                yield entry[1]
            last = entry
            for child in (2 * i + 1, 2 * i + 2):
                if child < len(heap):
                    heappush(fringe, (heap[child], child))

    def _holds(self, heap: Heap, entry: tuple[float, int]) -> bool:
        position = self._positions.get(entry[1])
        if position is None:
            return False
        if heap is self._longs:
            return position.size > 0 and -position.trigger() == entry[0]
        return position.size < 0 and position.trigger() == entry[0]


def triggered(position: Position, mark: float, funding: float, maintenance: float) -> bool:
    """Whether the equity of a position is at or below ``maintenance`` times its notional at the mark."""
    if position.size > 0:
        return mark * (1.0 - maintenance) - funding <= position.trigger()
    return mark * (1.0 + maintenance) - funding >= position.trigger()
