"""A JupyterHub token exchanged for a short one of ours (RFC 8693): how a kernel on a Hub gets in.

Whose the Hub's token is was asked before, outside of any transaction; here is decided what is given for it.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from .. import settings, tokens
from ..db import now
from ..errors import Unauthenticated
from ..hub_users import VIA
from ..people import UserRow
from ..routes import Sent
from ..tokens import TokenRow
from .answers import Answer

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
REMEMBERED = timedelta(minutes=10)  # who comes back within them goes on, and is not signing in anew
NO_TYPE = f"subject_token_type has to be {ACCESS_TOKEN}, and no other type is given for it."
NOT_GOOD = "The Hub's token is not good here: it has to be a user's, and to have the scope to access this service."


def exchange(session: Session, sent: Sent) -> Answer:
    """A token for somebody the Hub knows; so short that whoever leaves the Hub is out within a minute."""
    if sent.said("subject_token_type") != ACCESS_TOKEN or sent.said("requested_token_type") not in ("", ACCESS_TOKEN):
        return _refused(NO_TYPE)
    user = _user(session, sent.hub_user_id)
    if user is None:
        return _refused(NOT_GOOD)
    lifetime = timedelta(seconds=settings.of(session).lifetimes.hub_seconds)
    if not _goes_on(session, user):
        tokens.known_as(session, user.id, VIA)
    token, _ = tokens.issue(session, user, lifetime, VIA)
    said = {"access_token": token, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer"}
    return Answer(200, {**said, "expires_in": int(lifetime.total_seconds())})


def _refused(why: str) -> Answer:
    """RFC 8693 (2.2.2) has one word for every token that is not taken."""
    return Answer(400, {"error": "invalid_request", "error_description": why})


def _user(session: Session, user_id: int | None) -> UserRow | None:
    if user_id is None:
        return None
    try:
        return session.get(UserRow, tokens.actor_of(session, user_id, VIA).user_id)
    except Unauthenticated:
        return None


def _goes_on(session: Session, user: UserRow) -> bool:
    """Whether this is a kernel at work that asks every minute; its old tokens are cleared away."""
    mine = (TokenRow.user_id == user.id, TokenRow.via == VIA)
    session.execute(delete(TokenRow).where(*mine, TokenRow.expires < now() - REMEMBERED))
    return session.scalar(select(TokenRow.id).where(*mine, TokenRow.revoked.is_(None)).limit(1)) is not None
