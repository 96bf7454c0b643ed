"""Blocks that are undone: by a sequencer, what is in no batch; by L1, what is not justified. What was in them comes back or is lost."""

from collections import Counter
from functools import cache
from typing import Any

import pandas as pd
import pytest
from worlds import HERE, differences, frames

from l2sim.agents import Agent, Waiting
from l2sim.attacks.l1_reorg import L1Reorg
from l2sim.log import Log
from l2sim.metrics.profit_and_loss import ProfitAndLoss
from l2sim.metrics.throughput import Throughput
from l2sim.scenario import Scenario, ScenarioError
from l2sim.streams import Streams
from l2sim.transactions import Status
from l2sim.units import MINUTE, SECOND
from l2sim.world.reorganization import reorganize
from l2sim.world.seat import Seat
from l2sim.world.world import World

PATH = HERE / "scenarios" / "reorganizations.yaml"
WHO = ["submitted", "sender", "market", "action"]
"""What tells transactions of this scenario apart."""


def attacked(**attacks: Any) -> Scenario:
    """The scenario with these attacks and no other."""
    return Scenario.of(Scenario.load(PATH).resolved() | {"attacks": attacks})


def breach(**changes: Any) -> Scenario:
    """The sequencer takes back twenty blocks."""
    plan = {"kind": "sequencer_reorg", "on": "op", "begins": "10min", "lasts": "1min", "depth": 20, "lost": "30 %"}
    return attacked(breach=plan | changes)


def deep(**changes: Any) -> Scenario:
    """L1 undoes slots 61 to 64, and with them the batch in slot 62."""
    return attacked(deep={"kind": "l1_reorg", "on": "l1", "begins": "775s", "lasts": "1min", "depth": 4} | changes).vary(duration="34min")


@cache
def lived(scenario: Scenario) -> Log:
    return World(scenario, Streams(4, 0)).run()


def undone(log: Log, table: str) -> pd.DataFrame:
    frame = log.frame(table, reverted=True)
    return frame[~frame["canonical"]].drop(columns="canonical") if "canonical" in frame else frame.iloc[:0]


def identities(frame: pd.DataFrame) -> Counter[tuple[Any, ...]]:
    return Counter(frame[WHO].itertuples(index=False, name=None))


# ---- by the sequencer


def test_what_was_in_the_blocks_is_pending_again_or_lost() -> None:
    log = lived(breach())
    (told,) = log.frame("ChainReorganized").itertuples()
    rows, back = undone(log, "TransactionIncluded"), log.frame("TransactionIncluded")
    assert told.last - told.first + 1 == 20
    assert set(rows["block"]) == set(undone(log, "BlockSealed")["number"]) <= set(range(told.first, told.last + 1))
    assert told.transactions == len(rows) > 50
    # A share of about 30 % is lost, each by its own luck, and reported; no other transaction is.
    dropped = log.frame("TransactionDropped")
    lost = dropped[dropped["status"] == Status.REORGANIZED]
    assert told.lost == len(lost)
    assert abs(told.lost / told.transactions - 0.3) < 4 * (0.21 / told.transactions) ** 0.5
    assert (lost["time"] == told.time).all()
    assert identities(lost) <= identities(rows)
    # Everything else is the same transaction in a later block, or waited for too long.
    kept = identities(rows) - identities(lost)
    again = identities(back[back["time"] > told.time]) + identities(dropped[dropped["status"] == Status.DEADLINE])
    assert kept <= again
    assert not identities(lost) & identities(back)
    late = back.merge(rows[WHO], on=WHO)
    assert len(late) > 0.6 * kept.total()
    assert ((late["block"] >= told.first) & (late["time"] > told.time)).all()


def test_heads_go_back_and_forward_again() -> None:
    log = lived(breach())
    (told,) = log.frame("ChainReorganized").itertuples()
    sealed = log.frame("BlockSealed").query("chain == 'op'")
    assert sealed["number"].is_monotonic_increasing
    assert sealed["number"].is_unique
    after = sealed[sealed["time"] > told.time].iloc[0]
    assert (after["number"], after["time"]) == (told.first, told.time + 2 * SECOND)
    # Nothing in a batch is undone, and batches join without gap or overlap.
    batches = log.frame("BatchPosted")
    assert batches["first"].iloc[0] == 1
    assert (batches["first"].to_numpy()[1:] == batches["last"].to_numpy()[:-1] + 1).all()
    assert batches[batches["time"] < told.time]["last"].max() < told.first
    assert len(undone(log, "BatchPosted")) == len(undone(log, "HeadAdvanced")) == 0


