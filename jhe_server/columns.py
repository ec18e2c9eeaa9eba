"""Columns of rows on their way into an Arrow stream: their names and kinds, and rows as batches of them.

pyarrow is imported when the first stream is asked for, not when the server starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .arrow_messages import Part

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


def record_batch(columns: list[Column], rows: list[tuple[Any, ...]]) -> Any:
    """Tuples as a `pyarrow.RecordBatch`."""
    import pyarrow as pa

    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [array_of(column, list(one)) for column, one in zip(columns, values, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema(columns))


def schema(columns: list[Column]) -> Any:
    import pyarrow as pa

    return pa.schema([pa.field(column.name, arrow_type(column.kind)) for column in columns])


def array_of(column: Column, values: list[Any]) -> Any:
    import pyarrow as pa

    kind = arrow_type(column.kind)
    if column.kind == "word":
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    if column.kind == "time" and any(isinstance(value, datetime) for value in values):
        return pa.array(values, kind)
    if column.kind == "time":  # microseconds already: no datetime is built only to be taken apart again
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def flat(kind: str) -> Any:
    """The type of a column whose words are numbers."""
    import pyarrow as pa

    return pa.int32() if kind == "word" else arrow_type(kind)


def arrow_type(kind: str) -> Any:
    import pyarrow as pa

    if kind == "time":
        return pa.timestamp("us", tz="UTC")
    if kind == "word":
        return pa.dictionary(pa.int32(), pa.string())
    return getattr(pa, ARROW[kind])()
