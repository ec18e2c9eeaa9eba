"""Browser sessions: who is signed in on our own pages. The cookie holds a secret, the store its hash."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Index, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import settings
from .db import Base, UTCTime, now

COOKIE = "jhe_session"


class BrowserSessionRow(Base):
    __tablename__ = "browser_session"
    __table_args__ = (Index("browser_session_user", "user_id"),)

    session_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("jhe_user.id", ondelete="CASCADE"))
    created: Mapped[datetime] = mapped_column(UTCTime)
    expires: Mapped[datetime] = mapped_column(UTCTime)


def _hash(secret: str) -> str:
    return hashlib.sha256(f"session|{secret}".encode()).hexdigest()


def form_token(secret: str) -> str:
    """What a form has to bring beside the cookie: another site can make a browser send one, but cannot know this."""
    return hashlib.sha256(f"form|{secret}".encode()).hexdigest()[:32]


def fresh() -> str:
    """A secret for a cookie; as long as nobody signs in with it, it stands for nobody."""
    return secrets.token_urlsafe(32)


def open_for(session: Session, user_id: int) -> str:
    """Sign a user in: the new session's secret. Never one that was there before, which somebody else may know."""
    secret, time = fresh(), now()
    session.execute(delete(BrowserSessionRow).where(BrowserSessionRow.expires < time))
    lifetime = timedelta(hours=settings.of(session).lifetimes.session_hours)
    session.add(BrowserSessionRow(session_hash=_hash(secret), user_id=user_id, created=time, expires=time + lifetime))
    session.flush()
    return secret


def user_of(session: Session, secret: str) -> int | None:
    """The user signed in with a cookie, if it still is one."""
    rows = select(BrowserSessionRow.user_id).where(
        BrowserSessionRow.session_hash == _hash(secret), BrowserSessionRow.expires > now()
    )
    return session.scalar(rows)


def close(session: Session, secret: str) -> None:
    session.execute(delete(BrowserSessionRow).where(BrowserSessionRow.session_hash == _hash(secret)))


def close_all(session: Session, user_id: int) -> None:
    session.execute(delete(BrowserSessionRow).where(BrowserSessionRow.user_id == user_id))
