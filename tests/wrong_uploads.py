"""Uploads that are wrong in one way each, with the status and the sentence that each has to hear."""

from __future__ import annotations

import base64
from typing import Any

from indoors import bundle, reading

from jhe_server import fhir

HEART_RATE, TEMPERATURE = 50004, 50003
OMH = "https://w3id.org/openmhealth"
Resource = dict[str, Any]


def observation(**other: Any) -> Resource:
    """A good reading with some elements exchanged; those that are None are left out."""
    return {name: value for name, value in (reading(40001, HEART_RATE) | other).items() if value is not None}


def attached(data: Any) -> Resource:
    """A reading whose attachment holds this text, or these bytes, in base64."""
    raw = data if isinstance(data, bytes) else data.encode()
    return observation(valueAttachment={"contentType": "application/json", "data": base64.b64encode(raw).decode()})


def point(part: str = "header", **change: Any) -> Resource:
    """A reading whose data point has a part changed; what becomes None is taken out."""
    sent = observation()
    found: Any = fhir.read_attachment(sent["valueAttachment"])[0]
    at = found
    for name in part.split("."):
        at = at[name]
    at.update(change)
    for name in [name for name, value in change.items() if value is None]:
        del at[name]
    return sent | {"valueAttachment": fhir.attachment(found)}


def coded(system: str, code: str, times: int = 1) -> Resource:
    return observation(code={"coding": [{"system": system, "code": code}] * times})


def schema(**change: Any) -> Resource:
    return point("header.schema_id", **change)


def rate(**change: Any) -> Resource:
    return point("body.heart_rate", **change)


def timed(date_time: str) -> Resource:
    return point("body.effective_time_frame", date_time=date_time)


def of_type(media_type: str) -> Resource:
    good = observation()
    return good | {"valueAttachment": good["valueAttachment"] | {"contentType": media_type}}


