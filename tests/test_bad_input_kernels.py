"""Kernels and books that go wrong fail the run with their market's name and the simulated time; actions that make no sense are refused."""

from collections.abc import Callable, Iterator
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from worlds import SMALL

from l2sim.agents import Agent, Waiting
from l2sim.books import Book, Opening
from l2sim.markets import Market
from l2sim.markets.bridge import Bridge
from l2sim.markets.constant_product import ConstantProduct, ConstantProductBook, execute
from l2sim.markets.lending_pool import LendingPool
from l2sim.markets.perpetual import Perpetual
from l2sim.markets.price_feed import PriceFeed
from l2sim.part import ROOMS, room
from l2sim.scenario import Scenario
from l2sim.simulation import RunFailed, experiment
from l2sim.state import Journal, PriceSource, State
from l2sim.streams import Streams
from l2sim.transactions import Outcome
from l2sim.units import SECOND
from l2sim.world.engine import Engine
from l2sim.world.seat import Do, Seat
from l2sim.world.world import World

# ---- actions that make no sense

RULES: dict[str, Market] = {
    "pool": ConstantProduct.model_validate({"on": "arb", "base": "eth", "base_reserve": 100}),
    "paying pool": ConstantProduct.model_validate({"on": "arb", "base": "eth", "base_reserve": 100, "fees": "paid_out"}),
    "feed": PriceFeed.model_validate({"on": "arb", "of": "eth"}),
    "perpetual": Perpetual.model_validate({"on": "arb", "index": "eth"}),
    "bank": LendingPool.model_validate({"on": "arb", "reserves": {"eth": {"liquidity": 20}, "usd": {"liquidity": "50 kUSD"}}}),
    "bridge": Bridge.model_validate({"on": "arb", "escrow": 1000}),
}
SENDER, ACCOUNT = 0, 1


def opened(rules: Market, arrays: bool) -> Book:
    state = State(4, arrays, Journal(), True)
    sources = {name: PriceSource(price, column=state.prices, slot=state.slot()) for name, price in (("usd", 1.0), ("eth", 2000.0))}
    for asset in ("usd", "eth"):
        state.purses[state.purse(asset)][SENDER] = 1e6
    for asset, amount in rules.brings(sources.__getitem__).items():
        state.purses[state.purse(asset)][ACCOUNT] += amount
    book = rules.open(Opening("market", ACCOUNT, lambda asset: state.purses[state.purse(asset)], sources.__getitem__, state))
    if isinstance(rules, PriceFeed):
        book.admit(SENDER)
    book.begin(SECOND)
    return book


@pytest.mark.parametrize("arrays", [False, True], ids=["lists", "arrays"])
@pytest.mark.parametrize("name", RULES)
def test_sizes_that_make_no_sense_are_refused_and_change_nothing(name: str, arrays: bool) -> None:
    rules = RULES[name]
    for action, fields in enumerate(rules.actions.values()):
        for place in range(len(fields)):
            for nonsense in (nan, -inf, -1.0) if (name, action, place) not in SIGNED else (nan, inf, -inf):
                book = opened(rules, arrays)
                mark = book.state.journal.mark()  # type: ignore[union-attr]
                row = [1.0, 1.0, 1.0]
                row[place] = nonsense
                status, x, y = book.apply(action, SENDER, *row, inf, book.mid())
                assert status != 0, (name, action, place, nonsense)
                assert (x, y) == (0.0, 0.0)
                assert book.state.journal.since(mark) == []  # type: ignore[union-attr]
                assert book.facts == []


SIGNED = {
    ("perpetual", 0, 0): "the size of a position",
    ("perpetual", 5, 2): "how far the middle of quotes is from the mark",
}
"""Fields that may be negative: market, action, place."""


# ---- plug-ins that go wrong


@pytest.fixture(autouse=True)
def _known_for_one_test() -> Iterator[None]:
    before = {name: dict(room(name).kinds()) for name in ("markets", "agents")}
    yield
    for name, kinds in before.items():
        ROOMS[name]._kinds = kinds


POISON = 66.0
"""US dollars that these books do not take well."""


