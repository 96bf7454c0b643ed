"""The timeline: one replication on one axis of time, prices above, chains below, as written over without the attacks."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from l2sim.report import series
from l2sim.report.evidence import Evidence
from l2sim.report.figures import (
    CALM,
    FAINT,
    GREEN,
    INK,
    MARKERS,
    ORANGE,
    PURPLE,
    SHADE,
    SKY,
    WRITTEN,
    Drawing,
    Picture,
    canvas,
    duration_axis,
    legend,
    plain_axis,
    quantity_axis,
)
from l2sim.report.reorganizations import Undone, undone
from l2sim.report.series import Series
from l2sim.units import SECOND
from l2sim.wording import amount, listed, span

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from l2sim.log import Log

_PATH: Mapping[str, Any] = {"color": INK, "linestyle": (0, (1, 1.5)), "linewidth": 1.1}
_TONES = (GREEN, ORANGE, SKY, PURPLE, FAINT)
_DASHES: tuple[Any, ...] = ((0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (2, 1)))
_MARKED = 0.14
"""Between two markers of a line, of the figure's axis, from one line to the next a little further on."""
_HEADS: Mapping[str, tuple[str, float]] = {"unsafe": (INK, 1.0), "safe": (GREEN, 1.2), "finalized": (ORANGE, 1.4)}
FEW = 8.0
"""Ratio of the largest to the least from which on fees are drawn on a logarithmic axis."""
CLOSE = 60
"""Teeth of a saw from which on it is drawn as a band: closer than a tenth of an inch they run into each other."""
PARTS = 80
"""Of a run, at most, in each of which a band has one height."""
SPARSE = 12
"""Points of a line up to which each has its marker."""
LONG = 16
"""Letters of a name in a legend from which on three stand beside each other, not four."""
_UNDONE: Mapping[str, Any] = {"facecolor": "none", "edgecolor": PURPLE, "hatch": "\\\\\\\\\\\\", "linewidth": 0.0}
MOST = 4
"""Reorganisations that the caption tells of."""
_THIN_CALM = (0, (2.5, 1.5))


class Line(NamedTuple):
    """A line of a panel."""

    name: str
    world: str
    points: Series
    style: Mapping[str, Any]
    legend: str | None = None
    """What the legend calls it; nothing where another line speaks for it."""


class Panel(NamedTuple):
    """One axis of the stack."""

    title: str
    unit: str
    lines: list[Line]
    form: str = "linear"
    """``linear``, ``log``, ``duration`` (logarithmic, in seconds) or ``mirrored`` (bars up and down)."""
    height: float = 1.0


class _Worlds(NamedTuple):
    """The logs of the replication: as written, and without the attacks."""

    written: "Log"
    calm: "Log | None"

    def each(self) -> "Iterator[tuple[str, Log, Mapping[str, Any]]]":
        yield "written", self.written, {**WRITTEN, "zorder": 2.2}
        if self.calm is not None:
            yield "without", self.calm, {**CALM, "zorder": 2.1}


