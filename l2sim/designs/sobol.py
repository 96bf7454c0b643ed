"""Sobol: points of low discrepancy, and Saltelli's layout of them for Sobol's indices."""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field

from l2sim.designs.grid import wrong
from l2sim.designs.random import Random


class Blocks(NamedTuple):
    """Which points of Saltelli's layout belong together: numbers of points, row by row of the same base sample."""

    a: range
    """The first matrix."""
    b: range
    """The second."""
    ab: Mapping[str, range]
    """By factor: the first matrix with that factor's column from the second."""


def _power_of_two(size: int) -> int:
    if size & (size - 1):
        near = 1 << (size.bit_length() - 1)
        raise wrong(f"must be a power of two, such as {near} or {2 * near}, not {size}")
    return size


class Sobol(Random):
    """Points of a scrambled Sobol sequence, which fill space evenly; as they are, or laid out so that Sobol's indices can be estimated.

    Saltelli's layout has ``size * (factors + 2)`` points in blocks of ``size``: A, B, and for each factor in its order A with that
    factor's column from B (Saltelli et al. 2010, Computer Physics Communications 181). A and B are the halves of one sequence in twice
    as many dimensions. ``blocks()`` says which point is what, so that with the figure ``f`` by number of point
    ``sobol(f[a], f[b], [f[i] for i in ab.values()])`` of ``l2sim.statistics.sensitivity`` are the indices.
    """

    size: Annotated[int, Field(ge=1), AfterValidator(_power_of_two)]
    """Points of the sequence, a power of two; Saltelli's layout has ``factors + 2`` times as many."""
    layout: Literal["saltelli", "sequence"] = "saltelli"
    """Whether points are laid out for Sobol's indices, or are the sequence itself."""

    def coordinates(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        from scipy.stats.qmc import Sobol as Sequence

        k, saltelli = len(self.factors), self.layout == "saltelli"
        # The scramble needs a generator that can be told apart into others, which one with a key of its own cannot.
        luck = np.random.Generator(np.random.Philox(int(rng.integers(2**63))))
        base = Sequence(2 * k if saltelli else k, scramble=True, rng=luck).random_base2(self.size.bit_length() - 1)
        if not saltelli:
            return np.asarray(base, np.float64)
        a, b = base[:, :k], base[:, k:]
        mixed = [np.where(np.arange(k) == column, b, a) for column in range(k)]
        return np.concatenate([a, b, *mixed])

    def blocks(self) -> Blocks:
        """Which points belong together in Saltelli's layout.

        Raises:
            ValueError: the layout is another.
        """
        if self.layout != "saltelli":
            raise ValueError("Sobol's indices need 'layout: saltelli', not the sequence itself")
        a, b, *mixed = (range(i * self.size, (i + 1) * self.size) for i in range(len(self.factors) + 2))
        return Blocks(a, b, dict(zip(self.factors, mixed, strict=True)))
