"""L1: slots, its fee market for gas and blobs, and Casper's finality, as seen by those who settle on it."""

from collections import deque
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError
from simpy.events import Event

from l2sim.demand import Demand
from l2sim.events import ChainReorganized, HeadAdvanced
from l2sim.fees import FeeState, Used
from l2sim.fees.blob import Blob
from l2sim.fees.eip1559 import Eip1559
from l2sim.ordering import Ordering
from l2sim.transactions import Rows
from l2sim.units import ETH, GWEI, SECOND, Duration, Fraction, Gas, Positive, Share, Wei
from l2sim.world import Chain
from l2sim.world.chain import LiveChain
from l2sim.world.ledger import BURNED, GAS_TOKEN
from l2sim.world.rollup import GAS_PER_BLOB

if TYPE_CHECKING:
    from l2sim.world.rollup import Batch, LiveRollup
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


class BlobTransaction(NamedTuple):
    """A batch on its way into L1."""

    arrives: int
    """When proposers know of it (ns)."""
    tie: int
    """Seeded key among equals."""
    submitted: int
    """When its sender let go of it (ns)."""
    account: int
    """Who pays."""
    blobs: int
    """How many blobs it carries."""
    gas: int
    """Execution gas it uses."""
    tip: int
    """Priority fee, wei per gas."""
    cap: int
    """Most it pays for execution gas, wei per gas."""
    blob_cap: int
    """Most it pays for blob gas, wei per gas."""
    included: Event
    """Triggered with (slot, cost in ETH, submitted) when a block takes it."""


class Saturation(NamedTuple):
    """Extra demand that somebody buys on purpose, each slot."""

    account: int
    gas: int
    blobs: int
    tip: int
    spent: Callable[[int], None]
    """Told what was spent in a slot, wei."""


