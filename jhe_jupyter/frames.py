"""Observations as tidy frames: one row each, keys first, then one column per leaf of the Open mHealth body.

Times are UTC; the clock the person saw is beside them where the original says it. Pure: rows in, frames out.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from .dtypes import column, from_arrow, typed, with_backend
from .units import conversion, spelled

Json = Mapping[str, Any]

KEYS: dict[str, str] = {
    "observation_id": "int64",
    "patient_id": "int64",
    "code": "category",
    "data_source": "category",
    "status": "category",
    "effective_start": "utc",
    "effective_end": "utc",
    "utc_offset_minutes": "Int16",
    "effective_local": "local",
    "created": "utc",
    "modality": "category",
}

# Codes whose value is not simply named after them; the others carry `<name>_value` and `<name>_unit`.
VALUES: dict[str, tuple[str, ...]] = {
    "blood-pressure": ("systolic_blood_pressure", "diastolic_blood_pressure"),
    "physical-activity": (),
    "sleep-episode": (),
    "sleep-stage-summary": (),
}

_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)$")
_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)$", re.IGNORECASE)


def observations_frame(
    rows: Iterable[Json],
    codes: Sequence[str] = (),
    *,
    unit: str | None = None,
    dtype_backend: str | None = None,
) -> pd.DataFrame:
    """Rows of `GET observations` as a tidy frame, sorted by patient, code, time and id.

    `codes` names the codes asked for, so that an empty answer has their columns too. Keys as in `KEYS`; numbers are
    float64, words and units categories, `*_date_time` leaves UTC timestamps. Raises ValueError for a `unit` that
    nothing in the frame can be turned into.

    >>> frame = observations_frame([{
    ...     "id": 60001, "subjectPatientId": 40001, "codingCode": "omh:heart-rate:2.0", "dataSourceName": "CareX",
    ...     "status": "final", "effectiveDateTime": "2026-01-01T06:30:00Z", "created": "2026-01-01T07:00:00Z",
    ...     "omhData": {"header": {"modality": "sensed"}, "body": {
    ...         "heart_rate": {"value": 61, "unit": "beats/min"},
    ...         "effective_time_frame": {"date_time": "2026-01-01T08:30:00+02:00"}}}}])
    >>> frame.loc[0, ["patient_id", "heart_rate_value", "heart_rate_unit", "utc_offset_minutes"]].map(str).to_list()
    ['40001', '61.0', 'beats/min', '120']
    >>> frame["effective_local"].iloc[0]
    Timestamp('2026-01-01 08:30:00')
    """
    flat = {row["id"]: observation_row(row) for row in rows}  # a row met twice while pages moved is one row
    frame = typed(list(flat.values()), KEYS)
    for name, values in _leaf_columns(flat.values(), codes).items():
        frame[name] = values
    return _finished(frame, unit, dtype_backend)


def observations_from_arrow(
    stream: bytes, codes: Sequence[str] = (), *, unit: str | None = None, dtype_backend: str | None = None
) -> pd.DataFrame:
    """The same frame from the server's Arrow stream, where values are columns already.

    `extra` (JSON text of what a schema does not name) is there only where something is in it.
    """
    import pyarrow as pa

    with pa.ipc.open_stream(stream) as reader:
        fields = {field.name: field.type for field in reader.schema if field.name not in KEYS}
    frame = from_arrow(stream, {**KEYS, **{name: _arrow_kind(name, kind) for name, kind in fields.items()}})
    if "extra" in frame and frame["extra"].isna().all():
        frame = frame.drop(columns="extra")
    for name, empty in _leaf_columns([], codes).items():
        if name not in frame:
            frame[name] = empty
    return _finished(frame, unit, dtype_backend)


def _finished(frame: pd.DataFrame, unit: str | None, dtype_backend: str | None) -> pd.DataFrame:
    """What both paths end with: the local clock, one unit, one order, the dtypes asked for."""
    frame["effective_local"] = _local(frame)
    if unit is not None:
        frame = convert_units(frame, unit)
    frame = frame.sort_values(["patient_id", "code", "effective_start", "observation_id"], ignore_index=True)
    return with_backend(frame, dtype_backend)


def _arrow_kind(name: str, arrow_type: Any) -> str:
    """The dtype of a value column: as `_leaf_kind`, from the stream's own type."""
    import pyarrow as pa

    if pa.types.is_floating(arrow_type) or pa.types.is_integer(arrow_type):
        return "float64"
    if pa.types.is_boolean(arrow_type):
        return "boolean"
    if name == "extra":
        return "text"
    return "utc" if name.endswith("date_time") else "category"


