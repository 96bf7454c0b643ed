"""Reorganisation: L1 undoes its latest blocks, and what rollups had posted there is on its way again."""

from typing import TYPE_CHECKING, Any

from simpy.events import Event

from l2sim.events import ChainReorganized
from l2sim.transactions import ANY_FEE, Rows
from l2sim.world.batches import Batch, Piece
from l2sim.world.mail import BlobTransaction
from l2sim.world.rollup import LiveRollup

if TYPE_CHECKING:
    from l2sim.world.l1 import LiveL1


def reorganize(l1: "LiveL1", slots: int) -> None:
    """Undo the blocks of the latest slots, but none that is justified: what was in them, batches too, is pending again.

    A batch goes in again at whatever fee it takes: its poster would outbid itself until it does.

    Raises:
        TypeError: its blocks are kept nowhere; or they hold assertions or the stop of a rollup, and what followed from these could
            not be undone.
    """
    if l1.history is None:
        raise TypeError(f"the blocks of '{l1.name}' cannot be undone")
    rollups = [chain for chain in l1.world.chains.values() if isinstance(chain, LiveRollup) and chain.l1 is l1]
    for rollup in rollups:
        if rollup.rules.settlement is not None and rollup.assertions.cases:
            raise TypeError(f"the blocks of '{l1.name}' cannot be undone: they hold assertions about '{rollup.name}'")
        if rollup.frozen:
            raise TypeError(f"the blocks of '{l1.name}' cannot be undone: they hold the stop of '{rollup.name}', and what left it since")
    l1.catch_up()
    last, until = l1.after.slot, max(l1.after.slot - slots, l1.safe)
    made = [slot for slot in l1.before if slot > until]
    if not made:
        return
    undone = l1.history.undo(until)
    l1.unhear()
    voted = l1.after
    before = l1.before[made[0]]
    for slot in made:
        del l1.before[slot]
    # The fees are those before the first block undone, by the fork of the slot that follows; slots and votes go on.
    l1.after = l1.market.undone(before, last)._replace(votes=voted.votes)
    l1.forgets(until)
    rows = Rows.none()
    for record in undone:
        rows.extend(record.block.rows.slice(record.block.start, record.block.stop))
    if rows.number:
        l1.inbox.put_back(rows)
    for rollup in rollups:
        if rollup.forced is not None:
            rollup.forced.unsent(until)
        for bridge in rollup.bridges.values():
            bridge.undo(until)
    batches = [(rollup, batch) for rollup in rollups for batch in rollup.batches.unsettle(until)]
    # In one transaction or several, some of which may stay, and be undone later on.
    carriers = [[one.included for _, one in l1.taken if _carries(l1, one, *those)] for those in batches]
    while l1.taken and l1.taken[-1][0] > until:
        _, transaction = l1.taken.pop()
        included = Event(l1.world.clock)
        l1.again[transaction.included] = included
        l1.blob_transactions.append(transaction._replace(included=included, cap=ANY_FEE, blob_cap=ANY_FEE))
    for events, (rollup, batch) in zip(carriers, batches, strict=True):
        final = [piece for piece in batch.pieces if piece.slot <= l1.finalized]
        _posts_again(events, final, rollup, batch)
    l1.world.record(ChainReorganized(l1.name, made[0], last, rows.number, 0))


def _carries(l1: "LiveL1", transaction: BlobTransaction, rollup: LiveRollup, batch: Batch) -> bool:
    """Whether a transaction of L1 carries a batch or a part of it."""
    poster = l1.world.ledger.groups[f"{rollup.name}.batch_poster"].accounts
    return transaction.account in poster and any(transaction.submitted == piece.submitted for piece in batch.pieces)


def latest(l1: "LiveL1", included: Event) -> Event:
    """What tells that L1 has a transaction: the same event, or another where the block that had it was undone since."""
    while included in l1.again:
        included = l1.again[included]
    return included


def _posts_again(events: list[Event], final: list[Piece], rollup: LiveRollup, batch: Batch) -> None:
    """Once L1 has all of a batch again, the rollup's safe head moves again.

    Args:
        events: what told of each of its pieces that can be undone.
        final: the others.
        rollup: whose batch it is.
        batch: what was undone.
    """
    l1: Any = rollup.l1

    def heard(_: Event | None) -> None:
        for number, before in enumerate(events):
            events[number] = now = latest(l1, before)
            if now is not before and now.callbacks is not None:
                now.callbacks.append(heard)
        if all(one.processed for one in events):
            told: list[Any] = [one.value for one in events]
            pieces = (*final, *(Piece(submitted, slot, cost) for slot, cost, submitted in told))
            slot, cost = max(piece.slot for piece in pieces), sum(piece.cost for piece in pieces)
            rollup.batches.posted(batch.blocks, batch.blobs, batch.submitted, slot, cost, pieces)

    heard(None)
