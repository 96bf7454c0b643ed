"""Disputes: false states that somebody really made, argued down to the transaction where they went wrong, and paid for."""

from collections.abc import Iterator
from math import ceil, log2
from typing import Any

import numpy as np
import pytest
from validation import SCENARIOS
from worlds import differences, frames, lived

from l2sim.agents import Agent, Waiting
from l2sim.log import Log
from l2sim.part import ROOMS, room
from l2sim.scenario import Scenario
from l2sim.streams import Streams, mix
from l2sim.units import MINUTE
from l2sim.world.assertions import Assertions
from l2sim.world.rollup import LiveRollup
from l2sim.world.seat import Seat
from l2sim.world.world import World

STRUCK = 55 * MINUTE


def plan(*settings: str) -> Scenario:
    return Scenario.load(SCENARIOS / "disputes.yaml", settings)


def played(scenario: Scenario, seed: int = 1) -> tuple[World, Log]:
    world = World(scenario, Streams(seed, 0))
    return world, world.run()


def rollup(world: World) -> LiveRollup:
    chain = world.chains["arb"]
    assert isinstance(chain, LiveRollup)
    return chain


def purse(world: World, group: str) -> float:
    """Ether of a group on L1."""
    return world.ledger.held("l1", "gas", group)


def measured(scenario: Scenario, log: Log) -> dict[str, float]:
    table: Any = scenario.metrics["disputes"].measure(log)
    return dict(table.loc["arb"])


# ---- the truth comes out


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_false_state_is_traced_to_the_transaction_where_it_was_made(seed: int) -> None:
    world, log = played(plan(), seed)
    history = rollup(world).history
    assert history is not None
    block = 330 - 40 + 1  # 55 minutes of blocks of 10 s, the cheat in the first of the last 40
    inputs = history.block(block - 1)
    transactions = inputs.stop - inputs.start
    cheated = int(mix(world.streams.key("agents/fraud/step"), 0) / 2.0**64 * (transactions + 1)) - 1

    (ended,) = log.frame("DisputeEnded").itertuples()
    assert (ended.block, ended.transaction) == (block, cheated)
    assert ended.loser == world.ledger.groups["fraud"].accounts.start
    assert ended.winner in world.ledger.groups["validators"].accounts
    made = log.frame("AssertionMade")
    assert made["valid"].tolist().count(0) == 1
    assert (ended.number, 0) in zip(made["number"], made["valid"], strict=True)
    assert log.frame("AssertionRejected")["number"].tolist() == [ended.number]
    assert set(log.frame("AssertionConfirmed")["valid"]) == {1}


def test_bonds_go_from_the_loser_to_the_winner_but_for_what_is_burned() -> None:
    scenario = plan()
    world, log = played(scenario)
    (slashed,) = log.frame("BondSlashed").itertuples()
    assert (slashed.reward, slashed.burned) == (0.75, 0.25)
    found = measured(scenario, log)
    # Of the proposer's assertions those of the last half hour are open, and their bonds with the settlement.
    assert purse(world, "arb.settlement") == pytest.approx(3.0)
    assert found["undecided"] == 3
    assert -purse(world, "fraud") == pytest.approx(1.0 + found["attackers_gas"])
    executed = 1020 * 2 * 100e-9  # up to the last assertion, by two validators, 100 gwei a block
    assert purse(world, "validators") == pytest.approx(20.0 + 0.75 - found["defenders_gas"] - executed, rel=1e-12)
    assert purse(world, "expenses") == pytest.approx(executed, rel=1e-9)
    # Who asserts truly loses nothing but gas: open bonds are its claims.
    closed = log.frame("AccountClosed").query("group == 'arb.proposer'")
    gas = log.frame("AssertionMade").query("valid == 1")["cost"].sum()
    assert closed["value"].sum() == pytest.approx(-gas * 3000.0)


