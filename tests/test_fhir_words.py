"""The words every FHIR resource shares: what is emitted is valid R5, what is sent is read or refused exactly."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from fhir.resources.attachment import Attachment
from fhir.resources.bundle import Bundle
from fhir.resources.codeableconcept import CodeableConcept
from fhir.resources.coding import Coding
from fhir.resources.meta import Meta
from fhir.resources.observation import Observation
from fhir.resources.operationoutcome import OperationOutcome
from fhir.resources.reference import Reference
from hypothesis import given
from hypothesis import strategies as st

from jhe_server import fhir
from jhe_server.errors import Conflict, Invalid

OMH = "https://w3id.org/openmhealth"
MOMENT = datetime(2026, 3, 1, 13, 0, 0, 250_000, tzinfo=UTC)
ROOT = "https://example.org/user/ada/jhe/FHIR/R5"


def observation(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "60001",
        "meta": fhir.meta(MOMENT),
        "status": "final",
        "code": fhir.codeable_concept(OMH, "omh:heart-rate:2.0", "Heart Rate"),
        "subject": fhir.reference("Patient", 40001),
        "valueAttachment": fhir.attachment({"body": {}}),
    } | more


# --- what is emitted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "emitted"),
    [
        (Reference, fhir.reference("Patient", 40001)),
        (Reference, fhir.reference("Device", 70001, "CareX")),
        (Coding, fhir.coding(OMH, "omh:heart-rate:2.0", "Heart Rate")),
        (Coding, fhir.coding(OMH, "omh:heart-rate:2.0")),
        (CodeableConcept, fhir.codeable_concept(OMH, "omh:heart-rate:2.0", "Heart Rate")),
        (Meta, fhir.meta(MOMENT)),
        (Attachment, fhir.attachment({"body": {"note": "Zoë 😀"}})),
        (OperationOutcome, fhir.operation_outcome("invalid", "Expected a Bundle.", ["Bundle.type"])),
        (OperationOutcome, fhir.operation_outcome(Conflict.fhir_code, Conflict.sentence)),
    ],
)
def test_every_word_is_valid_r5(model: Any, emitted: dict[str, Any]) -> None:
    model.model_validate(emitted)


@pytest.mark.parametrize("offset", [None, 0, -300, 345, 840, -840])
@pytest.mark.parametrize("end", [None, MOMENT + timedelta(hours=8)])
def test_effective_times_are_valid_r5_and_keep_the_moment(offset: int | None, end: datetime | None) -> None:
    effective = fhir.effective(MOMENT, end, offset)
    read = Observation.model_validate(observation(**effective))
    period = read.effectivePeriod
    assert (period.start if period else read.effectiveDateTime) == MOMENT
    assert (period.end if period else None) == end


def test_effective_times_are_written_on_the_original_clock() -> None:
    end = MOMENT + timedelta(hours=1)
    assert fhir.effective(MOMENT, None, -300) == {"effectiveDateTime": "2026-03-01T08:00:00.250000-05:00"}
    assert fhir.effective(MOMENT, None, 0) == {"effectiveDateTime": "2026-03-01T13:00:00.250000+00:00"}
    assert fhir.effective(MOMENT, None, None) == {"effectiveDateTime": "2026-03-01T13:00:00.250000Z"}
    assert fhir.effective(MOMENT, end, 60)["effectivePeriod"]["end"] == "2026-03-01T15:00:00.250000+01:00"
    assert fhir.effective(None, None, None) == {}


def test_instants_are_utc_and_sort_as_text() -> None:
    paris = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=1)))
    assert fhir.instant(paris) == "2026-03-01T13:00:00.000000Z"
    assert fhir.instant(paris) < fhir.instant(MOMENT)
    assert fhir.meta(MOMENT) == {
        "lastUpdated": "2026-03-01T13:00:00.250000Z",
        "source": "https://jupyterhealth.org/jhe",
    }


def test_a_searchset_is_valid_r5_with_links_and_full_urls() -> None:
    page = fhir.searchset(
        [observation()],
        total=3,
        root=f"{ROOT}/",
        self_url=f"{ROOT}/Observation?_page=2",
        next_url=f"{ROOT}/Observation?_page=3",
    )
    Bundle.model_validate(page)
    assert [link["relation"] for link in page["link"]] == ["self", "next"]
    assert page["entry"][0]["fullUrl"] == f"{ROOT}/Observation/60001"
    assert page["total"] == 3


def test_an_empty_searchset_still_has_entry() -> None:
    page = fhir.searchset(
        [], total=0, root=ROOT, self_url=f"{ROOT}/Observation", previous_url=f"{ROOT}/Observation?_page=1"
    )
    Bundle.model_validate(page)
    assert page["entry"] == []
    assert [link["relation"] for link in page["link"]] == ["self", "previous"]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_a_response_bundle_is_valid_r5_in_the_order_of_the_entries(kind: Any) -> None:
    outcome = fhir.operation_outcome("conflict", "Identifier already exists.")
    answered = fhir.response_bundle(
        kind,
        [
            fhir.response_entry(201, location="Observation/60001", last_modified=MOMENT, resource=observation()),
            fhir.response_entry(409, outcome=outcome),
            fhir.response_entry(422, outcome=outcome),
        ],
    )
    Bundle.model_validate(answered)
    statuses = [entry["response"]["status"] for entry in answered["entry"]]
    assert statuses[:2] == ["201 Created", "409 Conflict"]
    assert statuses[2].startswith("422 ")
    assert answered["type"] == f"{kind}-response"


# --- references and codes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    ["Patient/40001", "https://example.org/FHIR/R5/Patient/40001", "/Patient/40001", {"reference": "Patient/40001"}],
)
def test_references_are_read_relative_and_absolute(written: object) -> None:
    assert fhir.parse_reference(written, "Patient") == 40001


def test_the_root_organization_has_a_reference() -> None:
    assert fhir.parse_reference("Organization/0") == 0


@pytest.mark.parametrize(
    "written",
    [
        None,
        40001,
        "",
        "40001",
        "Patient",
        "Patient/",
        "Patient/x",
        "Patient/-1",
        "Patient/1.0",
        "Patient/040001",
        "Patient/1\n",
        "Patient/40001/_history/2",
        "patient/40001",
        "XPatient/40001",
        "Patient/٤",
        "Patient/99999999999999999999",
        "Device/40001",
        "https://example.org/?x=Patient/40001",
        {"reference": None},
        {},
        ["Patient/40001"],
        {"reference": {"reference": "Patient/1"}},
    ],
)
def test_what_is_no_reference_to_a_patient_is_refused(written: object) -> None:
    with pytest.raises(Invalid, match=r"Expected a reference such as Patient/1\."):
        fhir.parse_reference(written, "Patient")


@pytest.mark.parametrize(
    "concept",
    [
        None,
        {},
        {"coding": []},
        {"coding": "x"},
        {"coding": [None]},
        {"coding": [{"code": "x"}]},
        {"coding": [{"system": OMH}]},
        {"coding": [{"system": OMH, "code": 1}]},
        {"coding": [fhir.coding(OMH, "a"), fhir.coding(OMH, "b")]},
        {"coding": {"0": 1}},
    ],
)
def test_a_code_has_exactly_one_coding(concept: object) -> None:
    with pytest.raises(Invalid, match="coding"):
        fhir.parse_concept(concept)


# --- attachments -----------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def packed(raw: str | bytes, content_type: str = "application/json") -> dict[str, str]:
    return {
        "contentType": content_type,
        "data": base64.b64encode(raw.encode() if isinstance(raw, str) else raw).decode(),
    }


@given(json_values)
def test_every_json_value_survives_an_attachment(value: object) -> None:
    assert fhir.read_attachment(fhir.attachment(value))[0] == value


def test_base64_may_be_broken_into_lines_and_escapes_may_name_any_character() -> None:
    data = base64.encodebytes(json.dumps({"note": "Zoë 😀" * 40}).encode()).decode().replace("\n", " \t\r\n")
    assert fhir.read_attachment({"data": data})[0] == {"note": "Zoë 😀" * 40}


def test_a_text_that_spells_an_escape_is_only_text() -> None:
    assert fhir.read_attachment(packed(r'{"note": "\\u0000 and \\ud800"}'))[0] == {"note": r"\u0000 and \ud800"}


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "application/fhir+json"]
)
def test_json_has_several_media_types(content_type: str) -> None:
    assert fhir.read_attachment(packed("{}", content_type))[0] == {}


REFUSALS: list[tuple[object, str]] = [
    (None, "Expected a valueAttachment with contentType and data."),
    ("e30=", "Expected a valueAttachment with contentType and data."),
    (packed("{}", "text/plain"), "valueAttachment.contentType must be application/json."),
    ({}, "valueAttachment.data must be a base64 text."),
    ({"data": ""}, "valueAttachment.data must be a base64 text."),
    ({"data": " \n"}, "valueAttachment.data must be a base64 text."),
    ({"data": {"a": 1}}, "valueAttachment.data must be a base64 text."),
    ({"data": "e30"}, "valueAttachment.data is not valid base64."),
    ({"data": "e3_="}, "valueAttachment.data is not valid base64."),
    ({"data": "{}"}, "valueAttachment.data is not valid base64."),
    ({"data": "ë30="}, "valueAttachment.data is not valid base64."),
    ({"data": "e3\x000="}, "valueAttachment.data is not valid base64."),
    (packed(b"\xff{}"), "valueAttachment.data is not UTF-8."),
    (packed('"Zoë"'.encode("latin-1")), "valueAttachment.data is not UTF-8."),
    (packed("{}".encode("utf-16")), "valueAttachment.data is not UTF-8."),
    (packed("{"), "The JSON in valueAttachment.data is not valid."),
    (packed("{} {}"), "The JSON in valueAttachment.data is not valid."),
    (packed("\ufeff{}"), "The JSON in valueAttachment.data is not valid."),
    (packed('{"a": "\0"}'), "The JSON in valueAttachment.data is not valid."),
    (packed('{"a": NaN}'), "The JSON in valueAttachment.data must not contain NaN."),
    (packed('{"a": -Infinity}'), "The JSON in valueAttachment.data must not contain -Infinity."),
    (packed('{"a": 1e999}'), "The JSON in valueAttachment.data must not contain a number that large."),
    (packed('{"a": %s}' % ("9" * 5000)), "The JSON in valueAttachment.data must not contain a number that large."),
    (packed('{"a": 1, "a": 2}'), "The JSON in valueAttachment.data must not have a key twice in one object."),
    (packed("[" * 65 + "]" * 65), "The JSON in valueAttachment.data must not be nested deeper than 64 levels."),
    (packed('{"a":' * 200_000), "The JSON in valueAttachment.data must not be nested deeper than 64 levels."),
    (packed("[" * 900 + "]" * 900), "The JSON in valueAttachment.data must not be nested deeper than 64 levels."),
    (packed(r'{"a": "\u0000"}'), "The JSON in valueAttachment.data must not contain NUL or half of a character."),
    (packed(r'{"a": ["\ud800"]}'), "The JSON in valueAttachment.data must not contain NUL or half of a character."),
    (packed(r'{"\udc00": 1}'), "The JSON in valueAttachment.data must not contain NUL or half of a character."),
]


@pytest.mark.parametrize(("attachment", "sentence"), REFUSALS, ids=range(len(REFUSALS)))
def test_each_refusal_says_exactly_what_is_wrong(attachment: object, sentence: str) -> None:
    with pytest.raises(Invalid) as refusal:
        fhir.read_attachment(attachment)
    assert refusal.value.detail == sentence


def test_sixty_four_levels_are_allowed() -> None:
    assert fhir.read_attachment(packed("[" * 64 + "]" * 64))[0]
    assert fhir.read_attachment(packed(json.dumps([[], {}] * 200)))[0]
