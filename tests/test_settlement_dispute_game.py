"""The dispute game: bonds as in the contract, positions, who wins and who is paid, clocks raced on L1, and what is refused."""

from types import SimpleNamespace
from typing import Any

import pytest
from test_settlement_disputes import played
from validation import SCENARIOS
from worlds import differences, frames

from l2sim.events.dispute_game import BondsPaid, ClaimMade, ClaimResolved, ClaimStepped, GameResolved, MoveRefused
from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.settlement.dispute_game import DisputeGame
from l2sim.settlement.dispute_game.bonds import required_bond
from l2sim.settlement.dispute_game.clocks import extended
from l2sim.settlement.dispute_game.game import TRANSITIONS, Game
from l2sim.settlement.dispute_game.positions import Trace, Tree, depth_of, moved, trace_index
from l2sim.units import GWEI, HOUR, MINUTE
from l2sim.world.world import World

GAS_73 = {
    0: 400000, 1: 437970, 2: 479544, 3: 525065, 4: 574906, 5: 629480, 6: 689233, 7: 754659, 11: 1084646, 12: 1187607, 13: 1300340,
    15: 1558927, 16: 1706909, 17: 1868937, 18: 2046346, 21: 2686163, 23: 3220336, 24: 3526026, 26: 4227215, 27: 4628484, 28: 5067843,
    29: 5548909, 30: 6075639, 33: 7975266, 35: 9561235, 36: 10468836, 37: 11462591, 38: 12550679, 39: 13742053, 40: 15046518,
    41: 16474810, 43: 19751006, 44: 21625872, 46: 25926412, 48: 31082162, 50: 37263190, 52: 44673382, 56: 64207600, 57: 70302511,
    58: 76975982, 59: 84282933, 61: 101043514, 63: 121137120, 64: 132636070, 65: 145226559, 68: 190633512, 69: 208729412,
    71: 250237534, 72: 273991351,
}  # fmt: skip
"""Gas in the bonds of FaultDisputeGame.sol at commit d317e96c (executed contract, greatest depth 73), by depth."""
BONDS_8 = {
    0: 80000000000000000, 1: 183009000000000000, 2: 418654000000000000, 3: 957718600000000000, 4: 2190890200000000000,
    5: 5011910000000000000, 6: 11465313400000000000, 8: 59999999800000000000,
}  # fmt: skip
"""Bonds in wei, the same with a greatest depth of 8."""

SHORT = (
    "duration=12h", "chains.op.sequencer.block_time=1min", "chains.op.proposer.interval=20h", "chains.op.settlement.clock=1h",
    "chains.op.settlement.extension=5min", "chains.op.settlement.airgap=1h", "chains.op.settlement.bond_delay=1h",
    "agents.leavers.rate=500 /h", "markets.bridge.proof_maturity=2h", "attacks.delay.stalls=null",
)  # fmt: skip
"""A game in hours instead of weeks, in which nobody stalls."""
FALSE = ("attacks.delay.asserts=true", "attacks.delay.challenges=false")


def plan(*settings: str) -> Scenario:
    return Scenario.load(SCENARIOS / "dispute_game.yaml", (*SHORT, *settings))


def game(log: Log) -> Any:
    return log.frame("ClaimMade")


def first(world: World, group: str) -> int:
    return world.ledger.groups[group].accounts.start


# ---- bonds


def test_bonds_are_those_of_the_contract() -> None:
    rules = DisputeGame()
    for depth, gas in GAS_73.items():
        assert rules.bond(depth) == 200 * GWEI * gas
    for depth, bond in BONDS_8.items():
        assert required_bond(depth, 8, 200 * GWEI, 400_000, 300_000_000) == bond
    assert len(GAS_73) + len(BONDS_8) == 57
    assert rules.bond(73) == 59_999_999_800_000_000_000


# ---- positions


def test_moves_go_to_the_left_below_a_claim_or_below_its_right_neighbour() -> None:
    assert moved(1, True) == 2
    assert (moved(2, True), moved(2, False)) == (4, 6)
    assert [trace_index(position, 4) for position in (1, 2, 4, 6, 16, 30)] == [15, 7, 3, 11, 0, 14]
    position = 1
    for attack in (True, False, True, True):
        before, position = position, moved(position, attack)
        assert depth_of(position) == depth_of(before) + 1
        assert (trace_index(position, 9) < trace_index(before, 9)) == attack


