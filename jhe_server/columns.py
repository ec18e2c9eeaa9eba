"""Rows on their way into an Arrow stream: named columns of a kind, batches made as the reader takes them.

A batch comes as tuples, or packed: columns whose buffers are compressed already and leave as they are. pyarrow is
imported when the first stream is asked for, not when the server starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from .arrow_messages import Message, Part, after_schema

ARROW = {"int": "int64", "double": "float64", "text": "string", "bool": "bool_", "date": "date32", "short": "int16"}


@dataclass(frozen=True)
class Column:
    """`kind`: int, short (16 bits), double, text, bool, date, time (UTC, microseconds), word (a dictionary of few)."""

    name: str
    kind: str

    @property
    def buffers(self) -> int:
        """How many buffers its values travel in: which are there, (where each begins,) the values."""
        return 3 if self.kind == "text" else 2


@dataclass(frozen=True)
class Packed:
    """A batch whose columns are compressed already; one that it does not have is null throughout.

    The values of a word column are numbers of its words, counted from 0 in `words[name]`.
    """

    rows: int
    parts: Mapping[str, Part]
    words: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Table:
    """What an Arrow stream is made of: `batches` yields lists of tuples, one value per column, or packed batches.

    `words` are those known beforehand, by column; others may turn up.
    """

    columns: list[Column]
    batches: Iterator[list[tuple[Any, ...]] | Packed]
    words: Mapping[str, Iterable[str]] = field(default_factory=dict)


def stream(table: Table) -> Iterator[bytes]:
    """The table as an Arrow IPC stream, a chunk per batch, lz4-compressed where the codec is there."""
    writer = _Writer(table.columns, table.words)
    yield writer.taken()
    for batch in table.batches:
        if isinstance(batch, Packed):
            writer.write_packed(batch)
        else:
            writer.write(batch)
        yield writer.taken()
    writer.close()
    yield writer.taken()


def packed(columns: list[Column], batch: Any) -> Packed:
    """A `pyarrow.RecordBatch` of these columns, of at least one row, compressed; its words are those in use."""
    arrays, words = [], {}
    for column, array in zip(columns, batch.columns, strict=True):
        if column.kind == "word":
            array, words[column.name] = _indices_and_words(array)
        arrays.append(array)
    return unpacked_message(columns, _message(columns, arrays), words)


def unpacked_message(columns: list[Column], message: Any, words: Mapping[str, Sequence[str]]) -> Packed:
    """What `message_of` wrote, as a packed batch again: nothing is decompressed."""
    read = Message(message)
    parts = read.parts([column.buffers for column in columns])
    return Packed(read.rows, {column.name: part for column, part in zip(columns, parts, strict=True)}, words)


def message_of(columns: list[Column], batch: Packed) -> bytes:
    """A packed batch as one IPC message, to be kept."""
    parts = (batch.parts[column.name] for column in columns)
    return b"".join(_template(tuple(columns)).refilled(batch.rows, parts))


def unpacked(columns: list[Column], batch: Packed) -> Any:
    """The batch as a `pyarrow.RecordBatch`, its words as dictionaries."""
    import pyarrow as pa

    flat = pa.ipc.read_record_batch(pa.py_buffer(message_of(columns, batch)), _flat_schema(columns))
    arrays = [
        pa.DictionaryArray.from_arrays(array, pa.array(batch.words[column.name], pa.string()))
        if column.kind == "word"
        else array
        for column, array in zip(columns, flat.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema(columns))


def record_batch(columns: list[Column], rows: list[tuple[Any, ...]]) -> Any:
    """Tuples as a `pyarrow.RecordBatch`."""
    import pyarrow as pa

    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [_array(column, list(one)) for column, one in zip(columns, values, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema(columns))


def schema(columns: list[Column]) -> Any:
    import pyarrow as pa

    return pa.schema([pa.field(column.name, _type(column.kind)) for column in columns])


class _Writer:
    """One stream; its dictionaries grow as words turn up, and readers are told of the new ones alone."""

    def __init__(self, columns: list[Column], words: Mapping[str, Iterable[str]]) -> None:
        import pyarrow as pa

        self._columns = columns
        self._schema = schema(columns)
        self._sink = _Sink()
        self._writer = pa.ipc.new_stream(self._sink, self._schema, options=_options(deltas=True))
        self._template = _template(tuple(columns))
        self._words: dict[str, dict[str, int]] = {
            column.name: {word: number for number, word in enumerate(words.get(column.name, ()))}
            for column in columns
            if column.kind == "word"
        }
        self._told = -1

    def write(self, rows: list[tuple[Any, ...]]) -> None:
        values = list(zip(*rows, strict=True)) if rows else [()] * len(self._columns)
        self._write([self._numbered(column, one) for column, one in zip(self._columns, values, strict=True)])

    def write_packed(self, batch: Packed) -> None:
        parts = [self._part(column, batch) for column in self._columns]
        if self._told != self._known():  # an empty batch carries the words that have turned up
            self.write([])
        for piece in self._template.refilled(batch.rows, parts):
            self._sink.write(piece)

    def close(self) -> None:
        if self._told < 0:
            self.write([])
        self._writer.close()

    def taken(self) -> bytes:
        return self._sink.taken()

    def _known(self) -> int:
        return sum(len(words) for words in self._words.values())

    def _write(self, arrays: list[Any]) -> None:
        import pyarrow as pa

        for at, column in enumerate(self._columns):
            if column.kind == "word":
                words = pa.array(list(self._words[column.name]), pa.string())
                arrays[at] = pa.DictionaryArray.from_arrays(arrays[at], words)
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._told = self._known()

    def _numbered(self, column: Column, values: Sequence[Any]) -> Any:
        import pyarrow as pa

        if column.kind != "word":
            return _array(column, list(values))
        known = self._words[column.name]
        return pa.array([None if one is None else known.setdefault(one, len(known)) for one in values], pa.int32())

    def _part(self, column: Column, batch: Packed) -> Part:
        part = batch.parts.get(column.name)
        if part is None:
            return _constant(column.kind, None, batch.rows)
        if column.kind != "word":
            return part
        known = self._words[column.name]
        numbers = tuple(known.setdefault(word, len(known)) for word in batch.words[column.name])
        if numbers == tuple(range(len(numbers))):
            return part
        if len(numbers) == 1 and not part.nulls:
            return _constant("word", numbers[0], batch.rows)
        return _renumbered(part, numbers, batch.rows)


# ------------------------------------------------------------------ columns
def _indices_and_words(array: Any) -> tuple[Any, list[str]]:
    """The numbers and the words of a dictionary array, words that no row uses left out."""
    import pyarrow as pa

    words, numbers = array.dictionary.to_pylist(), array.indices.cast(pa.int32())
    used = sorted(numbers.drop_null().unique().to_pylist())
    if len(used) == len(words):
        return numbers, words
    places: list[int | None] = [None] * len(words)
    for place, number in enumerate(used):
        places[number] = place
    return pa.array(places, pa.int32()).take(numbers), [words[number] for number in used]


def _renumbered(part: Part, numbers: Sequence[int], rows: int) -> Part:
    """A word column under other numbers."""
    import pyarrow as pa

    column = Column("word", "word")
    renumbered = pa.array(numbers, pa.int32()).take(_indices(part, rows))
    [part] = Message(_message([column], [renumbered])).parts([column.buffers])
    return part


def _indices(part: Part, rows: int) -> Any:
    """The numbers of a word column, decompressed."""
    import pyarrow as pa

    column = Column("word", "word")
    message = message_of([column], Packed(rows, {"word": part}, {}))
    return pa.ipc.read_record_batch(pa.py_buffer(message), _flat_schema([column])).column(0)


@lru_cache(maxsize=128)
def _template(columns: tuple[Column, ...]) -> Message:
    """A message of these columns whose numbers can be exchanged."""
    return Message(_message(list(columns), [_nulls(column.kind, 1) for column in columns]))


@lru_cache(maxsize=512)
def _constant(kind: str, value: Any, rows: int) -> Part:
    """A column that says the same in every row (a word by its number)."""
    import pyarrow as pa

    column = Column("constant", kind)
    array = _nulls(kind, rows) if value is None else pa.repeat(pa.scalar(value, _flat(kind)), rows)
    [part] = Message(_message([column], [array])).parts([column.buffers])
    return part


def _nulls(kind: str, rows: int) -> Any:
    import pyarrow as pa

    return pa.nulls(rows, _flat(kind))


def _message(columns: list[Column], arrays: list[Any]) -> bytes:
    """Columns, words as their numbers, as one compressed record batch message."""
    import pyarrow as pa

    sink = _Sink()
    flat = _flat_schema(columns)
    writer = pa.ipc.new_stream(sink, flat, options=_options())
    writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=flat))
    return after_schema(sink.taken())


def _flat_schema(columns: list[Column]) -> Any:
    import pyarrow as pa

    return pa.schema([pa.field(column.name, _flat(column.kind)) for column in columns])


def _array(column: Column, values: list[Any]) -> Any:
    import pyarrow as pa

    kind = _type(column.kind)
    if column.kind == "word":
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    if column.kind == "time" and any(isinstance(value, datetime) for value in values):
        return pa.array(values, kind)
    if column.kind == "time":  # microseconds already: no datetime is built only to be taken apart again
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def _flat(kind: str) -> Any:
    """The type of a column whose words are numbers."""
    import pyarrow as pa

    return pa.int32() if kind == "word" else _type(kind)


def _type(kind: str) -> Any:
    import pyarrow as pa

    if kind == "time":
        return pa.timestamp("us", tz="UTC")
    if kind == "word":
        return pa.dictionary(pa.int32(), pa.string())
    return getattr(pa, ARROW[kind])()


def _options(deltas: bool = False) -> Any:
    import pyarrow as pa

    compression = "lz4" if pa.Codec.is_available("lz4_frame") else None
    return pa.ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=deltas)


class _Sink:
    """A file that is emptied after every batch."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
