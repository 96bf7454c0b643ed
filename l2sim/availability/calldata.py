"""Data in calldata on L1."""

from l2sim.availability import Availability, Carried


class Calldata(Availability):
    """Batches carry their data in the calldata of an L1 transaction, which competes for execution gas."""

    def carried(self, size: int, blob_bytes: int) -> Carried:
        return Carried(0, size)
