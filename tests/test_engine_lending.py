"""A lending pool, a crowd of borrowers and its liquidators: lists and compiled blocks write the same log, and days go by in stretches."""

from typing import Any

import numpy as np
import pytest
from worlds import one_rollup

from l2sim.log import Log
from l2sim.prices import Recording
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world import rollup
from l2sim.world.engine import Engine
from l2sim.world.world import World

FALL = {"at": "5min", "size": "-18 %", "over": "20min"}
STREET: dict[str, Any] = {
    "duration": "40min",
    "prices": {
        "eth": {"kind": "geometric_brownian", "start": "3000 USD", "volatility": "120 %", "shocks": {"fall": FALL}},
        "btc": {"kind": "geometric_brownian", "start": "60 kUSD", "volatility": "80 %", "shocks": {"fall": FALL}},
    },
    "network": {"within": {"kind": "lognormal", "median": "20ms", "sigma": 1.0}},
    "chains": one_rollup("op", "0.01 gwei"),
    "markets": {
        "dex": {"kind": "constant_product", "on": "op", "base": "eth", "base_reserve": 2000},
        "pool": {
            "kind": "lending_pool",
            "on": "op",
            "reserves": {"eth": {"liquidity": "1 MUSD"}, "btc": {"liquidation_bonus": "7 %"}, "usd": {"liquidity": "3 MUSD"}},
        },
    },
    "agents": {
        "traders": {"kind": "crowd_of_traders", "size": 50, "market": "dex", "rate": "2 /s", "wealth": "20 kUSD"},
        "borrowers": {
            "kind": "crowd_of_borrowers",
            "size": 500,
            "market": "pool",
            "collateral": {"eth": 3, "btc": 1},
            "borrowed": {"kind": "lognormal", "median": "5 kUSD", "sigma": 1.5},
            "health_factor": {"kind": "uniform", "low": 1.01, "high": 1.4},
        },
        "keepers": {
            "kind": "loan_liquidator",
            "market": "pool",
            "count": 2,
            "colocated": True,
            "sells": "never",
            "capital": {"usd": "3 MUSD", "eth": "1 MUSD"},
        },
    },
}
NEARBY = {"kind": "loan_liquidator", "market": "pool", "reaction": "100ms"}


def lived(engine: Engine, recordings: dict[str, Recording] | None = None, **changes: Any) -> tuple[World, Log]:
    world = World(Scenario.of(STREET).vary(changes), Streams(7), recordings, engine)
    return world, world.run()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"agents.keepers.sells": "outside", "agents.keepers.collateral": "eth", "chains.outside": {"kind": "outside", "depth": "2 MUSD"}},
        {"agents.keepers.repays": "to_target", "agents.keepers.minimum_profit": "20 USD"},
        {"agents.keepers.capital": {"usd": "30 kUSD"}},  # soon they have nothing left to repay with
        {"agents.keepers.tip": "1 gwei", "chains.op.ordering": {"kind": "priority_fee"}},
        {"agents.keepers.minimum_profit": "200 USD", "agents.far": NEARBY},
        {
            "agents.keepers.minimum_profit": "200 USD",
            "agents.far": {**NEARBY, "funding": "flash_loan", "sells": "pool", "pool": "dex", "repays": "two_steps"},
        },
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


def test_loans_of_several_assets_too(tmp_path: Any) -> None:
    """From a table: two collaterals and two debts in each loan, of which liquidators take the pair that earns most."""
    n = 200
    rng = np.random.default_rng(3)
    columns = {"weth": rng.uniform(1.0, 3.0, n), "wbtc": rng.uniform(0.02, 0.1, n)}
    worth = 0.83 * (columns["weth"] * 3000.0 + columns["wbtc"] * 60_000.0) / rng.uniform(1.02, 1.3, n)
    share = rng.uniform(0.2, 0.8, n)
    columns |= {"usdc": share * worth, "owed": (1.0 - share) * worth / 3000.0}
    file = tmp_path / "loans.csv"
    rows = [",".join(columns), *(",".join(map(repr, row)) for row in zip(*(column.tolist() for column in columns.values()), strict=True))]
    file.write_text("\n".join(rows))

    def column(name: str) -> dict[str, str]:
        return {"data": "loans", "column": name}

    table = {"collateral": {"eth": column("weth"), "btc": column("wbtc")}, "debt": {"usd": column("usdc"), "eth": column("owed")}}
    plan = {**STREET, "data": {"loans": {"file": file.as_posix(), "columns": list(columns)}}}
    plan["agents"] = {**STREET["agents"], "borrowers": {"kind": "crowd_of_borrowers", "market": "pool", "size": n, "table": table}}
    scenario = Scenario.of(plan)
    logs = [World(scenario, Streams(7), scenario.recordings(), engine).run() for engine in ("lists", "arrays")]  # type: ignore[arg-type]
    frame = logs[0].frame("LoanLiquidated")
    assert len(frame) > 20
    assert set(zip(frame["collateral"], frame["debt"], strict=True)) >= {("eth", "usd"), ("btc", "usd"), ("btc", "eth")}
    assert logs[0].digest == logs[1].digest


def test_blocks_go_by_in_stretches_until_somebody_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    whole = rollup.stretch
    monkeypatch.setattr(rollup, "stretch", lambda chain, times: made.append(whole(chain, times)) or made[-1])
    lived("arrays")
    assert sum(made) > 0.95 * 40 * 60, "colocated liquidators stop nothing"
    made.clear()
    _, log = lived("arrays", **{"agents.keepers": {**NEARBY, "colocated": False, "count": 1}})
    assert len(log.tables["LoanLiquidated"]) > 10
    assert 0.5 * 40 * 60 < sum(made) < 0.98 * 40 * 60, "one on the network sleeps until the pool calls, and looks until that is done"
