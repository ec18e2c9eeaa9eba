"""One-time links for a first or a forgotten password: sent by mail, kept as a hash, used once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Index, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import settings
from .db import Base, UTCTime, now


class PasswordLinkRow(Base):
    __tablename__ = "password_link"
    __table_args__ = (Index("password_link_user", "user_id"),)

    link_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("jhe_user.id", ondelete="CASCADE"))
    expires: Mapped[datetime] = mapped_column(UTCTime)


def _hash(secret: str) -> str:
    return hashlib.sha256(f"password|{secret}".encode()).hexdigest()


def issue(session: Session, user_id: int) -> tuple[str, datetime]:
    """A new link's secret and when it ends.

    Those before it stay good until one is used: else anybody who knows an e-mail could make its links useless.
    """
    secret = secrets.token_urlsafe(32)
    expires = now() + timedelta(hours=settings.of(session).lifetimes.password_link_hours)
    session.execute(delete(PasswordLinkRow).where(PasswordLinkRow.expires < now()))
    session.add(PasswordLinkRow(link_hash=_hash(secret), user_id=user_id, expires=expires))
    session.flush()
    return secret, expires


def user_of(session: Session, secret: str) -> int | None:
    """Whose password a link may set, while it may."""
    return session.scalar(
        select(PasswordLinkRow.user_id).where(
            PasswordLinkRow.link_hash == _hash(secret), PasswordLinkRow.expires > now()
        )
    )


def void(session: Session, user_id: int) -> None:
    session.execute(delete(PasswordLinkRow).where(PasswordLinkRow.user_id == user_id))
