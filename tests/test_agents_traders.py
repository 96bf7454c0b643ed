"""Traders whose transactions fail try again: each attempt pays, with limits, fee cap and deadline of its own time."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.transactions import Status
from l2sim.units import MS, SECOND
from l2sim.world.engine import Engine
from l2sim.world.world import World

LOOK = 5 * SECOND
"""How often the crowd looks; what it sends then is sent again, for what is sent first is sent at any nanosecond."""
CROWD: dict[str, Any] = {
    "kind": "crowd_of_traders", "market": "pool", "size": 4, "rate": "2 /s", "notional": "1000 USD", "buys": 1.0, "attention": "5s",
    "slippage": "0.35 %", "widening": 100.0, "retries": 1, "wealth": "100 MUSD", "gas": "1 ETH",
}  # fmt: skip


def traded(crowd: dict[str, Any], engine: Engine = "auto", **sections: Any) -> Log:
    """Two minutes of a crowd of few, whose purchases are all alike and move the pool by 1 %: a limit of 0.35 % is too narrow."""
    arb = {
        "kind": "rollup", "ordering": {"kind": "first_come_first_served"}, "fee": {"kind": "constant", "fee": "1 gwei"},
        "sequencer": {"kind": "sequencer", "block_time": "100ms"},
    }  # fmt: skip
    scenario = {
        "title": "Retries",
        "duration": "2min",
        "prices": {"eth": {"kind": "path", "points": {"0s": "100 USD"}}},
        "network": {"within": "0s"},
        "chains": {"arb": arb | sections.pop("arb", {})},
        "markets": {"pool": {"kind": "constant_product", "on": "arb", "base": "eth", "base_reserve": 2000}},
        "agents": {"crowd": CROWD | crowd},
        **sections,
    }
    return World(Scenario.of(scenario, name="retries"), Streams(3), {}, engine).run()


def attempts(log: Log, table: str = "TransactionIncluded") -> pd.DataFrame:
    """What was sent until a minute before the end, with whether it was sent again."""
    frame = log.frame(table)
    frame = frame[frame["submitted"] < 60 * SECOND]
    return frame.assign(again=frame["submitted"] % LOOK < MS)


def test_each_trade_is_tried_again_however_alike_they_are() -> None:
    """An account's purchases are all of 1000 USD: one that worked at the second attempt takes none from the next one."""
    first = attempts(traded({"retries": 0}))
    both = attempts(traded({}))
    assert (first["status"] == Status.SLIPPAGE).all()
    assert len(first) > 80
    fresh, again = both[~both["again"]], both[both["again"]]
    assert fresh["submitted"].tolist() == first["submitted"].tolist()
    assert (fresh["status"] == Status.SLIPPAGE).all()
    due = int((fresh["submitted"] < 55 * SECOND).sum())
    assert len(again) == due
    assert (again["status"] == Status.SUCCEEDED).mean() > 0.9


def test_nobody_tries_more_often_than_they_are_willing_to_and_every_attempt_pays() -> None:
    hopeless = traded({"slippage": 0.0, "retries": 3}).frame("TransactionIncluded")
    once = traded({"slippage": 0.0, "retries": 0}).frame("TransactionIncluded")
    early = int((once["submitted"] < 100 * SECOND).sum())  # the last ones have no time left
    assert 4 * early <= len(hopeless) < 4 * len(once)
    assert (hopeless["status"] == Status.SLIPPAGE).all()
    assert hopeless["execution_fee"].to_numpy() == pytest.approx(120_000 * 1e-9, rel=1e-12)
    assert not hopeless.duplicated(["sender", "submitted"]).any()


def test_what_was_paid_is_gone() -> None:
    closed = traded({"slippage": 0.0, "retries": 3})
    fees = closed.frame("TransactionIncluded")["execution_fee"].sum()
    accounts = closed.frame("AccountClosed")
    spent = accounts[(accounts["group"] == "crowd") & (accounts["asset"] == "gas")]
    assert float((spent["opening"] - spent["closing"]).sum()) == pytest.approx(fees, rel=1e-9)


RISING = {"fee": {"kind": "eip1559"}, "block_gas_limit": "240000 gas"}
"""A purchase fills half a block, which is the target, and two of them raise the base fee by an eighth."""


