"""Open mHealth data points and FHIR Observations made from what people have: rows of a frame, or dictionaries. Pure."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, timedelta, timezone
from functools import cache
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import pandas as pd

from .columns import EXTRA, LEAVES

Json = Mapping[str, Any]
UUIDS = "urn:ietf:rfc:3986"  # FHIR's system of identifiers that are URNs
NESTED = ("sleep_stage_summary_",)  # the one group of leaves that lies a level deeper
WHOLE = ("met_value",)  # a leaf that only looks like a quantity


class Coding(NamedTuple):
    """A code with its system."""

    system: str
    code: str


def observation(point: Json, coding: Coding, patient: int, device: int) -> dict[str, Any]:
    """A data point as the FHIR Observation that carries it, under an identifier that its measurement decides.

    >>> point = {"header": {}, "body": {"heart_rate": {"value": 61, "unit": "beats/min"}}}
    >>> made = observation(point, Coding("https://w3id.org/openmhealth", "omh:heart-rate:2.0"), 40001, 70001)
    >>> made["subject"], made["identifier"][0]["value"][:9]
    ({'reference': 'Patient/40001'}, 'urn:uuid:')
    """
    return {
        "resourceType": "Observation",
        "status": "final",
        "identifier": [identifier(patient, device, coding.code, point.get("body"))],
        "code": {"coding": [{"system": coding.system, "code": coding.code}]},
        "subject": {"reference": f"Patient/{patient}"},
        "device": {"reference": f"Device/{device}"},
        "valueAttachment": {
            "contentType": "application/json",
            "data": b64encode(json.dumps(point, ensure_ascii=False).encode()).decode(),
        },
    }


def identifier(*measured: Any) -> dict[str, str]:
    """An identifier that is the same whenever the same was measured: by whom, with what, when, and how much."""
    text = json.dumps(measured, ensure_ascii=False, sort_keys=True)
    return {"system": UUIDS, "value": f"urn:uuid:{uuid5(NAMESPACE_URL, text)}"}


def data_point(body: Json, code: str, modality: Any = None) -> dict[str, Any]:
    """A body with the header that its schema asks for."""
    namespace, name, version = code.split(":")
    frame = body["effective_time_frame"]
    measured = frame.get("date_time") or frame["time_interval"]["start_date_time"]
    header = {
        "uuid": str(uuid5(NAMESPACE_URL, json.dumps([code, body], ensure_ascii=False, sort_keys=True))),
        "schema_id": {"namespace": namespace, "name": name, "version": version},
        "source_creation_date_time": measured,
        "modality": modality,
    }
    return {"header": {name: value for name, value in header.items() if _given(value)}, "body": body}


def code_of(point: Json) -> str | None:
    """The code that a data point says of itself, `namespace:name:version`."""
    schema = (point.get("header") or {}).get("schema_id") or {}
    parts = [schema.get(part) for part in ("namespace", "name", "version")]
    return ":".join(map(str, parts)) if all(parts) else None


def row_body(row: Json, code: str) -> dict[str, Any]:
    """The body that a row of a frame stands for: its time, the leaves of its code, and what is in `extra`.

    Raises ValueError where the row has no time, or `extra` is no JSON.

    >>> row_body({"effective_start": pd.Timestamp("2026-03-01T06:30Z"), "utc_offset_minutes": 60,
    ...     "heart_rate_value": 61.0, "heart_rate_unit": "beats/min"}, "omh:heart-rate:2.0")["effective_time_frame"]
    {'date_time': '2026-03-01T07:30:00+01:00'}
    """
    body = _extra(row.get(EXTRA))
    for leaf in LEAVES[code]:
        if _given(row.get(leaf)):
            _put(body, path(leaf), _plain(row[leaf]))
    body["effective_time_frame"] = _time_frame(row)
    return body


def _extra(text: Any) -> dict[str, Any]:
    body = json.loads(text) if _given(text) else {}
    if not isinstance(body, dict):
        raise ValueError("extra is no JSON object")
    return body


@cache
def path(leaf: str) -> tuple[str, ...]:
    """The keys that lead to a leaf through the body.

    >>> path("heart_rate_value"), path("is_main_sleep")
    (('heart_rate', 'value'), ('is_main_sleep',))
    """
    for group in NESTED:
        if leaf.startswith(group):
            return (group.rstrip("_"), *path(leaf.removeprefix(group)))
    stem, _, last = leaf.rpartition("_")
    return (stem, last) if last in {"value", "unit"} and leaf not in WHOLE else (leaf,)


def _put(body: dict[str, Any], keys: tuple[str, ...], value: Any) -> None:
    for key in keys[:-1]:
        body = body.setdefault(key, {})
    body[keys[-1]] = value


def _time_frame(row: Json) -> dict[str, Any]:
    start, end = row.get("effective_start"), row.get("effective_end")
    if not _given(start):
        raise ValueError("effective_start is missing")
    zone = _zone(row.get("utc_offset_minutes"))
    if not _given(end):
        return {"date_time": _written(start, zone)}
    return {"time_interval": {"start_date_time": _written(start, zone), "end_date_time": _written(end, zone)}}


def _zone(minutes: Any) -> timezone | None:
    return timezone(timedelta(minutes=int(minutes))) if _given(minutes) else None


def _written(time: Any, zone: timezone | None) -> str:
    """RFC 3339 on the clock of `zone`, or with `Z` where that clock is unknown; a time without a zone is UTC."""
    moment = pd.Timestamp(time)
    moment = moment.tz_localize(UTC) if moment.tzinfo is None else moment
    if zone is None:
        return _iso(moment.tz_convert(UTC)).replace("+00:00", "Z")
    return _iso(moment.tz_convert(zone))


def _iso(moment: Any) -> str:
    text: str = moment.to_pydatetime(warn=False).isoformat()
    return text


def _plain(value: Any) -> Any:
    """A value as JSON has it; whole numbers are written as such, because some schemas ask for integers."""
    plain = value.item() if hasattr(value, "item") else value
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain


def _given(value: Any) -> bool:
    return value is not None and not pd.isna(value)


def rows_of(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of a frame as dictionaries, with pandas' own scalars."""
    names = [str(name) for name in frame.columns]
    for values in frame.itertuples(index=False, name=None):
        yield dict(zip(names, values, strict=True))
