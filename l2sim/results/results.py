"""Results of one world: what happened in each replication, and the metrics' answers."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_type_hints

import numpy as np
import pandas as pd

from l2sim import events
from l2sim.log import Log
from l2sim.metrics import Metric
from l2sim.part import did_you_mean
from l2sim.results.folder import RunNotFound
from l2sim.results.tables import read_log
from l2sim.statistics.intervals import CONFIDENCE, table

if TYPE_CHECKING:
    from l2sim.scenario import Scenario


class Measured(NamedTuple):
    """One replication."""

    log: Log | Path
    """The log, or the folder in which it is kept."""
    digest: str
    """The identity of what happened."""
    figures: Mapping[str, float]
    """The metrics' answers by ``metric.figure`` or ``metric.subject.figure``."""


def figures_of(name: str, metric: Metric, log: Log) -> dict[str, float]:
    """What a metric answers, as ``name.figure``, or as ``name.subject.figure`` where it answers by subject."""
    answer = metric.measure(log)
    rows = {f"{name}.{subject}": row for subject, row in answer.iterrows()} if isinstance(answer, pd.DataFrame) else {name: answer}
    return {f"{path}.{figure}": float(value) for path, row in rows.items() for figure, value in row.items()}


class Results:
    """Logs and metrics of the replications of a scenario.

    Attributes:
        scenario: what was run.
        seed: with which luck.
        measured: the replications by number.
    """

    def __init__(self, scenario: "Scenario", seed: int, measured: Mapping[int, Measured]) -> None:
        self.scenario = scenario
        self.seed = seed
        self.measured = dict(sorted(measured.items()))

    def __repr__(self) -> str:
        return f"<Results of '{self.scenario.title}', seed {self.seed}, {self.replications} replications, digest {self.digest[:16]}>"

    @property
    def replications(self) -> int:
        """How many replications there are."""
        return len(self.measured)

    @property
    def digests(self) -> dict[int, str]:
        """The identity of each replication."""
        return {number: replication.digest for number, replication in self.measured.items()}

    @property
    def digest(self) -> str:
        """The identity of what happened in all replications: sha256 over their digests."""
        return sha256("\n".join(self.digests.values()).encode()).hexdigest()

    @property
    def summary(self) -> pd.DataFrame:
        """A row for each replication, a column for each ``metric.figure``; NaN where there was no observation."""
        names = dict.fromkeys(name for replication in self.measured.values() for name in replication.figures)
        rows = [[replication.figures.get(name, np.nan) for name in names] for replication in self.measured.values()]
        return pd.DataFrame(rows, index=pd.Index(list(self.measured), name="replication"), columns=list(names), dtype=float)

    @property
    def units(self) -> dict[str, str]:
        """The unit of each column of the summary; empty for numbers of things and shares."""
        units = {}
        for name in self.summary:
            metric, _, figure = str(name).partition(".")
            units[str(name)] = self.scenario.metrics[metric].unit(figure)
        return units

    def log(self, replication: int = 0) -> Log:
        """Everything that happened in a replication."""
        if replication not in self.measured:
            raise KeyError(f"there is no replication {replication}; there are {', '.join(map(str, self.measured))}")
        log = self.measured[replication].log
        return read_log(log) if isinstance(log, Path) else log

    def events(self, name: str) -> pd.DataFrame:
        """Every fact of a type, such as ``PositionLiquidated``, in all replications, with a column that says in which.

        Raises:
            KeyError: there is no such fact; the message names the nearest right spelling.
        """
        frames = []
        known = {fact for fact, kind in vars(events).items() if hasattr(kind, "_fields")}
        for number in self.measured:
            log = self.log(number)
            known.update(log)
            if name in log.tables:
                frame = log.frame(name)
                frame.insert(0, "replication", number)
                frames.append(frame)
        if name not in known:
            raise KeyError(f"there is no fact '{name}'{did_you_mean(name, known)}")
        if not frames:
            return pd.DataFrame(columns=["replication", "time", *get_type_hints(getattr(events, name))])
        for column in frames[0].columns[frames[0].dtypes == "category"]:
            names = sorted(set().union(*(frame[column].cat.categories for frame in frames)))
            for frame in frames:
                frame[column] = frame[column].cat.set_categories(names)
        return pd.concat(frames, ignore_index=True)

    def mean(self, confidence: float = CONFIDENCE) -> pd.DataFrame:
        """A row for each figure: mean over the replications, its confidence interval, number of observations, unit."""
        return table(self.summary, self.units, confidence)

    def minus(self, other: "Results", confidence: float = CONFIDENCE) -> pd.DataFrame:
        """A row for each figure: the mean of the paired differences from another world on the same luck, with its interval.

        A pair counts only where both worlds have an observation; ``n`` says how many do, ``one_sided`` how many have one in a
        single world only. A figure that one of the worlds does not have at all has no pairs.

        Raises:
            ValueError: the two have different seeds or no replication in common, so that nothing is paired.
        """
        if self.seed != other.seed:
            raise ValueError(f"seeds differ ({self.seed} and {other.seed}): only replications on the same luck can be paired")
        common = [number for number in self.measured if number in other.measured]
        if not common:
            raise ValueError("no replication in common: there is nothing to pair")
        here, there = self.summary.loc[common], other.summary.loc[common]
        names = list(dict.fromkeys([*here.columns, *there.columns]))
        here, there = here.reindex(columns=names), there.reindex(columns=names)
        answer = table(here - there, {**other.units, **self.units}, confidence)
        answer.insert(list(answer.columns).index("unit"), "one_sided", (here.isna() ^ there.isna()).sum().to_numpy())
        return answer

    def save(self, folder: str | Path) -> None:
        """Keep the results in a folder, as a run of one world.

        Raises:
            OutputError: the folder cannot be written.
        """
        from l2sim.results.run import save

        save(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path, world: str = "as_written") -> "Results":
        """The results that were kept in a folder; logs are read when they are asked for.

        Raises:
            RunNotFound: there is no run in that folder, or the run has no such world.
        """
        from l2sim.results.run import Run

        worlds = Run.load(folder).worlds
        if world not in worlds:
            raise RunNotFound(f"'{folder}' has no world '{world}'{did_you_mean(world, worlds)}")
        return worlds[world]
