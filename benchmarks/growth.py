"""The cost per simulated hour as hours are added, with either engine, and what a recorded transaction takes."""

import gc
from time import process_time

from benchmarks.quiet_day import FILE
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world.engine import Engine
from l2sim.world.world import World

ENGINES: tuple[Engine, ...] = ("lists", "arrays")


def main() -> None:
    World(Scenario.load(FILE, ["duration=10min"]), Streams(1), {}, "arrays").run()  # loads compiled code: start-up
    for engine in ENGINES:
        for hours in (3, 6, 12, 24):
            world = World(Scenario.load(FILE, [f"duration={hours}h"]), Streams(1), {}, engine)
            gc.collect()
            began = process_time()
            log = world.run()
            spent = process_time() - began
            row = log.bytes_a_row("TransactionIncluded")
            print(f"{engine:6s} {hours:3d} h: {spent:5.2f} s, {spent / hours * 1000:5.1f} ms an hour, {row} bytes a transaction")
