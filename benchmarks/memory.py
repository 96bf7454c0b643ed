"""Resident memory of a day and of a week of ``day.yaml``, each in a process of its own, its digest included."""

import subprocess
import sys
from collections.abc import Sequence
from resource import RUSAGE_SELF, getrusage

from benchmarks.day import FILE
from benchmarks.drawn import SEED
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world.world import World

DURATIONS = ("1d", "7d")


def peak(duration: str) -> int:
    """The most memory that a run of that length ever held, MiB."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.memory", duration], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def run(duration: str) -> int:
    """The same of this process, which runs it."""
    world = World(Scenario.load(FILE, [f"duration={duration}"]), Streams(SEED), {}, "arrays")
    log = world.run()
    print(log.digest, len(log.tables["TransactionIncluded"]))
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return getrusage(RUSAGE_SELF).ru_maxrss // unit


def main(arguments: Sequence[str] = ()) -> None:
    if arguments:
        print(run(arguments[0]))
        return
    peaks = {duration: peak(duration) for duration in DURATIONS}
    for duration, most in peaks.items():
        print(f"{duration}: {most} MiB")
    print(f"a week / a day: {peaks['7d'] / peaks['1d']:.2f} (at most 1.5)")


if __name__ == "__main__":
    main(sys.argv[1:])
