"""L1 as a venue; its builders and relays, who may censor; and bundles with revert protection."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from validation import SCENARIOS, Estimate, agree, run

from l2sim.events import (
    AccountClosed,
    BatchPosted,
    BlockSealed,
    LoanLiquidated,
    PositionLiquidated,
    TransactionDropped,
    TransactionIncluded,
)
from l2sim.events.l1_market import BlockBuilt
from l2sim.log import Log
from l2sim.metrics.censorship_delay import CensorshipDelay
from l2sim.metrics.fee_components import FeeComponents
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


GWEI = 10**9
BID = 380_000_000
"""What everybody else bids by the preset, wei per gas."""
TIPS = {"reporter": 2 * GWEI, "arbitrageur": 2 * GWEI, "keepers": 2 * GWEI, "sweepers": 2 * GWEI}


def owed(log: Log, own: dict[str, int], least: int) -> tuple[Any, Any]:
    """Of each transaction on L1 what is burned and what is tipped (ETH), if everybody bids so much at least (wei per gas)."""
    sender, block, gas = log.select(TransactionIncluded, "sender", "block", "gas", chain="l1")
    base = dict(zip(*(column.tolist() for column in log.select(BlockSealed, "number", "base_fee", chain="l1")), strict=True))
    tips = np.full(len(sender), least)
    for name, tip in own.items():
        group = log.about["groups"][name]
        tips[(sender >= group["first"]) & (sender < group["last"])] = max(tip, least)
    used = gas.astype(np.float64) / ETH
    return used * [base[number] for number in block.tolist()], used * tips


def test_everybody_pays_at_least_what_everybody_else_bids() -> None:
    """Whoever offers no tip is served as if it bid that of everybody else: it pays it, to the validators."""
    log = usual()
    burned, tipped = owed(log, TIPS, BID)
    (paid,) = log.select(TransactionIncluded, "execution_fee", chain="l1")
    assert paid == pytest.approx(burned + tipped)
    assert len(paid) > 500
    gained = {}
    for name in ("l1", "burned"):
        opening, closing = log.select(AccountClosed, "opening", "closing", group=name, place="l1", asset="gas")
        gained[name] = float((closing - opening).sum())
    assert gained == pytest.approx({"l1": tipped.sum(), "burned": burned.sum()})
    parts = FeeComponents().measure(log)
    assert parts.loc["l1", "priority_total_eth"] == pytest.approx(tipped.sum())
    of = log.about["groups"]["leveraged"]
    mine = np.isin(log.select(TransactionIncluded, "sender", chain="l1")[0], range(of["first"], of["last"]))
    assert parts.loc["leveraged on l1", "priority_mean_eth"] == pytest.approx(tipped[mine].mean())
    assert tipped[mine].min() > 0.0
    free = run(venue(**{"chains.l1.background_tip": "0 wei", "duration": "10min"}))
    burned, tipped = owed(free, TIPS, 0)
    assert free.select(TransactionIncluded, "execution_fee", chain="l1")[0] == pytest.approx(burned + tipped)
    assert (tipped == 0.0).any()


def test_agents_reckon_with_what_everybody_bids() -> None:
    """So far away from the price a trade pays its fee where everybody bids nothing, and not where they bid a lot."""
    changes = {"agents.arbitrageur.tip": "0 wei", "duration": "15min"}
    trades = []
    for colocated in (True, False):
        for bid in ("0 wei", "10000 gwei"):
            log = run(venue(**changes, **{"chains.l1.background_tip": bid, "agents.arbitrageur.colocated": colocated}))
            first = log.about["groups"]["arbitrageur"]["first"]
            trades.append(int((log.select(TransactionIncluded, "sender")[0] == first).sum()))
    assert min(trades[::2]) > 10
    assert max(trades[1::2]) < 3


def test_what_a_fee_cap_leaves_is_tipped() -> None:
    log = run(venue(**{"agents.traders.fee_cap": 1.5, "duration": "10min"}))
    burned, tipped = owed(log, TIPS, BID)
    sender, paid = log.select(TransactionIncluded, "sender", "execution_fee", chain="l1")
    group = log.about["groups"]["traders"]
    mine = (sender >= group["first"]) & (sender < group["last"])
    assert mine.sum() > 50
    assert paid[~mine] == pytest.approx((burned + tipped)[~mine])
    assert (paid[mine] <= (burned + tipped)[mine] * (1.0 + 1e-12)).all()
    assert paid[mine] == pytest.approx((burned + tipped)[mine], rel=0.1)  # the cap leaves room for the tip, unless the base fee runs away


def test_batches_pay_the_tip_that_they_say() -> None:
    """Also where that is less than what everybody else bids: they get what is left."""
    changes = {"chains.op": {"preset": "op_mainnet", "batch_poster": {"tip": "0.1 gwei", "bump": "1d"}}, "duration": "20min"}
    log = run(venue(**changes))
    slot, blobs, cost = log.select(BatchPosted, "l1_block", "blobs", "cost", chain="op")
    number, base, blob = (column.tolist() for column in log.select(BlockSealed, "number", "base_fee", "blob_base_fee", chain="l1"))
    fees = dict(zip(number, zip(base, blob, strict=True), strict=True))
    assert len(slot) > 2
    for at, n, paid in zip(slot.tolist(), blobs.tolist(), cost.tolist(), strict=True):
        left = paid - n * 2**17 * fees[at][1] / ETH
        assert left * ETH / (fees[at][0] + GWEI // 10) == pytest.approx(21_000, rel=1e-6)


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


def poor_and_careful(*bundles: str) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Senders and statuses of what is included and of what is dropped.

    Somebody who has ether for one transaction sends two, the first of which reverts and the second of which would move the price;
    somebody else's that comes third accepts a price one per cent worse.
    """
    step = {"at": "5s", "market": "pool", "action": "buy"}
    acts = {
        "poor": [
            step | {"action": "sell", "fields": {"base_in": "1 ETH"}, "tip": "3 gwei"},
            step | {"fields": {"quote_in": "100 kUSD"}, "tip": "2 gwei"},
        ],
        "careful": [step | {"fields": {"quote_in": "2000 USD"}, "slippage": "1 %"}],
    }
    log = run(Scenario.of({
        "duration": "1min", "prices": {"eth": {"kind": "path", "points": {"0": "2000 USD"}}},
        "network": {"within": "0 s", "reference_volatility": 0},
        "chains": {"l1": {"preset": "ethereum", "missed": 0, "base_fee": {"initial": "1 gwei"}, "bundles": list(bundles)}},
        "markets": {"pool": {"kind": "constant_product", "on": "l1", "base": "eth", "base_reserve": 1000}},
        "agents": {
            name: {
                "kind": "scripted", "holdings": {"l1": {"usd": "1 MUSD"}}, "gas": "0.0006 ETH",
                "steps": {f"step_{number}": act for number, act in enumerate(those)},
            }
            for name, those in acts.items()
        },
    }))  # fmt: skip
    names = {group["first"]: name for name, group in log.about["groups"].items()}

    def those(table: str) -> list[tuple[str, int]]:
        frame = log.frame(table)
        return [(names[sender], status) for sender, status in frame[["sender", "status"]].to_numpy().tolist()] if len(frame) else []

    return those("TransactionIncluded"), those("TransactionDropped")


