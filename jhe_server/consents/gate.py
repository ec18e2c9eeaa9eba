"""The gate: whether an actor may read what was measured, and whether they may upload it; every read passes here.

A practitioner reads an observation only while, in some study of an organization of theirs, the patient is enrolled, the
study requests the code, and the patient consents to it. An answer cannot exist without its enrolment and its request
(foreign keys see to it), so the gate asks for the answer alone.

What opens is therefore a set of (patient, code) pairs: `consented` in whole, `kept` in part, by time. Lists ask which
pairs are open, once, and not of every row whether it is; only what is kept is judged row by row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import Session

from .. import ledger, studies
from ..access import Actor
from ..studies import StudyRow
from .rows import AnswerRow, ConsentPeriodRow

_PAIR = (AnswerRow.patient_id, AnswerRow.code_id)


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
    superuser counts as a member of every organization. `study_id` may be a column of the select around it.
    """
    if actor.patient_id is not None and study_id is None and organization_id is None:
        return patient == actor.patient_id
    yes = consented(actor, verb, study_id, organization_id)
    withdrawn = kept(actor, verb, study_id, organization_id).where(_in_force(start, end))
    here = and_(AnswerRow.patient_id == patient, AnswerRow.code_id == code)
    if isinstance(study_id, ColumnElement):
        opened: ColumnElement[bool] = or_(yes.where(here).exists(), withdrawn.where(here).exists())
    else:
        # Pairs first: an index leads from them to their rows. Which of the two it is, is asked of those rows alone.
        pair = tuple_(patient, code)
        either = answered(actor, verb, study_id, organization_id)
        opened = and_(pair.in_(either), or_(pair.in_(yes), withdrawn.where(here).exists()))
    return opened if actor.patient_id is None else and_(patient == actor.patient_id, opened)


def pair_gate(
    actor: Actor,
    patient: ColumnElement[Any],
    code: ColumnElement[Any],
    *,
    whole: bool,
    study_id: int | None = None,
    organization_id: int | None = None,
    verb: str = "observations.search",
) -> ColumnElement[bool]:
    """Whether the gate opens to everything (`whole`) or to something that was measured of a patient with a code."""
    if actor.patient_id is not None and study_id is None and organization_id is None:
        return patient == actor.patient_id
    opened = consented if whole else answered
    return tuple_(patient, code).in_(opened(actor, verb, study_id, organization_id))


def answered(
    actor: Actor, verb: str, study_id: int | ColumnElement[Any] | None = None, organization_id: int | None = None
) -> Select[*tuple[Any, ...]]:
    """The (patient, code) pairs of which the actor may read something: the consented and the kept."""
    return _answers(actor, verb, study_id, organization_id).where(or_(AnswerRow.consented, _withdrawn()))


def consented(
    actor: Actor, verb: str, study_id: int | ColumnElement[Any] | None = None, organization_id: int | None = None
) -> Select[*tuple[Any, ...]]:
    """The (patient, code) pairs of which the actor may read everything."""
    return _answers(actor, verb, study_id, organization_id).where(AnswerRow.consented)


def kept(
    actor: Actor, verb: str, study_id: int | ColumnElement[Any] | None = None, organization_id: int | None = None
) -> Select[*tuple[Any, ...]]:
    """The (patient, code) pairs, withdrawn, of a study that keeps what was measured while consent was in force."""
    return _answers(actor, verb, study_id, organization_id).where(_withdrawn())


def _answers(
    actor: Actor, verb: str, study_id: int | ColumnElement[Any] | None, organization_id: int | None
) -> Select[*tuple[Any, ...]]:
    """The answers to studies that count for the actor."""
    rows: Select[*tuple[Any, ...]] = select(*_PAIR).join(StudyRow, StudyRow.id == AnswerRow.study_id)
    if study_id is not None:
        rows = rows.where(AnswerRow.study_id == study_id)
    if organization_id is not None:
        rows = rows.where(StudyRow.organization_id == organization_id)
    if actor.patient_id is not None:
        return rows.where(AnswerRow.patient_id == actor.patient_id)
    allowed = actor.organizations(verb)
    return rows if allowed is None else rows.where(StudyRow.organization_id.in_(allowed))


def _withdrawn() -> ColumnElement[bool]:
    """An answer taken back in a study that keeps data; where there never was a yes, there is nothing to keep."""
    keeps = StudyRow.data_after_withdrawal == ledger.KEEP
    return and_(~AnswerRow.consented, keeps, _periods().correlate_except(ConsentPeriodRow).exists())


def _in_force(start: ColumnElement[Any], end: ColumnElement[Any]) -> ColumnElement[bool]:
    """Measured entirely between a grant and its withdrawal."""
    inside = _periods().where(ConsentPeriodRow.start <= start, ConsentPeriodRow.end > end)
    # `start` and `end` are two selects further out, where correlation has to be said: left to itself, the observation
    # would be joined here a second time, and any patient's reading in the period would open them all.
    return inside.correlate_except(ConsentPeriodRow).exists()


def _periods() -> Select[*tuple[Any, ...]]:
    """The periods in which the answer at hand was a yes."""
    return select(ConsentPeriodRow.study_id).where(
        ConsentPeriodRow.study_id == AnswerRow.study_id,
        ConsentPeriodRow.patient_id == AnswerRow.patient_id,
        ConsentPeriodRow.code_id == AnswerRow.code_id,
    )


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
