"""The day of ``day.yaml`` four times: one compiled loop, l2sim with kernels and without, and a SimPy process for each transaction."""

import gc
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import process_time

from benchmarks import final, limit, naive
from benchmarks.drawn import SEED
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world.engine import Engine
from l2sim.world.world import World

FILE = Path(__file__).with_name("day.yaml")
Side = Callable[[Scenario], tuple[final.Final, int]]


def by_l2sim(engine: Engine) -> Side:
    """The day in l2sim, from its luck to its log."""

    def lived(scenario: Scenario) -> tuple[final.Final, int]:
        world = World(scenario, Streams(SEED), {}, engine)
        log = world.run()
        return final.of(world, log), log.bytes_a_row("TransactionIncluded")

    return lived


def by_limit(scenario: Scenario) -> tuple[final.Final, int]:
    """The day as one compiled loop."""
    came_to, facts = limit.lived(scenario)
    return came_to, sum(column.itemsize for column in facts.rows)


def by_naive(scenario: Scenario) -> tuple[final.Final, int]:
    """The day with a process for each transaction."""
    day = naive.Naive(scenario)
    return day.lived(), sys.getsizeof(day.log["TransactionIncluded"][0])


SIDES: dict[str, Side] = {"limit": by_limit, "arrays": by_l2sim("arrays"), "lists": by_l2sim("lists"), "naive": by_naive}
GATES = (("arrays", "limit", "at most 6"), ("naive", "arrays", "at least 20"), ("naive", "lists", "at least 5"))
"""Ratios of one side to another, and what they have to be with blocks of 2 s; with blocks of 250 ms the first is at most 8."""


def timed(side: Side, scenario: Scenario) -> tuple[float, final.Final, int]:
    """CPU seconds, what the day came to, and bytes a transaction in the log."""
    gc.collect()
    began = process_time()
    came_to, size = side(scenario)
    return process_time() - began, came_to, size


def main(arguments: Sequence[str] = ()) -> None:
    parser = ArgumentParser(prog="python -m benchmarks.day", description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--block-time", default="2s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    wanted = parser.parse_args(arguments)
    scenario = Scenario.load(FILE, [f"duration={round(wanted.hours * 60)}min", f"chains.op.sequencer.block_time={wanted.block_time}"])
    brief = scenario.vary({"duration": "10min", "agents.borrowers.size": 1000})
    sides = {name: SIDES[name] for name in wanted.sides}
    for name, side in sides.items():
        print(f"{name}: {timed(side, brief)[0]:.2f} s for the first ten minutes, compilation or loading of machine code included")
    rounds: list[dict[str, float]] = []
    for _ in range(wanted.rounds):
        results = {name: timed(side, scenario) for name, side in sides.items()}
        first = next(iter(results.values()))[1]
        for name, (_, came_to, _) in results.items():
            if differences := first.differences(came_to):
                raise SystemExit(f"'{wanted.sides[0]}' and '{name}' do not agree: {'; '.join(differences)}")
        rounds.append({name: spent for name, (spent, _, _) in results.items()})
        print(", ".join(f"{name} {spent:.2f} s" for name, spent in rounds[-1].items()))
    for over, under, gate in GATES:
        if over in sides and under in sides:
            ratios = [spent[over] / spent[under] for spent in rounds]
            print(f"{over} / {under}: median {median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f} ({gate})")
    print(f"rows each: {', '.join(f'{count} {name}' for name, count in first.rows.items())}")
    print(f"bytes a transaction in the log: {', '.join(f'{name} {size}' for name, (_, _, size) in results.items())}")


if __name__ == "__main__":
    main(sys.argv[1:])
