"""Bearer tokens: issued, hashed at rest, revoked; and who is knocking with one.

What an app was given by one sign-in or one invitation is a family: its access tokens, and the refresh tokens that
followed each other. A refresh token is in a table of its own, so that none is ever taken for an access token.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, ForeignKey, Identity, Index, String, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import authorization_codes, browser_sessions, password_links
from .access import Actor
from .db import Base, BigId, UTCTime, now
from .errors import Unauthenticated
from .organizations import roles_of
from .patient_rows import PatientRow
from .people import PATIENT, UserRow

PREFIX = "jhe_"


class FamilyRow(Base):
    """What one person let one client do; `expires` is its absolute end, which no refreshing moves."""

    __tablename__ = "token_family"
    __table_args__ = (Index("token_family_user", "user_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("jhe_user.id", ondelete="CASCADE"))
    client_id: Mapped[str] = mapped_column(String(200))
    scope: Mapped[str] = mapped_column(String(200))
    created: Mapped[datetime] = mapped_column(UTCTime)
    expires: Mapped[datetime] = mapped_column(UTCTime)
    last_used: Mapped[datetime] = mapped_column(UTCTime)
    ended: Mapped[datetime | None] = mapped_column(UTCTime)


class RefreshRow(Base):
    __tablename__ = "refresh_token"
    __table_args__ = (Index("refresh_token_family", "family_id"),)

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    family_id: Mapped[int] = mapped_column(ForeignKey("token_family.id", ondelete="CASCADE"))
    created: Mapped[datetime] = mapped_column(UTCTime)
    expires: Mapped[datetime] = mapped_column(UTCTime)
    used: Mapped[datetime | None] = mapped_column(UTCTime)


class TokenRow(Base):
    __tablename__ = "token"
    __table_args__ = (
        Index("token_user", "user_id"),
        Index("token_family_of", "family_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("jhe_user.id", ondelete="CASCADE"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    via: Mapped[str] = mapped_column(String(16))
    created: Mapped[datetime] = mapped_column(UTCTime)
    expires: Mapped[datetime] = mapped_column(UTCTime)
    revoked: Mapped[datetime | None] = mapped_column(UTCTime)
    family_id: Mapped[int | None] = mapped_column(ForeignKey("token_family.id"))


def token_hash(token: str) -> str:
    """Tokens are 256 random bits, so one round of SHA-256 keeps them as well as a slow hash would."""
    return hashlib.sha256(token.encode()).hexdigest()


def issue(session: Session, user: UserRow, lifetime: timedelta, via: str = "token") -> tuple[str, int]:
    """A new token (shown now and never again) and its id."""
    token = PREFIX + secrets.token_urlsafe(32)
    return token, keep(session, token, user, lifetime, via)


def keep(
    session: Session, token: str, user: UserRow, lifetime: timedelta, via: str, family_id: int | None = None
) -> int:
    """Make a token good: its hash is kept, the token is not."""
    time = now()
    row = TokenRow(user_id=user.id, token_hash=token_hash(token), via=via, created=time, expires=time + lifetime,
                   family_id=family_id)  # fmt: skip
    session.add(row)
    session.flush()
    return row.id


def extend(session: Session, token_id: int, lifetime: timedelta) -> None:
    """Renew the lease of a kernel's token, which lives as long as its Jupyter server."""
    session.execute(update(TokenRow).where(TokenRow.id == token_id).values(expires=now() + lifetime))


def revoke(session: Session, token_id: int) -> None:
    session.execute(update(TokenRow).where(TokenRow.id == token_id).values(revoked=now()))


def end_family(session: Session, family_id: int) -> None:
    """End all that one sign-in or invitation gave an app."""
    _end(session, FamilyRow.id == family_id, TokenRow.family_id == family_id)


def end_client(session: Session, client_id: str) -> None:
    """End all that a client was ever given."""
    families = select(FamilyRow.id).where(FamilyRow.client_id == client_id)
    _end(session, FamilyRow.client_id == client_id, TokenRow.family_id.in_(families))


def revoke_all(session: Session, user_id: int) -> None:
    """End everything a user is signed in with: tokens, apps, browsers, codes and links on their way."""
    _end(session, FamilyRow.user_id == user_id, TokenRow.user_id == user_id)
    authorization_codes.void_all(session, user_id)
    browser_sessions.close_all(session, user_id)
    password_links.void(session, user_id)


def _end(session: Session, families: ColumnElement[bool], tokens: ColumnElement[bool]) -> None:
    session.execute(update(FamilyRow).where(families, FamilyRow.ended.is_(None)).values(ended=now()))
    session.execute(update(TokenRow).where(tokens, TokenRow.revoked.is_(None)).values(revoked=now()))


def known_as(session: Session, user_id: int, via: str, outcome: str = "ok") -> None:
    """Who a public call turned out to come from: the audit keeps a row for somebody known, a count for strangers."""
    entry = session.info.get("audit")
    if entry is not None:
        entry.actor_id, entry.via, entry.outcome = user_id, via, outcome


def known(session: Session, token: str) -> TokenRow | None:
    return session.scalar(select(TokenRow).where(TokenRow.token_hash == token_hash(token)))


def good(session: Session, token: str) -> TokenRow | None:
    """An access token's row, as long as it lets anybody in."""
    row = known(session, token)
    return None if row is None or row.revoked is not None or row.expires <= now() else row


def actor(session: Session, token: str) -> Actor:
    """Who holds this token; unknown, expired and revoked ones are all the same stranger."""
    row = good(session, token)
    if row is None:
        raise Unauthenticated()
    return replace(actor_of(session, row.user_id, row.via), family_id=row.family_id)


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
