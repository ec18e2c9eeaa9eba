"""Consents: who answers for whom, what a grant and a withdrawal open and close, and that reading changes none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import ADMIN, MARK, MARY, MEGAN, PAMELA, PAT, PERCY, PETER, TOM, VICTOR, Clinic
from indoors import answered, answers, ask, counted, reading, to_clear

from jhe_server import consents, observations, studies, uploads
from jhe_server.consents import Answers, AsOf, ConsentListing
from jhe_server.devices import OneCode
from jhe_server.errors import Forbidden, Invalid, NotFound
from jhe_server.observations import ObservationSearch
from jhe_server.studies import NewStudy, PatientIds, StudyChange

PRESSURE, HEART_RATE = 50002, 50004
EVERYTHING = AsOf()


def states(clinic: Clinic, email: str, patient: int) -> dict[tuple[int, int], bool | None]:
    """(study, code) → answer, as the guide's call shows it; null is pending."""
    shown = clinic.call(consents.of_patient, email, patient, EVERYTHING)
    given = {(study.id, one.code.id): one.consented for study in shown.studies for one in study.scope_consents}
    asked = {
        (study.id, one.code.id): one.consented
        for study in shown.studies_pending_consent
        for one in study.pending_scope_consents
    }
    assert not given.keys() & asked.keys()
    return given | asked


def seen(clinic: Clinic, email: str, patient: int = 40001) -> set[int]:
    """The codes of a patient whose data somebody reads."""
    page = clinic.call(observations.search, email, ObservationSearch(patient_id=patient))
    assert page.count == len(page.results)
    return {row.codeable_concept for row in page.results}


# ------------------------------------------------------------------ reading
def test_pending_and_answered_studies_are_shown_apart(clinic: Clinic) -> None:
    assert states(clinic, VICTOR, 40001) == {
        (30001, PRESSURE): True,
        (30001, HEART_RATE): True,
        (30002, PRESSURE): None,
    }
    shown = answered(clinic, VICTOR, "patients/40001/consents")
    assert shown["patient"] == {"id": 40001, "nameFamily": "Petersen", "nameGiven": "Peter", "birthDate": "1980-01-15",
                                "telecomEmail": PETER}  # fmt: skip
    assert [code["codingCode"] for code in shown["consolidatedConsentedScopes"]] == [
        "omh:blood-pressure:4.0", "omh:heart-rate:2.0",
    ]  # fmt: skip
    [pending] = shown["studiesPendingConsent"]
    assert pending["pendingScopeConsents"][0] | {"code": 0} == {
        "code": 0, "consented": None, "consentedTime": None, "actorId": None, "reason": None,
    }  # fmt: skip
    assert pending["organization"]["id"] == 20003
    assert [source["id"] for source in pending["dataSources"]] == [70001]
    assert shown["studies"][0]["scopeConsents"][0]["consentedTime"].endswith("Z")


def test_each_caller_sees_the_consents_of_their_own_organizations(clinic: Clinic) -> None:
    assert states(clinic, MARK, 40005).keys() == {(30003, 50001)}
    assert states(clinic, TOM, 40005).keys() == {(30005, 50005)}
    assert states(clinic, PAT, 40005).keys() == {(30003, 50001), (30005, 50005)}
    assert states(clinic, ADMIN, 40005).keys() == {(30003, 50001), (30005, 50005)}
    for email, patient in ((MARK, 40001), (PETER, 40002), (MEGAN, 49999)):
        with pytest.raises(NotFound):
            clinic.call(consents.of_patient, email, patient, EVERYTHING)


def test_reading_never_resets_a_consent(clinic: Clinic) -> None:
    before = counted(clinic.database, "consent")
    with pytest.raises(Invalid):
        ask(clinic, MARY, "GET", "patients/40001/consents?reset=true")
    answered(clinic, MARY, "patients/40001/consents")
    assert counted(clinic.database, "consent") == before


# ------------------------------------------------------------------ answering
def test_a_member_grants_and_revokes_by_post_as_in_the_guide(clinic: Clinic) -> None:
    clinic.call(consents.answer, MEGAN, 40001, answers(30002, {PRESSURE: True}))
    assert states(clinic, VICTOR, 40001)[30002, PRESSURE] is True
    said = clinic.call(consents.answer, MEGAN, 40001, answers(30002, {PRESSURE: False}, "moved away"))
    [one] = said.study_scope_consents[0].scope_consents
    assert (one.consented, one.actor_id, one.reason) == (False, 10003, "moved away")
    assert states(clinic, VICTOR, 40001)[30002, PRESSURE] is False