# ------------------------------------------------------------------ an Observation
WRONG: dict[str, tuple[Any, int, str]] = {
    "another resource": ({"resourceType": "Patient"}, 400, "Expected an Observation."),
    "no status": (observation(status=None), 400, "Observation.status is not one of FHIR's observation statuses."),
    "a status that is none": (
        observation(status="done"),
        400,
        "Observation.status is not one of FHIR's observation statuses.",
    ),
    # the patient
    "no subject": (observation(subject=None), 400, "Observation.subject: Expected a reference such as Patient/1."),
    "an unknown patient": (
        observation(subject={"reference": "Patient/49999"}),
        400,
        "Observation.subject: no such patient.",
    ),
    "a patient that cannot be seen": (
        observation(subject={"reference": "Patient/40003"}),
        400,
        "Observation.subject: no such patient.",
    ),
    "a subject of another type": (
        observation(subject={"reference": "Group/40001"}),
        400,
        "Observation.subject: Expected a reference such as Patient/1.",
    ),
    # the device
    "no device": (observation(device=None), 400, "Observation.device: Expected a reference such as Device/1."),
    "an unknown device": (
        observation(device={"reference": "Device/79999"}),
        400,
        "Observation.device: no such data source.",
    ),
    "a device of another type": (
        observation(device={"reference": "Patient/40001"}),
        400,
        "Observation.device: Expected a reference such as Device/1.",
    ),
    # the code
    "no code": (observation(code=None), 400, "Observation.code: Expected a code with exactly one coding."),
    "no coding": (observation(code={"coding": []}), 400, "Observation.code: Expected a code with exactly one coding."),
    "two codings": (
        coded(OMH, "omh:heart-rate:2.0", 2),
        400,
        "Observation.code: Expected a code with exactly one coding.",
    ),
    "a coding without a system": (
        observation(code={"coding": [{"code": "omh:heart-rate:2.0"}]}),
        400,
        "Observation.code: Expected a coding with a system and a code.",
    ),
    "an unknown code": (coded(OMH, "omh:heart-rate:9.0"), 400, "Observation.code: no such code in this system."),
    "the code in another system": (
        coded("http://loinc.org", "omh:heart-rate:2.0"),
        400,
        "Observation.code: no such code in this system.",
    ),
    "a code that is not consented to": (
        reading(40001, TEMPERATURE),
        403,
        "The patient has not consented to omh:body-temperature:4.0 in a study that requests it.",
    ),
    # identifiers
    "an identifier without a value": (
        observation(identifier=[{"system": "urn:x"}]),
        400,
        "Observation.identifier needs a value, and both of system and value as plain text.",
    ),
    "an identifier that is a text": (
        observation(identifier="x"),
        400,
        "Observation.identifier is not a list of identifiers.",
    ),
    "an identifier with a line break": (
        observation(identifier=[{"system": "urn:x", "value": "a\nb"}]),
        400,
        "Observation.identifier needs a value, and both of system and value as plain text.",
    ),
    # the attachment
    "no attachment": (
        observation(valueAttachment=None),
        400,
        "Observation.valueAttachment: Expected a valueAttachment with contentType and data.",
    ),
    "an attachment of another type": (
        of_type("text/csv"),
        400,
        "Observation.valueAttachment: valueAttachment.contentType must be application/json.",
    ),
    "an attachment without data": (
        observation(valueAttachment={"contentType": "application/json"}),
        400,
        "Observation.valueAttachment: valueAttachment.data must be a base64 text.",
    ),
    "what is no base64": (
        observation(valueAttachment={"data": "%%%"}),
        400,
        "Observation.valueAttachment: valueAttachment.data is not valid base64.",
    ),
    "base64 cut short": (
        observation(valueAttachment={"data": "eyJ2"[:3]}),
        400,
        "Observation.valueAttachment: valueAttachment.data is not valid base64.",
    ),
    "what is no UTF-8": (
        attached(b'{"note": "\xff\xfe"}'),
        400,
        "Observation.valueAttachment: valueAttachment.data is not UTF-8.",
    ),
    "UTF-16": (
        attached('{"note": "é"}'.encode("utf-16")),
        400,
        "Observation.valueAttachment: valueAttachment.data is not UTF-8.",
    ),
    "what is no JSON": (
        attached("{"),
        400,
        "Observation.valueAttachment: The JSON in valueAttachment.data is not valid.",
    ),
    "NaN": (
        attached('{"header": NaN}'),
        400,
        "Observation.valueAttachment: The JSON in valueAttachment.data must not contain NaN.",
    ),
    "a number beyond a double": (
        attached('{"header": 1e999}'),
        400,
        "Observation.valueAttachment: The JSON in valueAttachment.data must not contain a number that large.",
    ),
    "a key twice": (
        attached('{"body": {}, "body": {}}'),
        400,
        "Observation.valueAttachment: The JSON in valueAttachment.data must not have a key twice in one object.",
    ),
    "a NUL": (
        attached('{"note": "\\u0000"}'),
        400,
        "Observation.valueAttachment: The JSON in valueAttachment.data must not contain NUL or half of a character.",
    ),
    "half a character": (
        attached('{"note": "\\ud83d"}'),
        400,
        "Observation.valueAttachment: The JSON in valueAttachment.data must not contain NUL or half of a character.",
    ),
    "bottomless JSON": (
        attached("[" * 65 + "]" * 65),
        400,
        "Observation.valueAttachment: The JSON in valueAttachment.data must not be nested deeper than 64 levels.",
    ),
    # the data point
    "a number for a data point": (attached("5"), 422, "The data point must be an object with a header and a body."),
    "a data point without a header": (attached('{"body": {}}'), 422, "/header must be an object."),
    "the schema of another measure": (
        schema(name="body-weight", version="3.0"),
        422,
        "/header/schema_id must have the namespace and name of the code omh:heart-rate:2.0.",
    ),
    "a schema of another namespace": (
        schema(namespace="granola"),
        422,
        "/header/schema_id must have the namespace and name of the code omh:heart-rate:2.0.",
    ),
    "a schema without a version": (schema(version=None), 422, "/header/schema_id/version must be a string."),
    "a header without a uuid": (
        point(uuid=None),
        422,
        '/header breaks the schema of the IEEE 1752.1 header: "uuid" is a required property.',
    ),
    "a body without the measure": (
        point("body", heart_rate=None),
        422,
        '/body breaks the schema of omh:heart-rate:2.0: "heart_rate" is a required property.',
    ),
    "a body without a time": (
        point("body", effective_time_frame=None),
        422,
        '/body breaks the schema of omh:heart-rate:2.0: "effective_time_frame" is a required property.',
    ),
    "a value that is a word": (
        rate(value="fast"),
        422,
        '/body/heart_rate/value breaks the schema of omh:heart-rate:2.0: the value is not of type "number".',
    ),
    "a unit that is none": (
        rate(unit="beats per fortnight"),
        422,
        '/body/heart_rate/unit breaks the schema of omh:heart-rate:2.0: the value is not one of "beats/min".',
    ),
    "a value no body can produce": (
        rate(value=7000),
        422,
        "/body/heart_rate/value must be between 0 and 700 beats/min, the range a body can produce.",
    ),
    "a value below nothing": (
        rate(value=-5),
        422,
        "/body/heart_rate/value must be between 0 and 700 beats/min, the range a body can produce.",
    ),
    "a time that is none": (
        timed("yesterday"),
        422,
        "/body/effective_time_frame/date_time must be an RFC 3339 date-time such as 2026-03-01T08:00:00-05:00.",
    ),
    "a day that is none": (
        timed("2026-02-30T08:00:00Z"),
        422,
        "/body/effective_time_frame/date_time must be a date that exists in the calendar.",
    ),
    "a time to come": (
        timed("2199-01-01T00:00:00Z"),
        422,
        "/body/effective_time_frame/date_time must not be more than a day in the future.",
    ),
    "a time before anybody": (
        timed("1199-01-01T00:00:00Z"),
        422,
        "/body/effective_time_frame/date_time must not be before 1900.",
    ),
}


