"""What a day comes to: the numbers on which everybody who lives it must agree."""

from math import isclose
from typing import Any, NamedTuple

import numpy as np

from l2sim.events import AccountClosed
from l2sim.log import Log
from l2sim.world.world import World

SEARCHERS = ("keen", "sandwicher", "keepers")


class Final(NamedTuple):
    """The end of a day. Whole numbers and reserves must be the same; sums may differ in their last digits."""

    base: float
    """The pool's reserve of ether."""
    quote: float
    """The pool's reserve of US dollars."""
    debt: float
    """What borrowers owe (USD)."""
    collateral: float
    """What the lending pool owes to suppliers of ether, the protocol included (ETH)."""
    fees: float
    """What the rollup was paid for execution and data (ETH)."""
    batch_cost: float
    """What L1 was paid for batches (ETH)."""
    profits: dict[str, float]
    """Of each searcher, its fees paid, at the last prices (USD)."""
    statuses: list[int]
    """Transactions by what became of them."""
    rows: dict[str, int]
    """Facts logged, by kind."""

    def differences(self, other: "Final") -> list[str]:
        """Where they do not agree."""
        found = []
        for name, mine, theirs in zip(self._fields, self, other, strict=True):
            if name in ("debt", "collateral", "fees", "batch_cost"):
                same = isclose(mine, theirs, rel_tol=1e-9)
            elif name == "profits":
                same = mine.keys() == theirs.keys() and all(isclose(mine[who], theirs[who], rel_tol=1e-9) for who in mine)
            else:
                same = mine == theirs
            if not same:
                found.append(f"{name}: {mine} and {theirs}")
        return found


def of(world: World, log: Log) -> Final:
    """What a world that has been lived came to."""
    chain = world.chains["op"]
    pool, loans = (chain.books[chain.codes[market]].view() for market in ("pool", "loans"))
    groups, assets, value = log.select(AccountClosed, "group", "asset", "value")
    place, opening, closing = log.select(AccountClosed, "place", "opening", "closing")
    names = log.names.all

    def total(column: Any, **where: str) -> float:
        mask = np.ones(len(column), bool)
        for field, codes in (("group", groups), ("asset", assets), ("place", place)):
            if field in where:
                mask &= codes == log.names.find(where[field])
        return float(column[mask].sum())

    earned = closing - opening
    statuses = next(pieces for name, _, pieces in log.tables["TransactionIncluded"].in_pieces() if name == "status")
    present = {names[code] for code in np.unique(groups)}
    return Final(
        pool.base, pool.quote, loans.reserves["usd"].borrowed, loans.reserves["eth"].supplied,
        total(earned, group="op", asset="gas", place="op"), -total(earned, group="op.batch_poster", asset="gas", place="l1"),
        {name: total(value, group=name) for name in SEARCHERS if name in present},
        np.bincount(np.concatenate(list(statuses()))).tolist(),
        {name: len(log.tables[name]) for name in log if name != "AccountClosed"},
    )  # fmt: skip
