"""The inbox: transactions on their way to a chain, and those that wait in its mempool."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from math import inf
from operator import add
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.data_fees import NO_CHARGE, Charge
from l2sim.ordering import Ordering, Pending
from l2sim.transactions import ANY_FEE, NEVER, Rows, Status
from l2sim.world.throttle import NO_LIMIT

_NEAR = 64
"""Rows among which the end of a block's arrivals is looked for first."""


class Traits(NamedTuple):
    """What all rows of some columns have in common, found once so that blocks need not look at every row."""

    lowest_cap: int = ANY_FEE
    """The least fee cap among them, wei per gas."""
    first_deadline: int = NEVER
    """The earliest deadline among them (ns)."""
    tips: bool = False
    """Whether any offers a priority fee."""
    tickets: bool = False
    """Whether anybody waits for a receipt."""
    references: bool = False
    """Whether any brings its own reference price."""
    gas: int | None = None
    """The gas that each uses, where it is the same."""
    size: int | None = None
    """The bytes that each takes, where they are the same."""
    market: int | None = None
    """The market that each is for, where it is the same."""

    @classmethod
    def of(cls, rows: Rows) -> "Traits":
        """The traits of rows, whose columns may be single numbers, see ``Rows.given``."""
        if not rows.number:
            return cls()
        gas, size, market = (_least(column) for column in (rows.gas, rows.size, rows.market))
        return cls(
            _least(rows.cap), _least(rows.deadline), bool(_most(rows.tip)), bool(_most(rows.ticket) or _least(rows.ticket)),
            bool(_most(rows.reference)), gas if gas == _most(rows.gas) else None, size if size == _most(rows.size) else None,
            market if market == _most(rows.market) else None,
        )  # fmt: skip

    def with_those(self, other: "Traits") -> "Traits":
        """Of these rows and others together."""
        return Traits(
            min(self.lowest_cap, other.lowest_cap), min(self.first_deadline, other.first_deadline), self.tips or other.tips,
            self.tickets or other.tickets, self.references or other.references,
            self.gas if self.gas == other.gas else None, self.size if self.size == other.size else None,
            self.market if self.market == other.market else None,
        )  # fmt: skip


def _least(column: Any) -> Any:
    """The least number of a column, or the one number that all rows have."""
    return min(column) if isinstance(column, list) else np.min(column).item()


def _most(column: Any) -> Any:
    """And the greatest."""
    return max(column) if isinstance(column, list) else np.max(column).item()


class Cut(NamedTuple):
    """Rows start..stop of some columns, which are not copied."""

    rows: Rows
    start: int
    stop: int
    traits: Traits

    @classmethod
    def whole(cls, rows: Rows) -> "Cut":
        """All of some rows."""
        return cls(rows, 0, rows.number, Traits.of(rows))

    def bidding(self, least: int) -> "Cut":
        """The same rows, whose priority fees are raised to so much where they are less."""
        rows, start, stop, traits = self
        rows.tip[start:stop] = [max(tip, least) for tip in rows.tip[start:stop]]
        return Cut(rows, start, stop, traits._replace(tips=True))


NO_ROWS = Cut(Rows.none(), 0, 0, Traits())
"""Nothing; its columns are never added to."""


def _merged(cuts: list[Cut], time: int) -> Cut:
    """What several columns of arrays hold that arrives before ``time``, in order."""
    ends = [cut.start + int(np.searchsorted(cut.rows.arrives[cut.start : cut.stop], time)) for cut in cuts]
    parts = [cut.rows.slice(cut.start, end) for cut, end in zip(cuts, ends, strict=True)]
    columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.lexsort((columns[1], columns[0]))
    rows = Rows(*[column[order] for column in columns])
    traits = cuts[0].traits
    for cut in cuts[1:]:
        traits = traits.with_those(cut.traits)
    return Cut(rows, 0, rows.number, traits)


