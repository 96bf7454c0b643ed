"""Honest runs: the same answer wherever they run, no trace of an attack before it begins, and no look into the future."""

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import SCENARIOS, SMALL, differences, frames, lived, small

from l2sim.markets.perpetual.view import PerpetualView
from l2sim.ordering import Ordering, Pending, Stage
from l2sim.part import ROOMS, Part, room
from l2sim.scenario import Scenario
from l2sim.simulation import simulate
from l2sim.streams import Streams
from l2sim.units import MINUTE, SECOND
from l2sim.world.duty import Duty
from l2sim.world.prices import LivePrices
from l2sim.world.seat import AttackSeat, Seat
from l2sim.world.world import World

SHORT = ("duration=9min", "prices.eth.shocks.fall.at=1min", "attacks.outage.begins=5min", "attacks.outage.lasts=2min")


# ---- one answer

ELSEWHERE = """
import sys
from l2sim.scenario import Scenario
from l2sim.simulation import simulate
results = simulate(Scenario.load(sys.argv[1], sys.argv[2:]), seed=5, replications=2)
print(results.digest, results.summary.to_csv())
"""


def test_cores_processes_and_hash_seeds_do_not_matter() -> None:
    alone = simulate(small(*SHORT), seed=5, replications=2)
    together = simulate(small(*SHORT), seed=5, replications=2, jobs=2)
    assert together.digests == alone.digests
    assert len(set(alone.digests.values())) == 2
    for number in (0, 1):
        assert differences(frames(alone.log(number)), frames(together.log(number))) == []
    environment = {**os.environ, "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"}
    command = [sys.executable, "-c", ELSEWHERE, str(SMALL), *SHORT]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert told.strip() == f"{alone.digest} {alone.summary.to_csv()}".strip()


def test_looking_in_between_changes_nothing() -> None:
    # M8: in one go, or with everything looked at after each fiftieth of the way.
    world = World(small(*SHORT), Streams(1, 0))
    digests = []

    def look(now: int, events: int) -> None:
        if now % (54 * SECOND) == 0:
            everything(world)
        for name in world.log:
            world.log.frame(name)
        world.ledger.check()
        digests.append(world.log.digest)

    assert world.run(look).digest == lived(small(*SHORT)).digest
    assert len(set(digests)) == len(digests) == 50


# ---- attacks


UNHURT = ("censored_user",)
"""Scenarios whose victims must not have been hurt, and have left, before the attack begins."""


UNHURRIED = ("ways_out",)
"""Scenarios in which people do by the clock what attacks are about."""
UNSEEN = ("prover_outage",)
"""Scenarios whose attacks no block of these minutes shows."""


def hurried(path: Path) -> Scenario:
    """A scenario of some minutes in which what happens to prices happens soon, and the attacks after four minutes."""
    scenario = Scenario.load(path)
    changes: dict[str, Any] = {"duration": "8min"}
    for name, agent in scenario.agents.items():
        if path.stem in UNHURRIED and agent.kind == "scripted":
            changes[f"agents.{name}.steps.buy.at"] = "5min"
    for name in scenario.attacks:
        changes |= {f"attacks.{name}.begins": "4min", f"attacks.{name}.lasts": "2min"}
        if hasattr(scenario.attacks[name], "wait"):
            changes[f"attacks.{name}.wait"] = "0s"
    for name, price in scenario.prices.items():
        for shock in price.shocks:
            at, over = ("4min", "2min") if path.stem in UNHURT else ("1min", "4min")
            changes |= {f"prices.{name}.shocks.{shock}.at": at, f"prices.{name}.shocks.{shock}.over": over}
    for name, agent in scenario.agents.items():
        if getattr(agent, "size", 0) > 300:
            changes[f"agents.{name}.size"] = 300
    for name, chain in scenario.chains.items():
        slow = getattr(getattr(chain, "sequencer", None), "block_time", 0) > 60 * SECOND
        if slow:
            changes[f"chains.{name}.sequencer.block_time"] = "10s"
        if slow or (path.stem in UNSEEN and getattr(chain, "proposer", None)):  # nothing would be asserted in these minutes
            changes |= {f"chains.{name}.proposer.interval": "30s", f"chains.{name}.proposer.phase": "15s"}
        if path.stem in UNSEEN and getattr(chain, "batch_poster", None):
            changes[f"chains.{name}.batch_poster.max_delay"] = "30s"
    return scenario.vary(changes)


