"""BoLD edge by edge: the table of states, time that belongs to edges, real digests down to a step, stakes, and what is refused."""

from types import SimpleNamespace
from typing import Any

import pytest
from validation import SCENARIOS, run

from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.settlement.bold import Bold
from l2sim.settlement.bold.challenge import BoldContract, Challenge
from l2sim.settlement.bold.edges import BISECTED, CONFIRMED, REFINED, RIVALLED, TRANSITIONS, UNRIVALLED, Edge
from l2sim.settlement.bold.histories import History, Machine, middle
from l2sim.settlement.bold.players import NEVER
from l2sim.settlement.tournament import Bracket, Tournament
from l2sim.streams import Streams, mix
from l2sim.world.world import World

HOUR = 3600 * 10**9
SHORT = ("chains.arb.settlement.challenge_period=6h", "chains.arb.settlement.grace=2h", "duration=3d", "attacks.rivals.lasts=2d")
ONCE = "chains.arb.proposer.interval=3d"
NO_BITS = "a position of no bits has nothing to argue about"


def plan(*settings: str) -> Scenario:
    return Scenario.load(SCENARIOS / "delay.yaml", (*SHORT, *settings))


# ---- edges


def edge(made: int, rivalled: int = NEVER) -> Edge:
    one = Edge(0, (0, 0, 0, 0, 8), 0, 0, 0, 8, 1, made)
    one.rivalled = rivalled
    return one


def test_the_table_says_all_that_may_happen() -> None:
    assert Bold.transitions is TRANSITIONS
    assert {state for state, _ in TRANSITIONS} == {UNRIVALLED, RIVALLED, BISECTED, REFINED}  # nothing happens to what is confirmed
    assert set(TRANSITIONS.values()) == {RIVALLED, BISECTED, REFINED, CONFIRMED}
    one = edge(0)
    for happening, state in (("rival", RIVALLED), ("bisect", BISECTED), ("expire", CONFIRMED)):
        one.turn(happening)
        assert one.state == state
    for refused in ("rival", "bisect", "refine", "prove", "expire"):
        with pytest.raises(ValueError, match=f"edge 0 is confirmed: nobody can {refused} it"):
            one.turn(refused)
    with pytest.raises(ValueError, match="edge 0 is unrivalled: nobody can bisect it"):
        edge(0).turn("bisect")


def test_time_is_an_edges_own_and_its_weaker_halfs() -> None:
    whole, left, right = edge(10, rivalled=30), edge(40), edge(40, rivalled=45)
    whole.halves = left, right
    assert whole.gathered(100) == 20 + min(60, 5)
    assert whole.reaches(22) == 42  # two more from both halves
    assert whole.reaches(30) == NEVER  # the right one's rival waits
    right.proved = True
    assert whole.gathered(100) == 20 + 60
    assert whole.reaches(100) == 40 + 80
    step, weak, strong = edge(0, rivalled=5), edge(50), edge(20)
    step.refinements += [weak, strong]
    assert step.gathered(60) == 5 + 40
    assert step.reaches(100) == 20 + 95
    late = edge(7, rivalled=7)
    assert (late.gathered(100), late.reaches(1)) == (0, NEVER)  # it came when a rival was there
    first = edge(50, rivalled=50)
    first.head_start = 90
    assert (first.reaches(90), first.reaches(91)) == (0, NEVER)  # its assertion had been alone


def test_stretches_are_cut_alike() -> None:
    assert [middle(0, 8), middle(4, 8), middle(0, 2), middle(2, 4), middle(8, 16)] == [4, 6, 1, 3, 12]


# ---- histories


class Said:
    """Two blocks of three steps, false from a step of the second on."""

    def __init__(self, wrong: int = 99) -> None:
        self.wrong = wrong

    def steps(self, block: int) -> list[int]:
        return [mix(block, i) + (7 if 3 * (block - 1) + i >= self.wrong else 0) for i in range(3)]

    def digest(self, block: int) -> int:
        return self.steps(block)[-1] if block else 5


