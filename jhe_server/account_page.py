"""One's account: the apps and tokens that act as oneself, and how to end them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from . import browser_sessions, oauth, practitioner_clients, sign_in, tokens
from .access import Actor
from .db import now
from .practitioner_clients import PREFIX, PractitionerClientRow
from .routes import Sent
from .tokens import FamilyRow, TokenRow
from .views import View, go

WANTED = "o/account"


def page(session: Session, sent: Sent) -> View:
    """What acts as oneself, newest first."""
    actor = sign_in.who(session, sent)
    return sign_in.first(sent, WANTED) if actor is None else _page(session, actor)


def _page(session: Session, actor: Actor) -> View:
    values: dict[str, Any] = {
        "email": sign_in.email_of(session, actor),
        "is_patient": actor.patient_id is not None,
        "apps": [_app(session, row) for row in _families(session, actor)],
        "tokens": [{"id": row.id, "created": row.created, "expires": row.expires} for row in _tokens(session, actor)],
        "keys": list(session.scalars(_keys(actor))),
    }
    return View("account.html", values)


def _families(session: Session, actor: Actor) -> list[FamilyRow]:
    """Apps; what a key got itself is ended with the key."""
    rows = select(FamilyRow).where(
        FamilyRow.user_id == actor.user_id, FamilyRow.ended.is_(None), FamilyRow.expires > now(),
        FamilyRow.client_id.not_like(f"{PREFIX}%"),
    )  # fmt: skip
    return list(session.scalars(rows.order_by(FamilyRow.id.desc()).limit(200)))


def _tokens(session: Session, actor: Actor) -> list[TokenRow]:
    """Tokens that no app asked for: printed by an operator, or lent to a kernel; a Hub's kernel gets others anyway."""
    own = (TokenRow.user_id == actor.user_id, TokenRow.family_id.is_(None), TokenRow.via != sign_in.HUB)
    rows = select(TokenRow).where(*own)
    good = rows.where(TokenRow.revoked.is_(None), TokenRow.expires > now())
    return list(session.scalars(good.order_by(TokenRow.id.desc()).limit(200)))


def _keys(actor: Actor) -> Any:
    return select(PractitionerClientRow).where(PractitionerClientRow.user_id == actor.user_id)


def _app(session: Session, row: FamilyRow) -> dict[str, Any]:
    party = oauth.party(session, row.client_id)
    name = party.name if party else "An app that is no longer registered"
    return {"id": row.id, "name": name, "created": row.created, "last_used": row.last_used}


def end(session: Session, sent: Sent) -> View:
    """End one app, token or key of one's own, or everything everywhere."""
    actor = sign_in.who(session, sent)
    if actor is None:
        return sign_in.first(sent, WANTED)
    if sent.said("everything"):
        practitioner_clients.end_everything(session, actor.user_id)
        return go(sent.root, "o/sign_in", browser_sessions.fresh())
    if app := _own(session, actor, FamilyRow, sent.said("app")):
        tokens.end_family(session, app)
    if token := _own(session, actor, TokenRow, sent.said("token")):
        tokens.revoke(session, token)
    if key := _own(session, actor, PractitionerClientRow, sent.said("key")):
        practitioner_clients.remove(session, actor, key)
    return go(sent.root, WANTED)


def _own(session: Session, actor: Actor, kind: Any, said: str) -> int | None:
    """The id that was sent, where it is that of something of one's own; however long the list is."""
    if not (said.isascii() and said.isdecimal()) or len(said) > 18:
        return None
    found: int | None = session.scalar(select(kind.id).where(kind.id == int(said), kind.user_id == actor.user_id))
    return found
