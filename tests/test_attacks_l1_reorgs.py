"""Blocks of L1 that are undone: batches in several pieces, and blob fees where a fork begins in between."""

from typing import Any

import pytest
from worlds import HERE, lived

from l2sim.fees.blob import GAS_PER_BLOB, blob_base_fee
from l2sim.log import Log
from l2sim.scenario import Scenario


def pieces(*begins: str, depth: int) -> Log:
    """A batch in two transactions, of which a block of L1 takes one: slots 14 and 15; blocks are undone at each of those times."""
    poster = {
        "kind": "batch_poster", "poll": "1s", "gas": "21000 gas", "tip": "1 gwei", "max_delay": None, "full": None,
        "policy": {"kind": "op_channels", "target_blobs": 12, "max_channel_duration": 60},
    }  # fmt: skip
    fees = {"kind": "eip1559", "initial": "4 gwei"}, {"kind": "given", "fractions": [0.9, 0.9, 0.9, 0.1, 0.1, 0.1]}
    changes: dict[str, Any] = {
        "duration": "20min", "chains.l1.fork": "prague", "chains.l1.base_fee": fees[0], "chains.l1.gas_demand": fees[1],
        "chains.arb.batch_poster": poster, "chains.arb.block_overhead": "2000 B",
    }  # fmt: skip
    attack = {"kind": "l1_reorg", "on": "l1", "lasts": "1s", "depth": depth}
    changes |= {f"attacks.reorg_{number}": attack | {"begins": when} for number, when in enumerate(begins)}
    return lived(Scenario.load(HERE / "scenarios" / "posting.yaml").vary(changes))


def first_batch(log: Log) -> tuple[list[int], list[int]]:
    """The L1 blocks that were said to complete the first batch, and the first blocks that stand with blobs; costs agree with the ledger."""
    batches = log.frame("BatchPosted", reverted=True)
    paid = log.frame("AccountClosed").query("group == 'arb.batch_poster' and asset == 'gas'")
    assert (paid["opening"] - paid["closing"]).sum() == pytest.approx(log.frame("BatchPosted")["cost"].sum(), rel=1e-9)
    whole = log.frame("BatchPosted")
    assert (whole["first"].to_numpy()[1:] == whole["last"].to_numpy()[:-1] + 1).all()
    sealed = log.frame("BlockSealed").query("chain == 'l1' and blobs > 0")
    return batches[batches["first"] == 1]["l1_block"].tolist(), sealed["number"].tolist()[:2]


@pytest.mark.parametrize(
    ("begins", "depth", "told", "stands"),
    [
        ((), 1, [14], [13, 14]),
        (("161s",), 1, [15], [14, 15]),  # the first piece, before L1 has the second
        (("161s", "185s"), 2, [15, 17], [16, 17]),  # and both of them when the batch is whole
        (("161s", "173s"), 1, [16], [15, 16]),  # the first piece twice
        (("173s",), 1, [14, 15], [13, 15]),  # the second alone
        (("173s", "185s"), 3, [14, 17], [16, 17]),  # both, and the first again while the second is on its way
        (("173s", "185s", "209s"), 2, [14, 17, 19], [18, 19]),
    ],
)
def test_a_batch_counts_once_all_its_pieces_stand(begins: tuple[str, ...], depth: int, told: list[int], stands: list[int]) -> None:
    assert first_batch(pieces(*begins, depth=depth)) == (told, stands)


def over_a_fork(begins: str, depth: int) -> tuple[dict[int, int], dict[int, int]]:
    """The blob fee of each block that stands, and of each that was undone; slot 20 is the first of the second fork."""
    since = 1_000_000_000
    chain = {
        "fork": "old", "blob_demand": {"kind": "given", "fractions": [0.5]},
        "blob_fee": {
            "kind": "blob", "initial_excess": "60 Mgas",
            "forks": {
                "old": {"begins": since, "target": 3, "maximum": 6, "update_fraction": 3_338_477},
                "new": {"begins": since + 20 * 12, "target": 6, "maximum": 9, "update_fraction": 5_007_716},
            },
        },
    }  # fmt: skip
    attack = {"kind": "l1_reorg", "on": "l1", "begins": begins, "lasts": "1s", "depth": depth}
    changes = {"duration": "6min", "attacks.deep": attack} | {f"chains.l1.{name}": value for name, value in chain.items()}
    log = lived(Scenario.load(HERE / "scenarios" / "fee_market.yaml").vary(changes))
    sealed = log.frame("BlockSealed", reverted=True).query("chain == 'l1'")
    stands, gone = (sealed[sealed["canonical"] == which].set_index("number")["blob_base_fee"].to_dict() for which in (True, False))
    return stands, gone


@pytest.mark.parametrize(
    ("begins", "gone", "first"),
    [
        ("229s", (17, 18, 19), 20),  # undone before the fork: the slot that follows is its first
        ("241s", (18, 19, 20), 21),  # undone from after it to before it
        ("265s", (20, 21, 22), 23),  # all that is undone belongs to the fork
    ],
)
def test_after_blocks_are_undone_the_blob_fee_goes_by_the_fork_of_the_slot(begins: str, gone: tuple[int, ...], first: int) -> None:
    # The blocks of the old fork hold its target of 3 blobs, so that each of them leaves the excess where it was.
    excess = 60_000_000 + (3 - 6) * GAS_PER_BLOB
    stands, undone_fees = over_a_fork(begins, 3)
    assert tuple(undone_fees) == gone
    assert stands[first] == blob_base_fee(excess, 5_007_716) == 147_707
    assert {slot: fee for slot, fee in stands.items() if slot < 20} == dict.fromkeys(
        (slot for slot in range(1, 20) if slot not in gone), blob_base_fee(60_000_000, 3_338_477)
    )
    assert stands[first + 1] == blob_base_fee(excess + (4 - 6) * GAS_PER_BLOB, 5_007_716)


@pytest.mark.parametrize(
    ("attack", "spent"),
    [
        ("{kind: blob_saturation, on: l1, budget: 0.03 ETH", 0.03),
        ("{kind: l1_fee_spike, on: l1, blobs: 3, gas: 1 Mgas, budget: 0.1 ETH", 0.1),
    ],
)
def test_a_budget_does_not_get_back_what_was_spent_in_blocks_that_are_undone(attack: str, spent: float) -> None:
    """Whose money it is does; so the price of the attack is less than its budget."""
    paid = []
    for reorg in ((), ("attacks.reorg={kind: l1_reorg, on: l1, begins: 170s, lasts: 1s, depth: 20}",)):
        buys = f"attacks.buyer={attack}, begins: 2min, lasts: 15min}}"
        log = lived(Scenario.load(HERE / "scenarios" / "posting.yaml", ["duration=20min", buys, *reorg]))
        closed = log.frame("AccountClosed").query("group == 'buyer' and asset == 'gas'")
        paid.append((closed["opening"] - closed["closing"]).sum())
    assert paid[0] == pytest.approx(spent, rel=0.15)
    assert 0 < paid[1] < 0.9 * paid[0]
