"""Invitations: how a patient's app is let in. The secret is shown once and kept as a hash."""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field
from sqlalchemy import ForeignKey, Identity, Index, String, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import audit, changes, mail, settings
from .access import Actor
from .db import Base, BigId, UTCTime, count, now, ordered, within
from .errors import Conflict, Invalid, NotFound
from .oauth_clients import NewClient, OAuthClient, OAuthClientRow, known, register
from .oauth_clients import shape as client_shape
from .organizations import OrganizationRow
from .patient_rows import PatientRow, reach, row_of, shared, visible
from .people import UserRow
from .shapes import MAX_ID, Body, Id, Listing, Name, Page, Query, Shape, Time
from .studies import StudyClientRow, StudyPatientRow, StudyRow

ISSUED, REISSUED, REDEEMED, CANCELLED, EXPIRED = "issued", "reissued", "redeemed", "cancelled", "expired"
ALPHABET, LENGTH = string.ascii_letters + string.digits, 32
Write = Callable[[], AbstractContextManager[Session]]


class InvitationRow(Base):
    __tablename__ = "invitation"
    __table_args__ = (Index("invitation_patient", "patient_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    oauth_client_id: Mapped[int] = mapped_column(ForeignKey("oauth_client.id"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    status: Mapped[str] = mapped_column(String(10))
    email: Mapped[str | None] = mapped_column(String(300))
    issued_by: Mapped[int] = mapped_column(BigId)
    created: Mapped[datetime] = mapped_column(UTCTime)
    expires: Mapped[datetime] = mapped_column(UTCTime)
    last_updated: Mapped[datetime] = mapped_column(UTCTime)


class NewInvitation(Body):
    patient_id: Id
    client_id: Annotated[int, Field(ge=0, le=MAX_ID)] | Name | None = None
    send_email: bool = False


class SendEmail(Query):
    send_email: bool = False
    organization_id: Id | None = None


class InvitationSearch(Listing):
    patient_id: Id


class InvitationLink(Shape):
    """The guide's answer. `email` is sent, outbox, failed: <why> or null; `emailSent` only where a server took it."""

    invitation_link: str
    email_sent: bool = False
    email: str | None = None
    expires: Time


class Invitation(Shape):
    """An invitation as it is listed: without its secret."""

    id: int
    patient_id: int
    client_id: int
    status: str
    email: str | None
    created: Time
    expires: Time
    last_updated: Time


class IssuedInvitation(Invitation):
    """What the issuer is answered, once."""

    invitation_link: str
    email_sent: bool = False


class PatientClient(OAuthClient):
    """A client of a patient's studies with the invitations to it."""

    patient_invitations: list[Invitation]


def shape(row: InvitationRow) -> Invitation:
    names = ("id", "patient_id", "email", "created", "expires", "last_updated")
    same = {name: getattr(row, name) for name in names}
    return Invitation(**same, client_id=row.oauth_client_id, status=status_of(row))


def status_of(row: InvitationRow) -> str:
    """An open invitation expires by itself: nothing has to come and write it."""
    return EXPIRED if row.status == ISSUED and row.expires <= now() else row.status


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


# ------------------------------------------------------------------ issuing
def link(session: Session, actor: Actor, patient_id: int, query: SendEmail) -> InvitationLink:
    """The guide's call: an invitation for the default client, mailed if asked; it retires the one before it."""
    patient = reach(session, actor, "invitations.link", patient_id, query.organization_id)
    row, token = _issue(session, actor, patient, default_client(session))
    prefix = settings.of(session).invitation_link_prefix
    answer = InvitationLink(invitation_link=f"{prefix}{_host(session)}|{token}", expires=row.expires)
    if query.send_email:
        _mail_later(session, actor, patient, row, answer, query.organization_id)
    return answer


def issue(session: Session, actor: Actor, body: NewInvitation) -> IssuedInvitation:
    """An invitation to any client: its `invitationUrl` with CODE replaced."""
    patient = reach(session, actor, "invitations.issue", body.patient_id)
    client = default_client(session) if body.client_id is None else known(session, body.client_id)
    if client.invitation_url is None:
        raise Invalid("This client has no invitationUrl to build a link from.", {"clientId": ["has no invitationUrl"]})
    row, token = _issue(session, actor, patient, client)
    address = client.invitation_url.replace("CODE", f"{_host(session)}_{token}")
    answer = IssuedInvitation(**shape(row).model_dump(), invitation_link=address)
    if body.send_email:
        _mail_later(session, actor, patient, row, answer, None)
    return answer


def _issue(session: Session, actor: Actor, patient: PatientRow, client: OAuthClientRow) -> tuple[InvitationRow, str]:
    """A new secret for a patient and a client; the open ones before it are over."""
    retire(session, patient.id, REISSUED, client.id)
    token, time = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH)), now()
    row = InvitationRow(
        patient_id=patient.id,
        oauth_client_id=client.id,
        token_hash=token_hash(token),
        status=ISSUED,
        issued_by=actor.user_id,
        created=time,
        expires=time + timedelta(days=settings.of(session).invitation_days),
        last_updated=time,
    )
    session.add(row)
    session.flush()
    _noted(session, actor, patient.id)
    return row, token


def retire(session: Session, patient_id: int, status: str, oauth_client_id: int | None = None) -> None:
    """End the open invitations of a patient (to one client)."""
    rows = update(InvitationRow).where(InvitationRow.patient_id == patient_id, InvitationRow.status == ISSUED)
    if oauth_client_id is not None:
        rows = rows.where(InvitationRow.oauth_client_id == oauth_client_id)
    session.execute(rows.values(status=status, last_updated=now()))


def _noted(session: Session, actor: Actor, patient_id: int) -> None:
    changes.note(session, "invitation", patient_id, shared(session, actor, "patients.get", patient_id), patient_id)
    audit.note(session, count=1)


