"""Rows on their way into an Arrow stream: named columns of a kind, batches of tuples made as the reader takes them.

pyarrow is imported when the first stream is asked for, not when the server starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

ARROW = {"int": "int64", "double": "float64", "text": "string", "bool": "bool_", "date": "date32", "short": "int16"}


@dataclass(frozen=True)
class Column:
    """`kind`: int, short (16 bits), double, text, bool, date, time (UTC, microseconds), word (a dictionary of few)."""

    name: str
    kind: str


@dataclass(frozen=True)
class Table:
    """What an Arrow stream is made of: `batches` yields lists of tuples, one value per column."""

    columns: list[Column]
    batches: Iterator[list[tuple[Any, ...]]]


def stream(table: Table) -> Iterator[bytes]:
    """The table as an Arrow IPC stream, a chunk per batch, lz4-compressed where the codec is there."""
    import pyarrow as pa

    schema = pa.schema([pa.field(column.name, _type(pa, column.kind)) for column in table.columns])
    sink = _Sink()
    options = pa.ipc.IpcWriteOptions(compression="lz4" if pa.Codec.is_available("lz4_frame") else None)
    writer = pa.ipc.new_stream(sink, schema, options=options)
    yield sink.taken()
    for rows in table.batches:
        writer.write_batch(_batch(pa, schema, table.columns, rows))
        yield sink.taken()
    writer.close()
    yield sink.taken()


def _batch(pa: Any, schema: Any, columns: list[Column], rows: list[tuple[Any, ...]]) -> Any:
    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [_array(pa, column, list(column_values)) for column, column_values in zip(columns, values, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(pa: Any, column: Column, values: list[Any]) -> Any:
    kind = _type(pa, column.kind)
    if column.kind == "word":
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    if column.kind == "time" and any(isinstance(value, datetime) for value in values):
        return pa.array(values, kind)
    if column.kind == "time":  # microseconds already: no datetime is built only to be taken apart again
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def _type(pa: Any, kind: str) -> Any:
    if kind == "time":
        return pa.timestamp("us", tz="UTC")
    if kind == "word":
        return pa.dictionary(pa.int32(), pa.string())
    return getattr(pa, ARROW[kind])()


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
