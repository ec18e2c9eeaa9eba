"""Imports: every row is judged for itself, a dry run promises what the real one does, and twice is the same as once."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import ADMIN, MARK, MEGAN, PETER, TOM, VICTOR, Clinic
from indoors import counted, rows

from jhe_server import departures, imports, patients
from jhe_server.errors import Forbidden
from jhe_server.imports import Import, ImportResult
from jhe_server.patients import InOrganization, IntoOrganization, PatientSearch

JOHN = {"email": "john.smith@example.com", "last_name": "Smith", "first_name": "John", "dob": "1980-01-01"}
JANE = {"email": "jane.doe@example.com", "last_name": "Doe", "first_name": "Jane", "dob": "1975-05-15"}
AS_PETER = {"email": PETER, "last_name": "Petersen", "first_name": "Peter", "dob": "1980-01-15"}
TABLES = ("jhe_user", "patient", "patient_organization", "patient_identifier", "study_patient", "consent_ledger",
          "invitation")  # fmt: skip


def run(clinic: Clinic, email: str, *sent: dict[str, Any], home: int = 20003, **more: Any) -> ImportResult:
    body = Import(organization_id=home, rows=list(sent), **more)
    result: ImportResult = clinic.call(imports.run, email, body)
    assert sum(result.summary.values()) == len(sent)
    return result


def actions(result: ImportResult) -> list[str]:
    return [one.action for one in result.results]


def wrong(result: ImportResult) -> list[tuple[int, str]]:
    return [(one.row, error.field) for one in result.results for error in one.errors]


def contents(clinic: Clinic) -> list[int]:
    return [counted(clinic.database, table) for table in TABLES]


def test_the_guides_columns_create_patients(clinic: Clinic) -> None:
    result = run(clinic, MEGAN, JOHN | {"phone": "555-1234"}, JANE)
    assert actions(result) == ["create", "create"]
    found = clinic.call(patients.search, MEGAN, PatientSearch(search="smith")).results[0]
    assert (found.id, found.telecom_phone, found.telecom_email) == (40006, "555-1234", "john.smith@example.com")
    assert [one.patient_id for one in result.results] == [40006, 40007]


@pytest.mark.parametrize("header", ["nameFamily", "family_name", "Last Name", "SURNAME"])
def test_other_names_of_a_column_are_understood(clinic: Clinic, header: str) -> None:
    row = {key: value for key, value in JOHN.items() if key != "last_name"} | {header: "Smith"}
    assert actions(run(clinic, MEGAN, row)) == ["create"]


def test_one_bad_row_stops_no_other_and_each_is_named_by_row_and_field(clinic: Clinic) -> None:
    result = run(
        clinic,
        MEGAN,
        JOHN | {"dob": "2999-01-01"},
        JANE,
        {"row": 17, "email": "not an address", "last_name": "", "first_name": "X", "dob": "01.02.1980"},
        AS_PETER | {"dob": "1980-01-16"},
        JOHN | {"shoe size": "44"},
    )
    assert actions(result) == ["error", "create", "error", "error", "error"]
    assert sorted(wrong(result)) == [
        (1, "dob"), (4, "dob"), (5, "shoe size"), (17, "dob"), (17, "email"), (17, "last_name"),
    ]  # fmt: skip
    assert counted(clinic.database, "patient") == 6


def test_a_real_run_is_idempotent(clinic: Clinic) -> None:
    sent = (JOHN | {"identifier": "MRN-1"}, JANE, AS_PETER)
    assert actions(run(clinic, MEGAN, *sent[:2], study_id=30002)) == ["create", "create"]
    after = contents(clinic)
    again = run(clinic, MEGAN, *sent[:2], study_id=30002)
    assert actions(again) == ["unchanged", "unchanged"]
    assert contents(clinic) == after
    assert [one.patient_id for one in again.results] == [40006, 40007]


def test_a_patient_of_another_organization_is_linked_and_one_of_this_one_enrolled(clinic: Clinic) -> None:
    result = run(clinic, MARK, AS_PETER, home=20007, study_id=30004)
    assert actions(result) == ["link"]
    assert rows(clinic.database, "SELECT organization_id FROM patient_organization WHERE patient_id = 40001 "
                                 "ORDER BY 1") == [(20003,), (20007,)]  # fmt: skip
    assert actions(run(clinic, MEGAN, AS_PETER, study_id=30002)) == ["unchanged"]
    made = run(clinic, MEGAN, JOHN)
    assert actions(made) == ["create"]
    assert actions(run(clinic, MEGAN, JOHN, study_id=30002)) == ["enrol"]
    assert counted(clinic.database, "consent_ledger", "patient_id = 40006 AND decision = 'enrolled'") == 1


def test_a_dry_run_writes_nothing_and_answers_what_the_real_run_does(clinic: Clinic) -> None:
    sent = (JOHN | {"identifier": "MRN-1"}, JANE, AS_PETER, JANE | {"email": "no"}, JOHN | {"identifier": "MRN-1"})
    before = contents(clinic)
    dry = run(clinic, MEGAN, *sent, study_id=30002, dry_run=True)
    assert contents(clinic) == before
    real = run(clinic, MEGAN, *sent, study_id=30002)
    assert dry.summary == real.summary
    assert [(one.row, one.action, one.errors) for one in dry.results] == [
        (one.row, one.action, one.errors) for one in real.results
    ]


def test_the_same_person_twice_in_a_file_is_one_patient(clinic: Clinic) -> None:
    result = run(
        clinic, MEGAN, JOHN, JOHN | {"email": JOHN["email"].upper()}, JOHN | {"first_name": "Jon"}, study_id=30002
    )
    assert actions(result) == ["create", "unchanged", "error"]
    assert counted(clinic.database, "patient") == 6
    assert counted(clinic.database, "study_patient", "patient_id = 40006") == 1


def test_the_same_linked_person_twice_in_a_file_is_linked_once(clinic: Clinic) -> None:
    named = AS_PETER | {"identifier": "MRN-1"}
    assert actions(run(clinic, MARK, named, named, home=20007, study_id=30004)) == ["link", "unchanged"]


def test_an_identifier_two_rows_claim_goes_to_the_first(clinic: Clinic) -> None:
    pamela = {
        "email": "ll_patient_pamela@example.com",
        "last_name": "Park",
        "first_name": "Pamela",
        "dob": "1975-06-02",
    }
    sent = [one | {"identifier": "MRN-1"} for one in (AS_PETER, pamela, JOHN)]
    result = run(clinic, MARK, *sent, home=20007)
    assert actions(result) == ["link", "error", "error"]
    assert wrong(result) == [(2, "identifier"), (3, "identifier")]


def test_one_who_comes_back_keeps_the_identifier_they_had(clinic: Clinic) -> None:
    """Peter left the lab for the other one; the lab's own number for him is still on his record."""
    named = AS_PETER | {"identifier": "MRN-1"}
    run(clinic, MARK, named, home=20007)
    clinic.call(departures.remove_patient, MARK, 40001, InOrganization(organization_id=20007))
    assert actions(run(clinic, MARK, named, home=20007)) == ["link"]
    assert counted(clinic.database, "patient_identifier", "value = 'MRN-1'") == 1


