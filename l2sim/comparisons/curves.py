"""Curves: figures over a factor."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from l2sim.comparisons import Comparison, FactorName, Line, Reading, Sample, WorldName
from l2sim.comparisons import Curves as Picture
from l2sim.part import FigureName
from l2sim.statistics.bootstrap import bootstrap
from l2sim.statistics.intervals import Interval, interval
from l2sim.statistics.sample import Level, Written, sentence
from l2sim.wording import is_clear, listed, phrase, verdict

if TYPE_CHECKING:
    import pandas as pd

MOST = 24
"""Lines beyond which nobody can tell them apart."""
TOLD = 6
"""Lines that a sentence is about; the others are in the table."""


class _Place(NamedTuple):
    """A level of the factor, and what was found there."""

    level: Level
    points: Sequence[int]
    found: Interval


class _Traced(NamedTuple):
    """A line before it is drawn."""

    figure: str
    world: str
    levels: Mapping[str, Level]
    places: Sequence[_Place]


class Curves(Comparison):
    """Figures over a factor, a line for each combination of the other factors' levels and for each world.

    With ``difference_to`` or ``baseline`` it shows differences instead: paired by replication where both sides have the same luck,
    else by Welch's rule.
    """

    figures: Annotated[tuple[FigureName, ...], Field(min_length=1)]
    """The figures, ``metric.figure`` each, of the same unit."""
    over: FactorName
    """The factor along the axis, by its name in the design."""
    by: tuple[FactorName, ...] | None = None
    """The factors that lines stand for; by default all others. Over the rest a replication's mean is taken."""
    where: dict[FactorName, Written] = {}
    """Levels of factors to look at alone, such as ``{rule: partial}``."""
    worlds: Annotated[tuple[WorldName, ...], Field(min_length=1)] = ("as_written",)
    """The worlds that lines stand for."""
    difference_to: WorldName | None = None
    """A world: each line is the difference of its own world from this one at the same point."""
    interval: Literal["t", "bootstrap"] = "t"
    """Student's t, or the bias-corrected and accelerated bootstrap, which leans where a figure's law does; that needs paired luck."""
    baseline: dict[FactorName, Written] = {}
    """A level of a factor, such as ``{rule: partial}``: each line is the difference from what is found there, all else equal."""
    x_log: bool = False
    """Whether the factor's axis is logarithmic."""
    y_log: bool = False
    """Whether the figures' axis is logarithmic."""

    model_config = {"json_schema_extra": {"examples": [{"figures": ["losses.bad_debt"], "over": "grace"}]}}

    @model_validator(mode="after")
    def _one_difference(self) -> "Curves":
        if self.difference_to is not None and self.baseline:
            raise ValueError("'difference_to' and 'baseline' are two differences: write a comparison for each")
        return self

    def read(self, sample: Sample) -> Reading:
        import pandas as pd

        units = {name: sample.unit(sample.figure(name)) for name in self.figures}
        if len(set(units.values())) > 1:
            different = listed([f"{name} ({unit or 'a number'})" for name, unit in units.items()])
            raise ValueError(f"figures of different units do not fit on one axis: {different}; write a comparison for each")
        unit = units[self.figures[0]]
        by = self._by(sample)
        traced = [
            _Traced(figure, sample.world(world), cell.levels, self._places(sample, figure, world, cell.levels))
            for figure in self.figures
            for world in self.worlds
            for cell in sample.cells(by, self.where)
        ]
        traced = [line for line in traced if line.places]
        if len(traced) > MOST:
            raise ValueError(f"{len(traced)} lines are too many to tell apart: name fewer factors than {listed(by)} under 'by'")
        told = [self._told(sample, line, unit) for line in traced[:TOLD]]
        rows = [
            {"figure": line.figure, "world": line.world, **line.levels, self.over: place.level, **place.found._asdict(), "unit": unit}
            for line in traced
            for place in line.places
        ]
        columns = ["figure", "world", *by, self.over, *Interval._fields, "unit"]
        what = sample.label(self.figures[0]) if len(self.figures) == 1 else "figures"
        picture = Picture(
            x=sample.label(self.over),
            x_unit=sample.unit(self.over),
            y=f"{what}{self._against(sample)}",
            y_unit=unit,
            lines=[
                Line(self._name(sample, line), [place.level for place in line.places], [place.found for place in line.places])
                for line in traced
            ],
            level=0.0 if self._is_difference else None,
            x_log=self.x_log,
            y_log=self.y_log,
        )
        return Reading([text for text, _ in told], pd.DataFrame(rows, columns=columns), picture, len(rows) + sum(n for _, n in told))

    @property
    def _is_difference(self) -> bool:
        return self.difference_to is not None or bool(self.baseline)

    def _by(self, sample: Sample) -> list[str]:
        sample.factor(self.over)
        if self.difference_to is not None:
            sample.world(self.difference_to)
        for name, level in self.baseline.items():
            sample.level(name, level)
        if self.by is not None:
            return [sample.factor(name) for name in self.by]
        return sample.others(self.over, *self.where)

    def _places(self, sample: Sample, figure: str, world: str, levels: Mapping[str, Level]) -> list[_Place]:
        places = []
        for cell in sample.cells([self.over], {**self.where, **levels}):
            values = sample.values(world, figure, cell.points)
            if self.difference_to is not None:
                other = sample.values(self.difference_to, figure, cell.points)
                found = self._apart(sample, values, other, same_point=True)
            elif self.baseline:
                (there,) = sample.cells((), {**self.where, **levels, **cell.levels, **self.baseline})
                if there.points == cell.points:
                    continue
                found = self._apart(sample, values, sample.values(world, figure, there.points))
            else:
                found = (bootstrap if self.interval == "bootstrap" else interval)(np.asarray(values, np.float64))
            places.append(_Place(cell.levels[self.over], cell.points, found))
        return places

    def _apart(self, sample: Sample, one: "pd.Series[float]", other: "pd.Series[float]", *, same_point: bool = False) -> Interval:
        if self.interval == "t":
            return sample.apart(one, other, same_point=same_point)
        if not (sample.paired or same_point):
            raise ValueError("points of an independent study are not paired: 'interval: bootstrap' has no differences to draw from")
        return bootstrap(np.asarray((one - other).dropna(), np.float64))

    # ---- words

    def _against(self, sample: Sample) -> str:
        if self.difference_to is not None:
            return f", difference from {_spelt(self.difference_to)}"
        if self.baseline:
            return f", difference from {sample.words({name: sample.level(name, level) for name, level in self.baseline.items()})}"
        return ""

    def _name(self, sample: Sample, line: _Traced) -> str:
        parts = [sample.label(line.figure)] if len(self.figures) > 1 else []
        parts += [sample.words({name: level}) for name, level in line.levels.items()]
        parts += [_spelt(line.world)] if len(self.worlds) > 1 else []
        return ", ".join(parts) or sample.label(line.figure)

    def _told(self, sample: Sample, line: _Traced, unit: str) -> tuple[str, int]:
        """A sentence about a line, and how many further intervals it took."""
        given = sample.told(line.levels, line.world, self.worlds)
        what = f"{sample.label(line.figure)}{self._against(sample)}"
        seen = [place for place in line.places if place.found.n]
        if not seen:
            return sentence(f"{what} was never observed", given), 0

        def at(place: _Place) -> str:
            return f"{phrase(place.found, unit, signed=self._is_difference)} at {sample.words({self.over: place.level})}"

        least, most = min(seen, key=lambda place: place.found.mean), max(seen, key=lambda place: place.found.mean)
        if len(seen) == 1 or least is most:
            same = f", and the same at {len(seen) - 1} others" if len(seen) > 1 else ""
            return sentence(f"{what} is {at(seen[0])}{same}", given), 0
        if self._is_difference:
            clear = sum(is_clear(place.found) for place in seen)
            return sentence(f"{what} is between {at(least)} and {at(most)}; it is clear of zero at {clear} of {len(seen)} places", given), 0
        first, last = (least, most) if any(isinstance(place.level, str) for place in seen) else (seen[0], seen[-1])
        ends = [sample.values(line.world, line.figure, place.points) for place in (first, last)]
        change = sample.apart(ends[1], ends[0])
        doubt = verdict(change)
        said = f"a difference of {phrase(change, unit, signed=True)}" + (f", {doubt}" if doubt else "")
        inside = [
            f"it is {word} at {sample.words({self.over: place.level})}, {phrase(place.found, unit)}"
            for word, place in (("least", least), ("largest", most))
            if place is not first and place is not last
        ]
        return sentence(f"{what} is {at(first)} and {at(last)}: {'; '.join([said, *inside])}", given), 1


def _spelt(world: str) -> str:
    return world.replace("_", " ")
