"""The rows of studies: the study, who is enrolled, and the codes, data sources and clients it asks for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Identity, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .. import ledger
from ..db import Base, BigId, UTCTime


class StudyRow(Base):
    __tablename__ = "study"
    __table_args__ = (Index("study_organization", "organization_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, Identity(start=30_001), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organization.id"))
    icon_url: Mapped[str | None] = mapped_column(String(2000))
    contact: Mapped[str | None] = mapped_column(String(1000))
    data_after_withdrawal: Mapped[str] = mapped_column(String(4), default=ledger.HIDE)
    last_updated: Mapped[datetime] = mapped_column(UTCTime)


class StudyPatientRow(Base):
    __tablename__ = "study_patient"
    __table_args__ = (Index("study_patient_patient", "patient_id", "study_id"),)

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), primary_key=True)
    enrolled: Mapped[datetime] = mapped_column(UTCTime)


class StudyCodeRow(Base):
    __tablename__ = "study_code"

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    code_id: Mapped[int] = mapped_column(ForeignKey("code.id"), primary_key=True)


class StudyDataSourceRow(Base):
    __tablename__ = "study_data_source"

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    data_source_id: Mapped[int] = mapped_column(ForeignKey("data_source.id"), primary_key=True)


class StudyClientRow(Base):
    __tablename__ = "study_client"

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    oauth_client_id: Mapped[int] = mapped_column(ForeignKey("oauth_client.id"), primary_key=True)
