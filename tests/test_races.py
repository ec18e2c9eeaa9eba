"""Many callers at once, on both stores: nothing is lost, doubled or let through because two came together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest
from conftest import ADMIN, MARK, MARY, MEGAN, PETER, TOM, Exchange, _fresh
from indoors import bundle, reading
from sqlalchemy import func, select

from jhe_server import audit
from jhe_server.fhir_api import FHIR_JSON
from jhe_server.invitations import ISSUED, InvitationRow
from jhe_server.ledger import ENROLLED, LedgerRow
from jhe_server.observations import ObservationRow
from jhe_server.patient_rows import PatientRow
from jhe_server.studies import StudyPatientRow

Call = Callable[[httpx.Client], httpx.Response]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def raced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A server that the races of this module share; each race is about things of its own."""
    folder: Path = tmp_path_factory.mktemp("raced")
    exchange = Exchange(_fresh(request, request.param, folder), folder)
    yield exchange
    exchange.close()


def at_once(raced: Exchange, calls: list[tuple[str, Call]]) -> list[httpx.Response]:
    """Each call on a connection of its own, all let go at the same moment."""
    clients = [raced.as_(email) for email, _ in calls]
    for client in clients:
        assert client.get("health").status_code == 200  # connected before the race begins
    start = Barrier(len(calls))

    def run(client: httpx.Client, call: Call) -> httpx.Response:
        start.wait()
        return call(client)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, clients, [call for _, call in calls]))


def statuses(answers: list[httpx.Response]) -> dict[int, int]:
    return dict(Counter(answer.status_code for answer in answers))


def number(raced: Exchange, rows: Any) -> int:
    with raced.database.read() as session:
        return session.scalar(select(func.count()).select_from(rows.subquery())) or 0


def patient(email: str, **other: Any) -> dict[str, Any]:
    return {
        "telecomEmail": email,
        "nameFamily": "Race",
        "nameGiven": "Ada",
        "birthDate": "1980-01-01",
        "organizationId": 20003,
    } | other


def unbroken(raced: Exchange) -> None:
    """The audit's chain holds, and nobody heard of a locked database."""
    with raced.database.read() as session:
        assert audit.verify(session) is None
    log = raced.log.read_text()
    assert "locked" not in log
    assert "Traceback" not in log


def test_two_hundred_creates_from_twenty_connections_are_two_hundred_patients(raced: Exchange) -> None:
    before = number(raced, select(PatientRow.id))

    def ten(connection: int) -> Call:
        def run(client: httpx.Client) -> httpx.Response:
            for i in range(10):
                answer = client.post("api/v1/patients", json=patient(f"race{connection}.{i}@example.org"))
                made.append((answer.status_code, answer.json().get("id")))
            return answer

        return run

    made: list[tuple[int, int]] = []
    at_once(raced, [(MEGAN, ten(connection)) for connection in range(20)])
    assert Counter(status for status, _ in made) == {201: 200}
    ids = {id for _, id in made}
    assert len(ids) == 200
    assert number(raced, select(PatientRow.id)) == before + 200
    with raced.database.read() as session:
        created = select(audit.AuditRow.patient_id).where(audit.AuditRow.verb == "patients.create")
        assert sorted(session.scalars(created)) == sorted(ids)
    feed = raced.as_(MEGAN).get("api/v1/changes").json()
    assert ids <= {one["id"] for one in feed["changes"] if one["concept"] == "patient"}
    unbroken(raced)


def test_of_eight_identical_creates_one_is_made(raced: Exchange) -> None:
    answers = at_once(raced, [(MEGAN, lambda c: c.post("api/v1/patients", json=patient("one@example.org")))] * 8)
    assert statuses(answers) == {201: 1, 409: 7}
    assert {answer.json()["detail"] for answer in answers if answer.status_code == 409} == {
        "User with this email already exists"
    }
    unbroken(raced)


def test_of_two_patients_with_one_identifier_one_is_made(raced: Exchange) -> None:
    def named(email: str) -> Call:
        return lambda c: c.post("api/v1/patients", json=patient(email, identifier="MRN-1"))

    assert statuses(at_once(raced, [(MEGAN, named(f"mrn{i}@example.org")) for i in range(4)])) == {201: 1, 409: 3}
    unbroken(raced)


def test_enrolling_at_once_enrols_once(raced: Exchange) -> None:
    answers = at_once(
        raced, [(MEGAN, lambda c: c.post("api/v1/studies/30002/patients", json={"patient_ids": [40001, 40002]}))] * 6
    )
    assert statuses(answers) == {201: 6}
    assert number(raced, select(StudyPatientRow).where(StudyPatientRow.study_id == 30002)) == 2
    enrolled = select(LedgerRow.seq).where(LedgerRow.study_id == 30002, LedgerRow.decision == ENROLLED)
    assert number(raced, enrolled) == 2
    unbroken(raced)


