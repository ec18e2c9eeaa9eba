"""Departures: what leaves with a patient, a study, an organization, an account; what stays; what the preview tells."""

from __future__ import annotations

import pytest
from conftest import ADMIN, MARK, MARY, MEGAN, PETER, TOM, VICTOR, Clinic
from indoors import answered, answers, counted, rows

from jhe_server import (
    consents,
    departures,
    invitations,
    oauth_clients,
    observations,
    organizations,
    patients,
    studies,
    tokens,
)
from jhe_server.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from jhe_server.invitations import NewInvitation, SendEmail
from jhe_server.oauth_clients import NewClient
from jhe_server.observations import ObservationSearch
from jhe_server.organizations import NewOrganization
from jhe_server.patients import InOrganization, IntoOrganization, NewPatient

LAB, CARDIOLOGY, CARDIOLOGY_LAB = (InOrganization(organization_id=id) for id in (20003, 20006, 20008))
ANYWHERE = InOrganization()
OF_PETER = "patient_id = 40001"


# ------------------------------------------------------------------ a patient
def test_one_who_leaves_the_last_organization_is_gone_with_the_whole_record(clinic: Clinic) -> None:
    token = clinic.token(PETER)
    clinic.call(invitations.link, MEGAN, 40001, SendEmail())
    clinic.call(departures.remove_patient, MEGAN, 40001, ANYWHERE)
    for table in ("observation", "patient_identifier", "consent", "consent_period", "study_patient", "invitation"):
        assert counted(clinic.database, table, OF_PETER) == 0, table
    assert counted(clinic.database, "jhe_user", "id = 10006") == counted(clinic.database, "token") == 0
    assert rows(clinic.database, "SELECT count(*) FROM observation_payload") == rows(
        clinic.database, "SELECT count(*) FROM observation"
    )
    with clinic.database.read() as session, pytest.raises(Unauthenticated):
        tokens.actor(session, token)
    with pytest.raises(NotFound):
        clinic.call(patients.get, ADMIN, 40001, ANYWHERE)


def test_the_email_of_one_who_left_is_free_again_and_the_ids_are_not(clinic: Clinic) -> None:
    clinic.call(departures.remove_patient, MEGAN, 40001, LAB)
    body = {"telecom_email": PETER, "name_family": "P", "name_given": "P", "birth_date": "1980-01-15"}
    again = clinic.call(patients.create, MEGAN, NewPatient.model_validate(body | {"organization_id": 20003}))
    assert again.id == 40006
    assert again.jhe_user_id == 10012
    assert again.studies_pending == again.studies_answered == 0


def test_one_with_another_organization_leaves_only_this_ones_studies_and_consents(clinic: Clinic) -> None:
    clinic.call(departures.remove_patient, MARK, 40005, CARDIOLOGY)
    assert rows(clinic.database, "SELECT study_id FROM study_patient WHERE patient_id = 40005") == [(30005,)]
    assert rows(clinic.database, "SELECT study_id FROM consent WHERE patient_id = 40005") == [(30005,)]
    assert counted(clinic.database, "observation", "patient_id = 40005") == 2
    with pytest.raises(NotFound):
        clinic.call(patients.get, MARK, 40005, ANYWHERE)
    kept = clinic.call(observations.search, TOM, ObservationSearch(patient_id=40005))
    assert [row.coding_code for row in kept.results] == ["omh:oxygen-saturation:2.0"]


def test_coming_back_brings_no_consent_back(clinic: Clinic) -> None:
    clinic.call(patients.add_to_organization, ADMIN, 40001, IntoOrganization(organization_id=20007))
    clinic.call(departures.remove_patient, MEGAN, 40001, LAB)
    clinic.call(patients.add_to_organization, ADMIN, 40001, IntoOrganization(organization_id=20003))
    assert counted(clinic.database, "study_patient", OF_PETER) == counted(clinic.database, "consent", OF_PETER) == 0
    assert clinic.call(observations.search, VICTOR, ObservationSearch(patient_id=40001)).count == 0
    assert clinic.call(observations.search, PETER, ObservationSearch()).count == 2