# ------------------------------------------------------------------ a Bundle
ENTRY = {"resource": observation(), "request": {"method": "POST", "url": "Observation"}}
NO_BATCH: dict[str, tuple[Any, int, str]] = {
    "no Bundle": (observation(), 400, "Expected a Bundle."),
    "no type": ({"resourceType": "Bundle", "entry": [ENTRY]}, 400, "Expected a Bundle of type batch or transaction."),
    "another type": (bundle(observation(), kind="message"), 400, "Expected a Bundle of type batch or transaction."),
    "no entry": ({"resourceType": "Bundle", "type": "batch"}, 400, "The Bundle has no entry."),
    "an empty entry": (bundle(), 400, "The Bundle has no entry."),
    "an entry that is no list": ({"resourceType": "Bundle", "type": "batch", "entry": ENTRY}, 400,
        "The Bundle has no entry."),
    "10,001 entries": ({"resourceType": "Bundle", "type": "batch", "entry": [{}] * 10_001}, 413,
        "A Bundle may have 10000 entries; this one has 10001."),
    "an array": ([ENTRY], 400, "Expected a FHIR resource."),
}  # fmt: skip

NO_UPLOAD: dict[str, tuple[Any, str]] = {
    "another method": (ENTRY | {"request": {"method": "DELETE", "url": "Observation/60001"}},
        "Only POST Observation is accepted in a Bundle."),
    "another type": (ENTRY | {"request": {"method": "POST", "url": "Patient"}},
        "Only POST Observation is accepted in a Bundle."),
    "a request that is a text": (ENTRY | {"request": "POST"}, "Only POST Observation is accepted in a Bundle."),
    "no resource": ({"request": ENTRY["request"]}, "The entry has no resource."),
    "nothing": (None, "The entry has no resource."),
    "a Patient": (ENTRY | {"resource": {"resourceType": "Patient"}}, "Expected an Observation."),
}  # fmt: skip
