"""Packed batches: columns compressed once, kept as one message, and leaving as they are in any number of streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from .arrow_messages import Message, Part, after_schema
from .columns import Column, Packed, flat, schema


def packed(columns: list[Column], batch: Any) -> Packed:
    """A `pyarrow.RecordBatch` of these columns, of at least one row, compressed; its words are those in use."""
    arrays, words = [], {}
    for column, array in zip(columns, batch.columns, strict=True):
        if column.kind == "word":
            array, words[column.name] = _indices_and_words(array)
        arrays.append(array)
    return unpacked_message(columns, message(columns, arrays), words)


def unpacked_message(columns: list[Column], message: Any, words: Mapping[str, Sequence[str]]) -> Packed:
    """What `message_of` wrote, as a packed batch again: nothing is decompressed."""
    read = Message(message)
    parts = read.parts([column.buffers for column in columns])
    return Packed(read.rows, {column.name: part for column, part in zip(columns, parts, strict=True)}, words)


def message_of(columns: list[Column], batch: Packed) -> bytes:
    """A packed batch as one IPC message, to be kept."""
    parts = (batch.parts[column.name] for column in columns)
    return b"".join(template(tuple(columns)).refilled(batch.rows, parts))


def unpacked(columns: list[Column], batch: Packed) -> Any:
    """The batch as a `pyarrow.RecordBatch`, its words as dictionaries."""
    import pyarrow as pa

    flat = pa.ipc.read_record_batch(pa.py_buffer(message_of(columns, batch)), flat_schema(columns))
    arrays = [
        pa.DictionaryArray.from_arrays(array, pa.array(batch.words[column.name], pa.string()))
        if column.kind == "word"
        else array
        for column, array in zip(columns, flat.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema(columns))


def cut(columns: list[Column], batch: Packed, mask: Any) -> Packed:
    """The rows that a mask marks, at least one, packed again; what says the same in every row is not looked into."""
    import pyarrow as pa

    same = {column.name: part for column in columns if (part := _same(column, batch, mask.true_count)) is not None}
    others = [column for column in columns if column.name not in same]
    flat = pa.ipc.read_record_batch(pa.py_buffer(message_of(others, batch)), flat_schema(others)).filter(mask)
    arrays, words = flat.columns, dict(batch.words)
    for at, column in enumerate(others):
        if column.kind == "word":
            arrays[at], words[column.name] = _used(arrays[at], batch.words[column.name])
    some = unpacked_message(others, message(others, arrays), {})
    return Packed(some.rows, {**same, **some.parts}, words)


def _same(column: Column, batch: Packed, rows: int) -> Part | None:
    """A column that is null throughout, or one word, as so many rows of it."""
    nulls = batch.parts[column.name].nulls
    if nulls == batch.rows:
        return constant(column.kind, None, rows)
    if column.kind == "word" and len(batch.words[column.name]) == 1 and not nulls:
        return constant("word", 0, rows)
    return None


def _indices_and_words(array: Any) -> tuple[Any, list[str]]:
    """The numbers and the words of a dictionary array."""
    return _used(array.indices, array.dictionary.to_pylist())


def _used(numbers: Any, words: Sequence[str]) -> tuple[Any, list[str]]:
    """Numbers of words, and the words, those left out that no row uses: they may be of rows that nobody may read."""
    import pyarrow as pa

    numbers = numbers.cast(pa.int32())
    used = sorted(numbers.drop_null().unique().to_pylist())
    if len(used) == len(words):
        return numbers, list(words)
    places: list[int | None] = [None] * len(words)
    for place, number in enumerate(used):
        places[number] = place
    return pa.array(places, pa.int32()).take(numbers), [words[number] for number in used]


def renumbered(part: Part, numbers: Sequence[int], rows: int) -> Part:
    """A word column under other numbers."""
    import pyarrow as pa

    column = Column("word", "word")
    renumbered = pa.array(numbers, pa.int32()).take(_indices(part, rows))
    [part] = Message(message([column], [renumbered])).parts([column.buffers])
    return part


def _indices(part: Part, rows: int) -> Any:
    """The numbers of a word column, decompressed."""
    import pyarrow as pa

    column = Column("word", "word")
    message = message_of([column], Packed(rows, {"word": part}, {}))
    return pa.ipc.read_record_batch(pa.py_buffer(message), flat_schema([column])).column(0)


@lru_cache(maxsize=128)
def template(columns: tuple[Column, ...]) -> Message:
    """A message of these columns whose numbers can be exchanged."""
    return Message(message(list(columns), [nulls(column.kind, 1) for column in columns]))


@lru_cache(maxsize=512)
def constant(kind: str, value: Any, rows: int) -> Part:
    """A column that says the same in every row (a word by its number)."""
    import pyarrow as pa

    column = Column("constant", kind)
    array = nulls(kind, rows) if value is None else pa.repeat(pa.scalar(value, flat(kind)), rows)
    [part] = Message(message([column], [array])).parts([column.buffers])
    return part


def nulls(kind: str, rows: int) -> Any:
    import pyarrow as pa

    return pa.nulls(rows, flat(kind))


def message(columns: list[Column], arrays: list[Any]) -> bytes:
    """Columns, words as their numbers, as one compressed record batch message."""
    import pyarrow as pa

    sink = Sink()
    flat = flat_schema(columns)
    writer = pa.ipc.new_stream(sink, flat, options=options())
    writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=flat))
    return after_schema(sink.taken())


def flat_schema(columns: list[Column]) -> Any:
    import pyarrow as pa

    return pa.schema([pa.field(column.name, flat(column.kind)) for column in columns])


def options(deltas: bool = False) -> Any:
    import pyarrow as pa

    compression = "lz4" if pa.Codec.is_available("lz4_frame") else None
    return pa.ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=deltas)


class Sink:
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
