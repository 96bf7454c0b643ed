"""What rollups charge besides execution: the same on lists and arrays, to the last bit; who it goes to; what it follows."""

from typing import Any

import numpy as np
import pytest

from l2sim.data_fees.arbitrum import Pricer
from l2sim.data_fees.starknet import Starknet
from l2sim.data_fees.zksync import Zksync
from l2sim.events import BatchPosted, BlockSealed, TransactionIncluded
from l2sim.events.fees import DataPriceUpdated, OperatorFeeSet
from l2sim.log import Log
from l2sim.markets.constant_product import ConstantProduct
from l2sim.scenario import Scenario, ScenarioError
from l2sim.streams import Streams
from l2sim.units import ETH, GWEI
from l2sim.world import rollup
from l2sim.world.engine import Engine
from l2sim.world.ledger import GAS_TOKEN
from l2sim.world.world import World

BUSY: dict[str, Any] = {
    "duration": "45min",
    "prices": {"eth": {"kind": "geometric_brownian", "start": "3000 USD", "volatility": "50 %"}},
    "network": {"within": {"kind": "lognormal", "median": "20ms", "sigma": 1.0}},
    "chains": {
        "outside": {"kind": "outside"},
        "l1": {"preset": "ethereum"},
        "op": {
            "kind": "rollup",
            "settles_on": "l1",
            "ordering": {"kind": "priority_fee"},
            "fee": {"kind": "eip1559", "elasticity": 6, "denominator": 250, "initial": "0.001 gwei"},
            "sequencer": {"kind": "sequencer", "block_time": "2s"},
            "batch_poster": {"kind": "batch_poster", "max_delay": "3min"},
        },
    },
    "markets": {"pool": {"kind": "constant_product", "on": "op", "base": "eth", "base_reserve": 200}},
    "agents": {"traders": {"kind": "crowd_of_traders", "size": 50, "market": "pool", "rate": "2 /s", "wealth": "20 kUSD"}},
}
JOVIAN = {"kind": "op_stack", "operator_fee_scalar": 100, "operator_fee_constant": "20 gwei"}
KEEN = {"agents.keen": {"kind": "arbitrageur", "market": "pool", "colocated": True}}
RULES: dict[str, dict[str, Any]] = {
    "op_stack": {"chains.op.data_fee": JOVIAN, **KEEN},
    "footprint": {"chains.op.data_fee": JOVIAN | {"footprint_gas": 32_000}, **KEEN},
    "bedrock": {"chains.op.data_fee": {"kind": "op_stack", "fork": "bedrock"}},
    "arbitrum": {
        "chains.op.data_fee": {"kind": "arbitrum"},
        "chains.op.fee": {"kind": "arbitrum", "constraints": {"one": {"target": "200 kgas/s", "window": "20s", "tolerance": "2s"}}},
        **KEEN,
    },
    "ladder": {"chains.op.fee": {"kind": "arbitrum"}, "chains.op.sequencer.block_time": "250ms", "duration": "20min"},
    "beyond": {  # the fee leaves 63 bits now and then
        "chains.op.fee": {
            "kind": "arbitrum", "minimum": "1 wei", "constraints": {"one": {"target": "230 kgas/s", "window": "1s"}},
        },
        "duration": "20min",
    },
    "zksync": {"chains.op.data_fee": {"kind": "zksync", "compute_part": 0.5, "pubdata_part": 0.5, "minimal_gas_price": "1000 wei"}, **KEEN},
    "starknet": {"chains.op.data_fee": {"kind": "starknet"}, "chains.op.fee": {"kind": "starknet"}},
}  # fmt: skip


def lived(engine: Engine, **changes: Any) -> tuple[World, Log]:
    world = World(Scenario.of(BUSY).vary(changes), Streams(7), {}, engine)
    return world, world.run()


