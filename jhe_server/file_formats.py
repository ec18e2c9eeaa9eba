"""Tables as files: Parquet, CSV and lines of JSON, written batch by batch, whatever the length of the table.

What is written are the batches of the Arrow stream itself, so a file has the columns and values of a frame.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from .arrow_stream import stream
from .columns import Table

GROUP = 100_000  # rows of a Parquet row group
# A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA = r"^[=+\-@\t\r\n]"
RFC_3339 = "%Y-%m-%dT%H:%M:%S"


def rows_of(table: Table) -> Any:
    """The table's Arrow stream as a reader of record batches."""
    import pyarrow as pa

    return pa.ipc.open_stream(io.BufferedReader(_Chunks(stream(table))))


class _Chunks(io.RawIOBase):
    """Chunks of bytes as a file that is read once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


# ------------------------------------------------------------------ formats
def write_parquet(reader: Any, file: IO[bytes]) -> int:
    """The columns with their types; answers how many rows."""
    import pyarrow.parquet as pq

    written = 0
    with pq.ParquetWriter(file, reader.schema, compression="zstd") as writer:
        for group in _groups(reader):
            writer.write_table(group)
            written += group.num_rows
    return written


def _groups(reader: Any) -> Iterator[Any]:
    import pyarrow as pa

    waiting: list[Any] = []
    for batch in reader:
        waiting.append(batch)
        if sum(one.num_rows for one in waiting) >= GROUP:
            yield pa.Table.from_batches(waiting).unify_dictionaries()
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting).unify_dictionaries()


def write_csv(reader: Any, file: IO[bytes]) -> int:
    """UTF-8, a header, times in RFC 3339; texts are quoted, what is null is empty, and no text is a formula."""
    import pyarrow.csv

    written = 0
    with pyarrow.csv.CSVWriter(file, _as_text(reader.schema.empty_table()).schema) as writer:
        for batch in reader:
            writer.write(_defused(_as_text(batch)))
            written += batch.num_rows
    return written


def write_ndjson(reader: Any, file: IO[bytes]) -> int:
    """An object a line, with the names of the columns."""
    return write_lines((row for batch in reader for row in _as_text(batch).to_pylist()), file)


def write_lines(found: Iterable[Any], file: IO[bytes]) -> int:
    written = 0
    for one in found:
        file.write(json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        written += 1
    return written


WRITERS: dict[str, Callable[[Any, IO[bytes]], int]] = {
    "parquet": write_parquet,
    "csv": write_csv,
    "ndjson": write_ndjson,
}


# ------------------------------------------------------------------ cells
def _as_text(batch: Any) -> Any:
    """The batch with its words and times as texts; numbers stay numbers."""
    import pyarrow as pa

    arrays = [_texts(array) for array in batch.columns]
    return pa.Table.from_arrays(arrays, names=batch.schema.names)


def _texts(array: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        return array.cast(pa.string())
    if pa.types.is_timestamp(array.type):
        moments = pc.strftime(array.cast(pa.timestamp("us")), RFC_3339)  # naive: no time zone database is asked
        return pc.binary_join_element_wise(moments, "Z", "")
    return array


def _defused(table: Any) -> Any:
    """Texts that a spreadsheet would calculate begin with an apostrophe instead; a negative number is no formula."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for at, column in enumerate(table.columns):
        if pa.types.is_string(column.type):
            safe = pc.if_else(
                pc.match_substring_regex(column, FORMULA), pc.binary_join_element_wise("'", column, ""), column
            )
            table = table.set_column(at, table.schema.field(at), safe)
    return table
