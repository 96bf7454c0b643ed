"""Charts: curves, tornados and coloured tables, drawn in the house's style."""

from collections.abc import Sequence
from math import isfinite
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from l2sim.comparisons import Bars, Curves, Grid, Line
from l2sim.report.figures import (
    BLUE,
    COLOURS,
    FAINT,
    INK,
    MARKERS,
    ORANGE,
    SKY,
    VERMILLION,
    WIDTH,
    Drawing,
    canvas,
    duration_axis,
    plain_axis,
    quantity_axis,
)
from l2sim.statistics.intervals import Interval
from l2sim.wording import amount, estimate, scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

STRIPES = ("", "////", "....", "xxxx")
DASHES: Sequence[Any] = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
BY_THEORY = (0, (4, 2.2))
LEGEND = 106
"""Characters that fit beside each other in a legend."""
APART = 4.0
"""Points between the marks of two lines at the same place, where few share it."""
WIDEST = 14.0
"""Points between the first and the last of them."""
CELL = 0.98
"""Least width of a cell that its interval fits into (inches)."""


def draw(picture: Curves | Bars | Grid, name: str) -> Drawing:
    """A picture of a reading; ``name`` is the figure's."""
    match picture:
        case Curves():
            return _names(picture, name) if _is_named(picture) else _lines(picture, name)
        case Bars():
            return _bars(picture, name)
        case Grid():
            return _cells(picture, name)


def axis_label(words: str, unit: str) -> str:
    """What an axis is called, with its unit."""
    return f"{words}, {unit}" if unit else words


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _is_named(picture: Curves) -> bool:
    return any(isinstance(x, str) for line in picture.lines for x in line.x)


def is_moved(picture: Curves) -> bool:
    """Whether the marks of its lines are moved apart; beside a formula's line they stay where they belong."""
    return len(picture.lines) > 1 and not any(line.theory for line in picture.lines)


def _ends(found: Interval) -> list[float]:
    """A mean and the ends of its interval, those that there are."""
    return [value for value in found[:3] if isfinite(value)]


def bounds(found: Sequence[Interval]) -> Any:
    """The arms of error bars: two rows, below and above; none where there is no interval."""
    arms = [(one.mean - one.low, one.high - one.mean) for one in found]
    return np.maximum(np.nan_to_num(np.array(arms).T), 0.0)


