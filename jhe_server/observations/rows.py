"""The rows of observations: narrow and typed, with the payload and the identifiers in tables of their own."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base, BigId, UTCTime


class ObservationRow(Base):
    __tablename__ = "observation"
    __table_args__ = (
        Index("observation_patient", "patient_id", "code_id", "effective_start"),
        Index("observation_updated", "last_updated", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, Identity(start=60_001), primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    code_id: Mapped[int] = mapped_column(ForeignKey("code.id"))
    data_source_id: Mapped[int] = mapped_column(ForeignKey("data_source.id"))
    status: Mapped[str] = mapped_column(String(20))
    effective_start: Mapped[int | None] = mapped_column(BigInteger)  # microseconds since 1970 UTC
    effective_end: Mapped[int | None] = mapped_column(BigInteger)  # null for a point in time
    utc_offset_minutes: Mapped[int | None] = mapped_column(SmallInteger)  # null where the local clock is unknown
    modality: Mapped[str | None] = mapped_column(String(20))
    created: Mapped[datetime] = mapped_column(UTCTime)
    last_updated: Mapped[datetime] = mapped_column(UTCTime)


class PayloadRow(Base):
    """The data point as it was sent."""

    __tablename__ = "observation_payload"

    observation_id: Mapped[int] = mapped_column(ForeignKey("observation.id", ondelete="CASCADE"), primary_key=True)
    payload: Mapped[str] = mapped_column(Text)


class ObservationIdentifierRow(Base):
    __tablename__ = "observation_identifier"
    __table_args__ = (Index("observation_identifier_observation", "observation_id"),)

    system: Mapped[str] = mapped_column(String(1000), primary_key=True)
    value: Mapped[str] = mapped_column(String(1000), primary_key=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("observation.id", ondelete="CASCADE"))
