"""Follow-up: per patient and study, how far they have come: invited, connected, consented, measuring, uploading."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, case, func, select
from sqlalchemy.orm import Session

from . import audit
from .access import Actor
from .consents import AnswerRow
from .db import count, moment, now, ordered, within
from .invitations import REDEEMED, InvitationRow
from .observations import ObservationRow, readable
from .patient_rows import PatientRow
from .shapes import Id, Listing, Page, Shape, Time
from .studies import StudyCodeRow, StudyPatientRow, StudyRow

CONNECT_WITHIN = timedelta(hours=48)  # the guide: contact patients who don't connect within 48 hours
SILENT_AFTER = timedelta(days=7)  # a week without an upload is a patient to write to


class FollowUpSearch(Listing):
    study_id: Id | None = None


class FollowUp(Shape):
    """`state` is the first thing that is not done yet, or `active`; counts and times are of what the caller may see."""

    patient_id: int
    name_family: str
    name_given: str
    study_id: int
    invited: Time | None
    connected: Time | None
    consented: Time | None
    pending_consents: int
    last_measured: Time | None
    last_uploaded: Time | None
    state: str


def search(session: Session, actor: Actor, query: FollowUpSearch) -> Page[FollowUp]:
    """Who is invited, connected, consented and uploading, one row per patient and study."""
    actor.knock("followup.search")
    audit.note(session, study=query.study_id)
    rows = _enrolments(actor, query.study_id)
    total = count(session, rows)
    offset, limit = within(total, query)
    columns = {"patientId": StudyPatientRow.patient_id, "studyId": StudyPatientRow.study_id,
               "nameFamily": func.lower(PatientRow.name_family)}  # fmt: skip
    chosen = ordered(rows, query, columns, StudyPatientRow.patient_id).order_by(StudyPatientRow.study_id)
    found = session.execute(chosen.offset(offset).limit(limit)).all()
    results = _states(session, actor, found)
    audit.note(session, patients={row.patient_id for row in results}, count=len(results))
    audit.note(session, organizations={row.organization_id for row in found})
    return Page(count=total, results=results)


def _enrolments(actor: Actor, study_id: int | None) -> Select[*tuple[Any, ...]]:
    rows = (
        select(
            StudyPatientRow.patient_id,
            StudyPatientRow.study_id,
            StudyRow.organization_id,
            PatientRow.name_family,
            PatientRow.name_given,
        )
        .join(StudyRow, StudyRow.id == StudyPatientRow.study_id)
        .join(PatientRow, PatientRow.id == StudyPatientRow.patient_id)
    )
    allowed = actor.organizations("followup.search")
    if allowed is not None:
        rows = rows.where(StudyRow.organization_id.in_(allowed))
    return rows if study_id is None else rows.where(StudyPatientRow.study_id == study_id)


def _states(session: Session, actor: Actor, found: Any) -> list[FollowUp]:
    """One statement per source, however many rows."""
    patients = sorted({row.patient_id for row in found})
    asked = sorted({row.study_id for row in found})
    invited, answers = _invited(session, patients), _answers(session, asked, patients)
    data = _data(session, actor, asked, patients)
    return [_state(row, invited, answers, data) for row in found]


def _invited(session: Session, patients: list[int]) -> dict[int, Any]:
    redeemed = case((InvitationRow.status == REDEEMED, InvitationRow.last_updated))
    rows = select(
        InvitationRow.patient_id, func.max(InvitationRow.created).label("last"), func.min(redeemed).label("redeemed")
    )
    grouped = rows.where(InvitationRow.patient_id.in_(patients)).group_by(InvitationRow.patient_id)
    return {row.patient_id: row for row in session.execute(grouped)}


def _answers(session: Session, asked: list[int], patients: list[int]) -> dict[tuple[int, int], Any]:
    same = and_(
        AnswerRow.study_id == StudyPatientRow.study_id,
        AnswerRow.patient_id == StudyPatientRow.patient_id,
        AnswerRow.code_id == StudyCodeRow.code_id,
    )
    rows = (
        select(
            StudyPatientRow.study_id,
            StudyPatientRow.patient_id,
            func.count(StudyCodeRow.code_id).label("requested"),
            func.count(AnswerRow.code_id).label("answered"),
            func.max(case((AnswerRow.consented, AnswerRow.time))).label("consented"),
        )
        .join(StudyCodeRow, StudyCodeRow.study_id == StudyPatientRow.study_id)
        .outerjoin(AnswerRow, same)
        .where(StudyPatientRow.study_id.in_(asked), StudyPatientRow.patient_id.in_(patients))
        .group_by(StudyPatientRow.study_id, StudyPatientRow.patient_id)
    )
    return {(row.study_id, row.patient_id): row for row in session.execute(rows)}


def _data(session: Session, actor: Actor, asked: list[int], patients: list[int]) -> dict[tuple[int, int], Any]:
    """Last measured and last uploaded in each study, through the gate of that study."""
    study_id = StudyPatientRow.study_id.expression
    seen = readable(actor, "observations.search", study_id=study_id)
    enrolled = seen.join(StudyPatientRow, StudyPatientRow.patient_id == ObservationRow.patient_id)
    rows = enrolled.with_only_columns(
        study_id,
        ObservationRow.patient_id,
        func.max(ObservationRow.effective_start).label("measured"),
        func.max(ObservationRow.created).label("uploaded"),
        func.min(ObservationRow.created).label("first"),
    )
    rows = rows.where(StudyPatientRow.study_id.in_(asked), ObservationRow.patient_id.in_(patients))
    found = session.execute(rows.group_by(study_id, ObservationRow.patient_id))
    return {(row.study_id, row.patient_id): row for row in found}


def _state(
    row: Any, invited: dict[int, Any], answers: dict[tuple[int, int], Any], data: dict[tuple[int, int], Any]
) -> FollowUp:
    here = (row.study_id, row.patient_id)
    invitation, answer, seen = invited.get(row.patient_id), answers.get(here), data.get(here)
    connected = (
        invitation.redeemed if invitation is not None and invitation.redeemed else (seen.first if seen else None)
    )
    pending = answer.requested - answer.answered if answer else 0
    one = FollowUp(
        patient_id=row.patient_id,
        name_family=row.name_family,
        name_given=row.name_given,
        study_id=row.study_id,
        invited=invitation.last if invitation else None,
        connected=connected,
        consented=answer.consented if answer else None,
        pending_consents=pending,
        last_measured=moment(seen.measured) if seen and seen.measured is not None else None,
        last_uploaded=seen.uploaded if seen else None,
        state="",
    )
    return one.model_copy(update={"state": _first_undone(one, now())})


def _first_undone(one: FollowUp, time: datetime) -> str:
    if one.connected is None:
        if one.invited is None:
            return "not invited"
        return "not connected" if time - one.invited > CONNECT_WITHIN else "invited"
    if one.consented is None:
        return "consent pending" if one.pending_consents else "declined"
    if one.last_uploaded is None:
        return "no data yet"
    return "stopped uploading" if time - one.last_uploaded > SILENT_AFTER else "active"
