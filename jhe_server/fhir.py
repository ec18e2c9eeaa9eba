"""Words every FHIR R5 resource shares: references, codings, times, attachments, Bundles and outcomes, as plain JSON.

Pure: nothing here knows a table or a request. What comes in wrong raises Invalid with one sentence; what goes out
validates against R5.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from http import HTTPStatus
from typing import Any, Literal, NoReturn

import orjson

from jhe_server.errors import Invalid

Resource = dict[str, Any]

SOURCE = "https://jupyterhealth.org/jhe"  # `meta.source` of everything that was entered through an Exchange

_DEEPEST = 64  # levels of JSON in an attachment; the deepest Open mHealth schema has 8
# Ids are what an integer column holds; anything longer names nothing.
_REFERENCE = re.compile(r"(?:[^?#]*/)?([A-Z][A-Za-z]{1,63})/(0|[1-9][0-9]{0,17})")
_WITHOUT_WHITESPACE = dict.fromkeys(map(ord, " \t\r\n"))
_BROKEN_TEXT = re.compile("[\x00\ud800-\udfff]")  # what no database keeps and no UTF-8 can say


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

    >>> decode_attachment(attachment({"body": {}}))
    {'body': {}}
    """
    return attached(json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def attached(text: str) -> dict[str, str]:
    """A payload that is JSON text already as an Attachment."""
    return {"contentType": "application/json", "data": base64.b64encode(text.encode()).decode("ascii")}


def decode_attachment(value: object) -> object:
    """The JSON inside an Attachment; raises Invalid with the exact reason.

    Base64 may be broken by whitespace and must be right otherwise. The JSON must be UTF-8 without NaN, Infinity or
    numbers beyond a double, without a key twice in one object, without NUL or half characters, at most 64 levels deep.

    >>> decode_attachment({"contentType": "application/json", "data": "eyJ\\n2YWx1ZSI6IDF9"})
    {'value': 1}
    >>> decode_attachment({"contentType": "application/json", "data": "eyJ2YWx1ZSI6IE5hTn0="})
    Traceback (most recent call last):
    jhe_server.errors.Invalid: The JSON in valueAttachment.data must not contain NaN.
    """
    if not isinstance(value, Mapping):
        raise Invalid("Expected a valueAttachment with contentType and data.")
    media_type = str(value.get("contentType") or "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Invalid("valueAttachment.contentType must be application/json.")
    return parse_json(_utf8(_base64(value.get("data"))))


def _base64(data: object) -> bytes:
    if not isinstance(data, str) or not data.strip():
        raise Invalid("valueAttachment.data must be a base64 text.")
    with suppress(ValueError):  # most have no whitespace, and looking for it costs more than reading
        return base64.b64decode(data, validate=True)
    try:
        return base64.b64decode(data.translate(_WITHOUT_WHITESPACE), validate=True)
    except ValueError:
        raise Invalid("valueAttachment.data is not valid base64.") from None


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("valueAttachment.data is not UTF-8.") from None


def parse_json(text: str, where: str = "valueAttachment.data") -> object:
    """JSON without duplicate keys, NaN, infinities, NUL, half characters or bottomless nesting; raises Invalid.

    >>> parse_json('{"resourceType": "Bundle"}')
    {'resourceType': 'Bundle'}
    """
    decoded = _read_quickly(text)
    if decoded is None:
        decoded = _read_carefully(text, where)
    if text.count("{") + text.count("[") > _DEEPEST and _depth(decoded) > _DEEPEST:
        raise _too_deep(where)
    if "\\u" in text and _has_broken_text(decoded):
        raise Invalid(f"The JSON in {where} must not contain NUL or half of a character.")
    return decoded


def _read_quickly(text: str) -> object:
    """What orjson reads, where nothing can have been lost in it; else None.

    Of two equal keys orjson keeps the last, and with the other goes its colon: written out again, what was read has
    as many colons as the text only if nothing went (unless a colon was written as an escape).
    """
    if "\\u003" in text:
        return None
    try:
        decoded: object = orjson.loads(text)
        written = orjson.dumps(decoded)
    except (ValueError, TypeError):
        return None
    return decoded if written.count(b":") == text.count(":") else None


def _read_carefully(text: str, where: str) -> object:
    try:
        decoded: object = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_finite_integer
        )
    except _Unfit as unfit:
        raise Invalid(f"The JSON in {where} {unfit}.") from None
    except RecursionError:
        raise _too_deep(where) from None
    except ValueError:
        raise Invalid(f"The JSON in {where} is not valid.") from None
    return decoded


class _Unfit(ValueError):
    """JSON that is well-formed and still cannot be taken: the rest of a sentence that says why."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Unfit("must not have a key twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _Unfit(f"must not contain {name}")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _Unfit("must not contain a number that large")
    return number


def _finite_integer(text: str) -> int | float:
    if len(text) > 300:  # a double ends at 308 digits, and Python refuses to read thousands of them
        raise _Unfit("must not contain a number that large")
    number = int(text)
    # Beyond 64 bits a number is a double, as it is to any other reader of JSON (RFC 8259 §6).
    return number if -(2**63) <= number < 2**64 else float(number)


def _too_deep(where: str) -> Invalid:
    return Invalid(f"The JSON in {where} must not be nested deeper than {_DEEPEST} levels.")


def _children(node: object) -> list[object]:
    return list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []


def _depth(node: object) -> int:
    """Levels of objects and arrays, counted without recursion: the point is that there may be too many."""
    level: list[Any] = [node] if isinstance(node, dict | list) else []
    depth = 0
    while level:
        inside = (child for part in level for child in (part.values() if type(part) is dict else part))
        level, depth = [child for child in inside if type(child) is dict or type(child) is list], depth + 1
    return depth


def _has_broken_text(decoded: object) -> bool:
    waiting = [decoded]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str) and _BROKEN_TEXT.search(node):
            return True
        waiting += [*node, *node.values()] if isinstance(node, dict) else _children(node)
    return False


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