def test_a_sequencer_cannot_take_back_what_is_in_a_batch() -> None:
    log = lived(breach(depth=1_000_000, lost=0))
    (told,) = log.frame("ChainReorganized").itertuples()
    batches = log.frame("BatchPosted")
    posted = batches[batches["submitted"] < told.time]["last"].max()
    assert told.first == posted + 1
    assert told.lost == 0
    assert len(undone(log, "TransactionIncluded")) == told.transactions


def test_facts_of_what_was_undone_are_flagged_and_metrics_do_not_see_them() -> None:
    log = lived(breach())
    (told,) = log.frame("ChainReorganized").itertuples()
    since = undone(log, "BlockSealed")["time"].min()
    markets = [name for name in log if name in {"OracleUpdated", "PositionClosed", "PositionOpened", "QuotesChanged", "PositionLiquidated"}]
    assert sum(len(undone(log, name)) for name in markets) > 5
    for name in markets:
        frame = log.frame(name, reverted=True)
        assert (~frame["canonical"] == ((frame["time"] >= since) & (frame["time"] <= told.time))).all() if "canonical" in frame else True
    for name in ("OutsideTraded", "PriceMoved", "TransactionDropped", "AccountClosed", "AttackBegan"):  # of no block
        assert len(undone(log, name)) == 0
    # L1 made its blocks meanwhile, whoever looked at it.
    assert set(undone(log, "BlockSealed")["chain"]) == {"op"}
    measured = Throughput().measure(log).loc["op"]
    assert measured["transactions"] == len(log.frame("TransactionIncluded")) == len(log.arrays("TransactionIncluded")["time"])
    assert abs(ProfitAndLoss().measure(log)["sum"]) < 1e-3


def test_canonical_history_has_a_digest_of_its_own() -> None:
    log, calm = lived(breach()), lived(attacked())
    assert log.digest != log.digest_of_everything
    assert calm.digest == calm.digest_of_everything
    assert lived.__wrapped__(breach()).digest_of_everything == log.digest_of_everything


@pytest.mark.parametrize("scenario", [breach(), breach(depth=1_000_000), deep()], ids=["sequencer", "all of it", "L1"])
def test_before_the_attack_everything_is_as_without_it(scenario: Scenario) -> None:
    begins = min(attack.begins for attack in scenario.attacks.values())
    hit, calm = lived(scenario), lived(attacked().vary(duration=scenario.resolved()["duration"]))
    before = frames(hit, before=begins, reverted=True)
    assert sum(map(len, before.values())) > 1_000
    assert differences(before, frames(calm, before=begins)) == []
    assert differences(frames(hit, reverted=True), frames(calm)) != []


ALONE: dict[str, Any] = {
    "prices.eth": {"kind": "path", "interpolate": "hold", "points": {"0": "2100 USD", "12s": "2300 USD"}},
    "agents.arbitrageur.minimum_profit": "5 USD",
}


@pytest.mark.parametrize("lost", [0.0, 1.0])
def test_who_hedged_a_promise_that_was_taken_back_bears_the_loss(lost: float) -> None:
    """It sold outside what it had bought in block 2. Where that is lost, it is short of it when the price rises."""
    alone = Scenario.load(HERE / "scenarios" / "arbitrage.yaml").vary(ALONE)
    reorg = {"kind": "sequencer_reorg", "on": "arb", "begins": "5s", "lasts": "1s", "depth": 5, "lost": lost}
    profit, units = {}, {}
    for name, attacks in (("calm", {}), ("hit", {"breach": reorg})):
        log = World(Scenario.of(alone.resolved() | {"attacks": attacks}), Streams(1, 0)).run()
        closed = log.frame("AccountClosed").query("group == 'arbitrageur'")
        profit[name] = closed["value"].sum()
        units[name] = closed[closed["asset"] == "eth"]["closing"].sum() - closed[closed["asset"] == "eth"]["opening"].sum()
        assert (len(undone(log, "TransactionIncluded")) > 0) == bool(attacks)
    sold = -log.frame("OutsideTraded")["quantity"].iloc[0]
    assert sold > 10.0
    assert units["calm"] == pytest.approx(0.0, abs=1e-9)
    if lost:
        assert units["hit"] == pytest.approx(-sold)
        assert profit["hit"] - profit["calm"] == pytest.approx(-sold * 200.0, rel=0.01)
    else:
        assert units["hit"] == pytest.approx(0.0, abs=1e-9)
        assert profit["hit"] == pytest.approx(profit["calm"])


