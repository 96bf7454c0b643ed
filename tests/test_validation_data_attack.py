"""The published attack on rollups by saturated data: what so much ether delays and costs, with the parameters of its paper.

Chaliasos et al. 2025, arXiv 2509.17126; StefanosChaliasos/rollup-tfm-attacks @ 1972aa1aa23a, l1da.py, l2da.py and dos.py, executed.
There the blob fee starts at 1 wei and grows by 15 % in a full block of 9; here the production rule has an update fraction that
makes it so. Every row is lived in the event loop: the attack buys L1's blobs, or fills a rollup whose poster then does. The delays of
three rollups are the script's own, which rounds what a slot leaves behind up to whole slots: of these the loop says how many slots
are filled.
"""

from collections.abc import Callable
from math import ceil, floor, log
from typing import NamedTuple

import numpy as np
import pytest
from validation import SCENARIOS, DisagreementError, equal

from l2sim.agents.sequencer import Sequencer
from l2sim.data_fees.scalar import BYTES_A_BLOB, Scalar
from l2sim.events import BatchPosted, BlockSealed, TransactionIncluded
from l2sim.events.l1_market import SpaceBought
from l2sim.fees import blob as blob_rule
from l2sim.fees.blob import GAS_PER_BLOB
from l2sim.log import Log
from l2sim.posting.size_or_age import SizeOrAge
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.units import ETH, GWEI, SECOND
from l2sim.world.batches import Batches
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

    block_time: int
    """Seconds."""
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

    @property
    def size(self) -> int:
        """Bytes of a transaction."""
        return round(self.block * BLOB_BYTES / self.transactions)

    @property
    def gas(self) -> int:
        """Gas of the transactions of a block."""
        return self.transactions * (TRANSACTION + self.size * GAS_A_BYTE)


GAS_A_BYTE = 40
BLOB_BYTES = CALLDATA_A_BLOB // GAS_A_BYTE
"""Bytes of calldata in a blob, all of them at the floor of EIP-7623."""
DELAYS = {
    "Scroll": (Chain(3, 6, 6, 75_840, 0.039), 187, 748, 1.88),
    "ZKsync Era": (Chain(1, 1, 1, 232_524, 0.045), 196, 588, 1.48),
    "Arbitrum": (Chain(1, 1.2, 1.2, 168_858, 0.014), 193, 579, 1.45),
    "Base": (Chain(2, 7, 6, 21_000, 0.002), 181, 1086, 2.73),
    "Optimism": (Chain(2, 6, 2, 21_000, 0.012), 195, 585, 1.47),
}
POSTED = ("Scroll", "Base")
"""Rollups whose blocks are a batch each, of which L1 takes one a slot: the paper's delay is that of the last batch."""
COSTS = {
    "Linea": (Chain(2, 6, 1, 400_030, 0.083, 2), 1.376),
    "ZKsync Era": (Chain(1, 1, 1, 232_524, 0.045, 1), 0.856),
    "Base": (Chain(2, 7, 6, 21_000, 0.002, 1), 5.649),
    "Base, throttled": (Chain(2, 7, 0.16, 21_000, 0.002, 70), 0.417),
    "Optimism": (Chain(2, 6, 2, 21_000, 0.012, 2), 1.983),
    "Optimism, throttled": (Chain(2, 6, 0.16, 21_000, 0.012, 70), 0.437),
}
HALF_AN_HOUR = 150
"""Slots."""


