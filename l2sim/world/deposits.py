"""Deposits: money from L1 into a rollup, and what becomes of it where one of the two undoes its blocks."""

from collections.abc import Generator
from typing import TYPE_CHECKING

from simpy.events import Event

from l2sim.books import Claim
from l2sim.events.bridging import DepositCredited, DepositMade, DepositRefused, DepositUndone

if TYPE_CHECKING:
    from l2sim.world.bridge import LiveBridge


class Deposit:
    """An amount that its owner wants to have on the rollup."""

    def __init__(self, account: int, amount: float, credited: Event) -> None:
        self.account = account
        self.amount = amount
        """Units of the bridge's asset."""
        self.credited = credited
        """When the rollup hands it out, the first time; its value is whether that will ever be."""
        self.number = 0
        """Its place among all that L1 took, from 1; 0 until then."""
        self.slot = -1
        """The L1 block that holds it; -1 while none does."""
        self.block = -1
        """The block of the rollup whose input it is; -1 while it is of none."""


class Deposits:
    """The way into a rollup through one bridge.

    L1 puts the amount into the escrow. Once so many blocks lie on top of that one, the rollup's next block is followed by the credit.
    Where L1 undoes the block, its transaction is pending again: nothing was credited, or blocks of the rollup that can be undone are,
    or the credit stands and the escrow is short of it until L1 has it again.
    """

    def __init__(self, bridge: "LiveBridge") -> None:
        self.bridge = bridge
        self.waiting: list[Deposit] = []
        """What L1 holds and the rollup has not handed out, in L1's order."""
        self.handed: list[Deposit] = []
        """What was handed out and may still be undone on either side."""
        self._blocks: list[int] = []
        """Blocks of L1 since somebody has been waiting."""
        self._watching = self._crediting = False
        self._made = 0

    def claims(self) -> list[Claim]:
        """What lies in escrow and is not handed out is its owners'."""
        return [Claim(one.account, self.bridge.rules.asset, one.amount) for one in self.waiting]

    # ---- L1

    def make(self, deposit: Deposit, cost: float) -> bool:
        """L1 takes an amount into the escrow; whether its owner had it."""
        bridge, world, asset = self.bridge, self.bridge.chain.world, self.bridge.rules.asset
        held = float(world.ledger.column(bridge.l1.name, asset)[deposit.account])
        if held < deposit.amount:
            world.record(DepositRefused(bridge.name, deposit.account, deposit.amount, held, cost))
            if not deposit.credited.triggered:
                world.clock.wake(deposit.credited, world.clock.now, value=False)
            return False
        if not deposit.number:
            self._made += 1
            deposit.number = self._made
        deposit.slot = bridge.l1.after.slot
        bridge.l1.pay(asset, deposit.account, -deposit.amount)
        bridge.l1.pay(asset, bridge.account, deposit.amount)
        world.record(DepositMade(bridge.name, deposit.account, deposit.number, deposit.amount, deposit.slot, cost))
        if deposit.block < 0:
            self._await(deposit)
        return True

    def undone_on_l1(self, until: int) -> None:
        """L1 undid its blocks after a slot; their transactions are pending again."""
        chain = self.bridge.chain
        gone = [one for one in self.waiting + self.handed if one.slot > until]
        self.waiting = [one for one in self.waiting if one.slot <= until]
        self._blocks = [slot for slot in self._blocks if slot <= until]
        for deposit in gone:
            deposit.slot = -1
        settled = 0 if chain.history is None else chain.history.settled
        blocks = [one.block for one in gone if settled < one.block <= chain.height]  # what is in a batch stands: that goes in again too
        if blocks and chain.height - min(blocks) < chain.batches.undoable():
            chain.reorganize(chain.height - min(blocks) + 1)
        for one in gone:
            if one.block > chain.height:  # nobody can have spent what is an input of the next block
                self._hand(one, -1.0)
                self.handed.remove(one)
                one.block = -1
        for one in gone:
            stands = int(one.block >= 0)
            chain.world.record(DepositUndone(self.bridge.name, one.account, one.number, one.amount, stands))

    # ---- the rollup

    def _await(self, deposit: Deposit) -> None:
        self.waiting.append(deposit)
        world, name = self.bridge.chain.world, self.bridge.name
        if not self._watching:
            self._watching = True
            world.start(self._watch(), name)
        self._see()

    def _watch(self) -> Generator[Event, object, None]:
        """Count L1's blocks as long as somebody waits."""
        while self.waiting:
            yield self.bridge.l1.wait_block(0)
            self._blocks.append(self.bridge.l1.height)
            self._see()
        self._blocks.clear()
        self._watching = False

    def _ripe(self) -> list[Deposit]:
        depth = self.bridge.rules.deposit_confirmations
        return [one for one in self.waiting if sum(slot > one.slot for slot in self._blocks) >= depth]

    def _see(self) -> None:
        if not self._crediting and self._ripe():
            self._crediting = True
            self.bridge.chain.world.start(self._credit(), self.bridge.name)

    def _credit(self) -> Generator[Event, object, None]:
        """After the rollup's next block, hand out what has its confirmations."""
        chain, bridge, world = self.bridge.chain, self.bridge, self.bridge.chain.world
        yield chain.wait_block(0)
        self._crediting = False
        settled = 0 if chain.history is None else chain.history.settled
        self.handed = [one for one in self.handed if one.slot > bridge.l1.finalized or one.block > settled]
        for one in self._ripe():
            self.waiting.remove(one)
            self._hand(one, 1.0)
            one.block = chain.height + 1
            self.handed.append(one)
            world.record(DepositCredited(bridge.name, one.account, one.number, one.amount, one.block))
            if not one.credited.triggered:
                world.clock.wake(one.credited, world.clock.now, one.number, True)

    def _hand(self, one: Deposit, sign: float) -> None:
        """Hand out a deposit as an input of the next block, or take that back."""
        bridge, amount = self.bridge, sign * one.amount
        bridge.chain.pay(bridge.rules.asset, bridge.account, -amount)
        bridge.chain.pay(bridge.rules.asset, one.account, amount)
        bridge.book.deposited += amount

    def undone_on_rollup(self, height: int) -> None:
        """The rollup undid its blocks after a height: what they had handed out is handed out again as soon as L1 holds it."""
        back = [one for one in self.handed if one.block > height]
        self.handed = [one for one in self.handed if one.block <= height]
        for one in back:
            self.bridge.book.deposited -= one.amount
            one.block = -1
            if one.slot >= 0:
                self._await(one)
