"""Authorization codes: the one minute between a yes (a consent page, an invitation) and the first token."""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Index, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import settings
from .db import Base, UTCTime, now

KEPT = timedelta(days=1)  # a code is remembered that long, so that a replay is known as one


class CodeRow(Base):
    """`challenge` is PKCE's S256; `used` and `family_id` are filled in by the exchange."""

    __tablename__ = "authorization_code"
    __table_args__ = (Index("authorization_code_invitation", "invitation_id"),)

    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("jhe_user.id", ondelete="CASCADE"))
    client_id: Mapped[str] = mapped_column(String(200))
    redirect_uri: Mapped[str] = mapped_column(String(2000))
    scope: Mapped[str] = mapped_column(String(200))
    challenge: Mapped[str] = mapped_column(String(128))
    nonce: Mapped[str | None] = mapped_column(String(300))
    invitation_id: Mapped[int | None] = mapped_column(ForeignKey("invitation.id", ondelete="CASCADE"))
    expires: Mapped[datetime] = mapped_column(UTCTime)
    used: Mapped[datetime | None] = mapped_column(UTCTime)
    family_id: Mapped[int | None] = mapped_column(ForeignKey("token_family.id", ondelete="CASCADE"))


def issue(
    session: Session,
    user_id: int,
    client_id: str,
    redirect_uri: str,
    challenge: str,
    *,
    scope: str = "openid",
    nonce: str | None = None,
    invitation_id: int | None = None,
    code: str | None = None,
) -> tuple[str, datetime]:
    """A new code (kept as a hash) and when it ends."""
    code = code or secrets.token_urlsafe(32)
    expires = now() + timedelta(seconds=settings.of(session).lifetimes.code_seconds)
    session.execute(delete(CodeRow).where(CodeRow.expires < now() - KEPT))
    row = CodeRow(
        code_hash=code_hash(code),
        user_id=user_id,
        client_id=client_id,
        redirect_uri=redirect_uri,
        scope=scope,
        challenge=challenge,
        nonce=nonce,
        invitation_id=invitation_id,
        expires=expires,
    )
    session.add(row)
    session.flush()
    return code, expires


def code_hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def known(session: Session, code: str) -> CodeRow | None:
    return session.scalar(select(CodeRow).where(CodeRow.code_hash == code_hash(code)))


def void(session: Session, invitation_id: int) -> None:
    """A new redemption voids the codes of those before it."""
    session.execute(delete(CodeRow).where(CodeRow.invitation_id == invitation_id, CodeRow.used.is_(None)))


def void_all(session: Session, user_id: int) -> None:
    session.execute(delete(CodeRow).where(CodeRow.user_id == user_id, CodeRow.used.is_(None)))


def s256(verifier: str) -> str:
    """PKCE's S256 challenge of a verifier (RFC 7636, section 4.2; the example is its appendix B).

    >>> s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
    """
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def verifier_of(secret: str) -> str:
    """The PKCE verifier that an invitation's secret stands for: base64url of it, unpadded.

    >>> verifier_of("0123456789abcdefghijklmnopqrstuv")
    'MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY'
    """
    return urlsafe_b64encode(secret.encode()).decode().rstrip("=")
