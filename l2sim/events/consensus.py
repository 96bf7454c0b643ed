"""What the validators of an L1 did and what became of them."""

from typing import NamedTuple


class VotesCounted(NamedTuple):
    """An epoch ended: stake that voted for its checkpoint in time and, counted again, for the one before; all active stake (ETH).

    ``leak`` is 1 while the absent are penalised for a loss of finality. ``justified`` is 1 if the first count justifies this epoch's
    checkpoint, ``late_justified`` if the second justifies the one before; either may be where the head moves once for both.
    """

    chain: str
    epoch: int
    votes: float
    late: float
    total: float
    leak: int
    justified: int
    late_justified: int


class StakeChanged(NamedTuple):
    """The balances of a group's validators changed: their sum, what they lost since the start, what counts as stake (ETH).

    ``score`` is the highest inactivity score of any of them, ``active`` is 1 until they have all left.
    """

    chain: str
    group: str
    epoch: int
    balance: float
    lost: float
    effective: float
    score: int
    active: int


class ValidatorsSlashed(NamedTuple):
    """A group of validators was slashed: how many, what they had at stake and what they lost at once (ETH)."""

    chain: str
    group: str
    validators: int
    stake: float
    penalty: float


class ValidatorsLeft(NamedTuple):
    """A group of validators went offline, or came back (``back`` is 1), from a slot on."""

    chain: str
    group: str
    slot: int
    back: int


class BlocksWithheld(NamedTuple):
    """A group kept back the blocks of consecutive slots, from ``first`` to ``last``, to undo those that followed."""

    chain: str
    group: str
    first: int
    last: int


class ProposerDrawn(NamedTuple):
    """Whose turn a slot was: a group, and whether its block was there in time (1), late (2) or never (0)."""

    chain: str
    slot: int
    group: str
    made: int

    optional = True  # type: ignore[misc]  # of the class, not a field, which type checkers take it for
