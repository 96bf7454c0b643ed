"""What agents compute before they act: sizes, spreads, choices, stops, arrivals."""

from math import exp, sqrt

import numpy as np
import pytest
from pydantic import ValidationError

from l2sim.agents import Agent
from l2sim.agents.arbitrageur import plan
from l2sim.agents.crowd_of_leveraged_traders import margin_for, uniforms
from l2sim.agents.crowd_of_leveraged_traders.stops import Stops
from l2sim.agents.crowd_of_traders import Candidates, Excitement
from l2sim.agents.liquidator import choose
from l2sim.agents.market_maker import Terms, half_spread
from l2sim.agents.oracle_reporter import due
from l2sim.agents.scripted import Step, units
from l2sim.markets.perpetual.positions import Position
from l2sim.markets.perpetual.view import Liquidatable
from l2sim.streams import Streams, arrivals
from l2sim.units import HOUR, SECOND, YEAR, Quantity

PLENTY = 1e12


# ---- arbitrage: a pool of 1000 ETH and 2,000,000 USD; computed independently from dy* = (sqrt(φ p x y) - y) / φ


@pytest.mark.parametrize(
    ("fee", "price", "paid", "got", "profit"),
    [
        (0.003, 2100.0, 46453.1183, 22.632775, 1075.70926),
        (0.0, 2100.0, 49390.1532, 24.0999271, 1219.69362),
        (0.003, 2003.0, 0.0, 0.0, 0.0),
    ],
)
def test_the_best_purchase_from_a_pool(fee: float, price: float, paid: float, got: float, profit: float) -> None:
    best = plan(1000.0, 2e6, fee, price, PLENTY, PLENTY)
    assert best.paid == pytest.approx(paid, rel=1e-8)
    assert best.got == pytest.approx(got, rel=1e-8)
    assert best.profit == pytest.approx(profit, rel=1e-7)


def test_no_other_size_earns_more() -> None:
    for price in (1900.0, 2150.0):
        best = plan(1000.0, 2e6, 0.003, price, PLENTY, PLENTY)
        assert best.action == ("sell" if price < 2000.0 else "buy")
        for share in (0.98, 1.02):
            limit = best.paid * share
            if best.action == "sell":
                got = 2e6 * 0.997 * limit / (1000.0 + 0.997 * limit)
                assert got - limit * price < best.profit
            else:
                got = 1000.0 * 0.997 * limit / (2e6 + 0.997 * limit)
                assert got * price - limit < best.profit


def test_arbitrage_ends_at_the_capital_and_counts_the_cost_of_hedging() -> None:
    assert plan(1000.0, 2e6, 0.003, 2100.0, 1000.0, PLENTY).paid == 1000.0
    assert plan(1000.0, 2e6, 0.003, 1900.0, PLENTY, 2.0).paid == 2.0
    assert plan(1000.0, 2e6, 0.003, 2100.0, PLENTY, PLENTY, 0.05).paid == 0.0
    hedged = plan(1000.0, 2e6, 0.003, 2100.0, PLENTY, PLENTY, 0.01)
    assert hedged[1:] == pytest.approx(plan(1000.0, 2e6, 0.003, 2079.0, PLENTY, PLENTY)[1:])


# ---- market making


def test_a_spread_grows_with_the_root_of_the_horizon_and_with_fees() -> None:
    assert half_spread(0.001, 2.0, 0.5, 0, 0.0, 1e6) == 0.001
    one = half_spread(0.0, 1.0, 0.8, HOUR, 0.0, 1e6)
    assert one == pytest.approx(0.8 * sqrt(HOUR / YEAR), rel=1e-12)
    assert half_spread(0.0, 1.0, 0.8, 4 * HOUR, 0.0, 1e6) == pytest.approx(2 * one, rel=1e-12)
    assert half_spread(0.0, 0.0, 0.8, HOUR, 50.0, 1e5) == pytest.approx(0.0005)
    assert half_spread(0.5, 9.0, 9.0, YEAR, 0.0, 1e6) < 1.0


def test_quotes_are_renewed_only_when_they_are_off() -> None:
    quoted = Terms(0.001, 10.0, 0.0)
    assert not Terms(0.00119, 11.0, 0.0).differ(quoted, 0.2)
    assert Terms(0.00121, 10.0, 0.0).differ(quoted, 0.2)
    assert Terms(0.001, 10.0, 0.0003).differ(quoted, 0.2)
    assert Terms(0.0, 0.0, 0.0).differ(quoted, 100.0)
    assert not Terms(0.0, 7.0, 0.0).differ(Terms(0.0, 10.0, 0.0), 0.2)


# ---- liquidating


def test_liquidations_are_chosen_by_profit_within_capital() -> None:
    seen = [
        Liquidatable(1, 1.0, 5.0, 0.0),
        Liquidatable(2, 9.0, 50.0, 0.0),
        Liquidatable(3, 0.1, 0.4, 0.0),
        Liquidatable(4, 2.0, 0.0, 2.0),
        Liquidatable(5, 1.0, 0.0, -1.0),
    ]
    # 4 earns 1 % of 2 x 100 and needs 4 % of it, 5 half of either; the fee is 0.5.
    assert choose(seen, 100.0, 0.01, 0.04, 0.5, 0.0, 1000.0) == [2, 1, 4, 5]
    assert choose(seen, 100.0, 0.01, 0.04, 0.5, 0.0, 9.0) == [2, 1, 4]
    assert choose(seen, 100.0, 0.01, 0.04, 0.5, 0.0, 5.0) == [2, 1, 5]
    assert choose(seen, 100.0, 0.01, 0.04, 0.5, 2.0, 1000.0) == [2, 1]


