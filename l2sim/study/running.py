"""Running a study: every point, as often as it needs, on any number of cores or a cluster; what is there is not run again.

Runs are independent, and each depends on the study and its own number alone. So the same study ends in the same summary
whatever runs it, in whatever order, and however often it was interrupted.
"""

from abc import update_abstractmethods
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from json import dumps
from pathlib import Path
from time import perf_counter
from traceback import format_exception
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from l2sim import __version__
from l2sim.engine import WorkerLost, cores, each
from l2sim.part import ROOMS, did_you_mean
from l2sim.results import RunNotFound
from l2sim.results.run import record_of as figures_of
from l2sim.scenario.mistakes import Mistake, ScenarioError
from l2sim.simulation import Replay, once
from l2sim.study.folder import land, landed, manifest_of, opened, record_of, seal

if TYPE_CHECKING:
    from l2sim.study.description import Study
    from l2sim.study.findings import Findings
    from l2sim.study.precision import Precision


class Swept(NamedTuple):
    """How far a study is."""

    runs: int
    """Runs that are there."""
    of: int
    """Runs that are known to be needed; with a target precision there may be more of them later."""
    failed: int
    """Runs that failed since the start."""


class PartDone(Exception):
    """A part has run all that is its own, but the study is not whole; the message says how much is missing."""

    def __init__(self, folder: Path, missing: int, of: int) -> None:
        super().__init__(
            f"this part is done; {missing} of the {of} runs in '{folder}' are missing: run the other parts (the last one to end writes "
            "the summary), or the same without --part"
        )
        self.folder = folder
        self.missing = missing
        self.of = of


def sweep(
    study: "Study",
    *,
    jobs: int = 1,
    cluster: str | None = None,
    part: tuple[int, int] | None = None,
    out: str | Path = "results",
    progress: Callable[[Swept], None] | None = None,
    retry: bool = False,
) -> "Findings":
    """Run what is missing of a study and keep it in ``<out>/<study>/<study id>``.

    A run that fails is written down with its traceback and stops nothing else. A study that is interrupted goes on where it was.

    Args:
        study: what to run.
        jobs: on how many cores; -1 is all of them.
        cluster: the address of a Dask scheduler that is there already; then ``jobs`` says nothing.
        part: ``(i, n)`` runs the i-th of n shares only, i from 1 to n; several may share one folder, also at the same time.
        out: where results are kept.
        progress: told how far it is, whenever a run has ended.
        retry: whether runs that failed are run again.

    Raises:
        ScenarioError: the study is none; nothing was run.
        ClusterError: the cluster cannot do the work.
        OutputError: the folder cannot be written, or what is in it was made by another version.
        PartDone: this part is done, others are not.
        WorkerLost: the study cannot be sent to other processes at all.
    """
    share = _share(part)
    cores(jobs)
    study.check()
    folder = Path(out) / study.name / study_id(study)
    work = _packed(study)
    began = perf_counter()
    with _backend(cluster) as backend, opened(folder, study):
        plan = _Plan(study, folder, share, retry)
        failed = 0
        while due := plan.due():
            for run, answer in each(work, due, jobs=jobs, backend=backend):
                record = _lost(study, run, answer) if isinstance(answer, WorkerLost) else answer
                land(folder, run, record)
                plan.take(run, record)
                failed += "failed" in record
                if progress is not None:
                    progress(Swept(len(plan.there), plan.known, failed))
            plan.check()
        missing = plan.missing()
        if missing:
            raise PartDone(folder, missing, plan.known)
        if progress is not None:
            progress(Swept(plan.known, plan.known, failed))
        seal(folder, study, plan.replications, perf_counter() - began)
    from l2sim.study.findings import Findings

    return Findings.load(folder)


def replay(folder: str | Path, run: int) -> Replay:
    """Run one run of a kept study again, all its worlds, and compare what happened.

    Raises:
        RunNotFound: there is no such study, or it has no such run.
    """
    from l2sim.results.provenance import versions
    from l2sim.study.description import Study

    folder = Path(folder)
    made = manifest_of(folder)["versions"]
    record = record_of(folder, run)
    again = _run(Study.load(folder / "study.yaml"), run)
    changed = {package: f"{made[package]} then, {here} now" for package, here in versions().items() if made.get(package, here) != here}
    return Replay(folder, run, _happened(record), _happened(again), changed, "run")


def study_id(study: "Study") -> str:
    """The name of a study's folder: 16 hexadecimal digits that depend on what is run, and on the package's version."""
    return sha256(dumps([study.digest, __version__]).encode()).hexdigest()[:16]


# ---- one run, wherever it runs


class _Work:
    """What is done for each run of a study. It travels as bytes that are made once, and each process unpacks them once."""

    def __init__(self, study: "Study", packed: bytes) -> None:
        self._study = study
        self._packed = packed

    def __call__(self, run: int) -> dict[str, Any]:
        return _run(self._study, run)

    def __reduce__(self) -> tuple[Callable[[bytes], "_Work"], tuple[bytes]]:
        return _unpacked, (self._packed,)


def _packed(study: "Study") -> _Work:
    """The work with all that a new process cannot find by itself: kinds of other modules, or of a notebook's cell."""
    from cloudpickle import dumps

    return _Work(study, dumps((study, [kind for known in ROOMS.values() for kind in known.guests()])))


@lru_cache(maxsize=2)
def _unpacked(packed: bytes) -> _Work:
    from cloudpickle import loads

    study, guests = loads(packed)
    for kind in guests:
        update_abstractmethods(kind)  # one from a notebook got its methods after it was made
    return _Work(study, packed)


