"""Reorganisation: L1 undoes its latest blocks, and what rollups had posted there is on its way again."""

from typing import TYPE_CHECKING, Any

from simpy.events import Event

from l2sim.events import ChainReorganized
from l2sim.transactions import ANY_FEE, Rows
from l2sim.world.batches import Batch, Piece
from l2sim.world.rollup import LiveRollup

if TYPE_CHECKING:
    from l2sim.world.l1 import LiveL1


def reorganize(l1: "LiveL1", slots: int) -> None:
    """Undo the blocks of the latest slots, but none that is justified: what was in them, batches too, is pending again.

    A batch goes in again at whatever fee it takes: its poster would outbid itself until it does.

    Raises:
        TypeError: its blocks are kept nowhere, or they hold assertions, and what followed from these could not be undone.
    """
    if l1.history is None:
        raise TypeError(f"the blocks of '{l1.name}' cannot be undone")
    rollups = [chain for chain in l1.world.chains.values() if isinstance(chain, LiveRollup) and chain.l1 is l1]
    for rollup in rollups:
        if rollup.rules.settlement is not None and rollup.assertions.cases:
            raise TypeError(f"the blocks of '{l1.name}' cannot be undone: they hold assertions about '{rollup.name}'")
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
    # The fees are those before the first block undone; slots and votes go on.
    l1.after = before._replace(slot=last, votes=voted.votes)
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
    again: dict[Any, tuple[LiveRollup, Batch, list[Event]]] = {}
    while l1.taken and l1.taken[-1][0] > until:
        _, transaction = l1.taken.pop()
        included = Event(l1.world.clock)
        l1.blob_transactions.append(transaction._replace(included=included, cap=ANY_FEE, blob_cap=ANY_FEE))
        for rollup, batch in batches:
            poster = l1.world.ledger.groups[f"{rollup.name}.batch_poster"].accounts
            if transaction.account in poster and any(transaction.submitted == piece.submitted for piece in batch.pieces):
                again.setdefault((rollup.name, batch.blocks), (rollup, batch, []))[2].append(included)
    for rollup, batch, pieces in again.values():
        _posts_again(pieces, rollup, batch, until)
    l1.world.record(ChainReorganized(l1.name, made[0], last, rows.number, 0))


def _posts_again(events: list[Event], rollup: LiveRollup, batch: Batch, until: int) -> None:
    """Once L1 has all of a batch again, of which what it had by slot ``until`` stayed, the rollup's safe head moves again."""
    pieces = [piece for piece in batch.pieces if piece.slot <= until]
    whole = len(pieces) + len(events)

    def posted(event: Event) -> None:
        told: Any = event.value
        slot, cost, submitted = told
        pieces.append(Piece(submitted, slot, cost))
        if len(pieces) == whole:
            cost = sum(piece.cost for piece in pieces)
            rollup.batches.posted(batch.blocks, batch.blobs, submitted, slot, cost, tuple(pieces))

    for event in events:
        assert event.callbacks is not None  # noqa: S101
        event.callbacks.append(posted)
