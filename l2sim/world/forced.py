"""Forced: transactions that reach a rollup through its L1, from the queue there into the rollup's blocks."""

from collections.abc import Callable, Collection, Generator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from l2sim.events.inclusion import MessageForced, MessageIncluded, MessageQueued, MessageRefused
from l2sim.inclusion import ForcedInclusion, Wait
from l2sim.streams import mix
from l2sim.transactions import ANY_FEE, NEVER, Rows
from l2sim.units import ETH
from l2sim.world.hatch import Hatch
from l2sim.world.inbox import NO_ROWS, Cut
from l2sim.world.ledger import GAS_TOKEN

if TYPE_CHECKING:
    from l2sim.world.calling import Caller
    from l2sim.world.censorship import Unwanted
    from l2sim.world.chain import LiveChain
    from l2sim.world.execution import Block
    from l2sim.world.l1 import LiveL1
    from l2sim.world.rollup import LiveRollup

Row = tuple[int | float, ...]


class Message:
    """A transaction that was sent through L1."""

    def __init__(self, sender: int, market: int, action: int, tie: int, row: Callable[[int], Row]) -> None:
        self.sender = sender
        self.market = market
        self.action = action
        self.tie = tie
        """Its identity: seeded, and the same wherever it goes."""
        self.row = row
        """Its row, by the time of the L1 block that holds it (ns)."""
        self.number = -1
        """Its place among all that L1 took; -1 until then."""
        self.block = -1
        """The L1 block that holds it; -1 while none does."""
        self.forced = -1
        """When a call made it part of the rollup's inputs (ns); -1 while none has."""
        self.height = -1
        """The rollup's block that holds it; -1 while none does."""
        self.how = ""
        """How it was included, as in ``MessageIncluded``."""
        self.before: tuple[int, ...] = ()
        """What the contract remembered before it was included."""


