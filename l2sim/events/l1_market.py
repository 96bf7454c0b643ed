"""Facts of L1's market for blocks: who built them, what was left out, and what was bought on purpose."""

from typing import NamedTuple


class BlockBuilt(NamedTuple):
    """A block of an L1 that has builders was made."""

    chain: str
    number: int
    builder: str
    """Who built it; the chain's own name where its proposer did."""
    relay: str
    """Through whom the proposer got it; the chain's own name where nobody stood between."""
    left_out: int
    """Transactions that were ready for it and that builder or relay censored."""


class SpaceBought(NamedTuple):
    """Somebody bought gas and blobs of a block on purpose, to fill it."""

    chain: str
    number: int
    """Of the block."""
    account: int
    gas: int
    blobs: int
    spent: float
    """For base fee, blob fee and tip, ETH."""

    optional = True  # type: ignore[misc]  # of the class, not a field, which type checkers take it for