@pytest.mark.parametrize("wrong", [0, 1, 4, 5])
def test_commitments_agree_exactly_up_to_the_step_that_is_false(wrong: int) -> None:
    machine = Machine(3, 3, 4)
    true, false = (History(machine, 0, 2, 5, said, Said()) for said in (Said(), Said(wrong)))
    same = [true.root(p) == false.root(p) for p in range((1 << machine.height) + 1)]
    fault = same.index(False)
    assert same == [True] * fault + [False] * (len(same) - fault)
    block, transaction, step = machine.split(fault - 1)
    assert (block, transaction) == divmod(wrong, 3)
    assert true.wrong(fault - 1) == (block + 1, transaction - 1)
    assert 0 <= step < 16
    roots = [true.root(p) for p in range(len(same))]
    assert len(set(roots)) == len(roots)  # a history that stands still is committed to as such


# ---- challenges


def challenge(*settings: str) -> tuple[World, Log]:
    world = World(plan(*settings), Streams(1, 0))
    return world, world.run()


@pytest.mark.parametrize("rivals", [1, 3])
def test_all_levels_are_argued_and_the_false_transaction_is_executed(rivals: int) -> None:
    """Instant replies go down 26 + 19 + 23 bisections to one step, which L1 executes on the digests of real blocks."""
    settings = ONCE, "attacks.rivals.margin=null", f"attacks.rivals.rivals={rivals}"
    world, log = challenge(*settings)
    group = world.ledger.groups["rivals"].accounts.start
    moves = log.frame("DisputeMoved")
    ours = moves[moves["account"] == group]
    assert ours["level"].value_counts().to_dict() == {"block": 27 * rivals, "big step": 20 * rivals, "small step": 24 * rivals}
    edges = log.frame("EdgeTurned")
    assert set(edges["state"]) == {UNRIVALLED, RIVALLED, BISECTED, REFINED, CONFIRMED}
    before: dict[int, str] = {}
    for row in edges.itertuples():
        state = before.get(row.edge)
        assert (state is None and row.state == UNRIVALLED) or row.state in {to for (of, _), to in TRANSITIONS.items() if of == state}
        before[row.edge] = row.state
    ended = log.frame("DisputeEnded")
    assert len(ended) == rivals
    assert set(ended["winner"]) == set(world.ledger.groups["arb.proposer"].accounts)
    last, places = log.frame("AssertionMade")["last"][0], set()
    for rival in range(rivals):  # each goes wrong in a part of its own of the blocks, the first one in the first
        block = 1 + rival * last // rivals
        steps = len(world.chains["arb"].assertions.steps(block))  # type: ignore[attr-defined]
        places.add((block, int(mix(world.streams.key("agents/rivals/place"), rival) / 2.0**64 * steps) - 1))
    assert set(zip(ended["block"], ended["transaction"], strict=True)) == places
    assert log.frame("AssertionConfirmed")["valid"].tolist() == [1]


def test_stakes_of_who_loses_pay_who_defended() -> None:
    world, log = challenge(ONCE, "attacks.rivals.margin=null")
    forfeited = log.frame("StakeForfeited")["amount"].sum()
    assert forfeited == 3600 + 555 + 79
    (paid,) = log.frame("DefenderPaid").itertuples()
    moves = log.frame("DisputeMoved")
    defender = world.ledger.groups["arb.proposer"].accounts.start
    assert paid.refund == pytest.approx(moves[moves["account"] == defender]["cost"].sum(), rel=1e-9)
    assert paid.reward == pytest.approx(0.01 * forfeited)
    assert world.ledger.held("l1", "gas", "arb.settlement") == pytest.approx(forfeited - paid.refund - paid.reward)
    assert log.frame("StakeReturned")["amount"].sum() == 3600 + 555 + 79
    attackers_gas = moves[moves["account"] != defender]["cost"].sum() + log.frame("AssertionMade").query("valid == 0")["cost"].sum()
    assert -world.ledger.held("l1", "gas", "rivals") == pytest.approx(forfeited + attackers_gas)
    own = log.frame("AssertionMade").query("valid == 1")["cost"].sum()
    assert world.ledger.held("l1", "gas", "arb.proposer") == pytest.approx(100_000 + paid.reward - own)


