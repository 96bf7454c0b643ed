"""Heat map: a figure over two factors."""

from collections.abc import Mapping, Sequence

import numpy as np

from l2sim.comparisons import Comparison, FactorName, Grid, Reading, Sample, WorldName
from l2sim.part import FigureName
from l2sim.statistics.intervals import Interval, interval
from l2sim.statistics.sample import Cell, Level, Written, sentence
from l2sim.wording import is_clear, phrase

TOLD = 6
"""Panels that a sentence is about; the others are in the table."""


class HeatMap(Comparison):
    """A figure over two factors as a table of coloured cells, a panel for each level of a third.

    Over factors that are neither, a replication's mean is taken.
    """

    figure: FigureName
    """The figure, ``metric.figure``."""
    x: FactorName
    """The factor whose levels are columns, by its name in the design."""
    y: FactorName
    """The factor whose levels are rows."""
    panels: FactorName | None = None
    """The factor whose levels are panels; by default the third factor where there is just one more than two."""
    where: dict[FactorName, Written] = {}
    """Levels of factors to look at alone."""
    world: WorldName = "as_written"
    """The world."""
    difference_to: WorldName | None = None
    """A world: cells are paired differences from it at the same point."""

    def read(self, sample: Sample) -> Reading:
        import pandas as pd

        figure, unit = sample.figure(self.figure), sample.unit(self.figure)
        x, y, panels = sample.factor(self.x), sample.factor(self.y), self._panels(sample)
        sample.world(self.world)
        label = sample.label(figure)
        if self.difference_to is not None:
            label += f", difference from {sample.world(self.difference_to).replace('_', ' ')}"
        pictures: dict[str, Sequence[Sequence[Interval]]] = {}
        findings: list[str] = []
        rows: list[dict[str, object]] = []
        columns, lines = sample.levels(x), sample.levels(y)
        for panel in sample.cells(panels, self.where):
            found = {
                (cell.levels[x], cell.levels[y]): self._found(sample, cell) for cell in sample.cells([x, y], {**self.where, **panel.levels})
            }
            nothing = Interval(float("nan"), float("nan"), float("nan"), 0)
            name = sample.words(panel.levels)
            pictures[name or label] = [[found.get((column, line), nothing) for column in columns] for line in lines]
            rows += [{**panel.levels, y: line, x: column, **one._asdict(), "unit": unit} for (column, line), one in found.items()]
            if len(findings) < TOLD:
                findings.append(self._told(sample, name, label, found))
        picture = Grid(sample.label(x), sample.unit(x), sample.label(y), sample.unit(y), label, unit, columns, lines, pictures)
        return Reading(findings, pd.DataFrame(rows, columns=[*panels, y, x, *Interval._fields, "unit"]), picture, len(rows))

    def _panels(self, sample: Sample) -> list[str]:
        if self.panels is not None:
            return [sample.factor(self.panels)]
        rest = sample.others(self.x, self.y, *self.where)
        return rest if len(rest) == 1 else []

    def _found(self, sample: Sample, cell: Cell) -> Interval:
        values = sample.values(self.world, self.figure, cell.points)
        if self.difference_to is None:
            return interval(np.asarray(values, np.float64))
        return sample.apart(values, sample.values(self.difference_to, self.figure, cell.points), same_point=True)

    def _told(self, sample: Sample, given: str, label: str, found: Mapping[tuple[Level, Level], Interval]) -> str:
        unit, signed = sample.unit(self.figure), self.difference_to is not None
        seen = {key: one for key, one in found.items() if one.n}

        def at(key: tuple[Level, Level]) -> str:
            return f"{phrase(seen[key], unit, signed=signed)} at {sample.words({self.x: key[0], self.y: key[1]})}"

        if not seen:
            return sentence(f"{label} was never observed", given)
        least, most = min(seen, key=lambda key: seen[key].mean), max(seen, key=lambda key: seen[key].mean)
        if seen[least].mean == seen[most].mean:
            return sentence(f"{label} is {at(least)}, and the same in all {len(seen)} cells", given)
        said = f"{label} is between {at(least)} and {at(most)}"
        if signed:
            said += f"; it is clear of zero in {sum(is_clear(one) for one in seen.values())} of {len(seen)} cells"
        return sentence(said, given)
