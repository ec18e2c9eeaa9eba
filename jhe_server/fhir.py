"""Words every FHIR R5 resource shares: references, codings, times, attachments, Bundles and outcomes, as plain JSON.

Pure: nothing here knows a table or a request. What comes in wrong raises Invalid with one sentence; what goes out
validates against R5.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Literal

from jhe_server.errors import Invalid
from jhe_server.strict_json import parse_and_write

Resource = dict[str, Any]

SOURCE = "https://jupyterhealth.org/jhe"  # `meta.source` of everything that was entered through an Exchange

# Ids are what an integer column holds; anything longer names nothing.
_REFERENCE = re.compile(r"(?:[^?#]*/)?([A-Z][A-Za-z]{1,63})/(0|[1-9][0-9]{0,17})")
_WITHOUT_WHITESPACE = dict.fromkeys(map(ord, " \t\r\n"))


def reference(kind: str, key: int, display: str | None = None) -> dict[str, str]:
    """A Reference to a resource of this server, relative to its FHIR root.

    >>> reference("Patient", 40001)
    {'reference': 'Patient/40001'}
    """
    return {"reference": f"{kind}/{key}"} | ({"display": display} if display else {})


def parse_reference(value: object, kind: str | None = None) -> int:
    """The id in `Patient/40001`, in an absolute URL that ends so, or in a Reference; `kind` is the type it must have.

    Raises Invalid.

    >>> parse_reference({"reference": "https://example.org/jhe/FHIR/R5/Patient/40001"}, "Patient")
    40001
    >>> parse_reference("Device/70001", "Patient")
    Traceback (most recent call last):
    jhe_server.errors.Invalid: Expected a reference such as Patient/1.
    """
    text = value.get("reference") if isinstance(value, Mapping) else value
    match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
    if match is None or (kind is not None and match[1] != kind):
        raise Invalid(f"Expected a reference such as {kind or 'Patient'}/1.")
    return int(match[2])


def identifier(system: str, value: str) -> dict[str, str]:
    """An Identifier; one without a system leaves it out.

    >>> identifier("urn:oid:1.2.3.4", "E1234"), identifier("", "7")
    ({'system': 'urn:oid:1.2.3.4', 'value': 'E1234'}, {'value': '7'})
    """
    return ({"system": system} if system else {}) | {"value": value}


def human_name(family: str, given: str) -> Resource:
    """A HumanName; the parts there are none of are left out.

    >>> human_name("Petersen", "Peter"), human_name("Owner", "")
    ({'family': 'Petersen', 'given': ['Peter']}, {'family': 'Owner'})
    """
    return ({"family": family} if family else {}) | ({"given": [given]} if given else {})


def coding(system: str, code: str, text: str | None = None) -> dict[str, str]:
    """A Coding; `text` becomes its display.

    >>> coding("https://w3id.org/openmhealth", "omh:heart-rate:2.0", "Heart Rate")["display"]
    'Heart Rate'
    """
    return {"system": system, "code": code} | ({"display": text} if text else {})


def codeable_concept(system: str, code: str, text: str | None = None) -> Resource:
    """A CodeableConcept of exactly one Coding.

    >>> codeable_concept("https://w3id.org/ieee1752", "ieee:sleep-stage-summary:1.0")["coding"][0]["code"]
    'ieee:sleep-stage-summary:1.0'
    """
    return {"coding": [coding(system, code, text)]} | ({"text": text} if text else {})


def parse_concept(value: object) -> tuple[str, str]:
    """System and code of a CodeableConcept with exactly one Coding; raises Invalid for none or several.

    >>> parse_concept({"coding": [{"system": "http://loinc.org", "code": "8867-4"}]})
    ('http://loinc.org', '8867-4')
    """
    codings = value.get("coding") if isinstance(value, Mapping) else None
    if not isinstance(codings, Sequence) or isinstance(codings, str) or len(codings) != 1:
        raise Invalid("Expected a code with exactly one coding.")
    found = codings[0] if isinstance(codings[0], Mapping) else {}
    system, code = found.get("system"), found.get("code")
    if not (isinstance(system, str) and system and isinstance(code, str) and code):
        raise Invalid("Expected a coding with a system and a code.")
    return system, code


def instant(moment: datetime) -> str:
    """An aware moment as a FHIR instant: UTC, `Z`, always six decimals, so that texts sort as the moments do.

    >>> instant(datetime(2026, 3, 1, 8, tzinfo=UTC))
    '2026-03-01T08:00:00.000000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def date_time(moment: datetime, offset: int | None) -> str:
    """A UTC moment as a FHIR dateTime on the clock `offset` minutes from UTC, or with `Z` where that clock is unknown.

    >>> date_time(datetime(2026, 3, 1, 13, tzinfo=UTC), -300), date_time(datetime(2026, 3, 1, 13, tzinfo=UTC), None)
    ('2026-03-01T08:00:00-05:00', '2026-03-01T13:00:00Z')
    """
    if offset is None:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return moment.astimezone(timezone(timedelta(minutes=offset))).isoformat()


def effective(start: datetime | None, end: datetime | None, offset: int | None) -> Resource:
    """`effectiveDateTime` of a point in time, `effectivePeriod` of an interval, nothing where no time is known.

    >>> effective(datetime(2026, 3, 1, 13, tzinfo=UTC), None, 60)
    {'effectiveDateTime': '2026-03-01T14:00:00+01:00'}
    """
    if start is None:
        return {}
    if end is None:
        return {"effectiveDateTime": date_time(start, offset)}
    return {"effectivePeriod": {"start": date_time(start, offset), "end": date_time(end, offset)}}


