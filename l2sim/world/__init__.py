"""The world: one run. Chains are kinds of their own (``l1``, ``rollup``, ``outside``), each in the file of its name.

The rest of this package is what a run is made of: clock, ledger, network, inboxes, and the seats through which agents act.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from l2sim.part import Part

if TYPE_CHECKING:
    from l2sim.world.chain import LiveChain
    from l2sim.world.world import World


class Chain(Part, room="chains"):
    """Where markets live: a rollup, L1 itself, or an outside venue."""

    trades: ClassVar[bool] = True
    """Whether markets may be on it."""

    def disputed(self) -> bool:
        """Whether somebody may want to re-execute its blocks, so that their inputs and the state's digests have to be kept."""
        return False

    def undoes(self) -> bool:
        """Whether its own rules may undo its blocks."""
        return False

    def tries(self) -> bool:
        """Whether it tries transactions before it takes them, so that what they did can be undone."""
        return False

    @abstractmethod
    def start(self, name: str, world: "World") -> "LiveChain":
        """The running chain of this description in a world."""
