"""What a caller may not see answers like what does not exist: status, headers and body, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import MARK, MARY, PAMELA, PAT, TOM, Exchange
from contract_table import SHARED, THING
from example_calls import EXAMPLES
from example_things import OMH, Example, Things, answers, bundle, observation, patient, row

NOWHERE = 9_999_999
ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture(scope="module")
def clients(shared_exchange: Exchange) -> Iterator[dict[str, httpx.Client]]:
    """A client for each person, and standing things of the lab to ask about."""
    found = {email: shared_exchange.as_(email) for email in (MARK, MARY, PAMELA, PAT, TOM)}
    superuser = shared_exchange.as_("admin@example.com")
    things = Things(superuser)
    standing = {"invitation_id": things.new_invitation_id(), "observation_id": things.new_observation_id()}
    before, Things.standing = Things.standing, Things.standing | standing
    yield found
    Things.standing = before


def said(answer: httpx.Response, *ids: int) -> tuple[int, dict[str, str], str]:
    """All that an answer tells, with the ids the caller named themselves taken out, and what is each answer's own."""
    own = ("date", "etag", "content-length", "x-request-id")
    told = {name: value for name, value in answer.headers.items() if name not in own}
    text = answer.text
    for id in ids:
        text = text.replace(str(id), "ID")
    return answer.status_code, told, text


# Pamela is a patient of the lab like Peter: what its patients share is not hidden from her.
OF_ONE_THING = [
    (example, email)
    for example in EXAMPLES
    for email in (MARK, PAMELA)
    if "{" in example.path and (example.about == THING or (example.about == SHARED and email == MARK))
]


@pytest.mark.parametrize(("example", "email"), OF_ONE_THING, ids=lambda part: getattr(part, "name", part))
def test_a_thing_from_elsewhere_answers_like_one_that_does_not_exist(
    clients: dict[str, httpx.Client], example: Example, email: str
) -> None:
    [name] = [name for name in Things.standing if f"{{{name}}}" in example.path]
    real, unknown = Things(clients[email]), Things(clients[email], **{name: NOWHERE})
    hidden = example.send(clients[email], real)
    assert hidden.status_code in (403, 404)
    assert said(hidden, real[name]) == said(example.send(clients[email], unknown), NOWHERE)


ORGANIZATION, STUDY, PATIENT = 20003, 30001, 40001  # the lab's, which neither Mark nor Percy's lab knows
LISTS: list[tuple[str, str, int]] = [
    ("api/v1/patients", "organization_id", ORGANIZATION),
    ("api/v1/patients", "study_id", STUDY),
    ("api/v1/patients", "patient_id", PATIENT),
    ("api/v1/patients", "patient_identifier_value", 0),
    ("api/v1/studies", "organization_id", ORGANIZATION),
    ("api/v1/organizations", "part_of", 20002),
    ("api/v1/users", "organization_id", ORGANIZATION),
    ("api/v1/invitation", "patient_id", PATIENT),
    ("api/v1/followup", "study_id", STUDY),
    ("api/v1/observations", "organization_id", ORGANIZATION),
    ("api/v1/observations", "study_id", STUDY),
    ("api/v1/observations", "patient_id", PATIENT),
    ("api/v1/audit", "organization_id", ORGANIZATION),
    ("api/v1/audit", "patient_id", PATIENT),
    ("FHIR/R5/Observation", "patient", PATIENT),
    ("FHIR/R5/Observation", "patient.organization", ORGANIZATION),
    ("FHIR/R5/Observation", "patient._has:Group:member:_id", STUDY),
    ("FHIR/R5/Observation", "patient.identifier", 0),
    ("FHIR/R5/Patient", "_id", PATIENT),
    ("FHIR/R5/Patient", "identifier", 0),
    ("FHIR/R5/Patient", "organization", ORGANIZATION),
    ("FHIR/R5/Patient", "_has:Group:member:_id", STUDY),
    ("FHIR/R5/Group", "_id", STUDY),
    ("FHIR/R5/Group", "member", PATIENT),
    ("FHIR/R5/Group", "managing-entity", ORGANIZATION),
    ("FHIR/R5/Organization", "_id", ORGANIZATION),
    ("FHIR/R5/Organization", "partof", 20002),
    ("FHIR/R5/Practitioner", "_id", 80003),
]


