"""Bad values over the wire, one rule a test: what a patient, an answer, an address and a filter cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import ADMIN, MARY, Exchange
from refusals import SECRET, assert_silent, refused, written


@pytest.fixture(scope="module")
def admin(shared_exchange: Exchange) -> httpx.Client:
    return shared_exchange.as_(ADMIN)


@pytest.fixture(scope="module")
def mary(shared_exchange: Exchange) -> httpx.Client:
    return shared_exchange.as_(MARY)


@pytest.fixture(autouse=True)
def nothing_written(shared_exchange: Exchange, admin: httpx.Client, mary: httpx.Client) -> Iterator[None]:
    """Whatever the test sends leaves no row, no value and no traceback behind."""
    before = written(shared_exchange)
    yield
    assert written(shared_exchange) == before
    assert_silent(shared_exchange)


# ------------------------------------------------------------------ creating a patient
def patient(**other: Any) -> dict[str, Any]:
    return {
        "telecomEmail": "new@example.org",
        "nameFamily": SECRET,
        "nameGiven": "Zsuzsanna",
        "birthDate": "1980-01-31",
        "organizationId": 20003,
    } | other


@pytest.mark.parametrize("missing", ["telecomEmail", "nameFamily", "nameGiven", "birthDate", "organizationId"])
def test_a_required_field_is_named_where_it_is_missing(mary: httpx.Client, missing: str) -> None:
    body = {key: value for key, value in patient().items() if key != missing}
    said = refused(mary.post("api/v1/patients", json=body), field=missing)
    assert said == {"detail": f"{missing}: is required.", "errors": {missing: ["is required"]}}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("birthDate", "2999-01-01"),
        ("birthDate", "0198-01-01"),
        ("birthDate", "1980-02-30"),
        ("birthDate", "31.01.1980"),
        ("birthDate", "1980-01-31T00:00:00"),
        ("birthDate", 315532800),
        ("telecomEmail", "not an address"),
        ("telecomEmail", "a@b"),
        ("telecomEmail", "a@b.org\nBcc: c@d.org"),
        ("telecomEmail", "a" * 300 + "@example.org"),
        ("nameFamily", ""),
        ("nameFamily", " \t "),
        ("nameFamily", "two\nlines"),
        ("nameFamily", "line\u2028separator"),
        ("nameFamily", "n" * 201),
        ("telecomPhone", "5" * 1001),
        ("identifiers", [{"system": "urn:x"}]),
        ("identifiers", [{"system": "urn:x", "value": "1", "owner": 1}]),
        ("identifiers", {"system": "urn:x", "value": "1"}),
    ],
)
def test_a_patient_is_refused_by_field(mary: httpx.Client, field: str, value: Any) -> None:
    refused(mary.post("api/v1/patients", json=patient(**{field: value})), field=field)


def test_all_wrong_fields_are_named_at_once(mary: httpx.Client) -> None:
    body = patient(birthDate="soon", telecomEmail="nowhere", nameGiven=5)
    said = refused(mary.post("api/v1/patients", json=body))
    assert set(said["errors"]) == {"birthDate", "telecomEmail", "nameGiven"}


def test_a_field_given_in_both_spellings_is_refused(mary: httpx.Client) -> None:
    refused(mary.post("api/v1/patients", json=patient(organization_id=20002)), field="organization_id")


@pytest.mark.parametrize("size", [2**20 + 1, 10 * 2**20])
def test_a_name_of_megabytes_is_too_large(mary: httpx.Client, size: int) -> None:
    refused(mary.post("api/v1/patients", json=patient(nameFamily="n" * size)), 413)


@pytest.mark.parametrize("email", ["LL_Patient_Peter@Example.COM", "Manager_MARY@example.com"])
def test_an_email_in_another_case_is_the_same_person(mary: httpx.Client, email: str) -> None:
    answer = mary.post("api/v1/patients", json=patient(telecomEmail=email))
    assert answer.status_code == 409
    assert answer.json()["detail"] == "User with this email already exists"


def test_a_taken_identifier_is_named(mary: httpx.Client) -> None:
    taken = {"system": "urn:oid:1.2.3.4", "value": "E1234"}
    answer = mary.post("api/v1/patients", json=patient(identifiers=[taken]))
    assert answer.status_code == 409
    assert answer.json()["detail"] == "Identifier urn:oid:1.2.3.4|E1234 already belongs to another patient."


def test_an_update_is_all_or_nothing(mary: httpx.Client) -> None:
    before = mary.get("api/v1/patients/40001").json()
    refused(
        mary.patch("api/v1/patients/40001", json={"nameFamily": "New", "birthDate": "2999-01-01"}), field="birthDate"
    )
    taken = {"nameFamily": "New", "telecomEmail": "LL_patient_pamela@example.com"}
    assert mary.patch("api/v1/patients/40001", json=taken).status_code == 409
    assert mary.get("api/v1/patients/40001").json() == before


# ------------------------------------------------------------------ the other bodies
@pytest.mark.parametrize("parent", [20001, 20002, 20003])
def test_an_organization_cannot_become_part_of_itself_or_of_one_below_it(admin: httpx.Client, parent: int) -> None:
    refused(admin.patch("api/v1/organizations/20001", json={"partOf": parent}), field="partOf")


STUDY = {"name": "x", "description": "", "organization": 20003}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("organizations/20003/user", {"jheUserId": 10004, "organizationPractitionerRole": "owner"},
         "organizationPractitionerRole"),
        ("organizations", {"name": "x", "type": "castle", "partOf": 20003}, "type"),
        ("patients/40001/consents", {"studyScopeConsents": []}, "studyScopeConsents"),
        ("patients/40001/consents", {"studyScopeConsents": [{"studyId": 30001, "scopeConsents": []}]},
         "studyScopeConsents"),
        ("studies/30001/patients", {"patientIds": []}, "patientIds"),
        ("studies/30001/patients", {"patientIds": [40001, "40002"]}, "patientIds"),
        ("studies/30001/patients", {"patientIds": [40001, None]}, "patientIds"),
        ("studies/30001/patients", {"patientIds": list(range(10_001))}, "patientIds"),
        ("studies/30001/scope_requests", {"scope_code_id": 59999}, "scopeCodeId"),
        ("studies/30001/data_sources", {"data_source_id": 79999}, "dataSourceId"),
        ("studies/30001/clients", {"client_id": 999}, "clientId"),
        ("studies/30001/clients", {"client_id": "²"}, "clientId"),
        ("studies/30001/clients", {"client_id": "9" * 30}, "clientId"),
        ("studies", {**STUDY, "iconUrl": "javascript:alert(1)"}, "iconUrl"),
        ("studies", {**STUDY, "dataAfterWithdrawal": "sell"}, "dataAfterWithdrawal"),
        ("patients/import", {"organizationId": 20003, "rows": []}, "rows"),
        ("patients/import", {"organizationId": 20003, "rows": [{"email": [SECRET]}]}, "rows"),
    ],
)  # fmt: skip
def test_other_bodies_are_refused_by_field(mary: httpx.Client, path: str, body: dict[str, Any], field: str) -> None:
    refused(mary.post(f"api/v1/{path}", json=body), field=field)


def pressure(**other: Any) -> dict[str, Any]:
    said = {"codingSystem": "https://w3id.org/openmhealth", "codingCode": "omh:blood-pressure:4.0", "consented": True}
    return said | other


@pytest.mark.parametrize(
    "answers",
    [
        [pressure(consented="yes")],
        [pressure(consented=1)],
        [pressure(codingCode="omh:blood-glucose:4.0")],
        [pressure(codingSystem="http://loinc.org")],
        [pressure(), pressure(consented=False)],
        [pressure(), pressure(codingCode=None)],
    ],
)
def test_answers_are_refused_as_a_whole(mary: httpx.Client, answers: list[dict[str, Any]]) -> None:
    body = {"studyScopeConsents": [{"studyId": 30001, "scopeConsents": answers}]}
    refused(mary.post("api/v1/patients/40001/consents", json=body))


def test_reading_consents_resets_none(mary: httpx.Client) -> None:
    refused(mary.get("api/v1/patients/40001/consents?reset=true"))


# ------------------------------------------------------------------ addresses and queries
@pytest.mark.parametrize(
    "query",
    ["page=0", "page=-1", "page=x", "pageSize=0", "page_size=-5", "limit=0", "limit=-1", "limit=1.5", "offset=-1",
     "offset=1e3", "offset=99999999999999999999", "page=", "ordering=nothing", "ordering=-", "organization_id=x",
     "organizationId=-1", "organization_id=99999999999999999999", "study_id=1;drop", "search=%00", "search=%ff",
     "search=%ED%A0%80", "%ff=1", "search=%1b[31m", "patient_identifier_value=a%0ab"],
)  # fmt: skip
def test_a_query_that_cannot_be_meant_is_refused(mary: httpx.Client, query: str) -> None:
    refused(mary.get(f"api/v1/patients?{query}"))


@pytest.mark.parametrize(
    "id",
    [
        "x",
        "0x1",
        "-1",
        "4e4",
        "40001.0",
        "４０００１",
        "²",
        "99999999999999999999",
        "40001%00",
        "40001'--",
        "%20",
        "40001;",
    ],
)
def test_what_is_no_id_names_nothing(mary: httpx.Client, id: str) -> None:
    refused(mary.get(f"api/v1/patients/{id}"), 404)


METACHARACTERS = ["'", '"', "%", "_", "\\", "' OR '1'='1", "'; DROP TABLE patient; --", "Pet%", "P_t", "\\%", "🦊", "²"]
LISTS = ["patients", "studies", "organizations", "users", "practitioners", "data_sources", "clients"]


@pytest.mark.parametrize("path", LISTS)
def test_the_metacharacters_of_sql_are_letters_to_a_search(admin: httpx.Client, path: str) -> None:
    for text in METACHARACTERS:
        answer = admin.get(f"api/v1/{path}", params={"search": text})
        assert (answer.status_code, answer.json()["count"]) == (200, 0), text


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("patients", "patient_identifier_value"),
        ("observations", "code"),
        ("audit", "verb"),
        ("patients/global_lookup", "email"),
    ],
)
def test_other_texts_are_compared_as_they_are(admin: httpx.Client, path: str, name: str) -> None:
    for text in METACHARACTERS:
        answer = admin.get(f"api/v1/{path}", params={name: text})
        assert answer.status_code == 200, (text, answer.text)
        assert answer.json() in ([], {"count": 0, "next": None, "previous": None, "results": []}), text


@pytest.mark.parametrize(
    "path", [*LISTS, "observations", "audit", "followup", "studies/30001/patients", "studies/30001/consents"]
)
def test_every_list_names_the_columns_it_can_be_ordered_by(admin: httpx.Client, path: str) -> None:
    refused(admin.get(f"api/v1/{path}?ordering=id;drop"), field="ordering")
