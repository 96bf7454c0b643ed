"""Finding the loans that may be liquidated: a lending pool's block start against a vectorised sweep, and against one with fewer loans."""

from math import log
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from l2sim.compiled import compiled
from l2sim.markets import Opening
from l2sim.markets.lending_pool import LendingPool
from l2sim.markets.lending_pool.kernel import begin
from l2sim.state import PriceSource, State
from l2sim.units import SECOND

START, THRESHOLD = 2000.0, 0.83
ROUNDS, BLOCKS, SWEEPS = 5, 200_000, 20


def blocks(cells: Any, codes: Any, prices: Any, slot: int, path: Any, now: int) -> None:
    """A block every two seconds, each at the next price of a path."""
    for i in range(len(path)):
        prices[slot] = path[i]
        now += 2_000_000_000
        begin(cells, codes, prices, now)


class Loans:
    """A pool with that many loans of US dollars against ether, health factors from 1.05 on."""

    def __init__(self, n: int) -> None:
        rng = np.random.Generator(np.random.Philox(1))
        self.n = n
        self.collateral = rng.lognormal(log(5.0), 1.0, n)
        self.debt = self.collateral * START * THRESHOLD / (1.05 + rng.exponential(0.5, n))
        terms = LendingPool.model_validate({"on": "op", "reserves": {"eth": {}, "usd": {"liquidity": "100 MUSD"}}})
        state = State(n + 1, arrays=True)
        self.sources: dict[str, PriceSource] = {}
        for asset in terms.assets():
            price = 1.0 if asset == "usd" else START
            self.sources[asset] = PriceSource(price, column=state.prices, slot=state.slot())
            state.purse(asset)
        purses = dict(zip(state.assets, state.purses, strict=True))
        for asset, amount in terms.brings(self.sources.__getitem__).items():
            purses[asset][0] += amount
        purses["eth"][0] += float(self.collateral.sum())
        self.book = terms.open(Opening("pool", 0, purses.__getitem__, self.sources.__getitem__, state))
        began = process_time()
        self.book.establish_loans(np.arange(1, n + 1), {"eth": self.collateral}, {"usd": self.debt})
        print(f"{n:9,d} loans made in {process_time() - began:.2f} s")
        self.columns = self.book.cells.raw, self.book.codes.raw, state.prices.raw
        self.now = 0

    def block_starts(self, path: Any) -> float:
        """CPU seconds that the start of a block takes at each price of a path."""
        began = process_time()
        compiled(blocks)(*self.columns, self.sources["eth"].slot, path, self.now)
        spent = process_time() - began
        self.now += len(path) * 2 * SECOND
        return spent / len(path)

    def sweep(self, path: Any) -> float:
        """CPU seconds that looking at every loan takes at each price of a path."""
        found = 0
        began = process_time()
        for price in path.tolist():
            found += len(np.flatnonzero(self.collateral * (price * THRESHOLD) < self.debt))
        spent = process_time() - began
        if found:
            raise SystemExit("the path was meant to trigger nobody")
        return spent / len(path)


def main() -> None:
    few, many = Loans(10_000), Loans(1_000_000)
    path = START * (1.01 + 0.02 * np.sin(np.arange(BLOCKS) / 500.0))
    few.block_starts(path[:10])  # loads compiled code: start-up
    rounds = []
    for _ in range(ROUNDS):
        rounds.append((few.block_starts(path), many.block_starts(path), many.sweep(path[:SWEEPS])))
        small, large, swept = (seconds * 1e9 for seconds in rounds[-1])
        print(f"block start {small:.0f} ns with 10,000 loans, {large:.0f} ns with 1,000,000; sweep of 1,000,000 {swept:,.0f} ns")
    if few.book.calls() or many.book.calls():
        raise SystemExit("the path was meant to trigger nobody")
    print(f"median: 1,000,000 loans cost {median(large / small for small, large, _ in rounds):.2f} times what 10,000 cost;", end=" ")
    print(f"a sweep costs {median(swept / large for _, large, swept in rounds):,.0f} times as much")


if __name__ == "__main__":
    main()
