"""Forks as data: what each changes, how a run begins under one, and how it crosses the next."""

import gzip
import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from validation import SCENARIOS, run

from l2sim.events import BatchPosted, BlockSealed
from l2sim.fees.blob import GAS_PER_BLOB, MAINNET, Blob, blob_base_fee
from l2sim.fees.eip1559 import next_base_fee
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.streams import Streams
from l2sim.world.fee_market import FeeMarket
from l2sim.world.world import RunFailed, World

# ethereum/go-ethereum params/config.go @ 02b73d4e: time, target, maximum, update fraction; EIPs 7623, 7594, 7825, 7918
CALENDAR = {
    "cancun": (1_710_338_135, 3, 6, 3_338_477, False, 0, None, None),
    "prague": (1_746_612_311, 6, 9, 5_007_716, False, 10, None, None),
    "osaka": (1_764_798_551, 6, 9, 5_007_716, True, 10, 6, 16_777_216),
    "bpo1": (1_765_290_071, 10, 15, 8_346_193, True, 10, 6, 16_777_216),
    "bpo2": (1_767_747_671, 14, 21, 11_684_671, True, 10, 6, 16_777_216),
}


def market(**chain: Any) -> Scenario:
    return Scenario.load(SCENARIOS / "fee_market.yaml").vary({f"chains.l1.{name}": value for name, value in chain.items()})


def test_the_calendar() -> None:
    assert {
        name: (
            *(fork.begins, fork.target, fork.maximum, fork.update_fraction, fork.reserve),
            *(fork.calldata_floor, fork.blobs_per_transaction, fork.transaction_gas),
        )
        for name, fork in MAINNET.items()
    } == CALENDAR


def test_the_preset_has_the_calendar_of_mainnet() -> None:
    preset = Scenario.load(SCENARIOS / "fee_market.yaml").vary({"chains.l1": {"preset": "ethereum"}}).chains["l1"]
    assert preset.blob_fee.forks == MAINNET  # type: ignore[attr-defined]


@pytest.mark.parametrize("fork", CALENDAR)
def test_the_preset_starts_from_one_fee_under_every_fork(fork: str) -> None:
    preset = Scenario.load(SCENARIOS / "fee_market.yaml").vary({"chains.l1": {"preset": "ethereum", "fork": fork}, "duration": "1min"})
    assert World(preset, Streams(1), {}).l1("l1").blob_base_fee() == 3_194_327
    assert run(preset).select(BlockSealed, "blob_base_fee", chain="l1")[0][0] == 3_194_327
    bare = preset.vary({"chains.l1.blob_fee.initial_excess": 0})  # what is said of the excess goes before it
    assert World(bare, Streams(1), {}).l1("l1").blob_base_fee() == 1


@pytest.mark.parametrize("fork", CALENDAR)
@pytest.mark.parametrize("fee", [2, 1_000, 51_000_000, 10**12, 2**63 - 1])
def test_the_excess_of_a_first_fee_is_the_largest_that_does_not_exceed_it(fork: str, fee: int) -> None:
    begins, _, _, fraction, *_ = CALENDAR[fork]
    excess = Blob(initial=f"{fee} wei").genesis(begins)[0]
    assert blob_base_fee(excess, fraction) <= fee < blob_base_fee(excess + 1, fraction)


def test_the_excess_of_the_preset_is_that_of_bpo2_in_whole_millions() -> None:
    assert Blob(initial="3194327 wei").genesis(CALENDAR["bpo2"][0]) == (175_000_000,)
    assert Blob().genesis() == Blob(initial="1 wei", minimum="1 gwei").genesis() == (0,)


