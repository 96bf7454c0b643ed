"""Extraction: what trades with pools lost against the price when they were sent, part by part."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from l2sim.report.evidence import Evidence
from l2sim.report.figures import BLUE, INK, ORANGE, SKY, VERMILLION, Drawing, Picture, canvas, quantity_axis
from l2sim.report.tables import Table, head_of, rows_of
from l2sim.statistics.intervals import Interval
from l2sim.wording import listed, phrase

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "movement": ("others moved the price", {"facecolor": SKY, "edgecolor": SKY}),
    "fees": ("fees", {"facecolor": BLUE, "edgecolor": BLUE}),
    "impact": ("own impact", {"facecolor": "white", "edgecolor": ORANGE, "hatch": "//////"}),
    "extraction": ("extraction", {"facecolor": VERMILLION, "edgecolor": VERMILLION}),
}
_MARKERS = dict(zip(PARTS, "osD^", strict=True))


class Loss(NamedTuple):
    """What the trades of one subject (an agent, a pool) lost (USD); gains are negative."""

    subject: str
    parts: dict[str, Interval]
    loss: Interval
    taken: Interval
    trades: Interval


def losses(evidence: Evidence, name: str) -> list[Loss]:
    """Everybody's as written, from the greatest loss to the greatest gain."""
    found = []
    for subject in evidence.subjects(name):
        take = {figure: evidence.level(f"{name}.{subject}.{figure}") for figure in (*PARTS, "loss", "taken", "trades")}
        if take["loss"].n:
            found.append(Loss(subject, {part: take[part] for part in PARTS}, take["loss"], take["taken"], take["trades"]))
    return sorted(found, key=lambda one: -one.loss.mean)


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """A picture for each metric whose trades there are."""
    for name in evidence.metrics("extraction"):
        if found := losses(evidence, name):
            yield _picture(evidence, name, found)


def tables(evidence: Evidence) -> Iterator[Table]:
    """The same in numbers, and what the attacks made of them."""
    for name in evidence.metrics("extraction"):
        rows: list[list[str]] = []
        for one in losses(evidence, name):
            rows += [
                [f"{one.subject}: {phrase(one.trades)} trades"],
                *rows_of(evidence, f"{name}.{one.subject}", ("loss", *PARTS, "taken")),
            ]
        if rows:
            note = "Gains are negative. Movement, fees, impact and extraction add up to what was lost."
            yield Table(f"What trades with pools lost{evidence.which(name)}: {evidence.how}", head_of(evidence), rows, note=note)


def _picture(evidence: Evidence, name: str, found: list[Loss]) -> Picture:
    anchor = evidence.anchor("extraction", name)
    places = np.arange(len(found))[::-1].astype(float)
    with canvas(1.35 + 0.62 * len(found)) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.2, 1.0])
        largest = _stack(left, found, places)
        _dots(right, found, places)
        left.set_yticks(places, [one.subject for one in found])
        left.set_ylim(-0.6, len(found) - 0.4)
        left.set_title("Loss, stacked")
        right.set_title("Part by part")
        for axes in (left, right):
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
            axes.grid(visible=True, axis="x")
            axes.grid(visible=False, axis="y")
            axes.axvline(0.0, color=INK, linewidth=0.7)
            axes.set_xlabel(f"loss, {quantity_axis(axes.xaxis, 'USD', largest, ticks=4)}")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=5)
        drawn = Drawing(figure, anchor)
    n = evidence.replications
    caption = "Against the pool's price when each trade was sent; to the left of zero: gains. "
    caption += "Left: parts on top of each other, diamonds their sum. "
    caption += f"Means over n = {n} replications; bars: 95 % intervals (Student's t)." if n > 1 else "One replication, so no intervals."
    title = f"What trades with pools lost, and to what{evidence.which(name)}"
    return Picture(anchor, title, caption, f"Losses of {listed([one.subject for one in found])} by part.", drawn, _data(found))


def _stack(axes: "Axes", found: list[Loss], places: Any) -> float:
    """Positive parts to the right, negative ones to the left; the farthest end."""
    right, left = np.zeros(len(found)), np.zeros(len(found))
    for part, (words, look) in PARTS.items():
        means = np.array([one.parts[part].mean for one in found])
        axes.barh(places, means, left=np.where(means >= 0, right, left), height=0.55, linewidth=0.6, label=words, **look)
        right, left = right + np.maximum(means, 0.0), left + np.minimum(means, 0.0)
    sums = [one.loss for one in found]
    error = np.nan_to_num([[one.high - one.mean for one in sums]] * 2)
    diamonds: dict[str, Any] = {"color": INK, "markerfacecolor": "white", "markersize": 5.5, "capsize": 2.5, "linewidth": 1.1, "zorder": 4}
    axes.errorbar([one.mean for one in sums], places, xerr=error, fmt="D", label="sum", **diamonds)
    return float(max(np.abs(right).max(), np.abs(left).max()))


def _dots(axes: "Axes", found: list[Loss], places: Any) -> None:
    step = 0.8 / len(PARTS)
    for index, (part, (_, look)) in enumerate(PARTS.items()):
        levels = [one.parts[part] for one in found]
        error = np.nan_to_num([[level.high - level.mean for level in levels]] * 2)
        style: dict[str, Any] = {"color": look["edgecolor"], "markersize": 4.5, "capsize": 2.0, "linewidth": 1.2}
        rows = places + step * ((len(PARTS) - 1) / 2 - index)
        axes.errorbar([level.mean for level in levels], rows, xerr=error, fmt=_MARKERS[part], **style)
    for place in places[:-1]:
        axes.axhline(place - 0.5, color="#dddddd", linewidth=0.5)


def _data(found: list[Loss]) -> "pd.DataFrame":
    import pandas as pd

    rows = [(one.subject, what, *level) for one in found for what, level in (*one.parts.items(), ("loss", one.loss), ("taken", one.taken))]
    return pd.DataFrame(rows, columns=["subject", "part", "mean_usd", "low_usd", "high_usd", "n"])
