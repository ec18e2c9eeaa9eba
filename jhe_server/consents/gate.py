"""The gate: whether an actor may read what was measured, and whether they may upload it; every read passes here.

A practitioner reads an observation only while, in some study of an organization of theirs, the patient is enrolled, the
study requests the code, and the patient consents to it. An answer cannot exist without its enrolment and its request
(foreign keys see to it), so the gate asks for the answer alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    or_,
    select,
)
from sqlalchemy.orm import Session

from .. import ledger, studies
from ..access import Actor
from ..studies import StudyRow
from .rows import AnswerRow, ConsentPeriodRow


def gate(
    actor: Actor,
    patient: ColumnElement[Any],
    code: ColumnElement[Any],
    start: ColumnElement[Any],
    end: ColumnElement[Any],
    *,
    study_id: int | ColumnElement[Any] | None = None,
    organization_id: int | None = None,
    verb: str = "observations.search",
) -> ColumnElement[bool]:
    """Whether the actor may read what was measured of this patient with this code between start and end.

    Every read of observations narrows its select by this and by nothing else. A patient reads all of their own; a
    superuser counts as a member of every organization.
    """
    consented = select(AnswerRow.study_id).join(StudyRow, StudyRow.id == AnswerRow.study_id)
    consented = consented.where(AnswerRow.patient_id == patient, AnswerRow.code_id == code)
    consented = consented.where(or_(AnswerRow.consented, _kept(start, end)))
    if study_id is not None:
        consented = consented.where(AnswerRow.study_id == study_id)
    if organization_id is not None:
        consented = consented.where(StudyRow.organization_id == organization_id)
    if actor.patient_id is not None:
        own = patient == actor.patient_id
        return own if study_id is None and organization_id is None else and_(own, consented.exists())
    allowed = actor.organizations(verb)
    return (consented if allowed is None else consented.where(StudyRow.organization_id.in_(allowed))).exists()


def _kept(start: ColumnElement[Any], end: ColumnElement[Any]) -> ColumnElement[bool]:
    """A withdrawn answer of a study that keeps data: measured entirely between a grant and its withdrawal."""
    inside = select(ConsentPeriodRow.study_id).where(
        ConsentPeriodRow.study_id == AnswerRow.study_id,
        ConsentPeriodRow.patient_id == AnswerRow.patient_id,
        ConsentPeriodRow.code_id == AnswerRow.code_id,
        ConsentPeriodRow.start <= start,
        ConsentPeriodRow.end > end,
    )
    # `start` and `end` are two selects further out, where correlation has to be said: left to itself, the observation
    # would be joined here a second time, and any patient's reading in the period would open them all.
    return and_(StudyRow.data_after_withdrawal == ledger.KEEP, inside.correlate_except(ConsentPeriodRow).exists())


def uploadable(session: Session, actor: Actor, patients: Iterable[int]) -> set[tuple[int, int]]:
    """The (patient, code) pairs the actor may upload: consented in a study that requests the code.

    For the patient any such study counts; for a practitioner one of an organization where they are member or manager.
    """
    found: set[tuple[int, int]] = set()
    for chunk in studies.chunks(sorted(set(patients))):
        rows = select(AnswerRow.patient_id, AnswerRow.code_id).where(
            AnswerRow.consented, AnswerRow.patient_id.in_(chunk)
        )
        allowed = actor.organizations("uploads.create")
        if actor.patient_id is not None:
            rows = rows.where(AnswerRow.patient_id == actor.patient_id)
        elif allowed is not None:
            rows = rows.join(StudyRow, StudyRow.id == AnswerRow.study_id).where(StudyRow.organization_id.in_(allowed))
        found |= {(patient, code) for patient, code in session.execute(rows)}
    return found