def picture(evidence: Evidence) -> Picture | None:
    """The first replication's timeline; nothing where its log is empty."""
    first = next(iter(evidence.written.measured))
    calm = evidence.calm.log(first) if evidence.calm is not None and first in evidence.calm.measured else None
    worlds = _Worlds(evidence.written.log(first), calm)
    if not worlds.written.about.get("duration"):
        return None
    panels = [panel for panel in _panels(worlds, _feeds(evidence)) if any(line.points.there for line in panel.lines)]
    if not panels:
        return None
    windows = series.windows(worlds.written)
    per, hours = series.time_unit(worlds.written.about["duration"])
    back = undone(worlds.written)
    named = len(windows) + len({one.chain for one in back})
    heights = [*([0.05 + 0.16 * named] if named else []), *(panel.height for panel in panels)]
    with canvas(0.5 + 1.42 * sum(heights)) as figure:
        every = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        stack = every[1:] if named else every
        if named:
            _strip(every[0], windows, back, per, worlds.written.about["duration"] / per)
        for axes, panel in zip(stack, panels, strict=True):
            _draw(axes, panel, per, worlds.written.about["duration"])
            for window in windows:
                axes.axvspan(window.begins / per, window.ends / per, facecolor=SHADE, edgecolor="none", zorder=0)
            for one in back:
                axes.axvspan(one.begins / per, one.ends / per, zorder=0.5, **_UNDONE)
                axes.axvline(one.ends / per, color=PURPLE, linewidth=0.9, zorder=0.6)
        stack[-1].set_xlabel(f"simulated time, {hours}")
        stack[-1].set_xlim(0, worlds.written.about["duration"] / per)
        figure.align_ylabels(list(stack))
        drawn = Drawing(figure, "timeline")
    return Picture(
        "timeline",
        f"What happened in replication {first}",
        _caption(evidence, panels, windows, back, first),
        f"Stacked panels over simulated time: {'; '.join(panel.title for panel in panels)}.",
        drawn,
        _data(panels),
    )


def _caption(evidence: Evidence, panels: list[Panel], windows: list[series.Window], back: list[Undone], first: int) -> str:
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
    if any(panel.form == "mirrored" for panel in panels):
        sums = "Liquidations and executed transactions are taken over" if len(panels) > 1 else "Sums are over"
        parts.append(f"{sums} {series.BINS} equal intervals.")
    if any("waiting" in panel.title for panel in panels):
        parts.append("Waiting: submitted and neither executed nor dropped; what still waited when the run ended is not counted.")
    if any(panel.form == "duration" for panel in panels):
        parts.append("A head's lag is now less the time at which its block was made.")
        if any(series.teeth(line.points) > CLOSE for panel in panels if panel.form == "duration" for line in panel.lines):
            parts.append("Bands: a head that advances too often to draw each time, from its least to its largest lag in each part.")
    return " ".join(parts)


def _said(one: Undone) -> str:
    lost = f", {amount(one.lost)} of them lost" if one.lost else ""
    return f"{amount(one.blocks)} block{'s' if one.blocks > 1 else ''} of {one.chain} with {amount(one.transactions)} transactions{lost}"


# ---- what the panels show


def _feeds(evidence: Evidence) -> dict[str, str]:
    """The price that each feed shows."""
    return {name: str(getattr(market, "of", "")) for name, market in evidence.scenario.markets.items() if market.kind == "price_feed"}


def _panels(worlds: _Worlds, feeds: Mapping[str, str]) -> Iterator[Panel]:
    about = worlds.written.about
    markets: dict[str, dict[str, Any]] = about.get("markets", {})
    chains = sorted(about.get("chains", {}).items(), key=lambda chain: (chain[1]["kind"] != "rollup", chain[0]))
    for price in sorted(about.get("prices", {})):
        near = {name for name, market in markets.items() if (feeds.get(name) or market.get("base")) in (price, None)}
        yield _price(worlds, price, markets, near if len(about["prices"]) > 1 else set(markets))
    for price in sorted(about.get("prices", {})):
        yield _impact(worlds, price)
    yield _liquidations(worlds)
    busy = [name for name, _ in chains if series.executed(worlds.written, name).there]
    for name in busy:
        yield _simple(f"Transactions executed on {name}", "per second", worlds, partial(series.executed, chain=name))
        yield _simple(f"Transactions waiting for a block of {name}", "number", worlds, partial(series.waiting, chain=name))
    behind = [name for name, chain in chains if chain["kind"] != "l1"] or [name for name, _ in chains]
    for name in behind:
        yield _heads(worlds, name)
    for name, chain in chains:
        if chain["kind"] == "l1":
            for field in ("base_fee", "blob_base_fee"):
                title = f"{field.replace('_', ' ').capitalize()} on {name}"
                yield _simple(title, "gwei per gas", worlds, partial(series.fees, chain=name, field=field), "log")


