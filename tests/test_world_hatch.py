"""The escape hatch: when it opens, what it pays, once, out of what there is, and what the last final state does not know is void."""

from functools import cache
from typing import Any

import pytest
from worlds import HERE, lived

from l2sim.agents import Agent, Waiting
from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.streams import Streams
from l2sim.units import DAY, HOUR, MINUTE, SECOND
from l2sim.world.reorganization import reorganize
from l2sim.world.seat import Seat
from l2sim.world.world import RunFailed, World

PATH = HERE / "scenarios" / "escape.yaml"


def scenario(*changes: str, **agents: Any) -> Scenario:
    made = Scenario.load(PATH, changes).resolved()
    return Scenario.of(made | {"agents": made["agents"] | agents})


@cache
def log() -> Log:
    return lived(scenario())


def held(log: Log, group: str, place: str, which: str = "closing", asset: str = "usd") -> float:
    frame = log.frame("AccountClosed").query("group == @group and place == @place and asset == @asset")
    return float(frame[which].sum())


def test_it_opens_when_nothing_became_final_for_long_enough_and_not_before() -> None:
    (frozen,) = log().frame("RollupFrozen").itertuples()
    last = log().frame("AssertionConfirmed")["time"].max()
    assert 30 * HOUR < last < 60 * HOUR
    assert last + 2 * DAY <= frozen.time < last + 2 * DAY + 6 * HOUR
    assert frozen.block == log().frame("AssertionConfirmed")["last"].max()
    assert log().frame("BlockSealed").query("chain == 'op'")["time"].max() <= 30 * HOUR


def test_everybody_gets_what_the_last_final_state_says_once() -> None:
    paid = log().frame("FundsEscaped")
    assert len(paid) == 20
    assert paid["account"].is_unique
    assert paid["amount"].tolist() == pytest.approx([1000.0] * 20)
    assert held(log(), "exiters", "l1") == pytest.approx(20_000)
    assert held(log(), "exiters", "op") == 0
    assert held(log(), "bridge", "l1") == pytest.approx(1_000_000 - 20_000)


def test_what_happened_after_that_state_did_not_happen() -> None:
    made = lived(scenario(leaves={"kind": "leaves"}))
    (mine,) = made.frame("FundsEscaped").query("amount > 1500").itertuples()
    assert mine.amount == 4000.0  # after the first purchase, before the second
    assert mine.block < made.frame("TransactionIncluded")["block"].max()


def test_an_escrow_that_holds_too_little_pays_who_comes_first() -> None:
    made = lived(scenario("markets.bridge.escrow=5500"))
    assert made.frame("FundsEscaped")["amount"].tolist() == pytest.approx([1000.0] * 5 + [500.0] + [0.0] * 14)


class Leaves(Agent):
    """Trades like the late one, tries to escape too early, and twice when it may."""

    def arrive(self, me: Seat) -> None:
        me.endow("op", "usd", 5000.0)
        me.endow("op", me.gas_token, 1.0)
        me.endow("l1", me.gas_token, 1.0)

    def run(self, me: Seat) -> Waiting:
        yield me.sleep_until(4 * HOUR)
        me.submit("pool", "buy", 1000.0)
        yield me.sleep_until(29 * HOUR + HOUR // 2)
        me.submit("pool", "buy", 1000.0)
        posted = yield me.escape("bridge")
        assert not posted.answer
        while (opens := me.escapes("bridge")) > me.now:  # type: ignore[operator]
            yield me.sleep_until(opens)
        answers = []
        for _ in range(2):
            posted = yield me.escape("bridge")
            answers.append(posted.answer)
        assert answers == [True, False]


def test_an_escape_before_the_expiry_or_a_second_one_pays_nothing() -> None:
    made = lived(scenario(leaves={"kind": "leaves"}))  # it asserts so itself
    assert (made.frame("FundsEscaped")["account"].value_counts() == 1).all()


@pytest.mark.parametrize("after", ["2d", "1d"])
def test_a_rollup_that_goes_on_is_never_frozen(after: str) -> None:
    """With a day, the first assertion is not final yet when a day has passed, but it was made."""
    made = lived(scenario("chains.op.proposer.interval=6h", f"chains.op.forced_inclusion.escape_after={after}").without_attacks())
    assert "RollupFrozen" not in made
    assert "FundsEscaped" not in made


def test_a_hatch_that_opens_before_anything_can_be_final_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"takes 1 d to be final, so a rollup that works could be stopped after 23 h"):
        scenario("chains.op.forced_inclusion.escape_after=23h")


