"""Patients: created once per person, found by e-mail anywhere, added where known, changed by whom it concerns."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from conftest import ADMIN, MARK, MARY, MEGAN, PAT, PETER, TOM, VICTOR, Clinic
from indoors import answered, ask, counted, rows, user_id
from sqlalchemy import insert

from jhe_server import audit, departures, invitations, patients, studies, tokens
from jhe_server.audit import AuditRow, AuditSubjectRow
from jhe_server.db import now
from jhe_server.errors import Conflict, Forbidden, NotFound, TooMany, Unauthenticated
from jhe_server.invitations import SendEmail
from jhe_server.patients import ByEmail, InOrganization, IntoOrganization, NewPatient, PatientChange, PatientSearch
from jhe_server.studies import PatientIds

ANYWHERE = InOrganization()
NEW: dict[str, Any] = {
    "telecomEmail": "john.smith@example.com",
    "nameFamily": "Smith",
    "nameGiven": "John",
    "birthDate": "1980-01-01",
    "telecomPhone": "555-1234",
    "organizationId": 20003,
}


def new(**more: Any) -> NewPatient:
    return NewPatient.model_validate_json(json.dumps(NEW | more), strict=True)


def change(**fields: Any) -> PatientChange:
    return PatientChange(**fields)


def listed(clinic: Clinic, email: str, **asked: Any) -> list[int]:
    page = clinic.call(patients.search, email, PatientSearch(**asked))
    assert page.count == len(page.results)
    return [one.id for one in page.results]


# ------------------------------------------------------------------ creating
def test_a_member_creates_a_patient_as_in_the_guide(clinic: Clinic) -> None:
    reply = ask(clinic, MEGAN, "POST", "patients", NEW)
    assert reply.status == 201
    made = answered(clinic, MEGAN, "patients/40006")
    assert {key: made[key] for key in NEW} == NEW
    assert made["jheUserId"] == 10012
    assert made["identifier"] is None
    assert made["organizations"][0]["id"] == 20003
    assert (made["studiesPending"], made["studiesAnswered"]) == (0, 0)


@pytest.mark.parametrize("email", [PETER, PETER.upper(), MARY, "MANAGER_MARK@example.COM"])
def test_a_person_who_exists_is_refused_whoever_they_are_and_however_spelled(clinic: Clinic, email: str) -> None:
    with pytest.raises(Conflict) as refusal:
        clinic.call(patients.create, MEGAN, new(telecomEmail=email))
    assert refusal.value.detail == "User with this email already exists"
    assert counted(clinic.database, "patient") == 5


@pytest.mark.parametrize(
    ("email", "home"), [(VICTOR, 20003), (MEGAN, 20007), (MEGAN, 29999), (MEGAN, 0), (PETER, 20003)]
)
def test_nobody_creates_where_they_are_no_member(clinic: Clinic, email: str, home: int) -> None:
    with pytest.raises(Forbidden):
        clinic.call(patients.create, email, new(organizationId=home))
    assert counted(clinic.database, "jhe_user", "id > 10011") == 0


def test_two_hospitals_may_both_have_the_same_number(clinic: Clinic) -> None:
    first = clinic.call(patients.create, MEGAN, new(identifier="MRN-12345"))
    second = clinic.call(
        patients.create, MARK, new(identifier="MRN-12345", organizationId=20007, telecomEmail="jane@example.com")
    )
    assert first.identifier == second.identifier == "MRN-12345"
    with pytest.raises(Conflict) as refusal:
        clinic.call(patients.create, MEGAN, new(identifier="MRN-12345", telecomEmail="other@example.com"))
    assert "MRN-12345" in refusal.value.detail
    assert refusal.value.errors == {"identifiers": ["is taken"]}


def test_a_taken_identifier_leaves_nothing_behind(clinic: Clinic) -> None:
    taken = [{"system": "urn:oid:1.2.3.4", "value": "E1234"}]
    with pytest.raises(Conflict):
        clinic.call(patients.create, MEGAN, new(identifiers=taken))
    assert counted(clinic.database, "jhe_user", "id > 10011") == 0


# ------------------------------------------------------------------ seeing
def test_each_caller_lists_the_patients_of_their_own_organizations(clinic: Clinic) -> None:
    assert listed(clinic, VICTOR) == listed(clinic, MEGAN) == [40001, 40002]
    assert listed(clinic, TOM) == [40001, 40002, 40003, 40004, 40005]
    assert listed(clinic, MARK) == [40003, 40005]
    assert listed(clinic, ADMIN) == [40001, 40002, 40003, 40004, 40005]
    assert listed(clinic, MARK, organization_id=20003) == listed(clinic, MARK, study_id=30001) == []
    assert listed(clinic, TOM, organization_id=20008) == [40004, 40005]


def test_a_search_narrows_by_study_identifier_name_and_email(clinic: Clinic) -> None:
    assert listed(clinic, TOM, study_id=30005) == [40004, 40005]
    assert listed(clinic, MEGAN, patient_identifier_value="abc123") == [40001]
    assert listed(clinic, MARK, patient_identifier_value="abc123") == []
    assert listed(clinic, TOM, search="p") == [40001, 40002, 40003, 40004, 40005]
    assert listed(clinic, TOM, search="PETER") == listed(clinic, TOM, search="ll_patient_pe") == [40001]
    assert listed(clinic, TOM, search="%") == listed(clinic, TOM, search="_l_") == []
    assert listed(clinic, TOM, patient_id=40003) == [40003]


def test_a_patient_of_two_organizations_shows_each_caller_only_their_own(clinic: Clinic) -> None:
    def homes(email: str) -> list[int]:
        return [home.id for home in clinic.call(patients.get, email, 40005, ANYWHERE).organizations]

    assert homes(MARK) == [20006]
    assert homes(TOM) == [20008]
    assert homes(ADMIN) == homes(PAT) == [20006, 20008]
    marks = clinic.call(patients.get, MARK, 40005, ANYWHERE)
    assert (marks.organization_id, marks.studies_pending, marks.studies_answered) == (20006, 0, 1)


def test_a_patient_one_cannot_see_is_answered_like_one_that_does_not_exist(clinic: Clinic) -> None:
    said = set()
    for email, id, home in ((MARK, 40001, None), (MARK, 49999, None), (MEGAN, 40001, 20007), (PETER, 40002, None)):
        with pytest.raises(NotFound) as refusal:
            clinic.call(patients.get, email, id, InOrganization(organization_id=home))
        said.add(refusal.value.detail)
    assert said == {"Not found."}


def test_a_patient_reads_their_own_record(clinic: Clinic) -> None:
    assert clinic.call(patients.me, PAT).id == 40005
    assert clinic.call(patients.get, PAT, 40005, ANYWHERE).id == 40005
    with pytest.raises(Forbidden):
        clinic.call(patients.me, MARY)
    with pytest.raises(Forbidden):
        clinic.call(patients.search, PAT, PatientSearch())


# ------------------------------------------------------------------ an existing patient in another organization
def test_a_lookup_finds_any_patient_by_exact_email_and_tells_no_more_than_needed(clinic: Clinic) -> None:
    assert answered(clinic, MARK, f"patients/global_lookup?email={PETER.upper()}") == [
        {"id": 40001, "nameFamily": "Petersen", "nameGiven": "Peter", "birthDate": "1980-01-15", "telecomEmail": PETER}
    ]
    assert answered(clinic, MARK, "patients/global_lookup?email=ll_patient") == []
    assert answered(clinic, MARK, f"patients/global_lookup?email={MARY}") == []
    with pytest.raises(Forbidden):
        clinic.call(patients.lookup, VICTOR, ByEmail(email=PETER))


def test_who_was_looked_up_can_be_added_and_then_seen(clinic: Clinic) -> None:
    address = "patients/40001/global_add_organization?organization_id=20007"
    with pytest.raises(NotFound):
        ask(clinic, MARK, "PATCH", address)
    answered(clinic, MARK, f"patients/global_lookup?email={PETER}")
    assert ask(clinic, MARK, "PATCH", address).answer.organization_id == 20007
    assert 40001 in listed(clinic, MARK, organization_id=20007)
    with pytest.raises(Conflict):
        ask(clinic, MARK, "PATCH", address)


def test_another_ones_lookup_or_that_of_another_patient_opens_nothing(clinic: Clinic) -> None:
    answered(clinic, MEGAN, f"patients/global_lookup?email={PETER}")
    answered(clinic, MARK, "patients/global_lookup?email=ll_patient_pamela@example.com")
    with pytest.raises(NotFound):
        ask(clinic, MARK, "PATCH", "patients/40001/global_add_organization?organization_id=20007")


@pytest.mark.parametrize(("minutes", "known"), [(14, True), (16, False)])
def test_a_lookup_counts_for_fifteen_minutes(clinic: Clinic, minutes: int, known: bool) -> None:
    """The audit holds the lookup; here it holds one as it would stand there that many minutes later."""
    looked_up_before(clinic, MARK, 40001, minutes)
    query = IntoOrganization(organization_id=20007)
    if known:
        assert clinic.call(patients.add_to_organization, MARK, 40001, query).id == 40001
    else:
        with pytest.raises(NotFound):
            clinic.call(patients.add_to_organization, MARK, 40001, query)


def looked_up_before(clinic: Clinic, email: str, patient: int, minutes: int) -> None:
    with clinic.database.write() as session:
        seq, before = audit.head(session)
        nothing = dict.fromkeys(("patient_id", "study_id", "organization_id", "address"))
        values = {"time": now() - timedelta(minutes=minutes), "verb": "patients.lookup", "outcome": "ok", "count": 1}
        values |= {"seq": seq + 1, "actor_id": user_id(clinic, email), "via": "token", "request_id": "", **nothing}
        whom = ("patient", patient, patient)
        session.execute(insert(AuditRow).values(**values, hash=audit.link(before, values, [whom])))
        named = dict(zip(("kind", "first_id", "last_id"), whom, strict=True))
        session.execute(insert(AuditSubjectRow).values(seq=seq + 1, **named))
        assert audit.verify(session) is None


def test_one_who_sees_a_patient_adds_them_without_a_lookup(clinic: Clinic) -> None:
    query = IntoOrganization(organization_id=20007)
    assert clinic.call(patients.add_to_organization, TOM, 40001, query).organization_id == 20007


@pytest.mark.parametrize(("email", "home"), [(VICTOR, 20003), (TOM, 20003), (MEGAN, 20007), (MEGAN, 29999)])
def test_nobody_adds_a_patient_where_they_are_no_member(clinic: Clinic, email: str, home: int) -> None:
    with pytest.raises(Forbidden):
        clinic.call(patients.add_to_organization, email, 40003, IntoOrganization(organization_id=home))


def test_lookups_are_limited(clinic: Clinic) -> None:
    with clinic.database.write() as session:
        for _ in range(clinic.settings.lookups_per_minute):
            audit.append(session, audit.Entry(verb="patients.lookup", actor_id=user_id(clinic, MARK)))
    with pytest.raises(TooMany) as refusal:
        clinic.call(patients.lookup, MARK, ByEmail(email=PETER))
    assert refusal.value.headers == {"Retry-After": "60"}
    assert clinic.call(patients.lookup, MEGAN, ByEmail(email=PETER))[0].id == 40001


# ------------------------------------------------------------------ changing
def test_a_member_changes_what_is_named_and_leaves_the_rest(clinic: Clinic) -> None:
    before = clinic.call(patients.get, MEGAN, 40001, ANYWHERE)
    after = clinic.call(patients.update, MEGAN, 40001, ANYWHERE, change(telecom_phone="555-5678", name_given="Pete"))
    assert (after.telecom_phone, after.name_given) == ("555-5678", "Pete")
    changed = {"telecom_phone", "name_given", "last_updated"}
    assert after.model_dump(exclude=changed) == before.model_dump(exclude=changed)
    assert clinic.call(patients.update, MEGAN, 40001, ANYWHERE, change(telecom_phone=None)).telecom_phone is None


def test_a_viewer_cannot_write(clinic: Clinic) -> None:
    calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (patients.create, (new(),)),
        (patients.update, (40001, ANYWHERE, change(name_given="Pete"))),
        (departures.remove_patient, (40001, InOrganization(organization_id=20003))),
        (studies.enroll, (30002, PatientIds(patient_ids=[40001]))),
        (studies.unenroll, (30001, PatientIds(patient_ids=[40001]))),
        (invitations.link, (40001, SendEmail())),
    ]
    for email in (VICTOR, TOM):
        for verb, arguments in calls:
            with pytest.raises(Forbidden):
                clinic.call(verb, email, *arguments)


def test_name_and_phone_are_any_members_to_change_email_and_identifiers_only_a_member_of_alls(clinic: Clinic) -> None:
    """Pat is in cardiology (Mark) and in the cardiology lab (Tom)."""
    assert clinic.call(patients.update, MARK, 40005, ANYWHERE, change(name_given="Patricia")).name_given == "Patricia"
    for fields in ({"telecom_email": "pat@example.com"}, {"identifier": "X"}, {"identifiers": []}):
        for email in (MARK, TOM):
            with pytest.raises(Forbidden):
                clinic.call(patients.update, email, 40005, ANYWHERE, change(**fields))
    clinic.call(patients.update, ADMIN, 40005, ANYWHERE, change(telecom_email="pat@example.com"))
    assert clinic.call(patients.get, TOM, 40005, ANYWHERE).telecom_email == "pat@example.com"


def test_another_email_revokes_tokens_and_retires_invitations(clinic: Clinic) -> None:
    token = clinic.token(PETER)
    clinic.call(invitations.link, MEGAN, 40001, SendEmail())
    clinic.call(patients.update, MEGAN, 40001, ANYWHERE, change(telecom_email="peter@example.org"))
    with clinic.database.read() as session, pytest.raises(Unauthenticated):
        tokens.actor(session, token)
    assert rows(clinic.database, "SELECT status FROM invitation") == [("cancelled",)]
    assert rows(clinic.database, "SELECT count(*) FROM token WHERE revoked IS NULL AND user_id = 10006") == [(0,)]


def test_the_same_email_in_another_spelling_revokes_nothing(clinic: Clinic) -> None:
    token = clinic.token(PETER)
    clinic.call(patients.update, MEGAN, 40001, ANYWHERE, change(telecom_email=PETER.upper()))
    with clinic.database.read() as session:
        assert tokens.actor(session, token).patient_id == 40001


def test_a_change_is_made_whole_or_not_at_all(clinic: Clinic) -> None:
    clash = [{"system": "urn:oid:9", "value": "free"}, {"system": "urn:oid:1.2.3.4", "value": "E1234"}]
    for fields in ({"identifiers": clash}, {"telecom_email": PETER}, {"telecom_email": MARY}):
        with pytest.raises(Conflict):
            clinic.call(patients.update, MEGAN, 40002, ANYWHERE, change(name_given="Changed", **fields))
    after = clinic.call(patients.get, MEGAN, 40002, ANYWHERE)
    assert (after.name_given, after.identifiers) == ("Pamela", [])


def test_identifiers_replace_the_list_and_identifier_the_organizations_own(clinic: Clinic) -> None:
    first = clinic.call(patients.update, MEGAN, 40001, ANYWHERE, change(identifier="MRN-1"))
    assert [one.value for one in first.identifiers] == ["MRN-1", "abc123", "E1234"]
    second = clinic.call(patients.update, MEGAN, 40001, ANYWHERE, change(identifier="MRN-2"))
    assert [one.value for one in second.identifiers] == ["MRN-2", "abc123", "E1234"]
    third = clinic.call(patients.update, MEGAN, 40001, ANYWHERE, change(identifier=None))
    assert [one.value for one in third.identifiers] == ["abc123", "E1234"]
    last = clinic.call(patients.update, MEGAN, 40001, ANYWHERE, change(identifiers=[]))
    assert last.identifiers == []
    assert last.identifier is None


def test_the_organization_need_not_be_named_where_it_is_plain(clinic: Clinic) -> None:
    assert clinic.call(patients.get, MEGAN, 40001, ANYWHERE).organization_id == 20003
    assert clinic.call(patients.get, TOM, 40005, InOrganization(organization_id=20008)).organization_id == 20008
    with pytest.raises(NotFound):
        clinic.call(patients.update, TOM, 40005, InOrganization(organization_id=20007), change(name_given="Pat"))
    with pytest.raises(Forbidden):
        clinic.call(patients.update, TOM, 40001, InOrganization(organization_id=20003), change(name_given="Pat"))
