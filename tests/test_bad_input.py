"""Bad input over the wire: every write route answers in one sentence that repeats nothing, and writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import ADMIN, MARY, Exchange
from pydantic import BaseModel
from sqlalchemy import func, select

from jhe_server import api, fhir_api
from jhe_server.db import Base
from jhe_server.routes import Route

SECRET = "Zsuzsanna-Verysecret"
EXAMPLES = {
    "study_id": 30001,
    "patient_id": 40001,
    "organization_id": 20003,
    "data_source_id": 70001,
    "oauth_client_id": 1,
    "practitioner_id": 80002,
}
API = [route for route in api.ROUTES if route.body is not None]
FHIR = [route for route in fhir_api.ROUTES if route.body is not None]
WRITTEN_BY_REFUSALS = {"audit", "audit_subject"}


def address(route: Route) -> str:
    root = "api/v1" if route in API else "FHIR/R5"
    return f"{root}/{route.path.format(**EXAMPLES)}".rstrip("/")


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def written(exchange: Exchange) -> dict[str, int]:
    """How many rows each table has, but for the audit's: a refusal leaves its own row there."""
    with exchange.database.read() as session:
        tables = [table for table in Base.metadata.sorted_tables if table.name not in WRITTEN_BY_REFUSALS]
        return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


@pytest.fixture(scope="module")
def admin(shared_exchange: Exchange) -> httpx.Client:
    return shared_exchange.as_(ADMIN)


@pytest.fixture(scope="module")
def mary(shared_exchange: Exchange) -> httpx.Client:
    return shared_exchange.as_(MARY)


@pytest.fixture
def nothing_written(shared_exchange: Exchange, admin: httpx.Client, mary: httpx.Client) -> Iterator[None]:
    """Whatever the test sends leaves no row, no value and no traceback behind."""
    before = written(shared_exchange)
    yield
    assert written(shared_exchange) == before
    log = shared_exchange.log.read_text()
    assert SECRET not in log
    assert "Traceback" not in log


def refused(answer: httpx.Response, status: int = 400, field: str | None = None) -> dict[str, Any]:
    """One sentence in the error shape of the path, which repeats nothing of what was sent."""
    assert answer.status_code == status, (answer.request.url, answer.request.content[:200], answer.text[:500])
    assert SECRET not in answer.text
    body: dict[str, Any] = answer.json()
    fhir = "/FHIR/" in answer.request.url.path
    assert answer.headers["Content-Type"] == ("application/fhir+json" if fhir else "application/json")
    detail = body["issue"][0]["diagnostics"] if fhir else body["detail"]
    assert set(body) <= ({"resourceType", "issue"} if fhir else {"detail", "errors"})
    assert detail.endswith(".")
    assert 5 < len(detail) < 300
    if field is not None:
        assert field in {one.split(".")[0] for one in body["errors"]}, body
        assert all(isinstance(said, list) and said for said in body["errors"].values())
    return body


def send(client: httpx.Client, route: Route, body: bytes, media_type: str = "application/json") -> httpx.Response:
    return client.request(route.method, address(route), content=body, headers={"Content-Type": media_type})


# ------------------------------------------------------------------ every write route, generated
NO_OBJECT = [b"", b"null", b"[]", b"[{}]", b"1", b"true", f'"{SECRET}"'.encode()]
NO_JSON = [
    b"{",
    b"{]",
    b'{"a": }',
    b"{'a': 1}",
    b'{"name": "\xff\xfe"}',
    b"\xef\xbb\xbf\xff",
    b'{"name": "\\ud800"}',
    b'{"name": "tab\tinside"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"{} {}",
    ('{"name": "' + SECRET).encode(),
]


@pytest.mark.parametrize("route", [*API, *FHIR], ids=named)
@pytest.mark.usefixtures("nothing_written")
def test_what_is_no_json_object_is_refused_everywhere(admin: httpx.Client, route: Route) -> None:
    for body in [*NO_OBJECT, *NO_JSON]:
        refused(send(admin, route, body))


@pytest.mark.parametrize("route", [*API, *FHIR], ids=named)
@pytest.mark.usefixtures("nothing_written")
def test_another_media_type_is_refused_everywhere(admin: httpx.Client, route: Route) -> None:
    for media_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/xml",
        "application/json; charset=utf-16",
    ):
        refused(send(admin, route, json.dumps({"name": SECRET}).encode(), media_type), 415)


@pytest.mark.parametrize("route", API, ids=named)
@pytest.mark.usefixtures("nothing_written")
def test_every_field_of_every_call_refuses_what_it_cannot_be(admin: httpx.Client, route: Route) -> None:
    assert issubclass(route.body, BaseModel)
    schema = route.body.model_json_schema(by_alias=True)
    for name, described in schema["properties"].items():
        for value in spoilt(described, name in schema.get("required", [])):
            refused(send(admin, route, f'{{"{name}": {value}}}'.encode()), field=name)


