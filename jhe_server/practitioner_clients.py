"""Practitioners' keys for scripts: a client id and a secret of one's own, for OAuth2's client credentials."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from sqlalchemy import ForeignKey, Identity, Index, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import audit, changes, tokens
from .access import Actor
from .db import Base, BigId, UTCTime, count, now, ordered, within
from .errors import Conflict, Forbidden, NotFound
from .shapes import Body, Listing, Name, Page, Shape, Time
from .tokens import FamilyRow

MOST = 20  # keys of one practitioner
PREFIX = "key-"  # what tells a key's client id from an app's
NOTEBOOK = "jhe-jupyter"  # the client that every notebook signs in as


class PractitionerClientRow(Base):
    __tablename__ = "practitioner_client"
    __table_args__ = (Index("practitioner_client_user", "user_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("jhe_user.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    client_id: Mapped[str] = mapped_column(String(200), unique=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(UTCTime)


class NewPractitionerClient(Body):
    name: Name


class PractitionerClient(Shape):
    """A key as its owner reads it later: it has no field a secret could leak from."""

    id: int
    name: str
    client_id: str
    created: Time


class PractitionerClientWithSecret(PractitionerClient):
    """What its maker is answered, once."""

    client_secret: str


def secret_hash(secret: str) -> str:
    """Secrets are 256 random bits: one round of SHA-256 keeps them as well as a slow hash would."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _shape(row: PractitionerClientRow) -> PractitionerClient:
    return PractitionerClient(id=row.id, name=row.name, client_id=row.client_id, created=row.created)


def search(session: Session, actor: Actor, query: Listing) -> Page[PractitionerClient]:
    """One's own keys."""
    actor.knock("practitioner_clients.search")
    rows = select(PractitionerClientRow).where(PractitionerClientRow.user_id == actor.user_id)
    total = count(session, rows)
    offset, limit = within(total, query)
    columns = {"id": PractitionerClientRow.id, "name": PractitionerClientRow.name}
    found = session.scalars(ordered(rows, query, columns, PractitionerClientRow.id).offset(offset).limit(limit))
    return Page(count=total, results=[_shape(row) for row in found])


def create(session: Session, actor: Actor, body: NewPractitionerClient) -> PractitionerClientWithSecret:
    """A new key; its secret is in this answer and nowhere else."""
    actor.knock("practitioner_clients.create")
    if actor.family_id is not None and session.get_one(FamilyRow, actor.family_id).client_id != NOTEBOOK:
        # It would outlive the app's being ended.
        raise Forbidden("An app makes no keys; make one yourself, in a notebook.")
    own = select(PractitionerClientRow).where(PractitionerClientRow.user_id == actor.user_id)
    if count(session, own) >= MOST:
        raise Conflict(f"You have {MOST} keys already; delete one you no longer use.")
    secret = secrets.token_urlsafe(32)
    row = PractitionerClientRow(
        user_id=actor.user_id,
        name=body.name,
        client_id=PREFIX + secrets.token_urlsafe(18),
        secret_hash=secret_hash(secret),
        created=now(),
    )
    session.add(row)
    session.flush()
    changes.note(session, "practitioner_client", row.id)
    audit.note(session, count=1)
    return PractitionerClientWithSecret(**_shape(row).model_dump(), client_secret=secret)


def remove(session: Session, actor: Actor, practitioner_client_id: int) -> None:
    """Delete a key; whatever was got with it ends at the same moment."""
    actor.knock("practitioner_clients.remove")
    row = session.get(PractitionerClientRow, practitioner_client_id)
    if row is None or row.user_id != actor.user_id:
        raise NotFound()
    _remove(session, row)
    audit.note(session, count=1)


def end_everything(session: Session, user_id: int) -> None:
    """End all that acts for a user: keys and what was got with them, tokens, apps, browsers, links on their way."""
    for row in session.scalars(select(PractitionerClientRow).where(PractitionerClientRow.user_id == user_id)).all():
        _remove(session, row)
    tokens.revoke_all(session, user_id)


def _remove(session: Session, row: PractitionerClientRow) -> None:
    tokens.end_client(session, row.client_id)
    changes.note(session, "practitioner_client", row.id)
    session.delete(row)
    session.flush()