def _key(figure: "Figure", axes: "Axes", picture: Curves) -> None:
    """A legend above, in as many columns as fit, where there is more than one line."""
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) > 1:
        columns = max(1, min(4, LEGEND // (max(map(len, labels)) + 7)))
        figure.legend(handles, [fill(label, LEGEND) for label in labels], loc="outside upper left", ncols=columns, borderaxespad=0.5)


def _legend_height(picture: Curves) -> float:
    """Inches that the legend takes."""
    if len(picture.lines) < 2:
        return 0.0
    columns = max(1, min(4, LEGEND // (max(len(line.label) for line in picture.lines) + 7)))
    return 0.19 * -(-len(picture.lines) // columns)


# ---- curves


def _lines(picture: Curves, name: str) -> Drawing:
    """Lines over a number."""
    x = np.array([value for line in picture.lines for value in line.x], np.float64)
    y = [value for line in picture.lines for one in line.y for value in _ends(one)]
    with canvas(2.7 + _legend_height(picture)) as figure:
        axes = figure.subplots()
        logarithmic = picture.x_log and bool(len(x)) and x.min() > 0
        y_log = picture.y_log and any(value > 0 for value in y)
        measured = [line for line in picture.lines if not line.theory]
        step = min(APART, WIDEST / max(1, len(measured) - 1)) if is_moved(picture) else 0.0
        for line in picture.lines:
            aside = 0.0 if line.theory else step * (measured.index(line) - (len(measured) - 1) / 2)
            _line(axes, line, _look(line, picture, measured), aside)
        if y_log:
            axes.set_yscale("log", nonpositive="clip")
        if picture.level is not None:
            axes.axhline(picture.level, color=INK, linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=1)
            y = [*y, picture.level]
        axes.set_title(_capital(picture.y))
        if logarithmic:
            axes.set_xscale("log")
        axes.set_xlim(_limits(list(x), logarithmic))
        axes.set_ylim(_limits(y, y_log))
        axes.set_xlabel(axis_label(picture.x, _scaled(axes.xaxis, picture.x_unit, list(x), logarithmic)))
        axes.set_ylabel(_scaled(axes.yaxis, picture.y_unit, y, y_log))
        if logarithmic:
            axes.set_xlabel(f"{axes.get_xlabel()} (logarithmic)")
        _key(figure, axes, picture)
        return Drawing(figure, name)


def _limits(values: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    """Where an axis begins and ends, a little beyond what is drawn."""
    seen = [value for value in values if not logarithmic or value > 0] or [1.0]
    least, largest = min(seen), max(seen)
    if logarithmic:
        factor = (largest / least) ** 0.06 if largest > least else 2.0
        return least / factor, largest * factor
    margin = 0.05 * (largest - least) or 0.1 * abs(largest) or 1.0
    return least - margin, largest + margin


def _look(line: Line, picture: Curves, measured: list[Line]) -> dict[str, Any]:
    """Colour, marker and dashes of a line; a formula has the colour of the curve that it is about, where they are as many."""
    if line.theory:
        formulas = [other for other in picture.lines if other.theory]
        index = formulas.index(line)
        colour = COLOURS[index % len(COLOURS)] if len(formulas) == len(measured) > 1 else INK
        return {"color": colour, "linestyle": BY_THEORY, "linewidth": 1.2, "zorder": 2}
    index = measured.index(line)
    dashes = DASHES[index // len(COLOURS) % len(DASHES)]
    return {
        "color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)], "linestyle": dashes,
        "linewidth": 1.4, "markersize": 4.8, "zorder": 3,
    }  # fmt: skip


def _line(axes: "Axes", line: Line, look: dict[str, Any], aside: float) -> None:
    """A line, its marks moved so many points aside: intervals that lie on each other would hide each other."""
    from matplotlib.transforms import ScaledTranslation

    there = [(x, found) for x, found in zip(line.x, line.y, strict=True) if found.n or (line.theory and isfinite(found.mean))]
    if not there:
        return
    places, found = np.array([x for x, _ in there], np.float64), [one for _, one in there]
    means = [one.mean for one in found]
    if line.theory:
        axes.plot(places, means, label=line.label, **look)
    else:
        moved = axes.transData + ScaledTranslation(aside / 72.0, 0.0, axes.figure.dpi_scale_trans)
        axes.errorbar(places, means, yerr=bounds(found), capsize=2.5, elinewidth=1.0, label=line.label, transform=moved, **look)


def _scaled(axis: "Axis", unit: str, values: Sequence[float], logarithmic: bool) -> str:
    """Ticks of an axis in round numbers; the unit to write behind its name."""
    seen = [value for value in values if isfinite(value)]
    largest = max(map(abs, seen), default=0.0)
    positive = [value for value in seen if value > 0]
    if logarithmic and positive:
        if unit == "s":
            duration_axis(axis, *sorted(axis.get_view_interval()))
            return ""
        plain_axis(axis, largest / min(positive), per_cent=unit == "%")
        return unit
    return quantity_axis(axis, unit, largest, ticks=6)


def _names(picture: Curves, name: str) -> Drawing:
    """Dots with intervals beside names: a row for each name, in it a dot for each line."""
    names = list(dict.fromkeys(str(x) for line in picture.lines for x in line.x))
    step = 0.78 / max(1, len(picture.lines))
    y = [value for line in picture.lines for one in line.y for value in _ends(one)]
    measured = [line for line in picture.lines if not line.theory]
    high = max(0.34, 0.17 * len(picture.lines))
    with canvas(0.85 + high * len(names) + _legend_height(picture)) as figure:
        axes = figure.subplots()
        for place, line in enumerate(picture.lines):
            look = _look(line, picture, measured) | {"linestyle": "none"}
            look = look if not line.theory else look | {"marker": "|", "markersize": 11.0, "markeredgewidth": 1.6}
            shown = [(str(x), found) for x, found in zip(line.x, line.y, strict=True) if found.n or isfinite(found.mean)]
            if not shown:
                continue
            rows = [len(names) - 1 - names.index(x) + step * ((len(picture.lines) - 1) / 2 - place) for x, _ in shown]
            found = [one for _, one in shown]
            arms = None if line.theory else bounds(found)
            axes.errorbar([one.mean for one in found], rows, xerr=arms, capsize=2.5, elinewidth=1.2, label=line.label, **look)
        axes.set_yticks(range(len(names)), [fill(one, 30) for one in names[::-1]])
        axes.set_ylim(-0.55, len(names) - 0.45)
        for row in range(1, len(names)):
            axes.axhline(row - 0.5, color="#dddddd", linewidth=0.5)
        logarithmic = picture.y_log and any(value > 0 for value in y)
        if logarithmic:
            axes.set_xscale("log", nonpositive="clip")
        lie(axes, picture.level, y, logarithmic)
        axes.set_title(f"{_capital(picture.y)}, by {picture.x}")
        axes.set_xlabel(_scaled(axes.xaxis, picture.y_unit, y, logarithmic))
        _key(figure, axes, picture)
        return Drawing(figure, name)


def lie(axes: "Axes", level: float | None, values: Sequence[float], logarithmic: bool = False) -> None:
    """Make rows of the axes: values go to the right, from zero."""
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    if not logarithmic:
        least, largest = min(0.0, *values, 0.0), max(0.0, *values, 0.0)
        margin = 0.04 * (largest - least) or 1.0
        axes.set_xlim(least - (margin if least < 0 else 0.0), largest + margin)
        axes.axvline(0.0, color=INK, linewidth=0.7)
    if level:
        axes.axvline(level, color=INK, linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=1)


# ---- a tornado


def _bars(picture: Bars, name: str) -> Drawing:
    """Bars with intervals, the longest at the top."""
    kinds = list(picture.bars)
    step = 0.8 / max(1, len(kinds))
    values = [value for found in picture.bars.values() for one in found for value in _ends(one)]
    with canvas(0.85 + (0.16 + 0.2 * len(kinds)) * len(picture.labels) + (0.2 if len(kinds) > 1 else 0.0)) as figure:
        axes = figure.subplots()
        for place, kind in enumerate(kinds):
            rows = [len(picture.labels) - 1 - row + step * ((len(kinds) - 1) / 2 - place) for row in range(len(picture.labels))]
            found = picture.bars[kind]
            axes.barh(
                rows, [one.mean if one.n else 0.0 for one in found], height=0.86 * step, xerr=bounds(found), label=kind,
                facecolor=(SKY, "white", ORANGE, "white")[place % 4], edgecolor=INK, linewidth=0.7, hatch=STRIPES[place % 4],
                error_kw={"elinewidth": 1.2, "capsize": 2.5, "ecolor": INK},
            )  # fmt: skip
        axes.set_yticks(range(len(picture.labels)), [fill(label, 34) for label in picture.labels[::-1]])
        axes.set_ylim(-0.6, len(picture.labels) - 0.4)
        lie(axes, None, values)
        axes.set_xlabel(axis_label(picture.x, _scaled(axes.xaxis, picture.x_unit, values, False)))
        if len(kinds) > 1:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=len(kinds), borderaxespad=0.5)
        return Drawing(figure, name)


# ---- a coloured table


def _cells(picture: Grid, name: str) -> Drawing:
    """A table of cells, the number in each of them, coloured by it; a panel for each name."""
    columns, rows = len(picture.columns), len(picture.rows)
    beside = max(1, min(len(picture.panels), int(WIDTH / (CELL * columns + 1.2))))
    down = -(-len(picture.panels) // beside)
    means = [one.mean for panel in picture.panels.values() for line in panel for one in line if one.n]
    values = [value for panel in picture.panels.values() for line in panel for one in line for value in _ends(one)]
    like = max(map(abs, means), default=0.0)
    unit = scale(picture.value_unit, like).unit
    norm, colours = _colours(means)
    roomy = WIDTH / beside - 1.2 >= 0.9 * CELL * columns and bool(values)
    with canvas(down * (0.62 + (0.42 if roomy else 0.3) * rows) + 0.25) as figure:
        stack = figure.subplots(down, beside, squeeze=False)
        for axes in stack.flat[len(picture.panels) :]:
            axes.set_axis_off()
        for place, (axes, (title, panel)) in enumerate(zip(stack.flat, picture.panels.items(), strict=False)):
            shown = np.array([[one.mean if one.n else np.nan for one in line] for line in panel], np.float64)
            axes.pcolormesh(
                np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5, np.ma.masked_invalid(shown), norm=norm, cmap=colours,
                edgecolors="white", linewidth=1.2,
            )  # fmt: skip
            for row, line in enumerate(panel):
                for column, one in enumerate(line):
                    _cell(axes, column, row, one, picture.value_unit, like, _ink(colours, norm, one), roomy)
            axes.set_xticks(range(columns), [_level(one, picture.x_unit) for one in picture.columns])
            axes.set_yticks(range(rows), [_level(one, picture.y_unit) for one in picture.rows])
            axes.tick_params(length=0)
            axes.grid(visible=False)
            axes.spines[:].set_visible(False)
            axes.set_title(_capital(title) if len(picture.panels) > 1 else "")
            axes.set_xlabel(picture.x if place + beside >= len(picture.panels) else "")
            axes.set_ylabel(picture.y if place % beside == 0 else "")
        figure.suptitle(axis_label(_capital(picture.value), unit), x=0.01, ha="left", fontsize=9.0)
        return Drawing(figure, name)


def _colours(means: Sequence[float]) -> tuple[Any, Any]:
    """Light to dark from zero, or to two sides of it where there are numbers on both."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    least, largest = min(means, default=0.0), max(means, default=1.0)
    if least < 0 < largest:
        most = max(-least, largest)
        return Normalize(-most, most), LinearSegmentedColormap.from_list("sides", [BLUE, "#f4f4f4", VERMILLION])
    if largest <= 0.0:
        return Normalize(least or -1.0, 0.0), colormaps["cividis"]
    return Normalize(0.0, largest), colormaps["cividis"].reversed()


def _ink(colours: Any, norm: Any, found: Interval) -> str:
    """Black or white, whichever is read better on the cell's colour."""
    if not found.n:
        return FAINT
    red, green, blue, _ = colours(norm(found.mean))
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.52 else "black"


def _cell(axes: "Axes", column: int, row: int, found: Interval, unit: str, like: float, ink: str, roomy: bool) -> None:
    mean, bounds = estimate(found, unit, like=like or None)
    lines = [mean.removesuffix(scale(unit, like).unit).rstrip("\u202f")]
    axes.text(column, row + (0.16 if roomy and bounds else 0.0), lines[0], ha="center", va="center", fontsize=8.5, color=ink)
    if roomy and bounds:
        axes.text(column, row - 0.24, bounds, ha="center", va="center", fontsize=6.5, color=ink)


def _level(level: float | str, unit: str) -> str:
    return fill(level, 14) if isinstance(level, str) else amount(float(level), unit)
