"""A table as an Arrow IPC stream: batches made as the reader takes them, packed ones passed on as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .arrow_messages import Part
from .columns import Column, Packed, Table, array_of, schema
from .packing import Sink, constant, options, renumbered, template


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


class _Writer:
    """One stream; its dictionaries grow as words turn up, and readers are told of the new ones alone."""

    def __init__(self, columns: list[Column], words: Mapping[str, Iterable[str]]) -> None:
        import pyarrow as pa

        self._columns = columns
        self._schema = schema(columns)
        self._sink = Sink()
        self._writer = pa.ipc.new_stream(self._sink, self._schema, options=options(deltas=True))
        self._template = template(tuple(columns))
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
            return array_of(column, list(values))
        known = self._words[column.name]
        return pa.array([None if one is None else known.setdefault(one, len(known)) for one in values], pa.int32())

    def _part(self, column: Column, batch: Packed) -> Part:
        part = batch.parts.get(column.name)
        if part is None:
            return constant(column.kind, None, batch.rows)
        if column.kind != "word":
            return part
        known = self._words[column.name]
        numbers = tuple(known.setdefault(word, len(known)) for word in batch.words[column.name])
        if numbers == tuple(range(len(numbers))):
            return part
        if len(numbers) == 1 and not part.nulls:
            return constant("word", numbers[0], batch.rows)
        return renumbered(part, numbers, batch.rows)
