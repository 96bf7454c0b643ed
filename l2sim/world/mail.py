"""Mail: what is on its way into L1's blocks besides transactions to markets, and what is demanded of them on purpose."""

from collections.abc import Callable
from typing import Any, NamedTuple

from simpy.events import Event

from l2sim.fees.blob import GAS_PER_BLOB, Fork
from l2sim.world.builders import Made


class Room(NamedTuple):
    """What a block of L1 has room for, at which fees, and who makes it."""

    slot: int
    gas: int
    blobs: int
    base_fee: int
    """Wei per gas."""
    blob_fee: int
    """Wei per blob gas."""
    fork: Fork
    """The fork in force."""
    made: Made
    """Who makes it."""


class BlobTransaction(NamedTuple):
    """A batch on its way into L1."""

    arrives: int
    """When proposers know of it (ns)."""
    tie: int
    """Seeded key among equals."""
    submitted: int
    """When its sender let go of it (ns)."""
    account: int
    """Who pays."""
    blobs: int
    """How many blobs it carries."""
    gas: int
    """Execution gas it uses."""
    tip: int
    """Priority fee, wei per gas."""
    cap: int
    """Most it pays for execution gas, wei per gas."""
    blob_cap: int
    """Most it pays for blob gas, wei per gas."""
    included: Event
    """Triggered with (slot, cost in ETH, submitted) when a block takes it, or with Posted where it calls a contract."""
    call: Callable[[float], Any] | None = None
    """What it calls on L1, told what it cost (ETH); its answer is in Posted."""


class Posted(NamedTuple):
    """A call that L1 included."""

    slot: int
    cost: float
    """For gas, ETH."""
    submitted: int
    """When its sender let go of it (ns)."""
    answer: Any
    """What the contract said."""


class Saturation(NamedTuple):
    """Extra demand that somebody buys on purpose, each slot."""

    account: int
    gas: int
    blobs: int
    tip: int
    spent: Callable[[int], None]
    """Told what was spent in a slot, wei."""
    pays: Callable[[int], bool] | None = None
    """Asked before each slot is bought whether it pays up to so much (wei) for it; without it, it pays whatever a slot costs."""
    carrier: int = 0
    """Execution gas of a transaction that carries blobs."""

    def fits(self, room: Room, gas: int, blobs: int) -> tuple[int, int]:
        """Gas and blobs that it buys where so much is left in a block."""
        gas, blobs = self.within(room, gas, blobs)
        return (gas, blobs) if self.pays is None or self.pays(self.cost(room, gas, blobs)) else (0, 0)

    def within(self, room: Room, gas: int, blobs: int) -> tuple[int, int]:
        """What it wants of that, whatever it costs: no more blobs than the transactions carry for which there is gas."""
        each, blobs = room.fork.most_blobs, min(self.blobs, blobs)
        if self.carrier:
            blobs = min(blobs, gas // self.carrier * each)
        return min(self.gas + -(-blobs // each) * self.carrier, gas), blobs

    def cost(self, room: Room, gas: int, blobs: int) -> int:
        """What so much of a block costs, wei."""
        return gas * (room.base_fee + self.tip) + blobs * GAS_PER_BLOB * room.blob_fee
