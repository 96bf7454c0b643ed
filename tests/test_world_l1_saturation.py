"""L1's blocks filled on purpose, and all the gas that they use told."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from test_world_l1_builders import venue
from validation import SCENARIOS, run

from l2sim.events import BatchPosted, BlockSealed, TransactionIncluded
from l2sim.events.l1_market import SpaceBought
from l2sim.log import Log
from l2sim.metrics.throughput import Throughput
from l2sim.scenario import Scenario
from l2sim.units import ETH


def flooded(kind: str, **fields: Any) -> tuple[Log, Scenario]:
    attack = {"kind": kind, "on": "l1", "begins": "5min", "lasts": "1h", **fields}
    scenario = Scenario.load(SCENARIOS / "fee_market.yaml").vary({
        "attacks.flood": attack, "metrics.bought": {"kind": "space_bought"}, "chains.l1.fork": "bpo2",
        "chains.l1.blob_fee": {"kind": "blob", "initial_excess": "240 Mgas"},
    })  # fmt: skip
    return run(scenario), scenario


def test_every_blob_is_bought_until_the_budget_is_spent() -> None:
    log, scenario = flooded("blob_saturation", budget="5 ETH", tip="2 gwei")
    number, gas, blobs, spent = log.select(SpaceBought, "number", "gas", "blobs", "spent", chain="l1")
    assert set(blobs.tolist()) == {21}
    assert set(gas.tolist()) == {4 * 21_000}  # six blobs in a transaction at most
    assert (np.diff(number) == 1).all()
    assert 4.0 < spent.sum() <= 5.0
    fee, base = (dict(zip(*log.select(BlockSealed, "number", name, chain="l1"), strict=True)) for name in ("blob_base_fee", "base_fee"))
    paid = [21 * 2**17 * int(fee[n]) + 84_000 * (int(base[n]) + 2 * 10**9) for n in number]
    assert spent == pytest.approx([wei / ETH for wei in paid], rel=1e-12)
    measured = scenario.metrics["bought"].measure(log)
    assert measured.to_dict() == pytest.approx({"spent": spent.sum(), "gas": gas.sum(), "blobs": blobs.sum(), "blocks": len(number)})


def test_all_gas_is_bought() -> None:
    log, _ = flooded("gas_saturation", budget="20 ETH", tip="3 gwei")
    gas, spent = log.select(SpaceBought, "gas", "spent", chain="l1")
    assert set(gas.tolist()) == {60_000_000}
    assert 15.0 < spent.sum() <= 20.0
    base = log.select(BlockSealed, "base_fee", chain="l1")[0].tolist()
    grown = base[25 : 24 + len(gas)]
    assert all(after == before + before // 8 for before, after in pairwise(grown))
    part, _ = flooded("gas_saturation", budget="20 ETH", share="50 %")
    assert set(part.select(SpaceBought, "gas", chain="l1")[0].tolist()) == {30_000_000}


def both_flooded(share: str, tip: str) -> Log:
    """Gas and blobs are bought at the same time; everybody else wants half of the gas and 21 blobs."""
    both = {
        "gas": {"kind": "gas_saturation", "on": "l1", "begins": "5min", "lasts": "5min", "share": share, "tip": "3 gwei"},
        "blobs": {"kind": "blob_saturation", "on": "l1", "begins": "5min", "lasts": "5min", "tip": tip},
    }
    others = {"duration": "12min", "chains.l1.fork": "bpo2", "chains.l1.blob_demand": {"kind": "given", "fractions": [1]}}
    return run(Scenario.load(SCENARIOS / "fee_market.yaml").vary({"attacks": both, "metrics.bought": {"kind": "space_bought"}} | others))


@pytest.mark.parametrize(
    ("share", "tip", "bought", "sealed"),
    [
        ("100 %", "2 gwei", 0, 0),  # no gas is left to carry anybody's blobs
        ("99.9165 %", "2 gwei", 12, 12),  # 50,100 gas for two transactions of six blobs, and then nobody's
        ("99.9165 %", "1 wei", 0, 12),  # everybody else comes first
        ("100 %", "4 gwei", 21, 21),  # who bids more for the gas of its transactions has it
    ],
)
def test_no_blob_without_the_gas_of_its_transaction(share: str, tip: str, bought: int, sealed: int) -> None:
    log = both_flooded(share, tip)
    number, blobs = log.select(BlockSealed, "number", "blobs", chain="l1")
    during = (number > 25) & (number < 50)
    assert set(blobs[during].tolist()) == {sealed}
    assert set(blobs[~during & (number != 25) & (number != 50)].tolist()) == {21}
    rows = log.frame("SpaceBought")
    named = {name: rows[rows["account"] == group["first"]] for name, group in log.about["groups"].items()}
    assert set(named["blobs"]["blobs"]) == ({bought} if bought else set())
    assert (named["blobs"]["gas"] == -(-bought // 6) * 21_000).all()
    assert (rows.groupby("number")["gas"].sum() <= 60_000_000).all()


def check_gas(log: Log) -> None:
    """The gas that the log says each block of 60 million used is what moved the base fee (EIP-1559, in whole wei)."""
    gas, base = (column.tolist() for column in log.select(BlockSealed, "gas", "base_fee", chain="l1"))
    target = 30_000_000
    for used, before, after in zip(gas, base, base[1:], strict=False):
        change = before * abs(used - target) // target // 8
        assert after == before + (max(change, 1) if used > target else -change)


def test_the_log_tells_all_gas_that_a_block_used() -> None:
    """That of everybody else, of the run's transactions, of batches and of what is bought on purpose."""
    flood = {"kind": "gas_saturation", "on": "l1", "begins": "5min", "lasts": "5min", "share": "30 %", "budget": "20 ETH", "tip": "3 gwei"}
    scenario = venue(duration="20min").vary({"chains.op": {"preset": "op_mainnet"}, "attacks.flood": flood})
    log = run(scenario)
    check_gas(log)
    assert len(log.select(BatchPosted, "size", chain="op")[0])
    number, gas, transactions = log.select(BlockSealed, "number", "gas", "transactions", chain="l1")
    flooded = (number > 25) & (number <= 50)
    assert transactions.any()
    assert gas[flooded].mean() > gas[~flooded].mean() > 10**7
    speed = float(Throughput().measure(log).loc["l1"]["gas_a_second"])
    assert speed == pytest.approx(gas.sum() / (20 * 60))