class Poisoned(ConstantProductBook):
    """A pool without a kernel of its own, which goes wrong where it is told to."""

    kernel = None

    def __init__(self, market: ConstantProduct, opening: Opening, where: str) -> None:
        super().__init__(market, opening)
        self.where = where

    def _when(self, where: str, a: float = POISON) -> bool:
        return where == self.where and (a == POISON or self.now > 2 * SECOND)

    def begin(self, now: int) -> None:
        super().begin(now)
        if self._when("begin", 0.0):
            raise LookupError("bad morning")

    def run(self, rows: Any, start: int, stop: int) -> Any:
        return Book.run(self, rows, start, stop)

    def apply(self, action: int, sender: int, a: float, b: float, c: float, slippage: float, reference: float) -> Any:
        out = [0.0] * 16
        status = execute(self.cells, self.codes, self.state.purses, self.state.prices, action, sender, a, b, c, slippage, reference, out)
        if a != POISON:
            return Outcome(status, out[0], out[1])
        if self.where == "apply":
            raise LookupError("bad lunch")
        if self.where == "facts":
            self.facts.append(("not", "a", "fact"))
        if self.where == "balance":
            self.usd[sender] = nan
        if self.where == "own balance":
            self.usd[self.account] = -inf
        if self.where == "cells":
            self.cells[3] = nan
        return {"x": (0, nan, 1.0), "y": (0, 1.0, inf), "shape": (0,)}.get(self.where, (status, out[0], out[1]))

    def mid(self) -> float:
        if self._when("mid", 0.0):
            raise LookupError("no middle")
        return super().mid()

    def calls(self) -> int:
        if self._when("calls", 0.0):
            raise LookupError("bad news")
        return 0

    def audit(self) -> float:
        return nan if self.where == "audit" else 0.0


def unsound() -> None:
    """Make the kind known."""

    class UnsoundPool(ConstantProduct):
        """A pool that goes wrong."""

        compiles = False
        where: str = ""
        """Where it goes wrong."""

        def open(self, opening: Opening) -> Any:
            return Poisoned(self, opening, self.where)

    class Waiter(Agent):
        """Waits for news of a market, sends what is poisoned together with something else, and buys nothing."""

        steps: bool = False
        """Whether it sends two steps."""

        @property
        def atomic(self) -> bool:
            return self.steps

        def arrive(self, me: Seat) -> None:
            me.endow("arb", "usd", 1_000.0)
            me.endow("arb", me.gas_token, 1.0)

        def run(self, me: Seat) -> Waiting:
            if self.steps:
                yield me.sleep(3 * SECOND)
                me.submit_steps(Do("sound", "buy", (1.0,)), Do("bad", "buy", (POISON,)))
            yield me.news("bad")

    assert {UnsoundPool.kind, Waiter.kind} == {"unsound_pool", "waiter"}


PLAN: dict[str, Any] = {
    "duration": "20s",
    "prices": {"eth": {"kind": "path", "points": {"0": "2000 USD"}}},
    "network": {"within": 0},
    "chains": {"arb": {"preset": "minimal", "settles_on": None, "batch_poster": None, "sequencer": {"block_time": "1s"}}},
    "markets": {
        "bad": {"kind": "unsound_pool", "on": "arb", "base": "eth", "base_reserve": 10},
        "sound": {"kind": "constant_product", "on": "arb", "base": "eth", "base_reserve": 10},
    },
    "agents": {
        "user": {
            "kind": "scripted",
            "holdings": {"arb": {"usd": "1 kUSD"}},
            "steps": {
                "first": {"at": "2500ms", "market": "sound", "action": "buy", "fields": {"quote_in": "10 USD"}},
                "poison": {"at": "3500ms", "market": "bad", "action": "buy", "fields": {"quote_in": "66 USD"}},
            },
        },
        "waiter": {"kind": "waiter"},
    },
}

WRONGS: dict[str, str] = {
    "begin": r"^market 'bad' failed at 3\.000 s of simulated time: LookupError: bad morning$",
    "apply": r"^market 'bad' failed at 4\.000 s of simulated time: LookupError: bad lunch$",
    "mid": r"^market 'bad' failed at 4\.000 s of simulated time: LookupError: no middle$",
    "calls": r"^market 'bad' failed at 3\.000 s of simulated time: LookupError: bad news$",
    "facts": r"^market 'bad' failed at 4\.000 s of simulated time: TypeError: a fact is a NamedTuple, but this is a tuple$",
    "shape": r"^market 'bad' failed at 4\.000 s of simulated time: ValueError: ",
    "x": r"^market 'bad' failed at 4\.000 s of simulated time: ArithmeticError: an action gave nan$",
    "y": r"^market 'bad' failed at 4\.000 s of simulated time: ArithmeticError: an action gave inf$",
    "own balance": r"^market 'bad' failed at 4\.000 s of simulated time: ArithmeticError: it holds -inf usd$",
    "balance": r"^market 'bad or sound' failed at \d+\.000 s of simulated time: 'user' holds no number of usd on 'arb'$",
    "cells": r"^market 'bad' failed at \d+\.000 s of simulated time: there is no number in its column 'bad/cells', place 3$",
    "audit": r"^market 'bad': what it holds and what it owes differ by nan of the sums involved$",
}