# ---- by L1


def test_batches_that_l1_lost_are_paid_again_and_the_safe_head_returns() -> None:
    log, calm = lived(deep()), lived(attacked().vary(duration="34min"))
    (told,) = log.frame("ChainReorganized").itertuples()
    assert (told.chain, told.first, told.last, told.time) == ("l1", 61, 64, 775 * SECOND)
    assert set(undone(log, "BlockSealed")["number"]) == {61, 62, 63, 64}
    assert set(undone(log, "BlockSealed")["chain"]) == {"l1"}
    l1 = Throughput().measure(log).loc["l1"]
    assert (l1["blocks"], l1["longest_silence"]) == (34 * 5 - 4, 5 * 12)  # from slot 60 to slot 65
    (batch,) = undone(log, "BatchPosted").itertuples()
    batches = log.frame("BatchPosted")
    (again,) = batches[batches["first"] == batch.first].itertuples()
    assert (again.last, again.size, again.blobs, again.submitted) == (batch.last, batch.size, batch.blobs, batch.submitted)
    assert (batch.l1_block, again.l1_block, again.time) == (62, 65, 65 * 12 * SECOND)
    assert (batches["first"].to_numpy()[1:] == batches["last"].to_numpy()[:-1] + 1).all()
    # Its poster pays for what stands, and only for that.
    paid = log.frame("AccountClosed").query("group == 'op.batch_poster' and asset == 'gas'")
    assert (paid["opening"] - paid["closing"]).sum() == pytest.approx(batches["cost"].sum(), rel=1e-9)
    # The safe head is told twice, once for nothing.
    safe = log.frame("HeadAdvanced").query("chain == 'op' and head == 'safe'")
    assert undone(log, "HeadAdvanced")[["chain", "head", "number"]].to_numpy().tolist() == [["op", "safe", batch.last]]
    assert safe["number"].is_monotonic_increasing
    assert safe[safe["number"] == batch.last]["time"].tolist() == [again.time]
    # It missed the checkpoint at slot 64, and is final an epoch later.
    final = [one.frame("HeadAdvanced").query("chain == 'op' and head == 'finalized'").set_index("number")["time"] for one in (log, calm)]
    assert final[0][batch.last] - final[1][batch.last] == 32 * 12 * SECOND
    # The rollup's own blocks stand.
    assert len(undone(log, "TransactionIncluded")) == 0


def test_l1_goes_on_where_it_went_back_to() -> None:
    log = lived(deep())
    sealed = log.frame("BlockSealed", reverted=True).query("chain == 'l1'").set_index("number")
    assert sealed["time"].is_monotonic_increasing
    assert not sealed.loc[[61, 62, 63, 64], "canonical"].any()
    assert sealed.drop([61, 62, 63, 64])["canonical"].all()
    # Slots go on, those undone stay empty; the base fee is what it was before them.
    assert sealed.loc[65, "base_fee"] == sealed.loc[61, "base_fee"] != sealed.loc[62, "base_fee"]
    assert sealed.loc[65, "blob_base_fee"] == sealed.loc[61, "blob_base_fee"]


def test_l1_does_not_undo_what_is_justified() -> None:
    log = lived(deep(depth=10_000))
    (told,) = log.frame("ChainReorganized").itertuples()
    assert (told.first, told.last) == (33, 64)  # at 768 s the checkpoint at slot 32 was justified
    heads = log.frame("HeadAdvanced")
    for _, frame in heads.groupby(["chain", "head"], observed=True):
        assert frame["number"].is_monotonic_increasing
    finalized = heads[heads["head"] == "finalized"]
    assert finalized[finalized["chain"] == "op"]["number"].max() > log.frame("BatchPosted")["last"].iloc[3]
    batches, lost = log.frame("BatchPosted"), undone(log, "BatchPosted")
    assert len(lost) == 3
    assert (batches["first"].to_numpy()[1:] == batches["last"].to_numpy()[:-1] + 1).all()
    assert batches[batches["first"].isin(lost["first"])]["l1_block"].tolist() == [65, 66, 67]  # in the order of their nonces