def test_the_council_has_its_days_after_a_challenge_only() -> None:
    _, calm = challenge("attacks.rivals=null", "chains.arb.proposer.interval=2h")
    made, final = calm.frame("AssertionMade")["time"], calm.frame("AssertionConfirmed")["time"]
    assert set(final - made[: len(final)]) == {6 * HOUR}
    assert calm.frame("StakePosted")["amount"].tolist() == [3600.0]  # one stake moves on from assertion to assertion
    _, log = challenge(ONCE)
    took = int(log.frame("AssertionConfirmed")["time"][0] - log.frame("AssertionMade")["time"][0])
    assert 8 * HOUR < took < 9 * HOUR


def test_anybody_may_defend_what_is_true_and_answers_what_is_false() -> None:
    """The proposer's assertions stop; a watcher asserts the truth beside a false one, and both their moves count."""
    early = "attacks.rivals.early=true", "attacks.rivals.begins=12h", "chains.arb.proposer=null"
    watch = 'agents.watch={kind: staker, "on": arb, count: 2, response: 0 s}'
    world, log = challenge(*early, watch)
    made = log.frame("AssertionMade")
    assert made["valid"].tolist()[:2] == [0, 1]
    assert log.frame("AssertionConfirmed")["valid"].tolist() == [1]
    # Both answer at once; the second is refused as the first says the same, and loses nothing but gas.
    assert log.frame("AssertionRejected")["valid"].tolist() in ([1, 0], [0, 1], [0])
    assert log.frame("StakeForfeited")["account"].tolist() == [world.ledger.groups["rivals"].accounts.start]


def test_where_nobody_looks_the_false_assertion_is_final() -> None:
    early = "attacks.rivals.early=true", "attacks.rivals.begins=12h", "chains.arb.proposer=null"
    for watch in ("", ", failure: 1", ", funds: 3599 ETH"):
        agents = (f'agents.watch={{kind: staker, "on": arb{watch}}}',) if watch else ()
        _, log = challenge(*early, *agents)
        assert log.frame("AssertionConfirmed")["valid"].tolist() == [0]


def test_who_is_kept_from_l1_for_longer_than_a_period_loses() -> None:
    long = "chains.arb.proposer.censored_from=1d", "chains.arb.proposer.censored_for=2d", "attacks.rivals.margin=null"
    world, log = challenge(ONCE, *long)
    assert log.frame("AssertionConfirmed")["valid"].tolist() == [0]
    assert log.frame("StakeForfeited")["account"].tolist() == [world.ledger.groups["arb.proposer"].accounts.start]


def test_an_attacker_stops_where_its_budget_ends() -> None:
    _, log = challenge(ONCE, "attacks.rivals.rivals=5", "attacks.rivals.budget=9000 ETH", "attacks.rivals.margin=null")
    posted = log.frame("StakePosted")
    attackers = posted[posted["account"] != posted["account"][0]]
    assert attackers["purpose"].tolist() == ["assertion"] * 2 + ["edge"] * 4
    assert attackers["amount"].sum() == 2 * (3600 + 555 + 79)  # another rival would have taken 3600 more


# ---- how far assertions go

NARROW = {
    "tournament": "kind: tournament, block_bits: 6",
    "partial_concurrency": "kind: partial_concurrency, block_bits: 6",
    "bold": "kind: bold, grace: 2h, heights: [6, 19, 23], block_bits: 6",
}
"""Settlements in which 64 blocks can be numbered."""


@pytest.mark.parametrize("kind", NARROW)
def test_who_asserts_goes_as_far_as_a_history_can_number(kind: str) -> None:
    """A day of 143 blocks takes three assertions, each of which can be argued about; no false one gets through."""
    often = "chains.arb.proposer.interval=1d", "duration=4d"
    settlement = f"chains.arb.settlement={{{NARROW[kind]}, challenge_period: 6h}}"
    _, log = challenge(settlement, *often, "attacks.rivals.rivals=2", "attacks.rivals.margin=null")
    made, final = log.frame("AssertionMade"), log.frame("AssertionConfirmed")
    assert made.query("valid == 1")["last"].tolist() == [64, 128, 192]
    assert final["valid"].tolist() == [1, 1, 1]
    assert (made["valid"] == 0).sum() == len(log.frame("DisputeEnded")) == 2


