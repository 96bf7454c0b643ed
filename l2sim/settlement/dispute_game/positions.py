"""Positions in a game's binary tree, and what somebody holds the trace to be that they claim.

A position is a number whose leading bit stands for the root and whose other bits are the way down (0 left, 1 right). It stands for
the rightmost leaf below it: who claims a digest there says what the trace is after that leaf. Down to the split depth leaves are
blocks, from the one after the anchor on; below it they are instructions of one block's execution.
Source: Optimism specs, fault proof, "Fault dispute game: position, move, and the two sub-games".
"""

from collections.abc import Callable, Sequence

from l2sim.streams import mix


def depth_of(position: int) -> int:
    """How far below the root a position is."""
    return position.bit_length() - 1


def moved(position: int, attack: bool) -> int:
    """Where a move against the claim at a position goes: to the left below it, or to the left below its right neighbour."""
    return 2 * position if attack else 2 * (position | 1)


def trace_index(position: int, depth: int) -> int:
    """The rightmost leaf below a position, leaves being at a depth."""
    return ((position + 1) << (depth - depth_of(position))) - 1 - (1 << depth)


class Tree:
    """What the positions of one game are about.

    A block's execution has 2^(max depth - split depth - 1) instructions, for the root of that sub-game is a left child. They are
    shared out equally over its beginning and its transactions, a power of 2 to each; what is left over, the machine stands still.
    """

    def __init__(self, anchor: int, last: int, split: int, deepest: int, transactions: Callable[[int], int]) -> None:
        self.anchor = anchor
        """The block from which on the game is played."""
        self.last = last
        """The block whose state the root claims."""
        self.split = split
        self.deepest = deepest
        self.bits = deepest - split - 1
        """Instructions of a block's execution, as a power of 2."""
        self._transactions = transactions

    def leaf(self, position: int) -> int:
        """The leaf of the upper game that a position stands for, or that its sub-game is about."""
        depth = depth_of(position)
        return trace_index(position, self.split) if depth <= self.split else (position >> (depth - self.split)) - (1 << self.split)

    def block(self, leaf: int) -> int:
        """The block of a leaf; those that are left over stand for the last one, and -1 for the anchor."""
        return min(self.anchor + 1 + leaf, self.last)

    def instruction(self, position: int) -> int:
        """The instruction that a position below the split depth stands for."""
        return trace_index(position, self.deepest) % (1 << (self.deepest - self.split))

    def part(self, leaf: int, instruction: int) -> tuple[int, int, bool]:
        """To what an instruction belongs: the block's beginning (0) or a transaction (from 1); its place in it; if it is the last there."""
        transactions = self.transactions(leaf)
        bits = self.bits - transactions.bit_length()
        if bits < 0:  # fewer instructions than transactions: each of them does several
            return min(((instruction + 1) << -bits) - 1, transactions), 0, True
        part, place = instruction >> bits, instruction & ((1 << bits) - 1)
        return min(part, transactions), place, part > transactions or place == (1 << bits) - 1

    def transactions(self, leaf: int) -> int:
        """How many transactions the block of a leaf has; none where the leaf is left over."""
        block = self.block(leaf)
        return self._transactions(block) if block > self.block(leaf - 1) else 0


class Trace:
    """What somebody holds the trace to be."""

    def __init__(self, tree: Tree, digest: Callable[[int], int], steps: Callable[[int], Sequence[int]]) -> None:
        self.tree = tree
        self._digest = digest
        self._steps = steps

    def at(self, position: int) -> int:
        """The digest claimed at a position."""
        tree = self.tree
        leaf = tree.leaf(position)
        return self.output(leaf) if depth_of(position) <= tree.split else self.after(leaf, tree.instruction(position))

    def output(self, leaf: int) -> int:
        """The digest of the state after the block of a leaf."""
        return self._digest(self.tree.block(leaf))

    def after(self, leaf: int, instruction: int) -> int:
        """The digest of the machine after an instruction of a block's execution; -1 is before the first.

        Transactions have real digests, of the rollup's state after each. In the course of one, the machine holds the state before it
        and the number of instructions since, so that whoever agrees on the state before agrees until the last of them.
        """
        if instruction < 0:
            return self.output(leaf - 1)
        part, place, done = self.tree.part(leaf, instruction)
        digests = self._digests(leaf)
        if done:
            return digests[part]
        return mix(digests[part - 1] if part else self.output(leaf - 1), place)

    def _digests(self, leaf: int) -> Sequence[int]:
        """After the beginning of a leaf's block and after each transaction; who says too little is held to its last word."""
        tree = self.tree
        block, wanted = tree.block(leaf), tree.transactions(leaf) + 1
        if block == tree.block(leaf - 1):
            return (self.output(leaf),)
        said = tuple(self._steps(block))[: wanted - 1]
        return (*said, *(self.output(leaf) for _ in range(wanted - len(said))))
