"""Whom the store knows of those the rows are about, found in a handful of statements."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from .. import audit
from ..patient_rows import IdentifierRow, PatientOrganizationRow, PatientRow
from ..patients import OWN_SYSTEM
from ..people import PATIENT, UserRow, email_key
from ..studies import StudyPatientRow, StudyRow, chunks
from .reading import Person, Row


@dataclass
class Known:
    """Whom the store knows, by e-mail and by the organization's own identifier; later rows find earlier ones here."""

    practitioners: set[str]
    people: dict[str, Person]
    identifiers: dict[str, Person]
    studies: set[int]
    created: list[Person] = field(default_factory=list)
    joining: list[Person] = field(default_factory=list)
    enrolling: dict[int, list[Person]] = field(default_factory=dict)


def find(session: Session, organization_id: int, rows: list[Row]) -> Known:
    """Everything the rows ask about, in a handful of statements, however many rows."""
    emails = sorted({email_key(row.values["email"]) for row in rows if isinstance(row.values.get("email"), str)})
    found: dict[str, Person] = {}
    practitioners: set[str] = set()
    for part in _parts(emails):
        users = select(UserRow.email_key, UserRow.user_type, PatientRow)
        users = users.outerjoin(PatientRow, PatientRow.user_id == UserRow.id).where(UserRow.email_key.in_(part))
        for key, user_type, patient in session.execute(users):
            if user_type != PATIENT or patient is None:
                practitioners.add(key)
            else:
                found[key] = _person(patient)
    by_id = {person.id: person for person in found.values() if person.id is not None}
    audit.note(session, patients=by_id)  # a dry run looks people up as well
    _join_known(session, organization_id, by_id)
    own = session.scalars(select(StudyRow.id).where(StudyRow.organization_id == organization_id))
    return Known(practitioners, found, _identifiers(session, organization_id, rows, by_id), set(own))


def _person(row: PatientRow) -> Person:
    values = {
        "last_name": row.name_family,
        "first_name": row.name_given,
        "dob": row.birth_date,
        "phone": row.telecom_phone,
    }
    return Person(values, row.id)


def _parts(values: list[str], size: int = 5000) -> list[list[str]]:
    return [values[i : i + size] for i in range(0, len(values), size)]


def _join_known(session: Session, organization_id: int, people: dict[int, Person]) -> None:
    """Who of them belongs to the organization already, and to which studies."""
    for part in chunks(sorted(people)):
        members = select(PatientOrganizationRow.patient_id).where(
            PatientOrganizationRow.patient_id.in_(part), PatientOrganizationRow.organization_id == organization_id
        )
        for id in session.scalars(members):
            people[id].member = True
        enrolled = select(StudyPatientRow.patient_id, StudyPatientRow.study_id)
        for id, study_id in session.execute(enrolled.where(StudyPatientRow.patient_id.in_(part))):
            people[id].studies.add(study_id)


def _identifiers(
    session: Session, organization_id: int, rows: list[Row], people: dict[int, Person]
) -> dict[str, Person]:
    """Whose each identifier of the organization's own system is."""
    values = sorted({row.values["identifier"] for row in rows if "identifier" in row.values})
    found: dict[str, Person] = {}
    for part in _parts(values):
        owned = select(IdentifierRow.value, IdentifierRow.patient_id).where(
            IdentifierRow.system == OWN_SYSTEM.format(organization_id), IdentifierRow.value.in_(part)
        )
        for value, id in session.execute(owned):
            found[value] = people.get(id) or Person({}, id)
    return found
