"""Bearer tokens: issued, hashed at rest, revoked; and who is knocking with one."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Identity, Index, String, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from .access import Actor
from .db import Base, BigId, UTCTime, now
from .errors import Unauthenticated
from .organizations import roles_of
from .patient_rows import PatientRow
from .people import PATIENT, UserRow

PREFIX = "jhe_"


class TokenRow(Base):
    __tablename__ = "token"
    __table_args__ = (Index("token_user", "user_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("jhe_user.id", ondelete="CASCADE"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    via: Mapped[str] = mapped_column(String(16))
    created: Mapped[datetime] = mapped_column(UTCTime)
    expires: Mapped[datetime] = mapped_column(UTCTime)
    revoked: Mapped[datetime | None] = mapped_column(UTCTime)


def token_hash(token: str) -> str:
    """Tokens are 256 random bits, so one round of SHA-256 keeps them as well as a slow hash would."""
    return hashlib.sha256(token.encode()).hexdigest()


def issue(session: Session, user: UserRow, lifetime: timedelta, via: str = "token") -> tuple[str, int]:
    """A new token (shown now and never again) and its id."""
    token = PREFIX + secrets.token_urlsafe(32)
    return token, keep(session, token, user, lifetime, via)


def keep(session: Session, token: str, user: UserRow, lifetime: timedelta, via: str) -> int:
    """Make a token good: its hash is kept, the token is not."""
    time = now()
    row = TokenRow(user_id=user.id, token_hash=token_hash(token), via=via, created=time, expires=time + lifetime)
    session.add(row)
    session.flush()
    return row.id


def extend(session: Session, token_id: int, lifetime: timedelta) -> None:
    """Renew the lease of a kernel's token, which lives as long as its Jupyter server."""
    session.execute(update(TokenRow).where(TokenRow.id == token_id).values(expires=now() + lifetime))


def revoke(session: Session, token_id: int) -> None:
    session.execute(update(TokenRow).where(TokenRow.id == token_id).values(revoked=now()))


def revoke_all(session: Session, user_id: int) -> None:
    """End everything a user is signed in with."""
    session.execute(
        update(TokenRow).where(TokenRow.user_id == user_id, TokenRow.revoked.is_(None)).values(revoked=now())
    )


def actor(session: Session, token: str) -> Actor:
    """Who holds this token; unknown, expired and revoked ones are all the same stranger."""
    row = session.scalar(select(TokenRow).where(TokenRow.token_hash == token_hash(token)))
    if row is None or row.revoked is not None or row.expires <= now():
        raise Unauthenticated()
    return actor_of(session, row.user_id, row.via)


def actor_of(session: Session, user_id: int, via: str) -> Actor:
    """A user with the roles they hold at this moment; one who is disabled is nobody."""
    user = session.get(UserRow, user_id)
    if user is None or user.disabled:
        raise Unauthenticated()
    if user.user_type == PATIENT:
        patient_id = session.scalar(select(PatientRow.id).where(PatientRow.user_id == user.id))
        # A patient whose record is gone keeps no way in.
        if patient_id is None:
            raise Unauthenticated()
        return Actor(user.id, patient_id=patient_id, via=via)
    return Actor(user.id, is_superuser=user.is_superuser, roles=roles_of(session, user.id), via=via)
