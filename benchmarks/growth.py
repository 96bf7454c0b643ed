"""The cost per simulated hour as hours are added, and what a recorded transaction takes."""

from time import process_time

from benchmarks.quiet_day import FILE
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world.world import World


def main() -> None:
    for hours in (3, 6, 12, 24, 48):
        world = World(Scenario.load(FILE, [f"duration={hours}h"]), Streams(1), {})
        began = process_time()
        log = world.run()
        spent = process_time() - began
        row = log.bytes_a_row("TransactionIncluded")
        print(f"{hours:3d} h: {spent:6.2f} s, {spent / hours * 1000:5.1f} ms an hour, {row} bytes a transaction")
