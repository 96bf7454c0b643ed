"""The fee market of an L1: what everybody who is not in the run wants of its blocks, and what its fees become after each."""

from array import array
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from pydantic_core import PydanticCustomError

from l2sim.compiled import compiled
from l2sim.demand import Demand
from l2sim.fees import FeeState, Used
from l2sim.fees.blob import Fork, fake_exponential_64
from l2sim.transactions import NEVER
from l2sim.units import SECOND

if TYPE_CHECKING:
    from l2sim.world.l1 import L1
    from l2sim.world.world import World

MOST = 2**63
"""Wei beyond which the log has no room for a fee."""
CHUNK = 4096
"""Uniform numbers that are drawn together."""


def begins(rules: "L1") -> None:
    """Whether the log has room for the fees of the first block.

    Raises:
        PydanticCustomError: it has not, with what to lower.
    """
    first, base, blob = rules.began() + rules.slot // SECOND, rules.base_fee, rules.blob_fee
    excess, fork = blob.genesis(first)[0], blob.fork(first)
    if base.price(base.genesis()) >= MOST:
        raise PydanticCustomError("overflow", "the first block's base fee is beyond 2^63 wei: lower 'base_fee.initial'")
    # The fee is at least e^(excess / update fraction) wei, and e^44 more than 2^63.
    if excess > 44 * fork.update_fraction or blob.priced(fork, (excess,)) >= MOST:
        raise PydanticCustomError(
            "overflow",
            "the first block's blob fee is beyond 2^63 wei under the fork in force, whose 'update_fraction' is {fraction}: lower "
            "'blob_fee.initial_excess', or write 'blob_fee.initial', a fee, instead of it",
            {"fraction": fork.update_fraction},
        )


class Quiet(NamedTuple):
    """L1 after a slot, between its slots."""

    slot: int
    height: int
    """The slot of the last block."""
    base: FeeState
    blob: FeeState
    blob_price: int
    """Blob base fee of the next block, wei per blob gas."""
    votes: Any
    """The state of the consensus: who validates, and what has been voted for."""
    parent: tuple[FeeState, Used] | None = None
    """Of the last block, what its successor's blob fee follows from: the state and the use."""


