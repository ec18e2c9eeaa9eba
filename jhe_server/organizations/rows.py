"""The rows of organizations: the tree, and the role each practitioner holds in which."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Identity, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base, BigId, UTCTime, now

ROOT = 0


class OrganizationRow(Base):
    __tablename__ = "organization"
    __table_args__ = (Index("organization_part_of", "part_of"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, Identity(start=20_001), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    type: Mapped[str] = mapped_column(String(20))
    part_of: Mapped[int | None] = mapped_column(ForeignKey("organization.id"))
    last_updated: Mapped[datetime] = mapped_column(UTCTime, default=now, onupdate=now)


class MembershipRow(Base):
    """A practitioner's role in one organization."""

    __tablename__ = "practitioner_organization"
    __table_args__ = (Index("practitioner_organization_user", "user_id"),)

    organization_id: Mapped[int] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("jhe_user.id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(10))
    since: Mapped[datetime] = mapped_column(UTCTime)