def test_patch_and_post_both_set_the_answer(clinic: Clinic) -> None:
    body = answers(30002, {PRESSURE: True}).model_dump(by_alias=True, mode="json")
    assert ask(clinic, PETER, "POST", "patients/40001/consents", body).status == 201
    assert ask(clinic, PETER, "PATCH", "patients/40001/consents", body).status == 200
    assert states(clinic, PETER, 40001)[30002, PRESSURE] is True


def test_a_patient_answers_for_themselves_and_for_nobody_else(clinic: Clinic) -> None:
    clinic.call(consents.change, PETER, 40001, answers(30002, {PRESSURE: False}))
    assert states(clinic, PETER, 40001)[30002, PRESSURE] is False
    with pytest.raises(NotFound):
        clinic.call(consents.answer, PETER, 40002, answers(30002, {PRESSURE: False}))


def test_a_viewer_cannot_answer_and_a_stranger_to_the_organization_hears_nothing(clinic: Clinic) -> None:
    for verb, body in (
        (consents.answer, answers(30001, {PRESSURE: False})),
        (consents.clear, to_clear(30001, PRESSURE)),
    ):
        for email in (VICTOR, TOM):
            with pytest.raises(Forbidden):
                clinic.call(verb, email, 40001, body)
        with pytest.raises(NotFound):
            clinic.call(verb, MARK, 40001, body)
    assert states(clinic, ADMIN, 40001)[30001, PRESSURE] is True


def test_a_member_answers_only_in_studies_of_their_own_organizations(clinic: Clinic) -> None:
    """Pat is in Mark's cardiology and in Tom's lab; Mark sees and answers his study only."""
    with pytest.raises(Invalid) as refusal:
        clinic.call(consents.answer, MARK, 40005, answers(30005, {50005: False}))
    with pytest.raises(Invalid) as unknown:
        clinic.call(consents.answer, MARK, 40005, answers(39999, {50005: False}))
    assert refusal.value.detail.replace("30005", "39999") == unknown.value.detail
    clinic.call(consents.answer, MARK, 40005, answers(30003, {50001: False}))


@pytest.mark.parametrize(("study", "code"), [(30002, HEART_RATE), (30004, 50003), (39999, PRESSURE)])
def test_only_a_requested_code_of_a_study_one_is_in_can_be_answered(clinic: Clinic, study: int, code: int) -> None:
    for verb, body in ((consents.answer, answers(study, {code: True})), (consents.clear, to_clear(study, code))):
        with pytest.raises(Invalid):
            clinic.call(verb, ADMIN, 40001, body)


def test_answers_are_set_all_or_none(clinic: Clinic) -> None:
    whole: dict[str, Any] = {"studyScopeConsents": [
        *answers(30001, {PRESSURE: False}).model_dump(by_alias=True)["studyScopeConsents"],
        *answers(30004, {50003: True}).model_dump(by_alias=True)["studyScopeConsents"]]}  # fmt: skip
    events = counted(clinic.database, "consent_ledger")
    with pytest.raises(Invalid):
        clinic.call(consents.answer, MARY, 40001, Answers.model_validate(whole))
    assert states(clinic, MARY, 40001)[30001, PRESSURE] is True
    assert counted(clinic.database, "consent_ledger") == events


def test_a_code_is_its_system_and_its_code(clinic: Clinic) -> None:
    body = answers(30001, {PRESSURE: False})
    body.study_scope_consents[0].scope_consents[0].coding_system = "http://loinc.org"
    with pytest.raises(Invalid):
        clinic.call(consents.answer, MARY, 40001, body)


def test_cleared_answers_are_pending_again(clinic: Clinic) -> None:
    clinic.call(consents.clear, MEGAN, 40001, to_clear(30001, PRESSURE, HEART_RATE))
    found = states(clinic, VICTOR, 40001)
    assert found[30001, PRESSURE] is None
    assert found[30001, HEART_RATE] is None
    assert states(clinic, VICTOR, 40002)[30001, PRESSURE] is True


# ------------------------------------------------------------------ what answers open and close
def test_a_withdrawal_closes_the_data_at_once_and_a_grant_opens_it_again(clinic: Clinic) -> None:
    assert seen(clinic, VICTOR) == {PRESSURE, HEART_RATE}
    clinic.call(consents.answer, MEGAN, 40001, answers(30001, {PRESSURE: False}))
    assert seen(clinic, VICTOR) == seen(clinic, ADMIN) == {HEART_RATE}
    assert seen(clinic, PETER) == {PRESSURE, HEART_RATE}
    clinic.call(consents.answer, MEGAN, 40001, answers(30001, {PRESSURE: True}))
    assert seen(clinic, VICTOR) == {PRESSURE, HEART_RATE}


