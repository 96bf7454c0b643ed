"""Deposits: escrow and rollup agree, credits wait for their confirmations, and what either chain undoes is not handed out twice."""

from collections.abc import Iterator
from typing import Any

import pytest
from validation import SCENARIOS

from l2sim.agents import Agent, Waiting
from l2sim.log import Log
from l2sim.part import ROOMS, room
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.units import SECOND
from l2sim.world.bridge import LiveBridge
from l2sim.world.deposits import Deposits
from l2sim.world.world import RunFailed, World

SLOT = 12 * SECOND


@pytest.fixture(autouse=True)
def payer() -> Iterator[None]:
    """An agent that deposits, known for one test."""
    before = dict(room("agents").kinds())

    class Payer(Agent):
        """Deposits some of what it has, and then more than that."""

        begins: int = 100
        """Seconds."""

        def arrive(self, me: Any) -> None:
            me.endow("l1", "usd", 500.0)
            me.endow("l1", me.gas_token, 1.0)
            me.endow("op", me.gas_token, 1.0)

        def run(self, me: Any) -> Waiting:
            yield me.sleep(self.begins * SECOND)
            assert (yield me.bridge("bridge").deposit(300.0))
            assert me.balance("op", "usd") == 300.0
            me.submit("bridge", "withdraw", 100.0)
            yield me.sleep(600 * SECOND)
            assert not (yield me.bridge("bridge").deposit(300.0))

    assert Payer.kind
    yield
    ROOMS["agents"]._kinds = before


def lived(*settings: str) -> tuple[World, Log]:
    settings = settings if any(one.startswith("agents.") for one in settings) else ("agents.payers={kind: payer}", *settings)
    world = World(Scenario.load(SCENARIOS / "deposits.yaml", settings), Streams(1, 0))
    return world, world.run()


def settled(world: World, log: Log) -> None:
    """The escrow has what was deposited, the rollup what it handed out, and nobody gained or lost but for gas."""
    made, withdrawn = 300.0, log.frame("WithdrawalInitiated")["amount"].sum()
    assert world.ledger.held("l1", "usd", "bridge") == 1000.0 + made
    assert world.ledger.held("l1", "usd", "payers") == 200.0
    assert world.ledger.held("op", "usd", "payers") == made - withdrawn
    assert world.ledger.held("op", "usd", "bridge") == withdrawn - made
    closed = log.frame("AccountClosed")
    assert closed[(closed["group"] == "payers") & (closed["asset"] == "usd")]["value"].sum() == pytest.approx(0.0)


@pytest.mark.parametrize("depth", [0, 1, 4, 20])
def test_a_deposit_is_handed_out_after_its_confirmations(depth: int) -> None:
    world, log = lived(f"markets.bridge.deposit_confirmations={depth}")
    made, credited = log.frame("DepositMade"), log.frame("DepositCredited")
    assert made["time"].tolist() == [9 * SLOT]
    waited = credited["time"][0] - made["time"][0]
    assert depth * SLOT <= waited <= depth * SLOT + 2 * SECOND
    assert log.frame("DepositRefused")["held"].tolist() == [200.0]
    settled(world, log)


def test_missed_slots_confirm_nothing() -> None:
    _, log = lived("chains.l1.missed=60 %")
    made, credited = log.frame("DepositMade")["time"][0], log.frame("DepositCredited")["time"][0]
    blocks = log.frame("BlockSealed").query("chain == 'l1'")["time"]
    assert ((blocks > made) & (blocks <= credited)).sum() == 4
    assert credited - made > 4 * SLOT + 2 * SECOND


def test_a_rollup_without_blocks_hands_nothing_out() -> None:
    outage = "attacks.outage={kind: sequencer_outage, on: op, begins: 90s, lasts: 10min}"
    world, log = lived(outage)
    assert log.frame("DepositCredited")["time"][0] >= 690 * SECOND
    settled(world, log)


# ---- either chain undoes its blocks


def reorg(at: int, depth: int, what: str = "l1_reorg", on: str = "l1") -> str:
    lost = ", lost: 100 %" if what == "sequencer_reorg" else ""
    return f"attacks.again={{kind: {what}, on: {on}, begins: {at}s, lasts: 1s, depth: {depth}{lost}}}"