ATTACKED = [path for path in (SMALL, *sorted(SCENARIOS.glob("*.yaml"))) if "\nattacks:" in path.read_text("utf-8")]


@pytest.mark.parametrize("path", ATTACKED, ids=lambda path: path.stem)
def test_nothing_differs_before_an_attack_begins_and_something_does_afterwards(path: Path) -> None:
    scenario = hurried(path)
    begins = min(attack.begins for attack in scenario.attacks.values())
    hit, calm = lived(scenario), lived(scenario.without_attacks())
    before = frames(hit, before=begins, reverted=True)
    assert sum(map(len, before.values())) > 500
    assert differences(before, frames(calm, before=begins)) == []
    # Each attack is seen by others than itself.
    later = [one for one in differences(frames(hit), frames(calm)) if not one.startswith("Attack")]
    assert any(one.startswith("BlockSealed") or path.stem in UNSEEN for one in later)


def test_an_attack_that_shows_beforehand_is_noticed() -> None:
    scenario = hurried(SMALL)
    early = scenario.vary(agents__traders__rate="0.6 /s").without_attacks()
    begins = 4 * MINUTE
    assert differences(frames(lived(scenario), before=begins), frames(lived(early), before=begins)) != []


# ---- secrets

# What every public name of a seat is: something to look at, with the arguments that it is looked at with, or something else.
CHAINS, MARKETS, SOME = ("arb", "l1"), ("eth_feed", "eth_perp", "pool"), range(0, 400, 17)
LOOKS: dict[str, list[tuple[Any, ...]]] = {
    **{name: [("eth",)] for name in ("price", "volatility")},
    **{name: [(chain,) for chain in (*CHAINS, "outside")] for name in ("height", "silence", "block_interval", "pending")},
    **{name: [(chain,) for chain in CHAINS] for name in ("base_fee", "charges", "footprint", "gas_limit", "data_limit")},

    "blob_base_fee": [("l1",)],
    "within": [("pool", MINUTE)],
    "fee": [("pool", "buy"), ("pool", "sell", 10**9), ("eth_perp", "liquidate"), ("eth_feed", "report")],
    **{name: [(market,) for market in MARKETS] for name in ("mid", "view", "chain_of", "rules", "underlying", "forcible")},
    "quote": [("pool", "buy", 9.0), ("pool", "sell", 1.0), ("eth_perp", "open", 1.0, 5.0)]
    + [("eth_perp", "liquidate", account) for account in SOME],
    "balance": [(place, asset) for place in ("arb", "outside") for asset in ("usd", "eth")],
    "venue": [()],
    "carries": [("l1",)],
    "calldata_floor": [("l1",)],
    "rng": [("probe",), ("probe", 7)],
    "luck": [("probe", 0), ("probe", 7)],
    "identities": [(np.arange(10),)],
    "bid": [("pool",), ("pool", 3)],
    "slot": [("pool", "eth"), ("eth_perp", "usd")],
    "table": [],
    "settles_on": [],
    "escapes": [],
    "seen_on_l1": [],
}  # fmt: skip
WAITS = {"sleep", "sleep_until", "block", "news", "receipt", "any", "again"}
ACTS = {
    "failures", "submit", "submit_rows", "submit_steps", "trade", "announce", "post_blobs", "withdraw_blobs", "post", "start",
    "carry", "remit", "endow", "establish", "establish_loans", "admit", "adopt", "halt", "resume", "reorganize", "demand", "withhold",
    "release", "force", "escape", "censor", "accounts_of", "validators",
    "fund", "fill",
}  # fmt: skip
CONTRACTS = {"settlement", "bridge"}
"""What leads to contracts on L1, which ``test_settlement_honesty`` looks at."""
PLAIN = {"credit", "name", "accounts", "duty", "now", "ends", "gas_token", "blob_bytes"}
OF_THINGS: dict[type, dict[str, list[tuple[Any, ...]] | None]] = {
    PerpetualView: {
        **{name: [(account,) for account in SOME] for name in ("position", "equity", "liquidation_price", "inventory")},
        "liquidatable": [(), (5,)],
        "come_up": [(), (3,)],
        "offers": [((5, 7),)],
    },
    Duty: {
        "instants": [()],
        "oldest": [()],
        "unsent_bytes": [()],
        **dict.fromkeys(("resumed", "seal", "ripe", "batch", "posted", "pay_committee", "censor")),
    },
}
"""The methods of other things that a seat leads to; None for those that wait or act."""


