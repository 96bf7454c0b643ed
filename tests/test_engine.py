"""Arrays and compiled code give the same bits as plain lists, and make stretches of blocks only where nobody could tell."""

from typing import Any

import pytest

from l2sim.log import Log
from l2sim.markets.constant_product import PHI
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world import rollup
from l2sim.world.engine import Engine, engines
from l2sim.world.world import World

QUIET: dict[str, Any] = {
    "duration": "70min",
    "prices": {"eth": {"kind": "geometric_brownian", "start": "3000 USD", "volatility": "50 %"}},
    "network": {"within": {"kind": "lognormal", "median": "20ms", "sigma": 1.0}},
    "chains": {
        "outside": {"kind": "outside"},
        "l1": {"preset": "ethereum"},
        "op": {"preset": "op_mainnet"},
    },
    "markets": {"pool": {"kind": "constant_product", "on": "op", "base": "eth", "base_reserve": 200}},
    "agents": {"traders": {"kind": "crowd_of_traders", "size": 50, "market": "pool", "rate": "4 /s", "wealth": "20 kUSD"}},
}


def lived(engine: Engine, **changes: Any) -> tuple[World, Log]:
    world = World(Scenario.of(QUIET).vary(changes), Streams(7), {}, engine)
    return world, world.run()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"agents.traders.slippage": None},
        {"agents.traders.gas": "0.00001 ETH"},  # soon they cannot pay their fees
        {"agents.traders.tip": {"kind": "uniform", "low": "0 wei", "high": "1 gwei"}},  # their order is that of their tips
        {"agents.traders.deadline": "1s", "agents.traders.fee_cap": 1.0},
        {"chains.op.block_gas_limit": "1 Mgas"},  # blocks overflow
        {"chains.op.block_gas_limit": "2 Mgas", "agents.traders.gas_used": {"kind": "exponential", "mean": "0.4 Mgas"}},  # small ones go on
        {"chains.op.backlog_limit": "20 kB", "chains.op.throttled_gas_limit": "0.3 Mgas"},  # the poster's backlog throttles
        {"chains.op.sequencer.blocks": "poisson", "chains.op.fee": {"kind": "constant", "fee": "1 gwei"}},
        {"agents.others": {"kind": "crowd_of_traders", "market": "pool", "rate": "1 /s"}},  # two crowds are merged
        {"agents.keen": {"kind": "arbitrageur", "market": "pool"}},  # somebody looks at every block
        {"agents.keen": {"kind": "arbitrageur", "market": "pool", "colocated": True}},  # a reflex, and its trades move the price outside
        {  # reflexes that race, and go before everybody else
            "agents.keen": {"kind": "arbitrageur", "market": "pool", "colocated": True, "count": 3, "tip": "1 gwei"},
            "agents.traders.tip": {"kind": "uniform", "low": "0 wei", "high": "2 gwei"},
            "chains.outside.impact": "none",
        },
        {  # two pools, one of them shallow, and an arbitrageur in each
            "markets.shallow": {"kind": "constant_product", "on": "op", "base": "eth", "base_reserve": 20, "fees": "paid_out"},
            "agents.others": {"kind": "crowd_of_traders", "market": "shallow", "rate": "1 /s", "wealth": "20 kUSD"},
            "agents.keen": {"kind": "arbitrageur", "market": "shallow", "colocated": True},
            "agents.sharp": {"kind": "arbitrageur", "market": "pool", "colocated": True},
        },
        {  # a market without a kernel in the same blocks
            "markets.feed": {"kind": "price_feed", "on": "op", "of": "eth"},
            "agents.reporter": {"kind": "oracle_reporter", "feed": "feed", "deviation": "1 bps"},
        },
        {"attacks.outage": {"kind": "sequencer_outage", "on": "op", "begins": "20min", "lasts": "10min"}},
    ],
    ids=[
        "plain",
        "any_price",
        "poor",
        "tips",
        "deadlines",
        "overflow",
        "uneven",
        "throttled",
        "poisson",
        "two_crowds",
        "watched",
        "reflex",
        "race",
        "two_pools",
        "plug_in",
        "outage",
    ],
)
def test_both_engines_write_the_same_log(changes: dict[str, Any]) -> None:
    (_, lists), (_, arrays) = lived("lists", **changes), lived("arrays", **changes)
    assert len(lists.tables["TransactionIncluded"]) > 1000
    assert lists.digest == arrays.digest


def test_stretches_are_made_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    whole = rollup.stretch
    monkeypatch.setattr(rollup, "stretch", lambda chain, times: made.append(whole(chain, times)) or made[-1])
    lived("arrays")
    assert sum(made) > 0.95 * 70 * 30
    made.clear()
    lived("arrays", **{"agents.keen": {"kind": "arbitrageur", "market": "pool"}})
    assert sum(made) < 0.1 * 70 * 30  # it looks at every block but those that its own transaction is on the way to


def test_a_kernel_that_rounds_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    _, lists = lived("lists")
    world = World(Scenario.of(QUIET), Streams(7), {}, "arrays")
    book = world.chains["op"].books[0]
    book.cells[PHI] = 1.0 - 0.003000000001
    assert world.run().digest != lists.digest


def test_the_engine_is_chosen_by_the_size_of_the_run() -> None:
    scenario = Scenario.of(QUIET)
    assert engines(scenario, "auto") == {"l1": "lists", "op": "lists", "outside": "lists"}
    assert engines(scenario, "arrays")["op"] == "arrays"
    assert engines(scenario.vary(duration="1d"), "auto")["op"] == "arrays"
    feed = scenario.vary({"duration": "1d", "markets.feed": {"kind": "price_feed", "on": "op", "of": "eth"}})
    assert engines(feed, "auto")["op"] == "lists"  # not all of its markets have kernels: most blocks would be made one by one
    assert engines(feed, "arrays")["op"] == "arrays"
    assert engines(feed, "arrays", {"op"})["op"] == "lists"  # what can be undone needs lists