@pytest.mark.parametrize("route", API, ids=named)
@pytest.mark.usefixtures("nothing_written")
def test_every_call_refuses_fields_it_does_not_have(admin: httpx.Client, route: Route) -> None:
    for name in ("surprise", "isSuperuser", "jheUser", "__proto__", "userType"):
        refused(send(admin, route, json.dumps({name: SECRET}).encode()), field=name)


@pytest.mark.parametrize("route", API, ids=named)
@pytest.mark.usefixtures("nothing_written")
def test_every_call_refuses_a_key_given_twice(admin: httpx.Client, route: Route) -> None:
    name = next(iter(route.body.model_json_schema(by_alias=True)["properties"]))
    for body in (f'{{"{name}": 1, "{name}": 2}}', f'{{"x": {{"y": 1, "y": "{SECRET}"}}, "{name}": 2}}'):
        refused(send(admin, route, body.encode()))


def spoilt(described: dict[str, Any], required: bool) -> list[str]:
    """JSON values that a property of this JSON schema cannot be; each kind of wrong at least once."""
    kinds = {one.get("type", "object" if "$ref" in one else "string") for one in described.get("anyOf", [described])}
    values = ["NaN", "Infinity", '{"a": "' + SECRET + '"}' if "object" not in kinds else "5"]
    if required and "null" not in kinds:
        values.append("null")
    if "integer" not in kinds:
        values += ["5", "5.5"]
    if "boolean" not in kinds:
        values += ["true", "false"]
    if "array" not in kinds:
        values += [f'["{SECRET}"]', "[]"]
    if "integer" in kinds:
        values += ["1.5", "1e2", "-1", str(10**30), str(2**63)]
    if "string" in kinds:
        values += [f'"{SECRET}\\u0000"', f'"{SECRET}\\u001b[31m"', '"\\u0007"']
    else:
        values += [f'"{SECRET}"', '"40001"', '"true"', '""']
    return values


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
@pytest.mark.usefixtures("nothing_written")
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
@pytest.mark.usefixtures("nothing_written")
def test_a_patient_is_refused_by_field(mary: httpx.Client, field: str, value: Any) -> None:
    refused(mary.post("api/v1/patients", json=patient(**{field: value})), field=field)


@pytest.mark.usefixtures("nothing_written")
def test_all_wrong_fields_are_named_at_once(mary: httpx.Client) -> None:
    body = patient(birthDate="soon", telecomEmail="nowhere", nameGiven=5)
    said = refused(mary.post("api/v1/patients", json=body))
    assert set(said["errors"]) == {"birthDate", "telecomEmail", "nameGiven"}


@pytest.mark.parametrize("size", [2**20 + 1, 10 * 2**20])
@pytest.mark.usefixtures("nothing_written")
def test_a_name_of_megabytes_is_too_large(mary: httpx.Client, size: int) -> None:
    refused(mary.post("api/v1/patients", json=patient(nameFamily="n" * size)), 413)


@pytest.mark.parametrize("email", ["LL_Patient_Peter@Example.COM", "Manager_MARY@example.com"])
@pytest.mark.usefixtures("nothing_written")
def test_an_email_in_another_case_is_the_same_person(mary: httpx.Client, email: str) -> None:
    answer = mary.post("api/v1/patients", json=patient(telecomEmail=email))
    assert answer.status_code == 409
    assert answer.json()["detail"] == "User with this email already exists"


@pytest.mark.usefixtures("nothing_written")
def test_a_taken_identifier_is_named(mary: httpx.Client) -> None:
    taken = {"system": "urn:oid:1.2.3.4", "value": "E1234"}
    answer = mary.post("api/v1/patients", json=patient(identifiers=[taken]))
    assert answer.status_code == 409
    assert answer.json()["detail"] == "Identifier urn:oid:1.2.3.4|E1234 already belongs to another patient."


@pytest.mark.usefixtures("nothing_written")
def test_an_update_is_all_or_nothing(mary: httpx.Client) -> None:
    before = mary.get("api/v1/patients/40001").json()
    refused(
        mary.patch("api/v1/patients/40001", json={"nameFamily": "Other", "birthDate": "2999-01-01"}), field="birthDate"
    )
    taken = mary.patch(
        "api/v1/patients/40001", json={"nameFamily": "Other", "telecomEmail": "ll_patient_pamela@example.com"}
    )
    assert taken.status_code == 409
    assert mary.get("api/v1/patients/40001").json() == before


