"""Liquidators of a lending pool: what they choose, what they repay, what a flash loan and a pool do to it, and how they race."""

from copy import deepcopy
from math import inf
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError
from worlds import one_rollup

from l2sim.agents import Agent
from l2sim.agents.loan_liquidator.amounts import ALL, TO_TARGET, best_sale, first_step, repayment, restoring
from l2sim.agents.loan_liquidator.desk import sold
from l2sim.agents.loan_liquidator.reflex import following
from l2sim.events import LoanLiquidated, TransactionIncluded
from l2sim.log import Log
from l2sim.markets.constant_product import Reserves
from l2sim.markets.lending_pool import layout
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.transactions import Status
from l2sim.units import SECOND
from l2sim.world.world import RunFailed, World

# ---- amounts


def test_what_restores_a_health_factor() -> None:
    # 1000 of collateral that counts 85 %, 900 of debt, a bonus of 8 %: after 719.69697, (850 - 0.85 x 777.27) / 180.30 = 1.05.
    repaid = restoring(1.05, 900.0, 850.0, 0.85, 0.08)
    assert repaid == pytest.approx(719.69697, abs=1e-5)
    assert (850.0 - 0.85 * 1.08 * repaid) / (900.0 - repaid) == pytest.approx(1.05)
    assert restoring(1.05, 900.0, 850.0, 0.98, 0.10) == 0.0, "where each repayment makes it worse, no repayment restores it"


RULES = (0.5, 0.95, 2000.0, 1000.0)
"""Close factor, the health factor down to which it holds, and from which worth; and the least that may be left."""


@pytest.mark.parametrize(
    ("rule", "most", "debt", "health", "repaid"),
    [
        (ALL, inf, 10_000.0, 0.97, 5_000.0),
        (ALL, inf, 10_000.0, 0.94, 10_000.0),
        (ALL, 3_000.0, 10_000.0, 0.97, 3_000.0),
        (ALL, inf, 1_900.0, 0.97, 1_900.0),  # too small for a close factor
        (ALL, 1_500.0, 1_900.0, 0.97, 900.0),  # and 1000 must be left
        (TO_TARGET, inf, 10_000.0, 0.97, 4_571.42857),
        (TO_TARGET, inf, 1_900.0, 0.97, 868.571428),  # leaves 1031
        (TO_TARGET, inf, 1_700.0, 0.97, 1_700.0),  # 777 would leave 923: all, then
    ],
)
def test_how_much_is_repaid(rule: int, most: float, debt: float, health: float, repaid: float) -> None:
    # Health is 0.8 x collateral / debt; a unit of collateral and one of debt are worth 1 USD; the bonus is 9.375 %, 0.8 x 1.09375 = 0.875.
    balance = health * debt / 0.8
    found = repayment(rule, 1.05, most, health, debt, debt, 1.0, balance, 1.0, 0.8, 0.09375, *RULES)
    assert found == pytest.approx(repaid, abs=1e-5)


def test_two_steps_only_where_a_close_factor_binds() -> None:
    assert first_step(0.975, 100e3, 1.0, 0.75, 0.10, 50e3, 0.95) == pytest.approx(14_285.7142857, rel=1e-9)
    assert first_step(0.975, 100e3, 2.0, 0.75, 0.10, 50e3, 0.95) == pytest.approx(14_285.7142857 / 2.0, rel=1e-9)
    assert first_step(0.95, 100e3, 1.0, 0.75, 0.10, 100e3, 0.95) == 0.0, "all may be repaid at once"
    assert first_step(0.975, 100e3, 1.0, 0.95, 0.10, 50e3, 0.95) == 0.0, "repaying makes it worse"


@pytest.mark.parametrize("paid_out", [False, True])
def test_no_other_sale_earns_more(paid_out: bool) -> None:
    pool = Reserves(1000.0, 2e6, 0.003, paid_out)
    cost = 1900.0  # US dollars that each unit sold has cost
    best = best_sale(1.0 / cost, pool.base, pool.quote, pool.fee, paid_out)
    profit = sold(pool, best, True)[1] - best * cost
    assert profit > 0.0
    for share in (0.97, 1.03):
        assert sold(pool, best * share, True)[1] - best * share * cost < profit
    assert best_sale(1.0 / 2000.0, pool.base, pool.quote, pool.fee, paid_out) == 0.0


