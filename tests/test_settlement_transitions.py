"""Tables of transitions: what happens to assertions in runs stands in their kind's table, and every row of it happens in some run."""

from collections.abc import Iterator
from typing import Any

import pytest
import test_settlement_disputes as disputes
from test_settlement_dispute_game import plan as game
from test_world_hatch import scenario as hatch
from validation import SCENARIOS, run

from l2sim.agents import Agent, Waiting
from l2sim.log import Log
from l2sim.part import ROOMS, room
from l2sim.scenario import Scenario
from l2sim.settlement import STOPPED, Settlement
from l2sim.settlement.tournament import Tournament
from l2sim.streams import mix
from l2sim.units import HOUR
from l2sim.world.seat import Seat

Row = tuple[str, str]


class Recorder:
    """What happened in runs, and what each kind of settlement has in its table."""

    def __init__(self) -> None:
        self.rows: dict[str, set[Row]] = {}

    def of(self, kind: str) -> set[Row]:
        return self.rows.get(kind, set())


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """All that happens to assertions while a test runs, by kind of settlement."""
    recorder, plain = Recorder(), Settlement.happens

    def happens(self: Any, case: Any, event: str) -> None:
        before = case.state
        plain(self, case, event)
        recorder.rows.setdefault(self.kind, set()).add((before, event))

    monkeypatch.setattr(Settlement, "happens", happens)
    return recorder


@pytest.fixture(autouse=True)
def strangers() -> Iterator[None]:
    """Agents of another package, known for one test."""
    before = dict(room("agents").kinds())

    class Governor(Agent):
        """Invalidates assertions at some hours."""

        on: str
        hours: tuple[float, ...]
        numbers: tuple[int, ...]

        def arrive(self, me: Seat) -> None:
            me.endow(me.settlement(self.on).l1, me.gas_token, 1.0)

        def run(self, me: Seat) -> Waiting:
            for hour, number in zip(self.hours, self.numbers, strict=True):
                yield me.sleep_until(int(hour * HOUR))
                posted = yield me.settlement(self.on).govern("invalidate", number)
                assert posted.answer

    class Freezer(Agent):
        """Stops the rollup as soon as it may."""

        def arrive(self, me: Seat) -> None:
            me.endow("l1", me.gas_token, 1.0)

        def run(self, me: Seat) -> Waiting:
            while (opens := me.escapes("bridge")) > me.now:  # type: ignore[operator]
                yield me.sleep_until(opens)
            yield me.escape("bridge")

    class Heap(Agent):
        """One asserts what is false, the others what is false on top of it, each something else; none of them moves."""

        place: int

        def arrive(self, me: Seat) -> None:
            me.endow("l1", me.gas_token, 10_000.0)

        def run(self, me: Seat) -> Waiting:
            docket, place = me.settlement("arb"), self.place
            while not docket.number():
                yield docket.made()
            base = docket.assertion(0).last
            yield me.sleep(place * HOUR)
            last = base + 3 if place else base
            while docket.head() < last:
                yield me.sleep(HOUR)

            def said(block: int) -> int:
                true = docket.digest(block) % 2**64
                return docket.digest(block) if block < base else mix(true, 1) if block == base else mix(true, 2 + place)

            yield docket.propose(last, said(last), digests=said, steps=lambda block: [])

    assert Governor.kind
    assert Freezer.kind
    assert Heap.kind
    yield
    ROOMS["agents"]._kinds = before


def governed(on: str, **hours: float) -> tuple[str, str]:
    """A guardian who takes out assertions: ``a3=5.5`` the one with number 3 after five and a half hours."""
    about = f"hours: {list(hours.values())}, numbers: {[int(name[1:]) for name in hours]}"
    return f"agents.governor={{kind: governor, on: {on}, {about}}}", f"chains.{on}.settlement.guardian=governor"


