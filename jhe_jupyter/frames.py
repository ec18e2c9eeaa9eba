"""Observations as tidy frames: one row each, keys first, then one column per leaf of the Open mHealth body.

Times are UTC; the clock the person saw is beside them where the original says it. Whichever way the rows come, as an
Arrow stream or as FHIR resources, the frame is the same. Pure: rows in, frames out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import RawIOBase
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from .arrow import from_table, read_table
from .columns import EXTRA, KEYS, value_columns
from .dtypes import column, with_backend
from .points import resource_row
from .unit_columns import convert_units

Json = Mapping[str, Any]
LOCAL = "effective_local"
ORDER = ("patient_id", "code", "effective_start", "observation_id")
SENT = {name: kind for name, kind in KEYS.items() if name != LOCAL}


def observations_frame(resources: Iterable[Json], codes: Sequence[str] = ()) -> pd.DataFrame:
    """FHIR Observation resources as a tidy frame, sorted by patient, code, time and id.

    `codes` names the codes asked for, so that an empty answer has their columns too. Keys as in `columns.KEYS`;
    numbers are float64, words and units categories. `descriptive_statistic` is null for readings and says of an
    aggregate what it is. `extra`, JSON text of what a schema does not name, is there only where something is in it.

    >>> from base64 import b64encode
    >>> point = b'''{"header": {"modality": "sensed"}, "body": {"heart_rate": {"value": 61, "unit": "beats/min"},
    ...     "effective_time_frame": {"date_time": "2026-01-01T08:30:00+02:00"}}}'''
    >>> frame = observations_frame([{
    ...     "id": "60001", "status": "final", "subject": {"reference": "Patient/40001"},
    ...     "code": {"coding": [{"code": "omh:heart-rate:2.0"}]}, "meta": {"lastUpdated": "2026-01-01T07:00:00Z"},
    ...     "valueAttachment": {"data": b64encode(point).decode()}}])
    >>> frame.loc[0, ["patient_id", "heart_rate_value", "heart_rate_unit", "utc_offset_minutes"]].map(str).to_list()
    ['40001', '61.0', 'beats/min', '120']
    >>> frame["effective_local"].iloc[0]
    Timestamp('2026-01-01 08:30:00')
    """
    return _framed([resource_row(resource) for resource in resources], codes)


def observations_from_arrow(stream: RawIOBase | bytes, codes: Sequence[str] = ()) -> pd.DataFrame:
    """The same frame from the server's Arrow stream, where values are columns already."""
    table = read_table(stream)
    asked = codes or table["code"].unique().to_pylist()
    schema = SENT | value_columns(asked)
    schema |= {name: _arrow_kind(name, table[name].type) for name in _more(table, schema)}
    return _finished(from_table(table, schema))


def measured_within(frame: pd.DataFrame, since: str | None, until: str | None) -> pd.DataFrame:
    """The rows measured from `since` up to, and not including, `until` (RFC 3339); what has no time is in no span."""
    if since is not None:
        frame = frame[frame["effective_start"] >= pd.Timestamp(since)]
    if until is not None:
        frame = frame[frame["effective_start"] < pd.Timestamp(until)]
    return frame.reset_index(drop=True)


