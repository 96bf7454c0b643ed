"""Metrics: questions put to the log after the run. The verb is ``measure(log)``."""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from l2sim.part import Part

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class Metric(Part, room="metrics"):
    """A question whose answer is a Series of named figures, or a DataFrame with one row per subject."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Optional columns of the log that the question needs."""
    units: ClassVar[dict[str, str]] = {}
    """Unit of each figure, by its name or by the last word of its name."""

    @abstractmethod
    def measure(self, log: "Log") -> "pd.Series | pd.DataFrame":
        """The answer; a figure without any observation is NaN, never zero."""