@pytest.mark.parametrize("kind", sorted(room("settlement").kinds()))
def test_every_kind_has_a_table_whose_states_are_all_reached_and_lead_to_an_end(kind: str) -> None:
    table = room("settlement").find(kind).transitions  # type: ignore[attr-defined]
    states, after = {state for state, _ in table}, set(table.values())
    starts, ends = states - {to for (of, _), to in table.items() if of != to}, after - states
    assert len(starts) == 1 or starts == set()
    assert ends
    reached = set(starts or {"asserted"})
    while more := {to for (of, _), to in table.items() if of in reached} - reached:
        reached |= more
    assert reached == states | after


def test_what_is_not_in_the_table_cannot_happen() -> None:
    class Case:
        state = "final"
        assertion = type("About", (), {"number": 3})

    with pytest.raises(ValueError, match="assertion 3 is 'final', where 'window over' cannot happen"):
        room("settlement").find("optimistic")().happens(Case, "window over")  # type: ignore[attr-defined]


def test_all_that_can_happen_under_optimistic(seen: Recorder) -> None:
    run(disputes.plan())
    # A true assertion of the 10th minute; the false one of the 55th, in a dispute.
    false = run(disputes.plan()).frame("AssertionMade").query("valid == 0")
    number, when = int(false["number"].iloc[0]), float(false["time"].iloc[0]) / HOUR
    log = run(disputes.plan(*governed("arb", **{"a1": 0.4, f"a{number}": when + 0.02})))
    assert log.frame("AssertionRejected")["number"].tolist() == [1, number]
    assert "BondSlashed" not in log.tables or not len(log.frame("BondSlashed"))  # both got theirs back
    # A challenge that fails, and what is due to be final on a rollup that was stopped.
    run(hatch(doubles={"kind": "doubles"}))
    assert seen.of("optimistic") == set(room("settlement").find("optimistic").transitions)  # type: ignore[attr-defined]


def test_all_that_can_happen_under_validity_proofs(seen: Recorder) -> None:
    def proved(*settings: str) -> Log:
        return run(Scenario.load(SCENARIOS / "proof_market.yaml", settings))

    delayed = "chains.zk.settlement.execution_delay=1h"
    log = proved(delayed, *governed("zk", a0=2.2, a1=2.3))  # one verified, one in the making
    assert log.frame("AssertionRejected")["number"].tolist() == [0, 1]
    assert not {0, 1} & set(log.frame("AssertionConfirmed")["number"])
    together = "chains.zk.settlement.aggregate=3", "chains.zk.settlement.aggregation_time=10min"
    log = proved(*together, *governed("zk", a0=2.0))  # one that waits for others
    assert 0 not in set(log.frame("AssertionConfirmed")["number"])
    settlement = "chains.op.settlement={kind: validity_proof, proving_time: 1h, execution_delay: 3h}"
    stopped = hatch(settlement, "chains.op.proposer.phase=1h", "chains.op.forced_inclusion.escape_after=4h")
    assert run(stopped).frame("AssertionRejected")["valid"].tolist() == [1]
    # What is false and proved through a fault, held by a pause: let go after it, taken out, or due on a rollup that was stopped.
    faulty = "{kind: validity_proof, proving_time: 20min, execution_delay: 30min, faulty_from: 0, guardian: council}"

    def held(council: str) -> Log:
        watches = f"agents.council={{kind: security_council, on: arb, pauses_at: 80min, {council}}}"
        return run(disputes.plan(f"chains.arb.settlement={faulty}", "agents.validators=null", watches))

    log = held("invalidates: false, upgrade_delay: 1h")
    assert set(log.frame("AssertionConfirmed")["valid"]) == {0, 1}
    log = held("convenes: 50min, upgrade_delay: null")
    assert log.frame("AssertionRejected")["valid"].tolist() == [0]
    council = "agents.council={kind: security_council, on: op, pauses_at: 3h, upgrade_delay: 7h}", "chains.op.settlement.guardian=council"
    paused = settlement, "chains.op.proposer.phase=1h", "chains.op.forced_inclusion.escape_after=4h", *council
    assert run(hatch(*paused)).frame("AssertionRejected")["valid"].tolist() == [1]
    # What is false and late: behind what became final meanwhile, or will as soon as a pause is over.
    proving = "kind: validity_proof, proving_time: {kind: exponential, mean: 40min}, execution_delay: 30min"
    often = "agents.validators=null", "chains.arb.proposer.interval=5min", "attacks.fraud.again=7min", "duration=4h"
    late = f"chains.arb.settlement={{{proving}, faulty_from: 0, guardian: council}}", *often
    watches = "agents.council={kind: security_council, on: arb, invalidates: false, pauses_at: 2h, upgrade_delay: 1h}"
    assert set(run(disputes.plan(*late, watches)).frame("AssertionRejected")["valid"]) == {0}
    assert seen.of("validity_proof") == set(room("settlement").find("validity_proof").transitions)  # type: ignore[attr-defined]


