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
    found = []
    for chain in log.present(ChainReorganized, "chain"):
        made, number, canonical = _rows(log, BlockSealed, chain)
        gone = _gone(log, chain, made, number, canonical)
        usual = log.about.get("chains", {}).get(chain, {}).get("block_time") or 0
        columns = log.select(ChainReorganized, "time", "first", "last", "transactions", "lost", chain=chain)
        for time, first, last, transactions, lost in zip(*map(np.ndarray.tolist, columns), strict=True):
            # Empty blocks are not in the log; the first of those undone was made so many block times before any other.
            since = (made - (number - first) * usual)[gone == time]
            begins = min(since.tolist(), default=time - (last - first + 1) * usual)
            found.append(Undone(chain, last - first + 1, transactions, lost, float(max(begins, 0)), float(time)))
    return sorted(found, key=lambda one: (one.ends, one.chain))


def seen(log: "Log", fact: type, chain: str, **where: str) -> Advances:
    """Times and numbers of a fact about blocks of a chain, with what was undone until it was, and where that left the head.

    Blocks are undone by the chain itself, safe and finalized heads go back with the chain that it settles on.
    """
    times, numbers, canonical = _rows(log, fact, chain, **where)
    if fact is BlockSealed:
        gone = _gone(log, chain, times, numbers, canonical)
    else:
        base = log.about.get("chains", {}).get(chain, {}).get("settles_on")
        back = log.select(ChainReorganized, "time", chain=base)[0] if base else times[:0]
        gone = np.where(canonical, NEVER, np.append(back, NEVER)[np.searchsorted(back, times)])
    happened = canonical | (gone < NEVER)
    times, numbers, gone = times[happened], numbers[happened], gone[happened]
    order = np.argsort(times, kind="stable")
    times, numbers, gone = times[order], numbers[order], gone[order]
    if not (gone < NEVER).any():
        return Advances(times, np.maximum.accumulate(numbers))
    instants = np.unique(gone[gone < NEVER])
    left = [numbers[(times < time) & (gone > time)][-1:].sum() for time in instants]
    steps = np.concatenate([instants, times]), np.concatenate([np.array(left, np.int64), numbers])
    order = np.argsort(steps[0], kind="stable")
    return Advances(steps[0][order], steps[1][order])


def _gone(log: "Log", chain: str, made: Times, number: Times, canonical: npt.NDArray[np.bool_]) -> Times:
    """When each block was undone: by the first reorganisation behind it that reaches as far back as its number."""
    gone = np.full(len(made), NEVER)
    columns = log.select(ChainReorganized, "time", "first", "last", chain=chain)
    for time, first, last in zip(*map(np.ndarray.tolist, columns), strict=True):
        gone[~canonical & (gone == NEVER) & (made <= time) & (number >= first) & (number <= last)] = time
    return gone


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
