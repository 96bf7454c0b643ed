"""Full blocks: what does not fit is passed over, what never fits is refused, and L1 sells no more gas than a block holds."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2sim.attacks import Attack
from l2sim.data_fees import NO_CHARGE, Charge
from l2sim.events import TransactionDropped, TransactionIncluded
from l2sim.events.l1_market import SpaceBought
from l2sim.log import Log
from l2sim.ordering import Ordering
from l2sim.ordering.first_come_first_served import FirstComeFirstServed
from l2sim.ordering.priority_fee import PriorityFee
from l2sim.scenario import Scenario, ScenarioError
from l2sim.streams import Streams
from l2sim.transactions import Rows, Status
from l2sim.world.engine import Engine
from l2sim.world.fee_market import FeeMarket
from l2sim.world.inbox import Cut, Inbox
from l2sim.world.seat import AttackSeat
from l2sim.world.world import World

LIMIT = 100
FOOTPRINT = Charge(footprint=10)


def block(inbox: Inbox, ordering: Ordering, charge: Charge = NO_CHARGE, limit: int = LIMIT) -> list[int]:
    """The tie keys of what a block takes, in the order of execution."""
    cut, _, _ = inbox.select(1000, 0, limit, ordering, lambda: Streams(1).generator("ordering"), charge)
    return cut.rows.tie[cut.start : cut.stop]


def waiting(gas: Sequence[int], size: Sequence[int] | int = 0, tip: Sequence[int] | int = 0) -> Inbox:
    inbox, n = Inbox(), len(gas)
    inbox.admit(Cut.whole(Rows.of(n, arrives=list(range(n)), tie=list(range(n)), gas=list(gas), size=size, tip=tip)))
    return inbox


# ---- one block


def test_what_does_not_fit_is_passed_over_where_the_ordering_ranks() -> None:
    inbox = waiting([60, 60, 30, 20, 10])
    assert block(inbox, PriorityFee()) == [0, 2, 4]
    assert block(inbox, PriorityFee()) == [1, 3]  # who was passed over comes first in the next
    assert not len(inbox)
    inbox = waiting([60, 60, 30, 20, 10], tip=[0, 0, 0, 2, 1])
    assert block(inbox, PriorityFee()) == [3, 4, 0]
    assert block(inbox, PriorityFee()) == [1, 2]


def test_a_large_footprint_leaves_the_rest_of_the_block_to_others() -> None:
    inbox = waiting([1, 1, 1, 1], size=[9, 9, 1, 1])
    assert block(inbox, PriorityFee(), FOOTPRINT) == [0, 2]
    assert block(inbox, PriorityFee(), FOOTPRINT) == [1, 3]


def test_first_come_first_served_ends_at_the_first_that_does_not_fit() -> None:
    inbox = waiting([60, 60, 30, 20, 10])
    assert block(inbox, FirstComeFirstServed()) == [0]
    assert block(inbox, FirstComeFirstServed()) == [1, 2]
    assert block(inbox, FirstComeFirstServed()) == [3, 4]
    inbox = waiting([1, 1, 1, 1], size=[9, 9, 1, 1])
    assert block(inbox, FirstComeFirstServed(), FOOTPRINT) == [0]
    assert block(inbox, FirstComeFirstServed(), FOOTPRINT) == [1, 2]


rows = st.lists(st.tuples(st.integers(1, 120), st.integers(0, 12), st.integers(0, 3)), max_size=30)


@given(rows)
def test_a_block_is_filled_as_if_one_by_one(rows: list[tuple[int, int, int]]) -> None:
    gas, size, tip = ([row[k] for row in rows] for k in range(3))
    room = footprint = LIMIT
    expected = []
    for i in sorted(range(len(rows)), key=lambda i: (-tip[i], i)):
        if gas[i] <= room and 10 * size[i] <= footprint:
            room, footprint = room - gas[i], footprint - 10 * size[i]
            expected.append(i)
    inbox = waiting(gas, size, tip) if rows else Inbox()
    assert block(inbox, PriorityFee(), FOOTPRINT) == expected
    assert len(inbox) == len(rows) - len(expected)


@given(rows, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 90)), max_size=3))
def test_between_bids_a_block_sells_no_more_than_it_holds(rows: list[tuple[int, int, int]], bids: list[tuple[int, int]]) -> None:
    gas, tip = ([row[k] for row in rows] for k in (0, 2))
    inbox = waiting(gas, tip=tip) if rows else Inbox()
    bought: list[int] = []

    def buys(want: int) -> Any:
        def buy(left: int) -> int:
            bought.append(min(want, left))
            return bought[-1]

        return buy

    inbox.rivals = [(bid, buys(want)) for bid, want in sorted(bids, reverse=True)]
    taken = block(inbox, PriorityFee())
    left, last, expected = LIMIT, LIMIT, []
    for bid, want in [*sorted(bids, reverse=True), (-1, 0)]:
        for i in sorted((i for i in range(len(rows)) if bid < tip[i] <= last), key=lambda i: (-tip[i], i)):
            if gas[i] <= left:
                left -= gas[i]
                expected.append(i)
        left, last = left - min(want, left), bid
    assert taken == expected
    assert sum(gas[i] for i in taken) + sum(bought) == LIMIT - left


# ---- a rollup whose blocks are limited by the footprint of data

OP: dict[str, Any] = {
    "duration": "4min",
    "network": {"within": "0 s", "reference_volatility": 0},
    "prices": {"eth": {"kind": "path", "points": {"0": "2000 USD"}}},
    "chains": {"l1": {"preset": "ethereum"}, "op": {"preset": "op_mainnet"}},
    "markets": {"pool": {"kind": "constant_product", "on": "op", "base": "eth", "base_reserve": 100_000}},
    "agents": {
        "traders": {
            "kind": "crowd_of_traders", "market": "pool", "rate": "10 /s", "notional": "100 USD", "slippage": None, "wealth": "100 MUSD",
        },
    },
}  # fmt: skip
FLOOD = {"kind": "l2_data_saturation", "market": "pool", "begins": "1min", "lasts": "2min", "budget": "10 ETH", "tip": "1 gwei"}


class TooMuch(Attack):
    """Sends what no block has room for."""

    size: int = 110_000
    """Bytes of each."""
    gas: int = 4_000_000
    """Gas of each."""

    def strike(self, me: AttackSeat) -> None:
        me.fund("op", 10.0)
        for _ in range(5):
            me.fill("pool", self.size, self.gas, tip=10**9)

    def relent(self, me: AttackSeat) -> None:
        """What has been sent stays sent."""


def lived(description: dict[str, Any], engine: Engine | None = None, **changes: Any) -> Log:
    return World(Scenario.of(description).vary(changes), Streams(3), {}, engine).run()


def by_traders(log: Log, chain: str) -> Any:
    frame = log.frame("TransactionIncluded")
    first, last = (log.about["groups"]["traders"][end] for end in ("first", "last"))
    return frame[(frame["chain"].astype(str) == chain) & (frame["sender"] >= first) & (frame["sender"] < last)]


def test_large_data_take_their_footprint_and_no_more() -> None:
    """Ninety kilobytes count for 36 of 40 million gas; the traders have the rest, and wait no longer than without the attack."""
    attacked = {"attacks.flood": FLOOD | {"size": "90 kB"}}
    calm, hit = lived(OP, "lists"), lived(OP, "lists", **attacked)
    assert len(by_traders(calm, "op")) > 2000
    waits, alone = (by_traders(log, "op")[["submitted", "block"]].to_numpy() for log in (hit, calm))
    assert (waits == alone).all()
    blocks = hit.frame("TransactionIncluded").query("gas > 1e6").groupby("block").size()
    assert len(blocks) > 50
    assert set(blocks) == {1}
    assert lived(OP, "arrays", **attacked).digest == hit.digest


def test_an_attack_sends_what_fits() -> None:
    hit = lived(OP, **{"attacks.flood": FLOOD | {"size": "110 kB"}})
    flood = hit.about["groups"]["flood"]["first"]
    sender, gas = hit.select(TransactionIncluded, "sender", "gas", chain="op")
    assert set(gas[sender == flood].tolist()) == {21_000 + 40 * 100_000}  # 400 gas a byte, of 40 million
    assert not (hit.select(TransactionDropped, "status", chain="op")[0] == Status.TOO_LARGE).any()


@pytest.mark.parametrize("much", [{}, {"size": 10, "gas": 40_000_001}], ids=["footprint", "gas"])
@pytest.mark.parametrize("speed", [None, "1 Ggas/s"], ids=["block", "server"])
@pytest.mark.parametrize("ordering", ["priority_fee", "first_come_first_served", "random"])
def test_what_no_block_has_room_for_is_refused_and_stops_nobody(ordering: str, speed: str | None, much: dict[str, int]) -> None:
    settings = {"chains.op.ordering": {"kind": ordering}, "chains.op.execution_speed": speed}
    attack = {"attacks.much": {"kind": "too_much", "begins": "1min", "lasts": "1min", **much}}
    calm, hit = lived(OP, **settings), lived(OP, **settings, **attack)
    sender, status = hit.select(TransactionDropped, "sender", "status", chain="op")
    assert sender.tolist() == [hit.about["groups"]["much"]["first"]] * 5
    assert set(status.tolist()) == {Status.TOO_LARGE}
    columns = ["time", "submitted", "block", "x", "y"]
    assert len(by_traders(calm, "op")) > 2000
    assert by_traders(hit, "op")[columns].equals(by_traders(calm, "op")[columns])


def test_both_engines_refuse_the_same() -> None:
    changes = {"attacks.much": {"kind": "too_much", "begins": "1min", "lasts": "1min"}}
    assert lived(OP, "lists", **changes).digest == lived(OP, "arrays", **changes).digest


def test_an_action_whose_data_never_fit_is_found_before_the_run() -> None:
    limits = {"chains.op.data_fee": {"kind": "op_stack", "footprint_gas": 60_000}, "chains.op.throttled_gas_limit": "8 Mgas"}
    with pytest.raises(
        ScenarioError, match=r"the data of 'buy' in market 'pool' count for \d+ gas and would never fit into a block of 3000000"
    ):
        Scenario.of(OP).vary(limits | {"chains.op.block_gas_limit": "3 Mgas"})
    Scenario.of(OP).vary(limits | {"chains.op.block_gas_limit": "8 Mgas"})


# ---- L1

L1: dict[str, Any] = OP | {
    "chains": {
        "l1": {
            "kind": "l1", "gas_limit": "60 Mgas", "ordering": {"kind": "priority_fee"},
            "base_fee": {"kind": "eip1559", "initial": "1 gwei", "denominator": 1_000_000_000}, "blob_fee": {"kind": "blob"},
            "gas_demand": {"kind": "given", "fractions": [0.9]}, "blob_demand": {"kind": "given", "fractions": [0]},
        },
    },
    "markets": {"pool": {"kind": "constant_product", "on": "l1", "base": "eth", "base_reserve": 100_000}},
}  # fmt: skip
TIPS = {"agents.traders.tip": {"kind": "uniform", "low": "0 gwei", "high": "9 gwei"}, "agents.traders.gas": "100 ETH"}


@pytest.fixture
def gas_used(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, int]]:
    """The gas of each block of L1, everybody's."""
    found: dict[int, int] = {}
    after = FeeMarket.after

    def noted(market: FeeMarket, state: Any, gas: int, blobs: int) -> Any:
        found[state.slot] = gas
        return after(market, state, gas, blobs)

    monkeypatch.setattr(FeeMarket, "after", noted)
    yield found
    assert max(found.values()) <= 60_000_000