def test_transactions_on_l1_come_back() -> None:
    plain = Scenario.load(HERE / "scenarios" / "waits_on_l1.yaml", ["duration=30min"])
    attack = {"reorg": {"kind": "l1_reorg", "on": "l1", "begins": "15min", "lasts": "1s", "depth": 5}}
    log = lived(Scenario.of(plain.resolved() | {"attacks": attack}))
    (told,) = log.frame("ChainReorganized").itertuples()
    rows, back = undone(log, "TransactionIncluded"), log.frame("TransactionIncluded")
    assert told.transactions == len(rows) > 5
    assert set(rows["block"]) <= {71, 72, 73, 74, 75}
    again = back.merge(rows[WHO], on=WHO)
    assert len(again) == len(rows)
    assert set(again["block"]) == {76}
    assert identities(rows) <= identities(back)


def test_both_at_once() -> None:
    both = attacked(
        breach={"kind": "sequencer_reorg", "on": "op", "begins": "775s", "lasts": "1min", "depth": 1_000, "lost": "50 %"},
        deep={"kind": "l1_reorg", "on": "l1", "begins": "775s", "lasts": "1min", "depth": 20},
        again={"kind": "sequencer_reorg", "on": "op", "begins": "777s", "lasts": "1min", "depth": 1_000},
        deeper={"kind": "l1_reorg", "on": "l1", "begins": "790s", "lasts": "1min", "depth": 10},
        nothing={"kind": "l1_reorg", "on": "l1", "begins": "1s", "lasts": "1s", "depth": 10},
    )  # fmt: skip
    log = lived(both)
    told = log.frame("ChainReorganized")
    assert told["chain"].tolist().count("l1") == 2
    batches = log.frame("BatchPosted")
    assert (batches["first"].to_numpy()[1:] == batches["last"].to_numpy()[:-1] + 1).all()
    sealed = log.frame("BlockSealed").query("chain == 'op'")
    assert sealed["number"].is_monotonic_increasing
    assert sealed["number"].is_unique
    assert batches["time"].max() > 28 * MINUTE