def attacked(chain: Chain, slots: int, full: int, fees: tuple[int, int], budget: float, lasts: int, least: int = 1) -> Log:
    """A rollup whose blocks are filled, in the production loop: its sequencer, its batch poster, and the attack.

    Args:
        chain: the rollup.
        slots: how long the run is.
        full: slots in which others fill what is left of L1's blobs, as the paper has it.
        fees: the rollup's base fee and the attacker's priority fee, wei per gas.
        budget: the attacker's, ETH.
        lasts: slots that the attack takes at most.
        least: L1's lowest blob fee, wei per gas.
    """
    filled = [1.0] * (full + 1) + [0.0] * (slots + 2 - full)
    rollup = {
        "kind": "rollup", "settles_on": "l1", "ordering": {"kind": "first_come_first_served"}, "fee": f"{fees[0]} wei",
        "block_gas_limit": f"{chain.gas} gas", "block_overhead": "0 B", "data_fee_scalar": BYTES_A_BLOB / BLOB_BYTES,
        "sequencer": {"kind": "sequencer", "block_time": f"{chain.block_time} s"},
        "batch_poster": {
            "kind": "batch_poster", "full": f"{round(chain.batch * BLOB_BYTES)} B", "fill": (BLOB_BYTES + 0.5) / BYTES_A_BLOB,
            "gas": f"{chain.commit} gas", "poll": "1s", "max_delay": "5min", "tip": "1 wei", "bump": "1d", "funds": "100000 ETH",
            "target_blob_fee": "1000000 gwei",
        },
    }  # fmt: skip
    flood = {
        "kind": "l2_data_saturation", "market": "shop", "begins": "0 s", "lasts": f"{12 * lasts - 1} s",
        "budget": f"{round(budget * ETH)} wei", "size": f"{chain.size} B", "gas_per_byte": GAS_A_BYTE, "tip": f"{fees[1]} wei",
    }  # fmt: skip
    changes = {
        "chains.l1.blob_demand.fractions": filled, "chains.l1.background_tip": "0 wei", "chains.l1.blob_fee.minimum": f"{least} wei",
        "chains.l1.base_fee": {"kind": "eip1559", "initial": f"{round(L1_BASE_FEE)} wei", "denominator": 10**9},
        "prices": {"eth": {"kind": "path", "points": {"0": "2000 USD"}}}, "chains.rollup": rollup,
        "markets": {"shop": {"kind": "constant_product", "on": "rollup", "base": "eth", "base_reserve": 100}},
        "attacks": {"flood": flood},
    }  # fmt: skip
    times = range(chain.block_time * SECOND - 1, slots * 12 * SECOND, chain.block_time * SECOND)
    with pytest.MonkeyPatch.context() as patch:
        # A slot's last block comes a nanosecond before L1's, whose fee all of them pay.
        patch.setattr(Sequencer, "instants", lambda *_: times)
        return World(scenario(slots, 0.0).vary(changes), Streams(1), {}).run()


def sent(log: Log) -> tuple[int, float]:
    """The attacker's transactions, and what they paid (ETH)."""
    execution, data = log.select(TransactionIncluded, "execution_fee", "data_fee", chain="rollup")
    return len(execution), float(execution.sum() + data.sum())