def meta(last_updated: datetime, source: str = SOURCE) -> dict[str, str]:
    """The `meta` every resource of this server carries.

    >>> meta(datetime(2026, 3, 1, 8, tzinfo=UTC))["source"]
    'https://jupyterhealth.org/jhe'
    """
    return {"lastUpdated": instant(last_updated), "source": source}


def attachment(payload: object) -> dict[str, str]:
    """A payload as an Attachment: JSON in UTF-8, in base64.

    >>> read_attachment(attachment({"body": {}}))[0]
    {'body': {}}
    """
    return attached(json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def attached(text: str) -> dict[str, str]:
    """A payload that is JSON text already as an Attachment."""
    return {"contentType": "application/json", "data": base64.b64encode(text.encode()).decode("ascii")}


def read_attachment(value: object) -> tuple[object, bytes]:
    """The JSON inside an Attachment, and the same as JSON without spaces; raises Invalid with the exact reason.

    Base64 may be broken by whitespace and must be right otherwise. The JSON must be UTF-8 without NaN, Infinity or
    numbers beyond a double, without a key twice in one object, without NUL or half characters, at most 64 levels deep.

    >>> read_attachment({"contentType": "application/json", "data": "eyJ\\n2YWx1ZSI6IDF9"})
    ({'value': 1}, b'{"value":1}')
    >>> read_attachment({"contentType": "application/json", "data": "eyJ2YWx1ZSI6IE5hTn0="})
    Traceback (most recent call last):
    jhe_server.errors.Invalid: The JSON in valueAttachment.data must not contain NaN.
    """
    if not isinstance(value, dict):
        raise Invalid("Expected a valueAttachment with contentType and data.")
    if not _is_json(str(value.get("contentType") or "application/json")):
        raise Invalid("valueAttachment.contentType must be application/json.")
    try:
        return parse_and_write(_base64(value.get("data")))
    except UnicodeDecodeError:
        raise Invalid("valueAttachment.data is not UTF-8.") from None


@lru_cache(maxsize=64)
def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def _base64(data: object) -> bytes:
    if not isinstance(data, str) or not data or data.isspace():
        raise Invalid("valueAttachment.data must be a base64 text.")
    try:  # most have no whitespace, and looking for it costs more than reading
        return base64.b64decode(data, validate=True)
    except ValueError:
        pass
    try:
        return base64.b64decode(data.translate(_WITHOUT_WHITESPACE), validate=True)
    except ValueError:
        raise Invalid("valueAttachment.data is not valid base64.") from None


def operation_outcome(code: str, detail: str, expression: Sequence[str] | None = None) -> Resource:
    """A refusal as FHIR says it: `code` of the issue-type value set, one sentence, and where it applies (FHIRPath).

    >>> operation_outcome("invalid", "Expected a Bundle.", ["Bundle.type"])["issue"][0]["diagnostics"]
    'Expected a Bundle.'
    """
    issue: Resource = {"severity": "error", "code": code, "diagnostics": detail, "details": {"text": detail}}
    return {
        "resourceType": "OperationOutcome",
        "issue": [issue | ({"expression": list(expression)} if expression else {})],
    }


def searchset(
    resources: Sequence[Resource],
    *,
    total: int,
    root: str,
    self_url: str,
    previous_url: str | None = None,
    next_url: str | None = None,
) -> Resource:
    """A page of search results; `root` is the FHIR root the `fullUrl`s start with. `entry` is there even when empty.

    >>> searchset([], total=0, root="https://example.org/FHIR/R5", self_url="https://example.org/FHIR/R5/Patient")["entry"]
    []
    """
    urls = {"self": self_url, "previous": previous_url, "next": next_url}
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": total,
        "link": [{"relation": relation, "url": url} for relation, url in urls.items() if url],
        "entry": [_match(resource, root.rstrip("/")) for resource in resources],
    }


def _match(resource: Resource, root: str) -> Resource:
    url = f"{root}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": url, "resource": resource, "search": {"mode": "match"}}


def response_bundle(kind: Literal["batch", "transaction"], entries: Sequence[Resource]) -> Resource:
    """The answer to a batch or transaction: one entry (of `response_entry`) per entry that was sent, in its order.

    >>> response_bundle("batch", [response_entry(201, location="Observation/60001")])["type"]
    'batch-response'
    """
    return {"resourceType": "Bundle", "type": f"{kind}-response", "entry": list(entries)}


def response_entry(
    status: int,
    *,
    location: str | None = None,
    last_modified: datetime | None = None,
    resource: Resource | None = None,
    outcome: Resource | None = None,
) -> Resource:
    """One entry of a response Bundle: the HTTP status with its phrase, and what was made or why not.

    >>> response_entry(409)
    {'response': {'status': '409 Conflict'}}
    """
    response: Resource = {"status": f"{status} {HTTPStatus(status).phrase}"}
    if location:
        response["location"] = location
    if last_modified:
        response["lastModified"] = instant(last_modified)
    if outcome:
        response["outcome"] = outcome
    return {"response": response} | ({"resource": resource} if resource else {})
