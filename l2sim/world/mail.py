"""Mail: what is on its way into L1's blocks besides transactions to markets, and what is demanded of them on purpose."""

from collections.abc import Callable
from typing import Any, NamedTuple

from simpy.events import Event


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