PERIOD = 6


def duel(kind: str, *settings: str) -> Log:
    kept = "duration=3d", "attacks.rivals.lasts=2d", "chains.arb.proposer.interval=3d", "attacks.rivals.margin=null"
    settlement = f"chains.arb.settlement={{kind: {kind}, challenge_period: {PERIOD}h}}"
    return run(Scenario.load(SCENARIOS / "delay.yaml", (settlement, *kept, *settings)))


SILENT = "attacks.rivals.most_moves=0"


@pytest.mark.parametrize("kind", ["tournament", "partial_concurrency"])
def test_all_that_can_happen_under_duels(seen: Recorder, kind: str) -> None:
    odd = "chains.arb.settlement.block_bits=25"  # so that it is the honest side's turn at the end
    assert duel(kind, odd).frame("DisputeEnded")["block"].tolist() == [1]  # down to a step
    lost = duel(kind, "chains.arb.proposer.censored_from=1d", "chains.arb.proposer.censored_for=2d")
    assert lost.frame("AssertionConfirmed")["valid"].tolist() == [0]
    duel(kind, SILENT, "attacks.rivals.rivals=2")
    poor = "agents.poor={kind: staker, on: arb, interval: 3d, phase: 30h, funds: 0.5 ETH, head: latest}"
    assert duel(kind, "attacks.rivals=null", poor).frame("AssertionRejected")["valid"].tolist() == [1]  # it has no stake
    # Rivals on top of a false assertion, whose duel with each other ends when that loses.
    heap = duel(kind, "attacks.rivals=null", *(f"agents.heap{i}={{kind: heap, place: {i}}}" for i in range(3)))
    assert sorted(heap.frame("AssertionRejected")["number"]) == [1, 2, 3]  # each once
    # A guardian takes out one that is in a duel, and one that is not.
    log = duel(kind, SILENT, *governed("arb", a1=26.0, a0=27.0))
    assert log.frame("AssertionRejected")["number"].tolist() == [1, 0]
    assert "StakeForfeited" not in log.tables
    assert len(log.frame("StakeReturned")) == 2
    # Stopped half a day after all of them were made, where the last duel ends later.
    stop = "chains.arb.forced_inclusion={kind: none, escape_after: 12h}", "agents.freezer={kind: freezer}"
    log = duel(kind, SILENT, "attacks.rivals.rivals=5", "chains.arb.proposer.phase=2h", *stop)
    assert "AssertionConfirmed" not in log.tables
    assert ("free", STOPPED) in seen.of(kind)
    table = room("settlement").find(kind).transitions  # type: ignore[attr-defined]
    assert set(table) - set(seen.of(kind)) == set()
    assert (("free", "left over in a round") in table) == (kind == Tournament.kind)


def test_a_game_that_is_won_after_the_rollup_was_stopped_makes_nothing_final() -> None:
    """It was argued about for longer than the hatch takes to open; its bonds are paid out all the same."""
    stop = "chains.op.forced_inclusion={kind: none, escape_after: 2h}", "agents.freezer={kind: freezer}"
    log = run(game(*stop))
    (frozen,) = log.frame("RollupFrozen")["time"]
    (resolved,) = log.frame("GameResolved").itertuples()
    assert resolved.stands
    assert frozen < resolved.time + HOUR
    assert "AssertionConfirmed" not in log.tables
    assert log.frame("AssertionRejected")["time"].tolist() == [resolved.time + HOUR]
    assert log.frame("BondsPaid")["amount"].sum() == pytest.approx(log.frame("ClaimMade")["bond"].sum())