def _when_included(included: Event, rollup: "LiveRollup", batch: "Batch") -> None:
    """Once L1 has a batch again, the rollup's safe head moves again."""

    def posted(event: Event) -> None:
        slot, cost, submitted = event.value
        rollup.posted(batch.blocks, batch.blobs, submitted, slot, cost)

    assert included.callbacks is not None  # noqa: S101
    included.callbacks.append(posted)


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
        self.finalized = 0
        self.blob_transactions: list[BlobTransaction] = []
        self.saturation: dict[str, Saturation] = {}
        self._base = rules.base_fee.genesis()
        self._blob = rules.blob_fee.genesis()
        self._blob_price = rules.blob_fee.price(self._blob, self.began)
        self._waiting_for_finality: list[tuple[int, Callable[[], None]]] = []
        self._luck: dict[str, tuple[int, Any]] = {}
        self._taken: deque[tuple[int, BlobTransaction]] = deque()
        """Batches in blocks that can still be undone, with their slots."""
        self._fees: dict[int, tuple[FeeState, FeeState, int]] = {}
        """Both fees' states and the blob fee before each slot that can still be undone."""

    def instants(self) -> list[int]:
        return list(range(self.rules.slot, self.world.duration + 1, self.rules.slot))

    def block_interval(self) -> int:
        return self.rules.slot

    def gas_limit(self) -> int:
        return self.rules.gas_limit

    def base_fee(self) -> int:
        return self.rules.base_fee.price(self._base)

    def blob_base_fee(self) -> int:
        """Blob base fee of the next block, wei per blob gas."""
        return self._blob_price

    def timestamp(self) -> int:
        """Unix time now, in seconds."""
        return self.began + self.world.clock.now // SECOND

    def begin(self) -> None:
        self.world.clock.process(self._slots())

    def on_final(self, slot: int, then: Callable[[], None]) -> None:
        """Call back when the block of that slot is final."""
        self._waiting_for_finality.append((slot, then))

    def _slots(self) -> Generator[Event, Any, None]:
        clock, rules = self.world.clock, self.rules
        justified_before, justified = True, True
        slot = 0
        while True:
            yield clock.wake(Event(clock), (slot + 1) * rules.slot)
            slot += 1
            epoch, position = divmod(slot, rules.slots_per_epoch)
            if position == 0 and epoch >= 1:
                # The votes of the epoch that just ended count now; two justified epochs in a row finalize the former.
                justified_before, justified = justified, self._uniform("justification", epoch - 1) < rules.justification
                if justified and epoch >= 2:
                    self.world.record(HeadAdvanced(self.name, "safe", (epoch - 1) * rules.slots_per_epoch))
                    if justified_before:
                        self._finalize((epoch - 2) * rules.slots_per_epoch)
            if self._uniform("missed", slot) >= rules.missed:
                self._make(slot)

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

    def _make(self, slot: int) -> None:
        rules, now = self.rules, self.world.clock.now
        if self.history is not None:
            self._fees[slot] = self._base, self._blob, self._blob_price
        timestamp = self.timestamp()
        base_fee, blob_fee = self.base_fee(), self.blob_base_fee()
        blob_target, blob_most = rules.blob_fee.target_and_max(timestamp)
        gas_target = rules.gas_limit // rules.base_fee.elasticity
        background_gas = self._wanted("gas_demand", rules.gas_demand, slot, base_fee, gas_target, rules.gas_limit)
        background_blobs = self._wanted("blob_demand", rules.blob_demand, slot, blob_fee, blob_target, blob_most)
        self.height = slot

        # Whoever pays a higher priority fee is served first: batches, saturation bought on purpose, everybody else.
        blobs_left, gas_left, blobs_used, gas_used = blob_most, rules.gas_limit, 0, 0
        due = [t for t in self.blob_transactions if t.arrives < now]
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
        next_time = timestamp + rules.slot // SECOND
        used = Used(gas_used, rules.gas_limit, blobs_used, base_fee, next_time)
        self._base = rules.base_fee.next(self._base, used)
        self._blob = rules.blob_fee.next(self._blob, used)
        self._blob_price = rules.blob_fee.price(self._blob, next_time)

    def _include(self, transaction: BlobTransaction, slot: int, base_fee: int, blob_fee: int) -> None:
        tip = min(transaction.tip, transaction.cap - base_fee)
        burned = transaction.gas * base_fee + transaction.blobs * GAS_PER_BLOB * blob_fee
        cost = self._pay(transaction.account, burned, transaction.gas * tip)
        self.blob_transactions.remove(transaction)
        if self.history is not None:
            self._taken.append((slot, transaction))
        self.world.clock.wake(transaction.included, self.world.clock.now, 0, (slot, cost, transaction.submitted))

    def _charge_saturation(self, saturation: Saturation, gas: int, blobs: int, base_fee: int, blob_fee: int) -> None:
        burned = gas * base_fee + blobs * GAS_PER_BLOB * blob_fee
        self._pay(saturation.account, burned, gas * saturation.tip)
        saturation.spent(burned + gas * saturation.tip)

    def _pay(self, account: int, burned: int, tip: int) -> float:
        """Move wei from a payer to the burn and to L1's validators; what it was in ETH."""
        token = self.world.ledger.column(self.name, GAS_TOKEN)
        token[account] -= (burned + tip) / ETH
        token[self.world.ledger.groups[BURNED].accounts.start] += burned / ETH
        token[self.account] += tip / ETH
        return (burned + tip) / ETH

    def collect(self, token: list[float], fees: float, data: float, base: float) -> None:
        token[self.world.ledger.groups[BURNED].accounts.start] += base
        token[self.account] += fees - base

    def reorganize(self, slots: int) -> None:
        """Undo the blocks of the latest slots, but none that is final: what was in them, batches too, is pending again."""
        if self.history is None:
            raise TypeError(f"the blocks of '{self.name}' cannot be undone")
        until = max(self.height - slots, self.finalized)
        made = [slot for slot in self._fees if slot > until]
        if not made:
            return
        undone = self.history.undo(max((slot for slot in self._fees if slot <= until), default=self.finalized))
        self._base, self._blob, self._blob_price = self._fees[made[0]]
        for slot in made:
            del self._fees[slot]
        last, self.height = self.height, until
        self._waiting_for_finality = [(at, then) for at, then in self._waiting_for_finality if at <= until]
        rows = Rows.none()
        for record in undone:
            rows.extend(record.block.rows.slice(record.block.start, record.block.stop))
        if rows.number:
            self.inbox.put_back(rows)
        again = {rollup.name: rollup for rollup in self._rollups()}
        batches = {(batch.submitted, name): batch for name, rollup in again.items() for batch in rollup.unsettle(until)}
        while self._taken and self._taken[-1][0] > until:
            _, transaction = self._taken.pop()
            included = Event(self.world.clock)
            self.blob_transactions.append(transaction._replace(included=included))
            for (submitted, name), batch in batches.items():
                if submitted == transaction.submitted:
                    _when_included(included, again[name], batch)
        self.world.record(ChainReorganized(self.name, made[0], last, rows.number, 0))

    def _rollups(self) -> "list[LiveRollup]":
        """The rollups that settle here."""
        from l2sim.world.rollup import LiveRollup

        return [chain for chain in self.world.chains.values() if isinstance(chain, LiveRollup) and chain.l1 is self]

    def _finalize(self, slot: int) -> None:
        self.finalized = slot
        if self.history is not None:
            for old in [old for old in self._fees if old < slot]:
                del self._fees[old]
            while self._taken and self._taken[0][0] <= slot:
                self._taken.popleft()
        self.world.record(HeadAdvanced(self.name, "finalized", slot))
        ready = [then for at, then in self._waiting_for_finality if at <= slot]
        self._waiting_for_finality = [(at, then) for at, then in self._waiting_for_finality if at > slot]
        for then in ready:
            then()
