"""Liquidations of a lending pool: Aave's vectors, the close factor, dust, bad debt, and when it pays to liquidate."""

from math import inf
from typing import Any

import numpy as np
import pytest
from lending import ANN, BOB, ETH, ETH_USD, FLAT, LIQUIDATOR, POOL, USD, Venue, indebted, venue

from l2sim.events import BadDebtIncurred, LoanLiquidated
from l2sim.markets.lending_pool import integers, rules
from l2sim.transactions import Status

# ---- Aave's vectors: formula of the contracts at aave-dao/aave-v3-origin fd1fbd91 (v3.3 and later), inputs chosen


@pytest.mark.parametrize(
    ("collateral", "debt", "expected"),
    [
        ([(1_000_000_000_000, 8300)], 800_000_000_000, 1_037_500_000_000_000_000),
        ([(1_000_000_000_000, 8300)], 830_000_000_000, 1_000_000_000_000_000_000),
        ([(1_000_000_000_000, 8300), (500_000_000_000, 7800)], 1_100_000_000_000, 1_109_090_909_090_909_090),
    ],
)
def test_health_factors_of_aave(collateral: list[tuple[int, int]], debt: int, expected: int) -> None:
    assert integers.health_factor(collateral, debt) == expected
    reserves: dict[str, Any] = {
        f"c{i}": FLAT | {"liquidation_threshold": threshold / 1e4, "loan_to_value": (threshold - 1) / 1e4}
        for i, (_, threshold) in enumerate(collateral)
    }
    made = Venue(dict.fromkeys(reserves, 100.0), reserves=reserves | {"usd": FLAT})
    made.give(POOL, **{name: value / 1e10 for name, (value, _) in zip(reserves, collateral, strict=True)})
    units = {name: np.array([value / 1e10]) for name, (value, _) in zip(reserves, collateral, strict=True)}
    made.book.establish_loans(np.array([ANN]), units, {"usd": np.array([debt / 1e8])})
    assert made.view.position(ANN).health_factor == pytest.approx(expected / 1e18, rel=1e-12)


@pytest.mark.parametrize(
    ("bonus", "protocol_fee", "expected"),
    [
        (10_500, 1_000, (2_612_500_000_000_000_000, 5_000_000_000, 12_500_000_000_000_000)),
        (10_450, 0, (2_612_500_000_000_000_000, 5_000_000_000, 0)),
    ],
)
def test_liquidation_amounts_of_aave(bonus: int, protocol_fee: int, expected: tuple[int, int, int]) -> None:
    given = 5_000_000_000, 10 * 10**18, 200_000_000_000, 10**18, 100_000_000, 10**6, bonus, protocol_fee
    assert integers.liquidation_amounts(*given) == expected
    gross = rules.seized(5_000.0, 10.0, 2000.0, 1.0, bonus / 1e4 - 1.0)
    share = rules.protocol_share(gross, bonus / 1e4 - 1.0, protocol_fee / 1e4)
    assert gross - share == pytest.approx(expected[0] / 1e18, rel=1e-12)
    assert share == pytest.approx(expected[2] / 1e18, rel=1e-12)
    # Through the pool, which has 10 eth of an account that owes half of what that is worth; 100 % may be repaid.
    eth = {"liquidation_bonus": bonus / 1e4 - 1.0, "protocol_fee": protocol_fee / 1e4, "liquidation_threshold": 0.5, "loan_to_value": 0.4}
    made = indebted(10.0, 8000.0, 2000.0 * 0.7, eth=eth)
    made.block(eth=2000.0 * 0.7)
    made.give(LIQUIDATOR, usd=0.0)
    status, repaid, received = made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, 5_000.0 * 0.7)
    assert (status, repaid) == (0, 3_500.0)
    assert received == pytest.approx(expected[0] / 1e18, rel=1e-12)
    assert made.view.reserves["eth"].treasury == pytest.approx(expected[2] / 1e18, rel=1e-12)


