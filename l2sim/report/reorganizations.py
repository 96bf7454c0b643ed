"""Reorganisations: which blocks were undone and when, and where a head seemed to be before anybody knew."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.events import BlockSealed, ChainReorganized

if TYPE_CHECKING:
    from l2sim.log import Log

Times = npt.NDArray[np.int64]

NEVER = np.iinfo(np.int64).max


class Undone(NamedTuple):
    """Blocks that a chain took back, all at once."""

    chain: str
    blocks: int
    transactions: int
    lost: int
    begins: float
    """When the first of them had been made (ns)."""
    ends: float
    """When they were undone."""


class Advances(NamedTuple):
    """A head as it was seen: from each time on it is at a block that was made at another, and may go back."""

    times: Times
    numbers: Times


def undone(log: "Log") -> list[Undone]:
    """Every reorganisation, in order of time."""
    columns = ("time", "chain", "first", "last", "transactions", "lost")
    found = []
    for time, code, first, last, transactions, lost in zip(*map(np.ndarray.tolist, log.select(ChainReorganized, *columns)), strict=True):
        chain = log.names.all[code]
        made, number, canonical = _rows(log, BlockSealed, chain)
        mine = ~canonical & (made <= time) & (number >= first) & (number <= last)
        usual = log.about.get("chains", {}).get(chain, {}).get("block_time") or 0
        # Empty blocks are not in the log; the first of those undone was made a block time before the second.
        begins = min(time, *(made[mine] - (number[mine] - first) * usual).tolist()) if mine.any() else time - (last - first + 1) * usual
        found.append(Undone(chain, last - first + 1, transactions, lost, float(max(begins, 0)), float(time)))
    return sorted(found, key=lambda one: (one.ends, one.chain))


def seen(log: "Log", fact: type, chain: str, **where: str) -> Advances:
    """Times and numbers of a fact about blocks of a chain, with what was undone until it was, and where that left the head."""
    times, numbers, canonical = _rows(log, fact, chain, **where)
    known = [chain, log.about.get("chains", {}).get(chain, {}).get("settles_on")]
    when, names = log.select(ChainReorganized, "time", "chain")
    back = when[np.isin(names, [log.names.find(name) for name in known if name])]
    if canonical.all() or not len(back):
        return Advances(times[canonical], np.maximum.accumulate(numbers[canonical]))
    back = np.sort(back)
    order = np.argsort(times, kind="stable")
    times, numbers, canonical = times[order], numbers[order], canonical[order]
    gone = np.where(canonical, NEVER, np.append(back, NEVER)[np.searchsorted(back, times)])
    happened = canonical | (gone < NEVER)
    times, numbers, gone = times[happened], numbers[happened], gone[happened]
    left = [(numbers[(times < time) & (gone > time)])[-1:] for time in back]
    steps = np.concatenate([back, times]), np.concatenate([[int(number[0]) if len(number) else 0 for number in left], numbers])
    order = np.argsort(steps[0], kind="stable")
    return Advances(steps[0][order], steps[1][order])


def _rows(log: "Log", fact: type, chain: str, **where: str) -> tuple[Times, Times, npt.NDArray[np.bool_]]:
    """Time, number and whether it stands, of all rows about a chain, those that were undone among them."""
    arrays: dict[str, Any] = log.arrays(fact.__name__, reverted=True)
    if not arrays:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool)
    here = np.ones(len(arrays["time"]), bool)
    for field, name in {"chain": chain, **where}.items():
        here &= arrays[field] == log.names.find(name)
    stands = arrays.get("canonical", np.ones(len(here), bool))
    return arrays["time"][here], arrays["number"][here], stands[here].astype(bool)
