"""Fees by component and payer, the sequencer's margin, and their picture."""

from typing import Any

import numpy as np
import pytest

from l2sim import simulate
from l2sim.events import BatchPosted, BlockSealed, TransactionIncluded
from l2sim.metrics.fee_components import COMPONENTS, FeeComponents, paid
from l2sim.metrics.posting_cost import per_second
from l2sim.metrics.sequencer_margin import SequencerMargin
from l2sim.report import fee_components
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.units import ETH, GWEI
from l2sim.world.ledger import GAS_TOKEN
from l2sim.world.world import World

PAYING: dict[str, Any] = {
    "duration": "30min",
    "prices": {"eth": {"kind": "path", "points": {"0": "2000 USD"}}},
    "chains": {
        "l1": {"preset": "ethereum"},
        "op": {
            "kind": "rollup",
            "settles_on": "l1",
            "ordering": {"kind": "priority_fee"},
            "fee": {"kind": "eip1559", "elasticity": 6, "denominator": 250, "initial": "0.001 gwei"},
            "data_fee": {"kind": "op_stack", "operator_fee_scalar": 100, "operator_fee_constant": "20 gwei"},
            "sequencer": {"kind": "sequencer", "block_time": "2s"},
            "batch_poster": {"kind": "batch_poster", "max_delay": "5min"},
        },
    },
    "markets": {"pool": {"kind": "constant_product", "on": "op", "base": "eth", "base_reserve": 200}},
    "agents": {
        "calm": {"kind": "crowd_of_traders", "size": 50, "market": "pool", "rate": "1 /s", "wealth": "20 kUSD"},
        "hasty": {
            "kind": "crowd_of_traders", "size": 50, "market": "pool", "rate": "0.5 /s", "wealth": "20 kUSD",
            "tip": {"kind": "constant", "value": "1 gwei"},
        },
    },
    "metrics": {"fees": {"kind": "fee_components"}, "margin": {"kind": "sequencer_margin"}},
}  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    world = World(Scenario.of(PAYING), Streams(3), {})
    world.run()
    return world


def test_components_add_up_to_what_was_paid_and_collected(world: World) -> None:
    log = world.log
    _, _, components = paid(log, "op")
    fees, data, gas, block = log.select(TransactionIncluded, "execution_fee", "data_fee", "gas", "block", chain="op")
    assert components.sum(axis=1) == pytest.approx(fees + data.astype(float), rel=1e-9)
    number, base_fee = log.select(BlockSealed, "number", "base_fee", chain="op")
    known = dict(zip(number.tolist(), base_fee.tolist(), strict=True))
    base = sum(one * known[of] for one, of in zip(gas.tolist(), block.tolist(), strict=True)) / ETH
    assert components[:, 0].sum() == pytest.approx(base, rel=1e-9)
    assert components[:, 3] == pytest.approx(gas * (100 * 100 / ETH) + 20 * GWEI / ETH, rel=1e-9)
    account = world.chains["op"].account  # type: ignore[attr-defined]
    assert world.ledger.column("op", GAS_TOKEN)[account] == pytest.approx(components.sum(), rel=1e-6)


def test_payers_are_told_apart(world: World) -> None:
    found = FeeComponents().measure(world.log)
    assert list(found.index) == ["op", "calm on op", "hasty on op"]
    gas = 120_000
    assert found.loc["calm on op", "priority_mean_eth"] == pytest.approx(0.0, abs=1e-18)
    assert found.loc["hasty on op", "priority_mean_eth"] == pytest.approx(gas * GWEI / ETH, rel=1e-6)
    for component in COMPONENTS:
        parts = found.loc[["calm on op", "hasty on op"], f"{component}_total_eth"].sum()
        assert found.loc["op", f"{component}_total_eth"] == pytest.approx(parts, rel=1e-9)
        usd = found.loc["op", f"{component}_mean_usd"]
        assert usd == pytest.approx(2000.0 * found.loc["op", f"{component}_mean_eth"], rel=1e-9)


def test_the_margin_is_revenue_less_costs(world: World) -> None:
    margin = SequencerMargin().measure(world.log).loc["op"]
    (cost,) = world.log.select(BatchPosted, "cost", chain="op")
    assert len(cost) > 3
    assert margin["batch_cost"] == pytest.approx(cost.sum())
    assert margin["settlement_cost"] == 0.0
    revenue = sum(margin[f"{component}_revenue"] for component in COMPONENTS)
    assert margin["margin"] == pytest.approx(revenue - cost.sum())
    assert margin["margin_per_day"] == pytest.approx(48 * margin["margin"])


def test_a_picture_stacks_the_components(tmp_path: Any) -> None:
    run = simulate(Scenario.of(PAYING).vary(duration="10min"), seed=3)
    means = fee_components.over_time(run.log(0), "op")
    assert means.shape == (fee_components.BINS, len(COMPONENTS))
    _, _, components = paid(run.log(0), "op")
    assert np.nanmean(means) == pytest.approx(components.mean() * 1e9, rel=0.1)


def test_parts_without_transactions_are_gaps_and_no_fee_of_zero(world: World) -> None:
    log = world.log
    kept = log.about["duration"]
    log.about["duration"] = 2 * kept
    try:
        means = fee_components.over_time(log, "op")
    finally:
        log.about["duration"] = kept
    half = fee_components.BINS // 2
    drawn = fee_components.layers(means)
    assert [component for component, _, _ in drawn] == list(COMPONENTS)
    for _, lower, upper in drawn:
        assert np.isfinite(lower[:half]).all()
        assert np.isnan(lower[half + 1 :]).all()
        assert np.isnan(upper[half + 1 :]).all()
    assert drawn[-1][2][:half] == pytest.approx(means[:half].sum(axis=1))
    assert [drawn[k][2][0] for k in range(4)] == [drawn[k][1][0] for k in range(1, 5)]


def test_the_error_of_a_rate_is_that_of_a_ratio_of_means() -> None:
    """Amounts of 2 and 6 in cycles of 2 s: 2 a second; the residuals -2 and 2 deviate by 2 sqrt(2), / sqrt(2) cycles / 2 s = 1."""
    rate, error = per_second(np.array([2.0, 6.0]), np.array([2.0, 2.0]))
    assert (rate, error) == pytest.approx((2.0, 1.0))
