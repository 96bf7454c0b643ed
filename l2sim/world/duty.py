"""Duty: what a rollup lets those that it appointed, its sequencer, its batch poster and its settlement, see and do."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simpy.events import Event

from l2sim.world.censorship import impose

if TYPE_CHECKING:
    from l2sim.availability import Availability
    from l2sim.world.assertions import Assertions
    from l2sim.world.rollup import LiveRollup


class Duty:
    """The rollup as those see it who run it; it leads to nothing that they could not know."""

    __slots__ = ("_chain",)

    def __init__(self, chain: "LiveRollup") -> None:
        self._chain = chain

    @property
    def name(self) -> str:
        """The chain's name."""
        return self._chain.name

    @property
    def settles_on(self) -> str | None:
        """The name of the L1 that it posts its batches to."""
        return self._chain.rules.settles_on

    # ---- the sequencer's

    @property
    def halted(self) -> bool:
        """Whether it makes no blocks."""
        return self._chain.halted

    def instants(self) -> list[int] | range:
        """The times of its blocks (ns), as the sequencer plans them."""
        return self._chain.instants()

    def resumed(self) -> Event:
        """When it makes blocks again."""
        return self._chain.resumed()

    def seal(self, first: int) -> int:
        """Make the block due at ``instants()[first]``, which is now, and those after it that nobody can tell from now; how many."""
        return self._chain.seal(first)

    def censor(self, groups: Sequence[str]) -> None:
        """Leave out the transactions of some agents from now on, whatever else is left out."""
        accounts = [self._chain.world.ledger.groups[name].accounts for name in groups]
        self._chain.leaves_out = lambda sender, market, action: any(sender in own for own in accounts)
        impose(self._chain, None)

    # ---- the batch poster's

    def oldest(self) -> int | None:
        """Time (ns) of the oldest block that is in no batch; None where there is none."""
        return self._chain.batches.oldest()

    def ripe(self, most: int, age: int) -> Event:
        """When unsent blocks are ``most`` bytes together, or the oldest of them is that old (ns)."""
        return self._chain.batches.ripe(most, age)

    def unsent_bytes(self) -> int:
        """Bytes of the blocks that are in no batch."""
        return self._chain.batches.unsent

    def batch(self, most: int) -> tuple[int, int, int]:
        """Take blocks for a batch of at most ``most`` bytes (at least one block): first, last, bytes."""
        return self._chain.batches.take(most)

    def posted(
        self, batch: tuple[int, int, int], blobs: int, submitted: int, slot: int, cost: float, pieces: Sequence[tuple[int, int, float]] = ()
    ) -> None:  # fmt: skip
        """L1 included a batch: the safe head moves, the backlog shrinks. ``pieces``: submitted, slot, cost of each transaction."""
        self._chain.batches.posted(batch, blobs, submitted, slot, cost, pieces)

    @property
    def availability(self) -> "Availability":
        """Where the rollup's data are."""
        return self._chain.rules.availability

    @property
    def withholds(self) -> bool:
        """Whether the operator posts nothing, as an attack."""
        return self._chain.publication.holds_batches

    def pay_committee(self, account: int, wei: int) -> None:
        """Pay those who keep data off chain, on L1."""
        self._chain.publication.pay(account, wei)

    # ---- the settlement's

    @property
    def assertions(self) -> "Assertions | None":
        """What L1 keeps of the claims about the rollup; None where nothing decides about them."""
        return None if self._chain.rules.settlement is None else self._chain.assertions
