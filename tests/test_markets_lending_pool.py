"""The lending pool: what each action does and refuses, interest, flash loans, loans from before the start, mistakes in parameters."""

from math import inf, nan
from typing import Any

import numpy as np
import pytest
from lending import ANN, BOB, ETH, ETH_USD, LIQUIDATOR, USD, Venue, indebted, venue
from pydantic import ValidationError

from l2sim.markets import Market
from l2sim.markets.lending_pool import LendingPool
from l2sim.state import Journal
from l2sim.transactions import Status
from l2sim.units import DAY, YEAR

# ---- lending and borrowing


def test_supply_borrow_repay_withdraw() -> None:
    made = venue()
    assert made.do("supply", ANN, ETH, 10.0) == (0, 10.0, 10.0)
    assert made.do("borrow", ANN, USD, 16_100.0) == (0, 16_100.0, 16_100.0)
    assert made.do("borrow", ANN, USD, 0.01)[0] == Status.UNHEALTHY
    assert made.view.borrowable(ANN) == pytest.approx(0.0, abs=1e-8)
    loan = made.view.position(ANN)
    assert (loan.collateral, loan.debt) == ({"eth": 10.0}, {"usd": 16_100.0})
    assert loan.loan_to_value == pytest.approx(0.805)
    assert loan.health_factor == pytest.approx(0.83 / 0.805, rel=1e-15)
    # At a health factor of exactly 1 nothing more can be taken out, and one may not be liquidated.
    assert made.do("withdraw", ANN, ETH, 10.0 - 16_100.0 / 0.83 / 2000.0 + 1e-9)[0] == Status.UNHEALTHY
    assert made.do("withdraw", ANN, ETH, 10.0 - 16_100.0 / 0.83 / 2000.0 - 1e-9)[0] == 0
    assert made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, inf)[0] == Status.NOT_LIQUIDATABLE
    assert made.do("repay", ANN, USD, 100.0) == (0, 100.0, 16_000.0)
    assert made.do("withdraw", ANN, ETH, inf)[0] == Status.UNHEALTHY
    assert made.do("repay", ANN, USD, 1e6) == (0, 16_000.0, 0.0)
    assert made.do("withdraw", ANN, ETH, inf)[2] == 0.0
    assert made.purse["eth"][ANN] == pytest.approx(10.0, rel=1e-15)
    assert made.view.position(ANN) == ({}, {}, 0.0, 0.0, inf)


def test_what_is_refused() -> None:
    made = venue()
    made.do("supply", ANN, ETH, 5.0)
    before = made.state.save()
    for amount in (nan, 0.0, -1.0, 5e-324):
        for action in ("supply", "withdraw", "borrow", "repay", "flash_loan", "flash_repay"):
            assert made.do(action, ANN, ETH, amount)[0] == Status.INVALID
        assert made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, amount)[0] == Status.INVALID
    for asset in (-1.0, 2.0, 0.5, nan, inf):
        assert made.do("supply", ANN, asset, 1.0)[0] == Status.INVALID
        assert made.do("liquidate", LIQUIDATOR, asset if asset != 2.0 else 8.0, ETH_USD, 1.0)[0] == Status.INVALID
        assert made.do("liquidate", LIQUIDATOR, ANN, asset if asset != 2.0 else 4.0, 1.0)[0] == Status.INVALID
    for action in ("supply", "borrow", "flash_loan"):
        assert made.do(action, ANN, ETH, inf)[0] == Status.INVALID
    assert made.do("liquidate", ANN, ANN, ETH_USD, 1.0)[0] == Status.INVALID
    assert made.do("supply", ANN, ETH, 5.1)[0] == Status.INSUFFICIENT_FUNDS
    assert made.do("withdraw", ANN, ETH, 5.1)[0] == Status.INSUFFICIENT_FUNDS
    assert made.do("withdraw", ANN, USD, 1.0)[0] == Status.NO_POSITION
    assert made.do("repay", ANN, USD, 1.0)[0] == Status.NO_POSITION
    assert made.do("flash_repay", ANN, USD, 1.0)[0] == Status.NO_POSITION
    assert made.do("borrow", ANN, USD, 2e6)[0] == Status.NO_LIQUIDITY
    assert made.do("borrow", BOB, USD, 1.0)[0] == Status.UNHEALTHY
    assert made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, 1.0)[0] == Status.NO_POSITION
    assert made.do("liquidate", LIQUIDATOR, BOB, ETH_USD, 1.0)[0] == Status.NO_POSITION
    assert made.state.save() == before