@pytest.mark.parametrize(
    ("fees", "message"),
    [
        ({"fork": "cancun", "blob_fee.initial_excess": "175 Mgas"}, "under the fork in force, whose 'update_fraction' is 3338477: lower"),
        ({"fork": "prague", "blob_fee.initial_excess": "1000000000 Mgas"}, "or write 'blob_fee.initial', a fee, instead of it"),
        ({"fork": "bpo2", "blob_fee.initial": f"{2**64} wei"}, "blob fee is beyond 2^63 wei"),
        ({"fork": "bpo2", "blob_fee.minimum": f"{2**63} wei"}, "blob fee is beyond 2^63 wei"),
        ({"fork": "bpo2", "base_fee.initial": f"{2**63} wei"}, "base fee is beyond 2^63 wei: lower 'base_fee.initial'"),
    ],
)
def test_what_the_log_has_no_room_for_in_the_first_block_is_refused(fees: dict[str, str], message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        market(**fees)
    assert message in str(error.value)


def test_what_the_log_just_has_room_for_is_not_refused() -> None:
    fraction, most = CALENDAR["cancun"][3], Blob(initial=f"{2**63 - 1} wei").genesis(CALENDAR["cancun"][0])[0]
    assert 43.6 * fraction < most < 43.7 * fraction
    fees = {"fork": "cancun", "blob_fee.initial_excess": f"{most} gas", "base_fee.initial": f"{2**63 - 1} wei"}
    assert World(market(**fees), Streams(1), {}).l1("l1").blob_base_fee() < 2**63
    with pytest.raises(ScenarioError, match="blob fee is beyond"):
        market(**fees | {"blob_fee.initial_excess": f"{most + 1} gas"})


@pytest.mark.parametrize("fork", CALENDAR)
def test_a_run_begins_under_a_fork(fork: str) -> None:
    blobs = run(market(fork=fork, blob_demand={"kind": "given", "fractions": [1]}).vary(duration="2min")).select(
        BlockSealed, "blobs", chain="l1"
    )[0]
    assert set(blobs.tolist()) == {MAINNET[fork].maximum}


def test_a_fork_that_is_none_is_refused() -> None:
    with pytest.raises(ScenarioError, match="there is no fork 'prag'; did you mean 'prague'"):
        market(fork="prag")


# ---- crossing


def crossing(before: int, slots: int = 6, **chain: Any) -> tuple[list[int], list[int], list[int]]:
    """Slots, blob fees and blobs of a run that begins so many seconds before BPO1."""
    begins = MAINNET["bpo1"].begins - before
    scenario = market(
        fork="own",
        blob_fee={
            "kind": "blob", "initial_excess": "100 Mgas",
            "forks": {
                "own": {"begins": begins, "target": 6, "maximum": 9, "update_fraction": 5_007_716},
                "bpo1": MAINNET["bpo1"].model_copy(update={"reserve": False}).model_dump(mode="json"),
            },
        },
        blob_demand={"kind": "given", "fractions": [1]}, **chain,
    ).vary(duration=f"{12 * slots} s")  # fmt: skip
    world = World(scenario, Streams(1), {})
    market_of_l1 = world.l1("l1").market
    passed = [fork.begins for fork in (market_of_l1.fork(slot) for slot in range(1, slots + 1))]
    assert passed == sorted(passed)
    log = world.run()
    number, fee, blobs = log.select(BlockSealed, "number", "blob_base_fee", "blobs", chain="l1")
    return number.tolist(), fee.tolist(), blobs.tolist()


def test_the_first_block_of_a_fork_goes_by_its_schedule() -> None:
    # Slot 3 is at the very second of the fork: its block holds 15 blobs, its fee and its excess follow from BPO1's parameters.
    numbers, fee, blobs = crossing(36)
    assert numbers == [1, 2, 3, 4, 5, 6]
    assert blobs == [9, 9, 15, 15, 15, 15]
    excess = [100_000_000]
    for used, target in ((9, 6), (9, 10), (15, 10), (15, 10), (15, 10)):
        excess.append(excess[-1] + (used - target) * GAS_PER_BLOB)
    fractions = [5_007_716] * 2 + [8_346_193] * 4
    assert fee == [blob_base_fee(*one) for one in zip(excess, fractions, strict=True)]


@pytest.mark.parametrize(("before", "first"), [(24, 2), (25, 3), (36, 3), (35, 3), (37, 4)])
def test_the_boundary_is_the_second_of_the_fork(before: int, first: int) -> None:
    assert crossing(before)[2] == [9] * (first - 1) + [15] * (7 - first)


def test_a_first_block_after_missed_slots_goes_by_its_own_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    # Slots 2 and 3 have no block. The excess of slot 4 follows from block 1 under the parameters of slot 4.
    assert crossing(36)[1][3] != blob_base_fee(100_000_000 + (9 - 10) * GAS_PER_BLOB, 8_346_193)
    monkeypatch.setattr(FeeMarket, "uniform", lambda self, purpose, index: 0.0 if purpose == "missed" and index in (2, 3) else 1.0)
    numbers, fee, _ = crossing(36, missed="50 %")
    assert numbers == [1, 4, 5, 6]
    assert fee[1] == blob_base_fee(100_000_000 + (9 - 10) * GAS_PER_BLOB, 8_346_193)


def test_a_run_from_prague_into_osaka_meets_the_reserve() -> None:
    # Two blobs a block: Prague lets the fee fall; from the first block of Osaka, slot 50, it rises again to a 16th of the base fee.
    scenario = market(
        fork=None, begins="2025-12-03T21:39:11+00:00", base_fee={"kind": "eip1559", "initial": "8 gwei"},
        blob_fee={"kind": "blob", "initial_excess": "115306922 gas"}, blob_demand={"kind": "given", "fractions": [2 / 9]},
    )  # fmt: skip
    (fee,) = run(scenario.vary(duration="2h")).select(BlockSealed, "blob_base_fee", chain="l1")
    by_slot = [0, *fee.tolist()]
    assert all(by_slot[slot + 1] < by_slot[slot] for slot in range(1, 49))
    assert by_slot[49] < 100_000_000
    # The rule of the current block applies: the excess of slot 50 is already Osaka's.
    assert all(by_slot[slot + 1] > by_slot[slot] for slot in range(49, 100))
    assert 450_000_000 < by_slot[-1] < 510_000_000


def test_the_limits_of_a_transaction_follow_the_clock() -> None:
    for fork, floor, gas in (("cancun", 0, 60_000_000), ("prague", 10, 60_000_000), ("osaka", 10, 16_777_216)):
        l1 = World(market(fork=fork), Streams(1), {}).l1("l1")
        assert l1.most_gas() == gas
        assert l1.fork().calldata_floor == floor


def rollup(**poster: Any) -> dict[str, Any]:
    return {
        "kind": "rollup", "settles_on": "l1", "ordering": {"kind": "first_come_first_served"}, "fee": {"kind": "constant", "fee": "0 wei"},
        "block_overhead": "130 kB", "sequencer": {"kind": "sequencer", "block_time": "10s"},
        "batch_poster": {"kind": "batch_poster", "poll": "10s", "bump": "1h", **poster},
    }  # fmt: skip


def test_seven_blobs_do_not_fit_into_one_transaction_since_osaka() -> None:
    posted = run(market(fork="prague").vary({"duration": "10min", "chains.op": rollup(blobs=7)}))
    assert set(posted.select(BatchPosted, "blobs")[0].tolist()) == {7}
    with pytest.raises(ScenarioError, match="carries 6 blobs at most at the start, not 7"):
        market(fork="osaka").vary({"duration": "10min", "chains.op": rollup(blobs=7)})


@pytest.mark.parametrize(
    ("field", "most", "message"),
    [("blobs", 6, "carries 6 blobs at most from fork 'osaka' on, not 7"), ("gas", 2**24, "uses 16777216 gas at most from fork 'osaka' on")],
)
def test_what_the_next_fork_forbids_is_refused_and_would_wait_for_ever(field: str, most: int, message: str) -> None:
    def unit(number: int) -> int | str:
        return number if field == "blobs" else f"{number} gas"

    begins = datetime.fromtimestamp(MAINNET["osaka"].begins - 300, UTC).isoformat()
    world = market(fork=None, begins=begins)
    world.vary({"duration": "4min", "chains.op": rollup(**{field: unit(most + 1)})})
    with pytest.raises(ScenarioError, match=message):
        world.vary({"duration": "20min", "chains.op": rollup(**{field: unit(most + 1)})})
    scenario = world.vary({"duration": "20min", "chains.op": rollup(**{field: unit(most)})})
    assert run(scenario).select(BatchPosted, "time")[0].max() > 1000 * 10**9
    op: Any = scenario.chains["op"]
    op = op.model_copy(update={"batch_poster": op.batch_poster.model_copy(update={field: most + 1})})
    unchecked = scenario.model_copy(update={"chains": {**scenario.chains, "op": op}})
    times, blobs = run(unchecked).select(BatchPosted, "time", "blobs")
    assert set(blobs.tolist()) == {7 if field == "blobs" else 3}
    assert times.max() < 300 * 10**9


def test_a_block_of_more_than_a_batch_goes_in_several_transactions() -> None:
    big = rollup(blobs=6) | {"block_overhead": "1 MB"}
    blobs = run(market(fork="bpo2").vary({"duration": "10min", "chains.op": big})).select(BatchPosted, "blobs")[0]
    assert len(blobs) > 10
    assert set(blobs.tolist()) == {8}  # six and two


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chains.l1.base_fee": {"elasticity": 60_000_001}}, "'elasticity' is 60000001, so that the gas target of a block of 60000000 gas"),
        ({"chains.l1.gas_limit": "1 gas"}, "'elasticity' is 2, so that the gas target of a block of 1 gas"),
        ({"chains.op": rollup() | {"fee": {"kind": "eip1559", "elasticity": 10**9}}}, "of a block of 32000000 gas would be 0"),
    ],
)
def test_a_gas_target_of_nothing_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        market(fork="bpo2").vary(change)
    market(fork="bpo2").vary({"chains.l1.base_fee": {"elasticity": 60_000_000}})