def saturated(tip: str, **changes: Any) -> Log:
    attack = {"kind": "gas_saturation", "on": "l1", "begins": "1s", "lasts": "1h", "tip": tip}
    return lived(L1, **{"attacks.flood": attack, **changes})


@cache
def unsaturated() -> Log:
    return lived(L1, **TIPS)


def tips(log: Log) -> Any:
    """Priority fees of the traders whom L1 took, gwei."""
    frame = by_traders(log, "l1")
    return frame["execution_fee"] / frame["gas"] * 1e9 - 1.0


def sums(log: Log) -> tuple[dict[int, int], dict[int, int]]:
    """Gas of the run's own transactions, and gas bought on purpose, by block."""
    own = log.frame("TransactionIncluded").groupby("block")["gas"].sum().to_dict()
    return own, dict(zip(*(column.tolist() for column in log.select(SpaceBought, "number", "gas", chain="l1")), strict=True))


BOUGHT = {"metrics.bought": {"kind": "space_bought"}}


def test_who_offers_nothing_waits_while_somebody_buys_all_gas(gas_used: dict[int, int]) -> None:
    log = saturated("1000 gwei", **BOUGHT)
    assert not len(by_traders(log, "l1"))
    assert set(sums(log)[1].values()) == {60_000_000}
    assert set(gas_used.values()) == {60_000_000}


