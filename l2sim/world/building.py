"""Building: how a block of L1 is filled with what waits for it besides transactions to markets."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from l2sim.events.l1_market import BlockBuilt, SpaceBought
from l2sim.fees.blob import GAS_PER_BLOB, Fork
from l2sim.fees.eip1559 import TRANSACTION_GAS
from l2sim.transactions import Status
from l2sim.units import ETH
from l2sim.world.builders import Made
from l2sim.world.execution import Block
from l2sim.world.inbox import Traits
from l2sim.world.ledger import BURNED, GAS_TOKEN
from l2sim.world.mail import BlobTransaction, Posted, Room, Saturation

if TYPE_CHECKING:
    from l2sim.world.l1 import LiveL1


class Building:
    """Who builds the blocks of an L1: whoever pays a higher priority fee is served first, but for everybody else, who yields."""

    def __init__(self, chain: "LiveL1") -> None:
        self.chain = chain
        self.left_out = 0
        """Batches and calls that the last block's makers left out."""
        self.bought = 0
        """Gas of the block that is being made, bought on purpose."""
        self.unbought = 0
        """Blobs of that block that were to be bought, but for whose transactions no gas was left."""
        self._purchases: list[SpaceBought] = []
        self._bundlers: list[range] | None = None

    def fill(self, room: Room, background_gas: int, background_blobs: int) -> tuple[int, int]:
        """Serve batches and calls; the gas that they leave to the run's own transactions and to everybody else, and blobs used by all.

        Gas that is bought on purpose is reserved here, before batches that bid less, and bought when the run's own transactions are
        chosen: those that bid more come first. All others yield to these.
        """
        chain, now = self.chain, self.chain.world.clock.now
        gas_left, blobs_left = room.gas, room.blobs
        censored = chain.auction.accounts(room.made)
        if chain.mempool is not None:
            chain.mempool.censored = censored
        due = [t for t in chain.blob_transactions if t.arrives < now and self._in_turn(t) and self._valid(t, room.fork)]
        open_to = [t for t in due if not self._censored(t, room.made, censored)]
        self.left_out = len(due) - len(open_to)
        claims: list[tuple[int, int, str, Any]] = [(-t.tip, t.tie, "batch", t) for t in open_to]
        demands = [s for s in chain.saturation.values() if not any(s.account in accounts for accounts in censored)]
        claims += [(-s.tip, 0, "saturation", s) for s in demands]
        claims.append((-chain.rules.background_tip, 0, "background", None))
        self.bought = self.unbought = 0
        inbox, reserved = chain.inbox, room.gas
        inbox.rivals.clear()
        for _, _, what, who in sorted(claims, key=lambda claim: (claim[0], claim[2] == "background", claim[1])):
            if what == "batch":
                if who.blobs > blobs_left or who.gas > gas_left or who.cap < room.base_fee or who.blob_cap < room.blob_fee:
                    continue
                if who.call is None and not self._can_pay(who, room):
                    continue
                gas, blobs = who.gas, who.blobs
                reserved -= gas
                self._include(who, room)
            elif what == "saturation":
                gas, blobs = who.fits(room, gas_left, blobs_left)
                if gas or blobs:
                    inbox.rivals.append((who.tip, partial(self._buy, who, gas, blobs, room)))
            else:
                # A block without gas for another transaction has no room for a blob.
                carried = gas_left // TRANSACTION_GAS * room.fork.most_blobs
                gas, blobs = min(background_gas, gas_left), min(background_blobs, blobs_left, carried)
            gas_left -= gas
            blobs_left -= blobs
        return reserved, room.blobs - blobs_left

    def _in_turn(self, transaction: BlobTransaction) -> bool:
        """Whether it is its sender's turn: an account's batches are included in the order of their nonces; calls share a block."""
        if transaction.call is not None:
            return True
        earlier = (other for other in self.chain.blob_transactions if other.account == transaction.account)
        return all(other.submitted >= transaction.submitted for other in earlier)

    @staticmethod
    def _valid(transaction: BlobTransaction, fork: Fork) -> bool:
        """Whether a block of that fork may hold it at all."""
        blobs = transaction.blobs <= fork.most_blobs
        return blobs and (fork.transaction_gas is None or transaction.gas <= fork.transaction_gas)

    @staticmethod
    def _censored(transaction: BlobTransaction, made: Made, accounts: Sequence[range]) -> bool:
        kind = "batches" if transaction.call is None else "calls"
        return kind in made.kinds or any(transaction.account in those for those in accounts)

    def signed(self, room: Room) -> None:
        """Write down what was bought of a block, and who built it, where there are builders."""
        chain = self.chain
        if "SpaceBought" in chain.world.needs:
            for purchase in self._purchases:
                chain.world.record(purchase)
        self._purchases.clear()
        if chain.mempool is not None:
            left_out = self.left_out + chain.mempool.left_out
            chain.world.record(BlockBuilt(chain.name, room.slot, room.made.builder, room.made.relay, left_out))

    def bundled(self, block: Block) -> Block:
        """The block without the transactions in bundles that would revert in it, of which their senders hear."""
        chain = self.chain
        if self._bundlers is None:
            self._bundlers = [chain.world.ledger.groups[name].accounts for name in chain.rules.bundles]
        rows = block.rows
        if not any(sender in accounts for sender in rows.sender[block.start : block.stop] for accounts in self._bundlers):
            return block
        while failing := self._failing(block, self._bundlers):
            for i in failing:
                chain._drop(block.time, block.rows, i, Status.LEFT_OUT)
            left = sorted(set(range(block.start, block.stop)) - set(failing))
            if not left:
                return block._replace(stop=block.start)
            rows = block.rows.take(left)
            block = block._replace(rows=rows, start=0, stop=rows.number, traits=Traits.of(rows))
        return block

    def _failing(self, block: Block, bundlers: Sequence[range]) -> list[int]:
        """The rows in bundles that revert when the block is tried; the trial changes nothing."""
        execution, journal = self.chain.execution, self.chain.state.journal
        assert journal is not None  # noqa: S101
        mark, facts, given = journal.mark(), [len(book.facts) for book in execution.books], execution.given
        execution.given = None
        number = list(range(block.start, block.stop))
        fees, data, broke = execution.charge(block)
        if broke:
            execution.refund(block, fees, data)
            number = execution.able(block, fees, data)
            rows = block.rows.take(number)
            block = block._replace(rows=rows, start=0, stop=rows.number, traits=Traits.of(rows))
            fees, data, _ = execution.charge(block)
        status = execution.finish(block, fees, data).status
        execution.given = given
        touched = journal.undo(mark)
        for book, before in zip(execution.books, facts, strict=True):
            del book.facts[before:]
            book.restored(touched)
        senders = block.rows.sender[block.start : block.stop]
        reverted = [(i, sender) for i, sender, what in zip(number, senders, status, strict=True) if what]
        return [i for i, sender in reverted if any(sender in accounts for accounts in bundlers)]

    @staticmethod
    def _price(transaction: BlobTransaction, room: Room) -> tuple[int, int]:
        """What a transaction costs in a block, wei: what is burned, and tips."""
        tip = min(transaction.tip, transaction.cap - room.base_fee)
        return transaction.gas * room.base_fee + transaction.blobs * GAS_PER_BLOB * room.blob_fee, transaction.gas * tip

    def _can_pay(self, transaction: BlobTransaction, room: Room) -> bool:
        """Whether the sender of a batch holds what it costs in a block."""
        held: float = self.chain.world.ledger.column(self.chain.name, GAS_TOKEN)[transaction.account]
        return sum(self._price(transaction, room)) <= round(held * ETH)

    def _include(self, transaction: BlobTransaction, room: Room) -> None:
        chain = self.chain
        cost = self._pay(transaction.account, *self._price(transaction, room))
        chain.blob_transactions.remove(transaction)
        if chain.history is not None:
            chain.taken.append((room.slot, transaction))
        told = room.slot, cost, transaction.submitted
        answer = told if transaction.call is None else Posted(*told, transaction.call(cost))
        chain.world.clock.wake(transaction.included, chain.world.clock.now, 0, answer)

    def _buy(self, saturation: Saturation, gas: int, blobs: int, room: Room, left: int) -> int:
        """Charge for what was reserved, as far as there is so much gas left; the gas bought."""
        reserved = blobs
        gas, blobs = saturation.within(room, min(gas, left), blobs)
        self.unbought += reserved - blobs
        cost = saturation.cost(room, gas, blobs)
        paid = self._pay(saturation.account, cost - gas * saturation.tip, gas * saturation.tip)
        if cost:
            self._purchases.append(SpaceBought(self.chain.name, room.slot, saturation.account, gas, blobs, paid))  # type: ignore[call-arg]
        saturation.spent(cost)
        self.bought += gas
        return gas

    def _pay(self, account: int, burned: int, tip: int) -> float:
        """Move wei from a payer to the burn and to L1's validators; what it was in ETH."""
        chain = self.chain
        chain.pay(GAS_TOKEN, account, -(burned + tip) / ETH)
        chain.pay(GAS_TOKEN, chain.world.ledger.groups[BURNED].accounts.start, burned / ETH)
        chain.pay(GAS_TOKEN, chain.account, tip / ETH)
        return (burned + tip) / ETH
