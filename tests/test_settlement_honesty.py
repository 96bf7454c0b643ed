"""What parties see of assertions and bridges: all that is on L1 and on the rollup by then, and nothing of the future."""

from typing import Any

from test_honesty import plain, public
from test_settlement_disputes import plan, rollup

from l2sim.streams import Streams
from l2sim.units import MINUTE
from l2sim.world.assertions import Assertion
from l2sim.world.bridge import Proof
from l2sim.world.docket import Docket
from l2sim.world.gate import Gate
from l2sim.world.seat import AttackSeat
from l2sim.world.world import World

PARTING = 80 * MINUTE
ONE = ("attacks.fraud.begins=85min",)
OTHER = ("attacks.fraud.begins=100min", "agents.leavers.until=80min")
STANDING = {"passes", "paused", "powers", "upgradable"}
ARGUING = {"contract", "side", "stirs", "stands", "resumed", "manner", "join", "govern"}
DOCKET = {
    "l1",
    "head",
    "final",
    "number",
    "assertion",
    "status",
    "covering",
    "bond",
    "luck",
    "digest",
    "steps",
    "transactions",
    "known",
    *STANDING,
}
GATE = {"escrow", "withdrawals", "withdrawal", "proof", "due", "offers", "cheapest", "apart"}
SELLING = {"sell", "desk", "sold", "shows", "decline", "advance"}
ACTS = {
    "made",
    "turn",
    "released",
    *ARGUING,
    "propose",
    "challenge",
    "spend",
    "replica",
    "prove",
    "pay",
    "forge",
    "deposit",
    "collect",
    *SELLING,
}


def seen(world: World) -> dict[str, Any]:
    """All that a docket and a gate show now."""
    found: dict[str, Any] = {}
    for _, seat in world.seats:
        if isinstance(seat, AttackSeat):
            continue
        docket, gate = seat.settlement("arb"), seat.bridge("bridge")
        assert set(public(docket)) | set(public(gate)) == DOCKET | GATE | ACTS
        about = range(docket.number())
        block = max(1, rollup(world).height)
        looks: dict[str, list[tuple[Any, ...]]] = {
            "head": [("latest",), ("safe",), ("finalized",)],
            **{name: [()] for name in ("final", "number", "bond", "paused", "upgradable")},
            **{name: [(number,) for number in about] for name in ("assertion", "status", "passes", "luck", "known")},
            "covering": [(0,), (50 * MINUTE,), (2 * PARTING,)],
            "digest": [(0,), (block,), (block + 1,)],
            "transactions": [(block,), (block + 1,)],
            "steps": [(block + 1,)],
        }
        gates = {
            **{name: [()] for name in ("escrow", "offers")},
            **{name: [(1,), (100,)] for name in ("withdrawal", "proof", "due", "cheapest")},
            "withdrawals": [(0,)],
        }
        for thing, methods in ((docket, looks), (gate, gates)):
            for name, calls in methods.items():
                for arguments in calls:
                    value = getattr(thing, name)(*arguments)
                    value = tuple(value) if isinstance(value, Assertion | Proof) else value
                    found[f"{seat.name}.{type(thing).__name__}.{name}{arguments}"] = plain(value, name)
    return found


def told_apart() -> list[tuple[int, str]]:
    shown: list[dict[int, dict[str, Any]]] = []
    for future in (ONE, OTHER):
        world = World(plan("duration=100min", *future), Streams(1, 0))
        shown.append(looks := {})

        def look(now: int, events: int, world: World = world, looks: dict[int, dict[str, Any]] = looks) -> None:
            if now % (10 * MINUTE) == 0:
                looks[now] = seen(world)

        world.run(look)
    one, other = shown
    return [(now, what) for now in one for what in one[now].keys() | other[now].keys() if one[now].get(what) != other[now].get(what)]


def test_neither_dockets_nor_gates_show_anything_of_the_future() -> None:
    different = told_apart()
    assert not [one for one in different if one[0] <= PARTING]
    names = {what.partition("(")[0].partition(".")[2] for _, what in different}
    assert {"Docket.number", "Gate.withdrawals", "Docket.digest"} <= names


def test_a_block_to_come_has_no_digest() -> None:
    world = World(plan("duration=10min"), Streams(1, 0))
    world.run()
    docket = world.seats[0][1].settlement("arb")
    assert docket.digest(61) == -1 != docket.digest(60)
    assert docket.steps(61) == []
    assert docket.transactions(61) == 0
    assert isinstance(docket, Docket)
    assert isinstance(world.seats[0][1].bridge("bridge"), Gate)