def test_the_preview_tells_what_the_removal_takes(clinic: Clinic) -> None:
    clinic.call(invitations.link, MEGAN, 40001, SendEmail())
    assert answered(clinic, MEGAN, "patients/40001/removal_preview") == {
        "patientId": 40001,
        "organizationId": 20003,
        "studies": [
            {
                "id": 30001,
                "name": "Blood pressure and heart rate at home",
                "organization": "Wearables Lab",
                "answers": 2,
            },
            {"id": 30002, "name": "Blood pressure follow-up", "organization": "Wearables Lab", "answers": 0},
        ],
        "answers": 2,
        "openInvitations": 1,
        "wholeRecord": True,
        "observations": 2,
    }
    assert counted(clinic.database, "patient") == 5


def test_the_preview_counts_observations_only_where_its_reader_may_see_them(clinic: Clinic) -> None:
    clinic.call(consents.answer, PETER, 40001, answers(30001, {50002: False}))
    assert clinic.call(departures.preview_patient, MEGAN, 40001, LAB).observations == 1


def test_a_record_that_stays_keeps_its_observations_and_invitations_and_the_preview_says_so(clinic: Clinic) -> None:
    clinic.call(invitations.link, MARK, 40005, SendEmail())
    preview = clinic.call(departures.preview_patient, MARK, 40005, CARDIOLOGY)
    assert not preview.whole_record
    assert (preview.answers, preview.open_invitations, preview.observations) == (1, 0, 0)
    clinic.call(departures.remove_patient, MARK, 40005, CARDIOLOGY)
    assert rows(clinic.database, "SELECT status FROM invitation") == [("issued",)]


def test_whoever_shares_two_organizations_says_which_is_left(clinic: Clinic) -> None:
    for verb in (departures.remove_patient, departures.preview_patient):
        with pytest.raises(Invalid) as refusal:
            clinic.call(verb, ADMIN, 40005, ANYWHERE)
        assert refusal.value.errors == {"organizationId": ["is needed"]}
    clinic.call(departures.remove_patient, TOM, 40005, ANYWHERE)  # Tom shares one with Pat


def test_nobody_removes_whom_they_may_not(clinic: Clinic) -> None:
    for verb in (departures.remove_patient, departures.preview_patient):
        for email, patient, query in ((VICTOR, 40001, LAB), (TOM, 40001, ANYWHERE), (MEGAN, 40005, CARDIOLOGY_LAB)):
            with pytest.raises(Forbidden):
                clinic.call(verb, email, patient, query)
        for email, patient, query in ((MARK, 40001, ANYWHERE), (MEGAN, 40003, LAB), (PETER, 40002, ANYWHERE)):
            with pytest.raises(NotFound):
                clinic.call(verb, email, patient, query)
    assert counted(clinic.database, "patient") == 5


# ------------------------------------------------------------------ a study, an observation
def test_a_study_goes_with_its_enrolments_and_answers_and_the_data_stays(clinic: Clinic) -> None:
    clinic.call(departures.remove_study, MEGAN, 30001)
    for table in ("study_patient", "study_code", "study_client", "study_data_source", "consent", "consent_period"):
        assert counted(clinic.database, table, "study_id = 30001") == 0, table
    assert counted(clinic.database, "observation", OF_PETER) == 2
    assert clinic.call(observations.search, VICTOR, ObservationSearch(patient_id=40001)).count == 0
    assert clinic.call(observations.search, PETER, ObservationSearch()).count == 2
    with pytest.raises(NotFound):
        clinic.call(studies.get, MEGAN, 30001)


def test_a_viewer_cannot_delete_a_study_and_a_stranger_finds_none(clinic: Clinic) -> None:
    with pytest.raises(Forbidden):
        clinic.call(departures.remove_study, VICTOR, 30001)
    with pytest.raises(NotFound):
        clinic.call(departures.remove_study, MARK, 30001)