@pytest.mark.parametrize("engine", ["lists", "arrays"])
@pytest.mark.parametrize("where", WRONGS)
def test_a_market_that_goes_wrong_is_named(where: str, engine: Engine) -> None:
    unsound()
    scenario = Scenario.of(PLAN).vary({"markets.bad.where": where})
    with pytest.raises(Exception, match=WRONGS[where]) as error:
        World(scenario, Streams(1, 0), {}, engine).run()
    assert type(error.value).__name__ in {"RunFailed", "BooksDoNotClose"}


@pytest.mark.parametrize("where", ["apply", "x"])
def test_so_it_is_within_several_steps(where: str) -> None:
    unsound()
    scenario = Scenario.of(PLAN).vary({"markets.bad.where": where, "agents.waiter.steps": True})
    with pytest.raises(RunFailed, match=r"^market 'bad' failed at 4\.000 s of simulated time: "):
        World(scenario, Streams(1, 0)).run()


def test_nothing_is_written(tmp_path: Path) -> None:
    unsound()
    scenario = Scenario.of(PLAN).vary({"markets.bad.where": "x"})
    with pytest.raises(RunFailed, match=r"^market 'bad' failed at 4\.000 s"):
        experiment(scenario, replications=2, out=tmp_path / "results")
    assert list(tmp_path.iterdir()) == []


def test_who_does_nothing_wrong_is_not_blamed() -> None:
    unsound()
    log = World(Scenario.of(PLAN), Streams(1, 0)).run()
    assert log.frame("TransactionIncluded")["status"].tolist() == [0, 0]


# ---- kernels


def gives_nan(cells: Any, codes: Any, purses: Any, prices: Any, action: int, sender: int, a: float, b: float, c: float, slippage: float, reference: float, out: Any) -> int:  # fmt: skip  # noqa: E501
    """A kernel that divides by what it should not, once the sender is rich enough."""
    purses[codes[2]][sender] -= a
    purses[codes[2]][codes[0]] += a
    out[0] = a
    out[1] = 0.0
    cells[3] += 1.0
    if cells[3] >= 40.0:
        out[1] = a * 1e308 * 1e308 - a * 1e308 * 1e308
    return 0


def hoards(cells: Any, codes: Any, purses: Any, prices: Any, action: int, sender: int, a: float, b: float, c: float, slippage: float, reference: float, out: Any) -> int:  # fmt: skip  # noqa: E501
    """A kernel that takes more than there can be."""
    purses[codes[2]][codes[0]] += 1e308
    cells[3] += 1.0
    out[0] = a
    out[1] = cells[3]
    return 0


CROWD: dict[str, Any] = {
    "duration": "2min",
    "prices": {"eth": {"kind": "path", "points": {"0": "2000 USD"}}},
    "chains": {"arb": {"preset": "minimal", "settles_on": None, "batch_poster": None}},
    "markets": {"sound": PLAN["markets"]["sound"], "wild": {"kind": "constant_product", "on": "arb", "base": "eth", "base_reserve": 10}},
    "agents": {"crowd": {"kind": "crowd_of_traders", "size": 10, "market": "wild", "rate": "5 /s", "wealth": "1 MUSD", "slippage": None}},
}


@pytest.mark.parametrize(("kernel", "problem"), [(gives_nan, "an action gave "), (hoards, "it holds ")], ids=["nan", "inf"])
def test_compiled_kernels_are_caught_like_others(kernel: Callable[..., int], problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConstantProductBook, "kernel", staticmethod(kernel))
    monkeypatch.setattr(ConstantProductBook, "run", Book.run)
    monkeypatch.setattr(ConstantProductBook, "audit", lambda book: 0.0)
    times = []
    for engine in ("lists", "arrays"):
        with pytest.raises(RunFailed, match=r"^market 'wild' failed at \d+\.\d+ s of simulated time: ArithmeticError: " + problem) as error:
            World(Scenario.of(CROWD), Streams(1, 0), {}, engine).run()  # type: ignore[arg-type]
        times.append(str(error.value).split("at ")[1].split(" s of")[0])
    assert times[0] == times[1] or kernel is hoards  # what is held is looked at after a stretch of blocks


def test_the_small_market_has_nothing_to_hide() -> None:
    world = World(Scenario.load(SMALL, ["duration=4min"]), Streams(1, 0))
    world.run()
    assert [chain.state.no_numbers() for chain in world.chains.values()] == [[], [], []]
