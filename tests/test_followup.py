"""Follow-up: the first thing each patient of a study has not done yet, told only as far as its reader may see."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from conftest import ADMIN, MARK, MEGAN, PETER, TOM, VICTOR, Clinic
from indoors import answered, answers, reading, to_clear
from sqlalchemy import update

from jhe_server import consents, followup, invitations, patients, studies, uploads
from jhe_server.db import now
from jhe_server.devices import OneCode
from jhe_server.errors import Forbidden
from jhe_server.followup import FollowUp, FollowUpSearch
from jhe_server.invitations import REDEEMED, InvitationRow, SendEmail
from jhe_server.observations import ObservationRow
from jhe_server.patients import NewPatient
from jhe_server.studies import NewStudy, PatientIds

NEWCOMER = 40006


def of(clinic: Clinic, study: int, patient: int, email: str = VICTOR) -> FollowUp:
    page = clinic.call(followup.search, email, FollowUpSearch(study_id=study))
    [found] = [one for one in page.results if one.patient_id == patient]
    assert isinstance(found, FollowUp)
    return found


def newcomer(clinic: Clinic) -> None:
    """Somebody enrolled in the first study who has not heard of it yet."""
    body = {"telecom_email": "n@example.com", "name_family": "N", "name_given": "N", "birth_date": "1990-01-01"}
    made = clinic.call(patients.create, MEGAN, NewPatient.model_validate({**body, "organization_id": 20003}))
    assert made.id == NEWCOMER
    clinic.call(studies.enroll, MEGAN, 30001, PatientIds(patient_ids=[NEWCOMER]))


def earlier(clinic: Clinic, row: Any, column: str, by: timedelta) -> None:
    """As it stands when so much time has gone by since."""
    with clinic.database.write() as session:
        session.execute(update(row).values({column: now() - by}))


def test_the_state_is_the_first_thing_not_done_yet(clinic: Clinic) -> None:
    newcomer(clinic)
    assert of(clinic, 30001, NEWCOMER).state == "not invited"
    clinic.call(invitations.link, MEGAN, NEWCOMER, SendEmail())
    assert of(clinic, 30001, NEWCOMER).state == "invited"
    with clinic.database.write() as session:
        session.execute(update(InvitationRow).values(status=REDEEMED, last_updated=now()))
    connected = of(clinic, 30001, NEWCOMER)
    assert (connected.state, connected.pending_consents) == ("consent pending", 2)
    clinic.call(consents.answer, MEGAN, NEWCOMER, answers(30001, {50002: True, 50004: False}))
    assert of(clinic, 30001, NEWCOMER).state == "no data yet"
    clinic.call(uploads.create, MEGAN, reading(NEWCOMER, 50002))
    active = of(clinic, 30001, NEWCOMER)
    assert (active.state, active.pending_consents) == ("active", 0)
    assert active.last_measured is not None
    earlier(clinic, ObservationRow, "created", timedelta(days=8))
    assert of(clinic, 30001, NEWCOMER).state == "stopped uploading"


def test_who_has_not_connected_within_48_hours_is_to_be_contacted(clinic: Clinic) -> None:
    newcomer(clinic)
    clinic.call(invitations.link, MEGAN, NEWCOMER, SendEmail())
    earlier(clinic, InvitationRow, "created", timedelta(hours=47))
    assert of(clinic, 30001, NEWCOMER).state == "invited"
    earlier(clinic, InvitationRow, "created", timedelta(hours=49))
    assert of(clinic, 30001, NEWCOMER).state == "not connected"


def test_who_said_no_to_everything_has_declined(clinic: Clinic) -> None:
    newcomer(clinic)
    clinic.call(invitations.link, MEGAN, NEWCOMER, SendEmail())
    with clinic.database.write() as session:
        session.execute(update(InvitationRow).values(status=REDEEMED))
    clinic.call(consents.answer, MEGAN, NEWCOMER, answers(30001, {50002: False, 50004: False}))
    assert of(clinic, 30001, NEWCOMER).state == "declined"


def test_what_consent_hides_is_hidden_here_too(clinic: Clinic) -> None:
    assert of(clinic, 30001, 40001).last_measured is not None
    clinic.call(consents.clear, PETER, 40001, to_clear(30001, 50002, 50004))
    hidden = of(clinic, 30001, 40001)
    assert (hidden.last_measured, hidden.last_uploaded, hidden.consented) == (None, None, None)


def test_each_study_is_followed_by_itself(clinic: Clinic) -> None:
    """Peter shares blood pressure with the first study, not yet with the second."""
    assert of(clinic, 30002, 40001).last_measured is None
    assert of(clinic, 30002, 40002).last_measured is not None


def test_everybody_follows_the_studies_of_their_own_organizations(clinic: Clinic) -> None:
    def followed(email: str) -> set[tuple[int, int]]:
        page = clinic.call(followup.search, email, FollowUpSearch())
        assert page.count == len(page.results)
        return {(one.study_id, one.patient_id) for one in page.results}

    lab = {(study, patient) for study in (30001, 30002) for patient in (40001, 40002)}
    assert followed(VICTOR) == lab
    assert followed(TOM) == lab | {(30004, 40003), (30005, 40004), (30005, 40005)}
    assert followed(MARK) == {(30003, 40005), (30004, 40003)}
    assert followed(ADMIN) == followed(TOM) | followed(MARK)
    assert clinic.call(followup.search, MARK, FollowUpSearch(study_id=30001)).count == 0
    with pytest.raises(Forbidden):
        clinic.call(followup.search, PETER, FollowUpSearch())


def test_a_study_that_requests_nothing_has_nothing_pending(clinic: Clinic) -> None:
    study = clinic.call(studies.create, MEGAN, NewStudy(name="Empty", description="", organization=20003))
    clinic.call(studies.enroll, MEGAN, study.id, PatientIds(patient_ids=[40001]))
    assert of(clinic, study.id, 40001).pending_consents == 0
    clinic.call(studies.request_code, MEGAN, study.id, OneCode(scope_code_id=50008))
    assert of(clinic, study.id, 40001).pending_consents == 1


def test_the_wire_says_camel_case_and_utc(clinic: Clinic) -> None:
    [first, *_] = answered(clinic, VICTOR, "followup?study_id=30001")["results"]
    assert set(first) == {
        "patientId", "nameFamily", "nameGiven", "studyId", "invited", "connected", "consented", "pendingConsents",
        "lastMeasured", "lastUploaded", "state",
    }  # fmt: skip
    assert first["lastMeasured"].endswith("Z")
