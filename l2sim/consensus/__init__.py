"""Consensus: who proposes L1's blocks, and which of its checkpoints are safe and final. The verb is ``close(state, epoch)``.

A state is immutable, because L1 works slots out ahead and may have to forget them; a kind says what is in it. Stake is in gwei.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from l2sim.part import Part


class Ended(NamedTuple):
    """An epoch that has just ended."""

    number: int
    slots: int
    """Slots of an epoch."""
    height: int
    """The slot of the last block, of this epoch or an earlier one."""
    luck: float
    """The epoch's own luck, uniform on [0, 1)."""


class Tally(NamedTuple):
    """The votes of an epoch, as they were counted at its end."""

    votes: int
    """Stake that voted for its checkpoint, as far as a block of the epoch included the vote (gwei)."""
    late: int
    """Stake that voted for the checkpoint before, counted again with what was included since (gwei)."""
    total: int
    """All active stake (gwei)."""
    leak: bool
    """Whether the absent were penalised for a loss of finality."""
    justified: bool
    """Whether these votes justify the epoch's checkpoint."""
    late_justified: bool
    """Whether the late ones justify the checkpoint before."""


class Turn(NamedTuple):
    """Whose turn a slot is."""

    group: str
    made: bool
    """Whether the block is made."""
    late: bool
    """Whether it arrives after the deadline for votes."""


class Standing(NamedTuple):
    """What there is of a group's validators now; stake in gwei."""

    group: str
    balance: int
    lost: int
    """What they had at the start, less that."""
    effective: int
    score: int
    """The highest inactivity score of any of them."""
    active: bool
    """Whether any of them has not left."""


class Closed(NamedTuple):
    """What the end of an epoch led to."""

    state: Any
    justified: int | None = None
    """The epoch whose checkpoint is justified since, the youngest if there are two; None where none is."""
    finalized: int | None = None
    """The epoch whose checkpoint is finalized since."""
    tally: Tally | None = None
    """None where votes are not counted."""


class Consensus(Part, room="consensus"):
    """How validators agree."""

    def genesis(self) -> Any:
        """The state when the run begins: all epochs before it were justified."""
        return ()

    @abstractmethod
    def close(self, state: Any, ended: Ended) -> Closed:
        """Count the votes of an epoch that ended."""

    def turn(self, state: Any, slot: int, luck: Callable[[str], float]) -> Turn | None:
        """Whose turn a slot is; None where it is nobody's in particular. Luck is uniform on [0, 1), by purpose."""
        return None

    def standings(self, state: Any) -> list[Standing]:
        """What there is of each group's validators."""
        return []

    def leaves_out(self, state: Any, late: int, parent: int, slot: int, slots_per_epoch: int) -> bool:
        """Whether the proposer of a slot builds on the parent of a head that arrived late, instead of on the head."""
        return False

    def undoes(self) -> bool:
        """Whether honest proposers may undo a block."""
        return False
