"""Simulation: replications of worlds, in this process or on several cores; the answer does not depend on which.

``simulate`` gives the results of one world in memory; ``experiment`` runs a scenario and its counterfactuals on the same luck
and keeps them in a folder; ``replay`` runs one kept replication again and compares.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from l2sim.engine import WorkerLost, each
from l2sim.log import Log
from l2sim.results import Measured, Results, Run, RunNotFound
from l2sim.results.folder import prepared
from l2sim.results.results import figures_of
from l2sim.results.run import AS_WRITTEN, REPLICATIONS, finished, keep, record_of, run_id, seal, worlds_of
from l2sim.results.tables import pack
from l2sim.streams import Streams
from l2sim.world.world import RunFailed, World

if TYPE_CHECKING:
    from l2sim.scenario import Scenario

__all__ = ["Progress", "Replay", "RunFailed", "experiment", "once", "replay", "simulate"]

PROGRESS_INTERVAL = 0.25
"""Wall time between two calls of a progress function (s)."""

Tick = Callable[[int, int], None]


class Progress(NamedTuple):
    """How far a job is, over all its replications and worlds."""

    simulated: int
    """Nanoseconds of simulated time passed."""
    duration: int
    """Nanoseconds of simulated time in all."""
    events: int
    """Events of the clock so far."""


Watcher = Callable[[Progress], None]
"""What is told how far a job is; called from a thread of its own."""


def simulate(scenario: "Scenario", seed: int = 1, replications: int = 1, jobs: int = 1, progress: Watcher | None = None) -> Results:
    """Run a scenario and keep what happened in memory.

    Args:
        scenario: what to run.
        seed: which luck; the same seed gives the same results.
        replications: how many independent runs.
        jobs: on how many cores; -1 is all of them.
        progress: told now and then how far it is.

    Raises:
        RunFailed: an agent, an attack or a metric failed; the message says which and when.
    """
    if replications < 1:
        raise ValueError(f"replications must be 1 or more, but is {replications}")
    with _board(progress, replications, replications * scenario.duration) as board:
        return Results(scenario, seed, dict(_all(partial(_one_world, scenario, seed, board), range(replications), jobs)))


def experiment(
    scenario: "Scenario",
    *,
    seed: int = 1,
    replications: int = 1,
    jobs: int = 1,
    out: str | Path = "results",
    progress: Watcher | None = None,
    name: str | None = None,
) -> Run:
    """Run a scenario and its counterfactuals on the same luck, and keep them in ``<out>/<scenario>/<run id>``.

    Replications that are there already are not run again. An interruption keeps those that were finished and removes the rest.

    Raises:
        RunFailed: an agent, an attack or a metric failed; the message says which and when.
        OutputError: the folder cannot be written.
    """
    if replications < 1:
        raise ValueError(f"replications must be 1 or more, but is {replications}")
    folder = Path(out) / (name or scenario.name) / run_id(scenario, seed)
    worlds = worlds_of(scenario)
    with prepared(folder), prepared(folder / REPLICATIONS):
        there = finished(folder, replications)
        missing = [number for number in range(replications) if number not in there]
        try:
            with _board(progress, replications, len(missing) * len(worlds) * scenario.duration) as board:
                for number, (files, record) in _all(partial(_all_worlds, worlds, seed, board), missing, jobs):
                    keep(folder, number, files, record)
        finally:
            there = finished(folder, replications)
            run = seal(folder, scenario, seed, there) if there else None
    assert run is not None  # noqa: S101  (every replication was kept)
    return run


class Replay(NamedTuple):
    """What came of running a kept replication again; ``str`` of it is the answer in words."""

    run: Path
    replication: int
    kept: dict[str, str]
    """Digest by world, as kept."""
    now: dict[str, str]
    """Digest by world, run again."""
    changed: dict[str, str]
    """Versions that are not those that made the run."""
    what: str = "replication"
    """What the number counts: replications of a run, or runs of a study."""

    @property
    def same(self) -> bool:
        """Whether everything happened again just so."""
        return self.kept == self.now

    def __str__(self) -> str:
        same = {world: self.now.get(world) == digest for world, digest in self.kept.items()}
        lines = [f"{world}: {'the same' if same[world] else 'DIFFERENT'}, {digest}" for world, digest in self.kept.items()]
        lines += [f"{world}: now {digest}" for world, digest in self.now.items() if not same.get(world)]
        lines += [f"{package}: {change}" for package, change in self.changed.items()]
        verdict = "happened again, event for event" if self.same else "did NOT happen again"
        return "\n".join([f"{self.what} {self.replication} of {self.run} {verdict}", *lines])


def replay(path: str | Path, replication: int = 0, progress: Watcher | None = None) -> Replay:
    """Run one replication of a kept run again, all its worlds, and compare what happened.

    Raises:
        RunNotFound: there is no such run, or it has no such replication.
    """
    from l2sim.results.provenance import versions

    run = Run.load(path)
    numbers = list(run.worlds[AS_WRITTEN].measured)
    if replication not in numbers:
        raise RunNotFound(f"'{path}' has no replication {replication}; it has {', '.join(map(str, numbers))}")
    now = {}
    with _board(progress, 1, len(run.worlds) * run.scenario.duration) as board:
        for order, (world, results) in enumerate(run.worlds.items()):
            tick = _tick(board, 0, order * run.scenario.duration)
            now[world] = _play(results.scenario, run.seed, replication, tick).digest
    kept = {world: results.digests[replication] for world, results in run.worlds.items()}
    made = run.manifest["versions"]
    changed = {package: f"{made[package]} then, {here} now" for package, here in versions().items() if made.get(package, here) != here}
    return Replay(Path(path), replication, kept, now, changed)


# ---- one replication, wherever it runs


class _Board(NamedTuple):
    """Where the progress of each replication is written: a small file that workers and parent map into memory."""

    path: str
    rows: int


def _play(scenario: "Scenario", seed: int, replication: int, tick: Tick | None) -> Log:
    return World(scenario, Streams(seed, replication), recordings=scenario.recordings()).run(tick)


def _figures(scenario: "Scenario", log: Log) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, metric in scenario.metrics.items():
        try:
            figures |= figures_of(name, metric, log)
        except Exception as error:
            raise RunFailed(f"metric '{name}' failed after the run: {type(error).__name__}: {error}") from error
    return figures


def once(scenario: "Scenario", seed: int, replication: int, tick: Tick | None = None) -> Measured:
    """One replication of one world, here and now.

    Raises:
        RunFailed: an agent, an attack or a metric failed; the message says which and when.
    """
    log = _play(scenario, seed, replication, tick)
    return Measured(log, log.digest, _figures(scenario, log))


def _one_world(scenario: "Scenario", seed: int, board: _Board | None, number: int) -> Measured:
    return once(scenario, seed, number, _tick(board, number, 0))


def _all_worlds(
    worlds: dict[str, "Scenario"], seed: int, board: _Board | None, number: int
) -> tuple[dict[str, dict[str, bytes]], dict[str, Any]]:
    began = perf_counter()
    files, records = {}, {}
    for order, (name, scenario) in enumerate(worlds.items()):
        log = _play(scenario, seed, number, _tick(board, number, order * scenario.duration))
        records[name] = record_of(log.digest, _figures(scenario, log))
        files[name] = pack(log)
    return files, {"seed": seed, "worlds": records, "seconds": round(perf_counter() - began, 3)}


def _all(work: Callable[[int], Any], numbers: Sequence[int], jobs: int) -> Iterator[tuple[int, Any]]:
    """The work for each number, as soon as it is done."""
    try:
        for number, answer in each(work, numbers, jobs=jobs):
            if isinstance(answer, WorkerLost):
                raise RunFailed(f"replication {number}: {answer}")
            yield number, answer
    except WorkerLost as error:
        raise RunFailed(str(error)) from error


# ---- how far they are


@contextmanager
def _board(progress: Watcher | None, rows: int, duration: int) -> Iterator[_Board | None]:
    """A board for so many replications while they run, and a thread that reads it out to whoever watches."""
    if progress is None:
        yield None
        return
    with TemporaryDirectory(prefix="l2sim-") as folder:
        board = _Board(str(Path(folder) / "progress"), rows)
        cells = np.memmap(board.path, np.int64, "w+", shape=(rows, 2))
        over = Event()

        def watch() -> None:
            while True:
                last = over.wait(PROGRESS_INTERVAL)
                simulated, events = cells.sum(axis=0).tolist()
                progress(Progress(min(simulated, duration), duration, events))
                if last:
                    return

        thread = Thread(target=watch, name="progress", daemon=True)
        thread.start()
        try:
            yield board
        finally:
            over.set()
            thread.join()


def _tick(board: _Board | None, row: int, before: int) -> Tick | None:
    """What a world calls to say how far it is; ``before`` is the simulated time of the worlds before it (ns)."""
    if board is None:
        return None
    cell = np.memmap(board.path, np.int64, "r+", shape=(board.rows, 2))[row]
    earlier = int(cell[1])

    def tick(now: int, events: int) -> None:
        cell[:] = before + now, earlier + events

    return tick
