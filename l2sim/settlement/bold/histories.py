"""Histories: what a party holds the states of a rollup to be, block by block, transaction by transaction, step by step.

A position counts steps since the assertion that both parties accept: its upper bits number the block, those below them the
transaction within it (the block's beginning is the first), the lowest the step within the transaction. A commitment to the history
up to a position is a chained hash over all that comes before, so two parties give the same commitment exactly if they agree on
everything up to there. After the last block, and after a block's last transaction, the machine stands still.

Digests after blocks and after transactions are those of the states that execution gives. Steps of a transaction are hashes of what
comes before it: there is no machine below a transaction in the model, only a place where one would be.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, Protocol

from pydantic import Field

from l2sim.streams import mix

_WORD = (1 << 64) - 1
Bits = Annotated[int, Field(ge=0, le=26)]
"""How many bits number something in a position."""


class Machine(NamedTuple):
    """How a position is put together."""

    blocks: int
    """Bits that number the block."""
    transactions: int
    """Bits that number the transaction in the block."""
    steps: int
    """Bits that number the step in the transaction."""

    @property
    def height(self) -> int:
        """Bits of a position."""
        return self.blocks + self.transactions + self.steps

    @property
    def span(self) -> int:
        """The most blocks between one assertion and the next: a position has no numbers for more."""
        return 1 << self.blocks

    def split(self, position: int) -> tuple[int, int, int]:
        """Block, transaction and step of a position."""
        step = position & ((1 << self.steps) - 1)
        transaction = (position >> self.steps) & ((1 << self.transactions) - 1)
        return position >> (self.steps + self.transactions), transaction, step


class Told(Protocol):
    """Whoever says what the states are."""

    @property
    def digest(self) -> Callable[[int], int]:
        """The digest of the state after a block."""

    @property
    def steps(self) -> Callable[[int], Sequence[int]]:
        """The digests in the course of a block: after its beginning and after each of its transactions."""


class History:
    """What one party commits to between two blocks."""

    def __init__(self, machine: Machine, base: int, last: int, agreed: int, told: Told, truth: Told) -> None:
        """A history.

        Args:
            machine: how positions are put together.
            base: the block on which all agree.
            last: the block up to which the assertion goes.
            agreed: the digest of the state after ``base``.
            told: what the party says.
            truth: what execution gives, which tells a false transaction's steps from a true one's.
        """
        self.machine = machine
        self.base = base
        self.blocks = last - base
        self.told = told
        self.truth = truth
        self._after: list[int] = [mix(agreed & _WORD, base)]
        """Commitments after each block."""
        self._within: dict[int, tuple[list[int], Sequence[int]]] = {}
        """Commitments after each transaction of a block, and the digests."""

    def root(self, position: int) -> int:
        """The commitment to all up to a position."""
        block, transaction, step = self.machine.split(position)
        if block >= self.blocks:
            return self._standing(self._block(self.blocks), position - (self.blocks << (self.machine.height - self.machine.blocks)))
        if not (transaction or step):
            return self._block(block)
        roots, digests = self._transactions(block)
        if transaction >= len(digests):
            return self._standing(roots[-1], position)
        return self._step(roots[transaction], transaction, step, digests[transaction], block)

    def wrong(self, position: int) -> tuple[int, int]:
        """The block and the transaction (-1: its beginning) that the step after a position belongs to."""
        block, transaction, _ = self.machine.split(position)
        return self.base + block + 1, transaction - 1

    @staticmethod
    def _standing(root: int, distance: int) -> int:
        return mix(root, distance) if distance else root

    def _block(self, number: int) -> int:
        """The commitment after so many blocks."""
        while len(self._after) <= number:
            digest = self.told.digest(self.base + len(self._after))
            self._after.append(mix(self._after[-1], digest & _WORD))
        return self._after[number]

    def _transactions(self, block: int) -> tuple[list[int], Sequence[int]]:
        if block not in self._within:
            digests = self.told.steps(self.base + block + 1)
            roots = [self._block(block)]
            for digest in digests:
                roots.append(mix(roots[-1], digest & _WORD))
            self._within[block] = roots, digests
        return self._within[block]

    def _step(self, root: int, transaction: int, step: int, claimed: int, block: int) -> int:
        """The commitment at a step of a transaction; a false transaction goes wrong at a step that follows from what is claimed of it."""
        if not step:
            return root
        true = self.truth.steps(self.base + block + 1)
        honest = mix(root, step)
        if transaction < len(true) and true[transaction] == claimed:
            return honest
        goes_wrong = 1 + (mix(claimed & _WORD, transaction) % max(1, (1 << self.machine.steps) - 1))
        return honest if step < goes_wrong else mix(honest, claimed & _WORD)


class Truth:
    """What execution gives, as L1 finds it when it executes a block again; each block once."""

    def __init__(self, execution: Any) -> None:
        self._execution = execution
        self._steps: dict[int, Sequence[int]] = {}

    def digest(self, block: int) -> int:
        """The digest of the state after a block."""
        return int(self._execution.digest(block))

    def steps(self, block: int) -> Sequence[int]:
        """The digests in the course of a block."""
        if block not in self._steps:
            self._steps[block] = self._execution.steps(block)
        return self._steps[block]


def middle(low: int, high: int) -> int:
    """Where a stretch is cut in two: at the multiple of the greatest power of two inside it, so that equal stretches are cut alike."""
    return (high - 1) & ~((1 << (((high - 1) ^ low).bit_length() - 1)) - 1)