def test_assertions_that_nobody_proves_do_not_keep_it_shut() -> None:
    made = lived(
        scenario(
            "chains.op.settlement={kind: validity_proof, market: {}}",
            "agents.provers={kind: prover, 'on': op, proving_time: 1000d}",
            "chains.op.proposer.interval=6h",
        ).without_attacks()
    )
    assert made.frame("AssertionMade")["time"].max() > 44 * HOUR
    (frozen,) = made.frame("RollupFrozen").itertuples()
    assert frozen.block == 0
    assert 2 * DAY <= frozen.time < 2 * DAY + 6 * HOUR


class Doubles(Agent):
    """Withdraws after the last final state, has that asserted and held up by challenges, escapes, and waits for the withdrawal."""

    def arrive(self, me: Seat) -> None:
        me.endow("op", "usd", 1000.0)
        me.endow("op", me.gas_token, 1.0)
        me.endow("l1", me.gas_token, 10.0)

    def run(self, me: Seat) -> Waiting:
        docket, bridge = me.settlement("op"), me.bridge("bridge")
        yield me.sleep_until(21 * HOUR)
        me.submit("bridge", "withdraw", 1000.0)
        yield me.sleep_until(25 * HOUR)
        last = docket.head()
        posted = yield docket.propose(last, docket.digest(last))
        (withdrawal,) = (one for one in bridge.withdrawals(0) if one.account == me.accounts.start)
        me.start(bridge.collect(withdrawal.number, withdrawal.account, withdrawal.time))
        for when in (48, 71):
            yield me.sleep_until(when * HOUR)
            challenged = yield docket.challenge(posted.answer, digests=lambda block: 7 if block == last else docket.digest(block))
            assert challenged.answer
        while (opens := me.escapes("bridge")) > me.now:  # type: ignore[operator]
            yield me.sleep_until(opens)
        assert docket.status(posted.answer) == "pending"
        yield me.escape("bridge")


def test_what_was_escaped_is_not_withdrawn_too() -> None:
    made = lived(scenario(doubles={"kind": "doubles"}))
    mine = made.frame("FundsEscaped").query("amount > 0").groupby("account")["amount"].sum()
    assert held(made, "doubles", "l1") == 1000.0
    assert "WithdrawalFinalized" not in made
    assert made.frame("AssertionConfirmed")["number"].tolist() == [0]
    assert made.frame("AssertionRejected")["number"].tolist() == [1]  # what was on its way becomes void, and its bond goes back
    assert held(made, "op.settlement", "l1", asset="gas") == 0
    # Nobody has anything left to claim, and what left the escrow is what was paid.
    assert held(made, "bridge", "l1") == pytest.approx(1_000_000 - mine.sum())


def test_a_withdrawal_in_the_last_final_state_is_paid_after_the_stop() -> None:
    made = lived(scenario(early={"kind": "early"}))
    (frozen,) = made.frame("RollupFrozen")["time"]
    (paid,) = made.frame("WithdrawalFinalized").itertuples()
    assert (paid.amount, paid.time > frozen) == (400.0, True)
    assert held(made, "early", "l1") == 1000.0


class Early(Agent):
    """Withdraws a part before the last final state, and asks for it, and for the rest, after the stop."""

    def arrive(self, me: Seat) -> None:
        me.endow("op", "usd", 1000.0)
        me.endow("op", me.gas_token, 1.0)
        me.endow("l1", me.gas_token, 10.0)

    def run(self, me: Seat) -> Waiting:
        bridge = me.bridge("bridge")
        yield me.sleep_until(4 * HOUR)
        me.submit("bridge", "withdraw", 400.0)
        yield me.sleep_until(110 * HOUR)
        yield me.escape("bridge")
        (withdrawal,) = (one for one in bridge.withdrawals(0) if one.amount == 400.0)
        yield from bridge.collect(withdrawal.number, withdrawal.account, withdrawal.time)


@pytest.mark.parametrize(("begins", "paid"), [("19h", 0), ("21h", 20)])
def test_a_state_whose_data_are_withheld_pays_nobody(begins: str, paid: int) -> None:
    """The committee keeps back what the only assertion, made at 20 h, is about; or it begins too late for that."""
    made = scenario("chains.op.availability={kind: committee}").resolved()
    made["attacks"]["dark"] = {"kind": "data_withholding", "on": "op", "members": 6, "begins": begins, "lasts": "10d"}
    del made["attacks"]["gone"]
    log = lived(Scenario.of(made))
    assert len(log.frame("RollupFrozen")) == 1
    assert (len(log.frame("FundsEscaped")) if "FundsEscaped" in log else 0) == paid


