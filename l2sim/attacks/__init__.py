"""Attacks: acts that one would remove to get the counterfactual. The verbs are ``strike(me)`` and ``relent(me)``; the base waits."""

from abc import abstractmethod
from collections.abc import Collection
from typing import Annotated, ClassVar

from l2sim.events import AttackBegan, AttackEnded
from l2sim.part import Part
from l2sim.units import Duration, Positive
from l2sim.world.seat import AttackSeat, Waiting


class Attack(Part, room="attacks"):
    """Something bad that begins, lasts and ends."""

    contests: ClassVar[bool] = False
    """Whether it contests assertions of others."""
    needs: ClassVar[str] = ""
    """What the settlement of its rollup must have for it to be of use: ``rivals`` of assertions, or a ``market`` for proofs."""

    begins: Duration
    """When it strikes, since the start."""
    lasts: Annotated[Duration, Positive]
    """How long it lasts."""

    def reverses(self) -> Collection[str]:
        """The chains whose blocks it may undo."""
        return ()

    def proposes(self) -> Collection[str]:
        """The rollups, or bridges on them, about which it asserts something that nobody asked for; where it does, L1 may undo nothing."""
        return ()

    @abstractmethod
    def strike(self, me: AttackSeat) -> None:
        """Begin."""

    @abstractmethod
    def relent(self, me: AttackSeat) -> None:
        """End, and undo what does not last."""

    def run(self, me: AttackSeat) -> Waiting:
        """Wait, strike, wait, relent."""
        yield me.sleep(self.begins)
        me.announce(AttackBegan(me.name))
        self.strike(me)
        yield me.sleep(self.lasts)
        self.relent(me)
        me.announce(AttackEnded(me.name))