class FeeMarket:
    """Demand, base fee and blob fee, slot by slot, under the fork of each slot's time."""

    def __init__(self, name: str, rules: "L1", world: "World") -> None:
        self.name = name
        self.rules = rules
        self.slots = world.duration // rules.slot + 2
        self.began = rules.began()
        """Unix time of the start, in seconds."""
        self.gas_target = rules.gas_limit // rules.base_fee.elasticity
        self._fork, self._since, self._until = rules.blob_fee.fork(self.began), 0, 0
        """The fork of the slot asked for last, and between which slots it is in force."""
        self._exponential: Callable[[int, int, int], int] | None = None
        """The compiled exponential of the blob fee, where code is compiled anyway."""
        self._streams = world.streams
        self._chunks: dict[str, tuple[int, list[float]]] = {}

    def compile(self) -> None:
        """Work the blob fee out by compiled code from now on; the bits are the same."""
        self._exponential = compiled(fake_exponential_64)

    def genesis(self) -> Quiet:
        """Before the first slot."""
        state = self.rules.blob_fee.genesis(self._time(1))
        price = self.rules.blob_fee.price(state, self._time(1))
        return Quiet(0, 0, self.rules.base_fee.genesis(), state, price, self.rules.agreement.genesis())

    def _time(self, slot: int) -> int:
        """Unix time of a slot, in seconds."""
        return self.began + slot * self.rules.slot // SECOND

    def fork(self, slot: int) -> Fork:
        """The fork in force in a slot."""
        if not self._since <= slot < self._until:
            self._fork = self.rules.blob_fee.fork(self._time(slot))
            self._since = slot
            later = [fork.begins for fork in self.rules.blob_fee.forks.values() if fork.begins > self._time(slot)]
            # The first slot whose time in whole seconds is not before the next fork.
            self._until = -(-(min(later) - self.began) * SECOND // self.rules.slot) if later else NEVER
        return self._fork

    def missed(self, slot: int) -> bool:
        """Whether a slot has no block."""
        return self.uniform("missed", slot) < self.rules.missed

    def background(self, state: Quiet) -> tuple[int, int, int]:
        """What everybody else wants of a block, as far as it has room: gas and blobs; and the most blobs that it may have."""
        rules, slot, fork = self.rules, state.slot, self.fork(state.slot)
        most, limit = fork.maximum, rules.gas_limit
        gas = rules.gas_demand.amount(self._gas_luck[slot], state.base[0], self.gas_target, limit)
        blobs = rules.blob_demand.amount(self._blob_luck[slot], state.blob_price, fork.target, most)
        return gas if gas < limit else limit, blobs if blobs < most else most, most

    def after(self, state: Quiet, gas: int, blobs: int) -> Quiet:
        """The state after a block, which the next slot's fork decides."""
        rules, slot = self.rules, state.slot
        used = Used(gas, rules.gas_limit, blobs, state.base[0], self._time(slot + 1))
        before, fork = self.fork(slot), self.fork(slot + 1)
        blob = rules.blob_fee.under(fork, state.blob, used, state.blob_price if fork is before else None)
        price = rules.blob_fee.priced(fork, blob, self._exponential)
        base = rules.base_fee.next(state.base, used)
        if price >= MOST or rules.base_fee.price(base) >= MOST:
            fee, demand = ("blob base fee", "blob_demand") if price >= MOST else ("base fee", "gas_demand")
            self._overflow(fee, slot * rules.slot, demand)
        return Quiet(state.slot, state.slot, base, blob, price, state.votes, (state.blob, used))

    def _overflow(self, fee: str, time: int, demand: str) -> NoReturn:
        from l2sim.world.world import RunFailed

        raise RunFailed(
            f"the {fee} of '{self.name}' is beyond 2^63 wei at {time / SECOND:.0f} s of simulated time, for which the log has no room: "
            f"let '{demand}' answer to the price, ask for less, or start lower"
        )

    def passed(self, state: Quiet) -> Quiet:
        """The state after a slot without a block: where the next one is the first of a fork, its blob fee goes by that fork's rules."""
        fork = self.fork(state.slot)
        return state if self.fork(state.slot + 1) is fork else self._crossed(state)

    def undone(self, before: Quiet, slot: int) -> Quiet:
        """The state after a slot when every block since ``before`` was undone, which may lead back over the beginning of a fork."""
        fork, state = self.fork(before.slot + 1), before._replace(slot=slot)
        return state if self.fork(slot + 1) is fork else self._crossed(state)

    def _crossed(self, state: Quiet) -> Quiet:
        """A state whose blob fee goes by the fork of the slot that follows."""
        blob_fee, fork, blob = self.rules.blob_fee, self.fork(state.slot + 1), state.blob
        if state.parent is not None:
            blob = blob_fee.under(fork, *state.parent)
        price = blob_fee.priced(fork, blob)
        if price >= MOST:
            self._overflow("blob base fee", state.slot * self.rules.slot, "blob_demand")
        return state._replace(blob=blob, blob_price=price)

    def uniform(self, purpose: str, index: int) -> float:
        """A uniform number for a purpose and a slot or epoch: the same pair, the same number, whenever it is asked."""
        chunk, within = divmod(index, CHUNK)
        held = self._chunks.get(purpose)
        if held is None or held[0] != chunk:
            held = (chunk, self._streams.generator(f"chains/{self.name}/{purpose}", chunk).random(CHUNK).tolist())
            self._chunks[purpose] = held
        return held[1][within]

    @cached_property
    def _gas_luck(self) -> "array[float]":
        return self._luck("gas_demand", self.rules.gas_demand)

    @cached_property
    def _blob_luck(self) -> "array[float]":
        return self._luck("blob_demand", self.rules.blob_demand)

    def _luck(self, purpose: str, demand: Demand) -> "array[float]":
        """The luck of all slots."""
        return array("d", demand.draw(self._streams.generator(f"chains/{self.name}/{purpose}"), self.slots).tobytes())
