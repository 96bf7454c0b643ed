"""The inbox: transactions on their way to a chain, and those that wait in its mempool."""

from bisect import bisect_left
from collections.abc import Callable
from heapq import heappop, heappush

import numpy as np

from l2sim.ordering import Ordering, Pending
from l2sim.transactions import ANY_FEE, NEVER, Rows, Status


_NOTHING = Rows.none()


class Inbox:
    """Arrivals in order of time and tie key, and the mempool that they enter.

    Crowds hand in long columns sorted by arrival, of which each block cuts a slice; single messages go through a heap.
    """

    def __init__(self) -> None:
        self._columns: list[tuple[Rows, list[int]]] = []
        self._messages: list[tuple[int | float, ...]] = []
        self.waiting = _NOTHING
        self.head = 0
        self._lowest_cap = ANY_FEE
        self._next_deadline = NEVER

    def __len__(self) -> int:
        return self.waiting.number - self.head

    def add(self, rows: Rows) -> None:
        """Rows that arrive now or later, sorted by arrival and tie key."""
        self._columns.append((rows, [0]))

    def send(self, row: tuple[int | float, ...]) -> None:
        """One message: a tuple in the order of the fields of ``Rows``, arrival and tie key first."""
        heappush(self._messages, row)

    def arrivals(self, now: int) -> Rows | None:
        """What arrived strictly before ``now`` since last asked, in order; None where nothing did."""
        parts: list[Rows] = []
        spent = False
        for rows, position in self._columns:
            start = position[0]
            arrives = rows.arrives
            if arrives[start] < now:
                stop = bisect_left(arrives, now, start)
                parts.append(rows.slice(start, stop))
                position[0] = stop
                spent |= stop == len(arrives)
        if spent:
            self._columns = [column for column in self._columns if column[1][0] < column[0].number]
        if self._messages and self._messages[0][0] < now:
            messages = []
            while self._messages and self._messages[0][0] < now:
                messages.append(heappop(self._messages))
            parts.append(Rows(*map(list, zip(*messages, strict=True))))  # type: ignore[arg-type]
        if not parts:
            return None
        rows = parts[0]
        if len(parts) > 1:
            for part in parts[1:]:
                rows.extend(part)
            rows = rows.sorted()
        return rows

    def admit(self, fresh: Rows) -> None:
        """Put arrivals into the mempool, behind what waits there."""
        if self.head == self.waiting.number:
            self.waiting, self.head = fresh, 0
            self._lowest_cap, self._next_deadline = min(fresh.cap), min(fresh.deadline)
            return
        if self.head > 65_536:
            self.waiting, self.head = self.waiting.slice(self.head, self.waiting.number), 0
        self.waiting.extend(fresh)
        self._lowest_cap = min(self._lowest_cap, min(fresh.cap))
        self._next_deadline = min(self._next_deadline, min(fresh.deadline))

    def select(
        self, now: int, base_fee: int, gas_limit: int, ordering: Ordering, luck: Callable[[], np.random.Generator]
    ) -> tuple[Rows, list[tuple[int, Status]], Rows | None]:
        """Take a block's rows out of the mempool, in the order of execution.

        Returns the rows taken; then indices and reasons of rows that were dropped, and the rows that these point into.
        """
        reasons, dropped = self._expire(now, base_fee) if now > self._next_deadline else ([], None)
        if self._lowest_cap < base_fee or not ordering.by_arrival:
            return self._choose(base_fee, gas_limit, ordering, luck()), reasons, dropped
        waiting, start = self.waiting, self.head
        gas, end = waiting.gas, len(waiting.gas)
        if start == 0 and sum(gas) <= gas_limit:
            self.waiting = _NOTHING
            return waiting, reasons, dropped
        stop = start
        while stop < end and gas[stop] <= gas_limit:
            gas_limit -= gas[stop]
            stop += 1
        self.head = stop
        return waiting.slice(start, stop), reasons, dropped

    def _choose(self, base_fee: int, gas_limit: int, ordering: Ordering, rng: np.random.Generator) -> Rows:
        if self.head:
            self.waiting, self.head = self.waiting.slice(self.head, self.waiting.number), 0
        waiting = self.waiting
        n = waiting.number
        cap = np.array(waiting.cap, np.int64)
        able = np.flatnonzero(cap >= base_fee)
        pending = Pending(
            np.array(waiting.arrives, np.int64)[able],
            np.array(waiting.tie, np.uint64)[able],
            np.minimum(np.array(waiting.tip, np.int64)[able], cap[able] - base_fee),
            np.array(waiting.gas, np.int64)[able],
        )
        chosen = able[ordering.order(pending, rng)]
        fits = np.cumsum(np.array(waiting.gas, np.int64)[chosen]) <= gas_limit
        chosen = chosen[: int(np.argmin(fits)) if not fits.all() else len(chosen)]
        rows = waiting.take(chosen.tolist())
        left = np.ones(n, bool)
        left[chosen] = False
        self._keep(waiting.take(np.flatnonzero(left).tolist()))
        return rows

    def _expire(self, now: int, base_fee: int) -> tuple[list[tuple[int, Status]], Rows]:
        if self.head:
            self.waiting, self.head = self.waiting.slice(self.head, self.waiting.number), 0
        late = np.array(self.waiting.deadline, np.int64) < now
        dropped = self.waiting.take(np.flatnonzero(late).tolist())
        reasons = [(i, Status.FEE_TOO_LOW if cap < base_fee else Status.DEADLINE) for i, cap in enumerate(dropped.cap)]
        self._keep(self.waiting.take(np.flatnonzero(~late).tolist()))
        return reasons, dropped

    def _keep(self, rows: Rows) -> None:
        self.waiting, self.head = rows, 0
        self._lowest_cap = min(rows.cap, default=ANY_FEE)
        self._next_deadline = min(rows.deadline, default=NEVER)