def test_a_pool_is_sold_to_as_it_sells() -> None:
    for paid_out in (False, True):
        pool = Reserves(1000.0, 2e6, 0.003, paid_out)
        for amount, selling in ((10.0, True), (2e4, False)):
            after, out = sold(pool, amount, selling)
            assert out < (amount * 2000.0 if selling else amount / 2000.0)
            assert after.base * after.quote >= pool.base * pool.quote * (1.0 - 1e-12)


# ---- one loan in a small world: 1300 ETH at 100 USD and 100,000 USD of debt, at a health factor of 0.975 from 10 s on

PLAN: dict[str, Any] = {
    "duration": "30s",
    "prices": {"eth": {"kind": "path", "interpolate": "hold", "points": {"0s": "110 USD", "10s": "100 USD"}}},
    "network": {"within": "0s"},
    "chains": one_rollup("arb"),
    "markets": {
        "pool": {
            "kind": "lending_pool",
            "on": "arb",
            "reserves": {
                "eth": {"loan_to_value": 0.7, "liquidation_threshold": 0.75, "liquidation_bonus": 0.1, "slope_1": 0, "slope_2": 0},
                "usd": {"liquidity": "1 MUSD", "slope_1": 0, "slope_2": 0},
            },
        },
        "dex": {"kind": "constant_product", "on": "arb", "base": "eth", "base_reserve": 1e5, "quote_reserve": "10 MUSD"},
    },
    "agents": {
        "borrower": {
            "kind": "crowd_of_borrowers",
            "market": "pool",
            "size": 1,
            "collateral": {"eth": 1},
            "borrowed": "100 kUSD",
            "health_factor": 1.0725,
        },
        "keeper": {"kind": "loan_liquidator", "market": "pool"},
    },
}
FLASH = {"agents.keeper": {"funding": "flash_loan", "sells": "pool", "pool": "dex"}}
NET = 1.1 - 0.1 * 0.1
"""What a liquidator gets of the bonus of 10 %, a tenth of which is the protocol's."""


def live(**changes: Any) -> tuple[World, Log]:
    world = World(Scenario.of(PLAN).vary(changes), Streams(3))
    return world, world.run()


def liquidations(log: Log) -> pd.DataFrame:
    return log.frame("LoanLiquidated") if "LoanLiquidated" in log.tables else pd.DataFrame(columns=["repaid", "time"])


def profit(log: Log, group: str = "keeper") -> float:
    frame = log.frame("AccountClosed")
    return float(frame[frame["group"] == group]["value"].sum())


def test_it_sleeps_until_the_pool_calls_and_trades_what_it_seized_outside() -> None:
    world, log = live()
    assert liquidations(log)["time"].tolist() == [11 * SECOND], "the block that shows the price is the tenth"
    assert liquidations(log)["repaid"].tolist() == pytest.approx([50_000.0])
    assert profit(log) == pytest.approx(50_000.0 * (NET - 1.0))
    assert world.ledger.held("outside", "eth", "keeper") == pytest.approx(-world.ledger.held("arb", "eth", "keeper"))
    _, kept = live(**{"agents.keeper.sells": "never"})
    assert "OutsideTraded" not in kept.tables
    assert profit(kept) == pytest.approx(profit(log))


def test_a_flash_loan_needs_no_capital_and_costs_its_fee_and_what_the_pool_gives_less() -> None:
    world, log = live(**FLASH)
    (repaid,) = liquidations(log)["repaid"].tolist()
    assert repaid == pytest.approx(50_000.0)
    seized = NET * 500.0
    _, got = sold(Reserves(1e5, 1e7, 0.003), seized, True)
    assert profit(log) == pytest.approx(got - repaid * 1.0005, rel=1e-5)
    assert world.ledger.held("arb", "usd", "keeper") == pytest.approx(profit(log))
    assert log.present(TransactionIncluded, "action") == ["flash_loan+liquidate+sell+flash_repay"]