def test_the_close_factor_of_aave() -> None:
    """A position below 2000 USD may be liquidated whole at a health factor of 0.98."""
    given = 98 * 10**16, 190_000_000_000, 150_000_000_000, 150_000_000_000, 1_500_000_000, 10**6, 100_000_000
    assert integers.max_liquidatable_debt(*given) == 1_500_000_000
    assert rules.closable(0.98, 1900.0, 1500.0, 1.0, 1500.0, 0.5, 0.95, 2000.0) == 1500.0


@pytest.mark.parametrize("health", [0.94, 0.95, 0.951, 0.99])
@pytest.mark.parametrize("collateral", [1999.99, 2000.0, 30_000.0])
@pytest.mark.parametrize("debt", [1999.99, 2000.0, 20_000.0])
@pytest.mark.parametrize("others", [0.0, 1_000.0, 50_000.0])
def test_the_close_factor_equals_the_integers(health: float, collateral: float, debt: float, others: float) -> None:
    price = 1.25
    whole = integers.max_liquidatable_debt(
        round(health * 1e18), round(collateral * 1e8), round(debt * 1e8), round((debt + others) * 1e8), round(debt / price * 1e6), 10**6,
        125_000_000,
    )  # fmt: skip
    found = rules.closable(health, collateral, debt / price, price, debt + others, 0.5, 0.95, 2000.0)
    assert found == pytest.approx(whole / 1e6, abs=1e-6)


@pytest.mark.parametrize("to_cover", [1.0, 4_999.5, 17_000.0, 19_047.0, 19_048.0, 1e6])
@pytest.mark.parametrize("bonus", [0, 450, 500, 1_000])
@pytest.mark.parametrize("fee", [0, 1_000, 2_000])
def test_seizure_equals_the_integers(to_cover: float, bonus: int, fee: int) -> None:
    received, repaid, share = integers.liquidation_amounts(
        round(to_cover * 1e18), 10 * 10**18, 2000 * 10**8, 10**18, 10**8, 10**18, 10_000 + bonus, fee
    )  # fmt: skip
    rate = bonus / 1e4
    found = min(to_cover, rules.coverable(10.0, 2000.0, 1.0, rate))
    gross = rules.seized(found, 10.0, 2000.0, 1.0, rate)
    assert found == pytest.approx(repaid / 1e18, rel=1e-12)
    assert gross - rules.protocol_share(gross, rate, fee / 1e4) == pytest.approx(received / 1e18, rel=1e-12)
    assert rules.protocol_share(gross, rate, fee / 1e4) == pytest.approx(share / 1e18, rel=1e-12)


# ---- liquidation


def test_half_may_be_repaid_until_the_health_factor_is_low() -> None:
    made = indebted(10.0, 16_000.0, 1900.0)
    loan = made.view.position(ANN)
    assert loan.health_factor == pytest.approx(19_000.0 * 0.83 / 16_000.0)
    (offer,) = made.view.offers([ANN, BOB, LIQUIDATOR])
    assert (offer.account, offer.collateral, offer.debt, offer.pair, offer.most) == (ANN, "eth", "usd", ETH_USD, 8_000.0)
    assert offer.reward == pytest.approx(8_000.0 * 0.05 * 0.9)
    assert tuple(made.book.quote(made.code("liquidate"), ANN, ETH_USD, inf)) == (0, 8_000.0, offer.seized)
    assert made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, inf) == (0, 8_000.0, offer.seized)
    (fact,) = made.book.facts
    assert fact == LoanLiquidated(
        "pool", ANN, LIQUIDATOR, "eth", "usd", 8_000.0, pytest.approx(8_000.0 * 1.05 / 1900.0), 8_000.0, pytest.approx(8_400.0),
        pytest.approx(40.0), loan.health_factor,
    )  # fmt: skip
    assert made.purse["usd"][LIQUIDATOR] == 1e6 - 8_000.0
    assert made.purse["eth"][LIQUIDATOR] == pytest.approx((8_400.0 - 40.0) / 1900.0)
    assert made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, inf)[0] == Status.NOT_LIQUIDATABLE
    made.block(eth=1600.0)
    assert made.view.position(ANN).health_factor < 0.95
    assert made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, inf)[:2] == (0, pytest.approx(made.view.position(ANN).debt.get("usd", 8_000.0)))
    assert made.view.position(ANN).debt == {}