def test_an_observation_is_deleted_by_a_manager_who_reads_it_as_one(clinic: Clinic) -> None:
    for email in (MEGAN, VICTOR, TOM, PETER):
        with pytest.raises(Forbidden):
            clinic.call(observations.remove, email, 60001)
    with pytest.raises(NotFound):
        clinic.call(observations.remove, MARK, 60001)
    clinic.call(observations.remove, MARY, 60001)
    for table in ("observation", "observation_payload"):
        column = "id" if table == "observation" else "observation_id"
        assert counted(clinic.database, table, f"{column} = 60001") == 0


def test_a_manager_elsewhere_who_reads_as_a_viewer_here_deletes_nothing(clinic: Clinic) -> None:
    """Tom manages the cardiology lab, which Peter joins, and reads Peter's data as a viewer of the other lab."""
    clinic.call(patients.add_to_organization, TOM, 40001, IntoOrganization(organization_id=20008))
    with pytest.raises(Forbidden):
        clinic.call(observations.remove, TOM, 60001)


# ------------------------------------------------------------------ organizations, accounts, data sources, clients
def test_an_organization_that_still_has_something_cannot_be_deleted(clinic: Clinic) -> None:
    for email, home, what in ((MARY, 20003, "patients and studies"), (MARK, 20006, "patients and studies and sub-"),
                              (MARY, 20002, "sub-organizations")):  # fmt: skip
        with pytest.raises(Conflict) as refusal:
            clinic.call(departures.remove_organization, email, home)
        assert what in refusal.value.detail


def test_an_empty_organization_is_deleted_by_a_manager_of_itself_or_its_parent(clinic: Clinic) -> None:
    made = clinic.call(organizations.create, MARY, NewOrganization(name="Short-lived", type="team", part_of=20002))
    for email in (MEGAN, VICTOR):
        with pytest.raises((Forbidden, NotFound)):
            clinic.call(departures.remove_organization, email, made.id)
    clinic.call(departures.remove_organization, MARY, made.id)
    assert counted(clinic.database, "organization", f"id = {made.id}") == 0
    assert counted(clinic.database, "practitioner_organization", f"organization_id = {made.id}") == 0
    with pytest.raises(Forbidden):
        clinic.call(departures.remove_organization, ADMIN, 0)


def test_an_account_goes_with_its_roles_and_tokens_unless_it_is_the_last_manager(clinic: Clinic) -> None:
    token = clinic.token(VICTOR)
    with pytest.raises(Conflict):
        clinic.call(departures.remove_practitioner, ADMIN, 80002)
    clinic.call(departures.remove_practitioner, ADMIN, 80004)
    assert counted(clinic.database, "practitioner_organization", "user_id = 10004") == 0
    with clinic.database.read() as session, pytest.raises(Unauthenticated):
        tokens.actor(session, token)
    with pytest.raises(Forbidden):
        clinic.call(departures.remove_practitioner, ADMIN, 80001)
    with pytest.raises(Forbidden):
        clinic.call(departures.remove_practitioner, MARY, 80003)


def test_what_data_was_measured_with_cannot_be_deleted(clinic: Clinic) -> None:
    with pytest.raises(Conflict):
        clinic.call(departures.remove_data_source, ADMIN, 70001)
    clinic.call(departures.remove_data_source, ADMIN, 70005)
    assert counted(clinic.database, "oauth_client_data_source", "data_source_id = 70005") == 0
    with pytest.raises(Forbidden):
        clinic.call(departures.remove_data_source, MARY, 70004)


def test_a_client_somebody_was_invited_to_cannot_be_deleted(clinic: Clinic) -> None:
    clinic.call(invitations.issue, MEGAN, NewInvitation(patient_id=40001, client_id=1))
    with pytest.raises(Conflict):
        clinic.call(departures.remove_client, ADMIN, 1)
    made = clinic.call(oauth_clients.create, ADMIN, NewClient(name="Short-lived"))
    clinic.call(departures.remove_client, ADMIN, made.id)
    with pytest.raises(NotFound):
        clinic.call(oauth_clients.get, ADMIN, made.id)
