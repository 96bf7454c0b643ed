"""Wait for cheap blobs, but not for ever."""

from typing import Annotated

from l2sim.posting import Look, Posting, Terms
from l2sim.units import GWEI, HOUR, Duration, Positive, Wei


class BlobPriceThreshold(Posting):
    """A batch that is full or old goes when the blob base fee is at most a threshold, or when its oldest block is as old as it may get."""

    threshold: Wei = 20 * GWEI
    """Blob base fee up to which it posts, wei per blob gas (assumed)."""
    max_age: Annotated[Duration, Positive] = 4 * HOUR
    """Age of the oldest block at which it posts at any fee (assumed)."""

    def posts(self, look: Look, terms: Terms, plan: None) -> bool:
        return super().posts(look, terms, plan) and (look.blob_fee <= self.threshold or look.now - look.oldest >= self.max_age)