@pytest.mark.parametrize(
    ("debt", "price", "most"),
    [(2_000.0, 204.0, 1_000.0), (1_999.0, 204.0, 1_999.0), (2_000.0, 199.5, 199.5 * 10.0 / 1.02)],
)
def test_small_positions_may_be_liquidated_whole(debt: float, price: float, most: float) -> None:
    """From 2000 USD on of both, half; below that of either, all, here as far as the collateral reaches."""
    eth = {"liquidation_threshold": "97 %", "loan_to_value": "90 %", "liquidation_bonus": "2 %"}
    made = indebted(10.0, debt, price, price=300.0, eth=eth)
    assert 0.95 < made.view.position(ANN).health_factor < 1.0
    assert made.book.quote(made.code("liquidate"), ANN, ETH_USD, inf).x == pytest.approx(most)


@pytest.mark.parametrize(
    ("debt", "price", "repaid", "status"),
    [
        (2_010.0, 241.0, inf, 0),  # half: 1005 of the debt stay
        (2_010.0, 241.0, 1_009.0, 0),  # more than half is half
        (1_990.0, 239.0, inf, 0),  # all
        (1_990.0, 239.0, 989.0, 0),  # 1001 of the debt stay
        (1_990.0, 239.0, 991.0, Status.DUST),  # 999 stay
        (1_990.0, 110.0, 90.0, 0),  # 1005.5 of the collateral stay
        (1_990.0, 110.0, 100.0, Status.DUST),  # 995 stay
        (1_990.0, 110.0, inf, 0),  # nothing stays of the collateral
    ],
)
def test_what_is_left_must_not_be_dust(debt: float, price: float, repaid: float, status: int) -> None:
    made = indebted(10.0, debt, price, price=300.0)
    assert made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, repaid)[0] == status


def test_dust_of_two_debts_limits_what_is_offered() -> None:
    made = venue(price=100.0, eth={"liquidation_threshold": 0.83})
    made.do("supply", BOB, USD, 5_000.0)
    assert made.do("borrow", BOB, ETH, 17.0)[0] == 0
    assert made.do("borrow", BOB, USD, 2_050.0)[0] == 0
    made.block(eth=110.0)
    loan = made.view.position(BOB)
    assert 0.95 < loan.health_factor < 1.0
    cap = loan.debt_value / 2
    assert 2_050.0 - cap < 1_000.0
    usd_usd = made.view.pair("usd", "usd")
    assert made.do("liquidate", LIQUIDATOR, BOB, usd_usd, inf)[0] == Status.DUST
    offer = made.view.best(BOB)
    assert offer is not None
    status, repaid, _ = made.do("liquidate", LIQUIDATOR, BOB, usd_usd, 1_050.0)
    assert (status, repaid) == (0, 1_050.0)


def test_the_thresholds_are_parameters() -> None:
    made = indebted(10.0, 16_000.0, 1900.0, close_factor="20 %")
    assert made.book.quote(made.code("liquidate"), ANN, ETH_USD, inf).x == 3_200.0
    made = indebted(10.0, 16_000.0, 1900.0, close_factor_health=0.99)
    assert made.book.quote(made.code("liquidate"), ANN, ETH_USD, inf).x == 16_000.0
    made = indebted(10.0, 16_000.0, 1900.0, close_factor_minimum="20 kUSD")
    assert made.book.quote(made.code("liquidate"), ANN, ETH_USD, inf).x == 16_000.0
    made = indebted(10.0, 16_000.0, 1900.0, minimum_leftover="9 kUSD")
    assert made.book.quote(made.code("liquidate"), ANN, ETH_USD, inf).status == Status.DUST
    assert made.view.best(ANN).most == pytest.approx(7_000.0)  # type: ignore[union-attr]


