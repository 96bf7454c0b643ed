"""The timeline: one replication on one axis of time, prices above, chains below, as written over without the attacks."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from l2sim.report import series
from l2sim.report.evidence import Evidence
from l2sim.report.figures import (
    INK,
    PURPLE,
    SHADE,
    Drawing,
    Picture,
    canvas,
    duration_axis,
    legend,
    plain_axis,
    quantity_axis,
)
from l2sim.report.reach import foundation, windows_on
from l2sim.report.reorganizations import Undone, undone
from l2sim.report.timeline_panels import Line, Panel, Worlds, feeds, panels
from l2sim.units import SECOND
from l2sim.wording import amount, listed, span

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


FEW = 8.0
"""Ratio of the largest to the least from which on fees are drawn on a logarithmic axis."""
CLOSE = 60
"""Teeth of a saw from which on it is drawn as a band: closer than a tenth of an inch they run into each other."""
PARTS = 80
"""Of a run, at most, in each of which a band has one height."""
LONG = 16
"""Letters of a name in a legend from which on three stand beside each other, not four."""
_UNDONE: Mapping[str, Any] = {"facecolor": "none", "edgecolor": PURPLE, "hatch": "\\\\\\\\\\\\", "linewidth": 0.0}
WHOLE = 8.5
"""Heights of panels up to which a timeline is one picture, so that all of one rollup stands above one axis."""
PAGE = 6.5
"""Heights of panels that a page shows at a size that can be read, where a timeline is in parts."""
MOST = 4
"""Reorganisations that the caption tells of."""


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """The first replication's timeline, in parts where it would be too tall for a page; nothing where its log is empty."""
    first = next(iter(evidence.written.measured))
    calm = evidence.calm.log(first) if evidence.calm is not None and first in evidence.calm.measured else None
    worlds = Worlds(evidence.written.log(first), calm)
    if not worlds.written.about.get("duration"):
        return
    parts = _sheets([panel for panel in panels(worlds, feeds(evidence)) if any(line.points.there for line in panel.lines)])
    for place, part in enumerate(parts, 1):
        about = dict.fromkeys(panel.chain or "prices" for panel in part)
        which = f": {listed(list(about))}" if len(parts) > 1 else ""
        yield _picture(evidence, worlds, part, f"timeline{f'_{place}' if place > 1 else ''}", which)


def _sheets(shown: list[Panel]) -> list[list[Panel]]:
    """Panels that stand in one picture: all, or if that is too much as many chains as a page holds, each whole."""
    if sum(panel.height for panel in shown) <= WHOLE:
        return [shown] if shown else []
    sheets: list[list[Panel]] = []
    for chain in dict.fromkeys(panel.chain for panel in shown):
        own = [panel for panel in shown if panel.chain == chain]
        if sheets and sum(panel.height for panel in [*sheets[-1], *own]) <= PAGE:
            sheets[-1] += own
        else:
            sheets.append(own)
    return sheets


def _picture(evidence: Evidence, worlds: Worlds, shown: list[Panel], anchor: str, which: str) -> Picture:
    chains = {panel.chain for panel in shown}
    near = {window for chain in chains for window in windows_on(evidence, worlds.written, chain)}
    windows = [window for window in series.windows(worlds.written) if "" in chains or window in near]
    per, hours = series.time_unit(worlds.written.about["duration"])
    below = {one for chain in chains for one in foundation(evidence, chain)}
    back = [one for one in undone(worlds.written) if "" in chains or one.chain in below]
    named = len(windows) + len({one.chain for one in back})
    heights = [*([0.05 + 0.16 * named] if named else []), *(panel.height for panel in shown)]
    with canvas(0.5 + 1.42 * sum(heights)) as figure:
        every = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        stack = every[1:] if named else every
        if named:
            _strip(every[0], windows, back, per, worlds.written.about["duration"] / per)
        for axes, panel in zip(stack, shown, strict=True):
            _draw(axes, panel, per, worlds.written.about["duration"])
            for window in windows:
                axes.axvspan(window.begins / per, window.ends / per, facecolor=SHADE, edgecolor="none", zorder=0)
            for one in back:
                axes.axvspan(one.begins / per, one.ends / per, zorder=0.5, **_UNDONE)
                axes.axvline(one.ends / per, color=PURPLE, linewidth=0.9, zorder=0.6)
        stack[-1].set_xlabel(f"simulated time, {hours}")
        stack[-1].set_xlim(0, worlds.written.about["duration"] / per)
        figure.align_ylabels(list(stack))
        drawn = Drawing(figure, anchor)
    first = next(iter(evidence.written.measured))
    return Picture(
        anchor,
        f"What happened in replication {first}{which}",
        _caption(evidence, shown, windows, back, first),
        f"Stacked panels over simulated time: {'; '.join(panel.title for panel in shown)}.",
        drawn,
        _data(shown),
    )


