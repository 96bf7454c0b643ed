"""The inbox: transactions on their way to a chain, and those that wait in its mempool."""

from bisect import bisect_left
from heapq import heappop, heappush

import numpy as np

from l2sim.ordering import Ordering, Pending
from l2sim.transactions import ANY_FEE, NEVER, Rows, Status


class Inbox:
    """Arrivals in order of time and tie key, and the mempool that they enter.

    Crowds hand in long columns sorted by arrival, of which each block cuts a slice; single messages go through a heap.
    """

    def __init__(self) -> None:
        self._columns: list[tuple[Rows, list[int]]] = []
        self._messages: list[tuple[int | float, ...]] = []
        self.waiting = Rows()
        self.head = 0
        self._lowest_cap = ANY_FEE
        self._next_deadline = NEVER

    def __len__(self) -> int:
        return len(self.waiting) - self.head

    def add(self, rows: Rows) -> None:
        """Rows that arrive now or later, sorted by arrival and tie key."""
        self._columns.append((rows, [0]))

    def send(self, row: tuple[int | float, ...]) -> None:
        """One message: a tuple in the order of ``Rows.COLUMNS``, arrival and tie key first."""
        heappush(self._messages, row)

    def arrivals(self, now: int) -> Rows:
        """What arrived strictly before ``now`` since last asked, in order."""
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
            self._columns = [column for column in self._columns if column[1][0] < len(column[0].arrives)]
        if self._messages and self._messages[0][0] < now:
            messages = []
            while self._messages and self._messages[0][0] < now:
                messages.append(heappop(self._messages))
            rows = Rows.__new__(Rows)
            for name, column in zip(Rows.COLUMNS, zip(*messages, strict=True), strict=True):
                setattr(rows, name, list(column))
            parts.append(rows)
        if not parts:
            return Rows()
        rows = parts[0]
        if len(parts) > 1:
            for part in parts[1:]:
                rows.extend(part)
            rows.sort()
        return rows

    def admit(self, fresh: Rows) -> None:
        """Put arrivals into the mempool, behind what waits there."""
        if self.head and (self.head == len(self.waiting) or self.head > 65_536):
            self.waiting = self.waiting.slice(self.head, len(self.waiting))
            self.head = 0
        if len(self.waiting):
            self.waiting.extend(fresh)
        else:
            self.waiting = fresh
            self._lowest_cap, self._next_deadline = ANY_FEE, NEVER
        if len(fresh):
            self._lowest_cap = min(self._lowest_cap, min(fresh.cap))
            self._next_deadline = min(self._next_deadline, min(fresh.deadline))

    def select(self, now: int, base_fee: int, gas_limit: int, ordering: Ordering, rng: np.random.Generator) -> tuple[Rows, list[tuple[int, Status]], Rows]:
        """Take a block's rows out of the mempool, in the order of execution.

        Returns the rows taken; indices and reasons of rows that are dropped, into the third, which holds the dropped.
        """
        waiting, dropped, reasons = self.waiting, Rows(), []
        if now > self._next_deadline:
            waiting, dropped, reasons = self._expire(now, base_fee)
        if self._lowest_cap >= base_fee and ordering.by_arrival:
            start, stop, room = self.head, self.head, gas_limit
            gas, end = waiting.gas, len(waiting)
            if sum(gas[start:]) <= room if end - start < 4096 else False:
                stop = end
            else:
                while stop < end and gas[stop] <= room:
                    room -= gas[stop]
                    stop += 1
            self.head = stop
            taken = waiting if start == 0 and stop == end else waiting.slice(start, stop)
            if taken is waiting:
                self.waiting, self.head = Rows(), 0
            return taken, reasons, dropped
        return self._choose(base_fee, gas_limit, ordering, rng), reasons, dropped

    def _choose(self, base_fee: int, gas_limit: int, ordering: Ordering, rng: np.random.Generator) -> Rows:
        if self.head:
            self.waiting, self.head = self.waiting.slice(self.head, len(self.waiting)), 0
        waiting = self.waiting
        n = len(waiting)
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

    def _expire(self, now: int, base_fee: int) -> tuple[Rows, Rows, list[tuple[int, Status]]]:
        if self.head:
            self.waiting, self.head = self.waiting.slice(self.head, len(self.waiting)), 0
        late = np.array(self.waiting.deadline, np.int64) < now
        dropped = self.waiting.take(np.flatnonzero(late).tolist())
        reasons = [(i, Status.FEE_TOO_LOW if cap < base_fee else Status.DEADLINE) for i, cap in enumerate(dropped.cap)]
        self._keep(self.waiting.take(np.flatnonzero(~late).tolist()))
        return self.waiting, dropped, reasons

    def _keep(self, rows: Rows) -> None:
        self.waiting, self.head = rows, 0
        self._lowest_cap = min(rows.cap, default=ANY_FEE)
        self._next_deadline = min(rows.deadline, default=NEVER)
