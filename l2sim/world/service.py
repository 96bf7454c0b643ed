"""Service: a sequencer that takes time to execute, so much gas a second, one transaction after the other."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from l2sim.data_fees import NO_CHARGE, Charge
from l2sim.events import TransactionServed
from l2sim.ordering import Ordering
from l2sim.transactions import Rows, Status
from l2sim.units import SECOND
from l2sim.world.inbox import Cut

if TYPE_CHECKING:
    from l2sim.world.chain import LiveChain


class Service:
    """The single server of a chain: it executes for the next block whenever something waits, and never stops half-way.

    A transaction waits in the mempool until its block is made; the block takes what has been executed by then, in that order.
    When the next one does not fit into the block, the server pauses until the block after it begins; where the ordering passes over
    what does not fit, it goes on with what is over before the block ends and fits, and pauses when nothing does. What is dropped
    before its execution is over costs the time until the last block.
    """

    def __init__(self, chain: "LiveChain", speed: int) -> None:
        self.speed = speed
        """Gas per second."""
        self.free = 0
        """When it began what it is executing, or else can begin something (ns)."""
        self._inbox = chain.inbox
        self._begun: tuple[int, int] | None = None
        """Arrival and tie key of what it is executing."""
        self._last = 0
        """When a block was last made."""
        self._chain_code = chain.world.log.names.code(chain.name)
        self._served = chain.world.log.table(TransactionServed) if "TransactionServed" in chain.world.needs else None

    def select(
        self,
        now: int,
        base_fee: int,
        gas_limit: int,
        ordering: Ordering,
        luck: Callable[[], np.random.Generator],
        charge: Charge = NO_CHARGE,
    ) -> tuple[Cut, list[tuple[int, Status]], Rows | None]:
        """Like ``Inbox.select``, of what is executed by ``now``; what came into the mempool at this very instant takes no time."""
        inbox = self._inbox
        reasons, dropped = inbox.expire(now, base_fee)
        rows, start, stop, _ = inbox.waiting
        newest = bisect_left(rows.arrives, now, start, stop)
        current = self._current(base_fee)
        in_turn = current in (None, start) and inbox.in_turn(base_fee, ordering)
        ranked = list(range(newest, stop)) if in_turn else inbox.ranked(base_fee, ordering, luck())
        turns: Iterable[int] = range(start, newest) if in_turn else self._turns(rows, [i for i in ranked if i < newest], current)
        passes_over = ordering.passes_over
        data = inbox.data.room(gas_limit, charge.footprint)
        taken, begins, ends, room, left = self._execute(rows, turns, now, gas_limit, data, charge, passes_over)
        if self._served is not None and taken:
            columns = ([column[i] for i in taken] for column in (rows.submitted, rows.sender, rows.arrives))
            self._served.extend(len(taken), now, self._chain_code, *columns, begins, ends)
        for i in (i for i in ranked if i >= newest):
            weighs = charge.weighs(rows.size[i])
            if weighs > inbox.data.transaction:
                continue
            if rows.gas[i] > room or weighs > left:
                if passes_over:
                    continue
                break
            room -= rows.gas[i]
            left -= weighs
            taken.append(i)
        in_front = taken == list(range(start, start + len(taken)))
        return inbox.take_first(len(taken)) if in_front else inbox.take(taken), reasons, dropped

    def _current(self, base_fee: int) -> int | None:
        """The position of what is being executed; None where there is nothing, or it was dropped or cannot pay the base fee."""
        if self._begun is None:
            return None
        rows, start, stop, _ = self._inbox.waiting
        for i in range(start, stop):
            if (rows.arrives[i], rows.tie[i]) == self._begun and rows.cap[i] >= base_fee:
                return i
        self.free = self._last
        return None

    def _execute(
        self, rows: Rows, turns: Iterable[int], now: int, room: int, left: int, charge: Charge, passes_over: bool
    ) -> tuple[list[int], list[int], list[int], int, int]:
        """Execute rows in their turns until ``now``: those that are done, when each began and ended, gas and bytes of data left."""
        largest = self._inbox.data.transaction
        taken: list[int] = []
        begun: list[int] = []
        ended: list[int] = []
        arrives, gas, speed = rows.arrives, rows.gas, self.speed
        before, least = self._last, 0
        self._begun, self._last = None, now
        for i in turns:
            weighs = charge.weighs(rows.size[i])
            if weighs > largest:
                continue
            begins = arrives[i] if arrives[i] > self.free else self.free
            if begins >= now:
                break
            ends = begins - -gas[i] * SECOND // speed
            if ends > now and not least:
                self._begun = arrives[i], rows.tie[i]
                self.free = begins
                break
            if ends > now or gas[i] > room or weighs > left:
                if not passes_over:
                    break
                least = least or self._least()
                if room < least:
                    break
                self.free = max(self.free, before)
                continue
            room -= gas[i]
            left -= weighs
            self.free = ends
            taken.append(i)
            begun.append(begins)
            ended.append(ends)
        if self._begun is None:
            self.free = now
        return taken, begun, ended, room, left

    def _least(self) -> int:
        """The least gas of what waits, 1 at least."""
        rows, start, stop, _ = self._inbox.waiting
        return max(min(rows.gas[start:stop]), 1)

    def _turns(self, rows: Rows, ranked: list[int], current: int | None) -> Iterator[int]:
        """Positions in the order of execution: the current one; then, whenever it is free, the first by rank of what has arrived."""
        arrives = rows.arrives
        if current is not None:
            ranked.remove(current)
            ranked.insert(0, current)
        coming = sorted(range(len(ranked)), key=lambda rank: arrives[ranked[rank]], reverse=True)
        here: list[int] = []
        while coming or here:
            free = self.free if here else max(self.free, arrives[ranked[coming[-1]]])
            while coming and arrives[ranked[coming[-1]]] <= free:
                heappush(here, coming.pop())
            yield ranked[heappop(here)]

    def restart(self, now: int) -> None:
        """Begin anew: blocks were undone, and what was in them is to be executed again."""
        self.free = max(self.free, now)
        self._begun = None
