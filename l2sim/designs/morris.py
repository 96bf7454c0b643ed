"""Morris: trajectories on which one factor moves at a time, for elementary effects."""

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field

from l2sim.designs.grid import wrong
from l2sim.designs.random import Random


def _even(levels: int) -> int:
    if levels % 2:
        raise wrong(f"must be an even number, such as {levels + 1}, not {levels}")
    return levels


class Morris(Random):
    """Trajectories for elementary effects (Morris 1991, Technometrics 33): each is a random start and one move of each factor.

    Every factor is on a grid of ``levels`` places between its least and its greatest; a move is ``levels / (2 (levels - 1))`` of the whole
    range, up or down. There are ``size * (factors + 1)`` points, trajectory by trajectory. ``trajectories()`` are their numbers;
    ``coordinates(rng)`` are the places between 0 and 1 that ``l2sim.statistics.sensitivity.morris`` takes.
    """

    size: Annotated[int, Field(ge=1)]
    """How many trajectories; each has one point more than there are factors."""
    levels: Annotated[int, Field(ge=2), AfterValidator(_even)] = 4
    """Places of each factor, an even number."""

    def coordinates(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        k, move = len(self.factors), self.levels // 2
        paths = np.empty((self.size, k + 1, k), np.int64)
        for path in paths:
            start = rng.integers(move, size=k)  # low enough to go up
            upwards = rng.random(k) < 0.5
            turn = np.empty(k, np.int64)
            turn[rng.permutation(k)] = np.arange(k)  # when each factor moves
            moved = np.arange(k + 1)[:, None] > turn
            path[:] = start + move * (moved == upwards)
        places: npt.NDArray[np.float64] = paths.reshape(-1, k) / (self.levels - 1)
        return places

    def places(self) -> int:
        return self.levels

    def trajectories(self) -> list[range]:
        """The numbers of the points of each trajectory."""
        length = len(self.factors) + 1
        return [range(i * length, (i + 1) * length) for i in range(self.size)]
