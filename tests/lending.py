"""A lending pool by itself, over lists or arrays, for the tests of its rules and of its properties."""

from collections.abc import Mapping
from math import inf
from typing import Any

import numpy as np

from l2sim.compiled import compiled
from l2sim.kernels import OUT
from l2sim.markets import Opening
from l2sim.markets.lending_pool import LendingPool, LendingPoolBook
from l2sim.markets.lending_pool.kernel import begin, execute
from l2sim.state import Journal, PriceSource, State

POOL, ANN, BOB, LIQUIDATOR = range(4)
"""Accounts, the pool's own first."""
ETH, USD = range(2)
"""Assets of a pool of these two."""
ETH_USD = 1
"""Its pair that has eth for collateral and usd for debt."""
FLAT = {"base_rate": 0, "slope_1": 0, "slope_2": 0}
"""A reserve without interest."""


class Venue:
    """A pool on a chain of its own, with prices that a test sets and blocks that it begins."""

    def __init__(
        self, prices: Mapping[str, float], accounts: int = 8, *, arrays: bool = False, journal: Journal | None = None, **terms: Any
    ) -> None:
        self.terms = LendingPool.model_validate({"on": "arb", **terms})
        self.state = State(accounts, arrays, journal, reversible=journal is not None)
        self.prices = {"usd": 1.0, **prices}
        self.sources: dict[str, PriceSource] = {}
        self.purse = {asset: self.state.purses[self.state.purse(asset)] for asset in self.terms.assets()}
        for asset, amount in self.terms.brings(self.source).items():
            self.purse[asset][POOL] += amount
        self.book: LendingPoolBook = self.terms.open(Opening("pool", POOL, self.purse.__getitem__, self.source, self.state))
        self.view = self.book.view()
        self.now = 0

    def source(self, name: str) -> PriceSource:
        if name not in self.sources:
            self.sources[name] = PriceSource(self.prices[name], column=self.state.prices, slot=self.state.slot())
        return self.sources[name]

    def give(self, account: int, **amounts: float) -> None:
        for asset, amount in amounts.items():
            self.purse[asset][account] += amount

    def block(self, after: int = 0, **prices: float) -> None:
        """Begin a block so much later (ns), at these prices."""
        for name, price in prices.items():
            self.source(name).price = price
        self.now += after
        self.book.begin(self.now)

    def do(self, action: str, sender: int, *fields: float) -> tuple[int, float, float]:
        a, b, c = (*fields, 0.0, 0.0)[:3]
        return tuple(self.book.apply(self.code(action), sender, a, b, c, inf, 0.0))  # type: ignore[return-value]

    def code(self, action: str) -> int:
        return list(self.terms.actions).index(action)


class Compiled(Venue):
    """The same pool in arrays, executed by compiled code."""

    def __init__(self, prices: Mapping[str, float], accounts: int = 8, **terms: Any) -> None:
        super().__init__(prices, accounts, arrays=True, **terms)
        self.columns = self.book.cells.raw, self.book.codes.raw
        self.out = np.zeros(OUT)

    def block(self, after: int = 0, **prices: float) -> None:
        for name, price in prices.items():
            self.source(name).price = price
        self.now += after
        compiled(begin)(*self.columns, self.state.prices.raw, self.now)

    def do(self, action: str, sender: int, *fields: float) -> tuple[int, float, float]:
        a, b, c = (*map(float, fields), 0.0, 0.0)[:3]
        self.out[:] = 0.0
        row = self.code(action), sender, a, b, c, inf, 0.0
        status = int(compiled(execute)(*self.columns, self.state.table, self.state.prices.raw, *row, self.out))
        return (status, 0.0, 0.0) if status else (0, float(self.out[0]), float(self.out[1]))


def venue(eth: dict[str, Any] | None = None, usd: dict[str, Any] | None = None, price: float = 2000.0, **terms: Any) -> Venue:
    """A pool of eth and usd without interest, where Ann has 10 eth and the others 1 MUSD each."""
    reserves = {"eth": FLAT | {"liquidity": 100} | (eth or {}), "usd": FLAT | {"liquidity": "1 MUSD"} | (usd or {})}
    made = Venue({"eth": price}, reserves=reserves, **terms)
    made.give(ANN, eth=10.0)
    made.give(BOB, usd=1e6)
    made.give(LIQUIDATOR, usd=1e6)
    return made


def indebted(collateral: float, debt: float, now: float = 2000.0, **rules_: Any) -> Venue:
    """The same, where Ann has supplied so many eth and owes so many usd, and the price is another now."""
    made = venue(**rules_)
    made.do("supply", ANN, ETH, collateral)
    assert made.do("borrow", ANN, USD, debt) == (0, debt, debt)
    made.block(eth=now)
    return made
