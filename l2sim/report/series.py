"""Series: a log brought down to what a figure can show: a few hundred points for each line, whatever the run's length."""

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.events import (
    AttackBegan,
    AttackEnded,
    BlockSealed,
    HeadAdvanced,
    LoanLiquidated,
    OracleUpdated,
    PositionClosed,
    PositionLiquidated,
    PositionOpened,
    PriceMoved,
    TransactionDropped,
    TransactionIncluded,
)
from l2sim.report.reorganizations import seen, undone
from l2sim.transactions import Status
from l2sim.units import DAY, HOUR, MINUTE, SECOND

if TYPE_CHECKING:
    from l2sim.log import Log

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

BINS = 240
"""Intervals that counts and sums are taken over."""
TEETH = 500
"""Advances of a head up to which its lag is given one by one, above it only the extremes of each interval."""


class Series(NamedTuple):
    """Points of a line."""

    times: Floats
    """Nanoseconds since the start."""
    values: Floats

    @property
    def there(self) -> bool:
        """Whether there is anything to draw."""
        return bool(np.isfinite(self.values).any())


EMPTY = Series(np.empty(0), np.empty(0))


class Window(NamedTuple):
    """An attack while it lasts."""

    name: str
    begins: float
    """Nanoseconds since the start."""
    ends: float


def edges(log: "Log", bins: int = BINS) -> Floats:
    """The ends of equal intervals over the run (ns)."""
    return np.linspace(0.0, log.about["duration"], bins + 1)


def _middle(edges: Floats) -> Floats:
    middle: Floats = (edges[1:] + edges[:-1]) / 2
    return middle


def windows(log: "Log") -> list[Window]:
    """The attacks that began, each until it ended or the run did."""
    began, names = log.select(AttackBegan, "time", "attack")
    found = []
    for time, code in zip(began.tolist(), names.tolist(), strict=True):
        name = log.names.all[code]
        (ended,) = log.select(AttackEnded, "time", attack=name)
        later = ended[ended >= time]
        found.append(Window(name, float(time), float(later[0]) if len(later) else float(log.about["duration"])))
    return sorted(found, key=lambda window: (window.begins, window.name))


def time_unit(duration: int) -> tuple[float, str]:
    """The unit in which an axis of simulated time is written (ns), and its name."""
    for least, unit, name in ((10 * DAY, DAY, "days"), (2 * HOUR, HOUR, "hours"), (3 * MINUTE, MINUTE, "minutes")):
        if duration >= least:
            return float(unit), name
    return float(SECOND), "seconds"


def outside(log: "Log", price: str) -> tuple[Series, Series]:
    """The outside price before and after the impact of the run's own trades."""
    times, path, index = log.select(PriceMoved, "time", "path", "index", price=price)
    return Series(times.astype(np.float64), path), Series(times.astype(np.float64), index)


def feed(log: "Log", market: str) -> Series:
    """What a feed showed, as a line with steps."""
    times, values = log.select(OracleUpdated, "time", "value", market=market)
    if not len(times):
        return EMPTY
    end = log.about["duration"]
    at = np.concatenate([np.repeat(times, 2)[1:], [end]]).astype(np.float64)
    return Series(at, np.repeat(values, 2))


def traded(log: "Log", market: str) -> Series:
    """The median price of the trades in a market, in each interval in which anybody traded."""
    kind = log.about.get("markets", {}).get(market, {}).get("kind")
    if kind == "constant_product":
        times, action, status, x, y = log.select(TransactionIncluded, "time", "action", "status", "x", "y", market=market)
        done = (status == Status.SUCCEEDED) & (x > 0) & (y > 0)
        times, x, y = times[done], x[done], y[done]
        price = np.where(action[done] == log.names.find("buy"), x / y, y / x)
    else:
        opened, entry = log.select(PositionOpened, "time", "entry", market=market)
        closed, exits = log.select(PositionClosed, "time", "price", market=market)
        live = opened > 0  # those at 0 were brought, not traded
        times, price = np.concatenate([opened[live], closed]), np.concatenate([entry[live], exits])
    if not len(times):
        return EMPTY
    ends = edges(log)
    order = np.argsort(times, kind="stable")
    cuts = np.searchsorted(times[order], ends)
    cuts[-1] = len(times)
    some = np.diff(cuts) > 0
    medians = [np.median(price[order][first:last]) for first, last in pairwise(cuts) if last > first]
    return Series(_middle(ends)[some], np.array(medians))


def executed(log: "Log", chain: str) -> Series:
    """Transactions a second."""
    (times,) = log.select(TransactionIncluded, "time", chain=chain)
    ends = edges(log)
    counts, _ = np.histogram(times, ends)
    return Series(_middle(ends), counts / (ends[1] - ends[0]) * SECOND) if len(times) else EMPTY


def waiting(log: "Log", chain: str) -> Series:
    """Transactions submitted and neither in a block nor dropped yet; those that still waited at the end are not in the log."""
    done, sent = log.select(TransactionIncluded, "time", "submitted", chain=chain)
    left, given = log.select(TransactionDropped, "time", "submitted", chain=chain)
    if not len(done) + len(left):
        return EMPTY
    at = edges(log, 4 * BINS)
    sent, gone = np.sort(np.concatenate([sent, given])), np.sort(np.concatenate([done, left]))
    there = np.searchsorted(sent, at, side="right") - np.searchsorted(gone, at, side="right")
    return Series(at, there.astype(np.float64))