@pytest.mark.parametrize(("blocks", "taken"), [(64, True), (65, False)])
@pytest.mark.parametrize("kind", NARROW)
def test_what_goes_further_is_refused(kind: str, blocks: int, taken: bool) -> None:
    settlement = f"chains.arb.settlement={{{NARROW[kind]}, challenge_period: 6h}}"
    bold = f"chains.arb.proposer={{kind: proposer, interval: 3d, head: latest, phase: {blocks * 600 + 1} s, funds: 10000 ETH}}"
    _, log = challenge(settlement, bold, "attacks.rivals=null")
    assert log.frame("AssertionMade")["last"].tolist() == [blocks]
    assert len(log.frame("AssertionConfirmed") if taken else log.frame("AssertionRejected")) == 1
    assert ("StakePosted" in list(log)) == taken


@pytest.mark.parametrize("kind", NARROW)
def test_rivals_of_two_attacks_add_up(kind: str) -> None:
    """Those of one attack say the same only where several may stake on it; nobody is refused for saying what another says."""
    settlement = f"chains.arb.settlement={{{NARROW[kind]}, challenge_period: 6h, assertion_stake: 1 ETH}}"
    both = "attacks.rivals.rivals=2", 'attacks.two={kind: delay_attack, "on": arb, begins: 1h, lasts: 2d, rivals: 3}'
    _, log = challenge(ONCE, settlement, *both)
    false = log.frame("AssertionMade").query("valid == 0")
    assert len(false) == 5
    assert false["state"].nunique() == (2 if kind == "partial_concurrency" else 5)
    assert log.frame("StakePosted").query("purpose == 'assertion'")["amount"].sum() == 1 + 5


def test_one_answer_is_enough_for_false_assertions_that_end_alike() -> None:
    """Two that come in one slot are answered by one true assertion, which no second one follows."""
    early = "attacks.rivals.early=true", "attacks.rivals.begins=12h", "attacks.rivals.rivals=2", "chains.arb.proposer=null"
    _, log = challenge(*early, 'agents.watch={kind: staker, "on": arb}')
    made = log.frame("AssertionMade")
    assert made["valid"].tolist() == [0, 0, 1]
    assert made["time"][0] == made["time"][1]
    assert log.frame("AssertionConfirmed")["valid"].tolist() == [1]


def test_a_root_edge_is_confirmed_with_the_last_batch_of_updates() -> None:
    """81 edges are three transactions of 40, 40 and one; in whatever order they come, the last one ends the challenge."""
    node: Any = SimpleNamespace(number=1)
    root: Any = SimpleNamespace(number=5, gathered=lambda now: 6 * HOUR, below=list)
    mover: Any = SimpleNamespace(account=3)
    contract: Any = SimpleNamespace(
        _moved=lambda *what: None, me=SimpleNamespace(now=8 * HOUR), rules=SimpleNamespace(challenge_period=6 * HOUR)
    )
    one = Challenge(node)
    one.updated[root.number] = set()
    won = []
    for batch in (2, 0, 1):
        BoldContract._update(contract, one, node, root, mover, batch, 3, 0.0)
        won.append(one.winner)
    assert won == [None, None, node]


# ---- one against one


@pytest.mark.parametrize(("keeps", "left"), [(True, 4 * HOUR), (False, 6 * HOUR)])
def test_what_a_match_took_off_a_clock_is_missing_in_the_next_or_not(keeps: bool, left: int) -> None:
    """A period of six hours, of which two are used up; who has met nobody yet has all of it."""
    rules = Tournament.model_validate({"kind": "tournament", "challenge_period": "6h", "keeps_clocks": keeps})
    bracket: Any = SimpleNamespace(rules=rules, clocks={7: 4 * HOUR})
    clocks = [Bracket.clock(bracket, SimpleNamespace(number=number)) for number in (7, 8)]  # type: ignore[arg-type]
    assert clocks == [left, 6 * HOUR]


