"""Messages through L1 in a run: who pays what, what is refused, and what becomes of them when blocks are undone."""

from typing import Any

import pytest
from test_validation_inclusion import PATH, ROLLUPS, first_after, holds, scenario, sent, times
from worlds import lived

from l2sim.agents import Agent, Waiting
from l2sim.log import Log
from l2sim.scenario import Scenario, ScenarioError
from l2sim.streams import Streams
from l2sim.units import ETH, SECOND
from l2sim.world.forced import Message
from l2sim.world.seat import Seat
from l2sim.world.world import RunFailed, World


def out(chain: str, begins: str = "5min", lasts: str = "60h") -> dict[str, Any]:
    return {"kind": "sequencer_outage", "on": chain, "begins": begins, "lasts": lasts}


def changes(log: Log, group: str, place: str, asset: str = "gas") -> float:
    frame = log.frame("AccountClosed").query("group == @group and place == @place and asset == @asset")
    return float((frame["closing"] - frame["opening"]).sum())


# ---- money


def test_the_sender_pays_gas_on_l1_and_the_queues_fee_to_the_operator() -> None:
    log = lived(scenario("2h", steps={f"s{i}": sent("taiko", 700.0 + 13 * i) for i in range(60)}))
    queued = log.frame("MessageQueued")
    gas = queued["cost"] - log.frame("MessageQueued")["cost"].min()
    assert len(queued) == 60
    # As many as wait raise the fee, in proportion; it goes to the chain, and nothing else does, whose gas is free.
    waiting = [sum(holds(700.0 + 13 * j) < holds(700.0 + 13 * i) + (j < i) for j in range(i)) for i in range(60)]
    assert len(set(waiting)) > 20
    assert gas.iloc[40] > gas.iloc[0]
    fees = changes(log, "taiko", "l1")
    assert 60 * 0.001 < fees < 60 * 0.002
    assert changes(log, "user", "l1") == pytest.approx(-queued["cost"].sum(), rel=1e-12)


def test_a_fee_that_cannot_be_paid_keeps_a_message_out() -> None:
    poor = {"taiko": sent("taiko", 700.0)}
    made = scenario("1h", steps=poor, taiko={"forced_inclusion": {"kind": "inclusion_queue", "fee": "2 ETH"}})
    log = lived(made)
    assert "MessageQueued" not in log
    assert "MessageIncluded" not in log


def test_a_deposit_pays_nothing_on_the_rollup_and_a_delayed_message_does() -> None:
    fee = {"fee": {"kind": "constant", "fee": "1 gwei"}}
    log = lived(scenario("1h", steps={"a": sent("op", 700.0), "b": sent("arb", 700.0)}, op=fee, arb=fee))
    rows = log.frame("TransactionIncluded").set_index("chain")
    assert rows.loc["op", "execution_fee"] == 0
    assert rows.loc["op", "gas"] == 0
    assert rows.loc["arb", "execution_fee"] == pytest.approx(120_000e-9)
    assert (rows["data_fee"] == 0).all()
    assert changes(log, "arb", "arb") == pytest.approx(120_000e-9)
    assert changes(log, "op", "op") == 0


# ---- what happens to blocks


def test_a_sequencer_that_is_back_takes_what_waits_at_once() -> None:
    log = lived(scenario("3h", {"out": out("op", "5min", "1h")}, {"a": sent("op", 700.0)}))
    (row,) = log.frame("MessageIncluded").itertuples()
    assert row.time / SECOND == first_after(300 + 3600 - 1)
    assert row.how == "usual"


def test_a_sequencer_that_takes_its_blocks_back_cannot_lose_a_message() -> None:
    attack = {"kind": "sequencer_reorg", "on": "op", "begins": "800s", "lasts": "1min", "depth": 20, "lost": "100 %"}
    log = lived(scenario("1h", {"breach": attack}, {"a": sent("op", 650.0), "b": sent("op", 5.0)}))
    frame = log.frame("MessageIncluded", reverted=True)
    assert frame["number"].tolist() == [0, 1, 1]
    assert frame["canonical"].tolist() == [True, False, True]
    rows = log.frame("TransactionIncluded")
    assert len(rows) == 2
    assert (rows["status"] == 0).all()
    assert rows["time"].iloc[1] / SECOND == first_after(800)


@pytest.mark.parametrize(("begins", "times_queued"), [("720s", 2), ("780s", 2)])
def test_l1_may_undo_the_block_of_a_message_before_or_after_the_rollup_has_it(begins: str, times_queued: int) -> None:
    """The rollup executes it once, whichever comes first."""
    attack = {"kind": "l1_reorg", "on": "l1", "begins": begins, "lasts": "1min", "depth": 12}
    log = lived(scenario("1h", {"deep": attack}, {"a": sent("op", 700.0)}))
    assert len(log.frame("ChainReorganized")) == 1
    assert len(log.frame("TransactionIncluded")) == 1
    included = log.frame("MessageIncluded")
    assert len(included) == 1
    if begins == "720s":  # it went into L1 again, and is counted from there
        assert included["time"].iloc[0] / SECOND > times(lived(scenario("1h", steps={"a": sent("op", 700.0)})))["op"]