@pytest.mark.parametrize(("path", "name", "id"), LISTS, ids=lambda part: str(part))
def test_a_filter_by_what_is_elsewhere_finds_nothing(
    clients: dict[str, httpx.Client], path: str, name: str, id: int
) -> None:
    value = str(id) if id else "abc123"
    found, unknown = (clients[MARK].get(path, params={name: one}) for one in (value, str(NOWHERE)))
    assert found.status_code == 200
    assert found.json().get("total", found.json().get("count")) == 0
    ids = [id] if id else []
    assert said(found, *ids)[2].replace("abc123", "ID") == said(unknown, NOWHERE)[2]


@pytest.mark.parametrize(("path", "name", "id"), [one for one in LISTS if "/patients" in one[0] and one[2]])
def test_a_stream_of_what_is_elsewhere_is_empty_too(
    clients: dict[str, httpx.Client], path: str, name: str, id: int
) -> None:
    found, unknown = (clients[MARK].get(path, params={name: one}, headers={"Accept": ARROW}) for one in (id, NOWHERE))
    assert (found.status_code, found.headers["Content-Type"]) == (200, ARROW)
    assert found.content == unknown.content


def _new_study(organization: int) -> dict[str, Any]:
    return {"name": "Elsewhere", "description": "", "organization": organization}


def _role(user: int) -> dict[str, Any]:
    return {"jheUserId": user, "organizationPractitionerRole": "viewer"}


def _import(study: int) -> dict[str, Any]:
    return {"organizationId": ORGANIZATION, "studyId": study, "rows": [row(0)], "dryRun": True}


# who, what they send, an id that exists elsewhere, and the status; `{id}` in the path or the call's id in the body.
NAMED: list[tuple[str, str, Any, int, int]] = [
    (MARK, "POST api/v1/invitation", lambda id: {"patientId": id}, PATIENT, 404),
    (MARK, "POST FHIR/R5/Observation", observation, PATIENT, 400),
    (MARK, "POST FHIR/R5", bundle, PATIENT, 400),
    (MARK, "POST FHIR/R5", lambda id: bundle(id, "batch"), PATIENT, 200),
    (PAMELA, "POST FHIR/R5/Observation", observation, PATIENT, 400),
    (PAMELA, "POST api/v1/patients/40002/consents", lambda id: answers(id, consented=True), 30004, 400),
    (MARY, "POST api/v1/studies/30001/patients", lambda id: {"patient_ids": [id]}, 40003, 400),
    (MARY, "DELETE api/v1/studies/30001/patients", lambda id: {"patient_ids": [id]}, 40003, 204),
    (MARY, "POST api/v1/patients/import", _import, 30004, 200),
    (MARY, "POST api/v1/patients", lambda id: patient(0) | {"organizationId": id}, 20007, 403),
    (MARY, "POST api/v1/patients/import", lambda id: _import(30001) | {"organizationId": id}, 20007, 403),
    (MARY, "POST api/v1/studies", _new_study, 20007, 403),
    (MARY, "POST api/v1/organizations", lambda id: {"name": "X", "type": "team", "partOf": id}, 20007, 403),
    (MARY, "PATCH api/v1/organizations/20003", lambda id: {"partOf": id}, 20007, 403),
    (MARY, "PATCH api/v1/patients/{id}/global_add_organization?organization_id=20003", None, 40003, 404),
    (MARY, "PATCH api/v1/patients/40001/global_add_organization?organization_id={id}", None, 20007, 403),
    (MARY, "GET api/v1/patients/40001?organization_id={id}", None, 20007, 404),
    (MARY, "PATCH api/v1/patients/40001?organization_id={id}", lambda _: {"telecomPhone": "1"}, 20007, 403),
    (MARY, "DELETE api/v1/patients/40001?organization_id={id}", None, 20007, 403),
    (MARY, "GET api/v1/patients/40001/removal_preview?organization_id={id}", None, 20007, 403),
    (MARY, "POST api/v1/patients/40001/invitation_link?organization_id={id}", None, 20007, 403),
    (MARY, "POST api/v1/organizations/20003/user", _role, 10006, 400),
    (MARY, "DELETE api/v1/organizations/20003/remove_user", lambda id: {"jheUserId": id}, 10008, 404),
    (TOM, "POST api/v1/patients/40005/consents", lambda id: answers(id, consented=True), 30003, 400),
    (TOM, "PATCH api/v1/patients/40005/consents", lambda id: answers(id, consented=True), 30003, 400),
    (TOM, "DELETE api/v1/patients/40005/consents", answers, 30003, 400),
]


