"""Tables: a log as files and back, one parquet file for each fact; reading a log opens only the tables that are asked for."""

import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from l2sim import events
from l2sim.log import Log, Names, Table
from l2sim.results.folder import RunNotFound

ABOUT = "about.json"
TABLES = "tables"
"""Which tables belong to a log, among what is known about it."""


def pack(log: Log) -> dict[str, bytes]:
    """The files of a log by name; the same log gives the same bytes."""
    files = {f"{name}.parquet": _pack(log.tables[name], log.names) for name in log}
    files[ABOUT] = json.dumps({**log.about, TABLES: sorted(log)}, indent=1, sort_keys=True, default=_plain).encode() + b"\n"
    return files


def read_log(folder: Path) -> Log:
    """The log that was packed into a folder; its tables are read when they are asked for.

    Raises:
        RunNotFound: it is not there, or (when a table is asked for) a file of it is damaged; the message names it and a remedy.
    """
    log = Log()
    place = folder / ABOUT
    try:
        log.about = json.loads(place.read_text("utf-8"))
    except FileNotFoundError:
        raise RunNotFound(
            f"there is no log in '{folder}': a study keeps figures only, and 'l2sim replay STUDY#RUN' makes a run again"
        ) from None
    except (OSError, ValueError) as error:
        raise _damaged(place, error) from None
    names = log.about.pop(TABLES, None)
    log.tables = _Stored(folder, log.names)
    for name in set(names or ()) - set(log.tables):
        raise _damaged(folder / f"{name}.parquet", FileNotFoundError("it is missing"))
    return log


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"log.about holds a {type(value).__name__}; it must hold numbers, text, lists and mappings")


def _pack(table: Table, names: Names) -> bytes:
    columns: dict[str, pa.Array] = {}
    for name, values in table.arrays(reverted=True).items():
        if table.kinds.get(name) is str:
            present, codes = np.unique(values, return_inverse=True)
            spelt = [names.all[code] for code in present]
            rank = np.argsort(np.argsort(spelt)).astype(np.int16) if spelt else np.zeros(0, np.int16)
            columns[name] = pa.DictionaryArray.from_arrays(pa.array(rank[codes]), pa.array(sorted(spelt), pa.string()))
        else:
            columns[name] = pa.array(values)
    sink = pa.BufferOutputStream()
    about = {"optional": ""} if table.optional else None
    pq.write_table(pa.table(columns, metadata=about), sink, compression="zstd")
    return bytes(sink.getvalue())


def _damaged(path: Path, error: Exception) -> RunNotFound:
    """What is said of a file that is cut off or not what its name says."""
    reason = str(error).partition("\n")[0].rstrip(".")
    return RunNotFound(f"'{path}' is damaged ({reason}): remove '{path.parent.parent}' and run again, which makes that replication again")


def _unpack(path: Path, names: Names) -> Table:
    try:
        stored = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None
    columns: dict[str, Any] = {}
    kinds: dict[str, type] = {}
    for field in stored.schema:
        column = stored.column(field.name).combine_chunks()
        if pa.types.is_dictionary(field.type):
            chunk = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
            codes = np.array([names.code(name) for name in chunk.dictionary.to_pylist()], np.int16)
            columns[field.name] = codes[chunk.indices.to_numpy()]
            kinds[field.name] = str
        else:
            columns[field.name] = column.to_numpy(zero_copy_only=False)
            kinds[field.name] = float if pa.types.is_floating(field.type) else int
    del kinds["time"]
    kinds.pop("canonical", None)
    fact: Any = getattr(events, path.stem, None)
    if fact is None or get_type_hints(fact) != kinds:
        # A fact of another package, or of another version: its columns say what it was.
        fact = type(path.stem, (), {"__annotations__": kinds, "optional": b"optional" in (stored.schema.metadata or {})})
    table = Table(fact, names)
    table.fill(columns)
    return table


class _Stored(MutableMapping[str, Table]):
    """The tables in a folder, each read on first use."""

    def __init__(self, folder: Path, names: Names) -> None:
        self._folder = folder
        self._names = names
        self._read: dict[str, Table] = {}
        self._there = sorted(path.stem for path in folder.glob("*.parquet"))

    def __getitem__(self, name: str) -> Table:
        if name not in self._read:
            if name not in self._there:
                raise KeyError(name)
            self._read[name] = _unpack(self._folder / f"{name}.parquet", self._names)
        return self._read[name]

    def __setitem__(self, name: str, table: Table) -> None:
        self._read[name] = table

    def __delitem__(self, name: str) -> None:
        raise TypeError("a stored log keeps its tables")

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._there, *self._read}))

    def __len__(self) -> int:
        return len({*self._there, *self._read})

    def __contains__(self, name: object) -> bool:
        return name in self._there or name in self._read
