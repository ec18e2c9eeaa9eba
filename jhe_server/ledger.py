"""The ledger: every answer, enrolment, requested code and policy as an appended event; a replay gives any moment back.

Nothing deletes from it, the removal of a patient included: it keeps ids and no names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Identity, Index, String, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from .access import Actor
from .db import Base, BigId, UTCTime, now

ENROLLED, LEFT = "enrolled", "left"
REQUESTED, DROPPED = "requested", "dropped"
GRANTED, DECLINED, CLEARED = "granted", "declined", "cleared"
HIDE, KEEP = "hide", "keep"


class LedgerRow(Base):
    """One event. Ids only, and no foreign keys: it outlives what it speaks of."""

    __tablename__ = "consent_ledger"
    __table_args__ = (
        Index("consent_ledger_patient", "patient_id", "seq"),
        Index("consent_ledger_study", "study_id", "seq"),
        {"sqlite_autoincrement": True},
    )

    seq: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    time: Mapped[datetime] = mapped_column(UTCTime)
    study_id: Mapped[int] = mapped_column(BigId)
    patient_id: Mapped[int | None] = mapped_column(BigId)
    code_id: Mapped[int | None] = mapped_column(BigId)
    decision: Mapped[str] = mapped_column(String(10))
    actor_id: Mapped[int] = mapped_column(BigId)
    on_behalf_of: Mapped[int | None] = mapped_column(BigId)
    reason: Mapped[str | None] = mapped_column(String(1000))


class Answer(NamedTuple):
    """A patient's yes or no, when, by whom and why."""

    consented: bool
    time: datetime
    actor_id: int
    reason: str | None


@dataclass
class StudyState:
    """A study at one moment: the codes it requests, its policy, and each enrolled patient's answers by code id."""

    codes: dict[int, None] = field(default_factory=dict)
    policy: str = HIDE
    answers: dict[int, dict[int, Answer]] = field(default_factory=dict)


def append(
    session: Session,
    actor: Actor,
    decision: str,
    study_id: int,
    patients: Iterable[int | None] = (None,),
    code_id: int | None = None,
    reason: str | None = None,
    time: datetime | None = None,
) -> None:
    """Write an event for each patient (or one for the study); who acts for a patient is named beside them."""
    time = time or now()
    same = {
        "time": time,
        "study_id": study_id,
        "code_id": code_id,
        "decision": decision,
        "actor_id": actor.user_id,
        "reason": reason,
    }
    rows = [{**same, "patient_id": id, "on_behalf_of": None if actor.patient_id == id else id} for id in patients]
    if rows:
        session.execute(insert(LedgerRow), rows)


def studies_of(session: Session, patient_id: int) -> set[int]:
    """Every study the patient was ever enrolled in."""
    return set(session.scalars(select(LedgerRow.study_id).where(LedgerRow.patient_id == patient_id).distinct()))


def replay(
    session: Session, studies: set[int], as_of: datetime | None = None, patient_id: int | None = None
) -> dict[int, StudyState]:
    """The studies as they stood at a moment (now, without one), for one patient or for all of them."""
    events = select(LedgerRow).where(LedgerRow.study_id.in_(studies)).order_by(LedgerRow.seq)
    if patient_id is not None:
        events = events.where((LedgerRow.patient_id == patient_id) | LedgerRow.patient_id.is_(None))
    if as_of is not None:
        events = events.where(LedgerRow.time <= as_of)
    states: dict[int, StudyState] = {}
    for event in session.scalars(events):
        _apply(states.setdefault(event.study_id, StudyState()), event)
    return states


def _apply(state: StudyState, event: LedgerRow) -> None:
    patient, code, decision = event.patient_id, event.code_id, event.decision
    if decision in (HIDE, KEEP):
        state.policy = decision
    elif code is None and patient is not None:
        _come_or_go(state, decision, patient)
    elif code is not None and patient is None:
        _request_or_drop(state, decision, code)
    elif code is not None and patient is not None and patient in state.answers:
        state.answers[patient].pop(code, None)
        if decision in (GRANTED, DECLINED):
            state.answers[patient][code] = Answer(decision == GRANTED, event.time, event.actor_id, event.reason)


def _come_or_go(state: StudyState, decision: str, patient: int) -> None:
    if decision == ENROLLED:
        state.answers.setdefault(patient, {})
    else:
        state.answers.pop(patient, None)


def _request_or_drop(state: StudyState, decision: str, code: int) -> None:
    if decision == REQUESTED:
        state.codes[code] = None
    else:
        state.codes.pop(code, None)
        for answers in state.answers.values():
            answers.pop(code, None)