class LiveForced:
    """The queue of a rollup on its L1, and what its blocks take out of it."""

    def __init__(self, rules: ForcedInclusion, chain: "LiveRollup") -> None:
        self.rules = rules
        self.chain = chain
        self.world = chain.world
        self.pending: list[Message] = []
        """What L1 has taken and no block of the rollup holds, in L1's order."""
        self.included: dict[int, Message] = {}
        """What is in the rollup's blocks, by identity: nothing is executed twice."""
        self.memory = rules.genesis()
        self.withheld: Callable[[Message], bool] | None = None
        """Which messages the sequencer does not want to include, where it censors."""
        self.stubborn = False
        """Whether it leaves them out even where its blocks may then hold nothing else."""
        self.barred = False
        """Whether the block that is being made may hold nothing but messages from L1."""
        self.shut = False
        """Whether no block may, ever again."""
        self._numbers = 0

    @cached_property
    def l1(self) -> "LiveL1":
        """The L1 with the queue."""
        assert self.chain.l1 is not None  # noqa: S101
        return self.chain.l1

    @cached_property
    def hatch(self) -> Hatch:
        """The way out where the operator is gone."""
        return Hatch(self)

    def busy(self) -> bool:
        """Whether its blocks need more care than plain ones."""
        return bool(self.pending) or self.shut

    def when(self, block: int, wait: Wait) -> int:
        """The time of an L1 block, and so long after it (ns)."""
        return max((block + wait.blocks) * self._slot() + wait.time, block * self._slot() + wait.least)

    def due(self, message: Message) -> int | None:
        """When a message in the queue need not be included by the sequencer any more (ns); None where that never comes."""
        wait = self.rules.due(message.block, self.memory)
        return None if wait is None else self.when(message.block, wait)

    def unserved(self, shown: int) -> int | None:
        """When L1 took the oldest message that is in none of the rollup's blocks up to one (ns); None where there is none."""
        late = (message for message in self.included.values() if message.height > shown and message.block >= 0)
        return min((self.when(message.block, Wait(0)) for message in (*self.pending, *late)), default=None)

    def _slot(self) -> int:
        return self.l1.rules.slot

    # ---- L1's side

    def send(
        self, me: "Caller", market: str, action: str, fields: tuple[float, float, float], slippage: float, account: int | None, tip: int,
        ticket: int,
    ) -> Event:  # fmt: skip
        """Send a message in somebody's name, and force it once it is due; the event's value is Posted, its answer the number."""
        chain, rules = self.chain, self.rules
        if not rules.queues:
            raise ValueError(f"nothing reaches '{chain.name}' through L1: its forced inclusion is of kind '{rules.kind}'")
        code, which, own, submitted = chain.codes[market], me._action(market, action), me._own(account), me.now + me._reaction
        gas = chain.markets[code].gas[action]
        l1_gas, fee = rules.price(len(self.pending), gas, self.l1.base_fee())
        tie = mix(me._key ^ 0xF0C, mix(submitted, me._sent))
        # Its data are on L1 already, so a batch has none of it; where its gas was bought on L1, it uses none that is for sale here.
        used = 0 if rules.prepaid else gas

        def row(arrives: int) -> Row:
            rest = used, 0, 0, ANY_FEE, NEVER, ticket
            return arrives, tie, submitted, own, code, which, *fields, slippage, 0.0, *rest

        message = Message(own, code, which, tie, row)

        def enter(cost: float) -> int:
            return self._enter(message, submitted, fee, cost)

        queued = me.post(self.l1.name, l1_gas, enter, tip=tip, account=account)
        if rules.called:
            me.start(self._pursue(me, message, queued, tip, account))
        return queued

    def _enter(self, message: Message, submitted: int, fee: int, cost: float) -> int:
        """L1 takes a message: its number, or -1 where its sender cannot pay the fee."""
        chain, world = self.chain, self.world
        l1, (market, action) = self.l1, self._names(message)
        if fee:
            if world.ledger.column(l1.name, GAS_TOKEN)[message.sender] < fee / ETH:
                world.record(MessageRefused(chain.name, message.sender, market, action, cost))
                return -1
            l1.pay(GAS_TOKEN, message.sender, -fee / ETH)
            l1.pay(GAS_TOKEN, chain.account, fee / ETH)
        again = message.tie in self.included  # L1 undid its block after the rollup had taken it over: it is executed once all the same
        if message.number < 0:
            message.number = self._numbers
            self._numbers += 1
        message.block = slot = l1.after.slot
        told = market, action, slot, cost + fee / ETH, fee / ETH
        world.record(MessageQueued(chain.name, message.number, submitted, message.sender, *told))
        if again:
            return message.number
        self.pending.append(message)
        self._watch(message)
        return message.number

    def _names(self, message: Message) -> tuple[str, str]:
        market, codes = self.chain.call_codes[message.market]
        names = self.world.log.names.all
        return names[market], names[codes[message.action]]

    def _watch(self, message: Message) -> None:
        """Where nobody has to call, nodes include a message when it is due, even if there is no sequencer."""
        due = self.due(message)
        if due is not None and not self.rules.called:
            self._at(max(due, self.world.clock.now))

    def _at(self, time: int) -> None:
        event = self.world.clock.wake(Event(self.world.clock), time)
        assert event.callbacks is not None  # noqa: S101
        event.callbacks.append(lambda _: self._derive())

    def _pursue(self, me: "Caller", message: Message, queued: Event, tip: int, account: int | None) -> Generator[Event, Any, None]:
        """Wait until a message is due, and have it forced if it is still in the queue; its call is to be in the first block that may."""
        posted: Any = yield queued
        while posted.answer >= 0 and message.tie not in self.included and not self.chain.frozen:
            due, now = self.due(message), me.now
            if due is None:
                return
            if message not in self.pending or message.forced >= 0:
                first = now + 2 * self._slot()  # on its way, or back in L1's mempool
            else:
                first = max(-(-due // self._slot()), now // self._slot() + 1) * self._slot()
            yield self.world.clock.wake(Event(self.world.clock), max(now, first - self._slot()), mix(me._key, message.number))
            again = self.due(message)
            if message in self.pending and message.forced < 0 and again is not None and again <= first:
                yield me.post(
                    self.l1.name, self.rules.force_gas, lambda cost: self.force(message, message.sender, cost), tip=tip, account=account
                )  # fmt: skip

    def force(self, message: Message, caller: int, cost: float = 0.0) -> bool:
        """Somebody calls the contract that forces a message and all before it; whether it was due, and still in the queue."""
        due = self.due(message) if message in self.pending else None
        accepted = self.rules.called and due is not None and due <= self.world.clock.now
        self.world.record(MessageForced(self.chain.name, message.number, caller, self.l1.after.slot, int(accepted), cost))
        if accepted:
            for one in self.pending[: self.pending.index(message) + 1]:
                one.forced = self.world.clock.now if one.forced < 0 else one.forced
            self.shut |= self.rules.closes
            self._at(self.world.clock.now)
        return accepted

    def unsent(self, until: int) -> None:
        """L1 undid its blocks after one: what was sent in them is on its way again, executed or not."""
        for message in (*self.pending, *self.included.values()):
            if message.block > until:
                message.block = -1
                if message.tie not in self.included:
                    message.forced = -1  # nobody watches any more over what was included: for that, a call counts that was made
        self.pending = [message for message in self.pending if message.block >= 0]

    # ---- the rollup's side

    def censor(self, unwanted: "Unwanted | None", stubborn: bool) -> None:
        """Leave out what is unwanted, by its sender's account, its market and its action, from now on; None ends that."""
        self.stubborn = stubborn
        self.withheld = None if unwanted is None else lambda message: unwanted(message.sender, *self._names(message))

    def _derive(self) -> None:
        """Nodes make a block without the sequencer, where it is down and something is to be in it."""
        if self.chain.halted and not self.chain.frozen and self.pending and self._by_rule(self.pending[0], self.world.clock.now + 1):
            self.chain.derive()

    def _by_rule(self, message: Message, now: int) -> bool:
        """Whether a message is in the rollup's next block whatever the sequencer does."""
        if self.rules.called:
            return 0 <= message.forced < now
        due = self.due(message)
        return due is not None and due < now

    def take(self, now: int) -> Cut:
        """The messages that the block made now begins with; after that ``barred`` says whether it may hold anything else."""
        down = self.chain.halted
        self.barred = self.shut or down
        if not self.pending:
            return NO_ROWS
        bars = self.rules.bars()
        taken: list[Message] = []
        for message in self.pending:
            if not self._by_rule(message, now + down):
                if down:
                    break
                if self.withheld is not None and self.withheld(message):
                    if bars is None or now <= self.when(message.block, bars):
                        break
                    if self.stubborn:
                        self.barred = True
                        break
                elif self.when(message.block, self.rules.usual()) >= now:
                    break
            taken.append(message)
        return self._taken(taken, now, down) if taken else NO_ROWS

    def _taken(self, taken: list[Message], now: int, down: bool) -> Cut:
        block = now // self._slot()
        del self.pending[: len(taken)]
        before, self.memory = self.memory, self.rules.read(self.memory, taken[0].block, block)
        rows: list[Row] = []
        for message in taken:
            message.before = before
            message.how = "derived" if down else "forced" if self._by_rule(message, now) else "usual"
            self.included[message.tie] = message
            rows.append(message.row(message.block * self._slot()))
        columns: list[Any] = [list(column) for column in zip(*rows, strict=True)]
        return Cut.whole(Rows(*columns))

    def tell(self, block: "Block") -> None:
        """Write down which messages a block begins with."""
        rows = block.rows
        for i in range(block.start, block.stop):
            message = self.included.get(rows.tie[i])
            if message is None:
                return
            message.height = block.height
            told = message.number, block.height, rows.submitted[i], message.sender, message.block, message.how
            self.world.record(MessageIncluded(self.chain.name, *told))

    def put_back(self, ties: Collection[int]) -> None:
        """Blocks with these messages were undone: what L1 holds of them is in the queue again, before what came later.

        What it does not hold enters when L1 has taken it again.
        """
        back = sorted((self.included.pop(tie) for tie in ties), key=lambda message: message.number)
        if back:
            self.memory = back[0].before
            held = [message for message in back if message.block >= 0]
            # L1 may have taken them again, after what waits.
            self.pending = sorted(held + self.pending, key=lambda message: message.block)
            for message in held:
                self._watch(message)


def join(chain: "LiveChain", first: Cut, second: Cut) -> Cut:
    """The messages that a block begins with, which meet their markets as they are now, and behind them the rows that it takes."""
    chain._set_references(first)
    rows = first.rows
    rows.extend(second.rows.slice(second.start, second.stop))
    return Cut.whole(rows)