def observation_row(row: Json) -> dict[str, Any]:
    """One row of `GET observations` as a flat dictionary: the keys, then the leaves of the body.

    >>> observation_row({"id": 1, "subjectPatientId": 2, "codingCode": "omh:step-count:3.0", "status": "final",
    ...     "omhData": {"body": {"step_count": {"value": 12, "unit": "steps"}}}})["step_count_value"]
    12
    """
    point = row.get("omhData") or row.get("valueAttachmentData") or {}
    body = point.get("body") or {}
    period = row.get("effectivePeriod") or {}
    keys = {
        "observation_id": row["id"],
        "patient_id": row["subjectPatientId"],
        "code": row.get("codingCode"),
        "data_source": row.get("dataSourceName"),
        "status": row.get("status"),
        "effective_start": row.get("effectiveDateTime") or period.get("start"),
        "effective_end": period.get("end"),
        "utc_offset_minutes": offset_minutes(_first_time(body.get("effective_time_frame") or {})),
        "created": row.get("created"),
        "modality": (point.get("header") or {}).get("modality"),
    }
    values = leaves({name: value for name, value in body.items() if name != "effective_time_frame"})
    return keys | {f"body_{name}" if name in KEYS else name: value for name, value in values}


def leaves(tree: Json, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested dictionaries with their path joined by `_`; a list is one leaf, as JSON text.

    >>> dict(leaves({"blood_glucose": {"value": 99, "unit": "mg/dL"}, "stages": [1, 2]}))
    {'blood_glucose_value': 99, 'blood_glucose_unit': 'mg/dL', 'stages': '[1, 2]'}
    """
    for name, value in tree.items():
        path = f"{prefix}_{name}" if prefix else name
        if isinstance(value, Mapping):
            yield from leaves(value, path)
        else:
            yield path, json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def offset_minutes(date_time: str | None) -> int | None:
    """Minutes east of UTC that a date-time says of itself; None where the local clock is unknown.

    >>> [offset_minutes(f"2026-01-01T08:00:00{zone}") for zone in ("+02:00", "-03:30", "+00:00", "Z", "-00:00", "")]
    [120, -210, 0, None, None, None]
    """
    found = _OFFSET.search(date_time or "")
    if found is None or found.group() in {"-00:00", "-0000"}:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    return -minutes if found[1] == "-" else minutes


def value_columns(code: str) -> dict[str, str]:
    """The value and unit columns that a code always has, with their dtypes.

    >>> value_columns("omh:blood-glucose:4.0")
    {'blood_glucose_value': 'float64', 'blood_glucose_unit': 'category'}
    """
    parts = code.split(":")
    if len(parts) != 3:
        return {}
    stems = VALUES.get(parts[1], (parts[1].replace("-", "_"),))
    return {f"{stem}_{leaf}": kind for stem in stems for leaf, kind in (("value", "float64"), ("unit", "category"))}


def convert_units(frame: pd.DataFrame, unit: str) -> pd.DataFrame:
    """The frame with every `*_value` that can be in `unit` turned into it, and its `*_unit` column saying so.

    >>> frame = pd.DataFrame({"blood_glucose_value": [5.0, 90.0], "blood_glucose_unit": ["mmol/L", "mg/dL"]})
    >>> convert_units(frame, "mg/dL")["blood_glucose_value"].round(3).to_list()
    [90.091, 90.0]

    Raises ValueError where no value is of that kind, or one beside them is not.
    """
    wanted = spelled(unit)
    stems = [column.removesuffix("_unit") for column in frame.columns if column.endswith("_unit")]
    there = {stem: list(frame[f"{stem}_unit"].dropna().unique()) for stem in stems if f"{stem}_value" in frame}
    fitting = {stem: units for stem, units in there.items() if any(_factor(stem, one, wanted) for one in units)}
    if not fitting and any(there.values()):
        have = ", ".join(f"{stem} in {' and '.join(map(str, units))}" for stem, units in there.items() if units)
        raise ValueError(f"nothing here can be given in {unit!r}; there is {have}")
    converted = frame.copy()
    for stem, units in fitting.items():
        converted[f"{stem}_value"] = _in_unit(frame, stem, units, wanted)
        converted[f"{stem}_unit"] = frame[f"{stem}_unit"].astype(object).where(frame[f"{stem}_unit"].isna(), wanted)
        converted[f"{stem}_unit"] = converted[f"{stem}_unit"].astype("category")
    return converted


def _in_unit(frame: pd.DataFrame, stem: str, units: Sequence[str], wanted: str) -> pd.Series[float]:
    values = frame[f"{stem}_value"].astype("float64")
    for given in units:
        step = _factor(stem, given, wanted)
        rows = (frame[f"{stem}_unit"] == given).to_numpy()
        if step is None:
            raise ValueError(
                f"{int(rows.sum())} values of {stem} are in {given!r}, which cannot be given in {wanted!r}"
            )
        if step != (1.0, 0.0):
            values = values.mask(rows, values * step[0] + step[1])
    return values


def _factor(stem: str, given: str, wanted: str) -> tuple[float, float] | None:
    """The conversion for one column; mg/dL is turned into mmol/L with glucose's molar mass, so only for glucose."""
    if spelled(given) == wanted:
        return 1.0, 0.0
    if wanted in {"mg/dL", "mmol/L"} and "glucose" not in stem:
        return None
    return conversion(given, wanted)


def tidy_frame(resources: Iterable[Json]) -> pd.DataFrame:
    """FHIR Observation resources as the flat frame of jupyterhealth-client: every path a column, joined by `_`.

    A column ending in `date_time` is a UTC timestamp, with the clock as written beside it in `…_date_time_local`.
    """
    frame = pd.DataFrame.from_records([tidy_observation(resource) for resource in resources])
    local = {}
    for name in [name for name in frame.columns if name.endswith("date_time")]:
        texts = frame[name].astype(object).where(frame[name].notna(), None)
        written = [None if text is None else _ZONE.sub("", text) for text in texts]
        local[f"{name}_local"] = pd.to_datetime(pd.Series(written, dtype=object), format="ISO8601")
        frame[name] = pd.to_datetime(texts, utc=True, format="ISO8601")
    if "meta_lastUpdated" in frame:
        frame["meta_lastUpdated"] = pd.to_datetime(frame["meta_lastUpdated"], utc=True, format="ISO8601")
    return frame.assign(**local)


def tidy_observation(resource: Json) -> dict[str, Any]:
    """One FHIR Observation as a flat dictionary: code, resource, header, body; later paths win over earlier ones."""
    attachment = resource.get("valueAttachment") or {}
    point = json.loads(base64.b64decode(attachment["data"])) if attachment.get("data") else {}
    code = resource["code"]["coding"][0]["code"]
    rest = {name: value for name, value in resource.items() if name != "valueAttachment"}
    header, body = (point.get("header") or {}, point["body"]) if "body" in point else ({}, point)
    return {"resource_type": code, "code": code, **dict(_paths(rest)), **dict(_paths(header)), **dict(_paths(body))}


def _paths(tree: Json | Sequence[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves as jupyterhealth-client names them: lists are walked too, by number."""
    for name, value in tree.items() if isinstance(tree, Mapping) else enumerate(tree):
        path = f"{prefix}_{name}" if prefix else str(name)
        if isinstance(value, Mapping | list):
            yield from _paths(value, path)
        else:
            yield path, value


def _first_time(time_frame: Json) -> str | None:
    interval = time_frame.get("time_interval") or {}
    found = time_frame.get("date_time") or interval.get("start_date_time") or interval.get("end_date_time")
    return None if found is None else str(found)


def _local(frame: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """The clock on the wall: UTC plus the offset, NaT where the offset is unknown."""
    offset = pd.to_timedelta(frame["utc_offset_minutes"].astype("Float64"), unit="min")
    local: pd.Series[pd.Timestamp] = frame["effective_start"].dt.tz_localize(None) + offset
    return local.astype("datetime64[us]")


def _leaf_columns(rows: Iterable[Json], codes: Sequence[str]) -> dict[str, Any]:
    """The value columns: those the codes always have, then the others in the order they appear."""
    rows = list(rows)
    promised = {name: kind for code in codes for name, kind in value_columns(code).items()}
    names = dict.fromkeys([*promised, *(name for row in rows for name in row if name not in KEYS)])
    found = {name: [row.get(name) for row in rows] for name in names}
    return {name: column(values, _leaf_kind(name, values, promised.get(name))) for name, values in found.items()}


def _leaf_kind(name: str, values: Sequence[Any], promised: str | None) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and (kinds or promised == "float64"):
        return "float64"
    if kinds == {bool}:
        return "boolean"
    if kinds <= {str}:
        return "utc" if name.endswith("date_time") else "category"
    return "object"