def both(chain: str, deep: str, breach: str, depth: int = 12) -> dict[str, Any]:
    """L1 undoes its latest blocks, and the rollup's sequencer its own."""
    return {
        "deep": {"kind": "l1_reorg", "on": "l1", "begins": deep, "lasts": "1s", "depth": depth},
        "breach": {"kind": "sequencer_reorg", "on": chain, "begins": breach, "lasts": "1s", "depth": 60, "lost": "0 %"},
    }


@pytest.mark.parametrize("breach", ["781s", "790s", "793s"])
def test_a_message_that_both_chains_undo_is_executed_once(breach: str) -> None:
    """Sent in slot 59 and executed at 780 s; L1 takes it again in slot 66, at 792 s, and its confirmations count from there."""
    log = lived(scenario("1h", both("op", "780s", breach), {"a": sent("op", 700.0)}))
    assert log.frame("MessageIncluded", reverted=True)["canonical"].tolist() == [False, True]
    (row,) = log.frame("MessageIncluded").itertuples()
    assert (row.l1_block, row.time / SECOND) == (66, first_after(70 * 12))
    assert (log.frame("TransactionIncluded")["time"] == row.time).all()
    assert len(log.frame("TransactionIncluded")) == 1


def test_a_message_that_l1_took_again_late_is_behind_what_came_before_it() -> None:
    """In the queue is the order of L1, as it is now."""
    forced = World(scenario("1h"), Streams(1, 0)).chains["op"].forced  # type: ignore[attr-defined]
    late, early = (Message(0, 0, 0, tie, lambda arrives: ()) for tie in (1, 2))
    late.number, late.block, early.number, early.block = 0, 5, 1, 6
    forced.included, forced.pending = {1: late}, [early]
    forced.unsent(4)
    assert (late.block, early.block, forced.pending) == (-1, -1, [])
    late.block, early.block = 9, 8
    forced.pending = [early]
    forced.put_back({1})
    assert forced.pending == [early, late]


def test_a_message_that_was_forced_and_then_undone_by_both_chains_is_not_left_out() -> None:
    """Who sent it was told that it is in a block, and calls no more."""
    attack = {"kind": "censorship", "on": "zk", "agents": ["user"], "begins": "0 s", "lasts": "60h"}
    expires = {"forced_inclusion": {"kind": "priority_queue", "expiration": "2min"}}
    made = scenario("1h", {"attack": attack} | both("zk", "861s", "862s", 20), {"a": sent("zk", 700.0)}, zk=expires)
    frame = lived(made).frame("MessageIncluded", reverted=True)
    assert frame["how"].tolist() == ["forced", "forced"]
    assert frame["canonical"].tolist() == [False, True]


def test_a_message_that_was_due_long_ago_when_its_block_is_undone_is_in_a_block_of_now() -> None:
    attacks = {"out": out("op"), "breach": both("op", "1h", "1101s")["breach"]}
    window = {"batch_poster": None, "forced_inclusion": {"kind": "op_deposits", "window": 20, "drift": "2min"}}
    log = lived(scenario("1h", attacks, {"a": sent("op", 700.0)}, op=window))
    assert (log.frame("MessageIncluded", reverted=True)["time"] / SECOND).tolist() == [(holds(700.0) + 20) * 12, 1101]


def test_blocks_are_executed_again_with_the_messages_in_them() -> None:
    made = scenario("1h", steps={"a": sent("op", 700.0), "b": sent("op", 900.0)})
    straight = lived(made)
    world = World(made, Streams(1, 0), reversible=("op",))

    def look(now: int, _: int) -> None:
        if now > 1500 * SECOND and not world.chains["op"].history.executed:  # type: ignore[union-attr]
            history = world.chains["op"].history
            assert history is not None
            replica = history.replica(world.chains["op"].height)
            assert replica.digest() == history.digest(world.chains["op"].height)

    log = world.run(look)
    for name in ("TransactionIncluded", "MessageIncluded", "AccountClosed"):
        assert log.frame(name).drop(columns="canonical", errors="ignore").equals(straight.frame(name))