def test_a_sequencer_that_comes_back_too_late_makes_no_block() -> None:
    made = lived(scenario("attacks.gone.lasts=4d", "duration=7d", "agents.late.steps.is_void.at=150h"))
    assert len(made.frame("RollupFrozen")) == 1
    assert made.frame("TransactionIncluded")["time"].max() < 30 * HOUR


def test_without_a_hatch_who_tries_is_told() -> None:
    with pytest.raises(ScenarioError, match=r"write how long under 'chains.op.forced_inclusion.escape_after'"):
        scenario("chains.op.forced_inclusion.escape_after=null")
    with pytest.raises(RunFailed, match=r"nothing escapes through 'bridge'"):
        lived(scenario("chains.op.forced_inclusion.escape_after=null", "agents.exiters=null", leaves={"kind": "leaves"}))


REORG = "attacks.reorg={kind: l1_reorg, on: l1, begins: 48h2min, lasts: 1s, depth: 12}"


@pytest.mark.parametrize("reorg", [REORG, "attacks.reorg={kind: consecutive_slots_reorg, on: l1, begins: 48h, lasts: 1h, group: bad}"])
def test_l1_is_not_undone_where_a_hatch_may_open(reorg: str) -> None:
    """Where nothing is asserted it opens after all, and pays what the rollup began with."""
    alone = "chains.op.proposer=null", "chains.l1.consensus={kind: casper, groups: {bad: {stake: 3000000 ETH}, good: {stake: 7000000 ETH}}}"
    said = "cannot be undone on 'l1', whose blocks attack 'reorg' undoes: leave the attack out"
    remedy = "write 'escape_after: null' under 'chains.op.forced_inclusion', so that it never opens"
    with pytest.raises(ScenarioError, match=f"chains.op.forced_inclusion.escape_after: .*{said}; or {remedy}") as caught:
        scenario(*alone, reorg)
    assert len(caught.value.mistakes) == 1
    assert scenario(*alone, reorg, "chains.op.forced_inclusion.escape_after=null", "agents.exiters=null").attacks
    assert scenario(*alone).attacks


def test_undoing_what_left_through_the_hatch_stops_the_run() -> None:
    """Nobody's money is lost on both sides, should a world be made past the checks of a scenario."""
    world = World(scenario("chains.op.proposer=null", "duration=3d"), Streams(1, 0), reversible=["l1"])
    log = world.run()
    assert len(log.frame("FundsEscaped")) == 20
    said = r"^the blocks of 'l1' cannot be undone: they hold the stop of 'op', and what left it since$"
    with pytest.raises(TypeError, match=said):
        reorganize(world.chains["l1"], 2)  # type: ignore[arg-type]


def test_exiters_leave_by_a_bridge() -> None:
    lending = "markets.loans={kind: lending_pool, on: op, reserves: {usd: {}}}"
    with pytest.raises(
        ScenarioError, match=r"agents.exiters.market: 'loans' is of kind 'lending_pool', where a bridge is due; bridges are"
    ):
        scenario(lending, "agents.exiters.market=loans")


# ---- a hatch that opens on a request that is not served

ON_REQUESTS = "chains.op.forced_inclusion={kind: priority_queue, escape_after: 2d, escape_when: unserved}"
GOES_ON = "chains.op.proposer.interval=6h"


class Tries(Agent):
    """Forces a purchase at some hour, if it does, and tries to escape in the last hours."""

    asks_at: float | None = None

    def arrive(self, me: Seat) -> None:
        me.endow("op", "usd", 5000.0)
        me.endow("op", me.gas_token, 1.0)
        me.endow("l1", me.gas_token, 1.0)

    def run(self, me: Seat) -> Waiting:
        if self.asks_at is not None:
            yield me.sleep_until(int(self.asks_at * HOUR))
            me.force("pool", "buy", 1000.0)
        yield me.sleep_until(120 * HOUR)
        yield me.escape("bridge")


def tried(*settings: str, asks_at: float | None = None, attacks: bool = True) -> Log:
    who = "agents.exiters=null", f"agents.tries={{kind: tries, asks_at: {'null' if asks_at is None else asks_at}}}"
    made = scenario(ON_REQUESTS, *settings, *who)
    return lived(made if attacks else made.without_attacks())


def test_where_nobody_asked_it_stays_shut_however_long_the_operator_is_gone() -> None:
    assert "RollupFrozen" not in tried()
    made = tried(asks_at=40)
    (frozen,) = made.frame("RollupFrozen").itertuples()
    assert 120 * HOUR <= frozen.time < 121 * HOUR
    assert made.frame("FundsEscaped")["amount"].tolist() == [5000.0]  # the purchase was in no block


