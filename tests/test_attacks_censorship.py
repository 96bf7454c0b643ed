"""A sequencer that leaves transactions out: whose, which, for how long; and that everything else goes on as it did."""

from functools import cache
from typing import Any

import pytest
from test_validation_inclusion import scenario
from worlds import differences, frames, lived, small

from l2sim.events import TransactionIncluded
from l2sim.events.inclusion import TransactionCensored
from l2sim.log import Log
from l2sim.metrics.censorship_delay import CensorshipDelay
from l2sim.scenario import Scenario, ScenarioError
from l2sim.streams import Streams
from l2sim.units import MINUTE, SECOND
from l2sim.world.world import World

WHO = {"kind": "censorship", "on": "arb", "begins": "2min", "lasts": "3min"}


@cache
def censored(**which: Any) -> Log:
    return lived(Scenario.of(small("duration=8min").resolved() | {"attacks": {"censor": WHO | {k: list(v) for k, v in which.items()}}}))


@cache
def calm() -> Log:
    return lived(small("duration=8min").without_attacks())


def of(log: Log, group: str, table: str = "TransactionIncluded") -> Any:
    return frames(log)[table].query(f"sender.str.startswith('{group}/')", engine="python")


def test_until_it_begins_nothing_differs() -> None:
    assert differences(frames(censored(agents=("traders",)), before=2 * MINUTE), frames(calm(), before=2 * MINUTE)) == []


def test_the_agents_named_wait_and_nobody_else_does() -> None:
    log = censored(agents=("traders",))
    rows, others = of(log, "traders"), frames(log)["TransactionIncluded"]
    assert not rows["time"].between(2 * MINUTE + SECOND, 5 * MINUTE).any()
    assert others["time"].between(2 * MINUTE + SECOND, 5 * MINUTE).sum() > 20
    # When it is over, what waited is taken, with the time at which it was sent; who had a deadline gave up.
    told = frames(log)["TransactionCensored"]
    late = rows[rows["submitted"].isin(told["submitted"]) & (rows["time"] >= 5 * MINUTE)]
    given_up = of(log, "traders", "TransactionDropped")["submitted"].isin(told["submitted"]).sum()
    assert len(told) == len(late) + given_up > 20
    assert set(told["sender"].str.split("/").str[0]) == {"traders"}
    assert (late["time"] > 5 * MINUTE).all()


def test_actions_and_markets_are_left_out_by_name() -> None:
    log = censored(markets=("pool",), actions=("buy",))
    rows = frames(log)["TransactionIncluded"].query("time > 120.5e9 and time <= 300e9")
    pool = rows.query("market == 'pool'")
    assert "buy" not in set(pool["action"])
    assert {"sell"} <= set(pool["action"])
    assert len(rows) > len(pool)


def test_the_delay_is_counted_from_the_first_attempt() -> None:
    log = censored(agents=("traders",))
    by_chain, by_agent = (CensorshipDelay(by=by).measure(log) for by in ("chain", "agent"))  # type: ignore[arg-type]
    assert by_chain.loc["arb", "attempts"] == by_agent.loc["traders", "attempts"] > 10
    assert 0 < by_chain.loc["arb", "mean"] < by_chain.loc["arb", "max"] < 400
    assert CensorshipDelay().measure(calm()).loc["arb"].drop(["attempts", "never", "failed"]).isna().all()


def test_attempts_before_a_block_has_it_are_one() -> None:
    """Sent at 1 s and 5 s, in a block at 11 s; sent anew at 20 s, in one at 22 s: the delays are 10 s and 2 s."""
    log = Log()
    log.about = {"duration": MINUTE, "chains": {"arb": {"kind": "rollup"}}, "markets": {"pool": {"on": "arb"}}}
    for seconds in (1, 5, 20):
        log.record(seconds * SECOND, TransactionCensored("arb", seconds * SECOND, 3, "pool", "buy"))
    for seconds, since in ((11, 5), (22, 20)):
        log.record(seconds * SECOND, TransactionIncluded("arb", 1, since * SECOND, 3, "pool", "buy", 0, 21_000, 0.0, 0.0, 0.0, 0.0))
    assert CensorshipDelay().measure(log).loc["arb", ["attempts", "mean", "max"]].tolist() == [2, 6, 10]


def standing(**changes: Any) -> Scenario:
    return small("duration=8min").vary({"chains.arb.sequencer.censors": ["traders"], **changes})


def test_a_sequencer_may_leave_somebody_out_for_good() -> None:
    told = lived(standing().without_attacks())
    always = Scenario.of(
        small("duration=8min").resolved() | {"attacks": {"censor": WHO | {"begins": 0, "lasts": "8min", "agents": ["traders"]}}}
    )
    attacked = lived(always)
    assert len(told.tables["TransactionCensored"]) > 20
    for table in ("TransactionIncluded", "TransactionCensored", "TransactionDropped"):
        assert frames(told)[table].equals(frames(attacked)[table])
    assert not len(of(told, "traders"))
    by_engine = {World(standing().without_attacks(), Streams(1, 0), {}, engine).run().digest for engine in ("lists", "arrays")}
    assert by_engine == {told.digest}


def test_what_it_leaves_out_of_its_own_accord_outlasts_an_attack() -> None:
    log = lived(Scenario.of(standing().resolved() | {"attacks": {"censor": WHO | {"markets": ["pool"], "actions": ["buy"]}}}))
    assert not len(of(log, "traders"))
    buys = frames(log)["TransactionIncluded"].query("market == 'pool' and action == 'buy'")["time"]
    assert not buys.between(2 * MINUTE + SECOND, 5 * MINUTE).any()
    assert len(buys[buys > 5 * MINUTE])
    with pytest.raises(ScenarioError) as error:
        small().vary({"chains.arb.sequencer.censors": ["trader"]})
    assert "there is no agent 'trader'; did you mean 'traders'?" in str(error.value)


def test_never_is_no_delay() -> None:
    attack = {"kind": "censorship", "on": "zk", "agents": ["user"], "begins": "0 s", "lasts": "60h"}
    steps = {"a": {"at": "700s", "market": "zk_pool", "action": "buy", "fields": {"quote_in": "10 USD"}, "forced_after": "5min"}}
    made = CensorshipDelay().measure(lived(scenario("3h", {"attack": attack}, steps)))
    assert made.loc["zk", ["attempts", "never"]].tolist() == [1, 1]
    assert made.loc["zk"].drop(["attempts", "never", "failed"]).isna().all()
    assert made.loc["op", "attempts"] == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, "leaves nothing out"),
        ({"agents": ["nobody"]}, "there is no agent 'nobody'"),
        ({"markets": ["poool"]}, "did you mean 'pool'"),
        ({"agents": ["traders"], "on": "l1"}, "'l1'"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        Scenario.of(small().resolved() | {"attacks": {"censor": WHO | change}})