@pytest.mark.parametrize(("debt", "after", "unpaid"), [(940.0, 0.941704, 14.07407), (900.0, 0.896861, 0.0)])
def test_liquidation_is_toxic_above_a_loan_to_value(debt: float, after: float, unpaid: float) -> None:
    """Above 1 / (1 + bonus) a partial liquidation raises the loan-to-value (Warmuz et al. 2022, arXiv 2212.07306)."""
    eth = {"liquidation_bonus": "8 %", "protocol_fee": 0, "liquidation_threshold": "85 %", "loan_to_value": "84 %"}
    made = indebted(1.0, debt, 1000.0, price=1200.0, eth=eth, minimum_leftover=0)
    assert made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, 100.0)[:2] == (0, 100.0)
    assert made.view.position(ANN).loan_to_value == pytest.approx(after, abs=5e-7)
    assert made.view.liquidatable() == [ANN]
    made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, inf)
    bad = [fact.amount for fact in made.book.facts if isinstance(fact, BadDebtIncurred)]
    assert bad == ([pytest.approx(unpaid, rel=1e-6)] if unpaid else [])


def test_two_steps_repay_more_than_one() -> None:
    """Repay as much as leaves the account just below 1, and then the close factor of the rest (Qin et al. 2021, arXiv 2106.06389)."""
    eth = {"liquidation_bonus": "10 %", "protocol_fee": 0, "liquidation_threshold": "75 %", "loan_to_value": "74 %"}
    terms = {"eth": eth, "close_factor_health": 0.5}
    made = indebted(10.0, 100_000.0, 13_000.0, price=14_000.0, **terms)
    assert made.book.quote(made.code("liquidate"), ANN, ETH_USD, inf).x == 50_000.0
    first = (100_000.0 - 0.75 * 130_000.0) / (1.0 - 0.75 * 1.1)
    assert first == pytest.approx(14_285.7143)
    assert made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, first * (1.0 - 1e-9))[0] == 0
    assert made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, inf)[1] == pytest.approx(42_857.1429)
    assert made.purse["eth"][LIQUIDATOR] * 13_000.0 - (1e6 - made.purse["usd"][LIQUIDATOR]) == pytest.approx(5_714.2857)


def test_bad_debt_is_the_lenders_loss() -> None:
    made = indebted(10.0, 16_000.0, 1000.0)
    status, repaid, received = made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, inf)
    assert (status, repaid) == (0, pytest.approx(10_000.0 / 1.05))
    assert received == pytest.approx(10.0 - 10.0 * 0.05 / 1.05 * 0.1)
    lost = 16_000.0 - 10_000.0 / 1.05
    assert made.book.facts[1] == BadDebtIncurred("pool", ANN, pytest.approx(lost))
    assert made.view.reserves["usd"].deficit == pytest.approx(lost)
    assert made.view.position(ANN) == ({}, {}, 0.0, 0.0, inf)
    assert {claim.asset: claim.amount for claim in made.book.claims() if claim.account == POOL}["usd"] == pytest.approx(1e6 - lost)
    assert made.view.liquidatable() == []
    assert made.book.audit() < 1e-15


def test_a_liquidator_needs_the_money_and_the_pool_the_collateral() -> None:
    made = indebted(10.0, 16_000.0, 1900.0, eth={"liquidity": 0})
    made.give(LIQUIDATOR, usd=-999_000.0)
    assert made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, inf)[0] == Status.INSUFFICIENT_FUNDS
    assert made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, 1_000.0)[0] == 0
    made.do("supply", BOB, USD, 1e6)
    made.do("borrow", BOB, ETH, made.view.reserves["eth"].available - 1.0)
    made.give(LIQUIDATOR, usd=9e5)
    assert made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, inf)[0] == Status.NO_LIQUIDITY


def test_who_recovers_and_falls_again_comes_up_again() -> None:
    made = indebted(10.0, 16_000.0)
    for price, calls, now in ((1900.0, 1, [ANN]), (1950.0, 1, []), (1900.0, 2, [ANN]), (1800.0, 2, [ANN])):
        made.block(eth=price)
        assert (made.book.calls(), made.view.liquidatable()) == (calls, now)
    assert made.view.come_up(0) == [ANN, ANN]
    assert made.view.come_up(1) == [ANN]
    assert made.view.come_up(2) == []
    made.do("repay", ANN, USD, 5_000.0)
    assert made.view.liquidatable() == []
    # The history is as long as there are accounts.
    for _ in range(10):
        made.block(eth=1000.0)
        made.block(eth=3000.0)
    assert made.book.calls() == 12
    assert made.view.come_up(0) == [ANN] * 8
