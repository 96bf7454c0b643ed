"""A spool: columns that grow on disk instead of in memory, and are read back as if they were in memory."""

from collections.abc import Iterator, Sequence
from os import SEEK_END
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import numpy.typing as npt


class Spool:
    """Columns of one length, each in a temporary file of its own, which goes away with the spool."""

    def __init__(self, dtypes: Sequence[np.dtype[Any]]) -> None:
        self._dtypes = dtypes
        self._files = [TemporaryFile(prefix="l2sim-") for _ in dtypes]  # noqa: SIM115  # open for as long as the spool lives
        self._rows = 0

    def __del__(self) -> None:
        for file in self._files:
            file.close()

    def add(self, columns: Sequence[npt.NDArray[Any]]) -> None:
        """Append rows.

        Raises:
            OSError: the disk is full.
        """
        for file, column in zip(self._files, columns, strict=True):
            file.seek(0, SEEK_END)
            file.write(column.data)
        self._rows += len(columns[0])

    def read(self, column: int, rows: int) -> Iterator[npt.NDArray[Any]]:
        """A column, so many rows at a time."""
        file, dtype = self._files[column], self._dtypes[column]
        for start in range(0, self._rows, rows):
            file.seek(start * dtype.itemsize)
            yield np.frombuffer(file.read(rows * dtype.itemsize), dtype)

    def columns(self) -> list[npt.NDArray[Any]]:
        """All rows so far, mapped into memory page by page as they are read."""
        for file in self._files:
            file.flush()
        return [np.memmap(file, dtype, "r", shape=(self._rows,)) for file, dtype in zip(self._files, self._dtypes, strict=True)]