def _simple(title: str, unit: str, worlds: _Worlds, take: "Callable[[Log], Series]", form: str = "linear") -> Panel:
    lines = [Line(title, world, take(log), style, _world(world, worlds)) for world, log, style in worlds.each()]
    return Panel(title, unit, lines, form, 0.8)


def _world(world: str, worlds: _Worlds) -> str | None:
    """What a legend calls a world, where there are two."""
    return None if worlds.calm is None else "as written" if world == "written" else "without"


def _price(worlds: _Worlds, price: str, markets: Mapping[str, Mapping[str, Any]], near: set[str]) -> Panel:
    path, _ = series.outside(worlds.written, price)
    lines = [Line("outside path", "both", path, _PATH, "outside path")]
    for world, log, style in worlds.each():
        name = "index" if world == "written" else "index, without"
        lines.append(Line("index", world, series.outside(log, price)[1], style, name))
    shown = []
    for market in sorted(near):
        feeds = markets[market]["kind"] == "price_feed"
        points = series.feed(worlds.written, market) if feeds else series.traded(worlds.written, market)
        if points.there:
            shown.append((market if feeds else f"trades in {market}", points, feeds))
    for place, (name, points, feeds) in enumerate(shown):
        lines.append(Line(name, "written", points, look(place, len(shown), feeds=feeds, points=len(points.times)), name))
    return Panel(f"Price of {price}", "USD", [line for line in lines if line.points.there], height=1.7)


def look(place: int, of: int, *, feeds: bool, points: int) -> Mapping[str, Any]:
    """How a feed or a market is drawn beside others: no two have the same colour and marker; feeds are solid, trades dashed.

    Of few points each is marked: one alone makes no line.
    """
    style: dict[str, Any] = {"color": _TONES[place % len(_TONES)], "linewidth": 0.9, "zorder": 2.3}
    style |= {"linestyle": "-"} if feeds else {"linestyle": _DASHES[place % len(_DASHES)], "drawstyle": "steps-post"}
    if of > 1 or points <= SPARSE:
        every = None if points <= SPARSE else (_MARKED * (place + 0.5) / of, _MARKED)
        style |= {"marker": MARKERS[place % len(MARKERS)], "markersize": 3.6, "markeredgewidth": 0.0, "markevery": every}
    return style


def _impact(worlds: _Worlds, price: str) -> Panel:
    lines = []
    for world, log, style in worlds.each():
        path, index = series.outside(log, price)
        moved = Series(path.times, index.values / path.values - 1.0)
        if np.abs(moved.values).max(initial=0.0) > 1e-9:
            lines.append(Line("impact", world, moved, style, _world(world, worlds)))
    return Panel(f"Impact of the run's own trades on {price}, index over path", "%", lines, height=0.75)


def _liquidations(worlds: _Worlds) -> Panel:
    lines = []
    for world, log, style in worlds.each():
        points = series.liquidated(log)
        name = "as written, upwards" if world == "written" else "without, downwards"
        if points.values.any():
            lines.append(Line("liquidated", world, points, style, name if worlds.calm is not None else None))
    return Panel("Notional liquidated", "USD", lines, form="mirrored", height=1.1)


def _heads(worlds: _Worlds, chain: str) -> Panel:
    lines = []
    for head, (colour, width) in _HEADS.items():
        for world, log, _ in worlds.each():
            points = series.lag(log, chain, head)
            written = world == "written"
            style = {"color": colour, "linewidth": width if written else 0.8, "linestyle": "-" if written else _THIN_CALM}
            if points.there:
                lines.append(Line(head, world, points, style, head if written else None))
    if all(line.name == "unsafe" and np.ptp(line.points.values) == 0.0 for line in lines):
        lines = []  # a block after every block time, and nobody to settle with: there is nothing to see
    return Panel(f"How far the heads of {chain} are behind", "", lines, form="duration", height=1.35)


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


def _data(panels: list[Panel]) -> "pd.DataFrame":
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
        for panel in panels
        for line in panel.lines
    ]
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