def delay(name: str, budget: float) -> tuple[int, int]:
    """Slots that the budget (ETH) fills, and the slot in which what they hold is on L1.

    The rollup's base fee is what the paper lets a block cost besides its blobs.
    """
    chain = DELAYS[name][0]
    per_slot = 12 // chain.block_time
    a_blob = CALLDATA_A_BLOB_ERA * chain.fee * GWEI if name == "ZKsync Era" else CALLDATA_A_BLOB * PRIORITY
    batches = int(per_slot * chain.block // chain.batch)
    besides = chain.block * a_blob + TRANSACTION * PRIORITY + batches * chain.commit * L1_BASE_FEE / per_slot
    posted = name in POSTED
    log = attacked(chain, 1_100 if posted else 200, 200, (round(besides / chain.gas), 0), budget, 200)
    filled = sent(log)[0] // per_slot
    if posted:
        last, slot = log.select(BatchPosted, "last", "l1_block", chain="rollup")
        return filled, int(slot[np.searchsorted(last, filled * per_slot)])
    behind = batches - floor(9 / chain.batch)  # batches that L1 does not take in a slot, which the paper counts in whole slots
    return filled, filled * (2 + ceil(behind * chain.batch / 9))


@pytest.mark.parametrize("name", list(DELAYS))
def test_filling_a_rollup(name: str, record_property: Callable[..., None]) -> None:
    _, blocks, total, ratio = DELAYS[name]
    filled, behind = delay(name, 10.0)
    record_property("validation", equal(f"DA attack, 10 ETH on {name}: slots of delay", behind, total, 0.0))
    assert filled == blocks
    assert behind / STUFFING[10][1] == pytest.approx(ratio, abs=0.00501)


def take_too_many(patch: pytest.MonkeyPatch) -> None:
    """A batch takes up a block that it does not hold."""
    take = Batches.take

    def taken(batches: Batches, most: int) -> tuple[int, int, int]:
        first, _, size = take(batches, most)
        if batches.unposted:
            take(batches, 1)
        return first, batches.taken, size

    patch.setattr(Batches, "take", taken)


def charge_late(patch: pytest.MonkeyPatch) -> None:
    """Users pay the blob fee of the slot before."""
    charge = Scalar.charge
    patch.setattr(Scalar, "charge", lambda self, state, base, blob, time: charge(self, state, base, int(blob / PER_BLOCK), time))


@pytest.mark.parametrize("mistake", [take_too_many, charge_late])
def test_mistakes_in_batches_and_charges_are_caught(mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    _, blocks, total, _ = DELAYS["Scroll"]
    filled, behind = delay("Scroll", 10.0)
    with pytest.raises(DisagreementError):
        equal("slots", behind, total, 0.0)
    assert (filled == blocks) == (mistake is take_too_many)


def cost(name: str) -> float:
    """What it costs to fill a rollup's blocks for half an hour, ETH: what the attacker pays there, and the gas of all batches."""
    chain = COSTS[name][0]
    per_slot = 12 // chain.block_time
    batches = ceil(HALF_AN_HOUR * per_slot / max(1, int(chain.batch / chain.block)))  # of whole blocks
    saturates, least = per_slot * chain.block > 6, round(0.09 * GWEI) if name == "Linea" else 1
    tip = 0 if name == "ZKsync Era" else round(PRIORITY)
    slots = max(HALF_AN_HOUR, batches) + 30
    log = attacked(chain, slots, HALF_AN_HOUR * saturates, (round(chain.fee * GWEI), tip), 100.0, HALF_AN_HOUR, least)
    number, paid = sent(log)
    assert number == HALF_AN_HOUR * per_slot * chain.transactions
    # Where the paper lets transactions cost nothing but their data, or only the rest of them pay a priority fee.
    paid += {"Linea": -(chain.fee * GWEI + PRIORITY), "ZKsync Era": PRIORITY}.get(name, 0.0) * number * TRANSACTION / ETH
    size, slot, blobs, spent = log.select(BatchPosted, "size", "l1_block", "blobs", "cost", chain="rollup")
    slot, blobs, spent = slot[size > 0], blobs[size > 0], spent[size > 0]
    made, fee = log.select(BlockSealed, "number", "blob_base_fee", chain="l1")
    return paid + float((spent - blobs * GAS_PER_BLOB * fee[np.searchsorted(made, slot)] / ETH).sum())


@pytest.mark.parametrize("name", list(COSTS))
def test_stopping_a_rollup_for_half_an_hour(name: str, record_property: Callable[..., None]) -> None:
    chain, expected = COSTS[name]
    if name == "Base":  # a batch of seven blobs holds one block of six, which the paper cuts: 900 batches and not 771
        expected += (900 - 771) * chain.commit * L1_BASE_FEE / ETH
    record_property("validation", equal(f"DA attack, half an hour of {name}: ETH", cost(name), expected, 0.0006 / expected))


def test_a_batch_that_is_sent_half_full_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: it costs the gas of more batches than the blocks fill."""
    monkeypatch.setattr(SizeOrAge, "most", lambda self, look, terms: terms.full // 2)
    _, expected = COSTS["Optimism"]
    with pytest.raises(DisagreementError):
        equal("ETH", cost("Optimism"), expected, 0.0006 / expected)


def test_a_fee_that_answers_a_block_too_soon_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: the block that fills L1 pays the fee that it brings about."""
    genesis = blob_rule.Blob.genesis
    monkeypatch.setattr(blob_rule.Blob, "genesis", lambda self, *when: (genesis(self, *when)[0] + 3 * GAS_PER_BLOB,))
    with pytest.raises(DisagreementError):
        equal("blocks", stuffing(10)[0], STUFFING[10][0], 0.0)
