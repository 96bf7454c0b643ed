"""The bridge: money that leaves a rollup waits for its assertion, and is there on L1 only as long as nobody took it."""

from collections.abc import Iterator

import numpy as np
import pytest
from test_settlement_disputes import STRUCK, plan, played, purse, rollup

from l2sim.agents import Agent, Waiting
from l2sim.log import Log
from l2sim.part import ROOMS, room
from l2sim.units import HOUR, MINUTE, SECOND
from l2sim.world.bridge import LiveBridge
from l2sim.world.seat import Seat
from l2sim.world.world import World

ESCROW = 100_000.0


def dollars(world: World, group: str) -> float:
    """US dollars of a group on L1."""
    return world.ledger.held("l1", "usd", group)


def profit(log: Log, group: str) -> float:
    return float(log.frame("AccountClosed").query(f"group == '{group}'")["value"].sum())


# ---- honest withdrawals


def test_what_is_withdrawn_is_paid_once_out_of_the_escrow() -> None:
    world, log = played(plan("attacks.fraud=null"))
    initiated, paid = log.frame("WithdrawalInitiated"), log.frame("WithdrawalFinalized")
    assert len(paid) > 2_000
    assert paid["number"].is_unique
    both = paid.merge(initiated, on=["number", "account", "amount"], suffixes=("", "_initiated"))
    assert len(both) == len(paid)
    # The assertion after its block, its window, and a slot on L1 for each message: assertion and payment.
    waits = both["time"] - both["time_initiated"]
    assert waits.min() >= 30 * MINUTE + 1 * SECOND
    assert waits.max() <= 30 * MINUTE + 10 * MINUTE + 3 * 12 * SECOND
    assert dollars(world, "bridge") == pytest.approx(ESCROW - paid["amount"].sum())
    assert dollars(world, "leavers") == pytest.approx(paid["amount"].sum())
    assert world.ledger.held("arb", "usd", "bridge") == pytest.approx(initiated["amount"].sum())
    # What is on its way is still theirs: they lose gas and nothing else.
    gas = sum(log.frame(fact)["cost"].sum() for fact in ("WithdrawalProven", "WithdrawalFinalized"))
    assert profit(log, "leavers") == pytest.approx(-3000.0 * gas)


def test_proof_and_window_run_at_the_same_time_and_the_later_one_counts() -> None:
    for window, maturity, longer in ((30, 50, 50), (50, 30, 50)):
        times = f"chains.arb.settlement.window={window}min", f"markets.bridge.proof_maturity={maturity}min"
        _, log = played(plan("attacks.fraud=null", *times))
        paid, proved = log.frame("WithdrawalFinalized"), log.frame("WithdrawalProven")
        made = log.frame("AssertionMade").set_index("number")["time"]
        whole = paid.merge(proved, on=["number", "account"], suffixes=("", "_proved"))
        assert len(whole) > 1_000
        waits = (whole["time"] - made[whole["assertion"]].to_numpy()) / SECOND
        assert set(waits) <= {longer * 60.0 + 12 * slots for slots in (1, 2)}


def test_a_late_proof_starts_its_clock_late() -> None:
    late = "agents.leavers.delay=20min", "markets.bridge.proof_maturity=30min", "attacks.fraud=null"
    _, log = played(plan(*late))
    paid, proved = log.frame("WithdrawalFinalized"), log.frame("WithdrawalProven")
    whole = paid.merge(proved, on=["number", "account"], suffixes=("", "_proved"))
    assert set((whole["time"] - whole["time_proved"]) / MINUTE) == {30.2}


@pytest.fixture
def quarreller() -> Iterator[None]:
    """An agent that challenges the second assertion, known for one test."""
    before = dict(room("agents").kinds())

    class Quarreller(Agent):
        """Challenges the second assertion, whatever it says."""

        def arrive(self, me: Seat) -> None:
            me.endow("l1", me.gas_token, 100.0)

        def run(self, me: Seat) -> Waiting:
            docket = me.settlement("arb")
            while docket.number() < 2:
                yield docket.made()
            yield docket.challenge(1, digests=lambda block: 7)

    assert Quarreller.kind
    yield
    ROOMS["agents"]._kinds = before


@pytest.mark.usefixtures("quarreller")
def test_what_was_proved_against_an_assertion_that_fell_is_proved_again() -> None:
    """Nobody can move within five seconds, so even a true assertion falls once it is challenged."""
    unlucky = "agents.quarreller={kind: quarreller}", "chains.arb.settlement.clock=5s", "attacks.fraud=null"
    _, log = played(plan(*unlucky, "markets.bridge.proof_maturity=10min"))
    assert log.frame("AssertionRejected")["number"].tolist() == [1]
    proved = log.frame("WithdrawalProven")
    again = proved[proved["assertion"] == 1]["number"]
    assert len(again) > 50
    assert set(again) <= set(proved[proved["assertion"] == 2]["number"])
    assert set(again) <= set(log.frame("WithdrawalFinalized")["number"])


# ---- theft


