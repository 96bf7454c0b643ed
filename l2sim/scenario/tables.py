"""Tables: columns of a user's CSV or parquet file as they are written there, and what their cells mean."""

import gzip
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from l2sim.part import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = (",", ";", "\t", "|")
_MISSING = ("", "nan", "na", "n/a", "null", "none", "-")
# Numbers as instants: below the limit they are read as seconds, milliseconds, microseconds since 1970, above as nanoseconds.
_EPOCH = ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000))
_OFFSET = r".*:.*(?:[Zz]|[+-]\d\d:?\d\d)$"


class RecordingError(Exception):
    """A recording cannot be used; the text names the file, the row and a remedy."""


def fingerprint(path: Path) -> str:
    """The sha256 of a file's content in hex digits.

    Raises:
        RecordingError: it cannot be read.
    """
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise RecordingError(f"{path.as_posix()} cannot be read: {error.strerror}") from None


def table(path: Path, wanted: list[str]) -> "tuple[pd.DataFrame, Callable[[int], str]]":
    """Some columns of a file, text where the file is text, and the place of a row of them in words.

    The separator of CSV is the one that is most frequent in the header; blank lines are passed over.

    Raises:
        RecordingError: the file cannot be read, or lacks a column or any row.
    """
    import pandas as pd
    import pyarrow

    columns = sorted(set(wanted))
    kind = "parquet" if path.suffix in (".parquet", ".pq") else "CSV"
    try:
        if kind == "parquet":
            import pyarrow.parquet

            _require(path, columns, pyarrow.parquet.read_schema(path).names)
            frame, word, first = pd.read_parquet(path, columns=columns), "row", 1
        else:
            opened = gzip.open if path.suffix == ".gz" else open
            with opened(path, "rt", encoding="utf-8-sig") as file:
                header = file.readline()
                separator = max(_SEPARATORS, key=header.count)
                _require(path, columns, [name.strip().strip('"') for name in header.split(separator)])
                file.seek(0)
                frame = pd.read_csv(
                    file, sep=separator, usecols=columns, dtype=str, keep_default_na=False, skip_blank_lines=False, skipinitialspace=True
                )
            frame = frame.fillna("")
            word, first = "line", 2
            frame = frame[~(frame == "").all(axis=1)]
    except UnicodeDecodeError:
        raise RecordingError(f"{path.as_posix()} is not text in UTF-8; save it as CSV in UTF-8 (.csv, .csv.gz) or as parquet") from None
    except (OSError, EOFError, ValueError, pyarrow.ArrowException) as error:
        what = str(getattr(error, "strerror", "") or error).strip().splitlines()[0]
        raise RecordingError(f"{path.as_posix()} cannot be read as {kind}: {what}") from None
    if not len(frame):
        raise RecordingError(f"{path.as_posix()} has a header but no rows")
    lines = frame.index.to_numpy() + first
    return frame.reset_index(drop=True), lambda i: f"{path.as_posix()}, {word} {lines[i]}"


def _require(path: Path, wanted: list[str], known: list[str]) -> None:
    for column in wanted:
        if column not in known:
            raise RecordingError(f"{path.as_posix()} has no column '{column}'{did_you_mean(column, known)}")


def numbers(cells: "pd.Series[Any]", place: Callable[[int], str]) -> npt.NDArray[np.float64]:
    """Cells as numbers, NaN where there is none.

    Raises:
        RecordingError: a cell holds something else.
    """
    import pandas as pd

    if cells.dtype.kind in "iuf":
        values = cells.to_numpy(np.float64, na_value=np.nan)
        wrong = np.isinf(values)
    else:
        values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        absent = cells.isna() | cells.astype(str).str.strip().str.lower().isin(_MISSING)
        wrong = (np.isnan(values) & ~absent.to_numpy(bool)) | np.isinf(values)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise RecordingError(f"{place(i)}: '{cells.iloc[i]}' in column '{cells.name}' is not a number")
    return values


def instants(cells: "pd.Series[Any]", timezone: str, place: Callable[[int], str]) -> npt.NDArray[np.int64]:
    """Cells as nanoseconds since 1970: numbers by their size, text as ISO 8601; ``timezone`` for those that state none.

    Raises:
        RecordingError: a cell is no instant, or the time zone does not exist.
    """
    import pandas as pd

    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RecordingError(f"there is no time zone '{timezone}'; write a name such as 'UTC' or 'Europe/Berlin'") from None
    if cells.dtype.kind != "M":
        values = pd.to_numeric(cells, errors="coerce")
        if values.notna().all():
            scale = next((scale for limit, scale in _EPOCH if abs(float(values.iloc[-1])) < limit), 1)
            exact = values.to_numpy(np.int64) if values.dtype.kind in "iu" else None
            return exact * scale if exact is not None else np.rint(values.to_numpy(np.float64) * scale).astype(np.int64)
        cells = cells.astype(str).str.strip()
        stated = bool(cells.str.match(_OFFSET).any())
        times = pd.to_datetime(cells, format="ISO8601", utc=stated, errors="coerce")
    else:
        times = cells
    if times.dt.tz is None:
        times = times.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    if times.isna().any():
        i = int(np.argmax(times.isna().to_numpy()))
        remedy = "write ISO 8601, as in 2025-11-11T00:00:00Z, or seconds since 1970"
        if timezone != "UTC":
            remedy += f"; where a clock change makes an instant of {timezone} ambiguous, state its offset"
        raise RecordingError(f"{place(i)}: '{cells.iloc[i]}' is not an instant; {remedy}")
    return np.asarray(times.dt.tz_convert("UTC").dt.as_unit("ns").astype("int64"), np.int64)