def public(thing: Any) -> list[str]:
    return [name for name in dir(thing) if not name.startswith("_")]


def plain(value: Any, path: str) -> Any:
    """What can be found out by following public names from a value, as plain data; a way out into the world is an error."""
    if value is None or isinstance(value, bool | int | float | str | range | np.generic):
        return repr(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Part):
        return value.model_dump(mode="json")
    if isinstance(value, np.random.Generator):
        return value.random(3).tolist()
    if isinstance(value, tuple | list):
        return [plain(inner, f"{path}[{i}]") for i, inner in enumerate(value)]
    if type(value) in OF_THINGS:
        return members(value, path, OF_THINGS[type(value)])
    raise AssertionError(f"{path} leads to a {type(value).__qualname__}: say here what can be seen of it")


def members(thing: Any, path: str, looks: dict[str, list[tuple[Any, ...]] | None]) -> dict[str, Any]:
    found = {}
    for name in public(thing):
        where = f"{path}.{name}"
        if callable(getattr(thing, name)):
            assert name in looks, f"{where} is new: say here what it is"
            for arguments in looks[name] or ():
                found[f"{where}{arguments}"] = plain(getattr(thing, name)(*arguments), where)
        else:
            found[where] = plain(getattr(thing, name), where)
    return found


def everything(world: World) -> dict[str, Any]:
    """All that the seats of a world show now."""
    seats = [(seat, LOOKS | dict.fromkeys(WAITS | ACTS | CONTRACTS)) for _, seat in world.seats if not isinstance(seat, AttackSeat)]
    return {what: value for seat, looks in seats for what, value in members(seat, seat.name, looks).items()}


def test_every_public_name_of_a_seat_is_known_here() -> None:
    seat = World(small(*SHORT), Streams(1, 0)).seats[0][1]
    assert set(public(seat)) | set(public(AttackSeat)) == set(LOOKS) | WAITS | ACTS | CONTRACTS | PLAIN
    for name in LOOKS:
        assert inspect.getdoc(getattr(Seat, name)), name


PARTING = 4 * MINUTE
"""Two worlds are the same until then, and have different futures."""
COMMON = {
    "duration": "6min",
    "prices.eth.shocks.fall.at": "1min",
    "chains.l1.missed": 0,
    "chains.arb.ordering": {"kind": "priority_fee"},
    "chains.arb.block_gas_limit": "600 kgas",  # so that transactions wait, in public
    "agents.maker.gas": "1 ETH",
}
ONE = {
    "attacks.outage": {"begins": "241s", "lasts": "1min"},
    "chains.l1.gas_demand": {"kind": "given", "fractions": [0.5] * 20 + [1.0] * 30},
    "chains.l1.blob_demand": {"kind": "given", "fractions": [0.5] * 20 + [1.0] * 30},
    "prices.eth.shocks.news": {"at": "4min", "size": "5 %"},
}
OTHER = {
    "attacks.outage": {"begins": "5min", "lasts": "1s"},
    "chains.l1.gas_demand": {"kind": "given", "fractions": [0.5] * 20 + [0.1] * 30},
    "chains.l1.blob_demand": {"kind": "given", "fractions": [0.5] * 20 + [0.0] * 30},
    "prices.eth.shocks.news": {"at": "4min", "size": "-20 %"},
}