def test_it_seizes_no_more_than_sells_best() -> None:
    pool = Reserves(2_000.0, 2e5, 0.003)
    _, log = live(
        **FLASH, **{"markets.dex.base_reserve": pool.base, "markets.dex.quote_reserve": f"{pool.quote} USD", "duration": "12500ms"}
    )
    repaid = float(liquidations(log)["repaid"].iloc[0])
    assert repaid < 10_000.0
    best = sold(pool, repaid * NET / 100.0, True)[1] - repaid * 1.0005
    assert profit(log) == pytest.approx(best, rel=1e-5)
    for share in (0.95, 1.05):
        assert sold(pool, share * repaid * NET / 100.0, True)[1] - share * repaid * 1.0005 < best


def test_a_sale_that_would_give_too_little_undoes_everything() -> None:
    """Somebody else sells to the pool in the same block: what the liquidator planned pays no more."""
    sale = {"at": "10500ms", "market": "dex", "action": "sell", "fields": {"base_in": 40_000}}
    seller = {"kind": "scripted", "holdings": {"arb": {"eth": 40_000}}, "steps": {"sale": sale}}
    world, log = live(**FLASH, **{"agents.seller": seller, "agents.keeper.reaction": "900ms"})
    status = log.select(TransactionIncluded, "status")[0].tolist()
    assert status == [Status.SUCCEEDED, Status.SLIPPAGE], "and later it sees that nothing pays"
    assert not len(liquidations(log))
    assert profit(log) == 0.0
    assert world.chains["arb"].books[world.chains["arb"].codes["pool"]].audit() == 0.0


@pytest.mark.parametrize(("least", "happens"), [("4500 USD", True), ("4500.01 USD", False)])
@pytest.mark.parametrize("colocated", [False, True])
def test_the_least_profit_is_enough_when_it_is_reached(least: str, happens: bool, colocated: bool) -> None:
    assert pytest.approx(4500.0) == 50_000.0 * (NET - 1.0)
    _, log = live(**{"agents.keeper.minimum_profit": least, "agents.keeper.colocated": colocated})
    assert bool(len(liquidations(log))) == happens


def test_gas_counts() -> None:
    fee = {"chains.arb.fee": {"kind": "constant", "fee": "100000 gwei"}}  # 405,000 gas are 40.5 ETH, or 4050 USD
    _, log = live(**fee, **{"agents.keeper.gas": "100 ETH", "agents.keeper.minimum_profit": "449 USD"})
    assert profit(log) == pytest.approx(450.0)
    _, log = live(**fee, **{"agents.keeper.gas": "100 ETH", "agents.keeper.minimum_profit": "451 USD"})
    assert not len(liquidations(log))


@pytest.mark.parametrize("repays", ["all", "to_target"])
def test_all_of_a_small_loan_is_all_that_is_owed_by_then(repays: str) -> None:
    """Interest goes on until the block, and what it adds must not stay behind as dust."""
    loan = {"agents.borrower.borrowed": "1500 USD", "markets.pool.reserves.usd.base_rate": "5 %", "agents.keeper.repays": repays}
    _, log = live(**loan)
    assert log.select(TransactionIncluded, "status")[0].tolist() == [Status.SUCCEEDED]
    assert liquidations(log)["repaid"].tolist() == pytest.approx([1500.0], rel=1e-6)


def test_capital_is_the_most_that_it_repays() -> None:
    for colocated in (False, True):
        _, log = live(**{"agents.keeper.capital": {"usd": "7 kUSD"}, "agents.keeper.colocated": colocated})
        assert liquidations(log)["repaid"].tolist() == pytest.approx([7_000.0], rel=1e-5), "nobody carries what it got back in time"


def test_one_of_several_wins_the_race() -> None:
    racing = {"agents.keeper.count": 4, "duration": "12500ms"}
    world, log = live(**racing)
    assert sorted(log.select(TransactionIncluded, "status")[0].tolist()) == [Status.SUCCEEDED, *[Status.NOT_LIQUIDATABLE] * 3]
    first = world.ledger.groups["keeper"].accounts.start
    worlds = [World(Scenario.of(PLAN).vary(racing), Streams(seed)).run() for seed in range(12)]
    winners = {int(one.select(LoanLiquidated, "liquidator")[0][0]) for one in worlds}
    assert len(winners) > 1
    assert winners <= set(range(first, first + 4))


