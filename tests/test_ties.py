"""Fair ties: neither the order in which a scenario lists things nor their names decide who comes first."""

from collections import Counter
from collections.abc import Iterator, Mapping
from math import sqrt
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from worlds import frames, lived, small

from l2sim.agents import Agent, Waiting
from l2sim.log import Log
from l2sim.part import ROOMS, Part, room
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world.clock import Clock
from l2sim.world.seat import Seat

SECTIONS = ("prices", "network", "chains", "markets", "agents", "attacks")


def shuffled(value: Any, luck: Random) -> Any:
    """The same thing with the members of all mappings in another order, those inside parts too."""
    if isinstance(value, Part):
        return value.model_copy(update={name: shuffled(getattr(value, name), luck) for name in type(value).model_fields})
    if isinstance(value, dict):
        names = list(value)
        luck.shuffle(names)
        return {name: shuffled(value[name], luck) for name in names}
    return value


@pytest.mark.parametrize("order", range(3))
def test_the_order_of_members_changes_nothing(order: int) -> None:
    # A scenario sorts its members; a world must not depend on that.
    scenario, luck = small("duration=13min"), Random(order)
    other = SimpleNamespace(duration=scenario.duration, **{name: shuffled(getattr(scenario, name), luck) for name in SECTIONS})
    assert list(other.agents) != list(scenario.agents)
    assert lived(other).digest == lived(scenario).digest


# ---- races of equals

NAMES = (("a", "b", "z1"), ("z9", "m", "a0"), ("keepers/0", "keepers/1", "keepers/2"))
"""Three names for the racers; the last are those of one member with a count of three."""

CHAINS: dict[str, Any] = {
    "arb": {"preset": "minimal", "settles_on": None, "batch_poster": None},
    "outside": {"kind": "outside", "impact": "none"},
}


def cast(names: tuple[str, ...], racer: Mapping[str, Any]) -> dict[str, Any]:
    """The racers under these names."""
    first = names[0].partition("/")[0]
    return {first: {**racer, "count": len(names)}} if "/" in names[0] else {name: dict(racer) for name in names}


def liquidators(names: tuple[str, ...], latency: str, ordering: str) -> Scenario:
    """A price that falls evenly through the liquidation prices of some hundred longs, and a maker who takes them all."""
    racer = {"kind": "liquidator", "market": "perp", "capital": "1 bnUSD"}
    return Scenario.of(
        {
            "duration": "40s",
            "prices": {"eth": {"kind": "path", "points": {"0": "3000 USD", "40s": "2000 USD"}}},
            "network": {"within": latency},
            "chains": {**CHAINS, "arb": {**CHAINS["arb"], "ordering": {"kind": ordering}}},
            "markets": {"perp": {"kind": "perpetual", "on": "arb", "index": "eth"}},
            "agents": {
                "longs": {
                    "kind": "crowd_of_leveraged_traders", "market": "perp", "size": 400, "spread": "even", "notional": "1000 USD",
                    "liquidation_price": {"kind": "uniform", "low": "2100 USD", "high": "2950 USD"},
                },
                "maker": {"kind": "market_maker", "market": "perp", "capital": "1 bnUSD", "depth": "100 MUSD", "region": "europe"},
                **cast(names, racer),
            },
        }
    )  # fmt: skip


def arbitrageurs(names: tuple[str, ...], latency: str, ordering: str) -> Scenario:
    """A price that jumps each second, after which everybody wants the same trade with a pool."""
    racer = {"kind": "arbitrageur", "market": "pool", "capital": "1 bnUSD"}
    return Scenario.of(
        {
            "duration": "8min",
            "prices": {"eth": {"kind": "geometric_brownian", "start": "3000 USD", "volatility": "2000 %", "step": "1s"}},
            "network": {"within": latency},
            "chains": {**CHAINS, "arb": {**CHAINS["arb"], "ordering": {"kind": ordering}, "sequencer": {"block_time": "250ms"}}},
            "markets": {"pool": {"kind": "constant_product", "on": "arb", "base": "eth", "base_reserve": 1000, "fee": "1 bps"}},
            "agents": cast(names, racer),
        }
    )


def rescuers(log: Log) -> list[str]:
    """Who won each position."""
    return list(frames(log)["PositionLiquidated"]["liquidator"])


def traders(log: Log) -> list[str]:
    """Who won each trade with the pool; all of them tried for it."""
    included = frames(log)["TransactionIncluded"]
    wins = included[included["status"] == 0]
    assert len(included) >= 2 * len(wins)
    return list(wins["sender"])


