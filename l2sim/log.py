"""The log: a columnar, typed, append-only record of what happened. The world writes it, metrics read it."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from functools import partial
from hashlib import sha256
from itertools import chain, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
import numpy.typing as npt

from l2sim.events import TransactionDropped, TransactionIncluded
from l2sim.events.inclusion import TransactionCensored
from l2sim.spool import Spool

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 32_768
_OPEN = 4096
"""Rows of Python numbers that are put into typed columns together: while they are in the processor's cache."""
_IN_MEMORY = 32
"""Chunks of a table that are kept in memory; what is older goes to disk."""
_PIECE = 1_000_000
"""Rows that a digest looks at together."""
LEFT = (TransactionDropped.__name__, TransactionCensored.__name__)
"""Facts about transactions that are in no block, which nothing undoes."""
_DTYPES: dict[type, np.dtype[Any]] = {int: np.dtype(np.int64), float: np.dtype(np.float64), str: np.dtype(np.int16)}

# The one table with a row a transaction is kept narrow: 62 bytes a row.
_NARROW: dict[str, npt.DTypeLike] = {
    "block": np.int32, "sender": np.int32, "gas": np.int32, "chain": np.int8, "status": np.int8, "data_fee": np.float32,
}  # fmt: skip


class Names:
    """Names and the small integers that stand for them in columns."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.all: list[str] = list(names)
        self._codes = {name: code for code, name in enumerate(self.all)}

    def find(self, name: str) -> int:
        """The code of a name, -1 where nothing has that name."""
        return self._codes.get(name, -1)

    def code(self, name: str) -> int:
        """The code of a name, a new one for a new name."""
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self.all)
            self.all.append(name)
        return code


class Table:
    """The rows of one fact: a time and the fact's fields, in chunks of typed columns."""

    def __init__(self, fact: type, names: Names) -> None:
        fields = {name: kind for name, kind in get_type_hints(fact).items() if not name.startswith("_")}
        narrow = _NARROW if fact is TransactionIncluded else {}
        self.fact = fact
        self.optional = getattr(fact, "optional", False) is True
        """Whether it is written for the sake of a metric only, and is no part of what a digest identifies."""
        self.columns = ("time", *fields)
        self.kinds: dict[str, type] = {"time": int, **fields}
        self.dtypes = {name: np.dtype(narrow.get(name, _DTYPES[kind])) for name, kind in self.kinds.items()}
        self._names = names
        self._coded = [i for i, kind in enumerate(self.kinds.values()) if kind is str]
        self._chunks: list[list[npt.NDArray[Any]]] = []
        self._spool: Spool | None = None
        self._length = 0
        self._sealed = 0
        """Rows in chunks."""
        self._open: list[list[Any]] = [[] for _ in self.columns]
        """Python numbers of rows that come after what is in the room."""
        self._spans: list[int] = []
        """How many rows each addition to them had."""
        self._single = [True] * len(self.columns)
        """Whether a column has one number for each addition, which all its rows share."""
        self._room: list[npt.NDArray[Any]] = []
        """Typed columns, the next chunk."""
        self._filled = 0
        self._types = list(self.dtypes.values())
        self._most = min(_OPEN, _CHUNK)
        self.reverted: list[tuple[int, int]] = []
        """Rows start..stop that a reorganisation undid: they happened, but are no part of the canonical history."""
        self.restated: list[tuple[int, int, int]] = []
        """Rows start..stop that belong behind as many which were undone, from a row on: what these said has happened again."""

    def __len__(self) -> int:
        return self._length

    def append(self, time: int, fact: tuple[Any, ...]) -> None:
        """Add one fact."""
        row = [time, *fact]
        for i in self._coded:
            row[i] = self._names.code(row[i])
        for _ in map(list.append, self._open, row):
            pass
        self._spans.append(1)
        self._length += 1
        if len(self._spans) >= self._most:
            self.room(0)

    def extend(self, n: int, *columns: Any) -> None:
        """Add ``n`` rows: for each column a list of numbers, or the one number that all share; ``time`` first, names as codes."""
        for i, (column, more, single) in enumerate(zip(self._open, columns, self._single, strict=True)):
            if type(more) is list:
                if single:
                    self._widen(i)
                column += more
            elif single:
                column.append(more)
            else:
                column += [more] * n
        self._spans.append(n)
        self._length += n
        if self._length - self._sealed - self._filled >= self._most:
            self.room(0)

    def room(self, n: int, least: int | None = None) -> tuple[tuple[npt.NDArray[Any], ...], int]:
        """Typed columns into which the next ``n`` rows may be written, names as codes, and from which place on; then call ``wrote``.

        What was added before is put there first. New columns have room for ``least`` rows, or for a chunk.
        """
        waiting = self._length - self._sealed - self._filled
        if self._room and self._filled + waiting + n > len(self._room[0]):
            self._seal()
        if not self._room:
            self._room = [np.empty(max(_CHUNK if least is None else least, waiting + n), dtype) for dtype in self._types]
        if waiting:
            spans = np.array(self._spans)
            for column, more, single in zip(self._room, self._open, self._single, strict=True):
                numbers = np.fromiter(more, column.dtype, len(more))
                column[self._filled : self._filled + waiting] = np.repeat(numbers, spans) if single else numbers
                more.clear()
            self._spans.clear()
            self._single = [True] * len(self.columns)
            self._filled += waiting
        return tuple(self._room), self._filled

    def wrote(self, n: int) -> None:
        """So many rows were written into ``room``."""
        self._filled += n
        self._length += n

    def _widen(self, i: int) -> None:
        """Give a column a number for each of its rows."""
        self._single[i] = False
        if self._spans:
            self._open[i][:] = chain.from_iterable(map(repeat, self._open[i], self._spans))

    def _seal(self) -> None:
        """Make the room a chunk."""
        self._chunks.append([column[: self._filled] for column in self._room])
        self._sealed += self._filled
        self._room, self._filled = [], 0
        if len(self._chunks) > _IN_MEMORY:
            self._spill()

    def _spill(self) -> None:
        """Move all chunks to disk."""
        if self._spool is None:
            self._spool = Spool(self._types)
        for chunk in self._chunks:
            self._spool.add(chunk)
        self._chunks.clear()

    def __getstate__(self) -> dict[str, Any]:
        columns = [np.array(column) for column in self._whole().values()]
        return self.__dict__ | {"_chunks": [columns], "_room": [], "_spool": None}

    def canonical(self) -> npt.NDArray[np.bool_]:
        """Which rows no reorganisation undid."""
        mask = np.ones(self._length, bool)
        for start, stop in self.reverted:
            mask[start:stop] = False
        return mask

    def arrays(self, reverted: bool = False) -> dict[str, npt.NDArray[Any]]:
        """The columns as arrays; names are codes into ``Log.names``.

        What was undone is left out, or with ``reverted`` it is there, and told apart by a column ``canonical`` where there is any.
        """
        columns = self._whole()
        if not self.reverted:
            return columns
        mask = self.canonical()
        if self.restated:
            places = np.arange(self._length)
            for start, stop, place in self.restated:
                places[start:stop] = places[place : place + stop - start]
            order = np.argsort(places, kind="stable")
            columns, mask = {name: column[order] for name, column in columns.items()}, mask[order]
        return columns | {"canonical": mask} if reverted else {name: column[mask] for name, column in columns.items()}

    def _whole(self) -> dict[str, npt.NDArray[Any]]:
        self._gather_all()
        if self._spool is not None:
            return dict(zip(self.columns, self._spool.columns(), strict=True))
        if len(self._chunks) > 1:
            self._chunks = [[np.concatenate(parts) for parts in zip(*self._chunks, strict=True)]]
        return dict(zip(self.columns, self._chunks[0], strict=True))

    def in_pieces(self, reverted: bool = False) -> Iterator[tuple[str, int, Callable[[], Iterator[npt.NDArray[Any]]]]]:
        """The columns one after the other: name, length, and what reads its numbers some at a time, so that long ones are never whole."""
        if self.reverted:
            for name, values in self.arrays(reverted).items():
                yield name, len(values), partial(iter, [values])
            return
        self._gather_all()
        for i, name in enumerate(self.columns):
            kept = partial(map, itemgetter(i), self._chunks)
            yield name, self._length, kept if self._spool is None else partial(self._spool.read, i, _PIECE)

    def _gather_all(self) -> None:
        """Put every row into a chunk, and where there is a spool, all chunks into it."""
        if self._length > self._sealed or not (self._chunks or self._spool):
            self.room(0, least=0)
            self._seal()
        if self._spool is not None:
            self._spill()

    def put_in_order(self) -> None:
        """Order the rows by time, and those of one time by chain: facts of chains that are worked out ahead or when somebody looks."""
        if self._in_order():
            return
        columns = self.arrays(reverted=True)
        present, codes = np.unique(columns["chain"], return_inverse=True)
        rank = np.argsort(np.argsort([self._names.all[code] for code in present])) if len(present) else present
        order = np.lexsort((rank[codes], columns["time"]))
        self.fill({name: column[order] for name, column in columns.items()})

    def _in_order(self) -> bool:
        """Whether they are, looked at some at a time, so that what is on disk may stay there."""
        if self.reverted:
            return False
        rank = np.argsort(np.argsort(self._names.all))
        read = {name: pieces for name, _, pieces in self.in_pieces() if name in ("time", "chain")}
        time, chain = np.full(1, -1), np.zeros(1, np.int64)
        for times, codes in zip(read["time"](), read["chain"](), strict=True):
            time, chain = np.append(time[-1:], times), np.append(chain[-1:], rank[codes])
            step = np.diff(time)
            if (step < 0).any() or (np.diff(chain)[step == 0] < 0).any():
                return False
        return True

    def fill(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """Become these columns, names already as codes: a table read back from a file."""
        self._chunks = [[columns[name].astype(dtype, copy=False) for name, dtype in self.dtypes.items()]]
        self._spool = None
        self._length = self._sealed = len(columns["time"])
        self.restated.clear()
        if "canonical" in columns:
            edges = np.flatnonzero(np.diff(np.concatenate([[True], columns["canonical"].astype(bool), [True]]))).tolist()
            self.reverted = list(zip(edges[::2], edges[1::2], strict=True))


class Log:
    """Everything that happened in one replication, a table for each fact."""

    def __init__(self) -> None:
        self.names = Names()
        self.tables: MutableMapping[str, Table] = {}
        self._found: dict[type, Table] = {}
        self.about: dict[str, Any] = {}
        """Facts about the run that metrics need: its duration in ns, groups of accounts, last prices."""

    def table(self, fact: type) -> Table:
        """The table of a fact, made when first asked for."""
        table = self._found.get(fact)
        if table is None:
            if not hasattr(fact, "_fields"):
                raise TypeError(f"a fact is a NamedTuple, but this is a {fact.__name__}")
            table = self.tables.get(fact.__name__)
            if table is None:
                table = self.tables[fact.__name__] = Table(fact, self.names)
            self._found[fact] = table
        return table

    def record(self, time: int, fact: tuple[Any, ...]) -> None:
        """Write down a fact that happened at ``time`` (ns)."""
        self.table(type(fact)).append(time, fact)

    def arrays(self, name: str, reverted: bool = False) -> dict[str, npt.NDArray[Any]]:
        """The columns of a table by its fact's name, see ``Table.arrays``; an empty dict where nothing of the kind happened."""
        return self.tables[name].arrays(reverted) if name in self.tables else {}

    def lengths(self) -> dict[str, int]:
        """How many rows each table has."""
        return {name: len(table) for name, table in self.tables.items()}

    def revert(self, before: Mapping[str, int], after: Mapping[str, int]) -> None:
        """Flag the rows between two moments, given by ``lengths``, as undone; who left a mempool meanwhile, or was left out, was."""
        for name, stop in after.items():
            start = before.get(name, 0)
            if stop > start and name not in LEFT:
                self.tables[name].reverted.append((start, stop))

    def restate(self, before: Mapping[str, int], after: Mapping[str, int], since: Mapping[str, int]) -> None:
        """What was flagged between two moments happened again ``since`` a third; optional facts that were not written again stand.

        Raises:
            ValueError: something happened more or less often.
        """
        for name, now in self.lengths().items():
            table, start, stop, again = self.tables[name], before.get(name, 0), after.get(name, 0), since.get(name, 0)
            if (start, stop) not in table.reverted:
                start = stop
            elif table.optional and now == again:
                table.reverted.remove((start, stop))
                continue
            if now - again != stop - start:
                raise ValueError(f"there were {stop - start} of {name}, but {now - again} when it all happened again")
            if now > again:
                table.restated.append((again, now, start))

    def select(self, fact: type, *columns: str, **where: str | None) -> list[npt.NDArray[Any]]:
        """Columns of a fact's table, of the rows whose named fields have these values (None: any); empty where there are none.

        ``submitted, block = log.select(TransactionIncluded, "submitted", "block", chain="arb")``
        """
        table = self.tables.get(fact.__name__) or Table(fact, self.names)
        arrays = table.arrays()
        picked: npt.NDArray[np.bool_] | slice = slice(None)
        for field, name in where.items():
            if name is not None:
                match = arrays[field] == self.names.find(name)
                picked = match if isinstance(picked, slice) else picked & match
        return [arrays[column][picked] for column in columns]

    def present(self, fact: type, field: str) -> list[str]:
        """The names that occur in a field of a fact, sorted."""
        return sorted(self.names.all[code] for code in np.unique(self.select(fact, field)[0]))

    def frame(self, name: str, reverted: bool = False) -> "pd.DataFrame":
        """A table as a DataFrame, names decoded into categories; empty where nothing of the kind happened.

        With ``reverted``, what reorganisations undid is there too, and told apart by a column ``canonical`` where there is any.
        """
        import pandas as pd

        if name not in self.tables:
            return pd.DataFrame()
        table = self.tables[name]
        columns: dict[str, Any] = {}
        for column, values in table.arrays(reverted).items():
            if table.kinds.get(column) is str:
                present, codes = np.unique(values, return_inverse=True)
                columns[column] = pd.Categorical.from_codes(codes, pd.Index([self.names.all[code] for code in present]))
            else:
                columns[column] = values
        return pd.DataFrame(columns)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.tables))

    @property
    def digest(self) -> str:
        """The identity of canonical history: sha256 over all columns, with names spelt out so that codes do not matter."""
        return self._digest(reverted=False)

    @property
    def digest_of_everything(self) -> str:
        """The identity of what happened, with what reorganisations undid."""
        return self._digest(reverted=True)

    def _digest(self, reverted: bool) -> str:
        total = sha256()
        for name in self:
            table = self.tables[name]
            if table.optional:
                continue
            for column, length, pieces in table.in_pieces(reverted):
                total.update(f"{name}.{column}:{length}\n".encode())
                ranks = self._ranks(pieces(), total) if table.kinds.get(column) is str else None
                for piece in pieces():
                    known = piece if ranks is None else ranks[piece]
                    total.update(np.ascontiguousarray(known, known.dtype.newbyteorder("<")).data)
        return total.hexdigest()

    def _ranks(self, pieces: Iterator[npt.NDArray[Any]], total: Any) -> npt.NDArray[np.int64]:
        """Spell the names that occur in a column out to a hash, sorted; for each code, the place of its name among them."""
        found = [np.unique(piece) for piece in pieces]
        present = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
        spelt = [self.names.all[code] for code in present]
        total.update("\n".join(sorted(spelt)).encode())
        ranks = np.zeros(len(self.names.all), np.int64)
        ranks[present] = np.argsort(np.argsort(spelt)) if spelt else 0
        return ranks

    def bytes_a_row(self, name: str) -> int:
        """Bytes that a row of a table takes in memory."""
        return sum(dtype.itemsize for dtype in self.tables[name].dtypes.values())