def newest(frame: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    """The `limit` rows created last, in the order of the frame; all of them for None. ValueError for a negative one."""
    if limit is not None and limit < 0:
        raise ValueError(f"limit must not be negative, not {limit}")
    if limit is None or len(frame) <= limit:
        return frame
    last = frame.sort_values(["created", "observation_id"]).index[len(frame) - limit :]
    return frame.loc[last.sort_values()].reset_index(drop=True)


def as_asked(frame: pd.DataFrame, unit: str | None = None, dtype_backend: str | None = None) -> pd.DataFrame:
    """The frame in one unit and in the dtypes asked for; the frame given stays as it is.

    Raises ValueError for a `unit` that nothing in the frame can be turned into, or another `dtype_backend`.
    """
    shown = frame if unit is None else convert_units(frame, unit)
    return with_backend(shown, dtype_backend)


def _framed(rows: list[dict[str, Any]], codes: Sequence[str]) -> pd.DataFrame:
    schema = SENT | value_columns(codes or {row["code"] for row in rows if row["code"] is not None})
    names = dict.fromkeys(chain(schema, chain.from_iterable(rows)))
    values = {name: [row.get(name) for row in rows] for name in names}
    more = {name: _leaf_kind(name, values[name]) for name in names if name not in schema and name != EXTRA}
    kinds = schema | more | ({EXTRA: "text"} if EXTRA in names else {})
    return _finished(pd.DataFrame({name: _column(values[name], kind) for name, kind in kinds.items()}))


def _column(values: list[Any], kind: str) -> Any:
    """As `dtypes.column`, but a time that no calendar knows is no time: one bad row must not hide the others."""
    if kind != "utc":
        return column(values, kind)
    times = pd.to_datetime(pd.Series(values, dtype=object), utc=True, format="ISO8601", errors="coerce")
    return times.astype("datetime64[us, UTC]")


def _more(table: Any, schema: Mapping[str, str]) -> list[str]:
    """What the stream has beside the promised columns, where something is in it; `extra` last."""
    names = [name for name in table.column_names if name not in schema and name != EXTRA]
    rows = table.num_rows
    return [name for name in [*names, EXTRA] if name in table.column_names and table[name].null_count < rows]


def _arrow_kind(name: str, arrow_type: Any) -> str:
    """The dtype of a column nobody promised, from the stream's own type."""
    import pyarrow as pa

    if pa.types.is_floating(arrow_type) or pa.types.is_integer(arrow_type):
        return "float64"
    if pa.types.is_boolean(arrow_type):
        return "boolean"
    if pa.types.is_timestamp(arrow_type) or name.endswith("date_time"):
        return "utc"
    return "category" if pa.types.is_dictionary(arrow_type) else "text"


def _leaf_kind(name: str, values: Sequence[Any]) -> str:
    """The dtype of a leaf that no schema of ours names, from its values."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and kinds:
        return "float64"
    if kinds == {bool}:
        return "boolean"
    if kinds <= {str}:
        return "utc" if name.endswith("date_time") else "category"
    return "object"


def _finished(frame: pd.DataFrame) -> pd.DataFrame:
    """What every path ends with: the local clock in its place, and one order."""
    frame.insert(list(KEYS).index(LOCAL), LOCAL, _local(frame))
    return _in_order(frame)


def _local(frame: pd.DataFrame) -> Any:
    """The clock on the wall: UTC plus the offset, NaT where the offset is unknown."""
    offset = frame["utc_offset_minutes"]
    minutes = offset.to_numpy(dtype="int64", na_value=0).astype("timedelta64[m]")
    local = frame["effective_start"].dt.tz_localize(None).to_numpy() + minutes
    local[offset.isna().to_numpy()] = np.datetime64("NaT")
    return local


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """By patient, code, time and id; a stream that comes in that order already is only looked at."""
    keys = [_rank(frame[name]) for name in ORDER]
    if _ascending(keys):
        return frame
    ordered = frame.take(np.lexsort(keys[::-1]))
    ordered.index = pd.RangeIndex(len(frame))
    return ordered


def _rank(values: pd.Series[Any]) -> Any:
    """Numbers that sort as the values do, null last."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes = values.cat.codes.to_numpy()
        return codes.view(f"u{codes.dtype.name}")  # -1, no word, becomes the largest
    if values.dtype.kind == "M":
        times = values.dt.tz_localize(None).to_numpy().view("int64")
        return np.where(times == np.iinfo("int64").min, np.iinfo("int64").max, times)
    return values.to_numpy()


def _ascending(keys: Sequence[Any]) -> bool:
    """Whether no row comes after one that belongs behind it; the first key decides, then the next."""
    undecided = np.ones(max(len(keys[0]) - 1, 0), dtype=bool)
    for key in keys:
        before, after = key[:-1], key[1:]
        if (undecided & (after < before)).any():
            return False
        undecided &= after == before
    return True
