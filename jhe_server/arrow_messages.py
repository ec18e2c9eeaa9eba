"""Record batches of an Arrow IPC stream taken apart and put together without touching what is in them.

A batch on the wire is a small flatbuffer that says how long each column is and where its buffers lie, and a body of
those buffers, compressed one by one. Buffers that were compressed once, when a segment was sealed, can therefore leave
in any number of streams; only the small part is written anew. pyarrow has no call for that, so the few numbers of it
are read and exchanged here. Format: https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

CONTINUATION = 0xFFFFFFFF
ALIGNMENT = 8
_PREFIX = struct.Struct("<II")
_LENGTH = struct.Struct("<q")
_PAIR = struct.Struct("<qq")  # a FieldNode (length, null count) or a Buffer (offset, length)
# Where the fields of the flatbuffer tables Message and RecordBatch stand in their vtables.
_HEADER, _BODY_LENGTH = 2, 3
_ROWS, _NODES, _BUFFERS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Part:
    """One column of a batch: how many of its values are null, and its buffers as they travel."""

    nulls: int
    buffers: tuple[Any, ...]


class Message:
    """One record batch message as pyarrow wrote it, of at least one row; offsets are those of its numbers."""

    def __init__(self, message: Any) -> None:
        data = memoryview(message)
        _, size = _PREFIX.unpack_from(data, 0)
        self._head = bytes(data[: _PREFIX.size + size])
        self._body = data[_PREFIX.size + size :]
        table = _PREFIX.size + _uint(self._head, _PREFIX.size)
        self._body_length = _field(self._head, table, _BODY_LENGTH)
        batch = _pointed(self._head, _field(self._head, table, _HEADER))
        self._rows = _field(self._head, batch, _ROWS)
        self._nodes = _vector(self._head, _field(self._head, batch, _NODES))
        self._buffers = _vector(self._head, _field(self._head, batch, _BUFFERS))

    @property
    def rows(self) -> int:
        return int(_LENGTH.unpack_from(self._head, self._rows)[0])

    def parts(self, widths: Sequence[int]) -> Iterator[Part]:
        """Its columns; `widths` says how many buffers each has."""
        first, _ = self._buffers
        at = 0
        for column, width in enumerate(widths):
            _, nulls = _PAIR.unpack_from(self._head, self._nodes[0] + column * _PAIR.size)
            places = (_PAIR.unpack_from(self._head, first + (at + i) * _PAIR.size) for i in range(width))
            yield Part(nulls, tuple(self._body[offset : offset + length] for offset, length in places))
            at += width

    def refilled(self, rows: int, parts: Iterable[Part]) -> Iterator[Any]:
        """The bytes of a batch of the same schema made of other columns."""
        head = bytearray(self._head)
        body: list[Any] = []
        node, buffer, offset = self._nodes[0], self._buffers[0], 0
        for part in parts:
            _PAIR.pack_into(head, node, rows, part.nulls)
            node += _PAIR.size
            for one in part.buffers:
                _PAIR.pack_into(head, buffer, offset, len(one))
                buffer += _PAIR.size
                padding = -len(one) % ALIGNMENT
                body += (one, bytes(padding)) if padding else (one,)
                offset += len(one) + padding
        _LENGTH.pack_into(head, self._rows, rows)
        _LENGTH.pack_into(head, self._body_length, offset)
        yield bytes(head)
        yield from body


def after_schema(stream: bytes) -> bytes:
    """What follows the schema, which every stream begins with and which has no body."""
    _, size = _PREFIX.unpack_from(stream, 0)
    return stream[_PREFIX.size + size :]


def _uint(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _field(data: bytes, table: int, index: int) -> int:
    """Where a field of a flatbuffer table lies: the table points back at its vtable, which tells."""
    vtable = table - int.from_bytes(data[table : table + 4], "little", signed=True)
    place = vtable + 4 + 2 * index
    return table + int.from_bytes(data[place : place + 2], "little")


def _pointed(data: bytes, at: int) -> int:
    return at + _uint(data, at)


def _vector(data: bytes, at: int) -> tuple[int, int]:
    """Where a vector's first element lies, and how many there are."""
    start = _pointed(data, at)
    return start + 4, _uint(data, start)
