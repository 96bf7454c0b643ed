"""A crowd of borrowers: the loans it begins with, from distributions and from a table, and how it looks after them."""

from cProfile import Profile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from worlds import one_rollup

from l2sim.agents import Agent
from l2sim.agents.crowd_of_borrowers.crowd import Levels
from l2sim.events import AccountClosed, TransactionIncluded
from l2sim.log import Log
from l2sim.markets.lending_pool.view import LendingPoolView, Loan
from l2sim.scenario import Scenario, ScenarioError
from l2sim.streams import Streams
from l2sim.units import MINUTE
from l2sim.world.engine import Engine
from l2sim.world.world import RunFailed, World

RATES = {"slope_1": 0, "slope_2": 0}
PLAN: dict[str, Any] = {
    "duration": "10s",
    "prices": {"eth": {"kind": "path", "points": {"0s": "2000 USD"}}, "btc": {"kind": "path", "points": {"0s": "50 kUSD"}}},
    "network": {"within": "0s"},
    "chains": one_rollup("arb", "0.001 gwei"),
    "markets": {
        "pool": {"kind": "lending_pool", "on": "arb", "reserves": {"eth": RATES, "btc": RATES, "usd": {"liquidity": "100 MUSD", **RATES}}},
    },
    "agents": {"borrowers": {"kind": "crowd_of_borrowers", "market": "pool", "size": 400, "collateral": {"eth": 1}}},
}


def made(recordings: bool = False, **changes: Any) -> World:
    scenario = Scenario.of(PLAN).vary(changes)
    return World(scenario, Streams(5), scenario.recordings() if recordings else None)


def view(world: World) -> LendingPoolView:
    found: LendingPoolView = world.chains["arb"].books[0].view()
    return found


def loans(world: World) -> list[Loan]:
    return [view(world).position(account) for account in world.ledger.groups["borrowers"].accounts]


def lived(**changes: Any) -> tuple[World, Log]:
    world = made(**changes)
    return world, world.run()


# ---- at the start


def test_loans_are_as_they_are_drawn() -> None:
    sizes = {"kind": "uniform", "low": "1 kUSD", "high": "3 kUSD"}
    crowd = {"borrowed": sizes, "health_factor": 1.5, "collateral": {"eth": 3, "btc": 1}}
    world, _ = lived(**{f"agents.borrowers.{name}": value for name, value in crowd.items()})
    found = loans(world)
    assert all(loan.health_factor == pytest.approx(1.5, rel=1e-12) for loan in found)
    assert all(set(loan.debt) == {"usd"} and len(loan.collateral) == 1 for loan in found)
    assert np.mean([loan.debt["usd"] for loan in found]) == pytest.approx(2000.0, rel=0.06)
    assert sum("eth" in loan.collateral for loan in found) == pytest.approx(300, abs=35)
    assert len({loan.debt["usd"] for loan in found}) == 400


def test_what_was_lent_is_owed_to_the_lenders_and_nobody_has_gained() -> None:
    world, log = lived()
    owed = sum(loan.debt["usd"] for loan in loans(world))
    reserve = view(world).reserves["usd"]
    assert reserve.borrowed == pytest.approx(owed)
    assert reserve.available == 1e8
    values, openings = log.select(AccountClosed, "value", "opening", group="borrowers")
    assert values == pytest.approx(0.0, abs=1e-6)
    assert openings.sum() != 0.0


def test_a_loan_to_value_ratio_may_be_drawn_in_place_of_a_health_factor() -> None:
    world, _ = lived(**{"agents.borrowers.loan_to_value": {"kind": "uniform", "low": 0.3, "high": 0.6}})
    ratios = [loan.loan_to_value for loan in loans(world)]
    assert 0.3 < min(ratios) < 0.31
    assert 0.59 < max(ratios) < 0.6


def test_who_would_be_liquidatable_at_once_draws_again() -> None:
    world, _ = lived(**{"agents.borrowers.health_factor": {"kind": "uniform", "low": 0.5, "high": 1.5}})
    health = np.array([loan.health_factor for loan in loans(world)])
    assert health.min() >= 1.0
    assert health.mean() == pytest.approx(1.25, abs=0.03), "uniform between 1 and 1.5"
    with pytest.raises(RunFailed, match="hardly any loan"):
        lived(**{"agents.borrowers.health_factor": 0.9})


def test_a_health_factor_of_one_is_one() -> None:
    world, _ = lived(**{"agents.borrowers.health_factor": 1})
    assert all(1.0 <= loan.health_factor < 1.0 + 1e-12 for loan in loans(world))


def test_the_same_members_have_the_same_loans_in_a_larger_crowd_of_another_kind() -> None:
    one, _ = lived()
    other, _ = lived(**{"agents.keeper": {"kind": "loan_liquidator", "market": "pool"}})
    assert [loan.debt for loan in loans(one)] == [loan.debt for loan in loans(other)]