def _run(study: "Study", run: int) -> dict[str, Any]:
    where = _where(study, run)
    try:
        worlds = study.worlds_at(study.points[where["point"]])
        measured = {name: once(scenario, where["seed"], where["replication"]) for name, scenario in worlds.items()}
    except Exception as error:
        return where | {"failed": _failure(error)}
    return where | {"worlds": {name: figures_of(world.digest, world.figures) for name, world in measured.items()}}


def _where(study: "Study", run: int) -> dict[str, Any]:
    replication, point = divmod(run, len(study.points))
    return {"run": run, "point": point, "replication": replication, "seed": study.seed_at(study.points[point])}


def _failure(error: BaseException) -> dict[str, str]:
    return {"type": type(error).__name__, "message": str(error), "traceback": "".join(format_exception(error))}


def _lost(study: "Study", run: int, error: WorkerLost) -> dict[str, Any]:
    return _where(study, run) | {"failed": _failure(error)}


def _happened(record: Mapping[str, Any]) -> dict[str, str]:
    if "failed" in record:
        return {"failed": f"{record['failed']['type']}: {record['failed']['message']}"}
    return {world: measured["digest"] for world, measured in record["worlds"].items()}


# ---- which runs


class _Plan:
    """Which runs a study needs, given what is there.

    With a target precision a point's next replications are decided by those before them alone, in the order of their numbers,
    so that it has as many in the end however they were run.
    """

    def __init__(self, study: "Study", folder: Path, share: tuple[int, int], retry: bool) -> None:
        self._study = study
        self._folder = folder
        self._share = share
        self._points = len(study.points)
        first = study.precision.least if study.precision else study.replications
        self.replications = [first] * self._points
        self.there = landed(folder)
        self._values: dict[int, float] = {}
        if retry or study.precision:
            for run in sorted(self.there):
                self._look(run, retry)

    @property
    def known(self) -> int:
        """How many runs are known to be needed."""
        return sum(self.replications)

    def take(self, run: int, record: Mapping[str, Any]) -> None:
        """Know that a run has landed, and with which figure."""
        self.there.add(run)
        if self._study.precision:
            self._values[run] = _value(record, self._study.precision)

    def due(self) -> list[int]:
        """The runs of this share that are to be run now, the replications of a point side by side."""
        runs = []
        for point in range(self._points):
            self._grow(point)
            runs += [run for run in self._of(point) if run not in self.there and self._mine(run)]
        return runs

    def check(self) -> None:
        """See to it that the figure of a target precision is one that is measured, as soon as there are runs that could have it.

        Raises:
            ScenarioError: no run so far has it; the message names the nearest.
        """
        target = self._study.precision
        if target is None or len(self.there) < target.least:
            return
        records = (record_of(self._folder, run) for run in sorted(self.there)[: target.least])
        seen = [record["worlds"][target.world]["figures"] for record in records if target.world in record.get("worlds", {})]
        if seen and not any(target.figure in figures for figures in seen):
            hint = did_you_mean(target.figure, seen[0])
            raise ScenarioError([Mistake(f"no run has measured '{target.figure}'{hint}; the runs are kept", "precision.figure")])

    def missing(self) -> int:
        """How many runs are known to be needed and are not there, by a fresh look at the folder, where other parts land theirs."""
        fresh = landed(self._folder) - self.there
        if self._study.precision:
            for run in sorted(fresh):
                self._look(run, again=False)
        else:
            self.there |= fresh
        for point in range(self._points):
            self._grow(point)
        return sum(run not in self.there for point in range(self._points) for run in self._of(point))

    def _of(self, point: int) -> range:
        return range(point, self.replications[point] * self._points, self._points)

    def _mine(self, run: int) -> bool:
        number, of = self._share
        # By points where their replications decide about one another; else by runs, so that shares are equal.
        return (run % self._points if self._study.precision else run) % of == number

    def _grow(self, point: int) -> None:
        precision = self._study.precision
        while precision and self.replications[point] < precision.most:
            runs = self._of(point)
            if not all(run in self._values for run in runs) or precision.reached(np.array([self._values[run] for run in runs])):
                return
            self.replications[point] = min(self.replications[point] + precision.step, precision.most)

    def _look(self, run: int, again: bool) -> None:
        """Read what became of a run; one that cannot be read, or that failed and shall be tried again, is as if not there."""
        try:
            record = record_of(self._folder, run)
        except RunNotFound:
            self.there.discard(run)
            return
        if again and "failed" in record:
            self.there.discard(run)
        else:
            self.take(run, record)


def _value(record: Mapping[str, Any], precision: "Precision") -> float:
    """The figure that a target precision is about; NaN where it was not observed or the run failed."""
    value = record.get("worlds", {}).get(precision.world, {}).get("figures", {}).get(precision.figure)
    return np.nan if value is None else float(value)


def _share(part: tuple[int, int] | None) -> tuple[int, int]:
    """Which runs are a part's own: those whose number leaves this remainder, divided by that."""
    number, of = part or (1, 1)
    if not 1 <= number <= of:
        raise ValueError(
            f"part {number} of {of} does not exist: parts are numbered from 1, so write 1/{max(of, 1)} to {max(of, 1)}/{max(of, 1)}"
        )
    return number % of, of


@contextmanager
def _backend(cluster: str | None) -> Iterator[Any]:
    if cluster is None:
        yield None
        return
    from l2sim.study.cluster import connected

    with connected(cluster) as backend:
        yield backend
