"""Facts about dispute games and their guardian."""

from typing import NamedTuple


class ClaimMade(NamedTuple):
    """Somebody made a claim in a game over an assertion: against claim ``parent`` (-1: the assertion itself), at a depth.

    ``attack`` is 0 where it agrees with that claim and disputes what comes after it. ``state`` is a part of the digest claimed,
    ``clock`` the time that its side had used up by then (ns); bond and cost (gas) in ETH.
    """

    chain: str
    number: int
    claim: int
    parent: int
    depth: int
    attack: int
    account: int
    state: int
    clock: int
    bond: float
    cost: float


class ClaimStepped(NamedTuple):
    """L1 executed the one instruction below a claim at the greatest depth and found it wrong; gas in ETH."""

    chain: str
    number: int
    claim: int
    account: int
    cost: float


class MoveRefused(NamedTuple):
    """A move in a dispute reverted, for a reason; it cost gas (ETH) all the same.

    ``parent`` is the claim that it would have answered in a game; -1 where there are no claims.
    """

    chain: str
    number: int
    parent: int
    account: int
    reason: str
    cost: float


class ClaimResolved(NamedTuple):
    """A claim's clocks are out: whether it was countered, and whose its bond (ETH) is now."""

    chain: str
    number: int
    claim: int
    countered: int
    account: int
    recipient: int
    bond: float


class GameResolved(NamedTuple):
    """All clocks of a game are out: whether the assertion stands, after how many claims."""

    chain: str
    number: int
    stands: int
    claims: int


class GameInvalidated(NamedTuple):
    """The guardian took an assertion out, whatever its game says: all its bonds belong to who put them down, what was won in it too."""

    chain: str
    number: int


class BondsPaid(NamedTuple):
    """What a game's bonds left somebody, paid out (ETH)."""

    chain: str
    number: int
    account: int
    amount: float


class GuardianActed(NamedTuple):
    """A rollup's guardian did something on L1 about an assertion (-1: about none); ``done`` is 0 where that changed nothing. Gas in ETH."""

    chain: str
    act: str
    number: int
    account: int
    cost: float
    done: int