def _caption(evidence: Evidence, shown: list[Panel], windows: list[series.Window], back: list[Undone], first: int) -> str:
    n = evidence.replications
    parts = [f"Replication {first} of n = {n}, so no intervals." if n > 1 else "The only replication, so no intervals."]
    if windows:
        during = listed([f"{window.name} from {span(int(window.begins))} to {span(int(window.ends))}" for window in windows])
        parts.append(f"Shaded: {during}.")
    if back:
        parts.append(
            f"Hatched, up to a line where they were undone: {listed([_said(one) for one in back[:MOST]])}"
            f"{f', and {len(back) - MOST} more times' if len(back) > MOST else ''}. "
            "Heads are where they were seen; all else is of the blocks that stand, and what came back waits again."
        )
    if evidence.compared:
        parts.append(f"Solid: as written; dashed: the same luck without {evidence.attacks}, hidden where both are the same.")
    sums = ["liquidations"] if any(panel.form == "mirrored" for panel in shown) else []
    sums += ["executed transactions"] if any("executed" in panel.title for panel in shown) else []
    if sums:
        parts.append(f"{listed(sums).capitalize()} are taken over {series.BINS} equal intervals.")
    if any("waiting" in panel.title for panel in shown):
        parts.append("Waiting: submitted and neither executed nor dropped; what still waited when the run ended is not counted.")
    if any(panel.form == "duration" for panel in shown):
        parts.append("A head's lag is now less the time at which its block was made.")
        if any(series.teeth(line.points) > CLOSE for panel in shown if panel.form == "duration" for line in panel.lines):
            parts.append("Bands: a head that advances too often to draw each time, from its least to its largest lag in each part.")
    return " ".join(parts)


def _said(one: Undone) -> str:
    lost = f", {amount(one.lost)} of them lost" if one.lost else ""
    return f"{amount(one.blocks)} block{'s' if one.blocks > 1 else ''} of {one.chain} with {amount(one.transactions)} transactions{lost}"


# ---- how they are drawn


def _strip(axes: "Axes", windows: list[series.Window], back: list[Undone], per: float, end: float) -> None:
    """A strip that names the attacks while they last, and below them the chains on which blocks were undone."""
    chains = list(dict.fromkeys(one.chain for one in back))
    axes.set_axis_off()
    axes.set_ylim(len(windows) + len(chains) - 0.4, -0.6)
    for row, window in enumerate(windows):
        axes.barh(row, (window.ends - window.begins) / per, left=window.begins / per, height=0.85, color=SHADE)
        _name(axes, row, window.begins / per, window.ends / per, end, window.name.replace("_", " "))
    for row, chain in enumerate(chains, len(windows)):
        mine = [one for one in back if one.chain == chain]
        for one in mine:
            axes.barh(row, (one.ends - one.begins) / per, left=one.begins / per, height=0.85, **_UNDONE)
            axes.plot([one.ends / per] * 2, [row - 0.42, row + 0.42], color=PURPLE, linewidth=0.9)
        _name(axes, row, mine[0].begins / per, mine[-1].ends / per, end, f"undone on {chain}")


