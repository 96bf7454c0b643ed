"""Settlement cost: data fees, capital that is tied up, and price risk that is borne, against numbers worked out by hand."""

from math import pi, sqrt

import numpy as np
import pytest

from l2sim.events import HeadAdvanced, TransactionIncluded, WithdrawalFinalized, WithdrawalRefused
from l2sim.log import Log
from l2sim.metrics.settlement_cost import SettlementCost
from l2sim.metrics.withdrawal_delay import WithdrawalDelay
from l2sim.units import DAY, HOUR


def included(log: Log, time: int, market: str, action: str, block: int, submitted: int, x: float = 0.0, y: float = 0.0) -> None:
    log.record(time, TransactionIncluded("op", block, submitted, 1, market, action, 0, 100_000, 0.0, 0.001, x, y))


def log() -> Log:
    """Two trades, of which one is final after a day; two withdrawals of 10,000 dollars, of which one is paid after a week."""
    found = Log()
    included(found, HOUR, "pool", "buy", 1, 0)
    included(found, 2 * HOUR, "bridge", "withdraw", 1, 0, 1.0, 10_000.0)
    included(found, 3 * HOUR, "pool", "buy", 2, 9 * DAY)
    included(found, 4 * HOUR, "bridge", "withdraw", 2, 9 * DAY, 2.0, 10_000.0)
    found.record(DAY, HeadAdvanced("op", "finalized", 1))
    found.record(7 * DAY, WithdrawalFinalized("bridge", 1, 1, 10_000.0, 1, 0.002))
    found.about = {
        "duration": 10 * DAY, "prices": {"eth": 2000.0}, "chains": {"op": {"settles_on": "l1"}, "l1": {"settles_on": None}},
        "markets": {"bridge": {"kind": "bridge", "on": "op", "base": None}, "pool": {"kind": "constant_product", "base": "eth"}},
    }  # fmt: skip
    return found


def test_capital_is_charged_for_the_time_that_it_is_tied_up() -> None:
    found = SettlementCost(rate="5 %").measure(log()).loc["bridge"]  # type: ignore[arg-type]
    assert found["count"] == 2
    assert found["unsettled"] == 1
    assert found["capital_usd"] == pytest.approx(10_000 * 0.05 * (7 + 1) / 365)
    assert found["locked_hours"] == pytest.approx(10_000 * 8 * 24)
    assert found["explicit_usd"] == pytest.approx((2 * 0.001 + 0.002) * 2000, rel=1e-6)
    assert found["risk_usd"] == 0.0  # dollars do not fall


def test_asking_in_vain_costs_its_gas() -> None:
    found = log()
    found.record(6 * DAY, WithdrawalRefused("bridge", 1, 1, 10_000.0, 0.0, 0.003))
    explicit = SettlementCost().measure(found).loc["bridge", "explicit_usd"]
    assert explicit == pytest.approx((2 * 0.001 + 0.002 + 0.003) * 2000, rel=1e-6)


def test_a_withdrawal_that_l1_paid_undid_and_paid_again_was_paid_once() -> None:
    found = log()
    found.record(7 * DAY + HOUR, WithdrawalFinalized("bridge", 1, 1, 10_000.0, 1, 0.002))
    delay = WithdrawalDelay().measure(found).loc["bridge"]
    assert delay[["initiated", "paid", "unpaid"]].tolist() == [2, 1, 1]
    assert delay["mean"] == delay["min"] == 7 * 24 + 1


def test_price_risk_is_worth_a_put_at_the_money() -> None:
    """The mean of what a lognormal price that does not drift loses in 30 days at 80 % a year; near 0.4 sigma sqrt(t)."""
    _, worth = SettlementCost().premium(np.array([30 * 86400.0]), 0.8)
    deviation = 0.8 * sqrt(30 / 365)
    z = np.linspace(-8.0, 8.0, 200_001)
    lost = np.maximum(1.0 - np.exp(deviation * z - deviation**2 / 2.0), 0.0)
    mean = (lost * np.exp(-z * z / 2.0)).sum() * (z[1] - z[0]) / sqrt(2.0 * pi)
    assert worth[0] == pytest.approx(mean, rel=1e-6)
    assert worth[0] == pytest.approx(0.4 * deviation, rel=5e-3)


def test_a_mean_trade() -> None:
    found = SettlementCost(value="1000 USD", volatility="70 %").measure(log()).loc["op"]  # type: ignore[arg-type]
    days = np.array([1.0, 10.0 - 9.0, 1.0, 1.0])  # trades and withdrawals are transactions of the rollup alike
    assert found["count"] == 4
    assert found["capital_usd"] == pytest.approx(1000 * 0.05 * days.mean() / 365)
    assert found["explicit_usd"] == pytest.approx(2.0, rel=1e-6)
    assert found["total_usd"] == pytest.approx(found["explicit_usd"] + found["capital_usd"] + found["risk_usd"])
    assert found["total_bps"] == pytest.approx(found["total_usd"] / 1000 * 1e4)


def test_a_week_of_much_money() -> None:
    """5.4 bn dollars at 5 % for a week cost 5,178,082.2 dollars ("Economics of disputes in Arbitrum BoLD")."""
    held, _ = SettlementCost().premium(np.array([7 * 86400.0]), 0.0)
    assert held[0] * 5.4e9 == pytest.approx(5_178_082.2, abs=0.1)
    assert abs(held[0] * 5.4e9 - 5.4e9 * 0.05 / 52) > 10_000  # a year of 52 weeks


def test_nothing_is_nan_and_not_zero() -> None:
    empty = Log()
    empty.about = {"duration": DAY, "prices": {}, "chains": {"op": {"settles_on": "l1"}}, "markets": {}}
    found = SettlementCost().measure(empty).loc["op"]
    assert np.isnan(found["total_usd"])
    assert found["count"] == 0
