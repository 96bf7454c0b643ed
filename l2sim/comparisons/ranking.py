"""Ranking: which level of a factor is best, and by how much."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from l2sim.comparisons import Comparison, Curves, FactorName, Line, Reading, Sample, WorldName
from l2sim.part import FigureName
from l2sim.statistics.intervals import CONFIDENCE, Interval, interval
from l2sim.statistics.multiplicity import holm
from l2sim.statistics.sample import Level, Written, sentence
from l2sim.wording import amount, listed, number, phrase

if TYPE_CHECKING:
    import pandas as pd


NOBODY = ""
"""Stands for a level where none is told apart from all others."""


class _Rival(NamedTuple):
    """A level, what was found there, and how far it is behind the best."""

    level: Level
    found: Interval
    behind: Interval
    p: float
    """Holm-adjusted; NaN for the best itself."""


class Ranking(Comparison):
    """The best level of a factor by the mean of a figure, and how much worse each other is.

    Differences from the best are paired by replication where points have the same luck, else Welch's; their p-values are adjusted by
    Holm's rule for how many levels are compared. The best is chosen from the same runs, which flatters it a little: where several levels
    are not told apart, all of them are named.
    """

    figure: FigureName
    """The figure, ``metric.figure``."""
    factor: FactorName
    """The factor whose levels are ranked, by its name in the design."""
    best: Literal["least", "largest"] = "least"
    """Which mean is best."""
    by: tuple[FactorName, ...] = ()
    """Other factors for each of whose levels there is a ranking of its own; over the rest a replication's mean is taken."""
    where: dict[FactorName, Written] = {}
    """Levels of factors to look at alone."""
    world: WorldName = "as_written"
    """The world."""

    def read(self, sample: Sample) -> Reading:
        import pandas as pd

        figure, unit, factor = sample.figure(self.figure), sample.unit(self.figure), sample.factor(self.factor)
        sample.world(self.world)
        findings, lines, rows = [], [], []
        best: Counter[str] = Counter()
        for cell in sample.cells(self.by, self.where):
            rivals = self._ranked(sample, {**self.where, **cell.levels})
            findings.append(self._told(sample, cell.levels, rivals, unit))
            best.update(sample.spelt(factor, rival.level) if _stands_alone(rivals) else NOBODY for rival in rivals[:1])
            order = [rival for level in sample.levels(factor) for rival in rivals if rival.level == level]
            name = sample.words(cell.levels) or sample.label(figure)
            lines.append(Line(name, [sample.spelt(factor, rival.level) for rival in order], [rival.found for rival in order]))
            rows += [
                {**cell.levels, factor: rival.level, "rank": rank, **rival.found._asdict(), "unit": unit}
                | {"behind": rival.behind.mean, "behind_low": rival.behind.low, "behind_high": rival.behind.high, "p_adjusted": rival.p}
                for rank, rival in enumerate(rivals, 1)
            ]
        columns = [*self.by, factor, "rank", *Interval._fields, "unit", "behind", "behind_low", "behind_high", "p_adjusted"]
        picture = Curves(sample.label(factor), "", sample.label(figure), unit, lines)
        tests = sum(len(line.x) - 1 for line in lines)
        if len(findings) > 2:
            findings.insert(0, self._tally(sample, best))
        return Reading(findings, pd.DataFrame(rows, columns=columns), picture, len(rows) + tests)

    def _ranked(self, sample: Sample, where: Mapping[str, Written]) -> list[_Rival]:
        """The levels, best first; one without any observation is left out."""
        sign = 1.0 if self.best == "least" else -1.0
        values: dict[Level, pd.Series[float]] = {
            cell.levels[self.factor]: sample.values(self.world, self.figure, cell.points) for cell in sample.cells([self.factor], where)
        }
        found = {level: interval(np.asarray(one, np.float64)) for level, one in values.items()}
        order = sorted((level for level in found if found[level].n), key=lambda level: sign * found[level].mean)
        if not order:
            return []
        behind = {level: sample.apart(values[level], values[order[0]]) for level in order[1:]}
        tests = np.array([sample.p_value(values[level], values[order[0]]) for level in order[1:]], np.float64)
        adjusted = dict(zip(order[1:], holm(tests).tolist(), strict=True))
        nothing = Interval(np.nan, np.nan, np.nan, 0)
        return [_Rival(level, found[level], behind.get(level, nothing), adjusted.get(level, np.nan)) for level in order]

    def _tally(self, sample: Sample, best: Counter[str]) -> str:
        """How often each level is the best."""
        among = listed([sample.label(name) for name in self.by])
        places = [f"at {sample.label(self.factor)} {level} in {count}" for level, count in best.most_common() if level != NOBODY]
        places += [f"at none that is told apart from all others in {best[NOBODY]}"] if best[NOBODY] else []
        what = f"{self.best} {sample.label(self.figure)}"
        return sentence(f"of {best.total()} combinations of {among}, {what} is {listed(places)}")

    def _told(self, sample: Sample, levels: Mapping[str, Level], rivals: list[_Rival], unit: str) -> str:
        given = sample.words(levels)
        what = sample.label(self.figure)
        if not rivals:
            return sentence(f"{what} was never observed", given)
        best, *others = rivals

        def spelt(rival: _Rival) -> str:
            return sample.spelt(self.factor, rival.level)

        said = f"{self.best} {what} at {sample.label(self.factor)} {spelt(best)}, {phrase(best.found, unit)}"
        worse = [rival for rival in others if _is_behind(rival)]
        alike = [rival for rival in others if rival not in worse]
        parts = [f"{phrase(rival.behind, unit, signed=True)} at {spelt(rival)} (p {_p(rival.p)})" for rival in worse]
        said += f"; against that {listed(parts)}" if parts else ""
        said += (
            f"; not told apart from it: {listed([f'{spelt(rival)} ({amount(rival.found.mean, unit)})' for rival in alike])}"
            if alike
            else ""
        )
        return sentence(said, given)


def _is_behind(rival: _Rival) -> bool:
    """Whether a level is told apart from the best."""
    return rival.p < 1.0 - CONFIDENCE


def _stands_alone(rivals: Sequence[_Rival]) -> bool:
    """Whether the best level is told apart from all others."""
    return all(map(_is_behind, rivals[1:]))


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {number(value, 3)}"
