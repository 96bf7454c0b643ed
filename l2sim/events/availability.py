"""Facts about a rollup's data."""

from typing import NamedTuple


class DataWithheld(NamedTuple):
    """A batch is on L1 as a commitment, and who has its data keeps them; from the first to the last of its blocks."""

    chain: str
    first: int
    last: int
    l1_block: int


class CommitteePaid(NamedTuple):
    """Who posts a rollup's batches paid the committee that keeps their data; cost in ETH."""

    chain: str
    account: int
    cost: float


class WithholdingBegan(NamedTuple):
    """A rollup's operator stopped giving out data; ``last`` is the last block that others know, ``hidden`` 1 where it goes on unseen."""

    chain: str
    last: int
    hidden: int


class DataReleased(NamedTuple):
    """Everybody can have a rollup's data again, up to its block ``last``; ``batches`` had been withheld."""

    chain: str
    last: int
    batches: int


class ChannelTimedOut(NamedTuple):
    """The pieces of a batch were included too far apart on L1, so that they count for nothing and are sent again; cost in ETH."""

    chain: str
    first: int
    last: int
    blocks: int
    cost: float
