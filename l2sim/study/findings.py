"""Findings: what the runs of a study measured, read from its folder, and what its comparisons say of it."""

import json
from array import array
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.part import room
from l2sim.results import Measured, Results, Run, RunNotFound
from l2sim.scenario.validation import SECTIONS
from l2sim.statistics.intervals import CONFIDENCE
from l2sim.statistics.sample import Sample
from l2sim.wording import label, unit_of

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.comparisons import Reading
    from l2sim.study.description import Study

FAILURE = ("run", "point", "replication", "type", "message", "traceback")


class _World:
    """The figures of one world: a row for each run, in the order of their numbers."""

    def __init__(self) -> None:
        self.columns: dict[str, int] = {}
        self.runs = array("q")
        self.digests: list[bytes] = []
        self._rows: list[array[float]] = []

    def add(self, run: int, digest: str, figures: Mapping[str, float | None]) -> None:
        for name in figures:
            self.columns.setdefault(name, len(self.columns))
        row = array("d", [np.nan]) * len(self.columns)
        for name, value in figures.items():
            row[self.columns[name]] = np.nan if value is None else float(value)
        self.runs.append(run)
        self.digests.append(bytes.fromhex(digest))
        self._rows.append(row)

    def table(self) -> npt.NDArray[np.float64]:
        """All rows in one array, shape (runs, figures); NaN where a run has no such figure."""
        made = np.full((len(self._rows), len(self.columns)), np.nan)
        for row, values in zip(made, self._rows, strict=True):
            row[: len(values)] = values
        self._rows.clear()
        return made


class _Kept(NamedTuple):
    """The figures of one world, put together."""

    frame: "pd.DataFrame"
    digests: Mapping[tuple[int, int], bytes]
    """By point and replication."""


