"""Comparisons: questions put to all runs of a study. The verb is ``read(sample)``; it is pure."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

from l2sim.part import Part, Refers
from l2sim.statistics.intervals import Interval
from l2sim.statistics.sample import Sample

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Bars", "Comparison", "Curves", "FactorName", "Grid", "Line", "Reading", "Sample", "WorldName"]

FactorName = Annotated[str, Refers("factor")]
WorldName = Annotated[str, Refers("world")]


class Line(NamedTuple):
    """One curve: a mean with its interval at each place."""

    label: str
    x: Sequence[float | str]
    """Numbers in base units, or names of levels."""
    y: Sequence[Interval]
    theory: bool = False
    """Whether it is what a formula says: drawn as a dashed line, without intervals."""


class Curves(NamedTuple):
    """Figures over a factor: lines where it is a number, points side by side where it has names."""

    x: str
    """What the axis is called."""
    x_unit: str
    y: str
    y_unit: str
    lines: Sequence[Line]
    level: float | None = None
    """A level that matters, such as the probability that is not to be exceeded: a thin horizontal line."""
    x_log: bool = False
    y_log: bool = False


class Bars(NamedTuple):
    """A tornado: how much each factor matters, largest first."""

    x: str
    """What the length of a bar is called."""
    x_unit: str
    labels: Sequence[str]
    bars: Mapping[str, Sequence[Interval]]
    """By name of a kind of bar (``first order``, ``total``), one interval for each label."""


class Grid(NamedTuple):
    """A table of cells that is coloured: a figure over two factors, one panel for each name."""

    x: str
    x_unit: str
    y: str
    y_unit: str
    value: str
    value_unit: str
    columns: Sequence[float | str]
    rows: Sequence[float | str]
    panels: Mapping[str, Sequence[Sequence[Interval]]]
    """By name of a panel: for each row, for each column."""


class Reading(NamedTuple):
    """The answer to a comparison: what is said, what is drawn, and the numbers behind both."""

    findings: Sequence[str]
    """Sentences, each composed of computed figures with their intervals."""
    table: "pd.DataFrame"
    """The numbers, a row for each, with ``mean``, ``low``, ``high``, ``n``, ``unit`` where there is an interval; it becomes a CSV file."""
    picture: Curves | Bars | Grid | None
    intervals: int
    """How many intervals or tests were made, for the note on how many comparisons a study makes."""


class Comparison(Part, room="comparisons"):
    """A question whose answer is a Reading."""

    @abstractmethod
    def read(self, sample: Sample) -> Reading:
        """The answer.

        Raises:
            ValueError: it asks for a figure, factor, world or level that the sample does not have; the message names the nearest.
        """
