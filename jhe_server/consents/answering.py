"""Answering: a patient's yes, no or second thoughts, as a row, a period and an event that nothing deletes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    select,
)
from sqlalchemy.orm import Session

from .. import audit, changes, ledger
from ..access import Actor
from ..db import now
from ..devices import CodeRow, code_named, code_shape
from ..errors import Forbidden, Invalid
from ..patient_rows import reach
from ..studies import StudyCodeRow, StudyPatientRow, StudyRow
from .rows import AnswerRow, ConsentPeriodRow
from .shapes import Answered, Answers, ScopeConsent, StudyScopeConsents, ToClear, Withdrawal


def answer(session: Session, actor: Actor, patient_id: int, body: Answers) -> Answered:
    """Set answers, granting or revoking: all of the body or nothing of it."""
    return _set(session, actor, "consents.answer", patient_id, body)


def change(session: Session, actor: Actor, patient_id: int, body: Answers) -> Answered:
    """Set answers that were set before; as `answer`."""
    return _set(session, actor, "consents.change", patient_id, body)


def _set(session: Session, actor: Actor, verb: str, patient_id: int, body: Answers) -> Answered:
    row = reach(session, actor, verb, patient_id)
    time, said = now(), []
    for one in body.study_scope_consents:
        study = _asking(session, actor, verb, row.id, one.study_id)
        codes = _requested(session, study, [(code.coding_system, code.coding_code) for code in one.scope_consents])
        for code, given in zip(codes, one.scope_consents, strict=True):
            record(session, actor, study, row.id, code, given.consented, one.reason, time)
        answered = [
            ScopeConsent(code=code_shape(code), consented=given.consented, consented_time=time,
                         actor_id=actor.user_id, reason=one.reason)
            for code, given in zip(codes, one.scope_consents, strict=True)
        ]  # fmt: skip
        said.append(StudyScopeConsents(study_id=study.id, scope_consents=answered))
    audit.note(session, count=sum(len(one.scope_consents) for one in said))
    return Answered(study_scope_consents=said)


def withdraw(session: Session, actor: Actor, patient_id: int, body: Withdrawal) -> Answered:
    """A no to everything a study asks for, answered before or not: one call, all of it or nothing."""
    row = reach(session, actor, "consents.withdraw", patient_id)
    study, time = _asking(session, actor, "consents.withdraw", row.id, body.study_id), now()
    requested = select(CodeRow).join(StudyCodeRow, StudyCodeRow.code_id == CodeRow.id)
    codes = session.scalars(requested.where(StudyCodeRow.study_id == study.id).order_by(CodeRow.id)).all()
    for code in codes:
        record(session, actor, study, row.id, code, False, body.reason, time)
    changes.note(session, "consent", row.id, [study.organization_id], row.id)
    audit.note(session, count=len(codes))
    said = [
        ScopeConsent(code=code_shape(code), consented=False, consented_time=time, actor_id=actor.user_id,
                     reason=body.reason)
        for code in codes
    ]  # fmt: skip
    return Answered(study_scope_consents=[StudyScopeConsents(study_id=study.id, scope_consents=said)])


def _asking(session: Session, actor: Actor, verb: str, patient_id: int, study_id: int) -> StudyRow:
    """The study whose request is answered: the patient is enrolled in it, and the actor may answer there."""
    audit.note(session, study=study_id)
    study = session.get(StudyRow, study_id)
    enrolled = session.get(StudyPatientRow, (study_id, patient_id))
    own = actor.is_self(verb, patient_id)
    seen = study is not None and (own or actor.may("studies.get", study.organization_id))
    if study is None or enrolled is None or not seen:
        raise Invalid(f"The patient is not enrolled in study {study_id}.", {"studyId": ["is not one of the patient's"]})
    if not own and not actor.may(verb, study.organization_id):
        raise Forbidden()
    return study


def _requested(session: Session, study: StudyRow, named: list[tuple[str, str]]) -> list[CodeRow]:
    """The codes a body names; each must be one that the study requests, named once."""
    if len(set(named)) < len(named):
        raise Invalid("A code is answered twice for the same study.", {"scopeConsents": ["name a code twice"]})
    found = [code_named(session, system, code) for system, code in named]
    for row, (_, code) in zip(found, named, strict=True):
        if row is None or session.get(StudyCodeRow, (study.id, row.id)) is None:
            raise Invalid(
                f"Study {study.id} does not request {code[:100]}.", {"codingCode": ["is not requested by the study"]}
            )
    return [row for row in found if row is not None]


def record(
    session: Session,
    actor: Actor,
    study: StudyRow,
    patient_id: int,
    code: CodeRow,
    consented: bool,
    reason: str | None = None,
    time: datetime | None = None,
) -> None:
    """Write one answer: its row, the period of consent it opens or closes, and the event that nothing deletes."""
    time = time or now()
    key = (study.id, patient_id, code.id)
    row = session.get(AnswerRow, key)
    if row is None:
        row = AnswerRow(study_id=study.id, patient_id=patient_id, code_id=code.id)
        session.add(row)
    row.consented, row.time, row.actor_id, row.reason = consented, time, actor.user_id, reason
    session.flush()
    _period(session, key, consented, time)
    decision = ledger.GRANTED if consented else ledger.DECLINED
    ledger.append(session, actor, decision, study.id, [patient_id], code.id, reason, time)
    changes.note(session, "consent", patient_id, [study.organization_id], patient_id)


def _period(session: Session, key: tuple[int, int, int], consented: bool, time: datetime) -> None:
    columns = (ConsentPeriodRow.study_id, ConsentPeriodRow.patient_id, ConsentPeriodRow.code_id)
    same = [column == value for column, value in zip(columns, key, strict=True)]
    open_one = session.scalar(select(ConsentPeriodRow).where(*same, ConsentPeriodRow.end.is_(None)))
    if consented and open_one is None:
        study_id, patient_id, code_id = key
        session.add(ConsentPeriodRow(study_id=study_id, patient_id=patient_id, code_id=code_id, start=time))
    elif not consented and open_one is not None:
        open_one.end = time
    session.flush()


def clear(session: Session, actor: Actor, patient_id: int, body: ToClear) -> None:
    """Take answers back: pending again, as if never answered; the ledger keeps that they were."""
    row = reach(session, actor, "consents.clear", patient_id)
    time, cleared = now(), 0
    for one in body.study_scope_consents:
        study = _asking(session, actor, "consents.clear", row.id, one.study_id)
        for code in _requested(session, study, [(code.coding_system, code.coding_code) for code in one.scope_consents]):
            given = session.get(AnswerRow, (study.id, row.id, code.id))
            if given is not None:
                session.delete(given)
                session.flush()
                ledger.append(session, actor, ledger.CLEARED, study.id, [row.id], code.id, one.reason, time)
                cleared += 1
        changes.note(session, "consent", row.id, [study.organization_id], row.id)
    audit.note(session, count=cleared)
