"""Figures: one hand for all of them, and their way into the page as SVG, and beside it as PNG, the same on every run."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO, StringIO
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple

from l2sim.wording import MINUS, THIN, scale

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
"""The palette of Okabe and Ito (2008), which the colour-blind can tell apart; line styles tell the same in grey."""
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "*", "d", "p", ".")
"""Of lines and dots that stand beside each other, in the order in which they are used."""
INK, FAINT, SHADE = "#222222", "#8a8a8a", "#e4e4e4"

WIDTH = 7.4
"""Of every figure (inches)."""
COLUMN = 4
"""Axes of the same kind up to which they stand below each other; of more in one column, a printed page would show little."""
LOW = 1.4
"""Inches of each row where they stand in two columns."""
DOTS = 200
"""Of a PNG, an inch."""

WRITTEN: Mapping[str, Any] = {"color": VERMILLION, "linestyle": "-", "linewidth": 1.5}
CALM: Mapping[str, Any] = {"color": BLUE, "linestyle": (0, (4, 2)), "linewidth": 1.3}
STILL: Mapping[str, Any] = {"color": GREEN, "linestyle": (0, (1, 1.2)), "linewidth": 1.6}

_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "l2sim",
    "path.simplify_threshold": 0.3,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.titlepad": 5.0,
    "axes.labelsize": 9.0,
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.borderpad": 0.0,
    "legend.borderaxespad": 0.1,
    "legend.handlelength": 2.2,
    "legend.columnspacing": 1.4,
    "hatch.linewidth": 0.6,
    "figure.constrained_layout.h_pad": 0.05,
    "figure.constrained_layout.w_pad": 0.03,
}
_COARSE = {
    0.001: "1 ms", 0.01: "10 ms", 0.1: "0.1 s", 1.0: "1 s", 10.0: "10 s", 60.0: "1 min", 600.0: "10 min", 3600.0: "1 h",
    36_000.0: "10 h", 86_400.0: "1 d", 604_800.0: "1 week",
}  # fmt: skip
_FINE = {
    0.002: "2 ms", 0.005: "5 ms", 0.02: "20 ms", 0.05: "50 ms", 0.2: "0.2 s", 0.5: "0.5 s", 2.0: "2 s", 5.0: "5 s", 20.0: "20 s",
    120.0: "2 min", 300.0: "5 min", 900.0: "15 min", 1800.0: "30 min", 7200.0: "2 h", 18_000.0: "5 h", 172_800.0: "2 d",
}  # fmt: skip
ENOUGH = 4
"""Ticks that an axis of durations should have at least."""
CLOSEST = 0.08
"""Share of such an axis within which a finer tick gives way to a coarser one."""
TIGHT = 0.047
"""Share of the figure's width within which two coarse ones would run into each other."""
_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


class Picture(NamedTuple):
    """A figure for the page."""

    name: str
    """Of its data file, and its anchor in the page."""
    title: str
    """What is shown."""
    caption: str
    """What the marks mean, n, and where intervals come from."""
    alt: str
    """What somebody is told who cannot see it."""
    drawing: "Drawing"
    data: "pd.DataFrame"
    """What is drawn, a row for each mark."""


@contextmanager
def _styled() -> Iterator[None]:
    """The house's style, in which figures are made and drawn."""
    from matplotlib import rc_context

    style: dict[Any, Any] = dict(_STYLE)
    with rc_context(style):
        yield


@contextmanager
def canvas(height: float, *, laid_out: bool = True) -> "Iterator[Figure]":
    """A figure of the house's style, so many inches high; ``laid_out`` fits axes and labels into it."""
    from matplotlib.figure import Figure

    with _styled():
        yield Figure(figsize=(WIDTH, height), layout="constrained" if laid_out else None)