def test_consent_to_one_study_of_the_organization_is_enough(clinic: Clinic) -> None:
    clinic.call(consents.answer, PETER, 40001, answers(30002, {PRESSURE: True}))
    clinic.call(consents.answer, PETER, 40001, answers(30001, {PRESSURE: False}))
    assert seen(clinic, VICTOR) == {PRESSURE, HEART_RATE}
    narrowed = clinic.call(observations.search, VICTOR, ObservationSearch(patient_id=40001, study_id=30001))
    assert {row.codeable_concept for row in narrowed.results} == {HEART_RATE}


@pytest.mark.parametrize("way_out", ["unenrol", "clear", "drop"])
def test_leaving_clearing_and_dropping_hide_even_where_the_study_keeps_data(clinic: Clinic, way_out: str) -> None:
    keep(clinic)
    clinic.call(consents.answer, PETER, 40001, answers(30001, {PRESSURE: False, HEART_RATE: False}))
    assert seen(clinic, VICTOR) == {PRESSURE, HEART_RATE}
    if way_out == "unenrol":
        clinic.call(studies.unenroll, MEGAN, 30001, PatientIds(patient_ids=[40001]))
    elif way_out == "clear":
        clinic.call(consents.clear, MEGAN, 40001, to_clear(30001, PRESSURE, HEART_RATE))
    else:
        for code in (PRESSURE, HEART_RATE):
            clinic.call(studies.drop_code, MEGAN, 30001, OneCode(scope_code_id=code))
    assert seen(clinic, VICTOR) == set()


def test_a_study_that_keeps_data_keeps_what_was_measured_while_consent_was_in_force(clinic: Clinic) -> None:
    """Earlier and later readings stay closed, and one patient's kept reading opens nobody else's."""
    keep(clinic)
    moment = datetime.now(UTC)
    clinic.call(consents.clear, MEGAN, 40001, to_clear(30001, HEART_RATE))
    clinic.call(consents.answer, PETER, 40001, answers(30001, {HEART_RATE: True}))
    within = upload(clinic, 40001, datetime.now(UTC))
    before, after = (
        upload(clinic, 40001, moment - timedelta(days=1)),
        upload(clinic, 40001, moment + timedelta(hours=1)),
    )
    clinic.call(consents.answer, PETER, 40001, answers(30001, {HEART_RATE: False}))
    clinic.call(consents.answer, PAMELA, 40002, answers(30001, {HEART_RATE: False}))
    found = clinic.call(observations.search, VICTOR, ObservationSearch(code="omh:heart-rate:2.0", patient_id=40001))
    assert [row.id for row in found.results] == [within]
    assert {before, after} <= {row.id for row in clinic.call(observations.search, PETER, ObservationSearch()).results}


def test_a_study_hides_after_a_withdrawal_unless_a_manager_said_keep(clinic: Clinic) -> None:
    clinic.call(consents.answer, PETER, 40001, answers(30001, {HEART_RATE: False}))
    assert seen(clinic, VICTOR) == {PRESSURE}
    with pytest.raises(Forbidden):
        clinic.call(studies.update, MEGAN, 30001, StudyChange(data_after_withdrawal="keep"))
    with pytest.raises(Forbidden):
        clinic.call(studies.update, MEGAN, 30001, StudyChange(data_after_withdrawal="hide"))
    keep(clinic)
    assert seen(clinic, VICTOR) == {PRESSURE, HEART_RATE}


def test_a_member_creates_a_study_but_only_a_manager_one_that_keeps(clinic: Clinic) -> None:
    plain = NewStudy(name="Plain", description="", organization=20003)
    assert clinic.call(studies.create, MEGAN, plain).data_after_withdrawal == "hide"
    with pytest.raises(Forbidden):
        clinic.call(studies.create, MEGAN, plain.model_copy(update={"data_after_withdrawal": "keep"}))
    kept = plain.model_copy(update={"data_after_withdrawal": "keep"})
    assert clinic.call(studies.create, MARY, kept).data_after_withdrawal == "keep"


def keep(clinic: Clinic) -> None:
    clinic.call(studies.update, MARY, 30001, StudyChange(data_after_withdrawal="keep"))


def upload(clinic: Clinic, patient: int, measured: datetime) -> int:
    return int(clinic.call(uploads.create, MEGAN, reading(patient, HEART_RATE, measured))["id"])


# ------------------------------------------------------------------ a whole study
def test_a_studys_consents_list_every_patient_and_code(clinic: Clinic) -> None:
    page = clinic.call(consents.of_study, VICTOR, 30002, ConsentListing())
    assert [(one.patient_id, one.code, one.state) for one in page.results] == [
        (40001, "omh:blood-pressure:4.0", "pending"),
        (40002, "omh:blood-pressure:4.0", "granted"),
    ]
    with pytest.raises(NotFound):
        clinic.call(consents.of_study, PERCY, 30004, ConsentListing())
    with pytest.raises(NotFound):
        clinic.call(consents.of_study, MEGAN, 30004, ConsentListing())
