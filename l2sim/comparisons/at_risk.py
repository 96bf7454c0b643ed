"""At risk: how bad a figure gets in the worst runs."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from l2sim.comparisons import Comparison, Curves, FactorName, Line, Reading, Sample, WorldName
from l2sim.part import FigureName
from l2sim.statistics.intervals import Floats, Interval
from l2sim.statistics.quantiles import expected_shortfall, mirrored, quantile
from l2sim.statistics.sample import Written
from l2sim.wording import amount, number, phrase

TOLD = 6
"""Points that a sentence is about; the others are in the table."""
VALUE, SHORTFALL = "value at risk", "expected shortfall"


class AtRisk(Comparison):
    """Value at risk and expected shortfall of a figure at every point, with intervals.

    The value at risk is the quantile of the figure over replications, the expected shortfall its mean beyond that quantile. Large values
    are bad ones, such as a loss or a liquidated notional, unless ``worst`` says otherwise: the notional that a unit of collateral
    supports at a given probability of bad debt is a low quantile of what would have sufficed (``capital_efficiency``). The interval of
    the quantile assumes no distribution, so that it needs many replications.
    """

    figure: FigureName
    """The figure, ``metric.figure``."""
    over: FactorName
    """The factor along the axis, by its name in the design; all other factors are lines."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Share of the runs in which the figure stays below the value at risk, or above it where the smallest values are the worst."""
    worst: Literal["largest", "smallest"] = "largest"
    """Which values are the bad ones."""
    where: dict[FactorName, Written] = {}
    """Levels of factors to look at alone."""
    worlds: Annotated[tuple[WorldName, ...], Field(min_length=1)] = ("as_written",)
    """The worlds that lines stand for."""

    def read(self, sample: Sample) -> Reading:
        import pandas as pd

        figure, unit, over = sample.figure(self.figure), sample.unit(self.figure), sample.factor(self.over)
        by = sample.others(over, *self.where)
        findings: list[str] = []
        lines: list[Line] = []
        rows: list[dict[str, object]] = []
        for world in map(sample.world, self.worlds):
            for cell in sample.cells(by, self.where):
                found: dict[str, list[Interval]] = {VALUE: [], SHORTFALL: []}
                places = sample.cells([over], {**self.where, **cell.levels})
                name = sample.told(cell.levels, world, self.worlds)
                for place in places:
                    values = sample.observed(world, figure, place.points)
                    both = self._beyond(values)
                    for measure, one in zip(found, both, strict=True):
                        found[measure].append(one)
                        key = {"world": world, **cell.levels, over: place.levels[over]}
                        rows.append({**key, "measure": measure, **one._asdict(), "unit": unit})
                    if len(findings) < TOLD:
                        where = ", ".join(filter(None, [sample.words(place.levels), name]))
                        findings.append(self._told(sample, where, *both, values, unit))
                x = [place.levels[over] for place in places]
                lines += [Line(", ".join(filter(None, [measure, name])), x, intervals) for measure, intervals in found.items()]
        picture = Curves(sample.label(over), sample.unit(over), sample.label(figure), unit, lines)
        columns = ["world", *by, over, "measure", *Interval._fields, "unit"]
        return Reading(findings, pd.DataFrame(rows, columns=columns), picture, len(rows))

    def _beyond(self, values: Floats) -> tuple[Interval, Interval]:
        """The value at risk and the expected shortfall."""
        if self.worst == "largest":
            return quantile(values, self.share), expected_shortfall(values, self.share)
        value, shortfall = quantile(-values, self.share), expected_shortfall(-values, self.share)
        return mirrored(value), mirrored(shortfall)

    def _told(self, sample: Sample, where: str, value: Interval, shortfall: Interval, values: Floats, unit: str) -> str:
        what = sample.label(self.figure)
        if not value.n:
            return f"At {where}, {what} was never observed."
        worst = f"{number(100 * (1 - self.share), 1).removesuffix('.0')} %"
        passes, end, extreme = ("is at least", value.high, np.max) if self.worst == "largest" else ("is at most", value.low, np.min)
        said = f"At {where}, {what} {passes} {phrase(value, unit)} in the worst {worst} of runs"
        said += f", and is {phrase(shortfall, unit)} on average in these"
        if np.isnan(end):
            said += f"; {value.n} runs are too few to bound the quantile, the {self.worst} of them is "
            said += amount(float(extreme(values)), unit)
        return f"{said}."