def test_a_row_for_a_practitioner_or_a_foreign_study_is_an_error(clinic: Clinic) -> None:
    result = run(clinic, MEGAN, JOHN | {"email": VICTOR}, JANE | {"study_id": "30004"}, JANE | {"study_id": "x"})
    assert [(one.errors[0].field, one.errors[0].message) for one in result.results] == [
        ("email", "User with this email already exists"),
        ("study_id", "is not a study of this organization"),
        ("study_id", "is not a study's id"),
    ]


def test_an_error_never_tells_what_the_record_holds(clinic: Clinic) -> None:
    """Of a stranger's patient not even which value differs: a birth date could be guessed a row at a time."""
    guess = AS_PETER | {"last_name": "Guess", "phone": "1"}
    for email, home, field in ((MEGAN, 20003, "last_name"), (MARK, 20007, "email")):
        result = run(clinic, email, guess, home=home)
        assert wrong(result) == [(1, field)]
        assert "Petersen" not in result.model_dump_json()


def test_only_a_member_of_the_organization_imports(clinic: Clinic) -> None:
    for email, home in ((VICTOR, 20003), (MEGAN, 20007), (TOM, 20003), (PETER, 20003), (ADMIN, 29999), (ADMIN, 0)):
        with pytest.raises(Forbidden):
            run(clinic, email, JOHN, home=home)
    assert counted(clinic.database, "patient") == 5


def test_an_import_invites_whom_it_brings_and_nobody_twice(clinic: Clinic) -> None:
    result = run(clinic, MEGAN, JOHN, AS_PETER, invite=True)
    assert [one.invitation_link is not None for one in result.results] == [True, False]
    assert len(list(clinic.outbox.glob("*.eml"))) == 1
    run(clinic, MEGAN, JOHN, AS_PETER, invite=True)
    assert counted(clinic.database, "invitation") == 1
    clinic.call(patients.add_to_organization, TOM, 40001, IntoOrganization(organization_id=20007))