def test_where_nobody_watches_the_escrow_is_taken_and_who_comes_later_finds_it_empty() -> None:
    world, log = played(plan("agents.validators=null"))
    paid, refused = log.frame("WithdrawalFinalized"), log.frame("WithdrawalRefused")
    stolen = paid[paid["valid"] == 0]
    thief = world.ledger.groups["fraud"].accounts.start
    assert set(stolen["account"]) == {thief}
    # Nine of ten pieces were still there when its assertion was final; honest withdrawals had taken the rest.
    assert len(stolen) == 9
    assert dollars(world, "fraud") == pytest.approx(stolen["amount"].sum()) == pytest.approx(0.9 * ESCROW, rel=0.1)
    assert STRUCK + 30 * MINUTE < stolen["time"].min() < stolen["time"].max() < STRUCK + 33 * MINUTE
    honest = refused[refused["account"] != thief]
    assert len(honest) > 500
    assert honest["time"].min() > stolen["time"].min()
    assert dollars(world, "bridge") < 10.0
    # It paid gas, and nothing else; its bond came back. What the bridge's depositors lost is what it gained.
    assert profit(log, "fraud") == pytest.approx(dollars(world, "fraud") + 3000.0 * purse(world, "fraud"))
    assert -0.02 < purse(world, "fraud") < 0.0
    assert profit(log, "leavers") < -10.0 * len(honest)
    delay = plan("agents.validators=null").metrics["delay"].measure(log)
    assert delay.loc["bridge", "stolen"] == pytest.approx(stolen["amount"].sum())
    assert delay.loc["bridge", "refused"] == len(refused)


@pytest.mark.parametrize("maturity", ["0 s", "40min"])
def test_one_honest_validator_is_enough(maturity: str) -> None:
    world, log = played(plan("agents.validators.count=1", f"markets.bridge.proof_maturity={maturity}"))
    assert set(log.frame("WithdrawalFinalized")["valid"]) == {1}
    assert not log.arrays("WithdrawalRefused")
    assert dollars(world, "fraud") == 0.0


def test_several_attempts_and_a_validator_who_mostly_sleeps() -> None:
    often = "attacks.fraud.again=5min", "attacks.fraud.begins=10min", "attacks.fraud.amount=100", "attacks.fraud.pieces=1"
    world, log = played(plan(*often, "agents.validators.count=1", "agents.validators.failure=60 %"))
    made, final = log.frame("AssertionMade"), log.frame("AssertionConfirmed")
    assert (made["valid"] == 0).sum() == 12
    passed = final[final["valid"] == 0]
    assert 3 <= len(passed) <= 11
    assert dollars(world, "fraud") == pytest.approx(100.0 * len(passed))


# ---- proofs that are none


def test_a_withdrawal_that_is_not_in_the_asserted_state_cannot_be_proved() -> None:
    world, log = played(plan("attacks.fraud=null"))
    bridge, assertions = rollup(world).bridges["bridge"], rollup(world).assertions
    case = assertions.cases[3]
    withdrawals = log.frame("WithdrawalInitiated")
    early = withdrawals[withdrawals["time"] <= case.assertion.until].iloc[-1]
    later = withdrawals[withdrawals["time"] > case.assertion.until].iloc[0]
    assert proves(bridge, early.number, early.account, 3)
    assert not proves(bridge, later.number, later.account, 3)
    assert not proves(bridge, early.number, early.account + 1, 3)
    assert not proves(bridge, 10**6, early.account, 3)
    # A state of one's own has to be the one that was asserted.
    history = rollup(world).history
    assert history is not None
    copy = history.replica(case.assertion.last)
    assert bridge.prove(early.number, early.account, 3, 0.0, copy)
    forged = bridge.forge(copy, early.account, 5.0)
    assert not bridge.prove(forged, early.account, 3, 0.0, copy)


def proves(bridge: LiveBridge, number: int, account: int, assertion: int) -> bool:
    return bridge.prove(int(number), int(account), assertion, 0.0)


def test_nothing_is_paid_twice_or_before_it_is_due() -> None:
    world, log = played(plan("attacks.fraud=null", "duration=2h", "markets.bridge.proof_maturity=35min"))
    bridge = rollup(world).bridges["bridge"]
    before = bridge.escrow()
    paid = log.frame("WithdrawalFinalized").iloc[0]
    assert not bridge.pay(int(paid.number), int(paid.account), 0.0)
    waiting = [proof for key, proof in bridge.proofs.items() if key not in bridge.paid]
    assert waiting
    undue = [proof for proof in waiting if (bridge.due(proof) or 10 * HOUR) > world.clock.now]
    assert undue
    for proof in undue:
        assert not bridge.pay(proof.withdrawal.number, proof.withdrawal.account, 0.0)
    assert bridge.escrow() == before


def test_the_book_refuses_what_makes_no_sense() -> None:
    world, _ = played(plan("attacks.fraud=null", "duration=10min"))
    book = rollup(world).bridges["bridge"].book
    sender = world.ledger.groups["leavers"].accounts.start
    state = rollup(world).state.digest()
    for amount in (0.0, -1.0, np.nan, np.inf, 1e300):
        assert book.apply(0, sender, amount, 0.0, 0.0, np.inf, 0.0).status != 0
    assert rollup(world).state.digest() == state
    assert book.audit() <= 1e-12