@pytest.mark.parametrize(("asks_at", "opens"), [(71.5, True), (72.5, False)])
def test_it_opens_when_the_grace_of_the_request_is_over(asks_at: float, opens: bool) -> None:
    assert ("RollupFrozen" in tried(asks_at=asks_at)) == opens


def test_who_leaves_asks_first_and_everybody_escapes_when_the_grace_is_over() -> None:
    made = lived(scenario(ON_REQUESTS, "agents.exiters.patience=1d"))
    (asked,) = made.frame("MessageQueued").itertuples()
    last = made.frame("AssertionConfirmed")["time"].max()
    assert last + DAY <= asked.time < last + DAY + MINUTE
    (frozen,) = made.frame("RollupFrozen").itertuples()
    assert asked.l1_block * 12 * SECOND + 2 * DAY <= frozen.time < asked.time + 2 * DAY + 6 * HOUR
    assert made.frame("FundsEscaped")["amount"].tolist() == pytest.approx([1000.0] * 20)
    assert held(made, "bridge", "l1") == pytest.approx(1_000_000 - 20_000)


def test_a_request_that_is_served_opens_nothing_whoever_sees_to_it() -> None:
    made = tried(GOES_ON, asks_at=40, attacks=False)
    assert len(made.frame("MessageIncluded")) == 1
    assert "RollupFrozen" not in made


def test_who_is_left_out_may_stop_a_rollup_that_goes_on_without_him() -> None:
    """Its assertions keep a hatch shut that opens on silence, not one that opens on requests."""
    settings = GOES_ON, "attacks.gone={kind: censorship, on: op, agents: [tries], begins: 30h, lasts: 10d}"
    made = tried(*settings, asks_at=40)
    assert made.frame("AssertionConfirmed")["time"].max() > 115 * HOUR
    assert len(made.frame("RollupFrozen")) == 1
    assert "RollupFrozen" not in tried(*settings, "chains.op.forced_inclusion.escape_when=silent", asks_at=40)


def test_what_is_in_a_block_but_never_proved_is_not_served() -> None:
    """An assertion that stands is enough where nobody has to prove it."""
    never = "agents.provers={kind: prover, 'on': op, proving_time: 1000d}"
    bought = "chains.op.settlement={kind: validity_proof, market: {}}", never
    for settlement, frozen in ((bought, 1), (("chains.op.settlement={kind: optimistic, window: 1d}",), 0)):
        made = tried(*settlement, GOES_ON, asks_at=40, attacks=False)
        assert len(made.frame("MessageIncluded")) == 1
        assert (len(made.frame("RollupFrozen")) if "RollupFrozen" in made else 0) == frozen


def test_an_operator_that_comes_back_in_time_serves_the_request_and_its_money_is_paid() -> None:
    settings = GOES_ON, "chains.op.proposer.phase=2h", "agents.exiters.patience=8h", "attacks.gone.lasts=50h"
    made = lived(scenario(ON_REQUESTS, *settings))
    (asked,) = made.frame("MessageQueued").itertuples()
    assert 60 * HOUR < asked.time < 80 * HOUR
    assert "RollupFrozen" not in made
    (paid,) = made.frame("WithdrawalFinalized").itertuples()
    assert paid.amount == pytest.approx(1000.0)
    assert held(made, "exiters", "l1") == pytest.approx(1000.0)


def test_whose_request_was_served_has_nothing_more_to_ask_for() -> None:
    """L1 sees something of the rollup only every forty hours: longer than patience lasts, and served in time all the same."""
    slow = "chains.op.proposer.interval=40h", "chains.op.proposer.phase=1h", "agents.exiters.patience=6h", "agents.exiters.size=1"
    deposits = "chains.op.forced_inclusion={kind: op_deposits, escape_after: 2d, escape_when: unserved}"
    made = lived(scenario(deposits, *slow, "attacks.gone=null", "duration=12d"))
    assert len(made.frame("MessageQueued")) == 1
    assert made.frame("TransactionIncluded").query("action == 'withdraw'")["status"].tolist() == [0]
    assert made.frame("WithdrawalFinalized")["amount"].tolist() == pytest.approx([1000.0])
    assert "RollupFrozen" not in made


def test_where_nothing_can_be_asked_for_it_opens_on_silence_only() -> None:
    with pytest.raises(ScenarioError, match=r"nothing can be sent through L1 and stay unserved: write 'escape_when: silent'"):
        scenario("chains.op.forced_inclusion.escape_when=unserved")
