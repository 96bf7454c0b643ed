"""Throttling by data: what a block and a transaction may hold, and what that makes of throughput and of what waits for L1."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2sim.data_fees import NO_CHARGE, Charge
from l2sim.events import BatchPosted, BlockSealed, TransactionIncluded
from l2sim.log import Log
from l2sim.ordering import Ordering
from l2sim.ordering.first_come_first_served import FirstComeFirstServed
from l2sim.ordering.priority_fee import PriorityFee
from l2sim.scenario import Scenario, ScenarioError
from l2sim.streams import Streams
from l2sim.transactions import Rows
from l2sim.world import rollup
from l2sim.world.engine import Engine
from l2sim.world.inbox import Cut, Inbox
from l2sim.world.stretch import stretch
from l2sim.world.throttle import NO_LIMIT, DataLimit, DataThrottle
from l2sim.world.world import World

SIZE = 122
"""Bytes of a swap."""

# ---- the law: optimism op-batcher/batcher/throttler/controller_test.go, 2025

CONTROLLER = {
    "begins": "1 MB",
    "full": "2 MB",
    "block": "130 kB",
    "least_block": "21 kB",
    "transaction": "10 kB",
    "least_transaction": "5 kB",
}


@pytest.mark.parametrize(
    ("controller", "unposted", "limit"),
    [
        ("step", 500_000, (130_000, 130_000)),
        ("step", 1_000_000, (130_000, 130_000)),
        ("step", 1_500_000, (21_000, 5_000)),
        ("linear", 1_001_000, (130_000 - 109, 10_000 - 5)),
        ("linear", 1_500_000, (130_000 - 54_500, 7_500)),
        ("linear", 2_000_000, (21_000, 5_000)),
        ("linear", 3_000_000, (21_000, 5_000)),
        ("quadratic", 1_000_000, (130_000, 130_000)),
        ("quadratic", 1_500_000, (130_000 - 27_250, 8_750)),
        ("quadratic", 2_000_000, (21_000, 5_000)),
    ],
)
def test_limits_are_those_of_the_batcher(controller: str, unposted: int, limit: tuple[int, int]) -> None:
    assert DataThrottle.model_validate(CONTROLLER | {"controller": controller}).limit(unposted) == limit


@pytest.mark.parametrize("wrong", [{"begins": "2 MB"}, {"least_block": "131 kB"}, {"least_transaction": "11 kB"}, {"block": "0 B"}])
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"must be (below|more than)"):
        DataThrottle.model_validate(CONTROLLER | wrong)


# ---- one block


def taken(inbox: Inbox, ordering: Ordering, charge: Charge = NO_CHARGE, gas: int = 10**9) -> list[int]:
    """The tie keys of what a block takes, in the order of execution."""
    cut, _, _ = inbox.select(1000, 0, gas, ordering, lambda: Streams(1).generator("ordering"), charge)
    return cut.rows.tie[cut.start : cut.stop]


def waiting(size: list[int] | int, n: int, limit: DataLimit, tip: list[int] | int = 0) -> Inbox:
    inbox = Inbox()
    inbox.data = limit
    inbox.admit(Cut.whole(Rows.of(n, arrives=list(range(n)), tie=list(range(n)), gas=21_000, size=size, tip=tip)))
    return inbox


@pytest.mark.parametrize("ordering", [PriorityFee(), FirstComeFirstServed()], ids=["priority", "first"])
def test_what_is_too_large_for_a_transaction_waits_and_holds_nobody_up(ordering: Ordering) -> None:
    inbox = waiting([90, 50, 10, 90], 4, DataLimit(100, 60))
    assert taken(inbox, ordering) == [1, 2]
    assert taken(inbox, ordering) == []
    inbox.data = DataLimit(100, 100)
    assert taken(inbox, ordering) == [0]
    inbox.data = NO_LIMIT
    assert taken(inbox, ordering) == [3]


def test_small_data_count_for_as_much_as_they_pay_for() -> None:
    assert taken(waiting(10, 30, DataLimit(1000, 1000)), PriorityFee(), Charge(floor_bytes=100)) == list(range(10))


def test_the_tighter_one_of_footprint_and_throttle_counts() -> None:
    charge = Charge(footprint=400)
    assert len(taken(waiting(100, 30, DataLimit(1000, 1000)), PriorityFee(), charge, 21_000 * 25)) == 10
    assert len(taken(waiting(100, 30, DataLimit(2000, 2000)), PriorityFee(), charge, 21_000 * 25)) == 13  # 525,000 gas are 1312 bytes


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), min_size=1, max_size=30), st.integers(1, 90), st.integers(1, 50))
def test_a_block_is_filled_as_if_one_by_one(rows: list[tuple[int, int]], block: int, transaction: int) -> None:
    sizes, tips = ([row[k] for row in rows] for k in range(2))
    room, expected = block, []
    for i in sorted(range(len(rows)), key=lambda i: (-tips[i], i)):
        if sizes[i] <= min(room, transaction):
            room -= sizes[i]
            expected.append(i)
    assert taken(waiting(sizes, len(rows), DataLimit(block, transaction), tips), PriorityFee()) == expected


# ---- a rollup that makes more data than L1 gets

RATE, BATCH, MINUTE = 20, 40_000, 60 * 10**9
"""Swaps a second, 4880 bytes in a block of 2 s; bytes of a batch, of which there is one a minute: 1333 bytes for a block at most."""
THROTTLE = {
    "begins": "200 kB",
    "full": "1 MB",
    "block": "5 kB",
    "least_block": "250 B",
    "transaction": "1 kB",
    "least_transaction": "150 B",
}
FLOOD: dict[str, Any] = {
    "duration": "2h",
    "network": {"within": "0 s", "reference_volatility": 0},
    "prices": {"eth": {"kind": "path", "points": {"0": "2000 USD"}}},
    "chains": {
        "l1": {
            "kind": "l1", "ordering": {"kind": "priority_fee"}, "base_fee": {"kind": "eip1559"},
            "blob_fee": {"kind": "blob"},
            "gas_demand": {"kind": "given", "fractions": [0]}, "blob_demand": {"kind": "given", "fractions": [0]},
        },
        "op": {
            "kind": "rollup", "settles_on": "l1", "ordering": {"kind": "priority_fee"}, "fee": {"kind": "constant", "fee": "1 wei"},
            "block_overhead": "0 B", "sequencer": {"kind": "sequencer", "block_time": "2s"},
            "batch_poster": {"kind": "batch_poster", "full": f"{BATCH} B", "poll": "1min", "max_delay": "3h"},
        },
    },
    "markets": {"pool": {"kind": "constant_product", "on": "op", "base": "eth", "base_reserve": 1_000_000}},
    "agents": {
        "traders": {
            "kind": "crowd_of_traders", "market": "pool", "rate": f"{RATE} /s", "notional": "100 USD", "slippage": None,
            "wealth": "100 MUSD", "deadline": "4s",
        },
    },
}  # fmt: skip


@cache
def flooded(controller: str | None, engine: Engine = "lists", **changes: str) -> Log:
    throttle = {} if controller is None else {"chains.op.data_throttle": THROTTLE | {"controller": controller}}
    return World(Scenario.of(FLOOD).vary(throttle | changes), Streams(3), {}, engine).run()


def carried(log: Log) -> float:
    """Bytes a second that batches carry, one a minute: whole blocks, as many as fit."""
    posted, sizes = log.select(BatchPosted, "time", "size", chain="op")
    assert set((np.diff(posted) // MINUTE).tolist()) == {1}
    assert BATCH - 10_000 < sizes.min() <= sizes.max() <= BATCH
    return float(sizes.sum() / ((posted[-1] - posted[0]) / 1e9 + 60))


def course(log: Log) -> tuple[Any, Any, Any]:
    """Of each block of the rollup with transactions: its time (ns), the bytes in it, and those in no batch on L1 before it."""
    times, counts = log.select(BlockSealed, "time", "transactions", chain="op")
    posted, sizes = log.select(BatchPosted, "time", "size", chain="op")
    sizes_made = counts * SIZE
    before = np.cumsum(sizes_made) - sizes_made
    return times, sizes_made, before - np.concatenate([[0], np.cumsum(sizes)])[np.searchsorted(posted, times, side="left")]


@pytest.mark.parametrize(("controller", "power"), [("linear", 1), ("quadratic", 2)])
def test_what_waits_stays_where_blocks_take_what_batches_take(controller: str, power: int) -> None:
    """The rate of blocks is that of batches at one backlog: begins + (full - begins) x ((block - rate) / (block - least))^(1 / power)."""
    times, made, unposted = course(flooded(controller))
    throttle = DataThrottle.model_validate(THROTTLE | {"controller": controller})
    assert all(size <= throttle.limit(waits).block for size, waits in zip(made.tolist(), unposted.tolist(), strict=True))
    late = times > 60 * MINUTE
    rate = 2 * carried(flooded(controller))
    assert made[late].mean() == pytest.approx(rate, rel=0.02)
    # A block takes whole transactions: its limit lies up to one of them above what it holds.
    low, high = (2e5 + 8e5 * ((5000 - limit) / 4750) ** (1 / power) for limit in (rate + SIZE, rate))
    assert low - BATCH / 2 < unposted[late].mean() < high + BATCH / 2
    assert unposted.max() < high + 2 * BATCH


def test_without_it_what_waits_grows_as_fast_as_swaps_come() -> None:
    times, made, unposted = course(flooded(None))
    assert made.max() > 5000
    assert unposted[-1] / (times[-1] / 1e9) == pytest.approx(RATE * SIZE - carried(flooded(None)), rel=0.02)
    assert unposted[-1] > 10_000_000


def test_where_nothing_is_posted_blocks_hold_the_least_from_one_step_on() -> None:
    log = flooded("step", **{"chains.op.batch_poster.poll": "10h", "duration": "20min"})
    _, made, unposted = course(log)
    assert set(made[unposted > 200_000].tolist()) == {250 // SIZE * SIZE}
    free = made[unposted <= 200_000]
    assert free.max() == 5000 // SIZE * SIZE
    assert unposted.max() < 200_000 + 5000 + 250 * 600
    assert len(log.select(TransactionIncluded, "time", chain="op")[0]) == made.sum() // SIZE


@pytest.mark.parametrize("speed", [None, "10 Ggas/s"], ids=["block", "server"])
@pytest.mark.parametrize("ordering", ["priority_fee", "first_come_first_served", "random"])
def test_every_ordering_and_server_holds_the_limit(ordering: str, speed: str | None) -> None:
    settings = {"chains.op.ordering": {"kind": ordering}, "chains.op.execution_speed": speed, "duration": "20min"}
    throttle = {"chains.op.data_throttle": THROTTLE | {"controller": "step", "begins": "0 B"}}
    log = World(Scenario.of(FLOOD).vary(settings | throttle), Streams(3), {}).run()
    _, made, unposted = course(log)
    assert set(made[unposted > 0].tolist()) == {250 // SIZE * SIZE}


CALMER = {"duration": "40min", "agents.traders.deadline": None, "agents.traders.rate": "8 /s"}
"""Compiled code makes blocks that nothing is left over from: 1952 bytes, now and then more than the 2800 that fit."""


@pytest.mark.parametrize("begins", ["45 kB", "1 GB"], ids=["throttled", "limited"])
@pytest.mark.parametrize("controller", ["step", "quadratic"])
def test_both_engines_throttle_alike(controller: str, begins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"controller": controller, "begins": begins, "full": "2 GB" if begins == "1 GB" else "90 kB"}
    blocks = {"block": "2.8 kB", "least_block": "1.8 kB"}
    scenario = Scenario.of(FLOOD).vary(
        CALMER | {"chains.op.data_throttle": THROTTLE | limits | blocks, "chains.op.batch_poster.poll": "15s"}
    )
    lists = World(scenario, Streams(3), {}, "lists").run()
    made: list[int] = []

    def noted(chain: Any, times: Any) -> int:
        made.append(stretch(chain, times))
        return made[-1]

    monkeypatch.setattr(rollup, "stretch", noted)
    arrays = World(scenario, Streams(3), {}, "arrays").run()
    assert 100 < sum(made) < 1150  # of 1200
    assert arrays.digest == lists.digest
    assert course(lists)[1].max() <= 2800


def test_a_limit_that_is_never_met_changes_nothing() -> None:
    wide = {"chains.op.data_throttle": {"begins": "1 GB", "full": "2 GB", "block": "1 MB"}}
    plain = Scenario.of(FLOOD).vary({"duration": "10min"})
    digests = {World(one, Streams(3), {}, engine).run().digest for one in (plain, plain.vary(wide)) for engine in ("lists", "arrays")}
    assert len(digests) == 1


def test_who_floods_a_rollup_with_data_sends_what_it_takes() -> None:
    attack = {"kind": "l2_data_saturation", "market": "pool", "begins": "1s", "lasts": "10min", "budget": "10 ETH", "tip": "1 gwei"}
    throttle = {"chains.op.data_throttle": THROTTLE | {"controller": "step", "begins": "0 B"}}
    log = World(Scenario.of(FLOOD).vary(throttle | {"attacks.flood": attack} | {"duration": "5min"}), Streams(3), {}).run()
    flood = log.about["groups"]["flood"]["first"]
    sender, gas, block = log.select(TransactionIncluded, "sender", "gas", "block", chain="op")
    mine = sender == flood
    assert set(gas[mine].tolist()[1:]) == {21_000 + 40 * 150}
    assert len(set(block[mine].tolist())) == mine.sum() > 100  # one in each block, of the 250 bytes that it holds


def test_an_action_whose_data_never_fit_is_found_before_the_run() -> None:
    small = {"chains.op.data_throttle": {"least_block": "121 B"}}
    with pytest.raises(
        ScenarioError, match=r"data_throttle: '\w+' in market 'pool' brings 122 B of data and would never fit into a block of"
    ):
        Scenario.of(FLOOD).vary(small)
