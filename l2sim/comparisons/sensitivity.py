"""Sensitivity: which factors move a figure."""

from collections.abc import Callable, Mapping, Sequence
from math import atanh, prod, sqrt, tanh
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from l2sim.comparisons import Bars, Comparison, Reading, Sample, WorldName
from l2sim.part import FigureName
from l2sim.statistics.intervals import CONFIDENCE, Interval
from l2sim.statistics.sensitivity import morris, sobol
from l2sim.wording import listed, phrase, verdict

if TYPE_CHECKING:
    import pandas as pd

Rows = npt.NDArray[np.intp]

TOLD = 3
"""Factors that a sentence names; the others are in the table."""


class _Found(NamedTuple):
    """A tornado before it is drawn."""

    method: str
    """What it is by, in words."""
    x: str
    unit: str
    bars: Mapping[str, list[Interval]]
    """By name of a kind of bar, one for each factor; the longest decides on the order."""
    factors: Sequence[str]
    told: Callable[[str, Sequence[Interval]], str]
    """Words about a factor, with its bars."""


class Sensitivity(Comparison):
    """How much each factor moves a figure: a tornado, by the method that suits the design.

    Saltelli's points give Sobol indices, first order and total; Morris's trajectories give μ* and σ of elementary effects; points
    that each differ from the first in one factor give paired differences from it; a full grid gives main effects, paired differences
    between the two levels of a factor whose means are furthest apart, over all levels of the others (of more than two levels they are
    chosen from the same runs, which flatters a factor without effect a little); any other design gives Spearman's rank correlations with
    intervals by Fisher's transformation (Fieller, Hartley, Pearson 1957, Biometrika 44). A point's value is its mean over replications.
    """

    figure: FigureName
    """The figure, ``metric.figure``."""
    world: WorldName = "as_written"
    """The world."""
    difference_to: WorldName | None = None
    """A world: the figure is its paired difference from this one."""
    levels: Annotated[int, Field(ge=2)] | None = None
    """Places on which each factor moves in trajectories that the study lists itself; a Morris design has its own."""

    def read(self, sample: Sample) -> Reading:
        import pandas as pd

        figure = sample.figure(self.figure)
        sample.world(self.world)
        label = sample.label(figure)
        if self.difference_to is not None:
            label += f", difference from {sample.world(self.difference_to).replace('_', ' ')}"
        codes = _codes(sample)
        if codes.shape[1] == 0 or len(codes) < 2:
            raise ValueError("a sensitivity analysis needs a factor and two points")
        found = self._found(sample, codes)
        drawn = {name: intervals for name, intervals in found.bars.items() if name != "σ"}
        size = [max(abs(one.mean) if np.isfinite(one.mean) else -1.0 for one in bars) for bars in zip(*drawn.values(), strict=True)]
        order = sorted(range(len(size)), key=lambda i: -size[i])
        bars = {name: [intervals[i] for i in order] for name, intervals in found.bars.items()}
        names = [found.factors[i] for i in order]
        rows = [
            {"factor": factor, "measure": measure, **intervals[i]._asdict(), "unit": found.unit}
            for i, factor in enumerate(names)
            for measure, intervals in bars.items()
        ]
        told = [found.told(sample.label(name), [bar[i] for bar in bars.values()]) for i, name in enumerate(names[:TOLD])]
        findings = [f"What moves {label} most, by {found.method}: {'; '.join(told)}."]
        left_out = [sample.label(name) for name in sample.others(*found.factors)]
        if left_out:
            findings.append(f"Levels of {listed(left_out)} are names without an order, so that there is no rank correlation with them.")
        tornado = {name: bars[name] for name in drawn}
        picture = Bars(found.x.format(label), found.unit, [sample.label(name) for name in names], tornado)
        table = pd.DataFrame(rows, columns=["factor", "measure", *Interval._fields, "unit"])
        return Reading(findings, table, picture, sum(map(len, tornado.values())))

    # ---- by design

    def _found(self, sample: Sample, codes: Rows) -> _Found:
        saltelli = _saltelli(codes)
        if saltelli is not None:
            return self._sobol(sample, *saltelli)
        if (places := self._places(sample)) and _is_morris(codes):
            return self._morris(sample, codes, places)
        if (np.count_nonzero(codes[1:] != codes[0], axis=1) == 1).all() and codes.shape[1] > 1:
            return self._one_at_a_time(sample, codes)
        if prod(int(column.max()) + 1 for column in codes.T) == len(codes):
            return self._main_effects(sample)
        return self._rank_correlations(sample)

    def _sobol(self, sample: Sample, a: Rows, b: Rows, ab: Rows) -> _Found:
        y = self._means(sample)
        found = sobol(y[a], y[b], y[ab])

        def told(factor: str, bars: Sequence[Interval]) -> str:
            return f"{factor} makes {phrase(bars[0], '%')} of the variance alone and {phrase(bars[1], '%')} with its interactions"

        return _Found(
            "Sobol indices", "share of the variance of {}", "%", {"first order": found.first, "total": found.total}, sample.others(), told
        )

    def _places(self, sample: Sample) -> int:
        if self.levels and sample.places and self.levels != sample.places:
            raise ValueError(f"'levels' is {self.levels}, and the design moves factors on {sample.places} places: leave 'levels' out")
        return sample.places or self.levels or 0

    def _morris(self, sample: Sample, codes: Rows, places: int) -> _Found:
        unit = sample.unit(self.figure)
        found = morris(codes / np.maximum(codes.max(axis=0), 1), self._means(sample), places)
        spread = [Interval(sigma, np.nan, np.nan, one.n) for sigma, one in zip(found.sigma, found.mu_star, strict=True)]

        def told(factor: str, bars: Sequence[Interval]) -> str:
            return f"{factor} by {phrase(bars[1], unit)} over its range (σ {phrase(bars[0], unit)})"

        return _Found(
            "elementary effects", "μ*, change of {} over the range", unit, {"σ": spread, "μ*": found.mu_star}, sample.others(), told
        )

    def _one_at_a_time(self, sample: Sample, codes: Rows) -> _Found:
        """Differences of the ends of each factor from the first point."""
        numbers = sample.points.index.to_numpy()
        bars: dict[str, list[Interval]] = {"lowest level": [], "highest level": []}
        for factor in range(codes.shape[1]):
            moved = np.flatnonzero(codes[:, factor] != codes[0, factor])
            ends = moved[np.argmin(codes[moved, factor])], moved[np.argmax(codes[moved, factor])]
            start = self._values(sample, [int(numbers[0])])
            for name, row, sign in zip(bars, ends, (-1, 1), strict=True):
                beyond = sign * (codes[row, factor] - codes[0, factor]) > 0  # the first point may itself be at the end
                bars[name].append(sample.apart(self._values(sample, [int(numbers[row])]), start) if beyond else Interval(0.0, 0.0, 0.0, 0))
        return self._differences(sample, "one factor at a time from the first point", "change of {} from the first point", bars)

    def _main_effects(self, sample: Sample) -> _Found:
        """Of each factor the two levels whose means are furthest apart: the ends, where the figure only rises or falls with it."""
        effects, steps = [], {}
        for factor in sample.others():
            cells = sample.cells([factor])
            values = [self._values(sample, cell.points) for cell in cells]
            means = np.array([value.mean() for value in values], np.float64)
            seen = np.flatnonzero(np.isfinite(means))
            ends = [0, len(cells) - 1]
            if len(seen) and np.ptp(means[seen]) > 0.0:
                ends = [int(seen[means[seen].argmin()]), int(seen[means[seen].argmax()])]
            if not _is_nominal(sample, factor):
                ends.sort()
            first, last = ends
            effects.append(sample.apart(values[last], values[first]))
            spelt = [sample.spelt(factor, cells[i].levels[factor]) for i in (first, last)]
            steps[sample.label(factor)] = f" from {spelt[0]} to {spelt[1]}"
        words = "main effects, the largest difference between two levels", "largest change of {} between two levels"
        return self._differences(sample, *words, {"main effect": effects}, steps)

    def _differences(
        self, sample: Sample, method: str, x: str, bars: Mapping[str, list[Interval]], steps: Mapping[str, str] | None = None
    ) -> _Found:
        unit = sample.unit(self.figure)

        def told(factor: str, intervals: Sequence[Interval]) -> str:
            which = (steps or {}).get(factor, "")
            made = [
                " ".join(
                    filter(None, [phrase(one, unit, signed=True), f"at the {name}" if len(bars) > 1 else "", f"({doubt})" * bool(doubt)])
                )
                for name, one in zip(bars, intervals, strict=True)
                if one.n
                for doubt in [verdict(one)]
            ]
            return f"{factor}{which} by {listed(made)}" if made else f"{factor}, of which nothing was observed"

        return _Found(method, x, unit, bars, sample.others(), told)

    def _rank_correlations(self, sample: Sample) -> _Found:
        from scipy.stats import spearmanr

        y = self._means(sample)
        codes, names = _codes(sample), sample.others()
        ordered = [i for i, name in enumerate(names) if not _is_nominal(sample, name)]
        seen = np.isfinite(y)
        found = []
        for i in ordered:
            x = codes[seen, i]
            constant = seen.sum() < 3 or np.ptp(x) == 0 or np.ptp(y[seen]) == 0
            found.append(
                Interval(np.nan, np.nan, np.nan, 0) if constant else _fisher(float(spearmanr(x, y[seen]).statistic), int(seen.sum()))
            )

        def told(factor: str, bars: Sequence[Interval]) -> str:
            doubt = verdict(bars[0])
            return f"{factor} with {phrase(bars[0], signed=True)}{f' ({doubt})' if doubt else ''}"

        return _Found("rank correlation", "rank correlation with {}", "", {"rank correlation": found}, [names[i] for i in ordered], told)

    # ---- values

    def _values(self, sample: Sample, points: Sequence[int]) -> "pd.Series[float]":
        values = sample.values(self.world, self.figure, points)
        return values if self.difference_to is None else values - sample.values(self.difference_to, self.figure, points)

    def _means(self, sample: Sample) -> npt.NDArray[np.float64]:
        """By point, in order; NaN where it has no observation."""
        frame = sample.worlds[self.world][self.figure]
        if self.difference_to is not None:
            frame = frame - sample.worlds[self.difference_to][self.figure]
        return np.asarray(frame.groupby(level="point").mean().reindex(sample.points.index), np.float64)


