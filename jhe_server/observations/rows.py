"""The rows of observations: narrow and typed, with the payload and the identifiers in tables of their own.

Beside them, derived from them, the same again as columns: every observation is in one segment or is listed as loose.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b

from sqlalchemy import JSON, BigInteger, ForeignKey, Identity, Index, LargeBinary, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base, BigId, UTCTime


class ObservationRow(Base):
    __tablename__ = "observation"
    __table_args__ = (
        Index("observation_patient", "patient_id", "code_id", "effective_start"),
        # Newest first, through the gate: the pair is in the index, so that passing over rows does not read them.
        Index("observation_updated", "last_updated", "id", "patient_id", "code_id"),
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
    """An identifier that an observation was given elsewhere, found by its digest.

    Most are random. Whoever looks one up, or adds one, needs a page of the index for each: so it has to be small enough
    to stay at hand.
    """

    __tablename__ = "observation_identifier"
    __table_args__ = (Index("observation_identifier_observation", "observation_id"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    system: Mapped[str] = mapped_column(String(1000))
    value: Mapped[str] = mapped_column(String(1000))
    observation_id: Mapped[int] = mapped_column(ForeignKey("observation.id", ondelete="CASCADE"))


def identifier_digest(system: str, value: str) -> bytes:
    """What stands for an identifier: 16 bytes of BLAKE2b (RFC 7693), which no two are known to share.

    >>> identifier_digest("urn:a", "1").hex()
    '827c3f335b2eb840812ac077463aedd9'
    """
    return blake2b(f"{system}\0{value}".encode(), digest_size=16).digest()


class SegmentRow(Base):
    """Observations of one patient and code as one compressed Arrow batch, as it leaves in a stream.

    `layout` is the digest of its columns; `words` are those its word columns count. The times span what is in it, to
    tell without opening it whether a question about time concerns it in whole, in part, or not at all.
    """

    __tablename__ = "observation_segment"
    __table_args__ = (
        Index("observation_segment_pair", "patient_id", "code_id", "id"),
        Index("observation_segment_layout", "code_id", "layout"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    code_id: Mapped[int] = mapped_column(ForeignKey("code.id"))
    layout: Mapped[str] = mapped_column(String(32))
    rows: Mapped[int]
    first_id: Mapped[int] = mapped_column(BigInteger)
    last_id: Mapped[int] = mapped_column(BigInteger)
    earliest: Mapped[int | None] = mapped_column(BigInteger)  # of effective_start; null where any row has none
    latest: Mapped[int | None] = mapped_column(BigInteger)
    words: Mapped[dict[str, list[str]]] = mapped_column(JSON)
    batch: Mapped[bytes] = mapped_column(LargeBinary)


class LooseRow(Base):
    """An observation that is in no segment yet."""

    __tablename__ = "observation_loose"
    __table_args__ = {"sqlite_with_rowid": False}

    patient_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    code_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    observation_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
