"""Heads of a rollup over time, down to the one that is settled, with disputes marked."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from l2sim.events import (
    AssertionChallenged,
    AssertionConfirmed,
    AssertionMade,
    AssertionRejected,
    BlockSealed,
    HeadAdvanced,
)
from l2sim.report.evidence import Evidence
from l2sim.report.figures import BLUE, FAINT, GREEN, INK, ORANGE, VERMILLION, Drawing, Picture, canvas, legend
from l2sim.report.reorganizations import seen
from l2sim.report.series import time_unit
from l2sim.units import SECOND

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

LOOKS: dict[str, dict[str, Any]] = {
    "latest block": {"color": FAINT, "linewidth": 0.9},
    "in a batch": {"color": GREEN, "linewidth": 1.2},
    "batch final": {"color": ORANGE, "linewidth": 1.4},
    "settled": {"color": BLUE, "linewidth": 2.0},
}


FATES = {"confirmed": "o", "rejected": "x"}
"""How a disputed assertion ended, and its mark."""
HEIGHT = 3.3
"""Of the figure, inches; some six tenths of it are the axes."""


class Disputed(NamedTuple):
    """An assertion that somebody challenged."""

    number: int
    last: int
    """The block whose state it claims."""
    begins: int
    """When it was challenged (ns)."""
    ends: int
    """When it was confirmed or rejected, or the run ended."""
    fate: str


def disputed(log: "Log", chain: str) -> list[Disputed]:
    """The assertions that were challenged, from then until their fate was sealed."""
    number, last = log.select(AssertionMade, "number", "last", chain=chain)
    blocks = dict(zip(number.tolist(), last.tolist(), strict=True))
    ends: dict[int, tuple[int, str]] = {}
    for fact, word in ((AssertionConfirmed, "confirmed"), (AssertionRejected, "rejected")):
        times, about = log.select(fact, "time", "number", chain=chain)
        ends |= {one: (time, word) for time, one in zip(times.tolist(), about.tolist(), strict=True)}
    found: dict[int, Disputed] = {}
    times, about, taken = log.select(AssertionChallenged, "time", "number", "taken", chain=chain)
    for time, one in zip(times[taken == 1].tolist(), about[taken == 1].tolist(), strict=True):
        over, fate = ends.get(one, (int(log.about["duration"]), "open at the end"))
        found.setdefault(one, Disputed(one, blocks[one], time, over, fate))
    return list(found.values())


def picture(evidence: Evidence, log: "Log", chain: str, first: int) -> Picture | None:
    """Heads by block number; nothing where nobody challenged anything."""
    marked = disputed(log, chain)
    if not marked:
        return None
    per, name = time_unit(log.about["duration"])
    lines = _lines(log, chain)
    anchor = f"heads_{chain}"
    with canvas(HEIGHT) as figure:
        axes = figure.subplots()
        for label, (times, numbers) in lines.items():
            axes.step(
                np.append(times, log.about["duration"]) / per, np.append(numbers, numbers[-1]), where="post", label=label, **LOOKS[label]
            )
        for begins, ends in union([(one.begins, one.ends) for one in marked]):
            axes.axvspan(begins / per, ends / per, facecolor=VERMILLION, alpha=0.10, edgecolor="none", zorder=0)
        width = _width(marked)
        bar: dict[str, Any] = {"color": VERMILLION, "linewidth": width, "solid_capstyle": "butt", "zorder": 4}
        for i, one in enumerate(marked):
            axes.plot([one.begins / per, one.ends / per], [one.last] * 2, label="_" if i else "disputed", **bar)
        for fate, mark in FATES.items():
            over = [one for one in marked if one.fate == fate]
            if over:
                size = min(5.0, 2.4 * width)
                ends_at, blocks = [one.ends / per for one in over], [one.last for one in over]
                axes.plot(ends_at, blocks, mark, color=INK, markersize=size, linestyle="none", label=fate, zorder=5)
        axes.set_xlim(0, log.about["duration"] / per)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(f"simulated time, {name}")
        axes.set_ylabel(f"block of {chain}")
        axes.set_title(f"heads of {chain}")
        legend(axes, columns=5)
        drawn = Drawing(figure, anchor)
    n = evidence.replications
    caption = (
        f"Replication {first}{f' of n = {n}' if n > 1 else ''}. A block is settled when a true assertion up to it is final; only then "
        "may withdrawals in it leave. Red lines: from the first challenge of an assertion until it was confirmed or rejected, at the "
        "block whose state it claims; shaded: while any of them was disputed. Between the latest block and the settled one are the blocks "
        "whose withdrawals still wait: as many as are made while an assertion is due, made and final undisputed, and more with every day "
        "by which a dispute holds one up, until later assertions pass undisputed."
    )
    alt = f"Heads of {chain} by block number over simulated time, with {len(marked)} disputed assertions marked."
    return Picture(anchor, f"How far blocks of {chain} were settled while disputes went on", caption, alt, drawn, _data(lines, marked))


def union(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What any of the intervals covers, as intervals that do not overlap."""
    found: list[tuple[int, int]] = []
    for begins, ends in sorted(intervals):
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ends))
        else:
            found.append((begins, ends))
    return found


def _width(marked: list[Disputed]) -> float:
    """Of a line in points, so that the lines of as many assertions leave room between them."""
    return float(np.clip(0.4 * (0.6 * HEIGHT * 72.0) / len({one.last for one in marked}), 0.6, 2.6))


def _lines(log: "Log", chain: str) -> dict[str, tuple[Any, Any]]:
    """Times and numbers of each head, from block 0 at the start."""
    made, number = seen(log, BlockSealed, chain)
    about = log.about["chains"][chain]
    if not len(made) or (number[-1] < about["blocks"] and about["block_time"]):  # empty blocks are not in the log
        number = np.unique(np.linspace(0, about["blocks"], 200).astype(np.int64))
        made = number * (about["block_time"] or 0)
    found = {"latest block": (made, number)}
    for head, label in (("safe", "in a batch"), ("finalized", "batch final")):
        times, numbers = seen(log, HeadAdvanced, chain, head=head)
        if len(times):
            found[label] = (times, numbers)
    times, numbers, valid = log.select(AssertionConfirmed, "time", "last", "valid", chain=chain)
    found["settled"] = (times[valid == 1], np.maximum.accumulate(numbers[valid == 1]))
    return {label: (np.append(0, times), np.append(0, numbers)) for label, (times, numbers) in found.items()}


def _data(lines: dict[str, tuple[Any, Any]], marked: list[Disputed]) -> "pd.DataFrame":
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    for label, (times, numbers) in lines.items():
        rows += [(label, time / SECOND, block, "") for time, block in zip(times.tolist(), numbers.tolist(), strict=True)]
    for one in marked:
        rows += [("challenged", one.begins / SECOND, one.last, ""), ("decided", one.ends / SECOND, one.last, one.fate)]
    return pd.DataFrame(rows, columns=["what", "seconds", "block", "fate"])
