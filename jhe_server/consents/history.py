"""The history of a patient's answers, from the ledger: what was said, when, by whom, for which study."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from .. import audit, ledger, studies
from ..access import Actor
from ..devices import CodeRow
from ..ledger import LedgerRow
from ..patient_rows import row_of
from ..people import PATIENT, UserRow
from ..shapes import Shape, Time
from ..studies import StudyRow

ANSWERS = (ledger.GRANTED, ledger.DECLINED, ledger.CLEARED)


class ConsentEvent(Shape):
    """One answer: `decision` is granted, declined or cleared; `actor` a practitioner's name, `patient`, or null."""

    time: Time
    study_id: int
    study_name: str | None
    code: str
    decision: str
    actor: str | None
    reason: str | None


def history(session: Session, actor: Actor, patient_id: int) -> list[ConsentEvent]:
    """Every answer of a patient to the studies the caller may see, the newest first."""
    patient = row_of(session, actor, patient_id)
    rows = select(LedgerRow).where(LedgerRow.patient_id == patient.id, LedgerRow.decision.in_(ANSWERS))
    if not actor.is_self("consents.history", patient.id):
        seen = studies.visible(actor, "consents.history").with_only_columns(StudyRow.id)
        rows = rows.where(LedgerRow.study_id.in_(seen))
    found = session.scalars(rows.order_by(LedgerRow.seq.desc())).all()
    audit.note(session, count=len(found))
    return _events(session, list(found))


def _events(session: Session, found: list[LedgerRow]) -> list[ConsentEvent]:
    about = select(StudyRow.id, StudyRow.name).where(StudyRow.id.in_({row.study_id for row in found}))
    named: dict[int, str] = {id: name for id, name in session.execute(about)}
    codes = session.execute(select(CodeRow.id, CodeRow.text).where(CodeRow.id.in_({row.code_id for row in found})))
    texts: dict[int | None, str] = {id: text for id, text in codes}
    people = session.scalars(select(UserRow).where(UserRow.id.in_({row.actor_id for row in found})))
    actors = {user.id: _called(user) for user in people}
    return [
        ConsentEvent(time=row.time, study_id=row.study_id, study_name=named.get(row.study_id),
                     code=texts.get(row.code_id, ""), decision=row.decision, actor=actors.get(row.actor_id),
                     reason=row.reason)
        for row in found
    ]  # fmt: skip


def _called(user: UserRow) -> str:
    if user.user_type == PATIENT:
        return PATIENT
    return f"{user.first_name} {user.last_name}".strip() or user.email
