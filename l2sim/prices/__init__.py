"""Prices: what an asset is worth outside, before anybody in the run trades. The verb is ``path(rng, times)``.

A path is drawn once per run over a calendar of instants that no agent can change (block instants, slots, or a ``step``),
so that a world with an attack and the same world without it see the same luck.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.part import Part
from l2sim.units import Duration, Fraction, NotTotalLoss, Positive, Share

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


class Recording(NamedTuple):
    """A recorded series: instants in nanoseconds since the start of the run, strictly increasing, and columns of values.

    A table, whose rows are not in time, has columns and no instants.
    """

    times: Times
    columns: Mapping[str, Floats]


class Shock(Part):
    """A move that happens at a named time, on top of whatever the path does."""

    at: Duration
    """When the move begins, since the start."""
    size: Annotated[Fraction, NotTotalLoss]
    """The relative move, such as -12 %."""
    over: Duration = 0
    """How long it takes; 0 is a jump. The logarithm of the price moves linearly."""


class Price(Part, room="prices"):
    """The outside price of one asset in US dollars."""

    step: Annotated[Duration, Positive] | None = None
    """Draw on a grid of this step and hold between; without it, at the instants of blocks and slots."""
    shocks: dict[str, Shock] = {}
    """Named moves on top of the path."""
    family: str | None = None
    """Name of a common factor shared with other prices on the same grid; two members correlate with the product of their loadings."""
    loading: Annotated[Fraction, Share] = 1.0
    """Correlation with the family's factor, between 0 and 1; used only with a family."""

    @property
    def contains_impact(self) -> bool:
        """Whether the path already contains what trades like those in the run did to it, so that they must not move it again."""
        return False

    @abstractmethod
    def path(
        self,
        rng: np.random.Generator,
        times: Times,
        *,
        family: np.random.Generator | None = None,
        data: Mapping[str, Recording] | None = None,
    ) -> Floats:
        """Prices in US dollars at ``times`` (int64 nanoseconds, increasing, starting at 0), shape (n,).

        ``rng`` is this price's own stream; ``family`` the common factor's, where there is one; ``data`` the recordings.
        """

    def drawn(
        self,
        rng: np.random.Generator,
        times: Times,
        *,
        family: np.random.Generator | None = None,
        data: Mapping[str, Recording] | None = None,
    ) -> Floats:
        """The path at ``times``, on the grid of ``step`` where one is set, with the shocks."""
        if self.step is None:
            values = self.path(rng, times, family=family, data=data)
        else:
            # Whole multiples: np.arange with a step counts in floats, and loses the last point beyond 2^53 ns.
            grid = np.arange(int(times[-1]) // self.step + 1, dtype=np.int64) * self.step
            values = self.path(rng, grid, family=family, data=data)[times // self.step]
        for _, shock in sorted(self.shocks.items()):  # rounding depends on the order of factors
            progress = np.clip((times - shock.at + (shock.over == 0)) / max(shock.over, 1), 0.0, 1.0)
            values = values * (1.0 + shock.size) ** progress
        return values
