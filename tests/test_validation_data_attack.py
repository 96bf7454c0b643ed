"""The published attack on rollups by saturated data: what so much ether delays and costs, with the parameters of its paper.

Chaliasos et al. 2025, arXiv 2509.17126; StefanosChaliasos/rollup-tfm-attacks @ 1972aa1aa23a, l1da.py, l2da.py and dos.py, executed.
There the blob fee starts at 1 wei and grows by 15 % in a full block of 9; here the production rule has an update fraction that
makes it so. The fees, and for the first table the whole attack, come out of the event loop.
"""

from collections.abc import Callable
from functools import cache
from math import ceil, floor, log
from typing import NamedTuple

import pytest
from validation import SCENARIOS, DisagreementError, equal

from l2sim.events import BlockSealed
from l2sim.events.l1_market import SpaceBought
from l2sim.fees import blob as blob_rule
from l2sim.fees.blob import GAS_PER_BLOB
from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.units import ETH, GWEI
from l2sim.world.fee_market import FeeMarket, Quiet
from l2sim.world.world import World

PER_BLOCK = 1.15
PUBLISHED = {
    "begins": 0, "target": 6, "maximum": 9, "update_fraction": round(3 * GAS_PER_BLOB / log(PER_BLOCK)),
    "blobs_per_transaction": 9,
}  # fmt: skip
CALLDATA_A_BLOB, CALLDATA_A_BLOB_ERA = 5_124_000, 10 * 2**17
"""L2 gas that fills a blob."""
PRIORITY, L1_BASE_FEE = 0.2 * GWEI, 1.0 * GWEI
TRANSACTION = 21_000


def scenario(slots: int, fraction: float, budget: int | None = None) -> Scenario:
    """An L1 under the published parameters, whose other users want that share of its blobs; with an attacker of a budget in ETH."""
    chain = {
        "fork": "published", "blob_fee": {"kind": "blob", "forks": {"published": PUBLISHED}},
        "blob_demand": {"kind": "given", "fractions": [fraction]}, "base_fee": {"kind": "eip1559", "initial": "0 wei"},
        "gas_demand": {"kind": "given", "fractions": [0]},
    }  # fmt: skip
    changes = {f"chains.l1.{name}": value for name, value in chain.items()} | {"duration": f"{12 * slots} s"}
    if budget is not None:
        attack = {"kind": "blob_saturation", "on": "l1", "begins": "0 s", "lasts": "10 d", "gas": "0 gas", "budget": f"{budget} ETH"}
        changes |= {"attacks.flood": attack, "metrics.bought": {"kind": "space_bought"}}
    return Scenario.load(SCENARIOS / "fee_market.yaml").vary(changes)


# ---- L1's blobs are filled

STUFFING = {1: (182, 364), 10: (199, 398), 100: (215, 430)}
"""By budget in ETH: blocks filled, and until the fee is back where it was. The second row is the yardstick of the next table."""


def stuffing(budget: int) -> tuple[int, int, float]:
    """Blocks filled, blocks of disruption, ETH spent: other users want half the target, so that the fee falls as fast as it rose."""
    excess: dict[int, int] = {}
    after = FeeMarket.after

    def noted(market: FeeMarket, state: Quiet, gas: int, blobs: int) -> Quiet:
        made = after(market, state, gas, blobs)
        excess[state.slot] = made.blob[0]
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeeMarket, "after", noted)
        log = World(scenario(500, 3 / 9, budget), Streams(1), {}).run()
    spent, blobs = log.select(SpaceBought, "spent", "blobs", chain="l1")
    assert set(blobs.tolist()) == {9}
    return len(spent), next(slot for slot in sorted(excess) if not excess[slot]), float(spent.sum())


@pytest.mark.parametrize("budget", list(STUFFING))
def test_filling_the_blobs_of_l1(budget: int, record_property: Callable[..., None]) -> None:
    blocks, disruption, spent = stuffing(budget)
    assert 0.8 * budget < spent <= budget
    record_property("validation", equal(f"DA attack, {budget} ETH on L1: blocks of disruption", disruption, STUFFING[budget][1], 0.0))
    assert blocks == STUFFING[budget][0]


def test_growth_by_an_eighth_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: a blob fee like that of EIP-1559."""
    monkeypatch.setitem(PUBLISHED, "update_fraction", round(3 * GAS_PER_BLOB / log(1.125)))
    with pytest.raises(DisagreementError):
        equal("blocks", stuffing(1)[0], STUFFING[1][0], 0.0)


# ---- a rollup is filled, and its batches fill L1


class Chain(NamedTuple):
    """A rollup as the paper has it."""

    block_time: float
    batch: float
    """Blobs in a batch."""
    block: float
    """Blobs that a block's data fill."""
    commit: int
    """L1 gas of a batch."""
    fee: float
    """L2 fee, gwei."""
    transactions: int = 1
    """Transactions that fill a block."""


