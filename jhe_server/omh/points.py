"""A data point is checked here: envelope, code, times, limits, schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jhe_server.errors import Unprocessable
from jhe_server.omh.limits import NOT_A_READING, broken_limit
from jhe_server.omh.refusals import Path, refusal
from jhe_server.omh.schemas import QUESTIONNAIRE, TIME_FRAME, BodySchema, compiled
from jhe_server.omh.times import Effective, effective_time, interval, parse_date_time

_DEEPEST = 64  # levels; the deepest schema has 8
_STATISTIC = "descriptive_statistic"
_LARGEST = 1e300  # beyond it a number is a mistake, and soon an infinity
_FUTURE = timedelta(days=1)  # a phone's clock may be a time zone off, not more

# The way to a node: the way to what holds it, the last step, and how many there are; empty at the root.
Trail = Any


@dataclass(frozen=True, slots=True)
class DataPoint:
    """What an accepted data point says about itself.

    Times are UTC; `effective_end` is None for a point in time, `effective_start` where the schema asks for no time.
    `utc_offset_minutes` is None where the original says Z, -00:00 or nothing. `schema_id` is as sent.
    """

    effective_start: datetime | None
    effective_end: datetime | None
    utc_offset_minutes: int | None
    modality: str | None
    schema_id: str


def check(payload: object, code: str, *, now: datetime | None = None) -> DataPoint:
    """Accept a decoded data point under a code (`omh:heart-rate:2.0`), or raise Unprocessable saying where and why.

    The envelope is IEEE 1752.1's, or the older Open mHealth one (`id`, `creation_date_time`); namespace and name of
    `header.schema_id` must be the code's, its version is validated as the code says. Every date-time is strict RFC
    3339, not before 1900 and not more than a day after `now` (aware); readings stay within `PLAUSIBLE`. A
    QuestionnaireResponse is accepted as the FHIR resource it is.

    >>> point = check({"header": {"uuid": "0b8d6a9a-6a5e-4b62-8d2c-3f1f6a4f2f10", "modality": "sensed",
    ...     "schema_id": {"namespace": "omh", "name": "heart-rate", "version": "2.0"},
    ...     "source_creation_date_time": "2026-03-01T08:00:05Z"},
    ...     "body": {"heart_rate": {"value": 72, "unit": "beats/min"},
    ...              "effective_time_frame": {"date_time": "2026-03-01T08:00:00+01:00"}}}, "omh:heart-rate:2.0")
    >>> point.effective_start.isoformat(), point.utc_offset_minutes, point.modality
    ('2026-03-01T07:00:00+00:00', 60, 'sensed')
    """
    latest = (now or datetime.now(UTC)) + _FUTURE
    if code == QUESTIONNAIRE:
        return _questionnaire(payload, latest)
    schema = compiled(code)
    header, body = _part(payload, "header"), _part(payload, "body")
    sent = _sent_schema(header, schema, code)
    reading = not _statistics(body) & NOT_A_READING
    _scan(header, ((), "header", 1), latest, reading=False)
    _scan(body, ((), "body", 1), latest, reading=reading)
    _conforms(schema.header, _modern(header), "header", "the IEEE 1752.1 header")
    _conforms(schema.body, body, "body", code)
    if reading:
        _pressures_in_order(body)
    start, end, offset = _not_in_the_future(effective_time(body), latest)
    return DataPoint(start, end, offset, _modality(header), sent)


def _part(payload: object, key: str) -> dict[str, Any]:
    if not isinstance(payload, dict):
        raise refusal((), "must be an object with a header and a body")
    part = payload.get(key)
    if not isinstance(part, dict):
        raise refusal((key,), "must be an object")
    return part


def _sent_schema(header: Mapping[str, Any], schema: BodySchema, code: str) -> str:
    sent = header.get("schema_id")
    path: Path = ("header", "schema_id")
    if not isinstance(sent, dict):
        raise refusal(path, "must be an object with namespace, name and version")
    if (sent.get("namespace"), sent.get("name")) != (schema.namespace, schema.name):
        raise refusal(path, f"must have the namespace and name of the code {code}")
    if not isinstance(sent.get("version"), str):
        raise refusal((*path, "version"), "must be a string")
    return f"{schema.namespace}:{schema.name}:{sent['version']}"


def _modern(header: dict[str, Any]) -> dict[str, Any]:
    """An Open mHealth header of before IEEE 1752.1, in the words of IEEE 1752.1."""
    for modern, legacy in (("uuid", "id"), ("source_creation_date_time", "creation_date_time")):
        if modern not in header and legacy in header:
            header = header | {modern: header[legacy]}
    return header


def _modality(header: Mapping[str, Any]) -> str | None:
    provenance = header.get("acquisition_provenance")  # where headers of before IEEE 1752.1 kept it
    found = header.get("modality") or (provenance.get("modality") if isinstance(provenance, dict) else None)
    return found if found in ("sensed", "self-reported") else None


def _conforms(validator: Any, part: Mapping[str, Any], key: str, name: str) -> None:
    if validator.is_valid(part):
        return
    error = next(validator.iter_errors(part))
    raise refusal((key, *error.instance_path), f"breaks the schema of {name}: {error.message}")


def _statistics(body: Mapping[str, Any]) -> set[str]:
    """The statistics a body or its summary is said to be: an average is still a reading, a variance is not."""
    found = [body.get(_STATISTIC)]
    found += [part[_STATISTIC] for part in body.values() if type(part) is dict and _STATISTIC in part]
    return {statistic for statistic in found if isinstance(statistic, str)}


def _scan(part: dict[str, Any], trail: Trail, latest: datetime, *, reading: bool) -> None:
    """Walk everything that was sent, named by a schema or not: numbers, date-times, intervals."""
    waiting: list[tuple[Any, Trail]] = [(part, trail)]
    for node, here in waiting:
        if type(node) is list:
            waiting += _inside(node, here)
            continue
        for key, value in node.items():
            kind = type(value)
            if kind is dict or kind is list:
                waiting.append((value, _deeper(here, key)))
            elif kind is int or kind is float:
                _check_number(node, key, value, here, reading=reading)
            elif key.endswith("date_time"):
                _check_moment(value, here, key, latest)
        if "start_date_time" in node and "end_date_time" in node:
            interval(node, _path(here))


def _inside(node: list[Any], here: Trail) -> Iterator[tuple[Any, Trail]]:
    """What an array holds of objects and arrays; its numbers are finite."""
    for index, value in enumerate(node):
        if isinstance(value, dict | list):
            yield value, _deeper(here, index)
        elif isinstance(value, float | int) and not -_LARGEST <= value <= _LARGEST:
            raise refusal(_path(_deeper(here, index)), "must be a finite number")


def _deeper(here: Trail, step: str | int) -> Trail:
    depth = here[2] + 1 if here else 1
    if depth > _DEEPEST:
        raise refusal(_path(here)[:4], f"must not be nested deeper than {_DEEPEST} levels")
    return here, step, depth


def _path(trail: Trail) -> Path:
    """The trail as a path, made only for what is refused."""
    steps: list[str | int] = []
    while trail:
        trail, step, _ = trail
        steps.append(step)
    return tuple(reversed(steps))


def _check_number(node: Mapping[str, Any], key: str, value: float, here: Trail, *, reading: bool) -> None:
    if not -_LARGEST <= value <= _LARGEST:  # not a number fails this too
        raise refusal((*_path(here), key), "must be a finite number")
    leaf, unit = (here[1], node.get("unit")) if key == "value" and here else (key, "")
    broken = broken_limit(str(leaf), unit, value, reading=reading) if isinstance(unit, str) else None
    if broken:
        raise refusal((*_path(here), key), broken)


def _check_moment(value: object, here: Trail, key: str, latest: datetime) -> None:
    try:
        moment, _ = parse_date_time(value)
    except Unprocessable:
        moment, _ = parse_date_time(value, (*_path(here), key))  # once more, to say where
    if moment > latest:
        raise refusal((*_path(here), key), "must not be more than a day in the future")


def _not_in_the_future(effective: Effective, latest: datetime) -> Effective:
    """A date or a duration can reach into the future where no single date-time does."""
    if any(moment is not None and moment > latest for moment in effective[:2]):
        raise refusal(("body", TIME_FRAME), "must not be more than a day in the future")
    return effective


def _pressures_in_order(body: Mapping[str, Any]) -> None:
    if "systolic_blood_pressure" not in body or "diastolic_blood_pressure" not in body:
        return
    if body["systolic_blood_pressure"]["value"] < body["diastolic_blood_pressure"]["value"]:
        raise refusal(("body", "systolic_blood_pressure"), "must not be lower than the diastolic blood pressure")


def _questionnaire(payload: object, latest: datetime) -> DataPoint:
    if not isinstance(payload, dict) or payload.get("resourceType") != QUESTIONNAIRE:
        raise refusal((), f"must be a FHIR {QUESTIONNAIRE}")
    _scan(payload, (), latest, reading=False)
    start, offset = None, None
    authored = payload.get("authored")
    if isinstance(authored, str) and "T" in authored:  # FHIR's partial dates name no moment
        start, offset = parse_date_time(authored, ("authored",))
        _check_moment(authored, (), "authored", latest)
    return DataPoint(start, None, offset, "self-reported", QUESTIONNAIRE)
