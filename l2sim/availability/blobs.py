"""Data in blobs on L1."""

from l2sim.availability import Availability, Carried


class Blobs(Availability):
    """Batches carry their data in blobs. Who has an L1 node has the data; that blobs are deleted after 18 days is not modelled."""

    def carried(self, size: int, blob_bytes: int) -> Carried:
        return Carried(max(1, -(-size // blob_bytes)), 0)