@pytest.mark.parametrize("rule", RULES)
def test_both_engines_charge_the_same(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    whole = rollup.stretch
    monkeypatch.setattr(rollup, "stretch", lambda chain, times: made.append(whole(chain, times)) or made[-1])
    (one, lists), (other, arrays) = lived("lists", **RULES[rule]), lived("arrays", **RULES[rule])
    assert len(lists.tables["TransactionIncluded"]) > 1000
    assert sum(made) > 300
    assert lists.digest == arrays.digest
    assert one.chains["op"].charging.state == other.chains["op"].charging.state  # type: ignore[attr-defined]


def test_an_operator_fee_and_a_least_size_are_charged_and_collected() -> None:
    world, log = lived("lists", **{"chains.op.data_fee": JOVIAN})
    (per_gas,), (constant,) = log.select(OperatorFeeSet, "per_gas", "per_transaction", chain="op")
    assert (per_gas, constant) == (100 * 100 / ETH, 20 * GWEI / ETH)
    gas, fees, data = log.select(TransactionIncluded, "gas", "execution_fee", "data_fee", chain="op")
    operator = gas * per_gas + constant
    assert (data > operator).all()  # data is paid for besides
    account = world.chains["op"].account  # type: ignore[attr-defined]
    held = world.ledger.column("op", GAS_TOKEN)[account]
    assert held == pytest.approx(float(fees.sum() + data.astype(float).sum()), rel=1e-6)


def test_the_footprint_of_data_fills_blocks_and_moves_the_base_fee() -> None:
    """One byte counts for so much gas that a block takes two transactions by their data, and many by their gas."""
    heavy = {"chains.op.data_fee": {"kind": "op_stack", "footprint_gas": 60_000}, "chains.op.block_gas_limit": "30 Mgas"}
    light = {"chains.op.data_fee": {"kind": "op_stack", "footprint_gas": 0}, "chains.op.block_gas_limit": "30 Mgas"}
    (world, with_it), (_, without) = lived("lists", **heavy), lived("lists", **light)
    size = world.chains["op"].markets[0].size["buy"]
    sizes, fees = with_it.select(BlockSealed, "transactions", "base_fee", chain="op")
    freely, calm = without.select(BlockSealed, "transactions", "base_fee", chain="op")
    assert sizes.max() == 30_000_000 // (60_000 * max(size, 100))
    assert freely.max() > sizes.max()
    assert fees[-1] > 10 * calm[-1]


@pytest.mark.parametrize("engine", ["lists", "arrays"])
def test_a_small_transaction_counts_as_a_hundred_bytes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jovian's footprint is that of the estimated size, which is 100 bytes at least: five transactions of 60 bytes fill a block."""
    monkeypatch.setattr(ConstantProduct, "size", {"buy": 60, "sell": 60})
    world, log = lived(engine, **{"chains.op.data_fee": JOVIAN | {"footprint_gas": 60_000}, "chains.op.block_gas_limit": "30 Mgas"})
    charge = world.chains["op"].charge()
    assert [charge.counts(size) for size in (60, 100, 101)] == [6_000_000, 6_000_000, 6_060_000]
    sizes, fees = log.select(BlockSealed, "transactions", "base_fee", chain="op")
    assert sizes.max() == 5
    full = np.flatnonzero(sizes[:-1] == 5)
    assert len(full) > 100
    assert (fees[full + 1] > fees[full]).all()  # by its data a block is full, and by gas almost empty


def test_the_l1_pricer_keeps_books_that_close() -> None:
    """What users paid for data is in the pool, with the poster, or paid as reward; reports come when batches are final."""
    world, log = lived("lists", **{"chains.op.data_fee": {"kind": "arbitrum"}})
    pricer = Pricer(*world.chains["op"].charging.state)  # type: ignore[attr-defined]
    (data,) = log.select(TransactionIncluded, "data_fee", chain="op")
    paid_in = float(data.astype(float).sum())
    assert (pricer.funds + pricer.poster_paid + pricer.rewards_paid) / ETH == pytest.approx(paid_in, rel=1e-6)
    reported, spent, prices = log.select(DataPriceUpdated, "time", "spent", "per_byte", chain="op")
    posted, cost = log.select(BatchPosted, "time", "cost", chain="op")
    assert len(reported) > 3
    assert spent.tolist() == cost[: len(spent)].tolist()
    assert (reported - posted[: len(reported)] > 64 * 12 * 10**9 - 1).all()
    assert len(set(prices.tolist())) > 3
    assert pricer.poster_paid + pricer.poster_due == sum(round(one * ETH) for one in spent.tolist())


def test_blocks_that_are_undone_take_out_what_they_brought_in() -> None:
    calm = {"chains.op.data_fee": {"kind": "arbitrum", "initial_price": "1 gwei"}, "duration": "10min"}
    undone = {**calm, "attacks.undo": {"kind": "sequencer_reorg", "on": "op", "begins": "5min", "lasts": "1s", "depth": 8}}
    for changes in (calm, undone):
        world, log = lived("lists", **changes)
        pricer = Pricer(*world.chains["op"].charging.state)  # type: ignore[attr-defined]
        (data,) = log.select(TransactionIncluded, "data_fee", chain="op")
        assert pricer.funds / ETH == pytest.approx(float(data.astype(float).sum()), rel=1e-6)


def test_fair_prices_on_zksync() -> None:
    """By hand: 20 gwei x 0.8 x 800,000 gas over 500,000 bytes is 25.6 gwei a byte, beside 2 gwei for the blob."""
    rule = Zksync()
    assert rule.fair_prices(20 * GWEI, 2 * GWEI) == (25_000_000, 2 * GWEI + 25_600_000_000)
    base_fee, gas = rule.gas_and_pubdata(20 * GWEI, 2 * GWEI)
    assert (base_fee, gas) == (25_000_000, 1104)
    assert rule.charge((), 20 * GWEI, 2 * GWEI, 0).of(10, 50_000) * ETH == pytest.approx(10 * 1104 * 25_000_000)
    half = Zksync(compute_part=0.5, pubdata_part=0.5)
    assert half.fair_prices(20 * GWEI, 0) == (25_000_000 + 32_000_000, 12_800_000_000)
    assert half.charge((), 20 * GWEI, 0, 0).per_gas * ETH == pytest.approx(32_000_000)


def test_a_byte_may_not_cost_more_gas_than_the_most_on_zksync() -> None:
    base_fee, gas = Zksync(batch_overhead=0).gas_and_pubdata(0, 5000 * GWEI)
    assert (base_fee, gas) == (100_000_000, 50_000)


def test_the_data_price_on_starknet_is_a_mean_of_samples() -> None:
    rule = Starknet()
    state = rule.genesis(0, 1000)
    for fee in [2000] * 60:
        state = rule.sample(state, 0, fee)
    assert rule.price(state) == 135 * 2000 // 1000
    state = rule.sample(state, 0, 62_000)
    assert rule.price(state) == 135 * 3000 // 1000
    assert len(state) == 60


@pytest.mark.parametrize("fork", ["cancun", "prague", "bpo2"])
def test_the_first_sample_is_the_fee_that_l1_starts_from(fork: str) -> None:
    rule = {"chains.op.data_fee": {"kind": "starknet", "samples": 1000}, "chains.l1.fork": fork}
    op: Any = World(Scenario.of(BUSY).vary(rule), Streams(1)).chains["op"]
    assert op.charging.state == (3_194_327,)


def test_samples_are_taken_once_a_minute() -> None:
    world, log = lived(
        "lists",
        **{
            "chains.op.data_fee": {"kind": "starknet", "samples": 1000},
            "chains.l1.blob_fee": {"kind": "blob", "initial_excess": "100 Mgas"},
        },
    )
    state = world.chains["op"].charging.state  # type: ignore[attr-defined]
    assert len(state) == 1 + 45
    times, prices = log.select(BlockSealed, "time", "blob_base_fee", chain="l1")
    minutes = np.arange(60, 45 * 60, 60) * 10**9
    assert list(state[1:-1]) == prices[np.searchsorted(times, minutes, side="right")][: len(state) - 2].tolist()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chains.op.data_fee": {"kind": "arbitrum"}, "chains.op.data_fee_scalar": 2}, "leave 'data_fee_scalar' out"),
        ({"chains.op.data_fee": {"kind": "op_stack", "fork": "fjord", "operator_fee_scalar": 3}}, "operator fee since isthmus only"),
        ({"chains.op.data_fee": {"kind": "op_stack", "fork": "canyon"}}, "jovian"),
        ({"chains.op.data_fee": {"kind": "zksync", "pubdata_part": 0}}, "nobody bears a batch's overhead"),
        ({"chains.op.data_fee": {"kind": "starknet", "compression": 0}}, "must be more than 0"),
        ({"chains.op.fee": {"kind": "arbitrum", "constraints": {}}}, "at least 1"),
        ({"chains.op.fee": {"kind": "arbitrum", "constraints": {"a": {"target": "1 Mgas/s", "window": "1500ms"}}}}, "whole seconds"),
        ({"chains.op.fee": {"kind": "starknet", "target": "120 %"}}, "must be between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        Scenario.of(BUSY).vary(changes)
