"""The game tree and the heads of a disputed rollup, as the report draws them."""

from pathlib import Path
from typing import Any

import pytest
from test_settlement_dispute_game import FALSE, plan
from test_settlement_disputes import played

from l2sim.log import Log
from l2sim.report import dispute_heads, game_tree
from l2sim.report.document import Document
from l2sim.report.page import document
from l2sim.simulation import experiment

OTHER = "attacks.other={kind: stalled_game, on: op, begins: 30min, lasts: 1d, stalls: null, budget: 3 ETH}"


@pytest.fixture(scope="module")
def log() -> Log:
    return played(plan(OTHER))[1]


def test_the_tree_has_every_claim_below_the_one_that_it_answers(log: Log) -> None:
    found = game_tree.claims(log, "op", 0)
    assert len(found) == len(log.frame("ClaimMade"))
    tree = game_tree.graph(found)
    assert tree.number_of_edges() == len(found) - 1
    for parent, child in tree.edges:
        assert found[child].depth == found[parent].depth + 1
        step = tree.nodes[child]["place"] - tree.nodes[parent]["place"]
        assert (step < 0) == found[child].attack
    places = [(data["place"], data["claim"].depth) for _, data in tree.nodes(data=True)]
    assert len(set(places)) == len(places)
    assert {claim.player for claim in found} >= {"op.proposer", "delay", "other"}
    assert sum(claim.stepped for claim in found) == 1


def test_the_way_down_leads_to_what_decided_the_game(log: Log) -> None:
    tree = game_tree.graph(game_tree.claims(log, "op", 0))
    path = [tree.nodes[node]["claim"] for node in game_tree.winning(tree)]
    assert (path[0].fate, path[-1].depth) == ("stands", 73)
    assert [claim.depth for claim in path] == list(range(74))
    assert path[-1].stepped
    assert all(claim.fate == ("stands" if claim.depth % 2 == 0 else "countered") for claim in path)
    false = played(plan(*FALSE, "chains.op.proposer=null"))[1]
    tree = game_tree.graph(game_tree.claims(false, "op", 0))
    path = [tree.nodes[node]["claim"] for node in game_tree.winning(tree)]
    assert [claim.fate for claim in path[:3]] == ["countered", "stands", "countered"]


def test_an_open_game_is_drawn_as_far_as_it_got() -> None:
    log = played(plan("duration=70min"))[1]
    tree = game_tree.graph(found := game_tree.claims(log, "op", 0))
    assert 1 < len(found) < 74
    assert {claim.fate for claim in found} == {"open"}
    assert game_tree.winning(tree) == [0]


def test_disputed_assertions_are_marked_from_the_challenge_to_their_end(log: Log) -> None:
    (one,) = dispute_heads.disputed(log, "op")
    made, challenged = log.frame("AssertionMade").iloc[0], log.frame("AssertionChallenged").query("taken == 1").iloc[0]
    assert (one.number, one.last, one.begins, one.fate) == (0, made["last"], challenged["time"], "confirmed")
    assert one.ends == log.frame("AssertionConfirmed")["time"][0]


@pytest.mark.parametrize(("settings", "drawn"), [((OTHER,), True), (("attacks.delay=null",), False)])
def test_a_page_shows_games_where_there_were_any(settings: tuple[str, ...], drawn: bool, tmp_path: Path) -> None:
    run: Any = experiment(plan(*settings), replications=1, out=tmp_path)
    made: Document = document(run)
    pictures = {picture.name: picture for section in made.sections for picture in section.pictures}
    assert ("game_op_0" in pictures) == ("heads_op" in pictures) == drawn
    if drawn:
        tree = pictures["game_op_0"]
        assert "it stands" in tree.caption
        assert len(tree.data) > 74
        assert tree.data["decided"].sum() == 74
        assert "disputed" in pictures["heads_op"].drawing.svg
