"""Columns of a promised dtype, empty or not, from JSON records. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
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


def copied(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame to hand out of one that is kept: what is changed in it changes nothing here.

    From pandas 3 on that costs nothing, since columns are copied when they are written to; before, all of them are.
    """
    copy = frame.copy(deep=int(pd.__version__.partition(".")[0]) < 3)
    copy.attrs = deepcopy(frame.attrs)
    return copy


def memory(frame: pd.DataFrame) -> int:
    """The bytes a frame takes."""
    return int(frame.memory_usage(index=False).sum())


def snake(name: str) -> str:
    """A JSON key in snake_case.

    >>> snake("telecomEmail"), snake("jheUserId"), snake("birth_date")
    ('telecom_email', 'jhe_user_id', 'birth_date')
    """
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