def test_both_sides_move_in_turns_until_one_step_is_left() -> None:
    _, log = played(plan())
    moves = log.frame("DisputeMoved")
    blocks = moves[moves["level"] == "block"]
    spans = (blocks["high"] - blocks["low"]).tolist()
    assert all(one == other for one, other in zip(spans[::2], spans[1::2], strict=True))  # each says what is half way
    assert all(later in (span // 2, span - span // 2) for span, later in zip(spans[::2], spans[2::2], strict=False))
    assert spans[-1] in (2, 3)
    assert moves["level"].tolist()[-1] == "proof"
    assert len(moves) == log.frame("DisputeEnded")["moves"].tolist()[0]
    # A second to think, then the next slot that begins after it.
    assert set(np.diff(moves["time"])) == {12 * 10**9}
    assert (moves["cost"] > 0).all()


# ---- what it takes


LONG = (
    "chains.arb.sequencer.block_time=1s", "chains.arb.proposer=null", "chains.arb.settlement.window=1d",
    "agents.leavers.rate=0.1 /s",
)  # fmt: skip


@pytest.mark.parametrize(("blocks", "rounds"), [(10_000, 14), (1_000, 10), (100, 7)])
def test_a_dispute_asks_for_few_digests_and_executes_one_interval_between_snapshots_again(
    blocks: int, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, counts = [], []
    challenge, decide = Assertions.challenge, Assertions.decide

    def challenged(assertions: Assertions, *rest: Any) -> bool:
        begun.append((assertions.history.lookups, assertions.history.executed))
        return challenge(assertions, *rest)

    def decided(assertions: Assertions, *rest: Any) -> None:
        counts.append((assertions.history.lookups - begun[0][0], assertions.history.executed - begun[0][1]))
        return decide(assertions, *rest)

    monkeypatch.setattr(Assertions, "challenge", challenged)
    monkeypatch.setattr(Assertions, "decide", decided)
    strikes = f"attacks.fraud.begins={blocks} s"
    depth = f"attacks.fraud.depth={blocks // 3}"
    log = lived(plan(*LONG, strikes, depth, "agents.validators.count=1", f"duration={blocks + 600} s"))
    (ended,) = log.frame("DisputeEnded").itertuples()
    assert ended.block == blocks - blocks // 3 + 1
    assert rounds == ceil(log2(blocks))
    ((lookups, executed),) = counts
    assert lookups <= 2 * rounds + 3  # both sides at each half way point, and what they say of the last block and the disputed one
    assert 1 <= executed <= 256  # from the snapshot before the disputed block to its end


# ---- other parties


@pytest.fixture
def troublemakers() -> Iterator[None]:
    """Agents that challenge what they should not, known for one test."""
    before = dict(room("agents").kinds())

    class Shield(Agent):
        """Challenges false assertions at once and badly, so that nobody else can."""

        quarrels: bool = False
        """Whether it challenges true ones instead."""
        agrees: bool = False
        """Whether it has nothing to say against what it challenges."""

        def arrive(self, me: Seat) -> None:
            me.endow("l1", me.gas_token, 100.0)

        def run(self, me: Seat) -> Waiting:
            docket, number = me.settlement("arb"), 0
            while True:
                while number < docket.number():
                    assertion = docket.assertion(number)
                    if (docket.digest(assertion.last) == assertion.digest) == self.quarrels:
                        yield docket.challenge(number, digests=None if self.agrees else lambda block: 7, tip=10**12)
                    number += 1
                yield docket.made()

    assert Shield.kind
    yield
    ROOMS["agents"]._kinds = before


@pytest.mark.usefixtures("troublemakers")
def test_nobody_can_shield_a_false_assertion_by_challenging_it_badly() -> None:
    shielded = plan("agents.shield={kind: shield}", "agents.validators.time_per_block=100ms")
    world, log = played(shielded)
    first, second = log.frame("DisputeEnded").itertuples()
    fraud, shield = (world.ledger.groups[name].accounts.start for name in ("fraud", "shield"))
    assert (first.winner, first.loser) == (fraud, shield)
    assert second.loser == fraud
    assert second.winner in world.ledger.groups["validators"].accounts
    assert log.frame("AssertionRejected")["number"].tolist() == [first.number]
    assert set(log.frame("AssertionConfirmed")["valid"]) == {1}


@pytest.mark.usefixtures("troublemakers")
@pytest.mark.parametrize("agrees", [False, True])
def test_who_challenges_a_true_assertion_loses_a_bond_and_delays_it(agrees: bool) -> None:
    quarrel = plan(f"agents.shield={{kind: shield, quarrels: true, agrees: {str(agrees).lower()}}}", "attacks.fraud=null")
    world, log = played(quarrel)
    ended = log.frame("DisputeEnded")
    assert len(ended) >= 12
    assert set(ended["loser"]) == {world.ledger.groups["shield"].accounts.start}
    assert len(log.frame("AssertionRejected")) == 0
    calm = lived(plan("attacks.fraud=null"))
    later = log.frame("AssertionConfirmed")["time"] - calm.frame("AssertionConfirmed")["time"][: len(log.frame("AssertionConfirmed"))]
    assert len(later) > 5
    assert (later > 0).all()
    found = measured(quarrel, log)
    assert found["attackers_bonds"] == len(ended)
    assert found["defenders_rewards"] == 0.75 * len(ended)
    assert found["false"] == found["undetected"] == 0
    assert np.isnan(found["undetected_share"])


def test_who_cannot_move_in_time_has_lost() -> None:
    """Nothing reaches L1 within five seconds, so the first who has to move loses: whoever asserts."""
    world, log = played(plan("chains.arb.settlement.clock=5s"))
    (ended,) = log.frame("DisputeEnded").itertuples()
    assert (ended.loser, ended.block, ended.moves) == (world.ledger.groups["fraud"].accounts.start, -1, 0)


def test_without_the_bond_nobody_asserts_or_challenges() -> None:
    _, log = played(plan("agents.validators.funds=0.5 ETH"))
    assert not log.arrays("DisputeEnded")
    assert 0 in log.frame("AssertionConfirmed")["valid"].tolist()
    poor = plan("attacks.fraud=null", "chains.arb.proposer.funds=3.5 ETH")
    world, log = played(poor)
    made = log.frame("AssertionMade")
    # Three bonds are out at a time, each for half an hour.
    assert (np.diff(made["time"])[2::3] >= 20 * MINUTE).all()
    assert min(purse(world, "arb.proposer"), 1.0) >= 0.0


# ---- proofs instead of disputes


def test_what_is_false_cannot_be_proved_and_what_is_true_is_final_when_it_is() -> None:
    proving = "{kind: validity_proof, proving_time: 20min, proof_cost: 0.01 ETH, execution_delay: 3min, window: null}"
    scenario = plan(f"chains.arb.settlement={proving.replace(', window: null', '')}", "agents.validators=null")
    world, log = played(scenario)
    made, final = log.frame("AssertionMade"), log.frame("AssertionConfirmed")
    (false,) = made[made["valid"] == 0]["number"]
    assert false not in set(final["number"])
    assert set(final["valid"]) == {1}
    assert not log.arrays("AssertionChallenged")
    waits = final["time"].to_numpy() - made.set_index("number")["time"][final["number"]].to_numpy()
    assert set(waits) == {20 * MINUTE + 12 * 10**9 + 3 * MINUTE}
    begun = int((made["valid"] == 1).sum())
    assert purse(world, "expenses") == pytest.approx(begun * 0.01)
    assert measured(scenario, log)["undetected"] == 0


# ---- luck


def test_with_and_without_the_attack_everything_is_the_same_before_it_and_honest_assertions_after_it() -> None:
    hit, calm = lived(plan("agents.validators.failure=50 %")), lived(plan("agents.validators.failure=50 %", "attacks.fraud=null"))
    assert differences(frames(hit, before=STRUCK), frames(calm, before=STRUCK)) == []
    states = [[(row.last, row.state) for row in log.frame("AssertionMade").itertuples() if row.valid] for log in (hit, calm)]
    assert states[0] == states[1]


def test_what_befalls_a_validator_belongs_to_the_assertion_and_not_to_its_number() -> None:
    hit, calm = played(plan())[0], played(plan("attacks.fraud=null"))[0]
    keys = [
        {(case.assertion.last, case.assertion.account): case.assertion.key for case in rollup(world).assertions.cases}
        for world in (hit, calm)
    ]
    assert keys[1].items() <= keys[0].items()
    assert len(set(keys[0].values())) == len(keys[0])