# ------------------------------------------------------------------ the other bodies
@pytest.mark.usefixtures("nothing_written")
def test_an_organization_cannot_become_part_of_itself_or_of_one_below_it(admin: httpx.Client) -> None:
    for parent in (20001, 20002, 20003):
        refused(admin.patch("api/v1/organizations/20001", json={"partOf": parent}), field="partOf")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (
            "organizations/20003/user",
            {"jheUserId": 10004, "organizationPractitionerRole": "owner"},
            "organizationPractitionerRole",
        ),
        ("organizations", {"name": "x", "type": "castle", "partOf": 20003}, "type"),
        ("patients/40001/consents", {"studyScopeConsents": []}, "studyScopeConsents"),
        (
            "patients/40001/consents",
            {"studyScopeConsents": [{"studyId": 30001, "scopeConsents": []}]},
            "studyScopeConsents",
        ),
        ("studies/30001/patients", {"patient_ids": []}, "patientIds"),
        ("studies/30001/patients", {"patient_ids": [40001, "40002"]}, "patientIds"),
        ("studies/30001/patients", {"patient_ids": [40001, None]}, "patientIds"),
        ("studies/30001/patients", {"patient_ids": list(range(10_001))}, "patientIds"),
        ("studies/30001/scope_requests", {"scope_code_id": 59999}, "scopeCodeId"),
        ("studies/30001/data_sources", {"data_source_id": 79999}, "dataSourceId"),
        ("studies/30001/clients", {"client_id": 999}, "clientId"),
        (
            "studies",
            {"name": "x", "description": "", "organization": 20003, "iconUrl": "javascript:alert(1)"},
            "iconUrl",
        ),
        ("patients/import", {"organizationId": 20003, "rows": []}, "rows"),
        ("patients/import", {"organizationId": 20003, "rows": [{"email": [SECRET]}]}, "rows"),
    ],
)
@pytest.mark.usefixtures("nothing_written")
def test_other_bodies_are_refused_by_field(
    mary: httpx.Client, path: str, body: dict[str, Any], field: str
) -> None:
    refused(mary.post(f"api/v1/{path}", json=body), field=field)


def consents(**other: Any) -> dict[str, Any]:
    return {
        "codingSystem": "https://w3id.org/openmhealth",
        "codingCode": "omh:blood-pressure:4.0",
        "consented": True,
    } | other


@pytest.mark.parametrize(
    "answers",
    [
        [consents(consented="yes")],
        [consents(consented=1)],
        [consents(codingCode="omh:blood-glucose:4.0")],
        [consents(codingSystem="http://loinc.org")],
        [consents(), consents(consented=False)],
        [consents(), consents(codingCode=None)],
    ],
)
@pytest.mark.usefixtures("nothing_written")
def test_answers_are_refused_as_a_whole(mary: httpx.Client, answers: list[dict[str, Any]]) -> None:
    body = {"studyScopeConsents": [{"studyId": 30001, "scopeConsents": answers}]}
    refused(mary.post("api/v1/patients/40001/consents", json=body))


# ------------------------------------------------------------------ addresses and queries
@pytest.mark.parametrize(
    "query",
    ["page=0", "page=-1", "page=x", "pageSize=0", "page_size=-5", "limit=0", "limit=-1", "limit=1.5", "offset=-1",
     "offset=1e3", "offset=99999999999999999999", "page=", "ordering=nothing", "ordering=-", "organization_id=x",
     "organizationId=-1", "organization_id=99999999999999999999", "study_id=1;drop", "search=%00", "search=%ff",
     "search=%ED%A0%80", "%ff=1", "search=%1b[31m", "patient_identifier_value=%0a"],
)  # fmt: skip
@pytest.mark.usefixtures("nothing_written")
def test_a_query_that_cannot_be_meant_is_refused(mary: httpx.Client, query: str) -> None:
    refused(mary.get(f"api/v1/patients?{query}"))


@pytest.mark.parametrize(
    "id",
    ["x", "0x1", "-1", "4e4", "40001.0", "４０００１", "99999999999999999999", "40001%00", "40001'--", "%20", "40001;"],
)
@pytest.mark.usefixtures("nothing_written")
def test_what_is_no_id_names_nothing(mary: httpx.Client, id: str) -> None:
    refused(mary.get(f"api/v1/patients/{id}"), 404)


METACHARACTERS = [
    "'",
    '"',
    "%",
    "_",
    "\\",
    "' OR '1'='1",
    "'; DROP TABLE patient; --",
    "Pet%",
    "P_t",
    "\\%",
    "%%",
    "🦊",
    "*",
]
LISTS = ["patients", "studies", "organizations", "users", "practitioners", "data_sources", "clients"]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.usefixtures("nothing_written")
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
@pytest.mark.usefixtures("nothing_written")
def test_other_texts_are_compared_as_they_are(admin: httpx.Client, path: str, name: str) -> None:
    for text in METACHARACTERS:
        answer = admin.get(f"api/v1/{path}", params={name: text})
        assert answer.status_code == 200, (text, answer.text)
        assert answer.json() in ([], {"count": 0, "next": None, "previous": None, "results": []}), text


@pytest.mark.parametrize(
    "path", [*LISTS, "observations", "audit", "followup", "studies/30001/patients", "studies/30001/consents"]
)
@pytest.mark.usefixtures("nothing_written")
def test_every_list_names_the_columns_it_can_be_ordered_by(admin: httpx.Client, path: str) -> None:
    refused(admin.get(f"api/v1/{path}?ordering=id;drop"), field="ordering")
