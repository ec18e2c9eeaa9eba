"""The rows of consents: an answer, and the periods in which it was a yes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    Boolean,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    String,
    and_,
)
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base, BigId, UTCTime
from ..studies import StudyCodeRow, StudyPatientRow


class AnswerRow(Base):
    """A patient's yes or no to one code for one study; leaves with the enrolment or the request."""

    __tablename__ = "consent"
    __table_args__ = (
        ForeignKeyConstraint(
            ["study_id", "patient_id"], ["study_patient.study_id", "study_patient.patient_id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["study_id", "code_id"], ["study_code.study_id", "study_code.code_id"], ondelete="CASCADE"
        ),
        Index("consent_patient", "patient_id", "code_id", "study_id", "consented"),
    )

    study_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    patient_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    code_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    consented: Mapped[bool] = mapped_column(Boolean)
    time: Mapped[datetime] = mapped_column(UTCTime)
    actor_id: Mapped[int] = mapped_column(BigId)
    reason: Mapped[str | None] = mapped_column(String(1000))


class ConsentPeriodRow(Base):
    """From a grant to its withdrawal: what a study that keeps data after a withdrawal may still read."""

    __tablename__ = "consent_period"
    __table_args__ = (
        ForeignKeyConstraint(
            ["study_id", "patient_id", "code_id"],
            ["consent.study_id", "consent.patient_id", "consent.code_id"],
            ondelete="CASCADE",
        ),
    )

    study_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    patient_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    code_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    start: Mapped[datetime] = mapped_column(UTCTime, primary_key=True)
    end: Mapped[datetime | None] = mapped_column(UTCTime)


def answers_of(enrolment: type[StudyPatientRow], request: type[StudyCodeRow]) -> ColumnElement[bool]:
    return and_(
        AnswerRow.study_id == enrolment.study_id,
        AnswerRow.patient_id == enrolment.patient_id,
        AnswerRow.code_id == request.code_id,
    )