@pytest.mark.parametrize(("email", "call", "body", "id", "status"), NAMED, ids=lambda part: str(part)[:60])
def test_an_id_from_elsewhere_in_a_call_answers_like_an_unknown_one(
    clients: dict[str, httpx.Client], email: str, call: str, body: Any, id: int, status: int
) -> None:
    method, _, path = call.partition(" ")
    found, unknown = (
        clients[email].request(
            method,
            path.format(id=one),
            content=None if body is None else json.dumps(body(one)),
            headers={"Content-Type": "application/json"},
        )
        for one in (id, NOWHERE)
    )
    assert found.status_code == status, found.text
    assert said(found, id) == said(unknown, NOWHERE)


def test_a_patient_of_two_hospitals_shows_each_only_its_own(clients: dict[str, httpx.Client]) -> None:
    """Pat is in cardiology (20006: Mark) and in the cardiology lab (20008: Tom)."""
    for email, home, study in ((MARK, 20006, 30003), (TOM, 20008, 30005)):
        one = clients[email].get("api/v1/patients/40005").json()
        assert [organization["id"] for organization in one["organizations"]] == [home]
        assert (one["studiesPending"], one["studiesAnswered"]) == (0, 1)
        consents = clients[email].get("api/v1/patients/40005/consents").json()
        assert [found["id"] for found in consents["studies"] + consents["studiesPendingConsent"]] == [study]
        listed = clients[email].get("api/v1/patients", params={"patient_id": 40005}).json()
        assert [organization["id"] for organization in listed["results"][0]["organizations"]] == [home]
    assert [one["id"] for one in clients[MARK].get("api/v1/patients/40005/consolidated_clients").json()] == [2]
    assert clients[TOM].get("api/v1/patients/40005/consolidated_clients").json() == []
    own = clients[PAT].get("api/v1/patients/me").json()
    assert [organization["id"] for organization in own["organizations"]] == [20006, 20008]


def test_a_patient_of_two_hospitals_lets_each_read_what_its_own_study_asked(clients: dict[str, httpx.Client]) -> None:
    for email, code in ((MARK, "omh:blood-glucose:4.0"), (TOM, "omh:oxygen-saturation:2.0")):
        found = clients[email].get("api/v1/observations", params={"patient_id": 40005}).json()["results"]
        assert {(one["codingSystem"], one["codingCode"]) for one in found} == {(OMH, code)}
    assert clients[PAT].get("api/v1/observations").json()["count"] == 2


def test_what_identifies_a_patient_of_two_hospitals_neither_changes_alone(clients: dict[str, httpx.Client]) -> None:
    tom = clients[TOM]
    assert tom.patch("api/v1/patients/40005", json={"telecomPhone": "555"}).status_code == 200
    for change in ({"telecomEmail": "pat@example.org"}, {"identifier": "X1"}, {"identifiers": []}):
        assert tom.patch("api/v1/patients/40005", json={"telecomPhone": "556"} | change).status_code == 403
    assert tom.get("api/v1/patients/40005").json()["telecomPhone"] == "555", "all of a change or nothing of it"
