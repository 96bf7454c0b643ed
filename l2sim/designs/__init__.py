"""Designs: which points of a parameter space a study looks at. The verb is ``points(rng)``; it is pure."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from l2sim.part import Part


class Point(NamedTuple):
    """One variant of a scenario."""

    levels: Mapping[str, float | str]
    """What distinguishes it: for each factor a number, in the unit that ``Design.units`` names, or the name of a level."""
    settings: Mapping[str, Any]
    """What is laid over the scenario: values by dotted path, written as in a file, a path before those that lead further into it."""


class Design(Part, room="designs"):
    """A rule that lays out points."""

    @abstractmethod
    def points(self, rng: np.random.Generator) -> list[Point]:
        """All points, in order; every point has the same factors. ``rng`` belongs to the study's seed and to this purpose alone.

        That there is a point, and no factor has two equal levels, is checked when the design is read. Sampled designs may come to the
        same point twice where their factors have few levels.
        """

    def units(self) -> Mapping[str, str]:
        """The unit of each factor whose levels are numbers: "s", "USD", "ETH", "%" for shares, "" for numbers of things."""
        return {}

    def places(self) -> int:
        """On how many equidistant places every factor moves in trajectories; 0 for designs without any."""
        return 0
