"""A quiet year: L1's slots with fees and finality and a rollup that posts every five minutes, against a loop that only updates fees.

The loop is plain Python over lists: the gas and the blobs of each block are given to it, and it does nothing but the arithmetic of
EIP-1559, EIP-4844 and EIP-7918. Here they are demanded slot by slot, slots are missed, epochs justified and finalized, batches
bid for blobs, and all of it is written down. Both end with the same fees.
"""

import gc
import resource
from pathlib import Path
from statistics import median
from time import process_time

from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.units import DAY
from l2sim.world.fee_market import FeeMarket, Quiet
from l2sim.world.world import World

FILE = Path(__file__).with_name("year.yaml")
PARTS = 4
"""A round is so many equal parts of a year, each lived by both in turn."""
SEED = 1


class Usage:
    """What each block used, noted while a world is lived once before the clock is looked at."""

    def __init__(self, scenario: Scenario) -> None:
        used: dict[int, tuple[int, int]] = {}
        after = FeeMarket.after

        def noted(market: FeeMarket, state: Quiet, gas: int, blobs: int) -> Quiet:
            used[state.slot] = gas, blobs  # what was worked out ahead in vain is written over
            return after(market, state, gas, blobs)

        FeeMarket.after = noted  # type: ignore[method-assign]
        try:
            World(scenario, Streams(SEED), {}).run()
        finally:
            FeeMarket.after = after  # type: ignore[method-assign]
        self.blocks = [used[slot] for slot in sorted(used)]


def simulated(scenario: Scenario) -> tuple[float, tuple[int, int]]:
    """CPU seconds in l2sim, and the two fees at the end (wei)."""
    gc.collect()
    began = process_time()
    world = World(scenario, Streams(SEED), {})
    world.run()
    spent = process_time() - began
    l1 = world.l1("l1")
    return spent, (l1.base_fee(), l1.blob_base_fee())


def looped(scenario: Scenario, blocks: list[tuple[int, int]]) -> tuple[float, tuple[int, int]]:
    """The same in a plain loop, under the rules of the last fork."""
    l1 = scenario.chains["l1"]
    fork = l1.blob_fee.fork(l1.began())  # type: ignore[attr-defined]
    base, excess = l1.base_fee.initial, l1.blob_fee.genesis(l1.began())[0]  # type: ignore[attr-defined]
    gas_target, target, most, fraction = l1.gas_limit // 2, fork.target * 131_072, fork.maximum, fork.update_fraction  # type: ignore[attr-defined]
    room = most - fork.target
    gc.collect()
    began = process_time()
    blob = exponential(excess, fraction)
    for gas, blobs in blocks:
        used = blobs * 131_072
        if excess + used < target:
            excess = 0
        elif 8_192 * base > 131_072 * blob:
            excess += used * room // most
        else:
            excess += used - target
        blob = exponential(excess, fraction)
        if gas > gas_target:
            base += max(base * (gas - gas_target) // gas_target // 8, 1)
        elif gas < gas_target:
            base -= base * (gas_target - gas) // gas_target // 8
    return process_time() - began, (base, blob)


def exponential(numerator: int, denominator: int) -> int:
    """e^(numerator / denominator) in whole numbers."""
    i, total, term = 1, 0, denominator
    while term > 0:
        total += term
        term = term * numerator // (denominator * i)
        i += 1
    return total // denominator


def rounds(scenario: Scenario, n: int) -> list[tuple[float, float]]:
    """CPU seconds of both, in turn, ``n`` times.

    Raises:
        SystemExit: they end with other fees.
    """
    blocks = Usage(scenario).blocks
    times = []
    for _ in range(n):
        ours, theirs = simulated(scenario), looped(scenario, blocks)
        if ours[1] != theirs[1]:
            raise SystemExit(f"the fees at the end differ: {ours[1]} and {theirs[1]}")
        times.append((ours[0], theirs[0]))
    return times


def main() -> None:
    scenario = Scenario.load(FILE)
    World(scenario.vary(duration="1h"), Streams(SEED), {}).run()  # start-up
    part = rounds(scenario.vary(duration=f"{scenario.duration // DAY // PARTS} d"), 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    year = rounds(scenario, 1)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    for name, times in (("a quarter", part), ("a year", year)):
        for ours, theirs in times:
            print(f"{name}: l2sim {ours:.1f} s, a loop over the two fees {theirs:.1f} s, ratio {ours / theirs:.2f}")
    print(f"median ratio {median(ours / theirs for ours, theirs in part + year):.2f} (at most 6)")
    print(f"memory after quarters {before} MB, after the year {memory} MB, with the list of blocks that the loop goes by")
    brief = scenario.vary(duration="30 d")
    usual, quick = (simulated(brief.vary({"chains.op.sequencer.block_time": time}))[0] for time in ("2s", "250ms"))
    print(f"thirty days with blocks every 2 s {usual:.2f} s, every 250 ms {quick:.2f} s")


if __name__ == "__main__":
    main()
