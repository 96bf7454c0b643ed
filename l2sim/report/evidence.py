"""Evidence: what a run measured, figure by figure: as written, without the attacks, and the paired difference."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from l2sim.results.run import AS_WRITTEN, WITHOUT_ATTACKS, WITHOUT_IMPACT
from l2sim.statistics.intervals import CONFIDENCE, Interval, interval
from l2sim.wording import estimate, label, phrase, unit_of

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.metrics import Metric
    from l2sim.results import Results, Run

NONE = Interval(np.nan, np.nan, np.nan, 0)


class Evidence:
    """The figures of a run by name, ``metric.subject.figure``."""

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.scenario = run.scenario
        self.written: Results = run.worlds[AS_WRITTEN]
        self.calm: Results | None = run.worlds.get(WITHOUT_ATTACKS)
        self.still: Results | None = run.worlds.get(WITHOUT_IMPACT)
        self.figures = [str(name) for name in self.written.summary]

    @property
    def replications(self) -> int:
        """How many replications there are."""
        return self.written.replications

    @property
    def how(self) -> str:
        """How figures are given, for captions."""
        n = self.replications
        return f"means over n = {n} replications, with 95 % intervals" if n > 1 else "one replication, no intervals"

    @property
    def compared(self) -> bool:
        """Whether there is a world without the attacks to compare with."""
        return self.calm is not None

    @property
    def attacks(self) -> str:
        """The attacks in a word or two."""
        return "the attack" if len(self.scenario.attacks) == 1 else "the attacks"

    @cached_property
    def _levels(self) -> "dict[str, pd.DataFrame]":
        worlds = {AS_WRITTEN: self.written, WITHOUT_ATTACKS: self.calm, WITHOUT_IMPACT: self.still}
        return {name: world.mean(CONFIDENCE) for name, world in worlds.items() if world is not None}

    @cached_property
    def _effects(self) -> "pd.DataFrame | None":
        return self.written.minus(self.calm, CONFIDENCE) if self.calm is not None else None

    @cached_property
    def _units(self) -> dict[str, str]:
        return self.written.units

    def level(self, figure: str, world: str = AS_WRITTEN) -> Interval:
        """Mean and interval in a world."""
        return _row(self._levels.get(world), figure)

    def without(self, figure: str) -> Interval:
        """Mean and interval where nobody attacks."""
        return self.level(figure, WITHOUT_ATTACKS)

    def effect(self, figure: str) -> Interval:
        """The mean paired difference that the attacks make, and its interval.

        The profit of a group that one of the worlds does not have, such as an attacker's, is zero there.
        """
        found = _row(self._effects, figure)
        if not found.n and figure.endswith(".profit") and self.calm is not None:
            columns = [world.summary.get(figure) for world in (self.written, self.calm)]
            there = next((column for column in columns if column is not None), None)
            if there is not None and None in [None if column is None else 0 for column in columns]:
                sign = 1.0 if columns[0] is not None else -1.0
                return interval(sign * there.to_numpy(np.float64), CONFIDENCE)
        return found

    def unit(self, figure: str) -> str:
        """The unit to write a figure in."""
        return unit_of(figure, self._units.get(figure, ""))

    def label(self, figure: str) -> str:
        """What a figure is called."""
        return label(figure, self.scenario.metrics[figure.partition(".")[0]].kind)

    def asked(self) -> list[tuple[str, str]]:
        """The figures that the scenario names as its answer, and what each is called."""
        return [(figure, words.strip() or self.label(figure)) for one in self.scenario.answer for figure, words in one.items()]

    def compared_in_words(self, figure: str, *, signed: bool = False) -> tuple[str, str, str]:
        """As written, without the attacks, and the difference with its interval: three texts in one unit."""
        unit, level, without, effect = self.unit(figure), self.level(figure), self.without(figure), self.effect(figure)
        like = max((abs(found.mean) for found in (level, without) if found.n), default=0.0) or abs(effect.mean)
        difference = phrase(effect, "%-points" if unit == "%" else unit, signed=True, like=like)
        here, there = (estimate(found, unit, signed=signed, like=like)[0] for found in (level, without))
        return here, there, difference

    def metrics(self, kind: str) -> "dict[str, Metric]":
        """The scenario's metrics of a kind, by name."""
        return {name: metric for name, metric in sorted(self.scenario.metrics.items()) if metric.kind == kind}

    def which(self, name: str) -> str:
        """A metric's name in brackets where there are several of its kind, to tell them apart; else nothing."""
        alike = self.metrics(self.scenario.metrics[name].kind)
        return f" ({name.replace('_', ' ')})" if len(alike) > 1 else ""

    def anchor(self, base: str, name: str) -> str:
        """What a metric's figure is called in the page and among the files."""
        return f"{base}_{name}" if self.which(name) else base

    def subjects(self, metric: str) -> list[str]:
        """The subjects that a metric answers about, such as chains."""
        paths = [name.removeprefix(f"{metric}.").rpartition(".")[0] for name in self.figures if name.startswith(f"{metric}.")]
        return list(dict.fromkeys(path for path in paths if path))

    def multipliers(self) -> list[tuple[str, Interval]]:
        """How many times larger figures are than where trades move no price."""
        return [(str(name), _interval(row)) for name, row in self.run.multiplier(CONFIDENCE).iterrows()]

    def is_nothing(self, figure: str) -> bool:
        """Whether a figure is zero or unobserved in every replication, with and without the attacks."""
        worlds = [world.summary[figure] for world in (self.written, self.calm) if world is not None and figure in world.summary]
        return not any(np.nan_to_num(values.to_numpy(np.float64)).any() for values in worlds)

    def key(self) -> list[str]:
        """The figures that are quoted first."""
        return [str(name) for name in self.run.key_figures(CONFIDENCE).index] if self.figures else []


def _row(frame: "pd.DataFrame | None", figure: str) -> Interval:
    return NONE if frame is None or figure not in frame.index else _interval(frame.loc[figure])


def _interval(row: Any) -> Interval:
    return Interval(float(row["mean"]), float(row["low"]), float(row["high"]), int(row["n"]))
