"""Packed batches: what was compressed once leaves in any stream as if it had been written there."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from jhe_server.arrow_stream import stream
from jhe_server.columns import Column, Table, record_batch
from jhe_server.packing import message_of, packed, unpacked, unpacked_message

COLUMNS = [
    Column("id", "int"),
    Column("word", "word"),
    Column("time", "time"),
    Column("value", "double"),
    Column("main", "bool"),
    Column("text", "text"),
    Column("offset", "short"),
]
ROWS: list[tuple[Any, ...]] = [
    (1, "a", 10, 1.5, True, None, 3),
    (2, None, 20, None, None, "ü", None),
    (3, "b", 30, 2.5, False, "", -5),
]
OTHERS: list[tuple[Any, ...]] = [(4, "c", 10, 1.5, True, None, 3), (5, "b", 20, None, None, "ü", None)]


def read(columns: list[Column], *batches: Any, words: dict[str, list[str]] | None = None) -> Any:
    table = pa.ipc.open_stream(b"".join(stream(Table(columns, iter(batches), words or {})))).read_all()
    table.validate(full=True)
    return table


def test_a_message_kept_is_the_batch_again() -> None:
    batch = record_batch(COLUMNS, ROWS)
    sealed = packed(COLUMNS, batch)
    kept = unpacked_message(COLUMNS, message_of(COLUMNS, sealed), sealed.words)
    assert unpacked(COLUMNS, kept).to_pylist() == batch.to_pylist()


def test_a_stream_of_packed_batches_and_rows_is_a_stream_of_rows() -> None:
    batches = (packed(COLUMNS, record_batch(COLUMNS, rows)) for rows in (OTHERS, ROWS))
    first, second = batches
    assert (
        read(COLUMNS, first, ROWS, second, OTHERS).to_pylist()
        == read(COLUMNS, [*OTHERS, *ROWS, *ROWS, *OTHERS]).to_pylist()
    )


def test_columns_that_a_batch_does_not_have_are_null_and_their_order_is_the_streams() -> None:
    wider = [Column("more", "word"), *reversed(COLUMNS), Column("count", "int"), Column("note", "text")]
    table = read(wider, packed(COLUMNS, record_batch(COLUMNS, ROWS)), [("x", *reversed(ROWS[0]), 7, "n")])
    assert table.column_names == [column.name for column in wider]
    assert table.column("more").to_pylist() == [None, None, None, "x"]
    assert table.column("count").to_pylist() == [None, None, None, 7]
    assert table.column("note").to_pylist() == [None, None, None, "n"]
    assert table.column("word").to_pylist() == ["a", None, "b", "a"]


def test_words_known_beforehand_are_told_once() -> None:
    sealed = packed(COLUMNS, record_batch(COLUMNS, ROWS))
    table = read(COLUMNS, sealed, sealed, words={"word": ["z", "b", "a"]})
    assert table.column("word").to_pylist() == ["a", None, "b"] * 2
    assert table.column("word").chunk(0).dictionary.to_pylist() == ["z", "b", "a"]


def test_words_no_row_uses_are_left_out_of_a_packed_batch() -> None:
    cut = record_batch(COLUMNS, ROWS).filter(pa.array([False, True, True]))
    assert packed(COLUMNS, cut).words == {"word": ["b"]}


def test_a_stream_without_batches_has_its_columns() -> None:
    table = read(COLUMNS)
    assert (table.num_rows, table.column_names) == (0, [column.name for column in COLUMNS])