DELAYS = {
    "Scroll": (Chain(3.0, 6, 6, 75_840, 0.039), 187, 748, 1.88),
    "ZKsync Era": (Chain(1.0, 1, 1, 232_524, 0.045), 196, 588, 1.48),
    "Arbitrum": (Chain(1.0, 1.2, 1.2, 168_858, 0.014), 193, 579, 1.45),
    "Base": (Chain(2.0, 7, 6, 21_000, 0.002), 181, 1086, 2.73),
    "Optimism": (Chain(2.0, 6, 2, 21_000, 0.012), 195, 585, 1.47),
}
COSTS = {
    "Linea": (Chain(2.0, 6, 1, 400_030, 0.083, 2), 1.376),
    "ZKsync Era": (Chain(1.0, 1, 1, 232_524, 0.045, 1), 0.856),
    "Base": (Chain(2.0, 7, 6, 21_000, 0.002, 1), 5.649),
    "Base, throttled": (Chain(2.0, 7, 0.16, 21_000, 0.002, 70), 0.417),
    "Optimism": (Chain(2.0, 6, 2, 21_000, 0.012, 2), 1.983),
    "Optimism, throttled": (Chain(2.0, 6, 0.16, 21_000, 0.012, 70), 0.437),
}


@cache
def blob_fees(full: bool) -> list[int]:
    """Blob fees of 260 slots, wei: of full blocks, or of such as hold no more than the target."""
    log: Log = World(scenario(260, 1.0 if full else 0.0), Streams(1), {}).run()
    fees: list[int] = log.select(BlockSealed, "blob_base_fee", chain="l1")[0].tolist()
    return fees


def delay(name: str, chain: Chain, budget: float) -> tuple[int, int]:
    """Slots that the budget (ETH) fills, and by how many L1 is then behind."""
    per_slot = 12.0 / chain.block_time
    blobs = per_slot * chain.block
    batches = int(blobs // chain.batch)
    a_blob = CALLDATA_A_BLOB_ERA * chain.fee * GWEI if name == "ZKsync Era" else CALLDATA_A_BLOB * PRIORITY
    rest = blobs * a_blob + per_slot * TRANSACTION * PRIORITY + batches * chain.commit * L1_BASE_FEE
    spent, filled = 0.0, 0
    for fee in blob_fees(full=True):
        spent += blobs * GAS_PER_BLOB * fee + rest
        if spent > budget * ETH:
            break
        filled += 1
    behind = batches - floor(9 / chain.batch)  # batches that L1 does not take in a slot
    return filled, filled * (2 + ceil(behind * chain.batch / 9))


@pytest.mark.parametrize("name", list(DELAYS))
def test_filling_a_rollup(name: str, record_property: Callable[..., None]) -> None:
    chain, blocks, total, ratio = DELAYS[name]
    filled, behind = delay(name, chain, 10.0)
    record_property("validation", equal(f"DA attack, 10 ETH on {name}: slots of delay", behind, total, 0.0))
    assert filled == blocks
    assert behind / STUFFING[10][1] == pytest.approx(ratio, abs=0.00501)


def cost(name: str, chain: Chain, slots: int = 150) -> float:
    """What it costs to fill a rollup's blocks for so many slots, ETH."""
    per_slot = int(12.0 / chain.block_time)
    blobs = per_slot * min(chain.batch, chain.block)
    price = (chain.fee * GWEI) + PRIORITY
    fees = [0.09 * GWEI] * slots if name == "Linea" else blob_fees(full=blobs > 6)[:slots]
    a_blob = CALLDATA_A_BLOB * (chain.fee * GWEI if name == "ZKsync Era" else price)
    transactions = 0.0 if name == "Linea" else per_slot * chain.transactions * TRANSACTION * price
    left, spent = 0.0, 0.0
    for fee in fees:
        batches = per_slot if chain.batch == chain.block else (left + blobs) // chain.batch
        left = (left + blobs) % chain.batch
        spent += blobs * (GAS_PER_BLOB * fee + a_blob) + transactions + batches * chain.commit * L1_BASE_FEE
    return spent / ETH


@pytest.mark.parametrize("name", list(COSTS))
def test_stopping_a_rollup_for_half_an_hour(name: str, record_property: Callable[..., None]) -> None:
    chain, expected = COSTS[name]
    found = cost(name, chain)
    assert found == pytest.approx(expected, abs=0.0006)
    record_property("validation", equal(f"DA attack, half an hour of {name}: ETH", found, expected, 0.0006 / expected))


def test_a_fee_that_answers_a_block_too_soon_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: the block that fills L1 pays the fee that it brings about."""
    genesis = blob_rule.Blob.genesis
    monkeypatch.setattr(blob_rule.Blob, "genesis", lambda self: (genesis(self)[0] + 3 * GAS_PER_BLOB,))
    with pytest.raises(DisagreementError):
        equal("blocks", stuffing(10)[0], STUFFING[10][0], 0.0)