def test_a_fee_cap_is_renewed() -> None:
    crowd = {"slippage": None, "fee_cap": 1.0, "deadline": "1s", "rate": "12 /s", "retries": 20, "gas": "1000 ETH"}
    log = traded(crowd, arb=RISING)
    dropped = attempts(log, "TransactionDropped")
    low = dropped[(dropped["status"] == Status.FEE_TOO_LOW) & ~dropped["again"]]
    assert len(low) > 50
    again = attempts(log)[lambda frame: frame["again"]]
    blocks = log.frame("BlockSealed")
    looked = (again["submitted"] // LOOK * LOOK).to_numpy()
    next_block = np.searchsorted(blocks["time"], looked, side="right")
    cap = blocks["base_fee"].to_numpy()[next_block]
    paid = np.rint(again["execution_fee"] * 1e18 / again["gas"]).astype(np.int64).to_numpy()
    assert len(again) > 50
    assert (paid <= cap).all()
    first_cap = blocks["base_fee"].iloc[0]
    assert (paid > first_cap).any()


def test_a_deadline_is_renewed() -> None:
    outage = {"outage": {"kind": "sequencer_outage", "on": "arb", "begins": "20s", "lasts": "13s"}}
    log = traded({"slippage": None, "deadline": "2s"}, attacks=outage)
    dropped = attempts(log, "TransactionDropped")
    assert (dropped["status"] == Status.DEADLINE).all()
    assert len(dropped) == pytest.approx(2 * 11, abs=12)
    again = attempts(log)[lambda frame: frame["again"]]
    assert len(again) == len(dropped)
    assert (again["submitted"] // LOOK == 35 * SECOND // LOOK).all()
    assert (again["status"] == Status.SUCCEEDED).all()


def test_a_limit_refers_to_the_price_that_the_new_attempt_finds() -> None:
    """The price has doubled meanwhile: a purchase of as many dollars gets through all the same."""
    crowd = {"slippage": "0.5 %", "widening": 1.0, "notional": "10 USD", "deadline": "1s"}
    whale = {
        "kind": "scripted", "holdings": {"arb": {"usd": "10 MUSD"}},
        "steps": {"push": {"at": "29950ms", "market": "pool", "action": "buy", "fields": {"quote_in": "90 kUSD"}}},
    }  # fmt: skip
    outage = {"outage": {"kind": "sequencer_outage", "on": "arb", "begins": "20s", "lasts": "10s"}}
    log = traded(crowd, agents={"crowd": CROWD | crowd, "whale": whale}, attacks=outage)
    again = attempts(log)[lambda frame: frame["again"] & (frame["sender"] != frame["sender"].max())]
    assert len(again) > 5
    assert (again["status"] == Status.SUCCEEDED).all()
    assert ((again["x"] / again["y"]).between(180.0, 230.0)).all()


def test_who_owns_too_little_does_not_try_again() -> None:
    poor = {"slippage": None, "wealth": "10 kUSD"}
    log, once = traded(poor | {"retries": 5}), traded(poor | {"retries": 0})
    assert (log.frame("TransactionIncluded")["status"] == Status.INSUFFICIENT_FUNDS).sum() > 20
    assert log.digest == once.digest


def test_gas_and_tip_of_an_attempt_are_drawn_like_those_of_the_first() -> None:
    crowd = {
        "tip": {"kind": "uniform", "low": "5 gwei", "high": "9 gwei"}, "slippage": 0.0, "gas": "1000 ETH",
        "gas_used": {"kind": "uniform", "low": "21000 gas", "high": "1 Mgas"},
    }  # fmt: skip
    rows = attempts(traded(crowd, arb={"ordering": {"kind": "priority_fee"}}))
    for _, part in rows.groupby("again"):
        tip = part["execution_fee"] * 1e9 / part["gas"] - 1.0
        assert tip.between(5.0 - 1e-6, 9.0 + 1e-6).all()
        assert tip.mean() == pytest.approx(7.0, abs=0.6)
        assert part["gas"].mean() == pytest.approx(510_500, rel=0.2)
        assert part["gas"].nunique() == len(part)


def test_trades_of_one_account_that_failed_together_are_tried_again_one_by_one() -> None:
    again = attempts(traded({"size": 1}))[lambda frame: frame["again"]]
    assert len(again) > 80
    assert (again["submitted"] % LOOK).max() < 30
    assert again.groupby(again["submitted"] // LOOK)["submitted"].nunique().sum() == len(again)


@pytest.mark.parametrize(
    "crowd", [{}, {"fee_cap": 1.0, "deadline": "1s", "rate": "12 /s"}, {"gas_used": {"kind": "exponential", "mean": "1 Mgas"}}]
)
def test_both_engines_try_again_alike(crowd: dict[str, Any]) -> None:
    lists, arrays = (traded(crowd, engine, arb=RISING | {"block_gas_limit": "2 Mgas"}) for engine in ("lists", "arrays"))
    assert len(attempts(lists)[lambda frame: frame["again"]]) > 20
    assert lists.digest == arrays.digest
