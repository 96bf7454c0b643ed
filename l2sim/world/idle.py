"""Idle blocks of a rollup: made without being looked at one by one, because nobody sends anything and nobody waits for them.

What they leave behind is what they would leave one by one: their numbers, the fee's state, and their overhead in the next batch.
"""

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from l2sim.world.rollup import LiveRollup


def able(chain: "LiveRollup") -> bool:
    """Whether nothing on a rollup changes by the mere passing of blocks."""
    rule = chain.charging.rule
    return not (chain.books or chain.history is not None or chain.service is not None or rule.every or rule.learns)


def idle(chain: "LiveRollup", first: int, instants: "list[int] | range") -> int:
    """Make the blocks from ``instants[first]`` on, which is now, as long as nothing happens in the world: how many, perhaps 0."""
    if chain.watched() or chain.payments or chain.censor is not None or chain.publication.withholding:
        return 0
    if chain.forced is not None and chain.forced.busy():
        return 0
    until = min(chain.world.clock.stirs(), chain.inbox.earliest())
    if (ripe := chain.batches.comes_of_age(instants[first])) is not None:
        until = min(until, ripe)
    n = bisect_left(instants, until, first) - first
    if (room := chain.batches.blocks_until_ripe()) is not None:
        n = min(n, room)
    if n < 2:
        return 0
    for k in range(n):
        with chain.world.clock.at(instants[first + k]):
            after = chain.next_fee(chain.fee_state, 0)
        if after is chain.fee_state:
            break
        chain.fee_state = after
    chain.batches.add_idle(instants[first : first + n])
    chain.height += n
    chain.last_block = instants[first + n - 1]
    return n