def test_of_two_managers_who_demote_each_other_one_stays(raced: Exchange) -> None:
    admin = raced.as_(ADMIN)
    both = {MARK: 10008, TOM: 10005}
    for user in both.values():
        role = {"jheUserId": user, "organizationPractitionerRole": "manager"}
        assert admin.post("api/v1/organizations/20007/user", json=role).status_code == 201

    def demote(user: int) -> Call:
        role = {"jheUserId": user, "organizationPractitionerRole": "viewer"}
        return lambda c: c.post("api/v1/organizations/20007/user", json=role)

    answers = at_once(raced, [(MARK, demote(both[TOM])), (TOM, demote(both[MARK]))])
    # Who came second is no manager any more.
    assert sorted(statuses(answers)) == [201, 403]
    team = admin.get("api/v1/organizations/20007/users").json()
    assert [one["role"] for one in team if one["id"] in both.values()].count("manager") == 1


def test_of_two_managers_who_step_down_at_once_one_stays(raced: Exchange) -> None:
    admin = raced.as_(ADMIN)
    both = {MARY: 10002, MEGAN: 10003}
    role = {"jheUserId": both[MEGAN], "organizationPractitionerRole": "manager"}
    assert admin.post("api/v1/organizations/20003/user", json=role).status_code == 201

    def leave(user: int) -> Call:
        return lambda c: c.request("DELETE", "api/v1/organizations/20003/remove_user", json={"jheUserId": user})

    answers = at_once(raced, [(email, leave(user)) for email, user in both.items()])
    assert statuses(answers) == {204: 1, 409: 1}
    team = admin.get("api/v1/organizations/20003/users").json()
    assert [one["role"] for one in team].count("manager") == 1


def test_of_eight_invitations_at_once_exactly_one_is_open(raced: Exchange) -> None:
    answers = at_once(raced, [(ADMIN, lambda c: c.post("api/v1/patients/40002/invitation_link"))] * 8)
    assert statuses(answers) == {200: 8}
    assert len({answer.json()["invitationLink"] for answer in answers}) == 8
    of_pamela = select(InvitationRow.id).where(InvitationRow.patient_id == 40002)
    assert number(raced, of_pamela) == 8
    assert number(raced, of_pamela.where(InvitationRow.status == ISSUED)) == 1
    unbroken(raced)


def test_an_answer_and_its_opposite_at_once_leave_one_of_them(raced: Exchange) -> None:
    """What the table says is what the ledger's last event says, and the period of consent is open or closed with it."""

    def say(consented: bool) -> Call:
        code = {
            "codingSystem": "https://w3id.org/openmhealth",
            "codingCode": "omh:heart-rate:2.0",
            "consented": consented,
        }
        body = {"studyScopeConsents": [{"studyId": 30001, "scopeConsents": [code]}]}
        return lambda c: c.post("api/v1/patients/40001/consents", json=body)

    answers = at_once(raced, [(PETER, say(i % 2 == 0)) for i in range(8)])
    assert statuses(answers) == {201: 8}
    peter = raced.as_(PETER)
    today = peter.get("api/v1/patients/40001/consents").json()["studies"]
    replayed = peter.get("api/v1/patients/40001/consents", params={"as_of": "2999-01-01T00:00:00Z"}).json()["studies"]
    assert today == replayed
    unbroken(raced)


def test_a_patient_removed_while_being_enrolled_is_in_no_study(raced: Exchange) -> None:
    admin = raced.as_(ADMIN)
    for i in range(5):
        made = admin.post("api/v1/patients", json=patient(f"gone{i}@example.org")).json()["id"]
        answers = at_once(
            raced,
            [
                (ADMIN, lambda c, made=made: c.delete(f"api/v1/patients/{made}", params={"organization_id": 20003})),  # type: ignore[misc]
                (ADMIN, lambda c, made=made: c.post("api/v1/studies/30001/patients", json={"patient_ids": [made]})),  # type: ignore[misc]
            ],
        )
        assert answers[0].status_code == 204
        assert answers[1].status_code in (201, 400)
        assert number(raced, select(StudyPatientRow).where(StudyPatientRow.patient_id == made)) == 0
        assert admin.get(f"api/v1/patients/{made}").status_code == 404
    unbroken(raced)


def test_of_one_bundle_sent_four_times_at_once_each_entry_is_made_once(raced: Exchange) -> None:
    """Four apps of one patient, or one that lost patience: every entry is 201 to one of them and 409 to the others."""
    yes = {"codingSystem": "https://w3id.org/openmhealth", "codingCode": "omh:heart-rate:2.0", "consented": True}
    body = {"studyScopeConsents": [{"studyId": 30001, "scopeConsents": [yes]}]}  # whatever the races before left
    assert raced.as_(ADMIN).post("api/v1/patients/40001/consents", json=body).status_code == 201
    named = [reading(40001, 50004, identifier=[{"system": "urn:race", "value": str(i)}]) for i in range(50)]
    before = number(raced, select(ObservationRow.id))
    headers = {"Content-Type": FHIR_JSON}
    answers = at_once(raced, [(ADMIN, lambda c: c.post("FHIR/R5", json=bundle(*named), headers=headers))] * 4)
    assert statuses(answers) == {200: 4}
    told = [[entry["response"]["status"][:3] for entry in answer.json()["entry"]] for answer in answers]
    assert [sorted(entry) for entry in zip(*told, strict=True)] == [["201", "409", "409", "409"]] * 50
    assert number(raced, select(ObservationRow.id)) == before + 50
    unbroken(raced)