def test_blocks_are_tried_until_nothing_in_bundles_reverts() -> None:
    """In the first trial the first one's failure takes the fee of the second; without it the second is made, and spoils the third."""
    out = Status.LEFT_OUT
    assert poor_and_careful("poor", "careful") == ([("poor", 0)], [("poor", out), ("careful", out)])


def test_a_trial_has_the_transactions_that_can_be_paid() -> None:
    """What nobody pays for spoils nothing."""
    poor = [("poor", Status.INSUFFICIENT_FUNDS)]
    assert poor_and_careful("careful") == ([*poor, ("careful", 0)], poor)


def test_a_trial_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing in bundles reverts, trying blocks first changes nothing."""
    tried = run(venue(**{"chains.l1.bundles": ["reporter"]}))
    for table in ("TransactionIncluded", "PositionLiquidated", "LoanLiquidated", "AccountClosed"):
        for name, column in tried.arrays(table).items():
            assert np.array_equal(column, usual().arrays(table)[name], equal_nan=column.dtype.kind == "f"), (table, name)


def test_an_l1_tells_who_built_its_blocks_only_where_there_are_builders() -> None:
    assert "BlockBuilt" not in usual().tables or not len(usual().tables["BlockBuilt"])
    assert len(built().select(BlockBuilt, "number")[0]) == len(built().select(BlockSealed, "number", chain="l1")[0])