def test_who_wins_a_duel_gets_its_share_of_the_stake_and_the_treasury_the_rest() -> None:
    """A stake of 2 ETH at 30 %: 0.6 to the winner, 1.4 to the treasury."""
    kind = "{kind: tournament, challenge_period: 6h, assertion_stake: 2 ETH, reward: 0.3}"
    world, log = challenge(
        *(ONCE, f"chains.arb.settlement={kind}", "chains.arb.proposer.phase=2h", "agents.leavers=null"),
        *("attacks.rivals.margin=null", "attacks.rivals.lasts=9h", "duration=10h"),
    )
    assert log.frame("StakeForfeited")["amount"].tolist() == [2.0]
    (paid,) = log.frame("DefenderPaid").itertuples()
    assert (paid.account, paid.refund, paid.reward) == (world.ledger.groups["arb.proposer"].accounts.start, 0.0, pytest.approx(0.6))
    assert world.ledger.held("l1", "gas", "arb.settlement") == pytest.approx(1.4)


# ---- mistakes


@pytest.mark.parametrize(
    ("setting", "place", "message"),
    [
        ("chains.arb.settlement.mini_stakes=[0 ETH]", "chains.arb.settlement", "there are 3 heights and 1 mini-stakes"),
        ("chains.arb.settlement.step_bits=20", "chains.arb.settlement", "add up to 68 bisections, a position has 65 bits"),
        ("chains.arb.settlement={kind: tournament, block_bits: -3}", "chains.arb.settlement.block_bits", "equal to 0, not -3"),
        ("chains.arb.settlement={kind: partial_concurrency, step_bits: 100}", "chains.arb.settlement.step_bits", "equal to 26, not 100"),
        *(
            (f"chains.arb.settlement={{kind: {kind}, block_bits: 0, transaction_bits: 0, step_bits: 0}}", "chains.arb.settlement", NO_BITS)
            for kind in ("tournament", "partial_concurrency", "bold, heights: [], mini_stakes: []")
        ),
        ("chains.arb.settlement.challenge_period=0", "chains.arb.settlement.challenge_period", "must be more than 0"),
        ("attacks.rivals.rivals=0", "attacks.rivals.rivals", "greater than or equal to 1"),
        ("attacks.rivals.on=l1", "attacks.rivals.on", "is of kind 'l1', where kind 'rollup' is due"),
        ("chains.arb.proposer.failure=2", "chains.arb.proposer.failure", "must be between 0 and 1"),
    ],
)
def test_what_makes_no_sense_is_refused(setting: str, place: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        plan(setting)
    told = [str(mistake) for mistake in caught.value.mistakes]
    assert any(place in one and message in one for one in told), told


def test_who_has_nothing_to_play_is_told() -> None:
    settings = "chains.arb.proposer={kind: proposer}", "chains.arb.settlement={kind: optimistic}"
    with pytest.raises(ScenarioError, match="so a delay attack has nothing to play: use an attack of kind 'stalled_game'"):
        Scenario.load(SCENARIOS / "delay.yaml", ("duration=3d", "attacks.rivals.lasts=2d", *settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("chains.arb.settlement={kind: optimistic}", "attacks.rivals=null"), "write 'proposer: {kind: proposer}'"),
        (("agents.lost={kind: staker}",), "it watches no rollup: name one under 'on'"),
    ],
)
def test_a_staker_that_has_nothing_to_play_is_refused(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        Scenario.load(SCENARIOS / "delay.yaml", ("duration=3d", "attacks.rivals.lasts=2d", *settings))


def test_the_same_luck_gives_the_same_challenge() -> None:
    one, other = (run(plan(ONCE, "attacks.rivals.rivals=2")) for _ in range(2))
    assert one.frame("EdgeTurned").equals(other.frame("EdgeTurned"))
