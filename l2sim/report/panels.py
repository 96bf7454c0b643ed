"""Panels: the chains of a world as dots with intervals, a small panel for each figure."""

from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from l2sim.report.evidence import Evidence
from l2sim.report.figures import COLOURS, INK, MARKERS, Drawing, Picture, canvas, duration_axis, quantity_axis
from l2sim.report.side_by_side import Measure, measures, missing
from l2sim.statistics.intervals import Interval
from l2sim.wording import listed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

NAME = "side_by_side"
LOOKS = tuple((COLOURS[place % len(COLOURS)], marker) for place, marker in enumerate(MARKERS))
WIDE = 30.0
"""Largest over least, from which on durations are on a logarithmic axis."""
LETTERS = 96
"""Of a title that fit across the picture with room to spare; where it has several panels, each gets its share."""
LINE = 0.16
"""Height of a line of text (inches)."""
KEYS = 6
"""Chains in a line of the legend, at most."""


def picture(evidence: Evidence) -> Picture | None:
    """Dots and intervals of every chain: a panel for each figure of chains, and one for each figure of roles."""
    found = [measure for measure in measures(evidence) if measure.drawn]
    if not found:
        return None
    chains = list(found[0].values)
    whole = [measure for measure in found if not measure.role]
    shared: dict[str, list[Measure]] = {}
    for measure in found:
        if measure.role:
            shared.setdefault(measure.words, []).append(measure)
    columns = len(whole) if len(whole) < 3 else 2 if len(whole) == 4 else 3
    lines = -(-len(whole) // columns) if whole else 0
    titles = [wrap(_title(measure.words), LETTERS // columns) for measure in whole]
    extra = [LINE * (max(map(len, titles[line * columns : (line + 1) * columns])) - 1) for line in range(lines)]
    keys = -(-len(chains) // KEYS)
    heights = [0.85 + 0.2 * len(chains) + more for more in extra] + [
        0.75 + 0.13 * len(chains) * (len(group) + 0.5) for group in shared.values()
    ]
    with canvas(sum(heights) + 0.35 + LINE * max(0, keys - 2)) as figure:
        figure.set_layout_engine("constrained", wspace=0.05)
        grid = figure.add_gridspec(len(heights), max(columns, 1), height_ratios=heights)
        for index, measure in enumerate(whole):
            axes = figure.add_subplot(grid[index // columns, index % columns])
            _chains(axes, measure, named=index % columns == 0)
            axes.set_title("\n".join(titles[index]))
        for line, (words, group) in enumerate(shared.items(), lines):
            _roles(figure.add_subplot(grid[line, :]), words, group)
        handles = [_key(index) for index in range(len(chains))]
        figure.legend(handles, chains, loc="outside upper left", ncols=-(-len(chains) // keys))
        drawn = Drawing(figure, NAME)
    n = evidence.replications
    caption = f"Means over n = {n} replications; bars: 95 % intervals (Student's t); faint: each replication." if n > 1 else ""
    caption = caption or "One replication, so no intervals."
    caption += " The chains share the prices of a replication, so their differences, in the table below, can be clearer than their levels."
    caption += (
        " A line without a dot: nothing was observed there, or there is no such thing on that chain." if any(map(missing, found)) else ""
    )
    caption += f" All with {evidence.attacks}." if evidence.compared else ""
    shown = list(dict.fromkeys(measure.words for measure in found))
    return Picture(NAME, f"{listed(chains)}, figure by figure", caption, f"{listed(chains)}: {listed(shown)}.", drawn, _data(found))


def _key(index: int) -> Any:
    from matplotlib.lines import Line2D

    colour, marker = LOOKS[index % len(LOOKS)]
    return Line2D([], [], color=colour, marker=marker, linestyle="none", markersize=5.5)


def _chains(axes: "Axes", measure: Measure, *, named: bool) -> None:
    """One figure: a line for each chain."""
    last = len(measure.values) - 1
    for index, chain in enumerate(measure.values):
        _mark(axes, measure, chain, index, float(last - index), 0.22)
    axes.set_yticks(range(last + 1), list(measure.values)[::-1] if named else [""] * (last + 1))
    axes.set_ylim(-0.6, last + 0.5)
    _finish(axes, [measure], ticks=4)


def _roles(axes: "Axes", words: str, group: list[Measure]) -> None:
    """One figure of several roles: for each a line for each chain, under one another."""
    chains = list(group[0].values)
    step = 0.8 / len(chains)
    for place, measure in enumerate(group[::-1]):
        for index, chain in enumerate(chains):
            _mark(axes, measure, chain, index, place + step * ((len(chains) - 1) / 2 - index), 0.38 * step)
        if place:
            axes.axhline(place - 0.5, color="#dddddd", linewidth=0.5)
    axes.set_yticks(range(len(group)), [measure.role for measure in group[::-1]])
    axes.set_ylim(-0.5, len(group) - 0.5)
    of = " (liquidators)" if words.startswith("profit") else ""
    axes.set_title(f"{_title(words)}, by role{of}")
    _finish(axes, group, ticks=6)


def _title(words: str) -> str:
    return words[0].upper() + words[1:]


def _mark(axes: "Axes", measure: Measure, chain: str, index: int, place: float, below: float) -> None:
    colour, marker = LOOKS[index % len(LOOKS)]
    values = measure.values[chain]
    seen = values[~np.isnan(values)]
    level = measure.level(chain)
    if len(seen) > 1:
        axes.plot(seen, np.full(len(seen), place - below), marker, color=colour, markersize=3.0, alpha=0.35, markeredgewidth=0, zorder=2)
        error = [[level.mean - level.low], [level.high - level.mean]]
        axes.errorbar(level.mean, place, xerr=error, color=colour, marker=marker, markersize=5.0, capsize=2.5, linewidth=1.3, zorder=3)
    elif len(seen):
        axes.plot(level.mean, place, marker, color=colour, markersize=5.0, zorder=3)


def _finish(axes: "Axes", group: list[Measure], ticks: int) -> None:
    """The axis of values: from zero, or logarithmic where durations are far apart."""
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    levels = [level for measure in group for level in map(measure.level, measure.values) if level.n]
    seen = np.concatenate([values[~np.isnan(values)] for measure in group for values in measure.values.values()])
    bounds = np.array([bound for level in levels for bound in level[:3] if np.isfinite(bound)])
    unit = group[0].unit
    if unit == "s" and len(group) > 1 and seen.min() > 0 and seen.max() > WIDE * seen.min():
        axes.set_xscale("log", nonpositive="clip")
        limits = 0.7 * min([seen.min(), *_positive(levels)]), 1.3 * max(seen.max(), bounds.max())
        axes.set_xlim(*limits)
        duration_axis(axes.xaxis, *limits, width=0.3)
        axes.set_xlabel("logarithmic")
        return
    least, largest = min(0.0, seen.min(), bounds.min()), max(0.0, seen.max(), bounds.max())
    margin = 0.04 * (largest - least)
    axes.set_xlim(least - margin, largest + margin)
    name = quantity_axis(axes.xaxis, unit, max(abs(least), abs(largest)), ticks=ticks)
    axes.set_xlabel(name)
    if least < 0:
        axes.axvline(0.0, color=INK, linewidth=0.7)


def _positive(levels: list[Interval]) -> list[float]:
    """Lower ends that a logarithmic axis can show without losing the rest."""
    return [level.low for level in levels if level.low > level.mean / WIDE]


def _data(found: list[Measure]) -> "pd.DataFrame":
    import pandas as pd

    rows: list[tuple[object, ...]] = []
    for measure in found:
        for chain, values in measure.values.items():
            level = measure.level(chain)
            about = (measure.name, measure.role, chain, measure.unit.replace("%", ""))
            rows += [(*about, "replication", value, None, None, 1) for value in values[~np.isnan(values)].tolist()]
            rows += [(*about, "mean", *level)] if level.n else []
    return pd.DataFrame(rows, columns=["figure", "role", "chain", "unit", "what", "value", "low", "high", "n"])
