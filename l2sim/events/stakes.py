"""What happens to stakes behind rival assertions, and to the edges of a challenge between them; money in ETH."""

from typing import NamedTuple


class StakePosted(NamedTuple):
    """Somebody staked ether on an assertion (``purpose`` is ``assertion``) or on an edge of a challenge (``edge``)."""

    chain: str
    number: int
    account: int
    purpose: str
    amount: float


class StakeReturned(NamedTuple):
    """A stake went back to its owner."""

    chain: str
    number: int
    account: int
    purpose: str
    amount: float


class StakeForfeited(NamedTuple):
    """A stake was lost, because what it stood for was; ``account`` is who had staked it."""

    chain: str
    number: int
    account: int
    purpose: str
    amount: float


class DefenderPaid(NamedTuple):
    """Whoever moved for the assertion that won got the gas of those moves back, and a reward, out of forfeited stakes."""

    chain: str
    number: int
    account: int
    refund: float
    reward: float


class EdgeTurned(NamedTuple):
    """An edge of a challenge came to be, or its state changed: ``state`` is the one that it has now.

    ``number`` is the assertion under which the challenge is, ``edge`` counts the edges of the rollup; ``low`` and ``high`` are
    heights within the edge's level. ``mover`` is the account that moved it (-1: nobody, a rival did).
    """

    chain: str
    number: int
    edge: int
    level: int
    low: int
    high: int
    state: str
    mover: int


class MatchMade(NamedTuple):
    """Two who hold different things were set against each other, one against one."""

    chain: str
    number: int
    first: int
    second: int
    round: int


class MatchEnded(NamedTuple):
    """One of the two has lost; numbers are those of their assertions."""

    chain: str
    number: int
    winner: int
    loser: int
    moves: int
