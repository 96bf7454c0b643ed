"""Studies: two cores against one, what the engine adds to a replication, the memory of ten thousand runs, and twenty kills."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, process_time, sleep
from typing import Any

from benchmarks.day import FILE
from l2sim.engine import each
from l2sim.scenario import Scenario
from l2sim.simulation import once
from l2sim.study.description import Study
from l2sim.study.folder import landed
from l2sim.study.running import Swept, study_id, sweep

SHORT: dict[str, Any] = {
    "duration": "45min",
    "agents.borrowers.size": 8000,
    "prices.eth.shocks.slide": {"at": "2min", "size": "-6 %", "over": "20min"},
}
"""What makes of the day a run of about 0.2 s."""

PRICE: dict[str, Any] = {
    "title": "A price and nobody there",
    "duration": "10s",
    "prices": {"eth": {"kind": "geometric_brownian", "start": "3000 USD", "volatility": "90 %"}},
    "chains": {"outside": {"kind": "outside"}},
    "metrics": {"cascade": {"kind": "liquidation_cascade"}},
}
"""A run of a few milliseconds."""

Kill = Callable[[int], None]


def price_study(replications: int) -> Study:
    """Short runs, four points."""
    vary = {"kind": "grid", "factors": {"duration": ["10s", "20s"], "prices.eth.volatility": ["60 %", "90 %"]}}
    plan = {"scenario": PRICE, "vary": vary, "replications": replications, "worlds": ["as_written"]}
    return Study.of(plan, name="prices")


# ---- what it costs


def speed(replications: int = 200) -> None:
    """The same study on one core and on two, whose processes are there already."""
    study = Study.of({"scenario": Scenario.load(FILE).vary(SHORT).resolved(), "replications": replications}, name="short_days")
    seconds = {}
    dict(each(_idle, range(8), jobs=2))
    for jobs in (2, 1):
        with TemporaryDirectory() as out:
            warm = Study.of({**study.resolved(), "replications": 4 * jobs, "seed": 99}, name="warm")
            sweep(warm, jobs=jobs, out=out)
            began = perf_counter()
            sweep(study, jobs=jobs, out=out)
            seconds[jobs] = perf_counter() - began
    print(f"{replications} replications of {seconds[1] / replications:.2f} s: {seconds[1]:.1f} s on one core, {seconds[2]:.1f} s on two")
    print(f"two cores / one: {seconds[2] / seconds[1]:.2f} (at most 0.6)")


def _idle(_: int) -> None:
    sleep(0.05)


def added(runs: int = 400) -> None:
    """What a study adds to runs that are made one after the other by hand, both in this process."""
    study = price_study(runs // 4)
    worlds = [study.worlds_at(point)["as_written"] for point in study.points]
    with TemporaryDirectory() as out:
        sweep(price_study(1), out=out)  # what is loaded once
        began = process_time()
        for scenario in worlds:
            for replication in range(study.replications):
                once(scenario, study.seed, replication)
        alone = process_time() - began
        began = process_time()
        sweep(study, out=Path(out) / "swept")
        swept = process_time() - began
    print(f"the engine adds {(swept - alone) / runs * 1e3:.2f} ms to a replication of {alone / runs * 1e3:.1f} ms (under 5)")


def most_memory(runs: int = 10_000) -> None:
    """The most memory that a study's own process ever held, which is another than this one."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.studies", "memory", str(runs)], capture_output=True, text=True, check=True)
    print(f"{runs} runs: {done.stdout.split()[-1]} MiB (under 500)")


