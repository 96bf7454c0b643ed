"""Which of two branches honest validators follow, by the weight of votes; weights in any unit of stake, all in integers.

Sources: ethereum/consensus-specs, specs/phase0/fork-choice.md (``get_proposer_head``, ``get_proposer_score``), read 2026-08-07;
the ex-ante reorganisation: Schwarz-Schilling, Neu, Monnot, Asgaonkar, Tas, Tse 2022, "Three attacks on proof-of-stake Ethereum".
"""

from typing import NamedTuple

BOOST = 40
"""Weight of a timely proposal, per cent of a slot's committee."""
WEAK_HEAD = 20
"""A head with less than this, per cent of a committee, may be left out by the next proposer."""
STRONG_PARENT = 160
"""Where its parent has more than this."""
FINALITY_AT_MOST = 2
"""Epochs since the last finalized one up to which proposers leave late heads out."""


class Late(NamedTuple):
    """A head that arrived late, as the proposer of the next slot sees it."""

    slot: int
    """Its slot."""
    parent: int
    """The slot of the block before it."""
    head_weight: int
    """Votes for it."""
    parent_weight: int
    """Votes for its parent or what follows it."""
    committee: int
    """Stake of a slot's committee, whether it votes or not."""


def left_out(late: Late, proposer: int, slots_per_epoch: int, epochs_since_finality: int) -> bool:
    """Whether an honest proposer at a slot builds on the parent of a late head instead of the head.

    The head is of the slot before, and its parent of the slot before that; the slot begins no epoch; finality is recent;
    the head is weak and its parent strong.
    """
    return (
        late.parent + 1 == late.slot
        and late.slot + 1 == proposer
        and proposer % slots_per_epoch != 0
        and epochs_since_finality <= FINALITY_AT_MOST
        and late.head_weight * 100 < late.committee * WEAK_HEAD
        and late.parent_weight * 100 > late.committee * STRONG_PARENT
    )


def overtakes(withheld: int, depth: int, own: int, honest: int, committee: int) -> bool:
    """Whether blocks withheld in consecutive slots undo the honest blocks that follow, when they are released at the last of these.

    While they are withheld, the honest vote for what came before, which counts for neither branch. Each honest block then
    gathers its committee's votes, but for the last, whose committee has not voted and which has the proposer's boost.

    Args:
        withheld: consecutive slots whose blocks were withheld.
        depth: honest blocks since.
        own: stake of the withholder in a slot's committee.
        honest: stake of the others in it that vote.
        committee: stake of the committee.
    """
    private = (withheld + depth - 1) * own
    public = (depth - 1) * honest
    return (private - public) * 100 > committee * BOOST


def slots_needed(depth: int, own: int, honest: int, committee: int, most: int = 32) -> int | None:
    """The fewest consecutive slots with which so many honest blocks can be undone; None where an epoch's are not enough."""
    return next((k for k in range(1, most + 1) if overtakes(k, depth, own, honest, committee)), None)
