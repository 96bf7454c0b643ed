"""Metrics of liquidated loans on small logs written by hand, with answers worked out by hand."""

import pytest

from l2sim.events import BadDebtIncurred, LoanLiquidated, PositionLiquidated
from l2sim.log import Log
from l2sim.metrics.bad_debt import BadDebt
from l2sim.metrics.liquidation_cascade import LiquidationCascade
from l2sim.metrics.loan_liquidations import LoanLiquidations
from l2sim.units import SECOND


def taken(log: Log, seconds: int, account: int, liquidator: int, repaid: float, seized: float, fee: float, health: float) -> None:
    """A loan of US dollars against ether at 100 USD."""
    fact = LoanLiquidated("pool", account, liquidator, "eth", "usd", repaid, seized / 100.0, repaid, seized, fee, health)
    log.record(seconds * SECOND, fact)


@pytest.fixture
def crash() -> Log:
    """One loan liquidated twice by one, another once by the other, which leaves bad debt; and a position of a perpetual."""
    log = Log()
    log.about = {
        "groups": {
            "borrowers": {"kind": "crowd_of_borrowers", "section": "agents", "first": 0, "last": 10},
            "keepers": {"kind": "loan_liquidator", "section": "agents", "first": 10, "last": 12},
            "rivals": {"kind": "loan_liquidator", "section": "agents", "first": 12, "last": 13},
        }
    }
    taken(log, 10, 1, 10, 1000.0, 1050.0, 5.0, 0.98)
    taken(log, 30, 1, 11, 500.0, 525.0, 2.5, 0.97)
    taken(log, 100, 2, 12, 2000.0, 2100.0, 10.0, 0.85)
    log.record(100 * SECOND, BadDebtIncurred("pool", 2, 300.0))
    log.record(110 * SECOND, PositionLiquidated("perp", 3, 10, 2.0, 90.0, 89.0, 2.0, 1.0, 0.0, 50.0))
    log.record(110 * SECOND, BadDebtIncurred("perp", 3, 20.0))
    return log


def test_liquidations_of_loans_by_hand(crash: Log) -> None:
    found = LoanLiquidations().measure(crash)
    assert found["loans"] == 2
    assert found["liquidations"] == 3
    assert found["repaid"] == 3500.0
    assert found["seized"] == 3675.0
    assert found["borrowers_lost"] == 175.0
    assert found["protocol_gained"] == 17.5
    assert found["liquidators_gained"] == 157.5
    assert found["bad_debt"] == 300.0
    assert found["repaid_share"] == pytest.approx(1 / 1.05)
    assert found["health_factor"] == pytest.approx((0.98 + 0.97 + 0.85) / 3)
    assert (found["keepers.liquidations"], found["keepers.gained"]) == (2, 67.5)
    assert (found["rivals.liquidations"], found["rivals.gained"]) == (1, 90.0)
    assert LoanLiquidations(market="perp").measure(crash)["liquidations"] == 0


def test_what_loans_owe_beyond_their_collateral_is_covered_by_nobody(crash: Log) -> None:
    found = BadDebt().measure(crash)
    assert (found["shortfall"], found["covered"], found["bad_debt"], found["positions"]) == (350.0, 30.0, 320.0, 2)
    assert (found["pool.shortfall"], found["pool.covered"], found["pool.bad_debt"]) == (300.0, 0.0, 300.0)
    assert (found["perp.shortfall"], found["perp.covered"], found["perp.bad_debt"]) == (50.0, 30.0, 20.0)


def test_loans_and_positions_fall_in_one_cascade(crash: Log) -> None:
    found = LiquidationCascade().measure(crash)
    assert (found["cascades"], found["positions"]) == (2, 4)
    assert found["notional"] == 3675.0 + 180.0
    assert found["largest_notional"] == 2100.0 + 180.0
    loans = LiquidationCascade(market="pool").measure(crash)
    assert (loans["cascades"], loans["positions"], loans["notional"]) == (2, 3, 3675.0)
    assert (loans["traders_lost"], loans["rewards"], loans["penalties"]) == (175.0, 157.5, 17.5)
    only = LiquidationCascade(market="perp").measure(crash)
    assert (only["positions"], only["notional"]) == (1, 180.0)