@pytest.mark.parametrize("engine", ["lists", "arrays"])
def test_loans_are_made_all_at_once(engine: Engine) -> None:
    """A hundred times as many loans take no more calls of functions: nothing is done for each of them."""

    def calls(size: int) -> int:
        world = World(Scenario.of(PLAN).vary({"agents.borrowers.size": size}), Streams(5), engine=engine)
        part, seat = next(member for member in world.seats if member[1].name == "borrowers/0")
        profile = Profile()
        profile.runcall(part.arrive, seat)
        assert view(world).reserves["usd"].borrowed > 1e3 * size
        return sum(entry.callcount for entry in profile.getstats())

    calls(1_000)  # the first draws load what draws
    assert calls(100_000) < 2 * calls(1_000)


def test_those_who_do_nothing_cost_nothing() -> None:
    _, log = lived(**{"agents.borrowers.size": 10})
    _, more = lived(**{"agents.borrowers.size": 400})
    assert log.about["events"] == more.about["events"]
    assert "TransactionIncluded" not in more.tables or not len(more.tables["TransactionIncluded"])


# ---- from a table

ROWS = "account,weth,wbtc,usdc\n0xa,2,0,1000\n0xb,0,0.1,2500\n0xc,1.5,0.2,8000\n"


def tabled(tmp_path: Path, text: str = ROWS, size: int = 3, **more: Any) -> World:
    file = tmp_path / "loans.csv"
    file.write_text(text)
    columns = {name: {"data": "positions", "column": column} for name, column in (("eth", "weth"), ("btc", "wbtc"), ("usd", "usdc"))}
    table = {"collateral": {"eth": columns["eth"], "btc": columns["btc"]}, "debt": {"usd": columns["usd"]}}
    crowd = {"kind": "crowd_of_borrowers", "market": "pool", "size": size, "table": table}
    plan = {
        **PLAN,
        "data": {"positions": {"file": file.as_posix(), "columns": ["weth", "wbtc", "usdc"], **more}},
        "agents": {"borrowers": crowd},
    }
    scenario = Scenario.of(plan)
    return World(scenario, Streams(5), scenario.recordings())


def test_a_table_says_who_has_what(tmp_path: Path) -> None:
    world = tabled(tmp_path)
    world.run()
    assert [(loan.collateral, loan.debt) for loan in loans(world)] == [
        ({"eth": 2.0}, {"usd": 1000.0}),
        ({"btc": 0.1}, {"usd": 2500.0}),
        ({"eth": 1.5, "btc": 0.2}, {"usd": 8000.0}),
    ]


def test_what_is_wrong_with_a_table_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="write 'size: 3', not 4"):
        tabled(tmp_path, size=4).run()
    with pytest.raises(ScenarioError, match="line 3: column 'wbtc' has no value; fill it in, with 0 where there is none"):
        tabled(tmp_path, ROWS.replace("0xb,0,0.1", "0xb,0,"))
    with pytest.raises(RunFailed, match="collateral in eth must be 0 or more, but is -2"):
        tabled(tmp_path, ROWS.replace("0xa,2", "0xa,-2")).run()
    with pytest.raises(RunFailed, match="could be liquidated at once"):
        tabled(tmp_path, ROWS.replace("8000", "12000")).run()
    with pytest.raises(ScenarioError, match="are about instants"):
        tabled(tmp_path, gaps="hold")


def test_a_series_is_no_table_and_a_table_no_price(tmp_path: Path) -> None:
    """A series would tell the future."""
    text = "time,weth,wbtc,usdc\n2025-01-01T00:00:00Z,2,0,1000\n2025-01-01T01:00:00Z,0,0.1,2500\n2025-01-01T02:00:00Z,1,1,1\n"
    with pytest.raises(RunFailed, match="'positions' is no table"):
        tabled(tmp_path, text, time="time").run()
    plan = {**PLAN, "data": {"day": {"file": (tmp_path / "loans.csv").as_posix(), "columns": ["weth"]}}}
    plan["prices"] = {**PLAN["prices"], "eth": {"kind": "replay", "data": "day", "column": "weth", "impact": "clean"}}
    with pytest.raises(ScenarioError, match="is a table, not a series"):
        Scenario.of(plan).recordings()


# ---- looking after a loan

FALLING = {
    "duration": "30min",
    "prices.eth": {"kind": "path", "points": {"0s": "2000 USD", "5min": "2000 USD", "20min": "1700 USD"}},
    "agents.borrowers": {"collateral": {"eth": 1}, "size": 50, "borrowed": "10 kUSD", "health_factor": 1.2, "protect": 1, "wallet": 0.5},
}


@pytest.mark.parametrize("by", ["repay", "top_up"])
def test_a_loan_is_restored_when_its_health_falls_below_the_threshold(by: str) -> None:
    world, log = lived(**FALLING, **{"agents.borrowers.acts_by": by})
    times, status = log.select(TransactionIncluded, "time", "status", action="repay" if by == "repay" else "supply")
    assert len(times) == 50
    assert not status.any()
    # 1.2 x price / 2000 is 1.1 at 1833.3 USD, 500 s into the fall; they look every minute, at the price of the block before.
    assert set((times - 1).tolist()) == {14 * MINUTE + 10**9 - 1}
    price = 2000.0 - 300.0 * (14 * 60 - 300) / 900.0
    assert all(loan.health_factor == pytest.approx(1.3 * 1700.0 / price, rel=1e-4) for loan in loans(world))