def test_priority_mode_ends_all_other_transactions() -> None:
    expires = {"forced_inclusion": {"kind": "priority_queue", "expiration": "20min"}}
    attack = {"kind": "censorship", "on": "zk", "agents": ["user"], "begins": "0 s", "lasts": "60h"}
    made = scenario("2h", {"attack": attack}, {"a": sent("zk", 700.0)}, zk=expires)
    others = {f"o{i}": sent("zk", 600.0 + 300 * i) | {"forced_after": None} for i in range(10)}
    written = made.resolved()
    written["agents"]["others"]["steps"] = others
    made = Scenario.of(written)
    log = lived(made)
    (message,) = log.frame("MessageIncluded").itertuples()
    assert message.how == "forced"
    rows = log.frame("TransactionIncluded")
    assert rows["time"].max() == message.time
    assert 3 < len(rows) < 10


# ---- refusals


class Impatient(Agent):
    """Calls the contract before its time, and again and again."""

    def arrive(self, me: Seat) -> None:
        me.endow("l1", me.gas_token, 1.0)
        me.endow("arb", "usd", 100.0)

    def run(self, me: Seat) -> Waiting:
        me.force("arb_pool", "buy", 10.0)
        forced = me._world.chains["arb"].forced
        assert forced is not None
        yield me.sleep(3600 * SECOND)
        (message,) = forced.pending
        for _ in range(3):
            yield me.post("l1", 100_000, lambda cost: forced.force(message, me.accounts.start, cost))


def test_a_call_before_its_time_is_refused_and_costs_its_gas() -> None:
    made = scenario("27h", {"out": out("arb", "0 s")}, {})
    made = Scenario.of(made.resolved() | {"agents": made.resolved()["agents"] | {"impatient": {"kind": "impatient"}}})
    log = lived(made)
    forced = log.frame("MessageForced")
    assert forced["accepted"].tolist() == [0, 0, 0, 1]
    assert (forced["cost"] > 0).all()
    (row,) = log.frame("MessageIncluded").itertuples()
    assert row.time / SECOND == 5762 * 12  # sent at 0, in L1's first block


def test_where_nothing_goes_through_l1_who_tries_is_told() -> None:
    class Forces(Agent):
        """Sends something through L1, whatever the rollup says."""

        def run(self, me: Seat) -> Waiting:
            yield me.sleep_until(700 * SECOND)
            me.force("op_pool", "buy", 10.0)

    def tries(inclusion: dict[str, str] | None, agents: dict[str, Any]) -> Scenario:
        made = scenario("1h", steps={"a": sent("op", 700.0) | {"forced_after": None}}, op={"forced_inclusion": inclusion}).resolved()
        return Scenario.of(made | {"agents": made["agents"] | agents})

    with pytest.raises(RunFailed, match=r"nothing reaches 'op' through L1: its forced inclusion is of kind 'none'"):
        lived(tries({"kind": "none"}, {"forces": {"kind": Forces.kind}}))
    with pytest.raises(RunFailed, match=r"nothing reaches 'op' through L1: give it 'forced_inclusion'"):
        lived(tries(None, {"forces": {"kind": Forces.kind}}))


@pytest.mark.parametrize(("inclusion", "has"), [(None, "has none"), ({"kind": "none"}, "has kind 'none'")])
def test_a_step_that_nothing_lets_through_l1_is_refused_before_the_run(inclusion: dict[str, str] | None, has: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario("1h", steps={"a": sent("op", 700.0)}, op={"forced_inclusion": inclusion})
    (mistake,) = map(str, caught.value.mistakes)
    assert "agents.user.steps.a.forced_after: nothing reaches 'op' through an L1, whose 'forced_inclusion' " + has in mistake
    assert "leave 'forced_after' out, or write another kind under 'chains.op.forced_inclusion'" in mistake


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("chains.op.settles_on=null", "forced inclusion goes through an L1"),
        ("agents.user.steps.op.then={market: op_pool, action: buy}", "only a transaction of one act can go through L1"),
        ("chains.op.forced_inclusion.kind=op_deposit", "did you mean 'op_deposits'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(change: str, problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        Scenario.load(PATH, [change, *(["chains.op.batch_poster=null"] if "settles_on" in change else [])])


def test_who_waits_in_vain_goes_through_l1_and_who_does_not_stays() -> None:
    attack = {"kind": "censorship", "on": "op", "agents": ["user"], "begins": "0 s", "lasts": "60h", "through_l1": False}
    patient = sent("op", 700.0) | {"forced_after": "5min"}
    log = lived(scenario("1h", {"attack": attack}, {"a": patient}))
    (row,) = log.frame("TransactionIncluded").itertuples()
    assert row.time / SECOND == first_after((holds(1000.0) + 4) * 12)
    assert log.frame("TransactionDropped")["status"].tolist() == [20]
    calm = lived(scenario("1h", steps={"a": patient}))
    assert "MessageQueued" not in calm
    assert calm.frame("TransactionIncluded")["time"].iloc[0] / SECOND == first_after(700.0)


def test_the_rollups_of_the_scenario_are_those_looked_at() -> None:
    assert set(Scenario.load(PATH).chains) == {"l1", *ROLLUPS}
    assert ETH == 10**18
