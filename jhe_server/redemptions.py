"""Redeeming an invitation: its secret for an authorization code, until the first code has become tokens.

An app that loses the answer to a redemption redeems again; each redemption voids the code before it, so however many
race, one family of tokens comes of an invitation.
"""

from __future__ import annotations

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from . import audit, authorization_codes, changes, invitations, settings
from .db import now
from .errors import Conflict, Forbidden, Gone, NotFound
from .invitations import CANCELLED, EXPIRED, ISSUED, REDEEMED, InvitationRow
from .oauth_clients import OAuthClientRow
from .patient_rows import PatientRow
from .people import UserRow
from .routes import Sent
from .shapes import Body, Line, Time
from .tokens import known_as

SCOPE = "openid email"
FOUND_BY_APP = "oauth"


class Grant(BaseModel):
    """What an app posts to the token endpoint, with `code_verifier`: base64url of the invitation's secret, unpadded."""

    grant_type: str = "authorization_code"
    redirect_uri: str
    client_id: str
    code: str


class Redemption(BaseModel):
    """OAuth2 keeps its own spelling."""

    grant: Grant
    token_endpoint: str
    expires: Time


class ToRedeem(Body):
    token: Line


def redeem(session: Session, sent: Sent, token: str) -> Redemption:
    """Exchange an invitation's secret for an authorization code."""
    row, patient = open_invitation(session, token)
    client = session.get_one(OAuthClientRow, row.oauth_client_id)
    authorization_codes.void(session, row.id)
    redirect_uri = next(iter(client.redirect_uris.splitlines()), f"{settings.of(session).site}/o/code")
    challenge = authorization_codes.s256(authorization_codes.verifier_of(token))
    code, expires = authorization_codes.issue(
        session, patient.user_id, client.client_id, redirect_uri, challenge, scope=SCOPE, invitation_id=row.id
    )
    row.last_updated = now()
    noted(session, row, patient)
    grant = Grant(redirect_uri=redirect_uri, client_id=client.client_id, code=code)
    return Redemption(grant=grant, token_endpoint=f"{settings.of(session).site}/o/token/", expires=expires)


def redeem_sent(session: Session, sent: Sent, body: ToRedeem) -> Redemption:
    """The same with the secret in the body, where no log of any proxy can find it."""
    return redeem(session, sent, body.token)


def open_invitation(session: Session, token: str) -> tuple[InvitationRow, PatientRow]:
    """The invitation a secret opens and whom it invites; else why not: unknown, cancelled, used, or over."""
    row = session.scalar(select(InvitationRow).where(InvitationRow.token_hash == invitations.token_hash(token)))
    if row is None:
        raise NotFound("This invitation is not known; ask for a new one.")
    status = invitations.status_of(row)
    patient = session.get_one(PatientRow, row.patient_id)
    if status == CANCELLED or session.get_one(UserRow, patient.user_id).disabled:
        raise Forbidden("This invitation was cancelled; ask for a new one.")
    if status == EXPIRED:
        raise Gone("This invitation has expired; ask for a new one.")
    if status != ISSUED:
        raise Conflict(f"This invitation was {status} before; ask for a new one.")
    return row, patient


def exchanged(session: Session, invitation_id: int) -> bool:
    """The first exchange ends the invitation; False where it is over already."""
    row = session.get(InvitationRow, invitation_id)
    if row is None or row.status != ISSUED:
        return False
    row.status, row.last_updated = REDEEMED, now()
    authorization_codes.void(session, row.id)
    changes.note(session, "invitation", row.patient_id, (None,), row.patient_id)
    audit.note(session, patient=row.patient_id)
    return True


def noted(session: Session, row: InvitationRow, patient: PatientRow) -> None:
    known_as(session, patient.user_id, FOUND_BY_APP)
    audit.note(session, patient=patient.id, count=1)
    changes.note(session, "invitation", patient.id, (None,), patient.id)
    session.flush()
