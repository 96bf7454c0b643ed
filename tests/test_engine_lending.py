"""A lending pool, a crowd of borrowers and its liquidators: lists and compiled blocks write the same log, and days go by in stretches."""

from typing import Any

import numpy as np
import pytest

from l2sim.compiled import compiled
from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world import rollup
from l2sim.world.engine import Engine
from l2sim.world.world import World

STREET: dict[str, Any] = {
    "duration": "40min",
    "prices": {
        "eth": {
            "kind": "geometric_brownian", "start": "3000 USD", "volatility": "120 %",
            "shocks": {"fall": {"at": "5min", "size": "-18 %", "over": "20min"}},
        },
        "btc": {"kind": "geometric_brownian", "start": "60 kUSD", "volatility": "80 %", "shocks": {"fall": {"at": "8min", "size": "-15 %", "over": "9min"}}},
    },
    "network": {"within": {"kind": "lognormal", "median": "20ms", "sigma": 1.0}},
    "chains": {
        "outside": {"kind": "outside", "impact": "none"},
        "op": {
            "kind": "rollup",
            "ordering": {"kind": "first_come_first_served"},
            "fee": {"kind": "constant", "fee": "0.01 gwei"},
            "sequencer": {"kind": "sequencer", "block_time": "1s"},
        },
    },
    "markets": {
        "dex": {"kind": "constant_product", "on": "op", "base": "eth", "base_reserve": 2000},
        "pool": {"kind": "lending_pool", "on": "op", "reserves": {"eth": {}, "btc": {"liquidation_bonus": "7 %"}, "usd": {"liquidity": "3 MUSD"}}},
    },
    "agents": {
        "traders": {"kind": "crowd_of_traders", "size": 50, "market": "dex", "rate": "2 /s", "wealth": "20 kUSD"},
        "borrowers": {
            "kind": "crowd_of_borrowers", "size": 500, "market": "pool", "collateral": {"eth": 3, "btc": 1},
            "health_factor": {"kind": "uniform", "low": 1.01, "high": 1.4}, "borrowed": {"kind": "lognormal", "median": "5 kUSD", "sigma": 1.5},
        },
        "keepers": {"kind": "loan_liquidator", "market": "pool", "count": 2, "colocated": True, "sells": "never", "capital": {"usd": "3 MUSD"}},
    },
}  # fmt: skip


def lived(engine: Engine, **changes: Any) -> tuple[World, Log]:
    world = World(Scenario.of(STREET).vary(changes), Streams(7), {}, engine)
    return world, world.run()


NEARBY = {"kind": "loan_liquidator", "market": "pool", "reaction": "100ms"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"agents.keepers.sells": "outside", "agents.keepers.collateral": "eth", "chains.outside": {"kind": "outside", "depth": "2 MUSD"}},
        {"agents.keepers.repays": "to_target", "agents.keepers.minimum_profit": "20 USD"},
        {"agents.keepers.capital": {"usd": "30 kUSD"}},  # soon they have nothing left to repay with
        {"agents.keepers.tip": "1 gwei", "chains.op.ordering": {"kind": "priority_fee"}},
        {"agents.far": NEARBY},
        {"agents.far": {**NEARBY, "funding": "flash_loan", "sells": "pool", "pool": "dex"}},
        {"agents.borrowers.protect": 0.5, "agents.borrowers.newcomers": 100, "agents.borrowers.rate": "3 /min"},
        {"chains.op.block_gas_limit": "900 kgas"},  # two liquidations fill a block
    ],
    ids=["plain", "outside", "to_target", "poor", "tips", "networked", "flash_loans", "protected", "overflow"],
)
def test_both_engines_write_the_same_log(changes: dict[str, Any]) -> None:
    (_, lists), (world, arrays) = lived("lists", **changes), lived("arrays", **changes)
    assert world.engines["op"] == "arrays"
    assert len(lists.tables["LoanLiquidated"]) > 10
    assert lists.digest == arrays.digest
