"""Kinds from outside the package take part in whole runs; and when one fails, it is named and nothing is left behind."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from worlds import frames, lived, small

from l2sim.agents import Agent, Waiting
from l2sim.attacks import Attack
from l2sim.log import Log
from l2sim.markets import Book, Market, Opening
from l2sim.metrics import Metric
from l2sim.ordering import Ordering, Pending
from l2sim.part import MarketName
from l2sim.scenario import Scenario
from l2sim.simulation import RunFailed, experiment, simulate
from l2sim.transactions import Outcome, Status
from l2sim.units import MS, SECOND, Duration
from l2sim.world.seat import AttackSeat, Seat

# These classes are in no room's folder and in no list; that they exist is enough.


class NewestFirst(Ordering):
    """Whoever arrived last is executed first."""

    def order(self, pending: Pending, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        return np.lexsort((pending.tie, -pending.arrives))


class PurseOpened(NamedTuple):
    """Somebody looked into its purse: a fact of another package."""

    who: str
    dollars: float


class Saver(Agent):
    """Buys a little at regular times, and tells the log what is left."""

    market: MarketName
    """The pool."""
    every: Duration = SECOND
    """How often."""
    amount: float = 10.0
    """US dollars each time."""

    def arrive(self, me: Seat) -> None:
        me.endow(me.chain_of(self.market), "usd", 100.0)
        me.endow(me.chain_of(self.market), me.gas_token, 1.0)

    def run(self, me: Seat) -> Waiting:
        while True:
            yield me.sleep(self.every)
            receipt = yield me.receipt(me.submit(self.market, "buy", self.amount, wait=True))
            me.announce(PurseOpened(me.name, me.balance(me.chain_of(self.market), "usd")))
            if receipt.status == Status.INSUFFICIENT_FUNDS:
                return


class Purses(Metric):
    """How often purses were opened, and what was in the emptiest."""

    def measure(self, log: Log) -> "pd.Series[float]":
        dollars = log.frame("PurseOpened")["dollars"]
        return pd.Series({"looks": float(len(dollars)), "least": float(dollars.min())})


class Lottery(Market):
    """A venue that pays each ticket's price back to whoever bought the one before."""

    actions = {"enter": ("price",)}
    gas = {"enter": 50_000}
    size = {"enter": 100}

    def underlying(self) -> str:
        return "eth"

    def open(self, opening: Opening) -> Book:
        return Pot(opening)


class Pot(Book):
    """The money of a lottery."""

    def __init__(self, opening: Opening) -> None:
        super().__init__()
        self.usd, self.last = opening.balances("usd"), opening.account

    def apply(self, action: int, sender: int, a: float, b: float, c: float, slippage: float, reference: float) -> Outcome:
        if a == 13.0:
            raise ArithmeticError("an unlucky number")
        if self.usd[sender] < a:
            return Outcome(Status.INSUFFICIENT_FUNDS)
        self.usd[sender] -= a
        self.usd[self.last] += a
        self.last = sender
        return Outcome(0, a)

    def quote(self, action: int, a: float, b: float, c: float) -> Outcome:
        return Outcome(0, a)

    def mid(self) -> float:
        return 0.0


PLAN: dict[str, Any] = {
    "duration": "20s",
    "prices": {"eth": {"kind": "path", "points": {"0": "3000 USD"}}},
    "chains": {
        "arb": {"preset": "minimal", "settles_on": None, "batch_poster": None, "ordering": {"kind": "newest_first"}},
    },
    "markets": {
        "pool": {"kind": "constant_product", "on": "arb", "base": "eth", "base_reserve": 10},
        "lottery": {"kind": "lottery", "on": "arb"},
    },
    "agents": {
        "savers": {"kind": "saver", "market": "pool", "count": 2},
        "early": {
            "kind": "scripted",
            "holdings": {"arb": {"usd": "100 USD"}},
            "steps": {
                "first": {"at": "10ms", "market": "pool", "action": "buy", "fields": {"quote_in": "1 USD"}},
                "second": {"at": "20ms", "market": "lottery", "action": "enter", "fields": {"price": "5 USD"}},
            },
        },
        "late": {
            "kind": "scripted",
            "holdings": {"arb": {"usd": "100 USD"}},
            "steps": {
                "first": {"at": "30ms", "market": "pool", "action": "buy", "fields": {"quote_in": "1 USD"}},
                "second": {"at": "1s", "market": "lottery", "action": "enter", "fields": {"price": "7 USD"}},
            },
        },
    },
    "metrics": {"purses": {"kind": "purses"}, "profit": {"kind": "profit_and_loss"}},
}  # fmt: skip