def liquidated(log: "Log", market: str | None = None) -> Series:
    """Notional liquidated in each interval, of loans the worth of what was seized (USD)."""
    times, size, mark = log.select(PositionLiquidated, "time", "size", "mark", market=market)
    when, seized = log.select(LoanLiquidated, "time", "seized_value", market=market)
    ends = edges(log)
    sums, _ = np.histogram(np.concatenate([times, when]), ends, weights=np.concatenate([np.abs(size) * mark, seized]))
    return Series(_middle(ends), sums)


def lag(log: "Log", chain: str, head: str) -> Series:
    """How far a head is behind: now less the time at which its block was made (s).

    Empty blocks are not in the log; a head at one of them counts as made at its place between its neighbours, and after the last
    block in the log by the usual time between blocks. For ``unsafe``, empty blocks count as made as soon as they could. Where blocks
    were undone, the head is where it was seen until then, and goes back.
    """
    made, number = log.select(BlockSealed, "time", "number", chain=chain)
    if not len(made):
        return EMPTY
    if head == "unsafe":
        return _silence(log, chain)
    times, heads = seen(log, HeadAdvanced, chain, head=head)
    if not len(times):
        return EMPTY
    about = log.about["chains"][chain]
    empty = max(0, about["blocks"] - number[-1])  # blocks after the last one in the log
    ends = made[-1] + empty * (about["block_time"] or 0)
    since = np.append(0.0, np.interp(heads, np.r_[0, number, number[-1] + empty], np.r_[0, made, ends]))
    when = np.append(0.0, times)
    if len(times) > TEETH:
        return _extremes(when, since, edges(log))
    at = edges(log, 2 * BINS)
    last = np.searchsorted(when, at, side="right") - 1
    # Each advance twice, before and after it, and points between, since a line is a curve on a logarithmic axis.
    order = np.lexsort((np.repeat([1, 0, 2], [len(at), len(times), len(times)]), np.concatenate([at, times, times])))
    times_there = np.concatenate([at, times, times])[order]
    heads_there = np.concatenate([since[last], since[:-1], since[1:]])[order]
    return Series(times_there, (times_there - heads_there) / SECOND)


def _extremes(when: Floats, since: Floats, ends: Floats) -> Series:
    """The least and the largest lag in each interval: samples of a head that advances more often than they are taken show neither."""
    last = np.searchsorted(when, ends, side="right") - 1
    at_ends = ends - since[last]
    lowest, highest = np.minimum(at_ends[:-1], at_ends[1:]), np.maximum(at_ends[:-1], at_ends[1:])
    place = np.clip(np.searchsorted(ends, when[1:], side="right") - 1, 0, len(ends) - 2)
    np.minimum.at(lowest, place, when[1:] - since[1:])
    np.maximum.at(highest, place, when[1:] - since[:-1])
    return Series(np.repeat(_middle(ends), 2), np.column_stack([lowest, highest]).ravel() / SECOND)


def teeth(points: Series) -> int:
    """How often a line goes down."""
    return int(np.count_nonzero(np.diff(points.values) < 0))


def envelope(points: Series, end: float, parts: int) -> tuple[Floats, Floats, Floats]:
    """The ends of equal parts of the run (ns), and the least and the largest value in each; NaN where there is no point."""
    ends = np.linspace(0.0, end, parts + 1)
    place = np.clip(np.searchsorted(ends, points.times, side="right") - 1, 0, parts - 1)
    low, high = np.full(parts, np.inf), np.full(parts, -np.inf)
    np.minimum.at(low, place, points.values)
    np.maximum.at(high, place, points.values)
    there = np.isfinite(low)
    return ends, np.where(there, low, np.nan), np.where(there, high, np.nan)


def _silence(log: "Log", chain: str) -> Series:
    """The longest silence up to then in each interval: how far the unsafe head was behind at most, and where undone blocks left it."""
    usual = log.about.get("chains", {}).get(chain, {}).get("block_time") or 0
    made, number = (np.append(0, column) for column in seen(log, BlockSealed, chain))
    blocks = log.about.get("chains", {}).get(chain, {}).get("blocks", 0)
    empties = np.append(np.maximum(np.diff(number) - 1, 0), max(0, blocks - number[-1]))  # blocks after each one that are not in the log
    ends = edges(log)
    at = ends[1:]
    last = np.searchsorted(made, at, side="right") - 1
    behind = np.maximum(at - made[last] - empties[last] * usual, np.minimum(usual, at - made[last]))
    gaps = np.maximum(np.diff(made) - empties[:-1] * usual, usual)
    most = np.zeros(len(at))
    np.maximum.at(most, np.clip(np.searchsorted(at, made[1:], side="left"), 0, len(at) - 1), gaps)
    for one in undone(log):
        if one.chain == chain:
            place = min(int(np.searchsorted(at, one.ends, side="left")), len(at) - 1)
            most[place] = max(most[place], one.ends - one.begins + usual)
    return Series(_middle(ends), np.maximum(most, behind) / SECOND)


def fees(log: "Log", chain: str, field: str) -> Series:
    """Mean base fee of a chain in each interval (gwei)."""
    times, fee = log.select(BlockSealed, "time", field, chain=chain)
    if not len(times) or not (fee > 0).any():
        return EMPTY
    ends = edges(log)
    sums, _ = np.histogram(times, ends, weights=fee.astype(np.float64))
    counts, _ = np.histogram(times, ends)
    some = counts > 0
    return Series(_middle(ends)[some], sums[some] / counts[some] / 1e9)
