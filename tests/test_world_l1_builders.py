"""L1 as a venue; its builders and relays, who may censor; bundles with revert protection; and blocks that are filled on purpose."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from validation import SCENARIOS, Estimate, agree, run

from l2sim.events import BatchPosted, BlockSealed, LoanLiquidated, PositionLiquidated, TransactionDropped, TransactionIncluded
from l2sim.events.l1_market import BlockBuilt, SpaceBought
from l2sim.log import Log
from l2sim.metrics.censorship_delay import CensorshipDelay
from l2sim.metrics.throughput import Throughput
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.transactions import Status
from l2sim.units import ETH, SECOND

SLOT = 12 * SECOND


def venue(**changes: Any) -> Scenario:
    return Scenario.load(SCENARIOS / "venue_on_l1.yaml").vary(changes)


@cache
def usual() -> Log:
    return run(venue())


# ---- L1 as a venue


def test_every_market_works_on_l1() -> None:
    log = usual()
    frame = log.frame("TransactionIncluded")
    assert set(frame["chain"].astype(str)) == {"l1"}
    done = frame[frame["status"] == 0].groupby(["market", "action"], observed=True).size()
    assert {("pool", "buy"), ("pool", "sell"), ("perp", "open"), ("perp", "close"), ("feed", "report")} <= set(done.index)
    assert len(log.select(PositionLiquidated, "account")[0]) > 10
    assert len(log.select(LoanLiquidated, "account")[0]) > 10
    assert (frame["time"] % SLOT == 0).all()
    assert frame["data_fee"].eq(0).all()
    profit = venue().metrics["profit"].measure(log)
    assert profit["groups.arbitrageur.profit"] > 0.0
    assert profit["groups.l1.profit"] > 0.0  # priority fees go to validators, base fees are burned
    assert profit["groups.burned.profit"] > 0.0


def test_who_tips_more_is_served_first_on_l1() -> None:
    frame = usual().frame("TransactionIncluded")
    crowded = frame[frame["market"].astype(str) == "pool"].groupby("block")
    firsts = [str(rows["sender"].iloc[0]) for _, rows in crowded if len(rows) > 1]
    assert len(firsts) > 20


# ---- builders and relays

BUILDERS = {
    "open": {"share": 0.3}, "careful": {"share": 0.5, "censors": ["keepers", "arbitrageur"]},
}  # fmt: skip


@cache
def built() -> Log:
    return run(venue(**{"chains.l1.builders": BUILDERS, "chains.l1.relays": {"strict": {"share": 0.4, "censors": ["traders"]}}}))


def test_blocks_are_built_by_share(record_property: Callable[..., None]) -> None:
    long = Scenario.load(SCENARIOS / "fee_market.yaml").vary({
        "chains.l1.builders": {name: {"share": maker["share"]} for name, maker in BUILDERS.items()}, "duration": "8 h",
        "prices": {"eth": {"kind": "path", "points": {"0": "2000 USD"}}},
        "markets.pool": {"kind": "constant_product", "on": "l1", "base": "eth", "base_reserve": 100},
    })  # fmt: skip
    by = run(long).frame("BlockBuilt")["builder"].astype(str).to_numpy()
    for name, share in (("open", 0.3), ("careful", 0.5), ("l1", 0.2)):
        record_property("validation", agree(f"share of blocks by {name}", Estimate.of(by == name), share, {"of another": share + 0.1}))


def test_a_censoring_builder_leaves_out_who_waits_for_the_next_block() -> None:
    log = built()
    makers = log.frame("BlockBuilt").set_index("number")
    rows = log.frame("TransactionIncluded")
    group = {name: range(one["first"], one["last"]) for name, one in log.about["groups"].items()}
    builder = makers["builder"].astype(str).reindex(rows["block"]).to_numpy()
    relay = makers["relay"].astype(str).reindex(rows["block"]).to_numpy()
    for name, maker, by in (("arbitrageur", builder, "careful"), ("keepers", builder, "careful"), ("traders", relay, "strict")):
        mine = rows["sender"].isin(group[name]).to_numpy()
        assert mine.sum() > 5, name
        assert not (mine & (maker == by)).any(), name
    others = rows["sender"].isin(group["leveraged"]).to_numpy()
    assert (others & (builder == "careful")).sum() > 5
    left_out = makers["left_out"]
    assert left_out[makers["builder"].astype(str) == "careful"].sum() > 0
    assert not left_out[(makers["builder"].astype(str) != "careful") & (makers["relay"].astype(str) != "strict")].any()
    # Proposers who build locally take no relay's blocks.
    assert set(makers["relay"].astype(str)[makers["builder"].astype(str) == "l1"]) == {"l1"}


def test_the_censored_wait_a_geometric_time(record_property: Callable[..., None]) -> None:
    """Half of the blocks leave the poster out, each on its own: a batch waits for one block more on average."""
    rollup = {
        "kind": "rollup", "settles_on": "l1", "ordering": {"kind": "first_come_first_served"}, "fee": {"kind": "constant", "fee": "0 wei"},
        "sequencer": {"kind": "sequencer", "block_time": "10s"},
        "batch_poster": {"kind": "batch_poster", "poll": "53s", "max_delay": "1s", "bump": "1 d", "tip": "10 gwei"},
    }  # fmt: skip
    base = Scenario.load(SCENARIOS / "fee_market.yaml").vary({"duration": "40 h", "chains.op": rollup})
    by_rollup = base.vary({"chains.l1.builders": {"careful": {"share": 0.5, "censors": ["op"]}}})
    submitted, slot = run(by_rollup).select(BatchPosted, "submitted", "l1_block", chain="op")
    waits = slot - (submitted // SLOT + 1)
    record_property("validation", agree("slots that a censored batch waits", Estimate.of(waits), 1.0, {"censored by nobody": 0.0}))
    submitted, slot = run(base.vary({"chains.l1.builders": {"careful": {"share": 1, "censors": ["calls"]}}})).select(
        BatchPosted, "submitted", "l1_block", chain="op"
    )
    assert len(slot) > 1000
    assert (slot == submitted // SLOT + 1).all()
    nobody = run(base.vary({"duration": "1h", "chains.l1.builders": {"all": {"share": 1, "censors": ["batches"]}}}))
    assert not nobody.arrays("BatchPosted")


def test_whom_builders_leave_out_is_told_once_for_each_transaction() -> None:
    log = built()
    told, rows = log.frame("TransactionCensored"), log.frame("TransactionIncluded")
    group = {name: range(one["first"], one["last"]) for name, one in log.about["groups"].items()}
    left_out = log.frame("BlockBuilt")["left_out"].sum()
    assert 0 < len(told) < left_out  # who is left out of several blocks in a row is told of in the first of them
    assert not told["sender"].isin(group["leveraged"]).any()
    key = ["submitted", "sender", "market", "action"]
    had_it = rows[rows["sender"].isin(group["arbitrageur"])]
    waited = had_it[had_it["time"] - had_it["submitted"] > 2 * SLOT][key].astype(str).apply(tuple, axis=1)
    assert len(waited) > 3
    assert set(waited) <= set(told[key].astype(str).apply(tuple, axis=1))
    found = CensorshipDelay(by="agent").measure(log)
    assert set(found.index) == {"arbitrageur", "keepers", "traders"}
    assert found["mean"].between(12.0, 120.0).all()
    nobody = run(venue(**{"chains.l1.builders": {"all": {"share": 1, "censors": ["traders"]}}}))
    found = CensorshipDelay().measure(nobody).loc["l1"]
    assert found["never"] == found["attempts"] > 10
    assert not usual().arrays("TransactionCensored")


def test_builders_change_nothing_where_they_censor_nobody() -> None:
    log = run(venue(**{"chains.l1.builders": {"open": {"share": 1}}}))
    for table in ("TransactionIncluded", "BlockSealed", "PositionLiquidated", "LoanLiquidated"):
        for name, column in log.arrays(table).items():
            if table != "TransactionIncluded" or name not in ("chain", "market", "action"):
                assert np.array_equal(column, usual().arrays(table)[name], equal_nan=column.dtype.kind == "f"), (table, name)


@pytest.mark.parametrize(("changes", "message"), [
    ({"chains.l1.builders": {"a": {"share": 0.7}, "b": {"share": 0.4}}}, "the shares of the builders add up to 110 %"),
    ({"chains.l1.relays": {"a": {"share": 0.7}, "b": {"share": 0.4}}}, "the shares of the relays add up to 110 %"),
    ({"chains.l1.builders": {"a": {"share": 0.7, "censors": ["keeper"]}}}, "there is no .*'keeper'; did you mean 'keepers'"),
    ({"chains.l1.bundles": ["arbitrager"]}, "there is no .*'arbitrager'; did you mean 'arbitrageur'"),
])  # fmt: skip
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        venue(**changes)


# ---- bundles


def test_a_bundle_that_would_revert_is_left_out_and_pays_nothing() -> None:
    bundled = run(venue(**{"chains.l1.bundles": ["keepers", "traders"]}))
    group = {name: range(one["first"], one["last"]) for name, one in bundled.about["groups"].items()}

    def reverts(log: Log, name: str) -> int:
        sender, status = log.select(TransactionIncluded, "sender", "status")
        return int((np.isin(sender, list(group[name])) & (status != 0)).sum())

    assert reverts(usual(), "traders") > 0
    assert reverts(usual(), "leveraged") > 0
    assert reverts(bundled, "traders") == reverts(bundled, "keepers") == 0
    assert reverts(bundled, "leveraged") > 0
    sender, status = bundled.select(TransactionDropped, "sender", "reason") if "reason" in bundled.arrays("TransactionDropped") else (
        bundled.select(TransactionDropped, "sender", "status")
    )  # fmt: skip
    left_out = sender[status == Status.LEFT_OUT]
    assert len(left_out) > 0
    assert np.isin(left_out, [*group["traders"], *group["keepers"]]).all()


def test_a_trial_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing in bundles reverts, trying blocks first changes nothing."""
    tried = run(venue(**{"chains.l1.bundles": ["reporter"]}))
    for table in ("TransactionIncluded", "PositionLiquidated", "LoanLiquidated", "AccountClosed"):
        for name, column in tried.arrays(table).items():
            assert np.array_equal(column, usual().arrays(table)[name], equal_nan=column.dtype.kind == "f"), (table, name)


# ---- filled on purpose


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


def test_an_l1_tells_who_built_its_blocks_only_where_there_are_builders() -> None:
    assert "BlockBuilt" not in usual().tables or not len(usual().tables["BlockBuilt"])
    assert len(built().select(BlockBuilt, "number")[0]) == len(built().select(BlockSealed, "number", chain="l1")[0])