class Inbox:
    """Arrivals in order of time and tie key, and the mempool that they enter.

    Crowds hand in long columns sorted by arrival, of which each block is a cut; single messages go through a heap.
    """

    def __init__(self, arrays: bool = False) -> None:
        self.arrays = arrays
        """Whether crowds hand in arrays; what waits in the mempool is lists all the same."""
        self._columns: list[Cut] = []
        self._messages: list[tuple[int | float, ...]] = []
        self.waiting = NO_ROWS
        self._backlog: Rows | None = None
        self.data = NO_LIMIT
        """What the next block may hold of data."""
        self.least_tip = 0
        """Priority fee that everybody here bids at least, wei per gas."""
        self.rivals: list[tuple[int, Callable[[int], int]]] = []
        """Who buys gas of the next block besides, the highest bid first: the bid (wei per gas), and what it buys of so much."""

    def earliest(self) -> float:
        """When the next transaction arrives (ns), minus infinity where one waits already."""
        if len(self):
            return -inf
        arrivals = [cut.rows.arrives[cut.start] for cut in self._columns]
        return min([*arrivals, *(message[0] for message in self._messages[:1])], default=inf)

    def __len__(self) -> int:
        return self.waiting.stop - self.waiting.start

    def stretch(self, times: Sequence[int]) -> "tuple[Rows, npt.NDArray[np.int64], Traits] | None":
        """The arrivals of blocks at these times, as far as nothing but crowds' columns arrives; nothing is taken.

        Returns columns, the positions at which the rows of each block begin and the last one's end, and the traits; None where
        something waits already, or where the first block has messages. The columns of one crowd are not copied.
        """
        if self._messages:
            times = times[: bisect_right(times, self._messages[0][0])]
        if len(self) or not times:
            return None
        due = [cut for cut in self._columns if cut.rows.arrives[cut.start] < times[-1]]
        if not due:
            return Rows.of(0, arrays=True), np.zeros(len(times) + 1, np.int64), Traits()
        rows, start, stop, traits = due[0] if len(due) == 1 else _merged(due, times[-1])
        bounds = np.empty(len(times) + 1, np.int64)
        bounds[0] = start
        arrives: Any = rows.arrives[start:stop]
        bounds[1:] = arrives.searchsorted(np.array(times, np.int64))
        bounds[1:] += start
        return rows, bounds, traits

    def taken(self, time: int) -> None:
        """Blocks up to one at ``time`` have taken everything that arrived before it (only of crowds' columns, as arrays)."""
        columns, self._columns = self._columns, []
        for rows, start, stop, traits in columns:
            arrives: Any = rows.arrives[start:stop]
            start += int(arrives.searchsorted(time))
            if start < stop:
                self._columns.append(Cut(rows, start, stop, traits))

    def add(self, rows: Rows, traits: Traits) -> None:
        """Rows that arrive now or later, sorted by arrival and tie key, and what they have in common."""
        self._columns.append(Cut(rows, 0, rows.number, traits))

    def send(self, row: tuple[int | float, ...]) -> None:
        """One message: a tuple in the order of the fields of ``Rows``."""
        heappush(self._messages, row)

    def arrivals(self, now: int) -> Cut | None:
        """What arrived strictly before ``now`` since last asked, in order; None where nothing did."""
        parts: list[Cut] = []
        spent = False
        for i, (rows, start, end, traits) in enumerate(self._columns):
            arrives = rows.arrives
            if arrives[start] < now:
                near = start + _NEAR if start + _NEAR < end and arrives[start + _NEAR] >= now else end
                stop = bisect_left(arrives, now, start, near)
                part = Cut(rows.slice(start, stop).listed(), 0, stop - start, traits) if self.arrays else Cut(rows, start, stop, traits)
                parts.append(part)
                self._columns[i] = Cut(rows, stop, end, traits)
                spent |= stop == end
        if spent:
            self._columns = [column for column in self._columns if column.start < column.stop]
        if self._messages and self._messages[0][0] < now:
            messages = []
            while self._messages and self._messages[0][0] < now:
                messages.append(heappop(self._messages))
            parts.append(Cut.whole(Rows(*map(list, zip(*messages, strict=True)))))
        if len(parts) < 2:
            return parts[0] if parts else None
        merged = Rows.none()
        for part in parts:
            merged.extend(part.rows.slice(part.start, part.stop))
        return Cut.whole(merged.sorted())

    def admit(self, fresh: Cut) -> None:
        """Put arrivals into the mempool, behind what waits there."""
        if self.least_tip:
            fresh = fresh.bidding(self.least_tip)
        waiting = self.waiting
        if waiting.start == waiting.stop:
            self.waiting = fresh
            return
        rows, start, stop, traits = waiting
        more, first, last, others = fresh
        if rows is not self._backlog or start > 65_536:
            # A crowd's own columns go on behind this cut; what waits gets columns of its own.
            rows = self._backlog = Rows(*map(add, rows.slice(start, stop), more.slice(first, last)))
            start = 0
        else:
            rows.extend(more.slice(first, last))
        self.waiting = Cut(rows, start, rows.number, traits.with_those(others))

    def put_back(self, rows: Rows) -> None:
        """Rows that were in a block are pending again, before everything that waits."""
        waiting = self.waiting
        rows.extend(waiting.rows.slice(waiting.start, waiting.stop))
        self._keep(rows)

    def select(
        self,
        now: int,
        base_fee: int,
        gas_limit: int,
        ordering: Ordering,
        luck: Callable[[], np.random.Generator],
        charge: Charge = NO_CHARGE,
    ) -> tuple[Cut, list[tuple[int, Status]], Rows | None]:
        """Take a block's rows out of the mempool, in the order of execution; their data must fit like their gas.

        Their data have as much room as the footprint of a byte leaves them, and as ``data`` does.

        Returns the rows taken; then indices and reasons of rows that were dropped, and the rows that these point into.
        """
        reasons, dropped = self.expire(now, base_fee)
        waiting = self.waiting
        rows, start, end, traits = waiting
        room = self.data.room(gas_limit, charge.footprint)
        if not self.in_turn(base_fee, ordering):
            ranked = self.ranked(base_fee, ordering, luck())
            return self.take(self._with_room(ranked, base_fee, gas_limit, room, ordering, charge)), reasons, dropped
        fits = (sum(rows.gas[start:end]) if traits.gas is None else traits.gas * (end - start)) <= gas_limit
        large = False
        if room < NEVER and start < end:
            sizes = rows.size[start:end] if traits.size is None else (traits.size,)
            large = charge.weighs(max(sizes)) > self.data.transaction
            fits = fits and not large and sum(map(charge.weighs, sizes)) * ((end - start) // len(sizes)) <= room
        if fits and not self.rivals:
            self.waiting = NO_ROWS
            return waiting, reasons, dropped
        if large or self.rivals or (ordering.passes_over and (traits.gas is None or traits.size is None)):
            turns = self._with_room(range(start, end), base_fee, gas_limit, room, ordering, charge)
            return self.take(turns), reasons, dropped
        # Where all are alike, nothing fits behind what does not.
        gas, size, stop = rows.gas, rows.size, start
        while stop < end and gas[stop] <= gas_limit and (weighs := charge.weighs(size[stop])) <= room:
            gas_limit -= gas[stop]
            room -= weighs
            stop += 1
        return self.take_first(stop - start), reasons, dropped

    def _with_room(
        self, turns: Sequence[int], base_fee: int, gas_limit: int, data: int, ordering: Ordering, charge: Charge
    ) -> Sequence[int]:  # fmt: skip
        """Of positions in the order of execution, those that a block has room for; rivals buy gas before all that offer no more.

        What is larger than a transaction may be is as if it were not there.
        """
        rows = self.waiting.rows
        weights = np.zeros(len(turns), np.int64)
        if data < NEVER:
            weights = np.maximum(np.array([rows.size[i] for i in turns], np.int64), charge.floor_bytes)
            if (large := weights > self.data.transaction).any():
                turns, weights = [turns[k] for k in np.flatnonzero(~large).tolist()], weights[~large]
        gas = np.array([rows.gas[i] for i in turns], np.int64)
        if not self.rivals and gas.sum() <= gas_limit and weights.sum() <= data:
            return turns
        offers = np.array([min(rows.tip[i], rows.cap[i] - base_fee) for i in turns] if self.rivals else np.zeros(len(turns)), np.int64)
        late = np.ones(len(turns), np.bool_)
        room, taken = gas_limit, []
        for bid, buy in (*self.rivals, (-1, None)):
            ahead = late & (offers > bid)
            found = fitting(np.flatnonzero(ahead), gas, weights, room, data, ordering.passes_over)
            room -= int(gas[found].sum())
            data -= int(weights[found].sum())
            taken += found.tolist()
            late &= ~ahead
            if buy is not None:
                room -= buy(room)
        return [turns[place] for place in sorted(taken)]

    def in_turn(self, base_fee: int, ordering: Ordering) -> bool:
        """Whether everything that waits can pay the base fee and is executed in the order of arrival."""
        traits = self.waiting.traits
        return traits.lowest_cap >= base_fee and (ordering.by_arrival or (ordering.by_tip and not traits.tips))

    def ranked(self, base_fee: int, ordering: Ordering, rng: np.random.Generator) -> list[int]:
        """The positions in ``waiting.rows`` of what can pay the base fee, in the order of execution."""
        first = self.waiting.start
        waiting = self.waiting.rows.slice(first, self.waiting.stop)
        cap = np.array(waiting.cap, np.int64)
        able = np.flatnonzero(cap >= base_fee)
        pending = Pending(
            np.array(waiting.arrives, np.int64)[able],
            np.array(waiting.tie, np.uint64)[able],
            np.minimum(np.array(waiting.tip, np.int64)[able], cap[able] - base_fee),
            np.array(waiting.gas, np.int64)[able],
        )
        ranked: list[int] = (first + able[ordering.order(pending, rng)]).tolist()
        return ranked

    def take_first(self, n: int) -> Cut:
        """Take the first ``n`` rows out of the mempool."""
        rows, start, stop, traits = self.waiting
        self.waiting = Cut(rows, start + n, stop, traits) if start + n < stop else NO_ROWS
        return Cut(rows, start, start + n, traits)

    def take(self, positions: Sequence[int]) -> Cut:
        """Take rows out of the mempool, by their positions in ``waiting.rows`` in the order of execution."""
        rows, start, stop, _ = self.waiting
        taken = set(positions)
        behind = max(positions, default=start - 1) + 1
        left = rows.take([i for i in range(start, behind) if i not in taken])
        left.extend(rows.slice(behind, stop))
        self._keep(left)
        return Cut.whole(rows.take(positions))

    def expire(self, now: int, base_fee: int) -> tuple[list[tuple[int, Status]], Rows | None]:
        """Drop what gave up before now: indices and reasons, and the rows that these point into."""
        if now <= self.waiting.traits.first_deadline:
            return [], None
        waiting = self.waiting.rows.slice(self.waiting.start, self.waiting.stop)
        late = np.array(waiting.deadline, np.int64) < now
        dropped = waiting.take(np.flatnonzero(late).tolist())
        self._keep(waiting.take(np.flatnonzero(~late).tolist()))
        return [(i, Status.FEE_TOO_LOW if cap < base_fee else Status.DEADLINE) for i, cap in enumerate(dropped.cap)], dropped

    def _keep(self, rows: Rows) -> None:
        self.waiting = Cut.whole(rows) if rows.number else NO_ROWS


def fitting(
    turns: npt.NDArray[np.int64], gas: npt.NDArray[np.int64], weights: npt.NDArray[np.int64], room: int, data: int, passes_over: bool
) -> npt.NDArray[np.int64]:
    """Of transactions in the order of execution, those that fit into a block by gas and by the weight of their data.

    The first that does not fit is passed over, or is the last that is tried.
    """
    taken = [turns[:0]]
    while len(turns):
        fits = (np.cumsum(gas[turns]) <= room) & (np.cumsum(weights[turns]) <= data)
        n = len(turns) if fits.all() else int(np.argmin(fits))
        taken.append(turns[:n])
        if not passes_over:
            break
        room -= int(gas[turns[:n]].sum())
        data -= int(weights[turns[:n]].sum())
        turns = turns[n:]
        turns = turns[(gas[turns] <= room) & (weights[turns] <= data)]
    return np.concatenate(taken)
