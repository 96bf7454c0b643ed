"""Recordings: series and tables from the user's own CSV or parquet files, read with care and refused with the row that is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.part import Part
from l2sim.prices import Recording
from l2sim.scenario.tables import RecordingError, fingerprint, instants, numbers, table
from l2sim.units import DURATION, Duration, Positive, Usd

Times = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[np.float64]]


class Data(Part):
    """A recorded series: which file, which columns, and what to do where it has gaps. Without ``time``, a table, such as one of loans."""

    file: str
    """CSV (also gzipped) or parquet, relative to the scenario file or else to the folder where the command runs."""
    columns: Annotated[dict[str, str] | list[str], Field(min_length=1)]
    """Names to use in the scenario and the columns of the file behind them, or a list where they are the same."""
    time: str | None = None
    """The column of instants: ISO 8601 text, or seconds, milliseconds, microseconds or nanoseconds since 1970. Without one, the rows are
    not in time: each is about another account, say."""
    unit: Annotated[Usd, Positive] = 1.0
    """What a 1 in the file is worth: '1 USD', or '0.00000001 USD' for a feed with eight decimals."""
    timezone: str = "UTC"
    """Time zone of instants that state none, such as 'Europe/Berlin'."""
    since: str | int | None = Field(default=None, alias="from")
    """The instant at which the run starts, written as in the file; without it, that of the first row."""
    gaps: Literal["error", "hold", "interpolate"] = "error"
    """Where values are missing: refuse the file, hold the last value, or draw a straight line."""
    gap: Annotated[Duration, Positive] | None = None
    """Longest time between two rows that is no gap; without it, three times the median."""
    sha256: str = ""
    """Digest of the file, filled in when a scenario is loaded; a file that has changed since is refused."""

    @model_validator(mode="after")
    def _of_a_series(self) -> "Data":
        if self.time is None and (self.since is not None or self.gap is not None or self.gaps != "error"):
            raise PydanticCustomError(
                "time", "'from', 'gap' and 'gaps' are about instants: say under 'time' where these are, or leave them out"
            )  # fmt: skip
        return self

    def named(self) -> dict[str, str]:
        """Name in the scenario -> column in the file."""
        return self.columns if isinstance(self.columns, dict) else {name: name for name in self.columns}

    def load(self, duration: int = 0) -> Recording:
        """Read the file; ``duration`` is the length of the run (ns), which the recording has to cover unless gaps are held.

        Raises:
            RecordingError: the file, a row or a cell cannot be used.
        """
        path = Path(self.file)
        if self.sha256 and fingerprint(path) != self.sha256:
            raise RecordingError(f"{self.file} is not what it was ('sha256' differs); leave 'sha256' out to use it as it is")
        if self.time is None:
            return self._table(path)
        cells, place = table(path, [self.time, *self.named().values()])
        times = instants(cells[self.time], self.timezone, place)
        columns = {name: numbers(cells[column], place) for name, column in self.named().items()}
        self._ordered(times, place)
        there = ~np.logical_or.reduce([np.isnan(values) for values in columns.values()])
        if not there.all() and (self.gaps == "error" or not there.any()):
            row = int(np.argmin(there))
            column = next(self.named()[name] for name, values in columns.items() if np.isnan(values[row]))
            raise RecordingError(f"{place(row)}: column '{column}' has no value; fill it in, or write 'gaps: hold' or 'gaps: interpolate'")
        rows = np.flatnonzero(there)
        times, columns = times[rows], {name: values[rows] * self.unit for name, values in columns.items()}
        return self._covering(times, columns, duration, lambda i: place(int(rows[i])))

    def _table(self, path: Path) -> Recording:
        """The columns of a file whose rows are not in time; every cell has a value."""
        cells, place = table(path, list(self.named().values()))
        columns = {name: numbers(cells[column], place) * self.unit for name, column in self.named().items()}
        for name, values in columns.items():
            if np.isnan(values).any():
                row = int(np.argmax(np.isnan(values)))
                raise RecordingError(f"{place(row)}: column '{self.named()[name]}' has no value; fill it in, with 0 where there is none")
        return Recording(np.zeros(0, np.int64), columns)

    def _ordered(self, times: Times, place: Callable[[int], str]) -> None:
        early = np.flatnonzero(np.diff(times) <= 0) + 1
        if len(early):
            row = int(early[0])
            what = "the same instant as" if times[row] == times[row - 1] else "earlier than"
            raise RecordingError(f"{place(row)}: '{self.time}' is {what} in the row before; sort the rows, each instant once")

    def _covering(self, times: Times, columns: Columns, duration: int, place: Callable[[int], str]) -> Recording:
        """The part of the rows that a run of that duration needs, on the run's clock, its gaps dealt with."""
        usual = int(np.median(np.diff(times))) if len(times) > 1 else 0
        longest = self.gap if self.gap is not None else 3 * usual
        start = self._start(times)
        first = int(np.searchsorted(times, start, side="right")) - 1
        last = min(int(np.searchsorted(times, start + duration)) + 1, len(times)) if duration else len(times)
        times = np.maximum(times[first:last] - start, 0)
        columns = {name: values[first:last] for name, values in columns.items()}
        remedy = f"longest allowed is {DURATION.write(longest)}: fill it, raise 'gap', or write 'gaps: hold' or 'gaps: interpolate'"
        wide = np.flatnonzero(np.diff(times) > longest)
        if len(wide) and self.gaps == "error":
            row = int(wide[0])
            gap = DURATION.write(int(times[row + 1] - times[row]))
            raise RecordingError(f"{place(first + row + 1)}: a gap of {gap} before this row; {remedy}")
        end = int(times[-1])
        if end + longest < duration and self.gaps != "hold":
            raise RecordingError(
                f"{self.file} ends {DURATION.write(end)} after the run starts, but the run lasts {DURATION.write(duration)}: "
                "shorten 'duration', start earlier by 'from', or write 'gaps: hold'"
            )
        more = [np.arange(times[i] + usual, times[i + 1], usual, dtype=np.int64) for i in wide] if self.gaps == "interpolate" else []
        if end < duration:
            more.append(np.array([duration], np.int64))
        filled = np.union1d(times, np.concatenate(more)).astype(np.int64) if more else times
        return Recording(filled, {name: np.interp(filled, times, values) for name, values in columns.items()})

    def _start(self, times: Times) -> int:
        if self.since is None:
            return int(times[0])
        import pandas as pd

        start = int(instants(pd.Series([str(self.since)]), self.timezone, lambda i: "'from'")[0])
        if not times[0] <= start <= times[-1]:
            ends = " to ".join(pd.Timestamp(int(time), tz="UTC").isoformat() for time in (times[0], times[-1]))
            raise RecordingError(f"{self.file}: 'from: {self.since}' is outside the recording, which goes from {ends}")
        return start