# ---- bad input


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ({"kind": "sequencer_reorg", "on": "op", "depth": 0}, "depth: "),
        ({"kind": "sequencer_reorg", "on": "op", "depth": -3}, "depth: "),
        ({"kind": "sequencer_reorg", "on": "op", "depth": 2.5}, "depth: "),
        ({"kind": "sequencer_reorg", "on": "op", "depth": 2, "lost": "130 %"}, "must be between 0 and 1"),
        ({"kind": "sequencer_reorg", "on": "l1", "depth": 2}, "'l1' is of kind 'l1', where kind 'rollup' is due; of that kind are: op"),
        ({"kind": "l1_reorg", "on": "l1", "depth": 0}, "depth: "),
        ({"kind": "l1_reorg", "on": "op", "depth": 2}, "'op' is of kind 'rollup', where kind 'l1' is due; of that kind are: l1"),
        ({"kind": "l1_reorg", "on": "outside", "depth": 2}, "'outside' is of kind 'outside', where kind 'l1' is due"),
    ],
)  # fmt: skip
def test_reorganisations_that_make_no_sense_are_refused(attack: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        attacked(wrong=attack | {"begins": "1min", "lasts": "1s"})
    assert message in str(error.value)
    assert "attacks.wrong" in str(error.value)


DEEP = {"kind": "l1_reorg", "on": "l1", "begins": "1h", "lasts": "1s", "depth": 2}


@pytest.mark.parametrize("settlement", [None, {"kind": "validity_proof"}])
def test_l1_is_not_undone_under_an_assertion(settlement: dict[str, str] | None) -> None:
    plan = Scenario.load(HERE / "scenarios" / "disputes.yaml").resolved()
    plan["attacks"] = {"deep": DEEP}
    for section in ("agents", "metrics") if settlement else ():
        plan[section] = {}
    plan["chains"]["arb"] |= {"settlement": settlement} if settlement else {}
    with pytest.raises(ScenarioError) as error:
        Scenario.of(plan)
    said = "and the proofs, disputes and withdrawals that follow from them, cannot be undone on 'l1', whose blocks attack 'deep' undoes"
    assert f"{said}: leave the attack out; or write 'proposer: null' here" in str(error.value)
    plan["chains"]["arb"]["proposer"] = None
    plan["agents"] = plan["metrics"] = {}
    assert Scenario.of(plan).attacks


def test_who_lies_asserts_without_a_proposer() -> None:
    plan = Scenario.load(HERE / "scenarios" / "disputes.yaml").resolved()
    plan["attacks"]["deep"] = DEEP
    with pytest.raises(ScenarioError) as error:
        Scenario.of(plan)
    assert "whose blocks attack 'deep' undoes: leave the attack out\n" in f"{error.value}\n"


LATER = {"begins": "1h", "lasts": "1d"}


class Herald(Agent):
    """A kind of its own, which asserts as it pleases and says so."""

    about: str = "arb"

    def proposes(self) -> tuple[str, ...]:
        return (self.about,)

    def run(self, me: Seat) -> Waiting:
        yield me.sleep(1)


@pytest.mark.parametrize(
    ("who", "asserts"),
    [
        (LATER | {"kind": "delay_attack", "on": "arb", "early": True}, True),
        (LATER | {"kind": "delay_attack", "on": "arb"}, False),
        (LATER | {"kind": "stalled_game", "on": "arb", "asserts": True}, True),
        (LATER | {"kind": "stalled_game", "on": "arb"}, False),
        (LATER | {"kind": "invalid_assertion", "bridge": "bridge"}, True),
        ({"kind": "staker", "on": "arb", "interval": "2h"}, True),
        ({"kind": "staker", "on": "arb"}, False),
        ({"kind": "herald"}, True),
        ({"kind": "herald", "about": "bridge"}, True),
        ({"kind": "herald", "about": "other"}, False),
    ],
)  # fmt: skip
def test_who_asserts_beside_the_proposer_is_found_by_what_it_says(who: dict[str, Any], asserts: bool) -> None:
    """Whoever asserts something unasked about the rollup; not who only answers, and not who is busy with another rollup."""
    plan = Scenario.load(HERE / "scenarios" / "delay.yaml", ["duration=2d", "metrics.disputes=null"]).resolved()
    plan["chains"]["arb"]["proposer"] = None
    plan["agents"] = plan["attacks"] = {}
    plan["agents" if who["kind"] in ("staker", "herald") else "attacks"] = {"who": who}
    assert Scenario.of(plan)
    plan["attacks"] = plan["attacks"] | {"deep": DEEP | {"begins": "1d"}}
    if not asserts:
        assert Scenario.of(plan)
        return
    with pytest.raises(ScenarioError, match=r"cannot be undone on 'l1', whose blocks attack 'deep' undoes: leave the attack out$"):
        Scenario.of(plan)


class DeeperReorg(L1Reorg):
    """A kind of its own, which says nothing new about what it undoes."""


def test_a_kind_that_inherits_what_it_undoes_is_found_too() -> None:
    plan = Scenario.load(HERE / "scenarios" / "disputes.yaml").resolved()
    plan["attacks"] = {"deep": DEEP | {"kind": "deeper_reorg"}}
    with pytest.raises(ScenarioError, match="whose blocks attack 'deep' undoes"):
        Scenario.of(plan)


def test_undoing_an_assertion_stops_the_run() -> None:
    """Nothing goes on with half of a proof undone, should a world be made past the checks of a scenario."""
    world = World(Scenario.load(HERE / "scenarios" / "disputes.yaml", ["duration=90min"]), Streams(1, 0), reversible=["l1"])
    world.run()
    assert world.chains["arb"].assertions.cases  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"^the blocks of 'l1' cannot be undone: they hold assertions about 'arb'$"):
        reorganize(world.chains["l1"], 2)  # type: ignore[arg-type]


def test_a_sequencer_cannot_take_back_what_is_asserted() -> None:
    plan = Scenario.load(HERE / "scenarios" / "disputes.yaml", ["duration=90min"]).resolved()
    plan["attacks"] = {"breach": {"kind": "sequencer_reorg", "on": "arb", "begins": "65min", "lasts": "1s", "depth": 1_000_000}}
    log = World(Scenario.of(plan), Streams(1, 0)).run()
    (told,) = log.frame("ChainReorganized").itertuples()
    made = log.frame("AssertionMade")
    assert told.first == made[made["time"] < told.time]["last"].max() + 1
    assert made["valid"].all()
    assert not len(undone(log, "AssertionMade"))