def test_a_wallet_is_all_that_they_have() -> None:
    world, log = lived(**FALLING, **{"agents.borrowers.wallet": 0.02})
    (amounts,) = log.select(TransactionIncluded, "x", action="repay")
    assert amounts == pytest.approx(200.0), "and then they can do no more"
    assert all(loan.debt["usd"] == pytest.approx(9800.0) for loan in loans(world))


def test_a_share_of_them_cares() -> None:
    _, log = lived(**FALLING, **{"agents.borrowers.protect": 0.3, "agents.borrowers.size": 300})
    assert len(log.select(TransactionIncluded, "sender", action="repay")[0]) == pytest.approx(90, abs=30)


def test_those_who_care_are_told_by_levels_not_by_looking_at_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    whole = LendingPoolView.position
    monkeypatch.setattr(LendingPoolView, "position", lambda self, account: looked.append(account) or whole(self, account))
    lived(**FALLING, **{"agents.borrowers.size": 2000, "agents.borrowers.health_factor": 3})
    assert not looked


def test_levels_tell_whoever_asked_for_them_once() -> None:
    levels = Levels()
    levels.fill(("eth", "usd"), np.array([100.0, 300.0, 200.0]), np.array([7, 8, 9]))
    assert levels.reached(("eth", "usd"), 300.0) == []
    assert levels.reached(("eth", "usd"), 150.0) == [8, 9]
    levels.ask(("eth", "usd"), 140.0, 8)
    assert levels.reached(("eth", "usd"), 99.0) == [7, 8]
    assert levels.reached(("eth", "usd"), 1.0) == []


def test_a_loan_of_two_collaterals_is_looked_after_too(tmp_path: Path) -> None:
    """Either may fall: both are asked about, and the loan's own health decides."""
    file = tmp_path / "loans.csv"
    file.write_text("weth,wbtc,usdc\n" + "1,0.04,2500\n" * 5)
    table = {
        "collateral": {"eth": {"data": "loans", "column": "weth"}, "btc": {"data": "loans", "column": "wbtc"}},
        "debt": {"usd": {"data": "loans", "column": "usdc"}},
    }
    crowd = {"kind": "crowd_of_borrowers", "market": "pool", "size": 5, "table": table, "protect": 1, "wallet": 0.5}
    plan = {**PLAN, "duration": "30min", "data": {"loans": {"file": file.as_posix(), "columns": ["weth", "wbtc", "usdc"]}}}
    plan |= {
        "agents": {"borrowers": crowd},
        "prices": {**PLAN["prices"], "btc": {"kind": "path", "points": {"0s": "50 kUSD", "25min": "30 kUSD"}}},
    }
    scenario = Scenario.of(plan)
    world = World(scenario, Streams(5), scenario.recordings())
    log = world.run()
    assert len(log.select(TransactionIncluded, "x", action="repay")[0]) >= 5
    assert all(loan.health_factor > 1.08 for loan in loans(world))


# ---- newcomers


def test_newcomers_supply_and_then_borrow() -> None:
    crowd = {"newcomers": 40, "rate": "2 /min", "attention": "10s", "health_factor": {"kind": "uniform", "low": 1.2, "high": 2.0}}
    world, log = lived(**{"duration": "40min", **{f"agents.borrowers.{name}": value for name, value in crowd.items()}})
    supplied, borrowed = (log.select(TransactionIncluded, "time", action=action)[0] for action in ("supply", "borrow"))
    assert len(supplied) == len(borrowed) == 40
    assert (borrowed > supplied.min()).all()
    assert np.diff(np.sort(supplied)).mean() == pytest.approx(0.5 * MINUTE, rel=0.5)
    came = loans(world)[400:]
    assert all(1.19 < loan.health_factor < 2.01 and loan.debt for loan in came)


@pytest.mark.parametrize(
    ("crowd", "message"),
    [
        ({}, "'collateral: {eth: 1}', or give a 'table'"),
        ({"collateral": {"usd": 1}}, "'usd' is both supplied and owed"),
        ({"collateral": {"eth": 0}}, "more than 0"),
        ({"collateral": {"eth": 1}, "acts_below": 1.4}, "'restores' must be more than 'acts_below'"),
        ({"collateral": {"eth": 1}, "newcomers": 3}, "give both or neither"),
        ({"collateral": {"eth": 1}, "size": 0}, "greater than or equal to 1"),
        ({"collateral": {"eth": 1}, "borrowed": "3 s"}, "in units of usd"),
    ],
)
def test_what_makes_no_sense_is_refused(crowd: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Agent.model_validate({"kind": "crowd_of_borrowers", "market": "pool", **crowd})


def test_an_asset_that_the_pool_has_not_got_is_named() -> None:
    more = {"prices.doge": {"kind": "path", "points": {"0s": "1 USD"}}}
    with pytest.raises(RunFailed, match="has no reserve 'doge'; it has btc, eth, usd"):
        lived(**more, **{"agents.borrowers.collateral": {"doge": 1}})
