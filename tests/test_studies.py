"""Studies: who makes and changes them, who is enrolled (one organization, all or none, repeatable), what each asks."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import ADMIN, MARK, MEGAN, PETER, TOM, VICTOR, Clinic
from indoors import answered, ask, counted
from pydantic import ValidationError

from jhe_server import observations, patients, studies
from jhe_server.devices import OneCode
from jhe_server.errors import Forbidden, Invalid, NotFound
from jhe_server.observations import ObservationSearch
from jhe_server.patients import IntoOrganization, PatientSearch
from jhe_server.shapes import Listing
from jhe_server.studies import NewStudy, OneClient, OneDataSource, PatientIds, StudyChange, StudySearch

APART = "Patient and study must share the same organization"


def enrolled(clinic: Clinic, study: int) -> list[int]:
    return [one.id for one in clinic.call(patients.of_study, ADMIN, study, Listing()).results]


def ids(*wanted: int) -> PatientIds:
    return PatientIds(patient_ids=list(wanted))


# ------------------------------------------------------------------ a study
def test_a_study_embeds_what_it_asks_and_counts_its_patients(clinic: Clinic) -> None:
    study = answered(clinic, VICTOR, "studies/30001")
    assert study["organization"] == {"id": 20003, "name": "Wearables Lab", "type": "laboratory"}
    assert [code["id"] for code in study["scopeRequests"]] == [50002, 50004]
    assert [source["id"] for source in study["dataSources"]] == [70001]
    assert (study["patientCount"], study["dataAfterWithdrawal"]) == (2, "hide")
    assert "patients" not in study


def test_each_caller_lists_the_studies_of_their_own_organizations(clinic: Clinic) -> None:
    def listed(email: str, **asked: Any) -> list[int]:
        return [one.id for one in clinic.call(studies.search, email, StudySearch(**asked)).results]

    assert listed(VICTOR) == [30001, 30002]
    assert listed(TOM) == [30001, 30002, 30004, 30005]
    assert listed(MARK) == [30003, 30004]
    assert listed(ADMIN, search="blood") == [30001, 30002]
    assert listed(MARK, organization_id=20003) == []
    for verb in (studies.get, studies.codes, studies.clients, studies.data_sources):
        with pytest.raises(NotFound):
            clinic.call(verb, MARK, 30001)


def test_a_member_makes_and_changes_a_study_of_their_organization(clinic: Clinic) -> None:
    made = clinic.call(studies.create, MEGAN, NewStudy(name="Sleep", description="A week.", organization=20003))
    assert made.id == 30006
    changed = clinic.call(studies.update, MEGAN, made.id, StudyChange(contact="lab@example.com"))
    assert (changed.name, changed.description, changed.contact) == ("Sleep", "A week.", "lab@example.com")
    for home in (20007, 29999, 0):
        with pytest.raises(Forbidden):
            clinic.call(studies.create, MEGAN, NewStudy(name="Sleep", description="", organization=home))
    for email in (VICTOR, TOM):
        with pytest.raises(Forbidden):
            clinic.call(studies.update, email, 30001, StudyChange(name="Mine"))


def test_a_study_never_moves_to_another_organization() -> None:
    with pytest.raises(ValidationError):
        StudyChange.model_validate({"organization": 20007})


# ------------------------------------------------------------------ enrolment
def test_a_member_enrols_patients_as_in_the_guide(clinic: Clinic) -> None:
    reply = ask(clinic, TOM, "POST", "studies/30005/patients", {"patient_ids": [40005, 40004]})
    assert reply.status == 201
    assert reply.body == (b'{"studyPatients":[{"study":30005,"patient":40004},{"study":30005,"patient":40005}]}')
    found = clinic.call(patients.search, TOM, PatientSearch(organization_id=20008, study_id=30005))
    assert [one.id for one in found.results] == [40004, 40005]


def test_enrolling_twice_is_no_error_and_keeps_the_first_enrolment(clinic: Clinic) -> None:
    events = counted(clinic.database, "consent_ledger")
    for _ in range(2):
        assert len(clinic.call(studies.enroll, MEGAN, 30001, ids(40001, 40002, 40001)).study_patients) == 2
    assert enrolled(clinic, 30001) == [40001, 40002]
    assert counted(clinic.database, "consent_ledger") == events
    assert counted(clinic.database, "consent", "study_id = 30001") == 4


@pytest.mark.parametrize("stranger", [40003, 49999, 0])
def test_patients_of_another_organization_are_refused_with_the_guides_words_and_nobody_is_enrolled(
    clinic: Clinic, stranger: int
) -> None:
    """One the caller cannot see and one who does not exist: the same words."""
    clinic.call(studies.unenroll, MEGAN, 30002, ids(40001, 40002))
    with pytest.raises(Invalid) as refusal:
        clinic.call(studies.enroll, MEGAN, 30002, ids(40001, stranger))
    assert refusal.value.detail == f"{APART}: {stranger}"
    assert enrolled(clinic, 30002) == []


def test_seeing_a_patient_elsewhere_is_not_sharing_the_organization(clinic: Clinic) -> None:
    with pytest.raises(Invalid) as refusal:
        clinic.call(studies.enroll, TOM, 30004, ids(40003, 40001, 40004))
    assert refusal.value.detail == f"{APART}: 40001, 40004"
    clinic.call(patients.add_to_organization, TOM, 40001, IntoOrganization(organization_id=20007))
    clinic.call(studies.enroll, TOM, 30004, ids(40003, 40001))
    assert enrolled(clinic, 30004) == [40001, 40003]


def test_removal_from_a_study_takes_its_consents_and_leaves_the_data(clinic: Clinic) -> None:
    clinic.call(studies.unenroll, MEGAN, 30001, ids(40001))
    assert enrolled(clinic, 30001) == [40002]
    assert counted(clinic.database, "consent", "study_id = 30001 AND patient_id = 40001") == 0
    assert counted(clinic.database, "consent", "study_id = 30001 AND patient_id = 40002") == 2
    assert counted(clinic.database, "observation", "patient_id = 40001") == 2
    assert clinic.call(observations.search, VICTOR, ObservationSearch(patient_id=40001)).count == 0
    clinic.call(studies.unenroll, MEGAN, 30001, ids(40001, 49999))  # not there: nothing to do


def test_one_who_comes_back_is_asked_again(clinic: Clinic) -> None:
    clinic.call(studies.unenroll, MEGAN, 30001, ids(40001))
    clinic.call(studies.enroll, MEGAN, 30001, ids(40001))
    assert counted(clinic.database, "consent", "study_id = 30001 AND patient_id = 40001") == 0


def test_a_viewer_cannot_enrol_or_remove_and_a_stranger_finds_no_study(clinic: Clinic) -> None:
    for verb in (studies.enroll, studies.unenroll):
        for email in (VICTOR, TOM):
            with pytest.raises(Forbidden):
                clinic.call(verb, email, 30001, ids(40001))
        for email in (MARK, PETER):
            with pytest.raises(NotFound):
                clinic.call(verb, email, 30001, ids(40001))
    assert enrolled(clinic, 30001) == [40001, 40002]


# ------------------------------------------------------------------ what it requests
def test_requesting_a_code_twice_is_no_error_and_dropping_it_takes_the_answers(clinic: Clinic) -> None:
    for _ in range(2):
        requested = clinic.call(studies.request_code, MEGAN, 30001, OneCode(scope_code_id=50008))
        assert [one.scope_code.id for one in requested] == [50002, 50004, 50008]
    clinic.call(studies.drop_code, MEGAN, 30001, OneCode(scope_code_id=50002))
    assert counted(clinic.database, "consent", "study_id = 30001") == 2
    with pytest.raises(NotFound):
        clinic.call(studies.drop_code, MEGAN, 30001, OneCode(scope_code_id=50002))
    with pytest.raises(Invalid):
        clinic.call(studies.request_code, MEGAN, 30001, OneCode(scope_code_id=59999))


def test_data_sources_and_clients_are_added_and_removed(clinic: Clinic) -> None:
    for _ in range(2):
        sources = clinic.call(studies.add_data_source, MEGAN, 30001, OneDataSource(data_source_id=70004))
        clients = clinic.call(studies.add_client, MEGAN, 30001, OneClient(client_id="commonhealth-patient-app"))
    assert [one.data_source.id for one in sources] == [70001, 70004]
    assert [one.client.id for one in clients] == [1, 2]
    clinic.call(studies.remove_data_source, MEGAN, 30001, OneDataSource(data_source_id=70004))
    clinic.call(studies.remove_client, MEGAN, 30001, OneClient(client_id=2))
    for verb, body in (
        (studies.remove_data_source, OneDataSource(data_source_id=70004)),
        (studies.remove_client, OneClient(client_id=2)),
    ):
        with pytest.raises(NotFound):
            clinic.call(verb, MEGAN, 30001, body)
