"""Arrow streams as typed frames: read while they arrive, converted a column at a time, a million rows in a blink."""

from __future__ import annotations

from collections.abc import Mapping
from io import RawIOBase
from typing import Any

import numpy as np
import pandas as pd

from .dtypes import TEXT, column, snake

FEW = 64  # words; up to so many, looking for each is quicker than counting all


def read_table(stream: RawIOBase | bytes) -> Any:
    """The rows of an Arrow IPC stream as a `pyarrow.Table`; of a stream still arriving, each batch as it comes."""
    import pyarrow as pa

    # One thread decompresses while the next bytes are on their way; more of them only wait for one another.
    with pa.ipc.open_stream(stream, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
        return reader.read_all()


def from_arrow(
    stream: RawIOBase | bytes, schema: Mapping[str, str], renamed: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """An Arrow IPC stream as a frame with exactly the columns and dtypes of `schema`; what is missing there is null.

    Column names are taken in snake_case, whichever way the stream spells them; `renamed` maps the stream's to ours.
    """
    table = read_table(stream)
    names = [snake(name) for name in table.column_names]
    return from_table(table.rename_columns([(renamed or {}).get(name, name) for name in names]), schema)


def from_table(table: Any, schema: Mapping[str, str]) -> pd.DataFrame:
    """A `pyarrow.Table` as a frame with exactly the columns and dtypes of `schema` (as in `dtypes.column`).

    >>> import pyarrow as pa
    >>> frame = from_table(pa.table({"id": [1, 2]}), {"id": "int64", "time": "utc"})
    >>> frame.dtypes.astype(str).to_dict()
    {'id': 'int64', 'time': 'datetime64[us, UTC]'}
    """
    rows, there = table.num_rows, set(table.column_names)
    columns = {
        name: _column(table[name], kind) if name in there else _absent(rows, kind) for name, kind in schema.items()
    }
    return pd.DataFrame(columns, copy=False)  # every column is its own already


def _absent(rows: int, kind: str) -> Any:
    return pd.Series(column([None], kind)).array.repeat(rows)


def _column(values: Any, kind: str) -> Any:
    """One column in the dtype of `kind`, without a look at single values."""
    import pyarrow as pa

    if kind == "category":
        return categories(values)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    match kind:
        case "utc":
            return _writable(values.cast(pa.timestamp("us", tz="UTC")))
        case "date" | "local":
            return _writable(values.cast(pa.timestamp("us")))
        case "text":
            return values.cast(pa.string()).to_pandas().astype(TEXT)
        case "object":
            return values.to_pandas().astype(object)
        case "Int16" | "Int64":
            return _integers(values.cast(kind.lower()))
        case "boolean":
            return values.cast("bool").to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
        case _:
            return _writable(values.cast({"float64": "double"}.get(kind, kind)))


def _writable(values: Any) -> Any:
    """Numbers and times as pandas holds them; a single chunk would be a view of what Arrow keeps, and read-only."""
    found = values.to_pandas()
    return found.copy() if values.num_chunks == 1 else found


def _integers(values: Any) -> Any:
    null = values.is_null().to_numpy() if values.null_count else np.zeros(len(values), dtype=bool)
    return pd.arrays.IntegerArray(np.array(values.fill_null(0)), np.array(null))


def categories(values: Any) -> pd.Categorical:
    """Words as a Categorical: the words in use, sorted, whatever dictionaries the batches came with.

    >>> import pyarrow as pa
    >>> words = pa.chunked_array([pa.array(["b", None]).dictionary_encode(), pa.array(["a", "b"]).dictionary_encode()])
    >>> found = categories(words)
    >>> found.tolist(), found.categories.tolist()
    (['b', nan, 'a', 'b'], ['a', 'b'])
    """
    import pyarrow as pa

    if not pa.types.is_dictionary(values.type):
        values = values.cast(pa.string()).dictionary_encode()
    values = values.unify_dictionaries()
    words = values.chunk(0).dictionary.to_pylist() if values.num_chunks else []
    order = sorted(range(len(words)), key=lambda at: words[at] or "")
    codes = _codes(values, order)
    used = _used(codes, len(words))
    if len(used) < len(words):
        codes, order = _renumbered(codes, used, len(words)), [order[at] for at in used]
    named = pd.Index([words[at] for at in order], dtype=TEXT)
    return pd.Categorical.from_codes(codes, categories=named, validate=False)


def _codes(values: Any, order: list[int]) -> Any:
    """The place of each value's word in `order`, -1 for none; chunk by chunk, so that nothing is put together twice."""
    places = np.full(len(order) + 1, -1, dtype=np.min_scalar_type(-len(order) - 1))
    places[order] = np.arange(len(order))
    codes = np.empty(len(values), dtype=places.dtype)
    row = 0
    for chunk in values.chunks:
        indices = chunk.indices.fill_null(len(order)) if chunk.null_count else chunk.indices
        np.take(places, indices, out=codes[row : row + len(indices)], mode="clip")
        row += len(indices)
    return codes


def _used(codes: Any, words: int) -> list[int]:
    if words <= FEW:
        return [word for word in range(words) if (codes == word).any()]
    return [int(word) for word in np.unique(codes) if word >= 0]


def _renumbered(codes: Any, used: list[int], words: int) -> Any:
    places = np.full(words + 1, -1, dtype=codes.dtype)
    places[used] = np.arange(len(used))
    return places[codes]  # -1, no word, is the last place
