"""Censorship delay: how long those wait for a block whose transactions a sequencer or a builder leaves out."""

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.events import TransactionIncluded
from l2sim.events.inclusion import TransactionCensored
from l2sim.metrics import Metric, groups, spread, trading_chains
from l2sim.units import SECOND

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class Episode(NamedTuple):
    """Somebody wants something done and is left out until it is, in whichever way."""

    chain: int
    """Code of the chain."""
    sender: int
    since: int
    """When it was first sent (ns)."""
    until: int
    """When it was in a block (ns); -1 where it never was."""
    done: bool
    """Whether it succeeded there."""


class CensorshipDelay(Metric):
    """Time from the first attempt that was left out on purpose until the same sender's same action was in a block, by chain or by agent.

    A sequencer leaves it out, or on L1 whoever builds a block. Attempts that follow before that belong to the first one, those through
    L1 too. What was in no block until the end of the run is counted under ``never`` and in no delay; ``failed`` are those that came too
    late to succeed.
    """

    subjects: ClassVar[tuple[str, ...]] = ("agents", "attacks", "chains", "markets")
    units: ClassVar[dict[str, str]] = {"mean": "s", "p50": "s", "p95": "s", "p99": "s", "max": "s"}
    key: ClassVar[tuple[str, ...]] = ("mean", "max", "never")

    by: Literal["chain", "agent"] = "chain"
    """Whose transactions a row is about: those on a chain, or those of an agent."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        found = episodes(log)
        if self.by == "chain":
            rows = {name: _of([one for one in found if one.chain == log.names.find(name)]) for name in trading_chains(log)}
        else:
            names, sent = groups(np.array([one.sender for one in found], np.int64), log)
            rows = {names[i]: _of([one for one, at in zip(found, sent, strict=True) if at == i]) for i in sorted(set(sent.tolist()))}
        return pd.DataFrame.from_dict(rows, orient="index", columns=list(_of([])), dtype=float)


def episodes(log: "Log") -> list[Episode]:
    """What was left out and what became of it, in the order of the first attempts."""
    columns = log.select(TransactionCensored, "submitted", "chain", "sender", "market", "action")
    censored = sorted(zip(*(column.tolist() for column in columns), strict=True))
    if not censored:
        return []
    time, chain, sender, market, action, status = log.select(
        TransactionIncluded, "time", "chain", "sender", "market", "action", "status"
    )  # fmt: skip
    wanted = np.isin(sender, [one[2] for one in censored])
    taken: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    columns = [column[wanted].tolist() for column in (time, chain, sender, market, action, status)]
    for at, *key, what in sorted(zip(*columns, strict=True)):
        taken.setdefault(tuple(key), []).append((at, what))
    found: dict[tuple[int, ...], list[Episode]] = {}
    for submitted, *key in censored:
        before = found.setdefault(tuple(key), [])
        if before and not 0 <= before[-1].until <= submitted:
            continue
        until, what = next(((at, what) for at, what in taken.get(tuple(key), ()) if at > submitted), (-1, -1))
        before.append(Episode(key[0], key[1], submitted, until, what == 0))
    return sorted((one for several in found.values() for one in several), key=lambda one: (one.since, one.sender))


def _of(found: list[Episode]) -> dict[str, float]:
    there = [one for one in found if one.until >= 0]
    delays: npt.NDArray[np.float64] = np.array([(one.until - one.since) / SECOND for one in there], np.float64)
    return {
        "attempts": float(len(found)),
        **spread(delays, largest=True),
        "never": float(len(found) - len(there)),
        "failed": float(sum(not one.done for one in there)),
    }
