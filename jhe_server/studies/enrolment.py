"""Who is in a study: patients enrolled, all or none, and taken out again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from .. import audit, changes, ledger
from ..access import Actor
from ..db import now
from ..errors import Invalid
from ..patient_rows import PatientOrganizationRow
from .reading import reach
from .rows import StudyPatientRow, StudyRow
from .shapes import PatientIds, StudyPatient, StudyPatients
from .writing import touched

T = TypeVar("T")
APART = "Patient and study must share the same organization"


def enroll(session: Session, actor: Actor, study_id: int, body: PatientIds) -> StudyPatients:
    """Enrol patients: all or none, only within the study's organization; enrolling twice is not an error."""
    row = reach(session, actor, "studies.enroll", study_id)
    ids = sorted(set(body.patient_ids))
    apart = set(ids) - _members(session, row.organization_id, ids)
    if apart:
        raise Invalid(
            f"{APART}: {', '.join(map(str, sorted(apart)))}", {"patientIds": ["are not in the study's organization"]}
        )
    already = enrolled(session, row.id, ids)
    new = [id for id in ids if id not in already]
    if new:
        time = now()
        session.execute(
            insert(StudyPatientRow), [{"study_id": row.id, "patient_id": id, "enrolled": time} for id in new]
        )
        ledger.append(session, actor, ledger.ENROLLED, row.id, new, time=time)
    _enrolment_changed(session, row, ids)
    return StudyPatients(study_patients=[StudyPatient(study=row.id, patient=id) for id in ids])


def _members(session: Session, organization_id: int, ids: list[int]) -> set[int]:
    rows = select(PatientOrganizationRow.patient_id).where(PatientOrganizationRow.organization_id == organization_id)
    return {
        id for chunk in chunks(ids) for id in session.scalars(rows.where(PatientOrganizationRow.patient_id.in_(chunk)))
    }


def enrolled(session: Session, study_id: int, ids: list[int]) -> set[int]:
    """Which of the patients are in the study."""
    rows = select(StudyPatientRow.patient_id).where(StudyPatientRow.study_id == study_id)
    return {id for chunk in chunks(ids) for id in session.scalars(rows.where(StudyPatientRow.patient_id.in_(chunk)))}


def chunks(ids: Sequence[T], size: int = 5000) -> Iterable[Sequence[T]]:
    """A long list of ids in parts that a statement can carry (SQLite takes 32,766 parameters)."""
    return (ids[i : i + size] for i in range(0, len(ids), size))


def _enrolment_changed(session: Session, row: StudyRow, ids: list[int]) -> None:
    touched(session, row, len(ids))
    audit.note(session, patients=ids, patient=ids[0] if len(ids) == 1 else None)
    for id in ids:
        changes.note(session, "enrolment", id, [row.organization_id], id)


def unenroll(session: Session, actor: Actor, study_id: int, body: PatientIds) -> None:
    """Remove patients from a study: their answers to it go with them (by foreign key), their data stays."""
    row = reach(session, actor, "studies.unenroll", study_id)
    take_out(session, actor, row, sorted(enrolled(session, row.id, sorted(set(body.patient_ids)))))
    audit.note(session, patients=body.patient_ids)


def take_out(session: Session, actor: Actor, row: StudyRow, ids: list[int]) -> None:
    for chunk in chunks(ids):
        session.execute(
            delete(StudyPatientRow).where(StudyPatientRow.study_id == row.id, StudyPatientRow.patient_id.in_(chunk))
        )
    if ids:
        ledger.append(session, actor, ledger.LEFT, row.id, ids)
        _enrolment_changed(session, row, ids)
