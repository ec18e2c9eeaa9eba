"""One's account: the apps and tokens that act as oneself, and how to end them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from . import browser_sessions, oauth, password_links, sign_in, tokens
from .access import Actor
from .db import now
from .practitioner_clients import PractitionerClientRow
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
    rows = select(FamilyRow).where(
        FamilyRow.user_id == actor.user_id, FamilyRow.ended.is_(None), FamilyRow.expires > now()
    )
    return list(session.scalars(rows.order_by(FamilyRow.id.desc()).limit(200)))


def _tokens(session: Session, actor: Actor) -> list[TokenRow]:
    """Tokens that no app asked for: printed by an operator, or lent to a kernel."""
    rows = select(TokenRow).where(TokenRow.user_id == actor.user_id, TokenRow.family_id.is_(None))
    good = rows.where(TokenRow.revoked.is_(None), TokenRow.expires > now())
    return list(session.scalars(good.order_by(TokenRow.id.desc()).limit(200)))


def _keys(actor: Actor) -> Any:
    return select(PractitionerClientRow).where(PractitionerClientRow.user_id == actor.user_id)


def _app(session: Session, row: FamilyRow) -> dict[str, Any]:
    party = oauth.party(session, row.client_id)
    name = party.name if party else "An app that is no longer registered"
    return {"id": row.id, "name": name, "created": row.created, "last_used": row.last_used}


def end(session: Session, sent: Sent) -> View:
    """End one app or one token of one's own, or everything everywhere."""
    actor = sign_in.who(session, sent)
    if actor is None:
        return sign_in.first(sent, WANTED)
    if sent.said("everything"):
        tokens.revoke_all(session, actor.user_id)
        password_links.void(session, actor.user_id)
        return go(sent.root, "o/sign_in", browser_sessions.fresh())
    for row in _families(session, actor):
        if str(row.id) == sent.said("app"):
            tokens.end_family(session, row.id)
    for token in _tokens(session, actor):
        if str(token.id) == sent.said("token"):
            tokens.revoke(session, token.id)
    return go(sent.root, WANTED)