@pytest.mark.parametrize(("split", "deepest", "transactions"), [(4, 12, 5), (4, 8, 30), (2, 9, 0), (30, 73, 999)])
def test_instructions_go_through_the_blocks_transactions_in_order(split: int, deepest: int, transactions: int) -> None:
    tree = Tree(10, 13, split, deepest, lambda block: transactions)
    assert [tree.block(leaf) for leaf in (-1, 0, 1, 2, 3, 99)] == [10, 11, 12, 13, 13, 13]
    last = (1 << tree.bits) - 1
    found = [tree.part(0, i) for i in sorted({0, 1, last // 2, last - 1, last})]
    parts = [part for part, _, _ in found]
    assert parts == sorted(parts)
    assert parts[-1] == transactions
    assert found[-1][2]
    digests = [100 + i for i in range(transactions + 1)]
    trace = Trace(tree, lambda block: digests[-1] if block == 11 else block, lambda block: digests)
    assert trace.after(0, -1) == 10
    assert trace.after(0, last) == digests[-1]
    if tree.bits < 12:
        said = [trace.after(0, i) for i in range(last + 1)]
        seen = [digest for digest in said if digest in digests]
        assert seen == sorted(seen)  # each transaction's real digest, in order
        assert set(seen) == set(digests) or 1 << tree.bits < len(digests)


def test_who_agrees_before_a_transaction_agrees_until_its_last_instruction() -> None:
    tree = Tree(0, 1, 4, 12, lambda block: 3)
    true = Trace(tree, lambda block: block and 4, lambda block: [1, 2, 3, 4])
    false = Trace(tree, lambda block: block and 40, lambda block: [1, 2, 30, 40])
    apart = [i for i in range(1 << tree.bits) if true.after(0, i) != false.after(0, i)]
    assert tree.part(0, apart[0]) == (2, (1 << tree.bits - 2) - 1, True)
    assert apart == list(range(apart[0], 1 << tree.bits))


# ---- claims made by hand, in a game of blocks to depth 2 and instructions to depth 5

PROPOSER, SIDES = 1, {account: SimpleNamespace(account=account) for account in (1, 2, 3, 4)}


def by_hand() -> tuple[Game, list[Any]]:
    """A game whose root the proposer claims, and what it records."""
    said: list[Any] = []
    nothing = SimpleNamespace(ring=lambda: None)
    assertions = SimpleNamespace(
        bell=lambda: nothing, transactions=lambda block: 3, digest=lambda block: block, steps=lambda block: [],
        world=SimpleNamespace(clock=SimpleNamespace(now=0), record=said.append), chain=SimpleNamespace(name="op"),
        pledge=lambda side, bond: True, moved=lambda *what: None, dispute=lambda case, side: setattr(case, "challenger", side),
    )  # fmt: skip
    root = SimpleNamespace(first=1, last=4, number=0, digest=4, bond=1, made=0, account=PROPOSER)
    case = SimpleNamespace(asserter=SIDES[PROPOSER], assertion=root, status="pending", challenger=None)
    return Game(DisputeGame(split_depth=2, max_depth=5), assertions, case, permissioned=False), said


@pytest.mark.parametrize("first", [True, False], ids=["attack first", "defence first"])
def test_a_bond_goes_to_the_leftmost_answer_that_stands(first: bool) -> None:
    """FaultDisputeGame.sol, resolveClaim: of the uncountered answers that with the leftmost position, whichever came first.

    A claim at position 2 is attacked (position 4) by one and defended (position 6) by another; both stand.
    """
    game, said = by_hand()
    assert game.move(SIDES[2], 0, True, 90, 0.0)
    for attack in (first, not first):
        assert game.move(SIDES[4 if attack else 3], 1, attack, 91, 0.0)
    game.resolve()
    paid = {one.claim: one.recipient for one in said if isinstance(one, ClaimResolved)}
    assert paid == {0: PROPOSER, 1: 4, 2: 4 if first else 3, 3: 3 if first else 4}


def test_neither_root_can_be_defended() -> None:
    """FaultDisputeGame.sol, move: CannotDefendRootClaim, of the game and (a move to the split depth + 2) of a block's execution."""
    game, said = by_hand()
    assert not game.move(SIDES[2], 0, False, 90, 0.0)
    for number, side in enumerate((2, 3, 2)):  # down to the root of an execution, at depth 3
        assert game.move(SIDES[side], number, True, 90 + number, 0.0)
    assert not game.move(SIDES[3], 3, False, 95, 0.0)
    refused = [one for one in said if isinstance(one, MoveRefused)]
    assert [(one.parent, one.reason) for one in refused] == [(number, "the root of a game cannot be defended") for number in (0, 3)]
    assert game.move(SIDES[3], 3, True, 95, 0.0)
    assert game.move(SIDES[2], 4, False, 96, 0.0)


def test_extensions_of_a_clock_by_depth() -> None:
    """OP Mainnet: 3 h; 6 h above the split depth of 30; 3 h and 86,400 s for large preimages above the greatest depth of 73."""
    rules = DisputeGame()
    assert {depth: rules.extension_at(depth) // HOUR for depth in (1, 28, 29, 30, 31, 71, 72, 73)} == {
        1: 3, 28: 3, 29: 6, 30: 3, 31: 3, 71: 3, 72: 27, 73: 3,
    }  # fmt: skip
    # min(nextDuration, maxClock - extension), in hours of a clock of 84
    assert [extended(clock, 84, 27) for clock in (50, 57, 58, 84)] == [50, 57, 57, 57]


def test_a_game_has_a_leaf_for_each_block() -> None:
    """A split depth of 30 has 2^30 leaves."""
    assertions = SimpleNamespace(contract=SimpleNamespace(respected="permissionless"), final=7, cases=[])
    admitted = [DisputeGame().admits(assertions, SIDES[2], 7 + 2**30 + more, 1) for more in (-1, 0, 1)]
    assert admitted == [True, True, False]


# ---- who wins


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_what_is_false_never_stands_and_its_bonds_go_to_who_told_the_truth(seed: int) -> None:
    world, log = played(plan(*FALSE, "chains.op.proposer=null"), seed)
    attacker, honest = first(world, "delay"), first(world, "validators")
    (resolved,) = log.frame("GameResolved").itertuples()
    assert (resolved.stands, resolved.claims) == (0, 74)
    assert log.frame("AssertionRejected")["valid"].tolist() == [0]
    assert set(log.frame("ClaimResolved")["recipient"]) == {honest}
    claims = game(log)
    assert claims["depth"].tolist() == list(range(74))
    assert set(claims["account"][::2]) == {attacker}
    (paid,) = log.frame("BondsPaid").itertuples()
    assert (paid.account, paid.amount) == (honest, pytest.approx(691.234694))
    assert world.ledger.held("l1", "gas", "op.settlement") == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_what_is_true_always_stands_and_the_dispute_ends_at_the_transaction_that_the_liar_chose(seed: int) -> None:
    world, log = played(plan("chains.op.settlement.bond_delay=0 s", "agents.validators=null"), seed)
    (step,) = log.frame("ClaimStepped").itertuples()
    assert game(log)["depth"].max() == 73
    (resolved,) = log.frame("GameResolved").itertuples()
    assert resolved.stands == 1
    key = world.chains["op"].assertions.cases[0].assertion.key  # type: ignore[attr-defined]
    _, attack = next((part, seat) for part, seat in world.seats if seat.name == "delay")
    docket = attack.settlement("op")
    assertion = docket.assertion(0)
    block = assertion.first + int(attack.luck("block", key) * (assertion.last - assertion.first + 1))
    transaction = int(attack.luck("step", key) * (docket.transactions(block) + 1)) - 1
    (ended,) = log.frame("DisputeEnded").itertuples()
    assert (ended.block, ended.transaction) == (block, transaction)
    assert (ended.winner, ended.loser) == (first(world, "op.proposer"), first(world, "delay"))
    assert step.account == first(world, "op.proposer")
    lost = log.frame("BondSlashed").query("account == @attack.accounts.start")["reward"].sum()
    assert lost == pytest.approx(361.277932)
    assert set(log.frame("WithdrawalFinalized")["valid"]) == {1}


def test_a_false_assertion_made_on_a_copy_of_the_state_is_argued_down_too() -> None:
    """The attack that steals: the digests of a state that somebody really computed."""
    change = (
        "chains.arb.settlement={kind: dispute_game, clock: 30min, extension: 1min, preimage_challenge: 0 s, airgap: 30min, response: 1s}"
    )
    scenario = Scenario.load(
        SCENARIOS / "disputes.yaml", [change, "duration=4h", "agents.validators.funds=800 ETH", "chains.arb.proposer.interval=1h"]
    )
    _, log = played(scenario)
    made = log.frame("AssertionMade")
    assert made["valid"].tolist().count(0) == 1
    (false,) = made[made["valid"] == 0]["number"]
    assert log.frame("AssertionRejected")["number"].tolist() == [false]
    ended = log.frame("DisputeEnded")
    assert ended["number"].tolist() == [false]
    assert ended["block"].tolist() == [330 - 40 + 1]
    assert set(log.frame("AssertionConfirmed")["valid"]) == {1}
    found: Any = scenario.metrics["disputes"].measure(log)
    assert found.loc["arb", "undetected"] == 0
    assert found.loc["arb", "attackers_bonds"] > 300


def test_a_bond_goes_to_an_answer_that_stands_and_back_where_none_does() -> None:
    """Two who challenge the same true assertion with different claims each; what an honest answer leaves standing decides."""
    other = "attacks.other={kind: stalled_game, on: op, begins: 30min, lasts: 1d, stalls: null, budget: 5 ETH}"
    _, log = played(plan(other, "agents.validators=null", "attacks.delay.budget=3 ETH"))
    claims, resolved = game(log), log.frame("ClaimResolved").set_index("claim")
    stepped = set(log.frame("ClaimStepped")["claim"]) if "ClaimStepped" in log.tables else set()
    for claim in claims.itertuples():
        answers = claims[claims["parent"] == claim.claim]
        standing = [one for one in answers.itertuples() if not resolved["countered"][one.claim]]
        if standing:
            leftmost = min(standing, key=lambda one: (-one.attack, one.claim))
            assert resolved["recipient"][claim.claim] == leftmost.account
        elif claim.claim not in stepped:
            assert resolved["recipient"][claim.claim] == claim.account
    assert log.frame("GameResolved")["stands"].tolist() == [1]


def test_bonds_on_the_way_are_what_their_owners_own() -> None:
    """In the middle of a game nobody has lost anything yet; the books say so."""
    world, log = played(plan("duration=80min", "agents.validators=null"))
    assert world.chains["op"].assertions.cases[0].contest.state == "in progress"  # type: ignore[attr-defined]
    closed = log.frame("AccountClosed").query("asset == 'gas' and group in ['delay', 'op.proposer']")
    gas = sum(log.frame(fact)["cost"].sum() for fact in ("ClaimMade", "ClaimStepped", "AssertionMade"))
    assert closed["value"].sum() / 3000.0 == pytest.approx(-gas, abs=1e-9)


# ---- money, clocks and L1 decide


def test_who_cannot_pay_the_next_bond_loses_what_it_argued_for() -> None:
    """An honest challenger with 20 ETH against an attacker with a thousand: the false assertion stands, and the bridge pays it."""
    world, log = played(plan(*FALSE, "chains.op.proposer=null", "agents.validators.funds=20 ETH"))
    assert log.frame("GameResolved")["stands"].tolist() == [1]
    assert log.frame("AssertionConfirmed")["valid"].tolist() == [0]
    assert game(log)["depth"].max() < 73
    assert world.ledger.held("l1", "gas", "validators") < 20.0


def test_a_budget_ends_an_attack() -> None:
    world, log = played(plan("attacks.delay.budget=10 ETH", "agents.validators=null"))
    mine = game(log).query(f"account == {first(world, 'delay')}")["bond"].sum()
    assert 5 < mine <= 10
    assert log.frame("GameResolved")["stands"].tolist() == [1]


def censored(share: str) -> Log:
    builders = f"chains.l1.builders={{biased: {{share: {share}, censors: [validators]}}}}"
    return played(plan(*FALSE, "chains.op.proposer=null", builders, "chains.op.settlement.clock=1h"))[1]


def test_whom_l1_leaves_out_loses_the_race_against_the_clock() -> None:
    assert censored("100 %").frame("AssertionConfirmed")["valid"].tolist() == [0]
    assert censored("80 %").frame("AssertionRejected")["valid"].tolist() == [0]


def test_a_move_that_comes_too_late_is_refused_and_paid_for() -> None:
    """Messages to L1 take longer than what is left of the clock when the stalling side sends its move."""
    slow = "network={within: 2min, reference_volatility: 0}"
    world, log = played(plan(slow, "attacks.delay.stalls=1min", "agents.validators=null"))
    assert len(game(log)) == 1
    assert log.frame("GameResolved")["stands"].tolist() == [1]
    assert world.ledger.held("l1", "gas", "delay") < 0


def test_two_honest_players_make_the_same_claims_and_only_the_first_counts() -> None:
    _, log = played(plan("agents.validators.count=2"))
    refused = log.frame("MoveRefused")
    assert set(refused["reason"].astype(str)) == {"claimed already", "countered already"}
    assert (refused["cost"] > 0).all()
    assert game(log)["depth"].tolist() == list(range(74))


def test_every_state_of_a_game_comes_from_the_table() -> None:
    states = {state for state, _ in TRANSITIONS} | set(TRANSITIONS.values())
    ends = states - {state for state, _ in TRANSITIONS}
    assert ends == {"paid out"}
    reached, todo = {"in progress"}, ["in progress"]
    while todo:
        here = todo.pop()
        for (state, _), after in TRANSITIONS.items():
            if state == here and after not in reached:
                reached.add(after)
                todo.append(after)
    assert reached == states


def test_the_log_of_a_game_tells_it_whole() -> None:
    _, log = played(plan())
    for fact in (ClaimMade, ClaimStepped, ClaimResolved, GameResolved, BondsPaid, MoveRefused):
        assert fact.__name__ in log.tables
    claims = game(log)
    assert (claims["parent"] < claims["claim"]).all()
    # Attack or defence: which depends on where the lie is, so both occur below some depth.
    assert {0, 1} == set(claims["attack"])
    assert len(log.frame("ClaimResolved")) == len(claims)
    assert log.frame("BondsPaid")["amount"].sum() == pytest.approx(claims["bond"].sum())
    assert claims["clock"].between(0, 60 * MINUTE).all()


# ---- what is refused


@pytest.mark.parametrize(
    ("setting", "place", "message"),
    [
        ("chains.op.settlement.clock=9min", "chains.op.settlement", "a clock of 9 min is shorter than an extension of it, 10 min"),
        ("chains.op.settlement.preimage_challenge=2h", "chains.op.settlement", "a clock of 1 h is shorter than an extension"),
        ("chains.op.settlement.bond_fee=0", "chains.op.settlement", "a bond of zero where one is due"),
        ("chains.op.settlement.lowest_gas=0", "chains.op.settlement", "a bond of zero where one is due"),
        ("chains.op.settlement.highest_gas=1000 gas", "chains.op.settlement", "bonds cannot fall with depth"),
        ("chains.op.settlement.split_depth=73", "chains.op.settlement", "the split depth 73 leaves no depth below it"),
        ("chains.op.settlement.split_depth=72", "chains.op.settlement", "the split depth 72 leaves no depth below it"),
        ("chains.op.settlement.max_depth=126", "chains.op.settlement.max_depth", "less than or equal to 125"),
        ("chains.op.settlement.challenger=nobody", "chains.op.settlement.challenger", "there is no agent 'nobody'"),
        ("chains.op.settlement.guardian=counsil", "chains.op.settlement.guardian", "there is no agent 'counsil'"),
        ("attacks.delay.challenges=false", "attacks.delay", "it neither challenges nor asserts anything"),
    ],
)  # fmt: skip
def test_a_game_that_cannot_be_played_is_refused(setting: str, place: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        plan(setting)
    told = [str(mistake) for mistake in caught.value.mistakes]
    assert any(place in one and message in one for one in told), told


def test_the_same_luck_gives_the_same_game_and_none_changes_what_was_before_it() -> None:
    one, two = played(plan())[1], played(plan())[1]
    assert differences(frames(one), frames(two)) == []
    calm = played(plan("attacks.delay=null"))[1]
    assert differences(frames(one, before=30 * MINUTE), frames(calm, before=30 * MINUTE)) == []
