"""Sample: what the runs of a study measured, by point, world and replication, and the cells that it is cut into.

A *cell* is a set of points that share levels of some factors. Where a cell has several points, a replication's value is the mean over
them, so that replications stay independent of each other; it counts only where all of them have an observation.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isclose, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic_core import PydanticCustomError

from l2sim.part import did_you_mean
from l2sim.statistics.difference import paired, welch
from l2sim.statistics.intervals import Floats, Interval
from l2sim.units import BYTES, DURATION, ETH, FRACTION, FREQUENCY, GAS, GAS_RATE, SECOND, USD, VOLATILITY, WEI, YEARLY, Dimension
from l2sim.wording import THIN, listed, number, own_scale

if TYPE_CHECKING:
    import pandas as pd

Level = float | str
Written = str | bool | int | float
"""A level as written in a file."""

_READ: Mapping[str, Sequence[tuple[Dimension, int]]] = {
    "s": ((DURATION, SECOND),),
    "USD": ((USD, 1),),
    "ETH": ((WEI, ETH),),
    "gas": ((GAS, 1),),
    "gas/s": ((GAS_RATE, 1),),
    "B": ((BYTES, 1),),
    "1/s": ((FREQUENCY, 1),),
    "%": ((FRACTION, 1), (VOLATILITY, 1), (YEARLY, 1)),
}
"""By unit of results: how a level is read, and how many base units it is."""


class Cell(NamedTuple):
    """Points that share levels of some factors."""

    levels: Mapping[str, Level]
    points: Sequence[int]


class Sample(NamedTuple):
    """What the runs of a study measured."""

    points: "pd.DataFrame"
    """A row for each point, by its number; a column for each factor: a number in base units, or the name of a level."""
    worlds: "Mapping[str, pd.DataFrame]"
    """By world a row for each finished run, indexed by (point, replication), a column for each figure; NaN where nothing was observed."""
    units: Mapping[str, str]
    """The unit of each figure, and of each factor that is a number: "USD", "s", "%" for shares, "" for numbers of things."""
    labels: Mapping[str, str]
    """Figures and factors in words."""
    resolved: Callable[[int], Mapping[str, Any]]
    """The resolved scenario of a point as plain data."""
    paired: bool
    """Whether the same replication has the same luck at every point (common random numbers)."""
    places: int = 0
    """On how many places the factors of Morris's trajectories move; 0 for other designs."""

    # ---- what there is; a ValueError names the nearest where there is none

    def world(self, name: str) -> str:
        """A world by its name."""
        return _known("world", name, self.worlds)

    def figure(self, name: str) -> str:
        """A figure by its name."""
        return _known("figure", name, dict.fromkeys(str(column) for frame in self.worlds.values() for column in frame))

    def factor(self, name: str) -> str:
        """A factor by its name."""
        return _known("factor", name, [str(column) for column in self.points])

    def level(self, factor: str, written: Written) -> Level:
        """A level of a factor as written in a file, ``30min`` for 1800.0 s."""
        levels = self.levels(factor)
        name = str(written).lower() if isinstance(written, bool) else str(written)
        for level in levels:
            if level == name if isinstance(level, str) else isclose(level, _in_unit(written, self.unit(factor)), rel_tol=1e-9):
                return level
        spelt = [self.spelt(factor, level) for level in levels]
        raise ValueError(f"factor '{factor}' has no level {written!r}{did_you_mean(str(written), spelt)}")

    def amount(self, written: Written, figure: str) -> float:
        """An amount as written in a file, ``10 kUSD``, in a figure's unit; a bare number is in that unit already."""
        unit = self.unit(self.figure(figure))
        amount = _in_unit(written, unit)
        if np.isnan(amount):
            raise ValueError(f"{written!r} does not go with figure '{figure}', which is {f'in {unit}' if unit else 'a number'}")
        return amount

    def levels(self, factor: str) -> list[Level]:
        """The levels of a factor: numbers in ascending order, names in the order of the points."""
        levels: list[Level] = self.points[self.factor(factor)].unique().tolist()
        return levels if any(isinstance(level, str) for level in levels) else sorted(levels)

    def others(self, *factors: str) -> list[str]:
        """The factors that are not among these."""
        return [str(name) for name in self.points if name not in factors]

    # ---- cells

    def cells(self, by: Iterable[str] = (), where: Mapping[str, Written] | None = None) -> list[Cell]:
        """The combinations of levels of some factors, in the order of the points, among those with certain levels."""
        frame = self.points
        where = where or {}
        for name, written in where.items():
            frame = frame[frame[self.factor(name)] == self.level(name, written)]
            if frame.empty:
                raise ValueError(f"no point has {listed([f'{one}: {level}' for one, level in where.items()])} together")
        names = [self.factor(name) for name in by]
        if not names:
            return [Cell({}, frame.index.tolist())]
        made: dict[tuple[Level, ...], list[int]] = {}
        for point, *key in frame[names].itertuples(name=None):
            made.setdefault(tuple(key), []).append(point)
        cells = [Cell(dict(zip(names, key, strict=True)), points) for key, points in made.items()]
        return sorted(cells, key=lambda cell: [self.levels(name).index(level) for name, level in cell.levels.items()])

    def values(self, world: str, figure: str, points: Sequence[int]) -> "pd.Series[float]":
        """A cell's value in each replication, by its number; NaN where one of the points has no observation."""
        import pandas as pd

        frame = self.worlds[world]
        if figure not in frame:
            return pd.Series(dtype=float, index=pd.Index([], name="replication"))
        column = frame.loc[frame.index.get_level_values("point").isin(points), figure]
        return column.unstack("point").reindex(columns=list(points)).mean(axis=1, skipna=False)

    def observed(self, world: str, figure: str, points: Sequence[int]) -> Floats:
        """The same values without their numbers, those left out that were not observed."""
        values = np.asarray(self.values(world, figure, points), np.float64)
        return values[~np.isnan(values)]

    def apart(self, one: "pd.Series[float]", other: "pd.Series[float]", *, same_point: bool = False) -> Interval:
        """How far one cell is above another: paired by replication where both have the same luck, else by Welch's rule.

        Worlds of the same point always have the same luck.
        """
        if self.paired or same_point:
            one, other = one.align(other, join="inner")
            return paired(np.asarray(one, np.float64), np.asarray(other, np.float64))
        return welch(np.asarray(one, np.float64), np.asarray(other, np.float64))

    def p_value(self, one: "pd.Series[float]", other: "pd.Series[float]") -> float:
        """The two-sided p-value of the t test that goes with ``apart``; NaN where there are too few observations."""
        if self.paired:
            one, other = one.align(other, join="inner")
            return _t_test([np.asarray((one - other).dropna(), np.float64)])
        return _t_test([np.asarray(one.dropna(), np.float64), -np.asarray(other.dropna(), np.float64)])

    # ---- words

    def unit(self, name: str) -> str:
        """The unit of a figure or factor."""
        return self.units.get(name, "")

    def label(self, name: str) -> str:
        """A figure or factor in words."""
        return self.labels.get(name, name)

    def spelt(self, factor: str, level: Level) -> str:
        """A level in words, with all digits that it was given."""
        if isinstance(level, str):
            return level
        size, unit = own_scale(self.unit(factor), level)
        digits = f"{level / size:.6g}"
        written = digits if "e" in digits else number(level / size, len(digits.partition(".")[2]))
        return f"{written}{THIN}{unit}" if unit else written

    def words(self, levels: Mapping[str, Level]) -> str:
        """Levels of several factors in words: ``grace period 30 min and liquidation rule partial``."""
        return listed([f"{self.label(name)} {self.spelt(name, level)}" for name, level in levels.items()])

    def told(self, levels: Mapping[str, Level], world: str, worlds: Sequence[str]) -> str:
        """Levels and, where there are several worlds, the world in words: ``grace period 30 min, without attacks``."""
        return ", ".join(filter(None, [self.words(levels), world.replace("_", " ") if len(worlds) > 1 else ""]))