def test_slots_that_nobody_looks_at_tell_their_gas_too() -> None:
    chain = {"gas_demand": {"kind": "discrete", "fractions": [0.25, 0.75]}, "missed": "20 %"}
    scenario = Scenario.load(SCENARIOS / "fee_market.yaml").vary({f"chains.l1.{name}": value for name, value in chain.items()})
    log = run(scenario)
    check_gas(log)
    assert set(log.select(BlockSealed, "gas", chain="l1")[0].tolist()) == {15_000_000, 45_000_000}
    given = run(Scenario.load(SCENARIOS / "fee_market.yaml"))
    assert Throughput().measure(given).loc["l1"]["gas_a_second"] == 30_000_000 / 12


def test_an_attack_that_ends_buys_nothing_more() -> None:
    log, _ = flooded("blob_saturation", lasts="2min")
    assert len(log.select(SpaceBought, "number", chain="l1")[0]) == 10


def test_random_bytes_fill_a_rollup_and_its_batches() -> None:
    base = venue(duration="15min").vary({
        "chains.op": {"preset": "op_mainnet"},
        "markets.shop": {"kind": "constant_product", "on": "op", "base": "eth", "base_reserve": 1000},
    })  # fmt: skip
    attack = {"kind": "l2_data_saturation", "market": "shop", "begins": "1min", "lasts": "10min", "budget": "3 ETH"}
    calm, hit = run(base), run(base.vary({"attacks.flood": attack}))
    quiet, full = (int(log.select(BatchPosted, "size", chain="op")[0].sum()) for log in (calm, hit))
    assert full > 100 * quiet
    sender, gas, x = hit.select(TransactionIncluded, "sender", "gas", "x", chain="op")
    mine = sender == hit.about["groups"]["flood"]["first"]
    assert mine.sum() > 100
    assert set(gas[mine].tolist()) >= {21_000 + 40 * 30_000}
    assert not x[mine].any()
    paid = hit.frame("AccountClosed")
    purse = paid[(paid["group"].astype(str) == "flood") & (paid["place"].astype(str) == "op")]
    assert 0.0 <= float(purse["closing"].iloc[0]) < 3.0