# ---- what happened


def test_the_base_fees_of_a_thousand_blocks(shared_data: Path) -> None:
    with gzip.open(shared_data / "ethereum_1000_blocks_gas.json.gz", "rt") as file:
        blocks = json.load(file)
    assert len(blocks) == 1000
    right = 0
    for parent, block in pairwise(blocks):
        assert block["number"] == parent["number"] + 1
        right += next_base_fee(parent["base_fee_per_gas"], parent["gas_limit"], parent["gas_used"]) == block["base_fee_per_gas"]
    assert right == 999


def test_the_fork_of_a_schedule_by_name() -> None:
    assert Blob().named("bpo2").target == 14


def test_a_fee_for_which_the_log_has_no_room_ends_the_run_and_says_why() -> None:
    full = market(fork="cancun", blob_demand={"kind": "given", "fractions": [1]}, blob_fee={"kind": "blob"})
    steep = r"the blob base fee of 'l1' is beyond 2\^63 wei at 4[45]\d\d s of simulated time.*let 'blob_demand' answer to the price"
    with pytest.raises(RunFailed, match=steep):  # e^43.67 = 2^63: 371 blocks that each add 3 blobs
        run(full.vary(duration="2h"))
    with pytest.raises(RunFailed, match=r"the base fee of 'l1' is beyond 2\^63 wei at \d+ s.*let 'gas_demand' answer to the price"):
        run(market(gas_demand={"kind": "given", "fractions": [1]}).vary(duration="2h"))