def sentence(said: str, given: str = "") -> str:
    """A finding: ``With grace period 30 min: bad debt is ….``"""
    text = f"with {given}: {said}." if given else f"{said}."
    return text[:1].upper() + text[1:]


def _known(what: str, name: str, known: Iterable[str]) -> str:
    if name not in known:
        raise ValueError(f"there is no {what} '{name}'{did_you_mean(name, known)}")
    return name


def _in_unit(written: Written, unit: str) -> float:
    """A number in that unit; NaN for what is none."""
    for dimension, size in _READ.get(unit, ((FRACTION, 1),)):
        try:
            return dimension.read(written) / size
        except PydanticCustomError:
            continue
    try:
        return float(written)
    except ValueError:
        return float("nan")


def _t_test(samples: Sequence[Floats]) -> float:
    """The p-value of the sum of the means of independent samples being zero, with Welch's degrees of freedom."""
    from scipy.special import stdtr

    if min(map(len, samples)) < 2:
        return float("nan")
    mean = sum(float(one.mean()) for one in samples)
    squares = [float(one.var(ddof=1)) / len(one) for one in samples]
    if not any(squares):
        return float(mean == 0.0)
    degrees = sum(squares) ** 2 / sum(square**2 / (len(one) - 1) for square, one in zip(squares, samples, strict=True))
    return 2.0 * float(stdtr(degrees, -abs(mean) / sqrt(sum(squares))))
