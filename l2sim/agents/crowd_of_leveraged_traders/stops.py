"""Stop losses of a crowd."""

from heapq import heappop, heappush


class Stops:
    """Stop prices in two heaps, so that a look costs what is triggered; an account has one stop at most."""

    def __init__(self) -> None:
        self._heaps: dict[bool, list[tuple[float, int]]] = {True: [], False: []}
        self._keys: dict[int, float] = {}

    def arm(self, account: int, price: float, long: bool) -> None:
        """Set the stop of a long (below the price) or of a short (above it); it replaces the one before."""
        self._keys[account] = -price if long else price
        heappush(self._heaps[long], (self._keys[account], account))

    def disarm(self, account: int) -> None:
        """Forget an account's stop."""
        self._keys.pop(account, None)

    def reached(self, price: float) -> list[int]:
        """Take out the accounts whose stops the price has reached, longs first, those furthest behind first."""
        out = []
        for heap, key in ((self._heaps[True], -price), (self._heaps[False], price)):
            while heap and heap[0][0] <= key:
                entry = heappop(heap)
                if self._keys.get(entry[1]) == entry[0]:
                    out.append(entry[1])
                    del self._keys[entry[1]]
        return out
