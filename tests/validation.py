"""What validations share: a scenario file run through the event loop, and the rule by which a figure agrees with theory.

A figure agrees when it is within four standard errors of what theory says. It has to be able to disagree: the figure that a
listed modelling mistake would give must be at least eight standard errors away, or the sample is too small to say anything.
Other luck: ``L2SIM_SEED=7 python -m pytest -m validate``.
"""

import os
from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world.world import World

SEED = int(os.environ.get("L2SIM_SEED", "1"))
SCENARIOS = Path(__file__).resolve().parent / "scenarios"
BATCHES = 40


class DisagreementError(AssertionError):
    """The simulator says something else than theory."""


class SampleTooSmallError(AssertionError):
    """The sample could not have told a listed mistake from the truth."""


class Estimate(NamedTuple):
    """A mean and its standard error."""

    mean: float
    error: float
    n: int

    @classmethod
    def of(cls, independent: npt.ArrayLike) -> "Estimate":
        """From independent observations."""
        values = np.asarray(independent, np.float64)
        return cls(float(values.mean()), float(values.std(ddof=1)) / sqrt(len(values)), len(values))

    @classmethod
    def of_run(cls, observations: npt.NDArray[np.float64]) -> "Estimate":
        """From the observations of one run in order of time, which depend on their neighbours: by the means of equal batches."""
        size = len(observations) // BATCHES
        kept = observations[: size * BATCHES]
        _, error, _ = cls.of(kept.reshape(BATCHES, size).mean(axis=1))
        return cls(float(kept.mean()), error, len(kept))


def run(scenario: Scenario, seed: int = SEED, replication: int = 0) -> Log:
    """One run of a scenario through the production event loop."""
    return World(scenario, Streams(seed, replication), recordings=scenario.recordings()).run()


def run_file(name: str, *settings: str, seed: int = SEED, replication: int = 0) -> Log:
    """One run of a file in ``tests/scenarios``, with settings as on the command line."""
    return run(Scenario.load(SCENARIOS / f"{name}.yaml", settings), seed, replication)


def agree(what: str, found: Estimate, expected: float, mistakes: Mapping[str, float]) -> str:
    """Hold an estimate against theory; a line for the table of validations.

    Args:
        what: the name of the check.
        found: the estimate.
        expected: what theory says.
        mistakes: what listed modelling mistakes would give instead, by name.

    Raises:
        DisagreementError: the estimate is more than four standard errors off.
        SampleTooSmallError: a mistake is less than eight standard errors away.
    """
    z = (found.mean - expected) / found.error
    line = f"{what:58} {expected:12.6g} {found.mean:12.6g} {found.error:10.2g} {z:6.2f} {found.n:9,}"
    if not abs(z) <= 4.0:
        raise DisagreementError(line)
    for mistake, value in mistakes.items():
        if not abs(value - expected) >= 8.0 * found.error:
            away = abs(value - expected) / found.error
            raise SampleTooSmallError(f"{what}: '{mistake}' would give {value:g}, only {away:.1f} standard errors from {expected:g}")
    return line


def equal(what: str, found: float, expected: float, tolerance: float = 1e-9) -> str:
    """Hold an exact figure against theory, within a relative tolerance; a line for the table of validations.

    Raises:
        DisagreementError: it is another.
    """
    line = f"{what:58} {expected:12.10g} {found:12.10g}"
    if not abs(found - expected) <= tolerance * abs(expected):
        raise DisagreementError(line)
    return line