def test_who_waited_gets_in_when_it_is_over(gas_used: dict[int, int]) -> None:
    log = saturated("1000 gwei", **{"attacks.flood.lasts": "2min"})
    assert len(by_traders(log, "l1")) == len(by_traders(unsaturated(), "l1"))
    assert by_traders(log, "l1")["time"].min() > 120e9
    assert len(gas_used) == 20


def test_who_bids_more_gets_in_and_who_bids_less_waits(gas_used: dict[int, int]) -> None:
    """Those who get in are just those who outbid it, in the blocks in which they would be without it; it buys what they leave."""
    log = saturated("5 gwei", **TIPS, **BOUGHT)
    assert tips(log).min() > 5.0 - 1e-6
    free = by_traders(unsaturated(), "l1")[tips(unsaturated()) > 5.0 + 1e-6]
    assert len(free) > 500
    columns = ["submitted", "time", "block"]
    assert by_traders(log, "l1")[columns].reset_index(drop=True).equals(free[columns].reset_index(drop=True))
    own, bought = sums(log)
    assert all(own[block] + bought[block] == 60_000_000 for block in own)
    assert set(gas_used.values()) == {60_000_000}


def test_a_higher_bid_only_keeps_more_out() -> None:
    """Metamorphic: raised, it lets in a subset; above all others, nobody; below what everybody else offers, all."""
    inside = [set(by_traders(saturated(f"{tip} gwei", **TIPS), "l1")["submitted"]) for tip in ("0.5", "2", "4", "8", "10")]
    assert inside[0] == set(by_traders(unsaturated(), "l1")["submitted"])
    assert all(more > less for more, less in pairwise(inside))
    assert not inside[-1]


