"""Columns of a promised dtype, empty or not, from JSON records or from an Arrow stream. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

TEXT = pd.Series(["text"]).dtype  # what this pandas calls a column of text: `str` from 3.0 on, `object` before


def typed(records: Sequence[Mapping[str, Any]], schema: Mapping[str, str]) -> pd.DataFrame:
    """Records as a frame with exactly the columns and dtypes of `schema`, empty or not.

    >>> typed([], {"patient_id": "int64", "time": "utc"}).dtypes.astype(str).to_dict()
    {'patient_id': 'int64', 'time': 'datetime64[us, UTC]'}
    """
    return pd.DataFrame({name: column([one.get(name) for one in records], kind) for name, kind in schema.items()})


def column(values: list[Any], kind: str) -> Any:
    """Values as one column of a dtype, or of our three of time: `utc`, `local` (naive) and `date`; and `text`."""
    match kind:
        case "utc":
            times = pd.to_datetime(pd.Series(values, dtype=object), utc=True, format="ISO8601")
            return times.astype("datetime64[us, UTC]")
        case "date" | "local":
            return pd.Series(np.array([value or "NaT" for value in values], dtype="datetime64[us]"))
        case "text":
            return pd.Series(values, dtype=TEXT)
        case "category":
            return pd.Series(values, dtype=TEXT).astype("category")
        case "object":
            return pd.Series(values, dtype=object)
        case _:
            return pd.Series(values, dtype=kind)


def with_backend(frame: pd.DataFrame, backend: str | None) -> pd.DataFrame:
    """The frame with nullable numpy dtypes, Arrow dtypes, or (None) as it is; ValueError for another backend."""
    if backend is None:
        return frame
    if backend == "pyarrow":
        import pyarrow as pa

        arrow: pd.DataFrame = pa.Table.from_pandas(frame, preserve_index=False).to_pandas(types_mapper=pd.ArrowDtype)
        return arrow
    if backend == "numpy_nullable":
        nullable = {"int64": "Int64", "float64": "Float64", "bool": "boolean", str(TEXT): "string"}
        return frame.astype({name: nullable.get(str(dtype), dtype) for name, dtype in frame.dtypes.items()})
    raise ValueError(f"dtype_backend is 'numpy_nullable', 'pyarrow' or None, not {backend!r}")


def from_arrow(stream: bytes, schema: Mapping[str, str], renamed: Mapping[str, str] | None = None) -> pd.DataFrame:
    """An Arrow IPC stream as a frame with exactly the columns and dtypes of `schema`; what is missing there is null.

    Column names are taken in snake_case, whichever way the stream spells them; `renamed` maps the stream's to ours.
    """
    import pyarrow as pa

    with pa.ipc.open_stream(stream) as reader:
        table = reader.read_all()
    names = {(renamed or {}).get(snake(name), snake(name)): name for name in table.column_names}
    nulls = pa.nulls(table.num_rows)
    return pd.DataFrame(
        {
            name: _arrow_column(table[names[name]] if name in names else pa.chunked_array([nulls]), kind)
            for name, kind in schema.items()
        }
    )


def _arrow_column(values: Any, kind: str) -> Any:
    """One Arrow column in the dtype of `kind`, converted in Arrow: a million rows take milliseconds there."""
    import pyarrow as pa

    if pa.types.is_dictionary(values.type) and kind != "category":
        values = values.cast(values.type.value_type)
    match kind:
        case "utc":
            return values.cast(pa.timestamp("us", tz="UTC")).to_pandas()
        case "date" | "local":
            return values.cast(pa.timestamp("us")).to_pandas()
        case "text":
            return values.cast(pa.string()).to_pandas().astype(TEXT)
        case "category":
            words = values if pa.types.is_dictionary(values.type) else values.cast(pa.string()).dictionary_encode()
            return words.to_pandas()
        case "object":
            return values.to_pandas().astype(object)
        case _:
            dtype = pd.Series([], dtype=kind).dtype
            if kind[0].isupper():
                return values.to_pandas(types_mapper={values.type: dtype}.get).astype(dtype)
            return values.to_pandas().astype(dtype)


def snake(name: str) -> str:
    """A JSON key in snake_case.

    >>> snake("telecomEmail"), snake("jheUserId"), snake("birth_date")
    ('telecom_email', 'jhe_user_id', 'birth_date')
    """
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
