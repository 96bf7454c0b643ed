"""Arrays and compiled code give the same bits as plain lists, and make stretches of blocks only where nobody could tell."""

from typing import Any

import pytest

from l2sim.log import Log
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
        "op": {"preset": "op_mainnet", "batch_poster": {"max_delay": "5min"}},
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
        {"chains.op.backlog_limit": "20 kB", "chains.op.throttled_gas_limit": "0.3 Mgas"},  # the poster's backlog throttles
        {"chains.op.sequencer.blocks": "poisson", "chains.op.fee": {"kind": "constant", "fee": "1 gwei"}},
        {"agents.others": {"kind": "crowd_of_traders", "market": "pool", "rate": "1 /s"}},  # two crowds are merged
        {"agents.keen": {"kind": "arbitrageur", "market": "pool"}},  # somebody looks at every block
        {"attacks.outage": {"kind": "sequencer_outage", "on": "op", "begins": "20min", "lasts": "10min"}},
    ],
    ids=["plain", "any_price", "poor", "tips", "deadlines", "overflow", "throttled", "poisson", "two_crowds", "watched", "outage"],
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
    book.fee = 0.003000000001
    assert world.run().digest != lists.digest


def test_the_engine_is_chosen_by_the_size_of_the_run() -> None:
    scenario = Scenario.of(QUIET)
    assert engines(scenario, "auto") == {"l1": "lists", "op": "lists", "outside": "lists"}
    assert engines(scenario, "arrays")["op"] == "arrays"
    assert engines(scenario.vary(duration="1d"), "auto")["op"] == "arrays"
    two = scenario.vary({"markets.other": {"kind": "constant_product", "on": "op", "base": "eth", "base_reserve": 1}})
    assert engines(two, "arrays")["op"] == "lists"
