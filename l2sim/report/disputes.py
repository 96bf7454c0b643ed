"""Disputes: what was asserted about a rollup's state, what became of it, and how much of what was false nobody stopped."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from l2sim.events import AssertionChallenged, AssertionMade, DisputeEnded, DisputeMoved
from l2sim.report import dispute_heads, game_tree, share_passed
from l2sim.report.asserted import Assertion, assertions, passes, sentence
from l2sim.report.evidence import Evidence
from l2sim.report.figures import BLUE, FAINT, GREEN, INK, ORANGE, SHADE, VERMILLION, Drawing, Picture, canvas, legend
from l2sim.report.reach import windows_on
from l2sim.report.series import time_unit
from l2sim.report.tables import Table, head_of, rows_by_subject
from l2sim.units import SECOND
from l2sim.wording import listed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from l2sim.log import Log

OUTCOMES: dict[str, dict[str, Any]] = {
    "true, confirmed": {"facecolor": GREEN, "edgecolor": GREEN},
    "false, rejected": {"facecolor": "white", "edgecolor": BLUE},
    "false, confirmed": {"facecolor": VERMILLION, "edgecolor": INK, "linewidth": 1.2, "hatch": "//////"},
    "true, rejected": {"facecolor": "white", "edgecolor": ORANGE, "hatch": "xxxxxx"},
    "open at the end": {"facecolor": SHADE, "edgecolor": FAINT},
}
"""What became of an assertion, and how its bar looks: filled where what was asserted became final."""
FIGURES = (
    "assertions", "false", "undetected", "undetected_share", "disputes", "moves", "resolution_mean", "resolution_max", "spend_ratio",
    "attackers_gas", "attackers_bonds", "defenders_gas", "defenders_bonds", "defenders_rewards",
)  # fmt: skip


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """The assertions of the first replication, heads and games, rollup by rollup, and the share of false ones that passed where any did."""
    first = next(iter(evidence.written.measured))
    log = evidence.written.log(first)
    for chain in log.present(AssertionMade, "chain"):
        yield _assertions(evidence, log, chain, first)
        heads = dispute_heads.picture(evidence, log, chain, first)
        if heads is not None:
            yield heads
        yield from game_tree.pictures(evidence, log, chain, first)
    found = passes(evidence)
    if any(one.undetected for one in found):
        yield share_passed.picture(evidence, found)


def tables(evidence: Evidence) -> Iterator[Table]:
    """The metric's figures, rollup by rollup."""
    for name, chain, rows in rows_by_subject(evidence, "disputes", FIGURES):
        caption = f"Assertions and disputes on {chain}{evidence.which(name)}: {evidence.how}"
        yield Table(caption, head_of(evidence), rows, note=" ".join(sentence(one) for one in passes(evidence) if one.chain == chain))


# ---- assertions over time


def _assertions(evidence: Evidence, log: "Log", chain: str, first: int) -> Picture:
    from matplotlib.ticker import MaxNLocator

    found = assertions(log, chain)
    per, name = time_unit(log.about["duration"])
    anchor = f"assertions_{chain}"
    with canvas(1.5 + min(5.5, max(0.8, 0.085 * len(found)))) as figure:
        axes = figure.subplots()
        shades = windows_on(evidence, log, chain)
        for window in shades:
            axes.axvspan(window.begins / per, window.ends / per, facecolor=SHADE, alpha=0.55, edgecolor="none", zorder=0)
        for outcome, look in OUTCOMES.items():
            here = [one for one in found if one.outcome == outcome]
            if here:
                left, width = [one.made / per for one in here], [(one.over - one.made) / per for one in here]
                style: dict[str, Any] = {"height": 0.72, "linewidth": 0.7, "zorder": 2, **look}
                axes.barh([one.number for one in here], width, left=left, label=outcome, **style)
        _marks(axes, log, chain, per)
        axes.set_xlim(0, log.about["duration"] / per)
        axes.set_ylim(max(one.number for one in found) + 1, min(one.number for one in found) - 1)
        axes.set_xlabel(f"simulated time, {name}")
        axes.set_ylabel("number of the assertion")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.set_title(f"on {chain}")
        legend(axes, columns=4)
        drawn = Drawing(figure, anchor)
    caption = f"Replication {first}{f' of n = {evidence.replications}' if evidence.replications > 1 else ''}. "
    caption += "Each bar is an assertion, from when it was made until L1 confirmed or rejected it. "
    caption += "Triangles: challenges; ticks: moves of a dispute."
    shaded = listed(list(dict.fromkeys(window.name for window in shades)))
    caption += f" Shaded: {shaded}." if shaded else ""
    false = sum(one.false for one in found)
    alt = f"{len(found)} assertions about {chain}, {false} of them false, as bars over simulated time."
    return Picture(anchor, f"What was asserted about {chain}, and what became of it", caption, alt, drawn, _rows(found, log, chain))


def _marks(axes: "Axes", log: "Log", chain: str, per: float) -> None:
    moved, about = log.select(DisputeMoved, "time", "number", chain=chain)
    axes.plot(moved / per, about, "|", color=INK, markersize=2.6, markeredgewidth=0.5, label="move" if len(moved) else "_", zorder=3)
    began, challenged, taken = log.select(AssertionChallenged, "time", "number", "taken", chain=chain)
    look: dict[str, Any] = {"color": INK, "markersize": 3.6, "markeredgewidth": 0, "zorder": 4}
    axes.plot(began[taken == 1] / per, challenged[taken == 1], "v", label="challenge" if (taken == 1).any() else "_", **look)


def _rows(found: list[Assertion], log: "Log", chain: str) -> "pd.DataFrame":
    import pandas as pd

    rows: list[tuple[Any, ...]] = [(one.number, "asserted", one.made / SECOND, one.over / SECOND, one.outcome) for one in found]
    for fact, word in ((AssertionChallenged, "challenged"), (DisputeMoved, "moved"), (DisputeEnded, "decided")):
        for time, number in zip(*map(np.ndarray.tolist, log.select(fact, "time", "number", chain=chain)), strict=True):
            rows.append((number, word, time / SECOND, time / SECOND, ""))
    return pd.DataFrame(rows, columns=["assertion", "what", "seconds", "until_seconds", "outcome"])
