"""L1: slots, its fee market for gas and blobs, and Casper's finality, as seen by those who settle on it."""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError
from simpy.events import Event

from l2sim.demand import Demand
from l2sim.events import BlockSealed, HeadAdvanced
from l2sim.fees import FeeState, Used
from l2sim.fees.blob import Blob
from l2sim.fees.eip1559 import Eip1559
from l2sim.ordering import Ordering
from l2sim.units import ETH, GWEI, SECOND, Duration, Fraction, Gas, Positive, Share, Wei
from l2sim.world import Chain
from l2sim.world.chain import LiveChain
from l2sim.world.ledger import BURNED, GAS_TOKEN
from l2sim.world.mail import BlobTransaction, Posted, Saturation
from l2sim.world.rollup import GAS_PER_BLOB

if TYPE_CHECKING:
    from l2sim.world.world import World

CHUNK = 4096


def _instant(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise PydanticCustomError(
            "instant", "'{text}' is no date and time: write it like 2026-01-29T00:00:00+00:00", {"text": text}
        ) from None
    return text


class L1(Chain):
    """Ethereum as rollups see it: slots, base fees, blobs, and a finalized checkpoint 64 to 95 slots behind."""

    slot: Annotated[Duration, Positive] = 12 * SECOND
    """Time between slots."""
    slots_per_epoch: int = 32
    """Slots in an epoch."""
    missed: Annotated[Fraction, Share] = 0.0
    """Share of slots without a block."""
    justification: Annotated[Fraction, Share] = 1.0
    """Probability that an epoch gathers the two thirds of stake that justify it, each on its own."""
    region: str = "us_east"
    """Region of the network that stands for its peer-to-peer mesh."""
    begins: Annotated[str, AfterValidator(_instant)] = "2026-06-01T00:00:00+00:00"
    """Calendar time of the start of the run: it decides which fork is in force."""
    gas_limit: Annotated[Gas, Positive] = 60_000_000
    """Gas limit of a block."""
    base_fee: Eip1559
    """Execution base fee."""
    blob_fee: Blob
    """Blob base fee and the schedule of forks."""
    gas_demand: Demand
    """What everybody else wants of a block's gas."""
    blob_demand: Demand
    """How many blobs everybody else wants to post in a slot."""
    background_tip: Wei = 1 * GWEI
    """Priority fee of everybody else, wei per gas; who pays more goes first, who pays less gets what is left."""
    ordering: Ordering
    """How a block orders the transactions of the run."""

    def start(self, name: str, world: "World") -> "LiveL1":
        return LiveL1(self, name, world)


class Quiet(NamedTuple):
    """L1 after a slot, between its slots."""

    slot: int
    height: int
    """The slot of the last block."""
    base: FeeState
    blob: FeeState
    blob_price: int
    """Blob base fee of the next block, wei per blob gas."""
    justified_before: bool
    """Whether the epoch before the last was justified."""
    justified: bool
    """Whether the last was."""


class LiveL1(LiveChain):
    """L1 in a run. A block's number is its slot."""

    def __init__(self, rules: L1, name: str, world: "World") -> None:
        super().__init__(rules, name, world)
        self.rules = rules
        self.region = rules.region
        self.ordering = rules.ordering
        self.account = world.ledger.open(name, rules.kind, "chains").start
        self.began = int(
            datetime.fromisoformat(rules.begins).replace(tzinfo=datetime.fromisoformat(rules.begins).tzinfo or UTC).timestamp()
        )
        self.safe = 0
        """The last justified checkpoint."""
        self.finalized = 0
        self.blob_transactions: list[BlobTransaction] = []
        self.saturation: dict[str, Saturation] = {}
        genesis = rules.blob_fee.genesis()
        self.after = Quiet(0, 0, rules.base_fee.genesis(), genesis, rules.blob_fee.price(genesis, self.began), True, True)
        """The state after the last slot."""
        self._ahead: deque[tuple[Quiet, tuple[Any, ...]]] = deque()
        """Slots to come, worked out as if nothing happened till then, and their facts."""
        self._making = False
        self._armed: int | None = None
        """The next slot at whose time it wakes."""
        self._waiting_for_finality: list[tuple[int, Callable[[], None]]] = []
        self._luck: dict[str, tuple[int, Any]] = {}
        self.taken: deque[tuple[int, BlobTransaction]] = deque()
        """Batches in blocks that can still be undone, with their slots."""
        self.before: dict[int, Quiet] = {}
        """The state before each slot that can still be undone."""

    def instants(self) -> list[int]:
        return list(range(self.rules.slot, self.world.duration + 1, self.rules.slot))

    def block_interval(self) -> int:
        return self.rules.slot

    def gas_limit(self) -> int:
        return self.rules.gas_limit

    def base_fee(self) -> int:
        self.catch_up()
        return self.rules.base_fee.price(self.after.base)

    def blob_base_fee(self) -> int:
        """Blob base fee of the next block, wei per blob gas."""
        self.catch_up()
        return self.after.blob_price

    def blob_base_fees(self, times: Any) -> Any:
        """The same at several times, increasing, before the last of which nothing happens here (ns)."""
        self.catch_up()
        slot = self.rules.slot
        while (self._ahead[-1][0].slot if self._ahead else self.after.slot) * slot + slot <= times[-1]:
            self._ahead.append(self._empty(self._ahead[-1][0] if self._ahead else self.after))
        prices = np.array([self.after.blob_price, *(ahead.blob_price for ahead, _ in self._ahead)], np.float64)
        return prices[np.searchsorted([ahead.slot * slot for ahead, _ in self._ahead], times, side="right")]

    def look(self) -> None:
        self.catch_up()

    # ---- slots

    def begin(self) -> None:
        self._arm()

    def on_final(self, slot: int, then: Callable[[], None]) -> None:
        """Call back when the block of that slot is final."""
        self._waiting_for_finality.append((slot, then))
        self._arm()

    def wait_block(self, key: int) -> Event:
        self.stirred()
        return super().wait_block(key)

    def stirred(self) -> None:
        """Something is about to happen here: what was worked out for later slots is void."""
        self.catch_up()
        self._ahead.clear()
        self._arm(self.after.slot + 1)

    def _quiet(self) -> bool:
        """Whether its slots hold nothing but what everybody else wants of them, so that they may be worked out when somebody looks."""
        return not (self.blob_transactions or self.saturation or self.books or self.history or self._waiters)

    def _arm(self, slot: int | None = None) -> None:
        """Wake at the next slot at which somebody is to be told something."""
        if slot is None:
            slot = self.after.slot + 1
            if self._quiet():
                if not self._waiting_for_finality:
                    return
                slot = -(-slot // self.rules.slots_per_epoch) * self.rules.slots_per_epoch
        if self._armed is None or slot < self._armed:
            self._armed = slot
            event = Event(self.world.clock)
            self.world.clock.wake(event, slot * self.rules.slot, 0, slot)
            assert event.callbacks is not None  # noqa: S101
            event.callbacks.append(self._woken)

    def _woken(self, event: Event) -> None:
        self.catch_up()
        if self._armed == event.value:
            self._armed = None
            self._arm()

    def catch_up(self) -> None:
        """Make the slots whose time has come."""
        clock, slot = self.world.clock, self.rules.slot
        while (self.after.slot + 1) * slot <= clock.now and not self._making:
            time = (self.after.slot + 1) * slot
            if self._quiet():
                self._enter(time, *(self._ahead.popleft() if self._ahead else self._empty(self.after)))
            else:
                self._making = True
                with clock.at(time):
                    self._make(self._vote(self.after))
                self._making = False

    def _enter(self, time: int, after: Quiet, facts: tuple[tuple[Any, ...], ...]) -> None:
        """A slot in which nothing happened but what was worked out for it."""
        self.after = after
        for fact in facts:
            self.world.log.record(time, fact)
            if isinstance(fact, HeadAdvanced):
                with self.world.clock.at(time):
                    self._head(fact)
        self.last_block = time if after.height == after.slot else self.last_block

    def _vote(self, before: Quiet) -> tuple[Quiet, list[HeadAdvanced]]:
        """The next slot before its block, and what became of the checkpoints."""
        slot, justified_before, justified = before.slot + 1, before.justified_before, before.justified
        heads: list[HeadAdvanced] = []
        epoch, position = divmod(slot, self.rules.slots_per_epoch)
        if position == 0 and epoch >= 1:
            # The votes of the epoch that just ended count now; two justified epochs in a row finalize the former.
            justified_before, justified = justified, self._uniform("justification", epoch - 1) < self.rules.justification
            if justified and epoch >= 2:
                heads.append(HeadAdvanced(self.name, "safe", (epoch - 1) * self.rules.slots_per_epoch))
                if justified_before:
                    heads.append(HeadAdvanced(self.name, "finalized", (epoch - 2) * self.rules.slots_per_epoch))
        return Quiet(slot, before.height, before.base, before.blob, before.blob_price, justified_before, justified), heads

    def _missed(self, slot: int) -> bool:
        return self._uniform("missed", slot) < self.rules.missed

    def _empty(self, before: Quiet) -> tuple[Quiet, tuple[tuple[Any, ...], ...]]:
        """The next slot if it holds only what everybody else wants of it, and its facts."""
        after, heads = self._vote(before)
        facts: list[tuple[Any, ...]] = [*heads]
        if self._missed(after.slot):
            return after, tuple(facts)
        rules, timestamp = self.rules, self.began + after.slot * self.rules.slot // SECOND
        base_fee = rules.base_fee.price(after.base)
        gas, blobs, most = self._background(after, timestamp, base_fee)
        gas, blobs = min(gas, rules.gas_limit), min(blobs, most)
        facts.append(BlockSealed(self.name, after.slot, 0, 0, base_fee, after.blob_price, blobs, 0))
        return self._after(after, timestamp, base_fee, gas, blobs), tuple(facts)

    def _background(self, state: Quiet, timestamp: int, base_fee: int) -> tuple[int, int, int]:
        """What everybody else wants of a block: gas and blobs; and the most blobs that it may have."""
        rules, slot = self.rules, state.slot
        target, most = rules.blob_fee.target_and_max(timestamp)
        gas_target = rules.gas_limit // rules.base_fee.elasticity
        gas = self._wanted("gas_demand", rules.gas_demand, slot, base_fee, gas_target, rules.gas_limit)
        return gas, self._wanted("blob_demand", rules.blob_demand, slot, state.blob_price, target, most), most

    def _after(self, state: Quiet, timestamp: int, base_fee: int, gas: int, blobs: int) -> Quiet:
        """The state after a block."""
        rules, next_time = self.rules, timestamp + self.rules.slot // SECOND
        used = Used(gas, rules.gas_limit, blobs, base_fee, next_time)
        blob = rules.blob_fee.next(state.blob, used)
        price = rules.blob_fee.price(blob, next_time)
        base = rules.base_fee.next(state.base, used)
        return Quiet(state.slot, state.slot, base, blob, price, state.justified_before, state.justified)

    def _uniform(self, purpose: str, index: int) -> float:
        chunk, within = divmod(index, CHUNK)
        held = self._luck.get(purpose)
        if held is None or held[0] != chunk:
            name = f"chains/{self.name}/{purpose}"
            generator = self.world.streams.generator(name, chunk)
            held = (chunk, generator.random(CHUNK).tolist())
            self._luck[purpose] = held
        return float(held[1][within])

    def _wanted(self, purpose: str, demand: Demand, slot: int, fee: int, target: int, limit: int) -> int:
        luck = self._luck.get(purpose)
        if luck is None:
            generator = self.world.streams.generator(f"chains/{self.name}/{purpose}")
            luck = (0, demand.draw(generator, self.world.duration // self.rules.slot + 2).tolist())
            self._luck[purpose] = luck
        return demand.amount(luck[1][slot], fee, target, limit)

    def _make(self, voted: tuple[Quiet, list[HeadAdvanced]]) -> None:
        before = self.after
        self.after, heads = voted
        state, slot, now = self.after, self.after.slot, self.world.clock.now
        for head in heads:
            self.world.record(head)
            self._head(head)
        if self._missed(slot):
            return
        rules, timestamp, blob_fee = self.rules, self.began + now // SECOND, state.blob_price
        if self.history is not None:
            self.before[slot] = before
        base_fee = rules.base_fee.price(state.base)
        background_gas, background_blobs, blob_most = self._background(state, timestamp, base_fee)
        self.after = state._replace(height=slot)

        # Whoever pays a higher priority fee is served first: batches, saturation bought on purpose, everybody else.
        blobs_left, gas_left, blobs_used, gas_used = blob_most, rules.gas_limit, 0, 0
        due = [t for t in self.blob_transactions if t.arrives < now and self._next(t)]
        claims: list[tuple[int, int, str, Any]] = [(-t.tip, t.tie, "batch", t) for t in due]
        claims += [(-s.tip, 0, "saturation", s) for s in self.saturation.values()]
        claims.append((-rules.background_tip, 0, "background", None))
        for _, _, what, who in sorted(claims, key=lambda claim: (claim[0], claim[2] == "background", claim[1])):
            if what == "batch":
                if who.blobs <= blobs_left and who.gas <= gas_left and who.cap >= base_fee and who.blob_cap >= blob_fee:
                    blobs, gas = who.blobs, who.gas
                    self._include(who, slot, base_fee, blob_fee)
                else:
                    continue
            elif what == "saturation":
                blobs, gas = min(who.blobs, blobs_left), min(who.gas, gas_left)
                self._charge_saturation(who, gas, blobs, base_fee, blob_fee)
            else:
                blobs, gas = min(background_blobs, blobs_left), min(background_gas, gas_left)
            blobs_left -= blobs
            gas_left -= gas
            blobs_used += blobs
            gas_used += gas

        # Transactions of the run pay the background's tip or more in practice; they get at least a quarter of the block.
        room = max(gas_left, rules.gas_limit // 4)
        gas, _ = self.make_block(now, room, blobs_used, blob_fee)
        gas_used = min(gas_used + gas, rules.gas_limit)
        self.after = self._after(self.after, timestamp, base_fee, gas_used, blobs_used)

    def _next(self, transaction: BlobTransaction) -> bool:
        """Whether it is its sender's turn: an account's batches are included in the order of their nonces; calls share a block."""
        if transaction.call is not None:
            return True
        earlier = (other for other in self.blob_transactions if other.account == transaction.account)
        return all(other.submitted >= transaction.submitted for other in earlier)

    def _include(self, transaction: BlobTransaction, slot: int, base_fee: int, blob_fee: int) -> None:
        tip = min(transaction.tip, transaction.cap - base_fee)
        burned = transaction.gas * base_fee + transaction.blobs * GAS_PER_BLOB * blob_fee
        cost = self._pay(transaction.account, burned, transaction.gas * tip)
        self.blob_transactions.remove(transaction)
        if self.history is not None:
            self.taken.append((slot, transaction))
        told = slot, cost, transaction.submitted
        answer = told if transaction.call is None else Posted(*told, transaction.call(cost))
        self.world.clock.wake(transaction.included, self.world.clock.now, 0, answer)

    def _charge_saturation(self, saturation: Saturation, gas: int, blobs: int, base_fee: int, blob_fee: int) -> None:
        burned = gas * base_fee + blobs * GAS_PER_BLOB * blob_fee
        self._pay(saturation.account, burned, gas * saturation.tip)
        saturation.spent(burned + gas * saturation.tip)

    def _pay(self, account: int, burned: int, tip: int) -> float:
        """Move wei from a payer to the burn and to L1's validators; what it was in ETH."""
        self.pay(GAS_TOKEN, account, -(burned + tip) / ETH)
        self.pay(GAS_TOKEN, self.world.ledger.groups[BURNED].accounts.start, burned / ETH)
        self.pay(GAS_TOKEN, self.account, tip / ETH)
        return (burned + tip) / ETH

    def collect(self, token: list[float], fees: float, data: float, base: float) -> None:
        token[self.world.ledger.groups[BURNED].accounts.start] += base
        token[self.account] += fees - base

    def _head(self, head: HeadAdvanced) -> None:
        """A head moved up."""
        if head.head == "safe":
            self.safe = head.number
        else:
            self._finalize(head.number)

    def _finalize(self, slot: int) -> None:
        self.finalized = slot
        if self.history is not None:
            self.history.settle(slot)
            for old in [old for old in self.before if old < slot]:
                del self.before[old]
            while self.taken and self.taken[0][0] <= slot:
                self.taken.popleft()
        ready = [then for at, then in self._waiting_for_finality if at <= slot]
        self._waiting_for_finality = [(at, then) for at, then in self._waiting_for_finality if at > slot]
        for then in ready:
            then()

    @property
    def height(self) -> int:
        """The slot of its last block."""
        self.catch_up()
        return self.after.height

    @height.setter
    def height(self, slot: int) -> None:
        pass

    def forgets(self, slot: int) -> None:
        """Blocks after a slot were undone: nobody waits for their finality."""
        self._waiting_for_finality = [(at, then) for at, then in self._waiting_for_finality if at <= slot]
