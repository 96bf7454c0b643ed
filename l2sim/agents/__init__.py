"""Agents: parameters and a will. The verb is ``run(me)``, a generator over what ``me``, a Seat, lets it wait for.

An agent keeps its state in locals of ``run``. Before the clock starts, ``arrive(me)`` brings what it owns and the positions
it holds already. Of the world, an agent knows its seat only.
"""

from abc import abstractmethod
from collections.abc import Collection, Generator, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from l2sim.kernels import Reflex
from l2sim.part import Part
from l2sim.transactions import Receipt
from l2sim.units import Duration
from l2sim.world.seat import Seat

Waiting = Generator[Any, Any, None]


class Agent(Part, room="agents"):
    """Somebody, or a crowd, that acts for as long as the run lasts."""

    reflex: ClassVar[Reflex | None] = None
    """Decides for it at the instant at which a block is made; see ``l2sim.kernels.Reflex``. It needs a field ``market``."""
    stage: ClassVar[int] = 0
    """Who arrives first: lower stages before higher ones; a market maker takes over what crowds brought."""

    roles: ClassVar[tuple[str, ...]] = ()
    """The fields of a rollup that it may stand in, such as ``proposer``; a kind of another package that names none may stand in any whose
    work it can do."""

    contests: ClassVar[bool] = False
    """Whether it contests assertions of others."""
    needs: ClassVar[str] = ""
    """What the settlement of its rollup must have for it to be of use: ``rivals`` of assertions, or a ``market`` for proofs."""

    count: Annotated[int, Field(ge=1)] = 1
    """How many of them there are, each with its own luck and its own accounts."""
    region: str = "us_east"
    """Region of the network it sits in."""
    reaction: Duration = 0
    """Time it takes to decide, between seeing something and sending a message."""

    @property
    def atomic(self) -> bool:
        """Whether it sends transactions of several steps, ``me.submit_steps``; only then do chains keep what these need."""
        return False

    def proposes(self) -> Collection[str]:
        """The rollups, or bridges on them, about which it asserts something that nobody asked for; where it does, L1 may undo nothing."""
        return ()

    def accounts(self) -> int:
        """How many ledger accounts one of them has."""
        return 1

    def arrive(self, me: Seat) -> None:
        """Bring what it owns: ``me.endow`` and ``me.establish``; called once, before the clock starts."""

    def settings(self, me: Seat) -> Sequence[float] | None:
        """What its reflex goes by, called once before the clock starts; None where it does without the reflex."""
        return None

    def answered(self, me: Seat, action: str, receipt: Receipt) -> None:
        """What its reflex wanted was executed, or reverted; called in the order of execution, at the time of the block."""

    @abstractmethod
    def run(self, me: Seat) -> Waiting:
        """Live: yield what ``me`` lets it wait for, act through ``me`` in between."""


def hold(me: Seat, price: str, units: float, threshold: float = 0.0) -> None:
    """Trade outside what is missing to hold that many units there, unless it is worth less than the threshold or a cent (USD)."""
    missing = units - me.balance(me.venue(), price)
    if abs(missing) * me.price(price) > max(threshold, 0.01):
        me.trade(price, missing)
