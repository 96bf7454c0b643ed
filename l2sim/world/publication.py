"""Publication: whether others than the operator can have a rollup's data, and what becomes of its heads where they cannot."""

from typing import TYPE_CHECKING, NamedTuple

from simpy.events import Event

from l2sim.availability import Availability
from l2sim.events import HeadAdvanced
from l2sim.events.availability import CommitteePaid, DataReleased, DataWithheld, WithholdingBegan
from l2sim.units import ETH
from l2sim.world.assertions import Bell
from l2sim.world.ledger import GAS_TOKEN

if TYPE_CHECKING:
    from l2sim.world.rollup import LiveRollup


class Withheld(NamedTuple):
    """A batch on L1 whose data nobody gets."""

    last: int
    slot: int


class Publication:
    """Who can know the state of one rollup.

    In ordinary times everybody follows the sequencer's feed. An operator that withholds data can do so for what it posts where they are
    off chain and enough members of the committee collude: its blocks go on unseen, without anybody's transactions, and L1 gets
    commitments. Elsewhere it can only fall silent: no blocks, no batches, until it comes back or others take over from the data on L1.
    """

    def __init__(self, chain: "LiveRollup", rules: Availability) -> None:
        self.chain = chain
        self.rules = rules
        self.world = chain.world
        self.withholding = False
        self.hidden = False
        """Whether blocks go on unseen, and batches are commitments only."""
        self.serves = True
        """Whether the operator takes users' transactions, and tells them what became of them."""
        self.back = Bell(chain.world.clock)
        """Rings when the data are there again."""
        self._known = 0
        """The last block that others know."""
        self._known_at = 0
        """Its time (ns)."""
        self._withheld: list[Withheld] = []
        self._episode = 0
        ledger = chain.world.ledger
        self._account = ledger.open(f"{chain.name}.committee", "committee", "chains").start if rules.asked() else None

    # ---- what others can know

    @property
    def closed(self) -> bool:
        """Whether blocks are made without anybody's transactions."""
        return self.hidden and not self.serves

    @property
    def holds_batches(self) -> bool:
        """Whether the operator posts nothing."""
        return self.withholding and not self.hidden

    def knows(self, block: int) -> bool:
        """Whether others can compute the state after a block, and prove what is in it."""
        return not self.hidden or block <= self._known

    def until(self) -> int:
        """Time of the last block that others know of (ns)."""
        return self._known_at if self.withholding and not self.serves else self.chain.last_block

    def posted(self) -> int:
        """The last block in a batch that L1 has, whether or not its data are to be had."""
        return max(self.chain.safe, *(batch.last for batch in self._withheld), 0)

    # ---- what the operator does

    def withhold(self, members: int, serves: bool) -> None:
        """Give out no data any more, with so many members of the committee; ``serves`` users, who take its word for the state, or not."""
        chain = self.chain
        if self.withholding:
            return
        self._known, self._known_at = chain.height, chain.last_block
        self.withholding, self.hidden, self.serves = True, self.rules.withheld_by(members), serves
        self._episode += 1
        self.world.record(WithholdingBegan(chain.name, chain.height, int(self.hidden)))
        if not self.hidden:
            if not serves:
                chain.halt()
            if self.rules.takeover is not None:
                event, episode = Event(self.world.clock), self._episode
                self.world.clock.wake(event, self.world.clock.now + self.rules.takeover)
                assert event.callbacks is not None  # noqa: S101
                event.callbacks.append(lambda _: self._taken_over(episode))

    def _taken_over(self, episode: int) -> None:
        if self.withholding and episode == self._episode:
            self.release()

    def release(self) -> None:
        """Everybody can have the data again."""
        if not self.withholding:
            return
        chain, withheld = self.chain, self._withheld
        self._withheld = []
        silent = not self.hidden and not self.serves
        self.withholding = self.hidden = False
        self.serves = True
        self.world.record(DataReleased(chain.name, chain.height, len(withheld)))
        for batch in withheld:
            chain.safe = batch.last
            self.world.record(HeadAdvanced(chain.name, "safe", batch.last))
            if chain.l1 is not None and batch.slot <= chain.l1.finalized:
                chain.finalize(batch.last)
        if silent:
            chain.resume()
        chain.batches.look_again()
        self.back.ring()

    # ---- L1's side

    def pay(self, account: int, wei: int) -> None:
        """Pay the committee on L1."""
        l1 = self.chain.l1
        if l1 is not None and wei and self._account is not None:
            l1.pay(GAS_TOKEN, account, -wei / ETH)
            l1.pay(GAS_TOKEN, self._account, wei / ETH)
            self.world.record(CommitteePaid(self.chain.name, account, wei / ETH))

    def take(self, first: int, last: int, slot: int) -> bool:
        """A batch is on L1: whether it is a commitment without data."""
        if self.hidden:
            self._withheld.append(Withheld(last, slot))
            self.world.record(DataWithheld(self.chain.name, first, last, slot))
        return self.hidden

    def holds(self, last: int) -> bool:
        """Whether the batch that ends with that block is a commitment without data."""
        return any(batch.last == last for batch in self._withheld)

    def unsettle(self, slot: int) -> None:
        """L1 undid its blocks after a slot."""
        self._withheld = [batch for batch in self._withheld if batch.slot <= slot]
