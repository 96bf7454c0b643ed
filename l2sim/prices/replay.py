"""A recorded price, replayed."""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np

from l2sim.part import DataName, did_you_mean
from l2sim.prices import Floats, Price, Recording, Times
from l2sim.units import SECOND, Positive, Usd


class Replay(Price):
    """A column of recorded data; between two rows the earlier one holds, and the last holds as long as the one before it."""

    data: DataName
    """Name of the recording in the section ``data``."""
    column: str
    """The column of prices in US dollars."""
    impact: Literal["clean", "contains_impact"]
    """Whether the recorded price already contains what trades like those in the run did to it; then they do not move it again."""
    start: Annotated[Usd, Positive] | None = None
    """Scale the recording so that it starts here; without it, the recorded level."""

    @property
    def contains_impact(self) -> bool:
        return self.impact == "contains_impact"

    def path(
        self,
        rng: np.random.Generator,
        times: Times,
        *,
        family: np.random.Generator | None = None,
        data: Mapping[str, Recording] | None = None,
    ) -> Floats:
        """The recorded prices at ``times``; nothing is drawn.

        Raises:
            ValueError: there is no such recording or column, it does not span the times, or a price in it is not positive.
        """
        recordings = data or {}
        if self.data not in recordings:
            raise ValueError(f"there is no data '{self.data}'{did_you_mean(self.data, recordings)}")
        recording = recordings[self.data]
        if self.column not in recording.columns:
            raise ValueError(f"data '{self.data}' has no column '{self.column}'{did_you_mean(self.column, recording.columns)}")
        recorded, prices = recording.times, recording.columns[self.column]
        if not len(recorded) or recorded[0] > times[0]:
            raise ValueError(f"data '{self.data}' begins after the run does: move its start, or hold the first row back to it")
        last = int(recorded[-1]) + (int(recorded[-1] - recorded[-2]) if len(recorded) > 1 else 0)
        if last < times[-1]:
            ends = f"{last / SECOND:.0f} s, the run after {int(times[-1]) / SECOND:.0f} s"
            raise ValueError(f"data '{self.data}' is too short: it ends after {ends}; shorten the run's duration")
        wrong = np.flatnonzero(~((prices > 0) & np.isfinite(prices)))
        if len(wrong):
            raise ValueError(f"data '{self.data}', column '{self.column}', row {wrong[0] + 1}: {prices[wrong[0]]} is not a price")
        values = prices[np.searchsorted(recorded, times, side="right") - 1].astype(np.float64)
        return values if self.start is None else values * (self.start / values[0])