def _memory(runs: int) -> None:
    with TemporaryDirectory() as out:
        found = sweep(price_study(runs // 4), jobs=2, out=out)
        assert found.manifest["runs"] == runs
    print(getrusage(RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 2**10))


# ---- what is killed


TWENTY = {"parent": 10, "worker": 5, "dask": 5}
"""How often the study's own process is killed, a worker of it, and a worker of a Dask cluster."""


def kills(deaths: Mapping[str, int] = TWENTY, replications: int = 60, seed: int = 1) -> int:
    """Kill the study's process, one of its workers or a Dask worker at random points; the study is started again until it is whole.

    Returns how often something was killed. An AssertionError says what was lost.
    """
    study = price_study(replications)
    runs = replications * len(study.points)
    luck = random.Random(seed)
    done = 0
    with TemporaryDirectory() as place:
        whole = sweep(study, out=Path(place) / "undisturbed").path
        for name, times in deaths.items():
            out = Path(place) / name
            folder = out / study.name / study_id(study)
            points = sorted(luck.randrange(1, runs - 1) for _ in range(times))
            while points or not (folder / "summary.csv").exists():
                done += _struck(name, out, folder, points, replications)
            _same(whole, folder)
    return done


def _struck(name: str, out: Path, folder: Path, points: list[int], replications: int) -> int:
    """Run the study in a process of its own until it ends or is killed; how often something of it was killed."""
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").glob("[0-9]*.json")}
    struck = 0
    command = [sys.executable, "-m", "benchmarks.studies", name, str(out), str(replications), *map(str, points)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, text=True) as process:
        if name == "parent" and points:
            while process.poll() is None and len(landed(folder)) < points[0]:
                sleep(0.002)
            process.kill()
            struck = 1
            del points[0]
        out_text, _ = process.communicate(timeout=300)  # ends when the last of its workers has ended
        if name != "parent" or not struck:
            assert process.returncode == 0, f"the study ended with {process.returncode}"
            struck += out_text.count("killed")
            points.clear()
    lost = [path.name for path, time in before.items() if not path.exists() or path.stat().st_mtime_ns != time]
    assert not lost, f"runs that had landed are gone or were run again: {lost}"
    return struck


def _same(whole: Path, folder: Path) -> None:
    for file in ("summary.csv", "points.csv", "study.yaml", *(f"runs/{path.name}" for path in (whole / "runs").iterdir())):
        assert (folder / file).read_bytes() == (whole / file).read_bytes(), f"{file} of {folder.parent.parent.name} differs"


def _disturbed(name: str, out: str, replications: int, points: Sequence[str]) -> None:
    """The study in this process, whose workers are killed when so many runs have landed."""
    study = price_study(replications)
    waiting = [int(point) for point in points]

    def strike(victims: Callable[[], list[int]]) -> Callable[[Swept], None]:
        def watch(now: Swept) -> None:
            if waiting and now.runs >= waiting[0]:
                del waiting[0]
                os.kill(random.Random(now.runs).choice(victims()), signal.SIGKILL)
                print("killed", flush=True)

        return watch

    if name == "dask":
        from distributed import LocalCluster

        with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=60) as local:
            sweep(
                study, cluster=local.scheduler_address, out=out, progress=strike(lambda: [worker.pid for worker in local.workers.values()])
            )
    else:
        sweep(study, jobs=2, out=out, progress=strike(_workers))


def _workers() -> list[int]:
    """The processes that work for this one; waits until there are some."""
    from joblib.externals.loky.reusable_executor import _executor

    deadline = monotonic() + 60
    while monotonic() < deadline:
        there = list(_executor._processes) if _executor is not None else []
        if there:
            return there
        sleep(0.01)
    raise TimeoutError("no worker")


def main(arguments: Sequence[str] = ()) -> None:
    if arguments[:1] == ["memory"]:
        _memory(int(arguments[1]))
    elif arguments:
        _disturbed(arguments[0], arguments[1], int(arguments[2]), arguments[3:] if arguments[0] != "parent" else ())
    else:
        speed()
        added()
        most_memory()
        print(f"{kills()} kills: nothing that had landed was lost, and every summary is the undisturbed one")


if __name__ == "__main__":
    main(sys.argv[1:])