def room(number: int, each: float) -> float:
    """Inches of height that so many axes of the same kind take, ``each`` where they stand in one column."""
    return each * number if number <= COLUMN else LOW * -(-number // 2)


def grid(figure: "Figure", number: int, *, same_y: bool = False) -> "list[Axes]":
    """Axes of the same kind that share x, below each other or, where that would be too tall, in two columns."""
    columns = 1 if number <= COLUMN else 2
    every = list(figure.subplots(-(-number // columns), columns, sharex=True, sharey=same_y, squeeze=False).ravel())
    for axes in every[number:]:  # of its cell only the x axis of the column is left
        axes.spines["left"].set_visible(False)
        axes.yaxis.set_visible(False)
    return every[:number]


def name_axes(every: "list[Axes]", x: str, y: str) -> None:
    """Name the axes of a grid: each where they stand in one column, all together where they stand in two."""
    if len(every) <= COLUMN:
        every[-1].set_xlabel(x)
        for axes in every:
            axes.set_ylabel(y)
    elif (figure := every[0].get_figure(root=True)) is not None:
        figure.supxlabel(x, fontsize=_STYLE["axes.labelsize"])
        figure.supylabel(y, fontsize=_STYLE["axes.labelsize"])


def key(figure: "Figure", columns: int = 4) -> None:
    """One legend above all axes, of what any of them shows."""
    known = {words: mark for axes in figure.axes for mark, words in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(known.values(), known.keys(), loc="outside upper left", ncols=columns, borderaxespad=0.5)


class Drawing:
    """A finished figure, as SVG for the page and as PNG for where a page cannot go."""

    def __init__(self, figure: "Figure", name: str) -> None:
        self._figure = figure
        self._settle()
        self.svg = self.named(name)

    def _settle(self) -> None:
        """Lay the figure out once and for all, on round numbers: the layout's solver does not always find the last bits alike."""
        if self._figure.get_layout_engine() is None:
            return
        with _styled():
            self._figure.draw_without_rendering()
        self._figure.set_layout_engine("none")
        for axes in self._figure.axes:
            x, y, width, height = (round(bound, 5) for bound in axes.get_position(original=True).bounds)
            axes.set_position((x, y, width, height))

    def named(self, name: str) -> str:
        """The figure as an ``<svg>`` that scales with the page, its inner names made of that name.

        Names inside are the figure's with a number, since all figures share the page's; what nothing refers to loses its name.
        Matplotlib's own are hashes of coordinates to the last bit.
        """
        text = StringIO()
        with _styled():
            self._figure.savefig(text, format="svg", metadata=dict(_METADATA), facecolor="none")
        drawn = text.getvalue()
        drawn = drawn[drawn.index("<svg") :].strip()
        drawn = re.sub(r"\s*<metadata>.*?</metadata>|<!--.*?-->\s*", "", drawn, flags=re.DOTALL)
        drawn = (
            re.sub(r'(?<=[\s"])(?:width|height|xmlns|xmlns:xlink|version)="[^"]*"\s*', "", drawn[: drawn.index(">")])
            + drawn[drawn.index(">") :]
        )
        drawn = drawn.replace("xlink:href=", "href=")
        used = dict.fromkeys(re.findall(r'(?:url\(#|href="#)([^)"]+)', drawn))
        names = {made: f"{name}-{place}" for place, made in enumerate(used)}
        drawn = re.sub(r' id="([^"]+)"', lambda match: f' id="{names[match[1]]}"' if match[1] in names else "", drawn)
        return re.sub(r'(url\(#|href="#)([^)"]+)', lambda match: match[1] + names[match[2]], drawn)

    def png(self) -> bytes:
        """The figure as a picture on white, sharp enough for print."""
        content = BytesIO()
        with _styled():
            self._figure.savefig(content, format="png", dpi=DOTS, metadata={"Software": None}, facecolor="white")
        return content.getvalue()


def legend(axes: "Axes", columns: int = 4) -> None:
    """A legend over the axes, at the right of the title or, where it is long, on a line of its own below it."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    if len(handles) > columns or (len(handles) == columns > 3):
        lines = -(-len(handles) // columns)
        axes.set_title(axes.get_title("left"), pad=8.0 + 12.5 * lines)
        axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(0.0, 1.01), ncols=columns)
    else:
        axes.legend(handles, labels, loc="lower right", bbox_to_anchor=(1.0, 1.01), ncols=columns)


def duration_axis(axis: "Axis", least: float, largest: float, width: float = 1.0) -> None:
    """Ticks of a logarithmic axis in seconds at 1 s, 10 s, 1 min, …, written so; finer ones where few would be in sight.

    ``width`` is the share of the figure's width that the axis has.
    """
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    for marks in (_COARSE, _COARSE | _FINE):
        shown = {mark: text for mark, text in sorted(marks.items()) if least <= mark <= largest}
        if len(shown) >= ENOUGH:
            break
    inside = log(largest / least) if least > 0 else 0.0
    for mark in [mark for mark in shown if mark not in _COARSE]:
        if any(abs(log(mark / other)) < CLOSEST * inside for other in shown if other != mark):
            del shown[mark]
    for mark in list(shown):
        if any(0.0 < log(mark / other) < TIGHT / width * inside for other in shown):
            del shown[mark]
    axis.set_major_locator(FixedLocator(list(shown)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FixedFormatter(list(shown.values())))


def plain_axis(axis: "Axis", ratio: float, *, per_cent: bool = False) -> None:
    """Ticks of a logarithmic axis, finer where the largest value is few times the least, written as plain numbers or in per cent."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    factor = 100.0 if per_cent else 1.0
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if ratio < 100 else (1.0,), numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * factor:g}".replace("e-0", "e-").replace("-", MINUS)))
    axis.set_minor_formatter(NullFormatter())


def quantity_axis(axis: "Axis", unit: str, largest: float, *, magnitude: bool = False, ticks: int = 5) -> str:
    """Ticks of a linear axis, round in the unit that suits the largest number, which is returned; ``magnitude`` drops signs."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    factor, name = scale(unit, largest)

    class Round(MaxNLocator):
        """Round numbers in the unit that is written, such as half minutes on an axis in seconds."""

        def tick_values(self, vmin: float, vmax: float) -> list[float]:
            return [tick * factor for tick in super().tick_values(vmin / factor, vmax / factor)]

    def write(value: float, _: object) -> str:
        scaled = round((abs(value) if magnitude else value) / factor, 9)
        return f"{scaled:,.7g}".replace(",", THIN).replace("-", MINUS) if abs(scaled) < 1e7 else f"{scaled:.2g}".replace("-", MINUS)

    axis.set_major_locator(Round(nbins=ticks, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(write))
    return name