def _host(session: Session) -> str:
    return urlsplit(settings.of(session).site).netloc


def default_client(session: Session) -> OAuthClientRow:
    """The client of the guide's link, by the name that is set; made where nobody has registered it yet."""
    name = settings.of(session).default_client
    row = session.scalar(select(OAuthClientRow).where(func.lower(OAuthClientRow.name) == name.lower()))
    return row or register(session, NewClient(name=name))[0]


# ------------------------------------------------------------------ the message
def _mail_later(
    session: Session,
    actor: Actor,
    patient: PatientRow,
    row: InvitationRow,
    answer: InvitationLink | IssuedInvitation,
    organization_id: int | None,
) -> None:
    """After the commit: no transaction waits for a mail server, and a failing one loses no invitation."""
    known_settings = settings.of(session).mail
    words = {
        "sender": known_settings.sender,
        "to": session.get_one(UserRow, patient.user_id).email,
        "given_name": patient.name_given,
        "link": answer.invitation_link,
        "expires": row.expires,
        **_study_for(session, actor, patient.id, organization_id),
    }
    invitation_id = row.id

    def deliver(write: Write) -> InvitationLink | IssuedInvitation:
        outcome = _sent(known_settings, words)
        with write() as after:
            record_outcome(after, invitation_id, outcome)
        return answer.model_copy(update={"email": outcome, "email_sent": outcome == "sent"})

    session.info["afterwards"] = deliver


def _sent(known_settings: mail.MailSettings, words: dict[str, Any]) -> str:
    """What became of the message; an address that no message can be written to is a reason, not an error."""
    try:
        return mail.send(known_settings, mail.invitation_message(**words))
    except Invalid as error:
        return f"failed: {error.detail}"


def _study_for(session: Session, actor: Actor, patient_id: int, organization_id: int | None) -> dict[str, Any]:
    """On whose behalf the message speaks: an organization the two share, and the patient's newest study there."""
    homes = [organization_id] if organization_id else shared(session, actor, "invitations.link", patient_id)
    study = session.scalar(
        select(StudyRow)
        .join(StudyPatientRow, StudyPatientRow.study_id == StudyRow.id)
        .where(StudyPatientRow.patient_id == patient_id, StudyRow.organization_id.in_(homes))
        .order_by(StudyPatientRow.enrolled.desc(), StudyRow.id.desc())
        .limit(1)
    )
    home = session.get_one(OrganizationRow, study.organization_id if study else homes[0])
    return {
        "organization": home.name,
        "study": study.name if study else None,
        "contact": study.contact if study else None,
    }


def record_outcome(session: Session, invitation_id: int, outcome: str) -> None:
    row = session.get(InvitationRow, invitation_id)
    if row is not None:
        row.email, row.last_updated = outcome[:300], now()
        changes.note(session, "invitation", row.patient_id, (None,), row.patient_id)


# ------------------------------------------------------------------ the others
def search(session: Session, actor: Actor, query: InvitationSearch) -> Page[Invitation]:
    """A patient's invitations, newest first; of a patient the caller may not ask about, none."""
    actor.knock("invitations.search")
    homes = shared(session, actor, "invitations.search", query.patient_id)
    audit.note(session, patient=query.patient_id, organizations=homes)
    asked = visible(session, actor, "invitations.search")
    rows = select(InvitationRow).where(
        InvitationRow.patient_id == query.patient_id, InvitationRow.patient_id.in_(asked)
    )
    total = count(session, rows)
    offset, limit = within(total, query)
    columns = {"id": InvitationRow.id, "created": InvitationRow.created}
    found = session.scalars(ordered(rows, query, columns, InvitationRow.id.desc()).offset(offset).limit(limit))
    audit.note(session, count=total)
    return Page(count=total, results=[shape(row) for row in found])


def cancel(session: Session, actor: Actor, invitation_id: int) -> None:
    """Cancel an open invitation."""
    row = session.get(InvitationRow, invitation_id)
    patients = visible(session, actor, "patients.get")
    id = patients.selected_columns[0]
    if row is None or session.scalar(patients.where(id == row.patient_id)) is None:
        raise NotFound()
    reach(session, actor, "invitations.cancel", row.patient_id)
    if status_of(row) != ISSUED:
        raise Conflict(f"This invitation is {status_of(row)}; only an open one can be cancelled.")
    row.status, row.last_updated = CANCELLED, now()
    session.flush()
    _noted(session, actor, row.patient_id)


def clients(session: Session, actor: Actor, patient_id: int) -> list[PatientClient]:
    """The clients of a patient's studies, of those the caller may see, each with its invitations."""
    patient = row_of(session, actor, patient_id)
    studies = select(StudyPatientRow.study_id).where(StudyPatientRow.patient_id == patient.id)
    allowed = actor.organizations("invitations.clients")
    if allowed is not None and actor.patient_id is None:
        inside = select(StudyRow.id).where(StudyRow.organization_id.in_(allowed))
        studies = studies.where(StudyPatientRow.study_id.in_(inside))
    linked = select(StudyClientRow.oauth_client_id).where(StudyClientRow.study_id.in_(studies))
    rows = session.scalars(select(OAuthClientRow).where(OAuthClientRow.id.in_(linked)).order_by(OAuthClientRow.id))
    invitations: dict[int, list[Invitation]] = {}
    for row in session.scalars(
        select(InvitationRow).where(InvitationRow.patient_id == patient.id).order_by(InvitationRow.id.desc())
    ):
        invitations.setdefault(row.oauth_client_id, []).append(shape(row))
    return [
        PatientClient(**client_shape(row).model_dump(), patient_invitations=invitations.get(row.id, [])) for row in rows
    ]
