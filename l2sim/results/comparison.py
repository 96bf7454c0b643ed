"""Comparison of two runs: which settings differ, and how far each figure is apart, paired where both had the same luck."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from l2sim.results.results import Results
from l2sim.results.run import AS_WRITTEN, Run, is_key
from l2sim.statistics.difference import paired, welch
from l2sim.statistics.intervals import CONFIDENCE, Interval, interval
from l2sim.wording import amount, is_clear, label, listed, phrase, unit_of

ABSENT = "–"
TOLD = 4
"""Figures that a sentence names; the others are in the table."""
_WORDS = ("title", "question", "answer", "assumptions")
"""What a scenario says of itself: no settings."""


class Setting(NamedTuple):
    """A setting that differs, by its dotted path in the resolved scenarios; a member that only one has is a single setting."""

    setting: str
    one: str
    other: str


class Comparison:
    """Two runs beside each other. Differences are those of the first from the second.

    Attributes:
        one: the first run.
        other: the second run.
        confidence: of the intervals.
        paired: whether both had the same luck: the same seed, and replications in common. Else differences are Welch's.
    """

    def __init__(self, one: Run, other: Run, confidence: float = CONFIDENCE) -> None:
        self.one = one
        self.other = other
        self.confidence = confidence
        self.paired = one.seed == other.seed and bool(self._pairs)

    def __repr__(self) -> str:
        return f"<Comparison of {self.one.path} and {self.other.path}, {'paired' if self.paired else 'not paired'}>"

    @property
    def path(self) -> Path:
        """Where its report belongs: beside the first run, in a folder named after both."""
        return self.one.path.with_name(f"{self.one.path.name}-and-{self.other.path.name}")

    @property
    def worlds(self) -> list[str]:
        """The worlds that both have."""
        return [world for world in self.one.worlds if world in self.other.worlds]

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each world and each figure that both have and that was observed.

        ``mean``, ``low``, ``high`` are the difference of the first from the second, and ``n`` how many pairs (without pairs: how many
        observations) it rests on; ``one``, ``one_low``, ``one_high``, ``one_n`` the first's own mean, and ``other…`` the second's.
        """
        rows = [row for world in self.worlds for row in self._rows(world)]
        sides = [f"{side}{end}" for side in ("one", "other") for end in ("", "_low", "_high", "_n")]
        return pd.DataFrame(rows, columns=["world", "figure", *sides, *Interval._fields, "unit"])

    @cached_property
    def differences(self) -> pd.DataFrame:
        """A row for each setting that differs: ``setting``, its dotted path, and its value in ``one`` and in ``other``."""
        here, there = (_settings(run) for run in (self.one, self.other))
        return pd.DataFrame(list(_apart(here, there)), columns=list(Setting._fields))

    @property
    def alone(self) -> dict[str, list[str]]:
        """The figures that only ``one`` or only ``other`` has, in the world as written."""
        here, there = ([str(name) for name in run.worlds[AS_WRITTEN].summary] for run in (self.one, self.other))
        return {"one": [name for name in here if name not in there], "other": [name for name in there if name not in here]}

    @property
    def labels(self) -> dict[str, str]:
        """Figures in words."""
        metrics = {**self.other.scenario.metrics, **self.one.scenario.metrics}
        return {name: label(name, metrics[name.partition(".")[0]].kind) for name in self.table["figure"].unique()}

    @property
    def intervals(self) -> int:
        """How many differences were estimated."""
        return len(self.table)

    @property
    def findings(self) -> list[str]:
        """Sentences: what the two have in common, and which of the key figures as written are apart."""
        return [self._luck(), self._what_differs(), self._what_is_apart()]

    # ---- figures

    @property
    def _pairs(self) -> list[int]:
        here, there = (run.worlds[AS_WRITTEN].measured for run in (self.one, self.other))
        return [number for number in here if number in there]

    def _rows(self, world: str) -> Iterator[dict[str, Any]]:
        one, other = self.one.worlds[world], self.other.worlds[world]
        here, there = one.summary, other.summary
        units = {**other.units, **one.units}
        for name in map(str, here):
            if name not in there or (here[name].isna().all() and there[name].isna().all()):
                continue
            sides = {side: interval(_floats(frame[name]), self.confidence) for side, frame in (("one", here), ("other", there))}
            row: dict[str, Any] = {"world": world, "figure": name}
            for side, found in sides.items():
                row |= {side: found.mean, f"{side}_low": found.low, f"{side}_high": found.high, f"{side}_n": found.n}
            yield row | self._difference(here[name], there[name])._asdict() | {"unit": unit_of(name, units[name])}

    def _difference(self, here: "pd.Series[float]", there: "pd.Series[float]") -> Interval:
        if not self.paired:
            return welch(_floats(here), _floats(there), self.confidence)
        here, there = here.align(there, join="inner")
        return paired(_floats(here), _floats(there), self.confidence)

    # ---- words

    def _luck(self) -> str:
        if self.paired:
            return f"Both had the same luck in {len(self._pairs)} replications, so differences are those of pairs."
        seeds = [self.one.seed, self.other.seed]
        why = f"Seeds differ ({seeds[0]} and {seeds[1]})" if seeds[0] != seeds[1] else "They have no replication in common"
        return f"{why}, so differences are those of independent means (Welch)."

    def _what_differs(self) -> str:
        settings = [f"{row.setting} ({row.one} and {row.other})" for row in self.differences.itertuples()]
        if not settings:
            return "No setting differs."
        more = f", and {len(settings) - TOLD} more" if len(settings) > TOLD else ""
        return f"{len(settings)} setting{'s differ' if len(settings) > 1 else ' differs'}: {listed(settings[:TOLD])}{more}."

    def _what_is_apart(self) -> str:
        rows = self.table[(self.table["world"] == AS_WRITTEN) & (self.table["n"] > 0)].to_dict("records")
        keys = [row for row in rows if is_key(row["figure"], self.one.scenario)]
        found = {row["figure"]: Interval(row["mean"], row["low"], row["high"], row["n"]) for row in keys}
        clear = [row for row in keys if is_clear(found[row["figure"]])]
        words = self.labels
        told = [
            f"{words[row['figure']]} by {phrase(found[row['figure']], row['unit'], signed=True)}"
            f" ({amount(row['one'], row['unit'])} and {amount(row['other'], row['unit'])})"
            for row in sorted(clear, key=lambda row: -_certainty(found[row["figure"]]))[:TOLD]
        ]
        most = f"; most certainly {listed(told)}" if told else ""
        return f"Of {len(keys)} key figures that both have, {len(clear)} are apart by more than chance explains{most}."


