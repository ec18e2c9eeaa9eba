"""An import tells nothing about patients of other organizations but that an e-mail address is taken, and is audited."""

from __future__ import annotations

from typing import Any

from conftest import MARY, PERCY, PETER, Clinic
from sqlalchemy import select

from jhe_server import imports
from jhe_server.audit import AuditSubjectRow, Entry, append

PERCYS = {"email": PERCY, "last_name": "Pulse", "first_name": "Percy", "dob": "1968-11-30"}


def dry(clinic: Clinic, *rows: dict[str, Any]) -> list[imports.RowResult]:
    body = imports.Import(organization_id=20003, rows=list(rows), dry_run=True)
    result: imports.ImportResult = clinic.call(imports.run, MARY, body=body)
    return result.results


def test_which_value_of_a_foreign_patient_differs_is_not_said(clinic: Clinic) -> None:
    answers = [
        dry(clinic, {**PERCYS, name: value})[0]
        for name, value in (("dob", "1968-11-29"), ("last_name", "Other"), ("first_name", "Other"))
    ]
    said = {(one.action, one.patient_id, one.errors[0].field, one.errors[0].message) for one in answers}
    assert said == {("error", None, "email", "User with this email already exists")}


def test_whoever_knows_a_foreign_patient_links_them_whatever_phone_is_given(clinic: Clinic) -> None:
    [result] = dry(clinic, {**PERCYS, "phone": "555-0000"})
    assert (result.action, result.errors) == ("link", [])


def test_of_ones_own_patient_the_field_is_named(clinic: Clinic) -> None:
    row = {"email": PETER, "last_name": "Petersen", "first_name": "Peter", "dob": "1980-01-16"}
    [result] = dry(clinic, row)
    assert [error.field for error in result.errors] == ["dob"]


def test_a_dry_run_is_a_lookup_in_the_audit(clinic: Clinic) -> None:
    with clinic.database.write() as session:
        entry = Entry(verb="imports.run")
        session.info.update(settings=clinic.settings, audit=entry)
        imports.run(session, clinic.actor(MARY), imports.Import(organization_id=20003, rows=[PERCYS], dry_run=True))
        seq = append(session, entry)
    with clinic.database.read() as session:
        runs = select(AuditSubjectRow.first_id).where(AuditSubjectRow.seq == seq, AuditSubjectRow.kind == "patient")
        assert list(session.scalars(runs)) == [40003]