def test_half_of_a_block_leaves_the_other_half(gas_used: dict[int, int]) -> None:
    log = saturated("1000 gwei", **{"attacks.flood.share": "50 %"}, **TIPS, **BOUGHT)
    assert by_traders(log, "l1")["submitted"].equals(by_traders(unsaturated(), "l1")["submitted"])
    assert set(sums(log)[1].values()) == {30_000_000}
    assert set(gas_used.values()) == {60_000_000}


def test_everybody_else_yields_to_the_run_in_a_full_block(gas_used: dict[int, int]) -> None:
    log = lived(L1, **{"chains.l1.gas_limit": "10 Mgas"})  # ten trades a second use more than that in a slot
    own, _ = sums(log)
    assert max(own.values()) > 9_800_000
    assert max(gas_used.values()) <= 10_000_000
    assert all(gas_used[block] >= gas for block, gas in own.items())


def test_what_is_outbid_is_not_paid_for() -> None:
    """A budget pays for the gas that is bought, not for what others took at a higher price."""
    log = saturated("5 gwei", **{"attacks.flood.budget": "2 ETH"}, **TIPS, **BOUGHT)
    gas, spent = log.select(SpaceBought, "gas", "spent", chain="l1")
    assert spent == pytest.approx(gas * 6e-9, rel=1e-6)
    assert 2.0 - 60_000_000 * 6e-9 < spent.sum() <= 2.0
    assert gas.min() < 60_000_000


def test_blobs_bought_on_purpose_take_what_trades_leave(gas_used: dict[int, int]) -> None:
    """Who buys blobs pays the gas of the transactions that carry them, six each; where trades that bid more leave none, it gets none."""
    attack = {"kind": "blob_saturation", "on": "l1", "begins": "1s", "lasts": "1h", "tip": "8 gwei"}
    narrow = {"chains.l1.gas_limit": "1500 kgas", "chains.l1.gas_demand": {"kind": "given", "fractions": [0]}}
    log = lived(L1, **{"attacks.flood": attack}, **narrow, **TIPS, **BOUGHT)
    own, bought = sums(log)
    blobs = dict(zip(*(column.tolist() for column in log.select(SpaceBought, "number", "blobs", chain="l1")), strict=True))
    sealed = log.frame("BlockSealed").query("chain == 'l1'").set_index("number")["blobs"].to_dict()
    for block, number in sealed.items():
        room = (1_500_000 - own.get(block, 0)) // 21_000 * 6
        assert number == blobs.get(block, 0) == min(21, room)
        assert bought.get(block, 0) == -(-number // 6) * 21_000
    assert {*blobs.values()} == {12, 21}
    # And no more than what was bought moves the fee, which stays: 12 are fewer than the target of 14.
    assert set(log.frame("BlockSealed").query("chain == 'l1'")["blob_base_fee"]) == {1}


def test_batches_and_trades_share_the_block(gas_used: dict[int, int]) -> None:
    """A batch that bids less waits too; one that bids more takes its gas out of what is for sale."""
    rollup = {"preset": "op_mainnet", "batch_poster": {"policy": {"max_channel_duration": 1}, "tip": "2 gwei"}}
    for tip, posted in (("1 gwei", True), ("500 gwei", False)):
        log = saturated(tip, **{"chains.op": rollup}, **TIPS, **BOUGHT)
        assert (len(log.arrays("BatchPosted").get("time", ())) > 0) is posted
        own, bought = sums(log)
        assert all(own.get(block, 0) + gas <= 60_000_000 for block, gas in bought.items())
        assert posted == any(own.get(block, 0) + gas < 60_000_000 for block, gas in bought.items())


def test_a_replica_pays_what_was_bought() -> None:
    """What a block sold on purpose is an input of that very block: executed again, it leaves the same balances."""
    attacks = {"attacks.reorg": {"kind": "l1_reorg", "on": "l1", "begins": "130s", "lasts": "1min", "depth": 3}}
    attack = {"kind": "gas_saturation", "on": "l1", "begins": "1s", "lasts": "2min", "tip": "5 gwei", "share": "50 %"}
    world = World(Scenario.of(L1).vary({"attacks.flood": attack} | attacks | TIPS), Streams(3))
    world.run()
    history = world.chains["l1"].history
    assert history is not None
    for height in (record.block.height for record in history.records):
        replica = history.replica(height)
        assert replica.digest() == history.digest(height)