def test_kinds_from_outside_the_package_live_through_a_whole_run() -> None:
    results = simulate(Scenario.of(PLAN), seed=3)
    tables = frames(results.log())
    transactions = tables["TransactionIncluded"]
    # The ordering: in the first block the last to come is the first to be served.
    first = transactions[transactions["block"] == 1]
    assert list(zip(first["sender"], first["market"], strict=True)) == [("late/0", "pool"), ("early/0", "lottery"), ("early/0", "pool")]
    # The agent: ten times ten dollars, and one more look at an empty purse.
    looks = tables["PurseOpened"]
    assert Counter(looks["who"]) == {"savers/0": 11, "savers/1": 11}
    assert looks["dollars"].min() == 0.0
    assert looks["time"].is_monotonic_increasing
    # The market: who entered first gets what the next one paid.
    profits = results.summary.iloc[0]
    assert profits["profit.groups.late.profit"] == pytest.approx(-7.0, abs=0.01)
    assert abs(profits["profit.sum"]) < 1e-9
    # The metric.
    assert profits[["purses.looks", "purses.least"]].tolist() == [22.0, 0.0]
    assert list(results.events("PurseOpened")) == ["replication", "time", "who", "dollars"]


def test_the_same_kinds_give_the_same_answer_in_other_processes_and_from_a_folder(tmp_path: Path) -> None:
    scenario = Scenario.of(PLAN)
    alone = simulate(scenario, seed=3, replications=2)
    assert simulate(scenario, seed=3, replications=2, jobs=2).digest == alone.digest
    run = experiment(scenario, seed=3, replications=2, out=tmp_path)
    kept = run.worlds["as_written"]
    assert kept.digest == alone.digest
    assert len(kept.events("PurseOpened")) == 44
    assert kept.log(1).digest == alone.digests[1]


def test_another_ordering_gives_another_history() -> None:
    scenario = Scenario.of(PLAN)
    usual = scenario.vary({"chains.arb.ordering": {"kind": "first_come_first_served"}})
    assert simulate(usual).digest != simulate(scenario).digest


def test_an_ordering_from_outside_works_in_the_small_market() -> None:
    log = lived(small("duration=3min").vary({"chains.arb.ordering": {"kind": "newest_first"}}))
    assert len(log.tables["TransactionIncluded"]) > 100


# ---- failures


class Stumbler(Agent):
    """Fails where it is told to."""

    where: str = "run"
    """In ``arrive`` or in ``run``."""

    def arrive(self, me: Seat) -> None:
        if self.where == "arrive":
            raise ZeroDivisionError("no luggage")

    def run(self, me: Seat) -> Waiting:
        yield me.sleep(1_500 * MS)
        if self.where == "run":
            raise ZeroDivisionError("a stone")
        if self.where == "nonsense":
            yield 5


class Mishap(Attack):
    """An attack that does not come off."""

    def strike(self, me: AttackSeat) -> None:
        raise ZeroDivisionError("out of powder")

    def relent(self, me: AttackSeat) -> None: ...


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"agents.clumsy": {"kind": "stumbler", "count": 3}},
            r"^'clumsy/[012]' failed at 1\.500 s of simulated time: ZeroDivisionError: a stone$",
        ),
        ({"agents.clumsy": {"kind": "stumbler", "where": "arrive"}}, r"^'clumsy/0' failed at 0\.000 s .*: ZeroDivisionError: no luggage$"),
        (
            {"agents.clumsy": {"kind": "stumbler", "where": "nonsense"}},
            r"^'clumsy/0' failed at 1\.500 s .*: TypeError: it yielded 5, where",
        ),
        (
            {"attacks.bang": {"kind": "mishap", "begins": "2s", "lasts": "1s"}},
            r"^'bang' failed at 2\.000 s .*: ZeroDivisionError: out of powder$",
        ),
        ({"agents.early.steps.second.fields.price": "13 USD"}, r"failed at 0\.100 s .*: ArithmeticError: an unlucky number$"),
        ({"agents.savers.market": "lottery"}, r"^'savers/[01]' failed at 1\.000 s .*: market 'lottery' has no action 'buy'; it has enter$"),
        (
            {"chains.l1": {"preset": "ethereum"}, "markets.lottery.on": "l1", "agents.late.steps.second.fields.price": "13 USD"},
            r"failed at 12\.000 s of simulated time: ArithmeticError: an unlucky number$",
        ),
    ],
    ids=["run", "arrive", "nonsense", "attack", "market", "action", "market_on_l1"],
)
def test_whoever_fails_is_named_with_the_simulated_time_and_nothing_is_written(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    scenario = Scenario.of(PLAN).vary(changes)
    with pytest.raises(RunFailed, match=message):
        experiment(scenario, replications=2, out=tmp_path / "results")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_in_another_process_is_told_the_same_way(tmp_path: Path) -> None:
    scenario = Scenario.of(PLAN).vary({"agents.clumsy": {"kind": "stumbler"}})
    with pytest.raises(RunFailed, match=r"^'clumsy/0' failed at 1\.500 s of simulated time: ZeroDivisionError: a stone$"):
        experiment(scenario, replications=2, jobs=2, out=tmp_path / "results")
    assert list(tmp_path.iterdir()) == []