class Findings:
    """What a study found so far. Runs that are missing or failed are left out, and counted out.

    Attributes:
        path: its folder.
        study: what was asked.
        manifest: everything else that is known about it.
        worlds: the worlds that were run, by name.
        failures: a row for each run that failed: ``run``, ``point``, ``replication``, ``type``, ``message``, ``traceback``.
    """

    def __init__(self, path: Path, study: "Study", manifest: Mapping[str, Any]) -> None:
        import pandas as pd

        self.path = path
        self.study = study
        self.manifest = manifest
        n = len(study.points)
        made: dict[str, _World] = {}
        failed = []
        asked = manifest.get("replications")
        for run, record in _records(path / "runs"):
            if asked and run // n >= asked[run % n]:
                continue  # of an earlier study that had more of them
            if "failed" in record:
                said = record["failed"]
                failed.append((run, run % n, run // n, said["type"], said["message"], said.get("traceback", "")))
                continue
            for name, world in record["worlds"].items():
                made.setdefault(name, _World()).add(run, world["digest"], world["figures"])
        self.failures = pd.DataFrame(failed, columns=list(FAILURE))
        self._worlds = {name: _put_together(world, n) for name, world in made.items()}
        self.worlds = list(self._worlds) or list(study.worlds_at(study.points[0]))

    def __repr__(self) -> str:
        runs = len(self.frame(self.worlds[0]))
        return f"<Findings of '{self.study.name}', {len(self.points)} points, {runs} runs, {len(self.failures)} failed, in {self.path}>"

    @classmethod
    def load(cls, folder: str | Path) -> "Findings":
        """The findings in a study's folder.

        Raises:
            RunNotFound: there is no study in that folder, or one of its files cannot be read; the message names it and a remedy.
        """
        from l2sim.study.description import Study

        folder = Path(folder)
        if not (folder / "study.yaml").is_file():
            raise RunNotFound(f"'{folder}' is no study: name a folder such as results/<study>/<study id>{_near(folder)}")
        manifest = _read(folder / "manifest.json", "start the study again in another folder: --out")
        return cls(folder, Study.load(folder / "study.yaml"), manifest)

    # ---- what was measured

    @cached_property
    def points(self) -> "pd.DataFrame":
        """A row for each point, by its number; a column for each factor."""
        import pandas as pd

        rows = [dict(point.levels) for point in self.study.points]
        return pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="point"))

    def frame(self, world: str = "as_written") -> "pd.DataFrame":
        """A row for each finished run, indexed by (point, replication); a column for each ``metric.figure``; NaN: not observed.

        Raises:
            ValueError: there is no such world; the message names the nearest.
        """
        if world in self._worlds:
            return self._worlds[world].frame
        self.sample.world(world)
        return _put_together(_World(), len(self.study.points)).frame

    @cached_property
    def units(self) -> dict[str, str]:
        """The unit of each figure, and of each factor that is a number."""
        units = {name: unit_of(name, self._metric(name).unit(name.partition(".")[2])) for name in self._figures}
        return units | dict(self.study.units)

    @cached_property
    def short(self) -> list[int]:
        """The points at which the target precision is not reached, with all replications that it allows."""
        target = self.study.precision
        if target is None:
            return []
        values = self.frame(target.world)[target.figure].unstack("point")
        reached = {point for point in values if target.reached(values[point].dropna().to_numpy(np.float64))}
        return [point for point in range(len(self.points)) if point not in reached]

    @cached_property
    def labels(self) -> dict[str, str]:
        """Figures and factors in words; where several figures have the same words, with their names."""
        words = {name: label(name, self._metric(name).kind) for name in self._figures}
        said = list(words.values())
        spelt = {name: f"{text} ({name})" if said.count(text) > 1 else text for name, text in words.items()}
        return spelt | {str(name): _in_words(str(name)) for name in self.points}

    @cached_property
    def sample(self) -> Sample:
        """All of it as comparisons take it."""
        frames = {world: self._worlds[world].frame for world in self._worlds} or {
            world: _put_together(_World(), len(self.study.points)).frame for world in self.worlds
        }
        points, study = self.study.points, self.study
        return Sample(
            self.points,
            frames,
            self.units,
            self.labels,
            lambda point: study.scenario(points[point]).resolved(),
            not study.independent,
            study.vary.places() if study.vary is not None else 0,
        )

    @cached_property
    def readings(self) -> "dict[str, Reading]":
        """The answers to what the study compares, by name.

        Raises:
            ValueError: comparisons ask for what is not there; the message names each of them and the nearest.
        """
        answers, mistakes = {}, []
        for name, comparison in self.study.compare.items():
            try:
                answers[name] = comparison.read(self.sample)
            except ValueError as error:
                mistakes.append(f"compare.{name}: {error}")
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return answers

    @property
    def comparisons(self) -> int:
        """How many intervals and tests the comparisons made."""
        return sum(reading.intervals for reading in self.readings.values())

    @property
    def summary(self) -> "pd.DataFrame":
        """A row for each point, world and figure: the mean over replications with the interval of Student's t, n and unit."""
        import pandas as pd

        columns = ["point", *self.points, "world", "figure", "mean", "low", "high", "n", "unit"]
        pieces = []
        for place, world in enumerate(self.worlds):
            frame = self.frame(world)
            names = sorted(map(str, frame))
            values = frame[names].to_numpy(np.float64)
            numbers = frame.index.get_level_values("point").to_numpy()
            for point in np.unique(numbers).tolist():
                mean, low, high, n = _intervals(values[numbers == point])
                piece = pd.DataFrame({"point": point, "place": place, "world": world, "figure": names})
                piece = piece.assign(mean=mean, low=low, high=high, n=n, unit=[self.units.get(name, "") for name in names])
                pieces.append(piece[piece["n"] > 0])
        if not pieces:
            return pd.DataFrame(columns=columns)
        rows = pd.concat(pieces, ignore_index=True).sort_values(["point", "place"], kind="stable", ignore_index=True)
        return rows.merge(self.points, left_on="point", right_index=True, how="left")[columns]

    # ---- one point

    def results(self, point: int, world: str = "as_written") -> Results:
        """What was measured at a point; its logs are not kept, so events need a replay.

        Raises:
            RunNotFound: there is no such point, or it has no finished run in that world.
        """
        if not 0 <= point < len(self.study.points):
            raise RunNotFound(f"'{self.path}' has no point {point}; its points are 0 to {len(self.study.points) - 1}")
        frame = self.frame(world)
        mine = frame[frame.index.get_level_values("point") == point]
        where = self.study.points[point]
        scenarios = self.study.worlds_at(where)
        if mine.empty or world not in scenarios:
            raise RunNotFound(f"'{self.path}' has no finished run of point {point} in world '{world}'")
        measured = {}
        for (_, replication), row in zip(mine.index, mine.to_numpy(np.float64), strict=True):
            run = replication * len(self.study.points) + point
            digest = self._worlds[world].digests[point, replication].hex()
            measured[int(replication)] = Measured(
                self.path / "runs" / f"{run:06d}", digest, dict(zip(mine.columns, row.tolist(), strict=True))
            )
        return Results(scenarios[world], self.study.seed_at(where), measured)

    def run(self, point: int) -> Run:
        """A point as if it were a run of its own: all its worlds, named ``<study id>@<point>``; its logs are not kept.

        Raises:
            RunNotFound: there is no such point, or it has no finished run.
        """
        first = self.results(point)
        there = self.study.worlds_at(self.study.points[point])
        numbers = {world: kept.frame.index.get_level_values("point") for world, kept in self._worlds.items()}
        worlds = {world: self.results(point, world) for world in there if world in numbers and (numbers[world] == point).any()}
        return Run(self.path.with_name(f"{self.path.name}@{point}"), first.scenario, first.seed, worlds, self.manifest)

    # ---- names

    @property
    def _figures(self) -> list[str]:
        return list(dict.fromkeys(str(name) for kept in self._worlds.values() for name in kept.frame))

    def _metric(self, figure: str) -> Any:
        """The metric that gives a figure, which a point may have brought with it."""
        name = figure.partition(".")[0]
        metrics = self.study.base.metrics
        if name in metrics:
            return metrics[name]
        return next(found[name] for point in self.study.points if name in (found := self.study.scenario(point).metrics))