def test_a_shallow_reorganisation_delays_the_credit() -> None:
    """The deposit's block, of slot 9, is undone after two more; it goes into that of slot 12, and four more must follow."""
    world, log = lived(reorg(133, 3))
    assert log.frame("DepositUndone")[["number", "credited"]].to_numpy().tolist() == [[1, 0]]
    assert log.frame("DepositMade")["l1_block"].tolist() == [9, 12]
    credited = log.frame("DepositCredited")
    assert len(credited) == 1
    assert 16 * SLOT <= credited["time"][0] <= 16 * SLOT + 2 * SECOND
    settled(world, log)


def test_a_deep_one_takes_back_what_was_handed_out() -> None:
    """Credited after slot 13; at slot 14 all since slot 8 is undone: so are the rollup's blocks, and what they held is pending again."""
    world, log = lived(reorg(14 * 12 + 1, 6))
    assert log.frame("DepositUndone")["credited"].tolist() == [0]
    made, credited = log.frame("DepositMade"), log.frame("DepositCredited")
    assert made["l1_block"].tolist() == [9, 15]
    assert len(credited) == 2
    assert credited["time"][1] >= 19 * SLOT
    undone = log.frame("ChainReorganized").query("chain == 'op'")
    assert undone["first"].tolist() == [credited["block"][0]]
    settled(world, log)


def test_a_withdrawal_through_l1_is_not_made_twice_where_a_deposit_takes_its_block_back() -> None:
    """The rollup's blocks are undone for the deposit's sake, while L1 has neither of the two."""

    class Both(Agent):
        """Withdraws through L1, and deposits."""

        def arrive(self, me: Any) -> None:
            me.endow("l1", "usd", 500.0)
            me.endow("l1", me.gas_token, 1.0)
            me.endow("op", "usd", 200.0)

        def run(self, me: Any) -> Waiting:
            yield me.sleep(100 * SECOND)
            me.force("bridge", "withdraw", 30.0)
            yield me.bridge("bridge").deposit(300.0)

    assert Both.kind
    rollup = "chains.op.forced_inclusion={kind: op_deposits, confirmations: 5}", "chains.op.sequencer.block_time=30s"
    world, log = lived(reorg(215, 10), "agents.both={kind: both}", "markets.bridge.deposit_confirmations=3", *rollup)
    assert log.frame("ChainReorganized")["chain"].tolist() == ["op", "l1"]
    assert log.frame("WithdrawalInitiated")["amount"].tolist() == [30.0]
    assert log.frame("MessageIncluded")["number"].tolist() == [0]
    assert world.ledger.held("op", "usd", "both") == 200.0 - 30.0 + 300.0


def test_one_at_the_instant_of_the_credit_takes_it_out_of_the_next_block() -> None:
    world, log = lived(reorg(13 * 12, 6), "chains.op.sequencer.block_time=12s")
    assert log.frame("DepositMade")["l1_block"].tolist() == [9, 14]
    settled(world, log)


def test_what_is_in_a_batch_stands_and_is_handed_out_once() -> None:
    world, log = lived(reorg(16 * 12 + 6, 8), "chains.op.batch_poster.max_delay=2s")
    assert log.frame("DepositUndone")["credited"].tolist() == [1]
    assert len(log.frame("DepositCredited")) == 1
    assert len(log.frame("DepositMade")) == 2
    settled(world, log)


def test_what_the_sequencer_undoes_is_handed_out_again() -> None:
    world, log = lived(reorg(13 * 12 + 20, 15, "sequencer_reorg", "op"))
    assert len(log.frame("DepositCredited")) == 2
    assert len(log.frame("DepositMade")) == 1
    settled(world, log)


# ---- mistakes


def test_forgetting_the_sequencers_reorganisation_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deposits, "undone_on_rollup", lambda self, height: None)
    with pytest.raises(Exception, match=r"differ|account|assert"):
        settled(*lived(reorg(13 * 12 + 20, 15, "sequencer_reorg", "op")))


def test_forgetting_l1s_reorganisation_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveBridge, "undo", lambda self, until: None)
    with pytest.raises((AssertionError, RunFailed)):
        test_a_shallow_reorganisation_delays_the_credit()


def test_nonsense_is_refused() -> None:
    class Strange(Agent):
        """Deposits nothing."""

        def run(self, me: Any) -> Waiting:
            yield me.bridge("bridge").deposit(0.0)

    assert Strange.kind
    with pytest.raises(RunFailed, match="where a positive amount is due"):
        lived("agents.payers={kind: strange}")
    with pytest.raises(Exception, match="greater than or equal to 0"):
        lived("markets.bridge.deposit_confirmations=-1")