def told_apart() -> list[tuple[float, str]]:
    """What differs between the seats of two worlds: when (s), and what."""
    shown: list[dict[int, dict[str, Any]]] = []
    for future in (ONE, OTHER):
        world = World(small().vary(COMMON).vary(future), Streams(1, 0))
        shown.append(looks := {})

        def look(now: int, events: int, world: World = world, looks: dict[int, dict[str, Any]] = looks) -> None:
            if now % (36 * SECOND) == 0:
                looks[now] = everything(world)

        world.run(look)
    one, other = shown
    assert one.keys() == other.keys()
    return [(now / SECOND, what) for now in one for what in one[now] if one[now][what] != other[now][what]]


def test_no_seat_shows_anything_of_the_future() -> None:
    different = told_apart()
    assert not [one for one in different if one[0] * SECOND < PARTING]
    names = {what.partition("(")[0] for _, what in different}
    assert {"keepers/0.price", "maker/0.volatility", "traders/0.mid", "leveraged/0.base_fee", "reporter/0.blob_base_fee"} <= names
    assert {"arbitrageur/0.view", "keepers/1.pending", "keepers/2.height", "arb.batch_poster/0.balance"} & names


def spoilt_price(monkeypatch: pytest.MonkeyPatch) -> None:
    def tomorrow(prices: LivePrices, name: str) -> float:
        ahead = int(np.searchsorted(prices._times, prices._clock.now + 30 * SECOND, side="right")) - 1
        return prices._paths[name][ahead]

    monkeypatch.setattr(Seat, "price", lambda seat, name: tomorrow(seat._world.prices, name))


def spoilt_volatility(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = LivePrices.volatility

    def ahead(prices: LivePrices, name: str) -> float:
        return max(seen(prices, name), *prices._volatility[name][prices._clock.now // MINUTE :][:2])

    monkeypatch.setattr(LivePrices, "volatility", ahead)


@pytest.mark.parametrize("spoil", [spoilt_price, spoilt_volatility])
def test_a_seat_that_shows_the_future_is_caught(spoil: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch)
    assert min(told_apart())[0] * SECOND < PARTING


def test_a_seat_that_leads_out_into_the_world_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seat, "price", lambda seat, name: seat._world.prices)
    with pytest.raises(AssertionError, match=r"price leads to a LivePrices"):
        everything(World(small(*SHORT), Streams(1, 0)))


# ---- what waits


@pytest.fixture
def discreet() -> Any:
    """An ordering that orders by fees and shows nobody what waits, known for one test."""
    before = dict(room("ordering").kinds())

    class Discreet(Ordering):
        """The highest fee first, in private."""

        def order(self, pending: Pending, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
            return np.lexsort((pending.tie, pending.arrives, -pending.tip))

        def visible(self, viewer: str, stage: Stage) -> bool:
            return False

    yield
    ROOMS["ordering"]._kinds = before


@pytest.mark.usefixtures("discreet")
@pytest.mark.parametrize(
    ("ordering", "shown"), [("priority_fee", True), ("first_come_first_served", False), ("random", False), ("discreet", False)]
)
def test_what_waits_is_seen_where_the_ordering_shows_it_and_nothing_that_has_not_arrived(ordering: str, shown: bool) -> None:
    changes = {
        "chains.arb.ordering": {"kind": ordering}, "chains.arb.block_gas_limit": "600 kgas", "duration": "1min",
        "agents.traders": {"rate": "30 /s", "fee_response": 0, "volatility_response": 0},
    }  # fmt: skip
    world = World(small(*SHORT).vary(changes), Streams(1, 0))
    lengths = []

    def look(now: int, events: int) -> None:
        rows, start, stop, _ = world.chains["arb"].inbox.waiting
        assert all(arrived < now for arrived in rows.arrives[start:stop])
        lengths.append(stop - start)
        for _, seat in world.seats:
            assert len(seat.pending("arb")) == (stop - start if shown else 0)
            assert all(market in MARKETS for market, *_ in seat.pending("arb"))

    world.run(look)
    assert max(lengths) > 5
