"""Writing what was decided: a statement a table, however many rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from .. import changes, ledger, studies
from ..access import Actor
from ..bulk import insert_many, reserve_ids
from ..db import microseconds, now
from ..patient_rows import IdentifierRow, PatientOrganizationRow, PatientRow
from ..patients import OWN_SYSTEM
from ..people import PATIENT, UserRow, email_key
from ..studies import StudyPatientRow, StudyRow
from .known import Known
from .reading import Person

USER = ("id", "email", "email_key", "user_type", "first_name", "last_name", "is_superuser", "disabled", "created")
PATIENT_ROW = ("id", "user_id", "name_family", "name_given", "birth_date", "telecom_phone", "last_updated")


def write(session: Session, actor: Actor, organization_id: int, known: Known) -> None:
    """Set-wise: a statement a table, however many rows."""
    time = now()
    _create(session, known.created, microseconds(time))
    memberships = ((organization_id, person.id, microseconds(time)) for person in known.joining)
    insert_many(session, PatientOrganizationRow, ("organization_id", "patient_id", "since"), memberships)
    _name(session, OWN_SYSTEM.format(organization_id), known.joining)
    for study_id, people in known.enrolling.items():
        _enroll(session, actor, study_id, [person.id for person in people if person.id is not None], time)
    for person in known.joining:
        changes.note(session, "patient", person.id or 0, [organization_id], person.id)


def _create(session: Session, people: list[Person], time: int) -> None:
    """Accounts and records, with ids reserved for them beforehand."""
    user_ids = reserve_ids(session, UserRow, len(people))
    users = ((id, *_account(person), time) for id, person in zip(user_ids, people, strict=True))
    insert_many(session, UserRow, USER, users)
    ids = reserve_ids(session, PatientRow, len(people))
    for id, person in zip(ids, people, strict=True):
        person.id = id
    patients = ((person.id, user_id, *_record(person), time) for user_id, person in zip(user_ids, people, strict=True))
    insert_many(session, PatientRow, PATIENT_ROW, patients)


def _account(person: Person) -> tuple[Any, ...]:
    email = person.values["email"]
    return email, email_key(email), PATIENT, "", "", False, False


def _record(person: Person) -> tuple[Any, ...]:
    said = person.values
    return said["last_name"], said["first_name"], said["dob"].isoformat(), said.get("phone")


def _name(session: Session, system: str, people: list[Person]) -> None:
    """The organization's own identifiers of those who were given one."""
    named = [(person.id, system, person.values["identifier"]) for person in people if person.values.get("identifier")]
    insert_many(session, IdentifierRow, ("patient_id", "system", "value"), named)


def _enroll(session: Session, actor: Actor, study_id: int, ids: list[int], time: datetime) -> None:
    enrolled = ((study_id, id, microseconds(time)) for id in ids)
    insert_many(session, StudyPatientRow, ("study_id", "patient_id", "enrolled"), enrolled)
    ledger.append(session, actor, ledger.ENROLLED, study_id, ids, time=time)
    study = session.get_one(StudyRow, study_id)
    studies.touched(session, study, len(ids))
    for id in ids:
        changes.note(session, "enrolment", id, [study.organization_id], id)
