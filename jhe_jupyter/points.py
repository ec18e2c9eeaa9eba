"""Open mHealth data points as rows of an observations frame: their times, the leaves of their schema, and the rest.

Where no Arrow stream is offered, this does for JSON what the server does for Arrow; both give the same columns. Pure.
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from .columns import EXTRA, KEYS, LEAVES
from .units import conversion

QUESTIONNAIRE = "QuestionnaireResponse"  # a FHIR resource instead of a data point: it has no header and no body

Json = Mapping[str, Any]
TIME_FRAME = "effective_time_frame"
TAKES: dict[str, tuple[type, ...]] = {"float64": (float, int), "boolean": (bool,), "category": (str,)}
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)$")


def resource_row(resource: Json) -> dict[str, Any]:
    """One FHIR Observation as a flat dictionary: the keys, then the leaves of the body.

    FHIR says when a resource last changed, not when it came; an Observation does not change, so `created` is that.

    >>> from binascii import b2a_base64
    >>> data = b2a_base64(b'{"body": {"step_count": {"value": 12, "unit": "steps"}}}').decode()
    >>> row = resource_row({"id": "60001", "subject": {"reference": "Patient/40001"}, "valueAttachment": {"data": data},
    ...     "code": {"coding": [{"code": "omh:step-count:3.0"}]}, "effectiveDateTime": "2026-03-01T08:30:00+02:00"})
    >>> row["patient_id"], row["utc_offset_minutes"], row["step_count_value"]
    (40001, 120, 12)
    """
    code = _coded(resource.get("code") or {})
    device = resource.get("device") or {}
    return {
        "observation_id": int(resource["id"]),
        "patient_id": int(resource["subject"]["reference"].rpartition("/")[2]),
        "code": code,
        "data_source": device.get("display") or device.get("reference"),
        "status": resource.get("status"),
        "created": (resource.get("meta") or {}).get("lastUpdated"),
        **_measured(resource, code, _attached(resource.get("valueAttachment") or {})),
    }


def _coded(concept: Json) -> str | None:
    """The code that an Open mHealth or IEEE schema is known by, among the codings there may be."""
    codes = [coding.get("code") for coding in concept.get("coding") or ()]
    return next((code for code in codes if code in LEAVES), codes[0] if codes else None)


def _attached(attachment: Json) -> Json:
    data = attachment.get("data")
    point = json.loads(a2b_base64(data)) if data else {}
    return point if isinstance(point, dict) else {}


def _measured(said: Json, code: str | None, point: Json) -> dict[str, Any]:
    """When and what: from FHIR's `effective…`, else from the body's own time frame, and the leaves of the body."""
    body = point if code == QUESTIONNAIRE else point.get("body") or {}
    start, end = _effective(said, body.get(TIME_FRAME) or {})
    return {
        "effective_start": start,
        "effective_end": end,
        "utc_offset_minutes": _offset(start, body.get(TIME_FRAME) or {}),
        "modality": (point.get("header") or {}).get("modality"),
        **_values(body, code),
    }


def _effective(said: Json, frame: Json) -> tuple[str | None, str | None]:
    if said.get("effectiveDateTime"):
        return said["effectiveDateTime"], None
    if said.get("effectivePeriod"):
        return said["effectivePeriod"].get("start"), said["effectivePeriod"].get("end")
    return (frame["date_time"], None) if "date_time" in frame else _interval(frame.get("time_interval") or {})


def _interval(interval: Json) -> tuple[str | None, str | None]:
    """Start and end as text; what is missing of them follows from the duration, where that is of fixed length."""
    start, end = interval.get("start_date_time"), interval.get("end_date_time")
    duration = interval.get("duration") or {}
    step = conversion(str(duration.get("unit")), "sec")
    if step is None or (start and end):
        return start, end
    length = timedelta(seconds=duration["value"] * step[0])
    if start:
        return start, (datetime.fromisoformat(start) + length).isoformat()
    return (datetime.fromisoformat(end) - length).isoformat() if end else None, end


def _offset(start: str | None, frame: Json) -> int | None:
    """The offset as the body was written; a server may have turned `effective…` into UTC, so it is asked last."""
    interval = frame.get("time_interval") or {}
    written = (frame.get("date_time"), interval.get("start_date_time"), interval.get("end_date_time"))
    times = [one for one in written if one] or [start]
    return next((minutes for one in times if (minutes := offset_minutes(one)) is not None), None)


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


def _values(body: Json, code: str | None) -> dict[str, Any]:
    """The leaves that the code's schema names, and the rest as JSON text; of a code nobody knows, every leaf."""
    known = LEAVES.get(code or "")
    if known is None:
        found = leaves({name: value for name, value in body.items() if name != TIME_FRAME})
        return {f"body_{name}" if name in KEYS else name: value for name, value in found}
    values: dict[str, Any] = {}
    rest = _take(body, "", known, values)
    rest.pop(TIME_FRAME, None)
    if rest:
        values[EXTRA] = json.dumps(rest, ensure_ascii=False)
    return values


def _take(node: Json, prefix: str, known: Mapping[str, str], values: dict[str, Any]) -> dict[str, Any]:
    """Fill in the values that have a column and fit it; what is left over, in its own nesting."""
    rest: dict[str, Any] = {}
    for key, value in node.items():
        path = prefix + key
        kind = known.get(path)
        if kind is not None and type(value) in TAKES[kind]:
            values[path] = value
        elif kind is None and type(value) is dict and path != TIME_FRAME:
            inner = _take(value, f"{path}_", known, values)
            if inner:
                rest[key] = inner
        else:
            rest[key] = value
    return rest


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