@pytest.mark.parametrize("missed", ["0 %", "90 %"])
def test_a_fork_under_which_the_fee_is_beyond_the_log_says_so_whether_its_first_slot_has_a_block_or_none(missed: str) -> None:
    """100 Mgas of excess are 5e8 wei under one schedule and e^100 wei under the next, six minutes later."""
    began = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())
    one = {"begins": 0, "target": 6, "maximum": 9, "update_fraction": 5_007_716}
    forks = {"one": one, "next": one | {"begins": began + 360, "update_fraction": 1_000_000}}
    steep = market(fork=None, missed=missed, blob_fee={"kind": "blob", "initial_excess": "100 Mgas", "forks": forks})
    with pytest.raises(RunFailed, match=r"^the blob base fee of 'l1' is beyond 2\^63 wei at 348 s of simulated time"):
        run(steep.vary(duration="10min"))


def test_a_fee_just_below_that_is_written_down_as_it_is() -> None:
    excess = int(43.6 * MAINNET["bpo2"].update_fraction)
    log = run(market(fork="bpo2", blob_fee={"kind": "blob", "initial_excess": f"{excess} gas"}).vary(duration="1min"))
    (fees,) = log.select(BlockSealed, "blob_base_fee", chain="l1")
    assert fees[0] == blob_base_fee(excess, MAINNET["bpo2"].update_fraction) > 2**62