def _name(axes: "Axes", row: int, begins: float, ends: float, end: float, name: str) -> None:
    """Beside its bar, where there is more room."""
    left = (begins + ends) / 2 < end / 2
    place, text = (ends, "left") if left else (begins, "right")
    axes.annotate(name, (place, row), (4 if left else -4, 0), textcoords="offset points", ha=text, va="center", fontsize=8.5)


def _draw(axes: "Axes", panel: Panel, per: float, end: float) -> None:
    axes.set_title(panel.title)
    if panel.form == "mirrored":
        _bars(axes, panel, per)
    else:
        for line in panel.lines:
            if line.points.there and panel.form == "duration" and series.teeth(line.points) > CLOSE:
                _band(axes, line, per, end)
            elif line.points.there:
                axes.plot(line.points.times / per, line.points.values, label=line.legend or "_", **line.style)
    values = np.concatenate([line.points.values for line in panel.lines])
    largest, positive = float(np.nanmax(np.abs(values))), values[values > 0]
    if panel.form == "duration":
        axes.set_yscale("log")
        least = float(np.quantile(positive, 0.03)) if len(positive) else 1.0
        axes.set_ylim(max(least, largest / 1e6) * 0.6, largest * 1.5)
        duration_axis(axes.yaxis, *axes.get_ylim())
        axes.set_ylabel("lag")
    elif panel.form == "log" and len(positive) and largest > FEW * positive.min():
        axes.set_yscale("log")
        plain_axis(axes.yaxis, largest / positive.min())
        axes.set_ylabel(panel.unit)
    else:
        unit = quantity_axis(axes.yaxis, panel.unit if panel.unit in ("USD", "%") else "", largest, magnitude=panel.form == "mirrored")
        axes.set_ylabel(unit or panel.unit)
        if panel.title.startswith("Transactions") or panel.form == "log":
            axes.set_ylim(bottom=0)
    longest = max((len(line.legend or "") for line in panel.lines), default=0)
    legend(axes, columns=3 if longest > LONG else 4)


def _band(axes: "Axes", line: Line, per: float, end: float) -> None:
    """A saw whose teeth would run into each other, as a band from its least to its largest value; outlined where it is not as written."""
    ends, low, high = series.envelope(line.points, end, max(1, min(PARTS, series.teeth(line.points) // 3)))
    colour, written = line.style["color"], line.world == "written"
    if written:
        axes.stairs(high, ends / per, baseline=low, fill=True, facecolor=colour, alpha=0.35, linewidth=0.0, label=line.legend or "_")
    for values in (low, high):
        axes.stairs(values, ends / per, baseline=None, color=colour, linewidth=0.7, linestyle=line.style["linestyle"])


def _bars(axes: "Axes", panel: Panel, per: float) -> None:
    for line in panel.lines:
        times = line.points.times / per
        up = 1.0 if line.world == "written" else -1.0
        hatch = None if line.world == "written" else "//////"
        shown = line.points.values > 0
        axes.bar(
            times[shown],
            up * line.points.values[shown],
            width=times[1] - times[0],
            facecolor=line.style["color"] if hatch is None else "white",
            edgecolor=line.style["color"],
            linewidth=0.5,
            hatch=hatch,
            label=line.legend or "_",
        )
    axes.axhline(0.0, color=INK, linewidth=0.6)


def _data(shown: list[Panel]) -> "pd.DataFrame":
    import pandas as pd

    frames = [
        pd.DataFrame(
            {
                "panel": panel.title,
                "line": line.name,
                "world": line.world,
                "seconds": line.points.times / SECOND,
                "value": line.points.values,
                "unit": "s" if panel.form == "duration" else "1" if panel.unit == "%" else panel.unit,
            }
        )
        for panel in shown
        for line in panel.lines
    ]
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