# ---- crowds


def test_stops_go_off_in_the_order_in_which_the_price_passes_them() -> None:
    stops = Stops()
    for account, price in ((1, 90.0), (2, 95.0), (3, 80.0)):
        stops.arm(account, price, True)
    stops.arm(4, 110.0, False)
    stops.arm(5, 105.0, False)
    assert stops.reached(100.0) == []
    assert stops.reached(90.0) == [2, 1]
    assert stops.reached(90.0) == []
    stops.arm(3, 70.0, True)
    assert stops.reached(75.0) == []
    stops.disarm(5)
    assert stops.reached(120.0) == [4]
    assert stops.reached(70.0) == [3]


def test_even_spreads_take_the_middle_of_every_stratum() -> None:
    rng = Streams(1).generator("test")
    even = uniforms(rng, 1000, "even")
    assert sorted(even) == pytest.approx((np.arange(1000) + 0.5) / 1000)
    assert not (np.diff(even) > 0).all()
    assert uniforms(rng, 100_000, "random").mean() == pytest.approx(0.5, abs=4 * sqrt(1 / 12 / 100_000))


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_margins_follow_from_liquidation_prices(side: float) -> None:
    prices, size = 100.0 - side * np.array([1.0, 20.0, 60.0]), side * np.array([2.0, 3.0, 4.0])
    margins = margin_for(prices, size, 100.0, 0.02)
    for price, units_held, margin in zip(prices, size, margins, strict=True):
        position = Position(float(units_held), 100.0, float(margin), 0.0)
        assert position.liquidation_price(0.0, 0.02) == pytest.approx(price, rel=1e-12)


def test_arrivals_are_a_poisson_process() -> None:
    rng = Streams(1).generator("test")
    counts = []
    for chunk in range(400):
        times = arrivals(rng, 0.05, chunk * HOUR, HOUR)
        assert (np.diff(times) >= 0).all()
        assert not len(times) or (chunk * HOUR <= times[0] and times[-1] < (chunk + 1) * HOUR)
        counts.append(len(times))
    mean, n = 180.0, len(counts)
    assert np.mean(counts) == pytest.approx(mean, abs=4 * sqrt(mean / n))
    assert np.var(counts) == pytest.approx(mean, abs=4 * mean * sqrt(2 / n))


def candidates(times: np.ndarray, luck: np.ndarray) -> Candidates:
    nothing = np.zeros(len(times))
    whole = nothing.astype(np.int64)
    return Candidates(whole, times, luck, whole, nothing.astype(np.bool_), nothing, whole, None)


def test_excitement_keeps_the_mean_rate_and_bunches_trades() -> None:
    """Mean of a Hawkes process with branching ratio n: base / (1 - n); variance of long counts: mean / (1 - n)^2 (Hawkes 1971)."""
    share, ceiling, rate, memory, hours = 0.5, 20.0, 0.1, 20 * SECOND, 40
    rng = Streams(1).generator("test")
    excitement = Excitement(share / (20.0 * rate * ceiling), memory)
    counts = []
    for chunk in range(hours):
        times = arrivals(rng, rate * ceiling, chunk * HOUR, HOUR)
        counts.append(len(excitement.thin(candidates(times, rng.random(len(times))), (1 - share) / ceiling)))
    mean = rate * 3600
    assert np.mean(counts) == pytest.approx(mean, abs=4 * sqrt(mean / hours) / (1 - share))
    assert np.var(counts) > 2 * mean


def test_excitement_decays_and_depends_on_the_luck_of_each_candidate_only() -> None:
    excitement = Excitement(0.4, SECOND)
    times = np.array([0, SECOND, 2 * SECOND])
    assert excitement.thin(candidates(times, np.array([0.05, 0.1 + 0.4 / exp(1) - 1e-9, 0.9])), 0.1) == [0, 1]
    excitement = Excitement(0.4, SECOND)
    assert excitement.thin(candidates(times, np.array([0.05, 0.1 + 0.4 / exp(1) + 1e-9, 0.05])), 0.1) == [0, 2]


# ---- reporters and scripts


def test_a_report_is_due_by_deviation_or_heartbeat() -> None:
    assert due(100.51, 100.0, 0.005, 1, 60)
    assert due(99.49, 100.0, 0.005, 1, 60)
    assert not due(100.49, 100.0, 0.005, 1, 60)
    assert not due(200.0, 100.0, None, 59, 60)
    assert due(100.0, 100.0, None, 60, 60)


def test_ether_in_a_script_is_in_units_of_ether() -> None:
    assert units(Quantity.read("1.5 ETH")) == 1.5
    assert units(Quantity.read("3 kUSD")) == 3000.0
    assert units(Quantity.read(-2)) == -2.0


@pytest.mark.parametrize("step", [{"action": "buy"}, {"action": "trade"}, {"action": "trade", "fields": {"eth": 1, "btc": 1}}])
def test_a_step_without_a_market_trades_one_price_outside(step: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="trades outside"):
        Step.model_validate({"at": "1s", **step})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "either 'leverage' or 'liquidation_price'"),
        ({"leverage": 5, "liquidation_price": "80 USD"}, "either 'leverage' or 'liquidation_price'"),
        ({"liquidation_price": "80 USD", "long_share": 0.5}, "must be 0 or 1"),
        ({"leverage": "5 s"}, "units of"),
        ({"leverage": 5, "rate": -1}, "rate"),
    ],
)
def test_a_leveraged_crowd_is_refused_with_a_reason(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Agent.model_validate({"kind": "crowd_of_leveraged_traders", "market": "perp", **wrong})
