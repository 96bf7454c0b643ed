"""Posting: when a batch poster puts blocks on L1, in which pieces, and what it offers for them. The verb is ``posts(look)``.

A policy is pure: the agent ``batch_poster`` asks it, waits for it, and pays. What the charter says without being overridden is the
poster's first rule: a batch goes when it is full or old, in one transaction, at caps that grow with the square of its age.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from l2sim.part import Part


class Terms(NamedTuple):
    """What the poster is set to, whatever its policy."""

    full: int
    """Bytes that make a batch full."""
    max_delay: int
    """Age of the oldest block at which a batch goes though it is not full (ns)."""
    tip: int
    """Priority fee of a first offer, wei per gas."""
    bump: int
    """How long an offer stands before it is replaced (ns)."""
    target_fee: int
    """Execution fee that it finds normal, wei per gas."""
    target_blob_fee: int
    """Blob fee that it finds normal, wei per blob gas."""
    urgency: int
    """Age at which the caps are four times that (ns)."""
    gas: int
    """Execution gas of a transaction that carries a batch."""
    slot: int
    """Time between L1's blocks (ns)."""
    blob_bytes: int
    """Usable bytes of a blob."""
    cost: Any
    """``cost(size, base_fee, blob_fee)``: wei that a batch of so many bytes costs at these fees, without a tip."""


class Look(NamedTuple):
    """What it sees before it decides."""

    now: int
    oldest: int
    """Time of the oldest block that is in no batch on L1 (ns)."""
    unsent: int
    """Bytes of the blocks that are in no batch."""
    blobs: int = 0
    """Blobs of the transaction that it makes an offer for."""
    gas: int = 0
    """Execution gas of that transaction."""
    base_fee: int = 0
    """L1's execution base fee, wei per gas; 0 for a policy that does not look at fees."""
    blob_fee: int = 0
    """L1's blob base fee, wei per blob gas; the same."""


class Offer(NamedTuple):
    """What it offers for a transaction, wei per gas."""

    tip: int
    cap: int
    blob_cap: int


class Posting(Part, room="posting"):
    """A policy of posting batches."""

    looks: ClassVar[bool] = True
    """Whether it goes by L1's fees."""
    instead: ClassVar[Mapping[str, str]] = {}
    """Fields of the poster that it does not read, and its own field that says such a thing; to set one of them is a mistake."""

    def allows(self, tip: int) -> None:
        """Whether it may offer what its poster is set to offer first, wei per gas.

        Raises:
            PydanticCustomError: it never does, with the reason.
        """
        return

    def prepare(self, terms: Terms) -> Any:
        """What it works out once, at the start, and is handed again as ``plan``."""
        return None

    def ripe(self, terms: Terms, plan: Any) -> tuple[int, int]:
        """Unsent bytes, and age of the oldest block (ns), below both of which it never posts."""
        return terms.full, terms.max_delay

    def posts(self, look: Look, terms: Terms, plan: Any) -> bool:
        """Whether it posts now."""
        return look.unsent >= terms.full or look.now - look.oldest >= terms.max_delay

    def most(self, look: Look, terms: Terms) -> int:
        """Most bytes of blocks that it puts into one batch."""
        return terms.full

    def pieces(self, size: int, look: Look, terms: Terms) -> list[int]:
        """Bytes in each L1 transaction that carries a batch of so many bytes of blocks: one, unless a block is more than a full batch."""
        return [min(terms.full, size - start) for start in range(0, max(size, 1), terms.full)]

    def carries(self, blobs: int) -> int:
        """Blobs of its largest transaction, where so many make a batch full."""
        return blobs

    def offer(self, look: Look, terms: Terms, last: Offer | None) -> Offer:
        """What it offers; ``last`` is the offer that was not taken."""
        patience = (1.0 + max(0, look.now - look.oldest) / terms.urgency) ** 2
        tip = terms.tip if last is None else 2 * last.tip
        return Offer(tip, int(terms.target_fee * patience), int(terms.target_blob_fee * patience))

    def patience(self, attempt: int, look: Look, terms: Terms, stands: bool) -> int:
        """How long it waits after its offer number ``attempt`` (from 0) before it makes another (ns); whether the last one ``stands``."""
        return terms.bump

    def lasts(self, terms: Terms) -> int | None:
        """L1 blocks within which all pieces of a batch must be included, or it counts for nothing; None where there is no such rule."""
        return None