def _records(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The runs in a folder with their numbers, in order.

    Raises:
        RunNotFound: one cannot be read.
    """
    for path in sorted(path for path in folder.glob("*.json") if path.stem.isdigit()):
        run = int(path.stem)
        remedy = "remove it and run the study again, which makes it again"
        record = _read(path, remedy)
        worlds = record.get("worlds", {})
        whole = isinstance(worlds, dict) and all({"digest", "figures"} <= set(world) for world in worlds.values())
        if record.get("run") != run or not ("failed" in record or worlds) or not whole:
            raise RunNotFound(f"'{path}' is no record of run {run}: {remedy}")
        yield run, record


def _read(path: Path, remedy: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RunNotFound(f"'{path}' cannot be read ({error}): {remedy}") from None
    if not isinstance(content, dict):
        raise RunNotFound(f"'{path}' holds no mapping: {remedy}")
    return content


def _put_together(world: _World, points: int) -> _Kept:
    import pandas as pd

    runs = np.array(world.runs, np.int64)
    index = pd.MultiIndex.from_arrays([runs % points, runs // points], names=["point", "replication"])
    frame = pd.DataFrame(world.table(), index=index, columns=list(world.columns))
    digests = {(run % points, run // points): digest for run, digest in zip(world.runs, world.digests, strict=True)}
    return _Kept(frame.sort_index(), digests)


def _intervals(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Mean, ends and number of observations of each column, as ``statistics.intervals.interval`` has them."""
    from scipy.special import stdtrit

    seen = ~np.isnan(values)
    n = seen.sum(axis=0)
    count, spare = np.maximum(n, 1), np.maximum(n - 1, 1)
    mean = np.where(seen, values, 0.0).sum(axis=0) / count
    deviation = np.sqrt(np.where(seen, (values - mean) ** 2, 0.0).sum(axis=0) / spare)
    half = np.where(n > 1, stdtrit(spare, (1.0 + CONFIDENCE) / 2.0) * deviation / np.sqrt(count), np.nan)
    return np.where(n > 0, mean, np.nan), mean - half, mean + half, n


def _in_words(factor: str) -> str:
    """A factor in words: of a path what comes after its section, and what a distribution calls its own in brackets.

    ``agents.keepers.reaction`` as ``keepers reaction``, ``agents.traders.leverage.high`` as ``traders leverage (high)``.
    """
    names = factor.split(".")
    if len(names) > 2:
        names = names[names[0] in SECTIONS :]
        drawn = {field for where in ("distributions", "latency") for kind in room(where).kinds().values() for field in kind.model_fields}
        if len(names) > 2 and names[-1] in drawn:
            names[-1] = f"({names[-1]})"
    return " ".join(names).replace("_", " ")


def _near(folder: Path) -> str:
    there = sorted(path.parent.as_posix() for path in folder.glob("*/study.yaml")) if folder.is_dir() else []
    return f"; there are {', '.join(there)}" if there else ""
