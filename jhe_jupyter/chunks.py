"""Rows in requests of a size the server takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def chunks(rows: Sequence[T], most: int, size: int, said: Callable[[T], Any] = lambda row: row) -> Iterator[list[T]]:
    """Rows in requests of at most `most` rows and `size` bytes of JSON; a single row larger than that goes alone.

    `said` is what of a row is sent.

    >>> [len(chunk) for chunk in chunks([{"row": number} for number in range(5)], 2, size=1000)]
    [2, 2, 1]
    """
    chunk: list[T] = []
    weight = 0
    for row in rows:
        one = len(json.dumps(said(row)))
        if chunk and (len(chunk) == most or weight + one > size):
            yield chunk
            chunk, weight = [], 0
        chunk.append(row)
        weight += one
    if chunk:
        yield chunk
