"""Frontier: how far a factor may go until something bad becomes too likely."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field

from l2sim.comparisons import Comparison, Curves, FactorName, Line, Reading, Sample, WorldName
from l2sim.part import FigureName
from l2sim.statistics.intervals import CONFIDENCE, Interval
from l2sim.statistics.proportion import wilson
from l2sim.statistics.sample import Level, Written, sentence
from l2sim.units import Quantity
from l2sim.wording import amount, phrase


class _Step(NamedTuple):
    """A level of the factor, and how often the figure exceeded the limit there."""

    level: float
    found: Interval
    exceeded: int


def _quantity(written: str | float) -> str | float:
    Quantity.read(written)
    return written


class Frontier(Comparison):
    """The largest (or smallest) level of a factor up to which a figure exceeds a limit with less than a given probability.

    Probabilities are shares of replications with Wilson intervals. Going from the safe end, the frontier is the last level before the
    estimate first reaches the probability; it is *certain* as far as the upper ends of the intervals stay below it.
    """

    figure: FigureName
    """The figure, ``metric.figure``."""
    more_than: Annotated[str | float, AfterValidator(_quantity)] = 0.0
    """The limit that is not to be exceeded, such as ``10 kUSD``; a bare number is in the figure's unit."""
    probability: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """How likely it may become."""
    over: FactorName
    """The factor, by its name in the design; its levels are numbers."""
    side: Literal["largest", "smallest"] = "largest"
    """Which end of the safe levels is asked for; the factor's other end is the safe one."""
    where: dict[FactorName, Written] = {}
    """Levels of factors to look at alone."""
    worlds: Annotated[tuple[WorldName, ...], Field(min_length=1)] = ("as_written",)
    """The worlds; each has a frontier for each combination of the other factors' levels."""

    def read(self, sample: Sample) -> Reading:
        import pandas as pd

        figure, over = sample.figure(self.figure), sample.factor(self.over)
        if any(isinstance(level, str) for level in sample.levels(over)):
            raise ValueError(f"the levels of factor '{over}' are names: a frontier needs numbers; name another factor under 'over'")
        by = sample.others(over, *self.where)
        findings: list[str] = []
        lines: list[Line] = []
        rows: list[dict[str, object]] = []
        for world in map(sample.world, self.worlds):
            for cell in sample.cells(by, self.where):
                steps = self._steps(sample, world, figure, {**self.where, **cell.levels})
                name = sample.told(cell.levels, world, self.worlds)
                findings.append(self._told(sample, name, steps))
                lines.append(Line(name or sample.label(figure), [step.level for step in steps], [step.found for step in steps]))
                key = {"world": world, **cell.levels}
                rows += [{**key, over: step.level, "exceeded": step.exceeded, **step.found._asdict(), "unit": "%"} for step in steps]
        chance = f"probability that {self._event(sample)}"
        picture = Curves(sample.label(over), sample.unit(over), chance, "%", lines, level=self.probability)
        columns = ["world", *by, over, "exceeded", *Interval._fields, "unit"]
        return Reading(findings, pd.DataFrame(rows, columns=columns), picture, len(rows))

    def _steps(self, sample: Sample, world: str, figure: str, where: Mapping[str, Level]) -> list[_Step]:
        """By level, from the safe end on."""
        steps, limit = [], sample.amount(self.more_than, figure)
        for cell in sample.cells([self.over], where):
            values = sample.observed(world, figure, cell.points)
            exceeded = int(np.count_nonzero(values > limit))
            steps.append(_Step(float(cell.levels[self.over]), wilson(exceeded, len(values)), exceeded))
        return steps if self.side == "largest" else steps[::-1]

    # ---- words

    def _event(self, sample: Sample) -> str:
        return f"{sample.label(self.figure)} exceeds {amount(sample.amount(self.more_than, self.figure), sample.unit(self.figure))}"

    def _told(self, sample: Sample, given: str, steps: Sequence[_Step]) -> str:
        def at(step: _Step) -> str:
            return f"{phrase(step.found, '%')} at {sample.spelt(self.over, step.level)}"

        label, alpha = sample.label(self.over), amount(self.probability, "%")
        event = f"{self._event(sample)} with a probability below {alpha}"
        safe = _before(steps, [step.found.mean < self.probability for step in steps])
        certain = _before(steps, [step.found.high < self.probability for step in steps])
        if not any(step.found.n for step in steps):
            return sentence(f"{sample.label(self.figure)} was never observed", given)
        if safe is None:
            said = f"there is no {label} among those tried at which {event}; it is {at(steps[0])}"
        else:
            said = f"the {self.side} {label} up to which {event} is {sample.spelt(self.over, safe.level)}"
            said += f", where it is {phrase(safe.found, '%')}"
            if safe is steps[-1]:
                said += "; the levels end there, so that the frontier may lie beyond"
            else:
                said += f"; it is {at(steps[steps.index(safe) + 1])}"
        needed = _needed(self.probability)
        fewest = min(step.found.n for step in steps)
        if certain is not None:
            where = "that holds there too" if certain is safe else f"it is {sample.spelt(self.over, certain.level)}"
            said += f"; with {amount(CONFIDENCE, '%')} confidence {where}"
        elif fewest < needed:
            said += f"; no level is certain, for which {needed} replications without any excess would be the least, and there are {fewest}"
        else:
            said += "; no level is certain"
        return sentence(said, given)


def _before(steps: Sequence[_Step], holds: Sequence[bool]) -> _Step | None:
    """The last step before the first at which it does not hold."""
    first = holds.index(False) if False in holds else len(steps)
    return steps[first - 1] if first else None


def _needed(probability: float) -> int:
    """Replications from which the Wilson interval of no excess at all ends below a probability: z²/(n + z²) < p."""
    from scipy.special import ndtri

    z = float(ndtri((1.0 + CONFIDENCE) / 2.0))
    return ceil(z * z * (1.0 - probability) / probability)
