"""Facts about transactions that a sequencer or a builder leaves out, and about those that reach a rollup through its L1."""

from typing import NamedTuple


class TransactionCensored(NamedTuple):
    """A sequencer, or who made a block of L1, left a transaction out of it on purpose; told once, whenever it had been submitted."""

    chain: str
    submitted: int
    sender: int
    market: str
    action: str


class MessageQueued(NamedTuple):
    """L1 took a transaction for a rollup into its queue, as ``number`` of that rollup.

    ``cost`` is the gas and the fee that it took, of which the rollup gets the ``fee``; in ETH.
    """

    chain: str
    number: int
    submitted: int
    sender: int
    market: str
    action: str
    l1_block: int
    cost: float
    fee: float


class MessageRefused(NamedTuple):
    """L1 did not take a transaction for a rollup into its queue, because its sender could not pay the fee; the gas, in ETH."""

    chain: str
    sender: int
    market: str
    action: str
    cost: float


class MessageForced(NamedTuple):
    """Somebody called the contract that forces messages up to ``number``; in vain (0) where it was not due; the gas, in ETH."""

    chain: str
    number: int
    sender: int
    l1_block: int
    accepted: int
    cost: float


class MessageIncluded(NamedTuple):
    """A rollup's block has a message from its queue, ``how``: 'usual' by the sequencer, 'forced' by the rule, 'derived' without it."""

    chain: str
    number: int
    block: int
    submitted: int
    sender: int
    l1_block: int
    how: str


class RollupFrozen(NamedTuple):
    """Somebody stopped a rollup for good: L1 had seen nothing of it, or of a request, for too long; ``block`` is its last final one."""

    chain: str
    sender: int
    block: int


class FundsEscaped(NamedTuple):
    """A bridge paid out on L1 what the last final state of a frozen rollup says is somebody's; ``cost`` of the gas, in ETH."""

    market: str
    account: int
    block: int
    amount: float
    held: float
    cost: float