def test_what_failed_or_did_not_pay_is_looked_at_again() -> None:
    points = {"0s": "110 USD", "10s": "100 USD", "14s": "200 USD", "20s": "100 USD"}
    _, log = live(**{"prices.eth.points": points, "agents.keeper.reaction": "4s"})
    status = log.select(TransactionIncluded, "status")[0].tolist()
    assert status == [Status.NOT_LIQUIDATABLE, Status.SUCCEEDED], "it had recovered by then, and fell again"


@pytest.mark.parametrize(
    ("keeper", "message"),
    [
        ({"funding": "flash_loan"}, "sells: pool"),
        ({"sells": "pool"}, "give both or neither"),
        ({"pool": "dex"}, "give both or neither"),
        ({"colocated": True, "repays": "two_steps"}, "single actions"),
        ({"target": 1.0}, "greater than 1"),
        ({"capital": {"usd": "0 USD"}}, "more than 0"),
    ],
)
def test_what_does_not_go_together_is_refused(keeper: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Agent.model_validate({"kind": "loan_liquidator", "market": "pool", **keeper})


def test_a_colocated_one_must_know_what_it_trades_outside() -> None:
    more = {"prices.btc": {"kind": "path", "points": {"0s": "50 kUSD"}}, "markets.pool.reserves.btc": {}}
    with pytest.raises(RunFailed, match="name its 'collateral' and its 'debt'"):
        live(**more, **{"agents.keeper.colocated": True})
    _, log = live(**more, **{"agents.keeper.colocated": True, "agents.keeper.collateral": "eth"})
    assert len(liquidations(log)) == 1


def test_a_heap_is_walked_node_by_node() -> None:
    links = 40
    codes = [0] * 80
    codes[layout.LINKS] = links

    def link(node: int, child: int = 0, after: int = 0, before: int = 0) -> None:
        codes[links + 3 * node : links + 3 * node + 3] = [child, after, before]

    # 1 has the children 2, 3, 4; 3 has the child 5.
    link(1, child=2, before=-1)
    link(2, after=3, before=1)
    link(3, child=5, after=4, before=2)
    link(4, before=3)
    link(5, before=3)
    walked, node = [], 1
    while node:
        walked.append(node)
        node = following(codes, node)
    assert walked == [1, 2, 3, 5, 4]


def test_who_comes_up_after_blocks_were_undone_is_not_missed() -> None:
    """A dull loan comes up in a block that is undone, and never again; later another is the first to come up, and pays."""
    plan: dict[str, Any] = deepcopy(PLAN)
    plan["prices"] = {
        "eth": {"kind": "path", "interpolate": "hold", "points": {"0s": "110 USD", "10s": "100 USD", "11s": "110 USD"}},
        "btc": {"kind": "path", "interpolate": "hold", "points": {"0s": "110 USD", "15s": "100 USD"}},
    }
    reserve = plan["markets"]["pool"]["reserves"]["eth"]
    plan["markets"]["pool"]["reserves"]["btc"] = reserve
    borrower = plan["agents"]["borrower"]
    plan["agents"]["borrower"] = {**borrower, "borrowed": "1 kUSD"}
    plan["agents"]["other"] = {**borrower, "collateral": {"btc": 1}}
    plan["agents"]["keeper"] |= {"minimum_profit": "1 kUSD"}
    log = World(Scenario.of(plan), Streams(3)).run()
    assert liquidations(log)["repaid"].tolist() == pytest.approx([50_000.0])
    plan["attacks"] = {"reorg": {"kind": "sequencer_reorg", "on": "arb", "begins": "10500ms", "lasts": "1s", "depth": 1}}
    log = World(Scenario.of(plan), Streams(3)).run()
    assert log.frame("ChainReorganized")["first"].tolist() == [10]
    assert liquidations(log)["repaid"].tolist() == pytest.approx([50_000.0])