def unfair(winners: list[str], names: tuple[str, ...]) -> list[str]:
    """Who won more or less often, by more than four standard errors, than the share of equals."""
    wins = Counter(name if "/" in names[0] else name.partition("/")[0] for name in winners)
    assert set(wins) <= set(names)
    n, share = len(winners), 1.0 / len(names)
    return [name for name in names if abs(wins[name] - n * share) > 4.0 * sqrt(n * share * (1.0 - share))]


@pytest.mark.parametrize("names", NAMES, ids=" ".join)
@pytest.mark.parametrize(("latency", "ordering"), [("0s", "first_come_first_served"), ("3ms", "priority_fee")])
def test_equal_liquidators_win_equally_often(names: tuple[str, ...], latency: str, ordering: str) -> None:
    winners = rescuers(lived(liquidators(names, latency, ordering)))
    assert len(winners) == 400
    assert unfair(winners, names) == []


@pytest.mark.parametrize("names", NAMES, ids=" ".join)
@pytest.mark.parametrize(("latency", "ordering"), [("0s", "priority_fee"), ("3ms", "first_come_first_served")])
def test_equal_arbitrageurs_win_equally_often(names: tuple[str, ...], latency: str, ordering: str) -> None:
    winners = traders(lived(arbitrageurs(names, latency, ordering)))
    assert len(winners) >= 300
    assert unfair(winners, names) == []


@pytest.fixture
def by_insertion(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake of every plain event loop: among equals, whoever was created or asked first."""
    wake = Clock.wake
    monkeypatch.setattr(Clock, "wake", lambda clock, event, time, tie=0, value=None: wake(clock, event, time, min(tie, 1), value))
    monkeypatch.setattr(Streams, "ties", lambda streams, name, indices: indices * 0)
    monkeypatch.setattr("l2sim.world.seat.mix", lambda key, index: 0)
    monkeypatch.setattr("l2sim.world.sending.mix", lambda key, index: 0)


@pytest.mark.usefixtures("by_insertion")
@pytest.mark.parametrize("names", NAMES, ids=" ".join)
def test_ties_by_insertion_are_caught(names: tuple[str, ...]) -> None:
    assert unfair(rescuers(lived(liquidators(names, "0s", "first_come_first_served"))), names) != []
    assert unfair(traders(lived(arbitrageurs(names, "0s", "first_come_first_served"))), names) != []


# ---- at once outside


@pytest.fixture
def hurried() -> Iterator[None]:
    """Agents that trade outside at the very start, and as soon as they have a receipt; known for one test."""
    before = dict(room("agents").kinds())

    class Hurried(Agent):
        """Somebody who trades before waiting for anything."""

        def run(self, me: Seat) -> Waiting:
            me.trade("eth", 1.0)
            yield me.sleep_until(me.ends)

    class Hedger(Agent):
        """Somebody who trades whenever a report of its own, which is refused, is in a block."""

        def run(self, me: Seat) -> Waiting:
            while True:
                yield me.receipt(me.submit("feed", "report", 1.0, wait=True))
                me.trade("eth", 1.0)

    yield
    ROOMS["agents"]._kinds = before


OUTSIDE: dict[str, Any] = {
    "duration": "31s",
    "prices": {"eth": {"kind": "path", "points": {"0": "3000 USD"}}},
    "chains": CHAINS,
    "markets": {"feed": {"kind": "price_feed", "on": "arb", "of": "eth"}},
}


def first_outside(log: Log) -> list[str]:
    """Who traded first at each instant."""
    trades = frames(log)["OutsideTraded"]
    assert trades.groupby("time").size().unique().tolist() == [3]
    return list(trades.groupby("time")["sender"].first())


@pytest.mark.parametrize("names", NAMES, ids=" ".join)
def test_trades_outside_at_one_instant_come_in_fair_order(names: tuple[str, ...]) -> None:
    steps = {f"step_{i}": {"at": f"{i}00ms", "action": "trade", "fields": {"eth": 1}} for i in range(300)}
    firsts = first_outside(lived(Scenario.of({**OUTSIDE, "agents": cast(names, {"kind": "scripted", "steps": steps})})))
    assert len(firsts) == 300
    assert unfair(firsts, names) == []


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("names", NAMES, ids=" ".join)
def test_receipts_of_one_block_come_in_fair_order(names: tuple[str, ...]) -> None:
    firsts = first_outside(lived(Scenario.of({**OUTSIDE, "agents": cast(names, {"kind": "hedger"})})))
    assert len(firsts) > 250
    assert unfair(firsts, names) == []


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("names", NAMES, ids=" ".join)
def test_whoever_acts_before_waiting_comes_in_fair_order(names: tuple[str, ...]) -> None:
    scenario = Scenario.of({**OUTSIDE, "duration": "100ms", "agents": cast(names, {"kind": "hurried"})})
    firsts = [frames(lived(scenario, seed))["OutsideTraded"]["sender"][0] for seed in range(100)]
    assert unfair(firsts, names) == []
