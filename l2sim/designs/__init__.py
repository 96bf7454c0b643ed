"""Designs: which points of a parameter space a study looks at. The verb is ``points(rng)``; it is pure."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from l2sim.part import Part


class Point(NamedTuple):
    """One variant of a scenario."""

    levels: Mapping[str, float | str]
    """What distinguishes it: for each factor a number in base units, or the name of a level."""
    settings: Mapping[str, Any]
    """What is laid over the scenario: values by dotted path, written as in a file."""


class Design(Part, room="designs"):
    """A rule that lays out points."""

    @abstractmethod
    def points(self, rng: np.random.Generator) -> list[Point]:
        """All points, in order; every point has the same factors. ``rng`` belongs to the study's seed and to this purpose alone.

        Raises:
            ValueError: there is no point, or two are the same; the message says which factor and what to write.
        """
