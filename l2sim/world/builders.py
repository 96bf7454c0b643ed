"""Builders and relays: who makes the blocks of an L1, whom they leave out, and the mempool that they take from.

A proposer sells its block to a builder, through a relay, or builds it locally (proposer-builder separation as practised with
MEV-Boost, flashbots/mev-boost-relay, read 2026). A builder, or a relay that refuses what does not suit it, may leave out those
whom a sanctions list names; whoever is left out waits for a block by somebody else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from pydantic_core import PydanticCustomError

from l2sim.data_fees import NO_CHARGE, Charge
from l2sim.ordering import Ordering
from l2sim.part import Part, Refers
from l2sim.transactions import Rows, Status
from l2sim.units import Fraction, Share
from l2sim.world.inbox import NO_ROWS, Cut, Inbox
from l2sim.world.ledger import Ledger

if TYPE_CHECKING:
    from l2sim.world.l1 import L1

Censored = Annotated[str, Refers("agents|attacks|chains", also=("batches", "calls"))]
"""Whom a builder leaves out: an agent or attack by its name, a rollup (whatever those send whom it appointed), or a kind of transaction."""


class Maker(Part):
    """Who stands between the transactions and the proposer: a builder, or a relay."""

    share: Annotated[Fraction, Share]
    """Share of blocks; what all together leave to others is built by the proposers themselves, without a relay."""
    censors: tuple[Censored, ...] = ()
    """Agents, attacks and rollups whose transactions it leaves out, or ``batches`` and ``calls`` for those kinds of transaction."""


def agreed(makers: Mapping[str, Maker], noun: str) -> None:
    """See that shares are no more than everything.

    Raises:
        PydanticCustomError: they are.
    """
    total = sum(maker.share for maker in makers.values())
    if total > 1.0 + 1e-9:
        known = {"noun": noun, "total": f"{100 * total:.6g}"}
        raise PydanticCustomError("shares", "the shares of the {noun} add up to {total} %: make that 100 % or less", known)


class Made(NamedTuple):
    """Who made a block, and whom that leaves out."""

    builder: str
    relay: str
    groups: frozenset[str]
    kinds: frozenset[str]


class Auction:
    """Which builder and which relay a slot's block comes from: drawn by share, each slot on its own."""

    def __init__(self, name: str, rules: "L1", uniform: Callable[[str, int], float], ledger: Ledger) -> None:
        self.name = name
        self.rules = rules
        self._uniform = uniform
        self._ledger = ledger
        self._accounts: dict[frozenset[str], Sequence[range]] = {}

    def made(self, slot: int) -> Made:
        """Who makes the block of a slot."""
        builder = self._drawn("builders", self.rules.builders, slot)
        relay = self._drawn("relays", self.rules.relays, slot) if builder != self.name else self.name
        censored = {*self._censored(self.rules.builders, builder), *self._censored(self.rules.relays, relay)}
        kinds = censored & {"batches", "calls"}
        return Made(builder, relay, frozenset(censored - kinds), frozenset(kinds))

    def accounts(self, made: Made) -> Sequence[range]:
        """The accounts that a block's makers leave out."""
        if made.groups not in self._accounts:
            self._accounts[made.groups] = [
                group.accounts for name, group in self._ledger.groups.items() if made.groups & {name, name.split(".")[0]}
            ]
        return self._accounts[made.groups]

    def _drawn(self, purpose: str, makers: Mapping[str, Maker], slot: int) -> str:
        left = self._uniform(purpose, slot) if makers else 1.0
        for name, maker in makers.items():
            left -= maker.share
            if left < 0.0:
                return name
        return self.name

    @staticmethod
    def _censored(makers: Mapping[str, Maker], name: str) -> Sequence[str]:
        return makers[name].censors if name in makers else ()


class Mempool(Inbox):
    """An L1's mempool, of which the makers of a block may leave out senders."""

    def __init__(self, arrays: bool, tell: Callable[[Rows, int], None]) -> None:
        super().__init__(arrays)
        self.censored: Sequence[range] = ()
        """Accounts that the next block leaves out."""
        self.left_out = 0
        """Rows that the last block left out for that."""
        self.tell = tell
        """Whom to tell of a row that is left out for the first time."""
        self._told: set[tuple[int, int, int]] = set()
        """Sender, submission and tie key of those that it told of."""

    def select(
        self,
        now: int,
        base_fee: int,
        gas_limit: int,
        ordering: Ordering,
        luck: Callable[[], np.random.Generator],
        charge: Charge = NO_CHARGE,
    ) -> tuple[Cut, list[tuple[int, Status]], Rows | None]:
        self.left_out = 0
        censored = list(self._censored()) if self.censored else []
        if not censored:
            return super().select(now, base_fee, gas_limit, ordering, luck, charge)
        reasons, dropped = self.expire(now, base_fee)
        rows, start, stop, _ = self.waiting
        barred = list(self._censored())
        self.left_out = len(barred)
        for i in barred:
            which = rows.sender[i], rows.submitted[i], rows.tie[i]
            if which not in self._told:
                self._told.add(which)
                self.tell(rows, i)
        kept = rows.take(barred)
        free = set(range(start, stop)) - set(barred)
        open_rows = rows.take(sorted(free))
        self.waiting = Cut.whole(open_rows) if open_rows.number else NO_ROWS
        taken, _, _ = super().select(now, base_fee, gas_limit, ordering, luck, charge)
        kept.extend(self.waiting.rows.slice(self.waiting.start, self.waiting.stop))
        self.waiting = Cut.whole(kept.sorted()) if kept.number else NO_ROWS
        return taken, reasons, dropped

    def _censored(self) -> Iterator[int]:
        """The positions in ``waiting.rows`` of those whom the next block leaves out."""
        rows, start, stop, _ = self.waiting
        return (i for i in range(start, stop) if any(rows.sender[i] in accounts for accounts in self.censored))