def _codes(sample: Sample) -> Rows:
    """The position of each point's level among the levels of each factor; shape (points, factors)."""
    columns = []
    for name in sample.others():
        rank = {level: i for i, level in enumerate(sample.levels(name))}
        columns.append([rank[level] for level in sample.points[name].tolist()])
    return np.array(columns, np.intp).reshape(len(columns), len(sample.points)).T


def _saltelli(codes: Rows) -> tuple[Rows, Rows, Rows] | None:
    """Rows of A, B and AB (factors, n) where the points are Saltelli's: matrix after matrix, or the matrices' first rows first."""
    points, factors = codes.shape
    n = points // (factors + 2)
    if factors < 2 or n < 2 or n * (factors + 2) != points:
        return None
    rows = np.arange(points)
    by_matrix, by_row = rows.reshape(factors + 2, n), rows.reshape(n, factors + 2).T
    for a, b, ab in (
        (by_matrix[0], by_matrix[1], by_matrix[2:]),
        (by_row[0], by_row[1], by_row[2:]),
        (by_row[0], by_row[-1], by_row[1:-1]),
    ):
        wanted = np.array([np.where(np.arange(factors) == i, codes[b], codes[a]) for i in range(factors)])
        if (codes[ab] == wanted).all():
            return a, b, ab
    return None


def _is_morris(codes: Rows) -> bool:
    """Whether the points are trajectories in which each factor moves once."""
    points, factors = codes.shape
    if factors < 2 or points % (factors + 1):
        return False
    moved = np.diff(codes.reshape(-1, factors + 1, factors), axis=1) != 0
    return bool((moved.sum(axis=1) == 1).all() and (moved.sum(axis=2) == 1).all())


def _is_nominal(sample: Sample, factor: str) -> bool:
    levels = sample.levels(factor)
    return len(levels) > 2 and any(isinstance(level, str) for level in levels)


def _fisher(r: float, n: int) -> Interval:
    """A rank correlation with its interval: atanh r has about the variance 1.06 / (n - 3)."""
    from scipy.special import ndtri

    if n < 4 or abs(r) >= 1.0:
        return Interval(r, np.nan, np.nan, n)
    half = float(ndtri((1.0 + CONFIDENCE) / 2.0)) * sqrt(1.06 / (n - 3))
    return Interval(r, tanh(atanh(r) - half), tanh(atanh(r) + half), n)