def compare(one: Run | Results, other: Run | Results, confidence: float = CONFIDENCE) -> Comparison:
    """Two runs, or the results of two worlds, beside each other."""
    return Comparison(_as_run(one), _as_run(other), confidence)


def _as_run(side: Run | Results) -> Run:
    if isinstance(side, Run):
        return side
    return Run(Path(f"{side.scenario.name}@{side.seed}"), side.scenario, side.seed, {AS_WRITTEN: side}, {})


def _floats(values: "pd.Series[float]") -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(values, np.float64)


def _certainty(found: Interval) -> float:
    """How many half widths of its interval a difference is away from zero."""
    half = (found.high - found.low) / 2.0
    return abs(found.mean) / half if half else np.inf


# ---- settings


def _settings(run: Run) -> dict[str, Any]:
    return {"seed": run.seed} | {name: value for name, value in run.scenario.resolved().items() if name not in _WORDS}


def _apart(here: Mapping[str, Any], there: Mapping[str, Any], path: str = "") -> Iterator[Setting]:
    """The settings that differ; of two parts of different kinds the kinds, and what both have."""
    for name in dict.fromkeys([*here, *there]):
        where = f"{path}.{name}" if path else name
        one, other = here.get(name), there.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _apart(one, other, where)
        elif one != other and ((name in here and name in there) or here.get("kind") == there.get("kind")):
            yield Setting(where, _spelt(one), _spelt(other))


def _spelt(value: Any) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, Mapping):
        return str(value.get("kind", f"{len(value)} settings"))
    return listed([str(item) for item in value]) if isinstance(value, list) else str(value)
