"""Markets: the rules of a venue. ``open()`` gives a Book, the state that the rules keep; the book executes actions (``l2sim.books``).

Law is pure: neither rules nor books know a clock or a log.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import ClassVar

from l2sim.books import Book, Claim, Opening
from l2sim.part import ChainName, Part
from l2sim.state import PriceSource

__all__ = ["Book", "Claim", "Market", "Opening"]


class Market(Part, room="markets"):
    """The rules of a venue on a chain."""

    actions: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The actions it offers, each with the names of up to three numeric fields; the order gives the codes."""
    gas: ClassVar[Mapping[str, int]] = {}
    """Gas that each action uses."""
    size: ClassVar[Mapping[str, int]] = {}
    """Bytes that each action takes in a batch, after compression."""

    compiles: ClassVar[bool] = False
    """Whether its book ships a kernel, so that blocks can be executed by compiled code."""
    within: ClassVar[Collection[str]] = ()
    """Actions that only a transaction of several steps can make, such as borrowing what is paid back at its end."""

    on: ChainName
    """The chain it lives on."""

    @abstractmethod
    def open(self, opening: Opening) -> Book:
        """An empty book under these rules."""

    @abstractmethod
    def underlying(self) -> str:
        """What it is about: the name of a price, or of a feed market on the same chain."""

    def assets(self) -> tuple[str, ...]:
        """The assets that it moves."""
        return ("usd",)

    def brings(self, source: Callable[[str], PriceSource]) -> Mapping[str, float]:
        """What it holds of its own when it opens, by asset; minted into its account. ``source`` is that of ``Opening``."""
        return {}