def test_what_is_lent_out_cannot_be_withdrawn() -> None:
    made = venue(usd={"liquidity": 0})
    made.do("supply", BOB, USD, 1_000.0)
    made.do("supply", ANN, ETH, 10.0)
    made.do("borrow", ANN, USD, 800.0)
    assert made.do("withdraw", BOB, USD, 201.0)[0] == Status.NO_LIQUIDITY
    assert made.do("withdraw", BOB, USD, 200.0) == (0, 200.0, 800.0)


# ---- interest


def test_interest_goes_by_utilization() -> None:
    made = venue(usd={"liquidity": "10 kUSD", "base_rate": "1 %", "slope_1": "4 %", "slope_2": "60 %", "optimal_utilization": "80 %"})
    made.do("supply", ANN, ETH, 10.0)
    for owed, rate in ((4_000.0, 0.01 + 0.04 * 0.5), (8_000.0, 0.05), (9_000.0, 0.05 + 0.6 * 0.5), (10_000.0, 0.65)):
        made.do("borrow", ANN, USD, owed - made.view.reserves["usd"].borrowed)
        reserve = made.view.reserves["usd"]
        assert reserve.utilization == pytest.approx(owed / 10_000.0)
        assert reserve.borrow_rate == pytest.approx(rate)
        assert reserve.supply_rate == pytest.approx(rate * owed / 10_000.0 * 0.9)
    made.do("repay", ANN, USD, 5_000.0)
    made.block(YEAR // 4)
    reserve, x = made.view.reserves["usd"], 0.035 / 4
    assert reserve.borrow_index == pytest.approx(1.0 + x + x**2 / 2 + x**3 / 6, rel=1e-15)
    assert reserve.liquidity_index == pytest.approx(1.0 + x * 0.5 * 0.9, rel=1e-15)
    assert reserve.treasury == pytest.approx(0.1 * 5_000.0 * (reserve.borrow_index - 1.0))
    assert made.view.position(ANN).debt["usd"] == pytest.approx(5_000.0 * reserve.borrow_index)
    assert made.book.audit() < 1e-15


def test_interest_alone_brings_an_account_down() -> None:
    made = indebted(10.0, 16_100.0, usd={"base_rate": "50 %"})
    days = 0
    while not made.book.calls():
        made.block(DAY)
        days += 1
    assert days == int(np.ceil(np.log(0.83 / 0.805) / 0.5 * 365))
    assert made.view.liquidatable() == [ANN]


def test_a_reserve_that_is_no_collateral() -> None:
    made = venue(usd={"loan_to_value": 0, "liquidation_threshold": 0})
    made.do("supply", BOB, USD, 10_000.0)
    assert made.view.borrowable(BOB) == 0.0
    assert made.do("borrow", BOB, ETH, 0.1)[0] == Status.UNHEALTHY
    made.do("supply", ANN, ETH, 10.0)
    made.do("borrow", ANN, USD, 16_000.0)
    made.give(ANN, usd=1.0)
    made.do("supply", ANN, USD, 1.0)
    made.block(eth=1000.0)
    assert made.do("liquidate", LIQUIDATOR, ANN, 3.0, inf)[0] == Status.NO_POSITION
    assert made.do("withdraw", ANN, USD, 1.0)[0] == Status.UNHEALTHY


# ---- flash loans


def test_flash_loans_cost_a_fee_that_is_the_lenders() -> None:
    made = venue()
    assert tuple(made.book.quote(made.code("flash_loan"), USD, 1e6, 0.0)) == (0, 1e6, 500.0)
    assert made.book.quote(made.code("flash_loan"), USD, 1e6 + 1.0, 0.0).status == Status.NO_LIQUIDITY
    assert made.do("flash_loan", ANN, USD, 1e6 + 1.0)[0] == Status.NO_LIQUIDITY
    assert made.do("flash_loan", ANN, USD, 1e6) == (0, 1e6, 500.0)
    assert made.book.owing(ANN)
    assert not made.book.owing(BOB)
    assert made.book.audit() > 0.1, "a loan that is out is a hole in the books"
    assert made.do("flash_loan", BOB, ETH, 1.0)[0] == Status.INVALID
    assert made.do("flash_repay", BOB, USD, 1.0)[0] == Status.NO_POSITION
    assert made.do("flash_repay", ANN, USD, 1e6)[0] == Status.INSUFFICIENT_FUNDS
    assert made.do("flash_loan", ANN, ETH, 1.0)[0] == 0
    assert made.do("flash_repay", ANN, USD, 4e5) == (0, 400_200.0, 200.0)
    made.give(ANN, usd=500.0)
    assert made.do("flash_repay", ANN, USD, inf) == (0, pytest.approx(600_300.0), pytest.approx(300.0))
    assert made.book.owing(ANN)
    assert made.do("flash_repay", ANN, ETH, 1.0) == (0, 1.0005, 0.0005)
    assert not made.book.owing(ANN)
    assert made.purse["usd"][ANN] == pytest.approx(0.0, abs=1e-9)
    assert made.view.reserves["usd"].liquidity_index == pytest.approx(1.0005)
    assert made.book.audit() < 1e-15


def test_an_unpaid_flash_loan_is_undone_by_the_journal() -> None:
    journal = Journal()
    made = Venue({"eth": 2000.0}, journal=journal, reserves={"eth": {"liquidity": 10}, "usd": {"liquidity": "1 MUSD"}})
    mark, before = journal.mark(), made.state.digest()
    made.do("flash_loan", ANN, USD, 1_000.0)
    made.do("supply", ANN, USD, 1_000.0)
    assert made.book.owing(ANN)
    journal.undo(mark)
    assert not made.book.owing(ANN)
    assert made.state.digest() == before


# ---- what a scenario may say


def test_parameters_and_their_mistakes() -> None:
    reserves: dict[str, Any] = {"usd": {"liquidity": "2 MUSD"}, "eth": {"liquidity": "3 MUSD"}, "btc": {"liquidity": 2, "price": "feed"}}
    pool = Market.model_validate({"kind": "lending_pool", "on": "arb", "reserves": reserves})
    assert isinstance(pool, LendingPool)
    assert (pool.underlying(), pool.assets()) == ("eth", ("usd", "eth", "btc"))
    assert (pool.reserves["usd"].loan_to_value, pool.reserves["eth"].loan_to_value, pool.reserves["usd"].slope_1) == (0.75, 0.805, 0.04)
    made = Venue({"eth": 2000.0, "btc": 50_000.0, "feed": 49_000.0}, reserves=pool.reserves)
    assert {name: reserve.available for name, reserve in made.view.reserves.items()} == {"usd": 2e6, "eth": 1500.0, "btc": 2.0}
    assert made.view.price("btc") == 49_000.0
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"eth": {"loan_to_value": "83 %"}}, "born liquidatable"),
        ({"usd": {}}, "beside US dollars"),
        ({"eth": {}, "usd": {"liquidity": 5}}, "needs a unit"),
        ({"eth": {}, "usd": {"price": "eth"}}, "leave out 'price'"),
        ({"eth": {"liquidity": "5 s"}}, "no liquidity"),
        ({"eth": {"liquidity": -1}}, "no liquidity"),
        ({"eth": {"liquidation_threshold": "101 %"}}, "between 0 and 1"),
        ({}, "at least 1"),
    ]
    for reserves, message in wrong:
        with pytest.raises(ValidationError, match=message):
            LendingPool.model_validate({"on": "arb", "reserves": reserves})


def test_loans_that_cannot_be_established() -> None:
    made = venue()
    one = np.array([ANN])
    with pytest.raises(ValueError, match=r"1 of 1 loans could be liquidated at once, the worst with a health factor of 0\.83"):
        made.book.establish_loans(one, {"eth": np.array([1.0])}, {"usd": np.array([2000.0])})
    with pytest.raises(ValueError, match="no reserve 'btc'; it has eth, usd"):
        made.book.establish_loans(one, {"btc": np.array([1.0])}, {})
    with pytest.raises(ValueError, match=r"debt in usd must be 0 or more, but is -1\.0"):
        made.book.establish_loans(one, {"eth": np.array([1.0])}, {"usd": np.array([-1.0])})
    with pytest.raises(ValueError, match="given a loan twice"):
        made.book.establish_loans(np.array([ANN, ANN]), {"eth": np.array([1.0, 1.0])}, {})
    assert made.view.position(ANN).collateral == {}
    made.book.establish_loans(one, {"eth": np.array([1.0])}, {"usd": np.array([1600.0])})
    with pytest.raises(ValueError, match="given a loan twice"):
        made.book.establish_loans(one, {"eth": np.array([1.0])}, {})
