"""Settlements that make no sense are refused with the reason, before the run where it can be known, else by name and time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_settlement_disputes import plan

from l2sim.agents import Agent, Waiting
from l2sim.part import ROOMS, room
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.simulation import RunFailed, experiment, simulate
from l2sim.units import MINUTE
from l2sim.world.seat import Seat

REORG = "attacks.reorg={kind: l1_reorg, on: l1, begins: 1h, lasts: 1min, depth: 2}"
QUICK = "extension: 1min, preimage_challenge: 0 s, airgap: 0 s"


@pytest.mark.parametrize(
    ("setting", "place", "message"),
    [
        ("chains.arb.settlement.bond=0", "chains.arb.settlement.bond", "must be more than 0, but is 0"),
        ("chains.arb.settlement.window=0", "chains.arb.settlement.window", "must be more than 0, but is 0"),
        ("chains.arb.settlement.clock=0", "chains.arb.settlement.clock", "must be more than 0, but is 0"),
        ("chains.arb.settlement.burned=120 %", "chains.arb.settlement.burned", "must be between 0 and 1"),
        ("chains.arb.settlement.windw=1h", "chains.arb.settlement.windw", "did you mean 'window'?"),
        ("chains.arb.settlement={kind: optimistc}", "chains.arb.settlement.kind", "did you mean 'optimistic'?"),
        ("chains.arb.settles_on=null", "chains.arb", "a settlement needs an L1 to be on: name it under 'settles_on'"),
        ("chains.arb.settlement=null", "chains.arb", "a proposer needs a settlement that takes up what it asserts"),
        ("chains.arb.settlement=null", "markets.bridge.on", "'arb' has no settlement: give it one"),
        ("chains.arb.settlement=null", "agents.validators.on", "'arb' has no settlement: give it one"),
        ("markets.bridge.escrow=0", "markets.bridge.escrow", "greater than 0"),
        ("markets.bridge.asset=eht", "markets.bridge.asset", "there is no price 'eht'"),
        ("agents.validators.failure=2", "agents.validators.failure", "must be between 0 and 1"),
        ("agents.validators.on=l1", "agents.validators.on", "'l1' is of kind 'l1', where kind 'rollup' is due"),
        ("attacks.fraud.bridge=brige", "attacks.fraud.bridge", "did you mean 'bridge'?"),
        (REORG, "chains.arb.settlement", "whose blocks attack 'reorg' undoes"),
        ("chains.arb.snapshot_every=0", "chains.arb.snapshot_every", "greater than or equal to 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_the_run(setting: str, place: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        plan(setting)
    told = [str(mistake) for mistake in caught.value.mistakes]
    assert any(place in one and message in one for one in told), told


@pytest.fixture
def strangers() -> Iterator[None]:
    """Proposers of another package, known for one test."""
    before = dict(room("agents").kinds())

    class Prophet(Agent):
        """Asserts a block that has not been made yet."""

        ahead: int = 1

        def arrive(self, me: Seat) -> None:
            me.endow("l1", me.gas_token, 100.0)

        def run(self, me: Seat) -> Waiting:
            yield me.sleep(10 * MINUTE + 10**9)
            docket = me.settlement("arb")
            yield docket.propose(docket.head() + self.ahead, 7)

    class Latecomer(Agent):
        """Asserts, once something is final, a false state of a block ``past`` the final one."""

        past: int = 0

        def arrive(self, me: Seat) -> None:
            me.endow("l1", me.gas_token, 100.0)

        def run(self, me: Seat) -> Waiting:
            docket = me.settlement("arb")
            while not docket.final():
                yield me.sleep(MINUTE)
            posted = yield docket.propose(docket.final() + self.past, 7, digests=lambda block: 7)
            assert (posted.answer >= 0) == (self.past > 0)

    class Outsider(Agent):
        """Looks for assertions where there are none."""

        def run(self, me: Seat) -> Waiting:
            yield me.settlement("l1").made()

    assert Prophet.kind
    assert Latecomer.kind
    assert Outsider.kind
    yield
    ROOMS["agents"]._kinds = before


@pytest.mark.usefixtures("strangers")
@pytest.mark.parametrize(("ahead", "block"), [(1, 61), (-60, 0), (-70, -10)])
def test_an_assertion_about_the_future_fails_the_run_with_name_and_time(ahead: int, block: int, tmp_path: Path) -> None:
    future = plan(f"chains.arb.proposer={{kind: prophet, ahead: {ahead}}}", "duration=20min")
    message = rf"^'arb.proposer/0' failed at 601.000 s of simulated time: .*it asserts block {block} of 'arb', which has made 60 so far$"
    with pytest.raises(RunFailed, match=message):
        simulate(future)
    with pytest.raises(RunFailed, match=message):
        experiment(future, out=tmp_path / "results")
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.usefixtures("strangers")
@pytest.mark.parametrize("past", [-5, 0, 1])
@pytest.mark.parametrize("kind", ["optimistic, window: 30min", f"dispute_game, clock: 30min, response: 1s, {QUICK}"])
def test_what_is_final_is_not_asserted_again(kind: str, past: int) -> None:
    """A game about a block up to the anchor cannot be made (``FaultDisputeGame.initialize``: ``UnexpectedRootClaim``)."""
    alone = "chains.arb.proposer.interval=1d", "chains.arb.proposer.phase=10min", "agents.validators.funds=10000 ETH", "attacks.fraud=null"
    found = simulate(
        plan(*alone, "duration=2h", f"chains.arb.settlement={{kind: {kind}}}", f"agents.late={{kind: latecomer, past: {past}}}")
    )
    assert found.events("AssertionMade")["valid"].tolist() == ([1, 0] if past > 0 else [1])
    assert found.events("AssertionConfirmed")["valid"].tolist() == [1]


def test_a_false_state_of_a_block_that_is_final_pays_nobody() -> None:
    """The rollup stands still, so the attack is about its last block, which is final by then."""
    still = "attacks.still={kind: sequencer_outage, on: arb, begins: 15min, lasts: 2h}"
    found = simulate(plan(still, "agents.validators=null", "attacks.fraud.depth=1"))
    assert set(found.events("AssertionMade")["valid"]) == {1}
    assert found.events("WithdrawalFinalized")["valid"].all()
    closed = found.events("AccountClosed").query("group == 'fraud' and asset == 'gas'")
    assert closed["closing"].sum() == pytest.approx(-300_000 * 3 * 10**-9, rel=0.5)  # what one assertion costs, and no withdrawals


@pytest.mark.usefixtures("strangers")
def test_who_looks_for_assertions_where_there_are_none_is_told() -> None:
    lost = plan("agents.outsider={kind: outsider}", "duration=1min")
    with pytest.raises(RunFailed, match=r"'outsider/0' failed at 0.000 s .*'l1' has no settlement, so nothing is asserted about it"):
        simulate(lost)


def test_a_rollup_with_a_settlement_and_no_proposer_is_one_where_nothing_is_asserted() -> None:
    found = simulate(plan("chains.arb.proposer=null", "attacks.fraud=null", "duration=1h"))
    assert not len(found.events("AssertionMade"))
    assert not len(found.events("WithdrawalFinalized"))


def test_nobody_watching_is_written_in_two_ways() -> None:
    none, zero = plan("agents.validators=null", "duration=100min"), plan("agents.validators.count=0", "duration=100min")
    tables = [simulate(one).events("AssertionConfirmed") for one in (none, zero)]
    assert tables[0].equals(tables[1])
    assert isinstance(none, Scenario)
