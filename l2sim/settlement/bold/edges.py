"""Edges: claims about a stretch of a history, the states that they go through, and the time that they gather.

The rules are those of BoLD (arXiv 2404.10491; OffchainLabs nitro-contracts, EdgeChallengeManager.sol, read 2026). Time belongs to an
edge, not to whoever made it: while no rival edge says something else about the same stretch, it gathers time, and it keeps that. The
time of a bisected edge is its own and the lesser of its two halves'; that of a single step that edges of the next level argue about
is its own and the greatest of theirs; what is proved has all time. Whoever holds the same history may move any of its edges.
"""

from collections.abc import Iterator

from l2sim.settlement.bold.players import NEVER

Mutual = tuple[object, ...]
"""What rival edges share: the level, what they argue about, where the stretch begins, with which commitment, and where it ends."""

UNRIVALLED, RIVALLED, BISECTED, REFINED, CONFIRMED = "unrivalled", "rivalled", "bisected", "refined", "confirmed"

TRANSITIONS: dict[tuple[str, str], str] = {
    # state      what happens          new state
    (UNRIVALLED, "rival"): RIVALLED,  # somebody says something else about the same stretch; it gathers no more time of its own
    (RIVALLED, "bisect"): BISECTED,  # longer than one step: its two halves are edges now, one of which a rival may share
    (RIVALLED, "refine"): REFINED,  # one step, not of the last level: an edge of the next level stands for it, with a mini-stake
    (REFINED, "refine"): REFINED,  # another edge of the next level for the same step
    (RIVALLED, "prove"): CONFIRMED,  # one step of the last level: L1 executes it
    (UNRIVALLED, "expire"): CONFIRMED,  # it has gathered the challenge period, as have the next three
    (RIVALLED, "expire"): CONFIRMED,
    (BISECTED, "expire"): CONFIRMED,
    (REFINED, "expire"): CONFIRMED,
}
"""What may happen to an edge in which state, and which state it then has; anything else L1 refuses."""


class Edge:
    """A claim about the stretch of a history between two positions."""

    def __init__(self, number: int, mutual: Mutual, level: int, origin: int, low: int, high: int, end: int, made: int) -> None:
        self.number = number
        self.mutual = mutual
        self.level = level
        self.origin = origin
        """Position at which its level's stretch begins."""
        self.low = low
        self.high = high
        self.end = end
        """The commitment to the history up to ``high``."""
        self.made = made
        """When it came to be (ns)."""
        self.rivalled = NEVER
        """When the first rival came (ns)."""
        self.state = UNRIVALLED
        self.proved = False
        self.halves: tuple[Edge, Edge] | None = None
        self.refinements: list[Edge] = []
        """Edges of the next level that stand for it, where it is a single step."""
        self.parent: Edge | None = None
        """The single step of the level above that it stands for, where it is the first edge of its level."""
        self.head_start = 0
        """Time that its assertion had no rival, which counts as the root edge's own (ns)."""
        self.paid: list[tuple[int, float]] = []
        """Who moved it, and what that cost on L1 (ETH)."""

    @property
    def start(self) -> int:
        """The commitment to the history up to ``low``."""
        return int(self.mutual[3])  # type: ignore[call-overload,no-any-return]  # see Mutual

    def allows(self, happening: str) -> bool:
        """Whether that may happen to it now."""
        return (self.state, happening) in TRANSITIONS

    def turn(self, happening: str) -> None:
        """Let that happen to it.

        Raises:
            ValueError: it may not.
        """
        if not self.allows(happening):
            raise ValueError(f"edge {self.number} is {self.state}: nobody can {happening} it")
        self.state = TRANSITIONS[self.state, happening]

    def own(self, now: int) -> int:
        """Time that it had no rival (ns)."""
        return self.head_start + min(self.rivalled, now) - self.made

    def gathered(self, now: int) -> int:
        """The time that it has: its own and, below it, that of its weaker half or of its strongest refinement (ns)."""
        if self.proved:
            return NEVER
        below = 0
        if self.halves is not None:
            below = min(half.gathered(now) for half in self.halves)
        elif self.refinements:
            below = max(edge.gathered(now) for edge in self.refinements)
        return min(NEVER, self.own(now) + below)

    def reaches(self, need: int) -> int:
        """When it will have gathered that much time, if nobody does anything more (ns); never, as things stand, where a rival waits."""
        if self.proved or need <= 0:
            return 0
        if self.rivalled == NEVER:
            return self.made + need - self.head_start
        left = need - self.own(self.rivalled)
        if left <= 0:
            return 0
        if self.halves is not None:
            latest = 0
            for half in self.halves:
                latest = max(latest, half.reaches(left))
                if latest >= NEVER:
                    return NEVER
            return latest
        return min((edge.reaches(left) for edge in self.refinements), default=NEVER)

    def below(self) -> "Iterator[Edge]":
        """It and all edges on which its time rests."""
        yield self
        for edge in self.halves or ():
            yield from edge.below()
        for edge in self.refinements:
            yield from edge.below()
