"""Colleagues' accounts: a manager invites one (an account, a role, a link by mail), a superuser changes one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

from sqlalchemy.orm import Session

from . import audit, changes, mail, organizations, passwords, people, practitioner_clients, settings
from .access import Actor
from .db import now
from .errors import Conflict, Forbidden, Invalid
from .organizations import RoleOf
from .people import EXISTS, PRACTITIONER, Practitioner, PractitionerChange, UserRow, add_practitioner, by_email
from .shapes import Body, Email, Name, Shape

Write = Callable[[], AbstractContextManager[Session]]


class NewColleague(Body):
    email: Email
    first_name: Name
    last_name: Name
    organization_practitioner_role: Literal["viewer", "member", "manager"]


class Colleague(Shape):
    """Who was invited; `mail` is sent, outbox, failed: <why>, or null where there was an account already."""

    id: int
    email: str
    role: str
    mail: str | None = None


def invite(session: Session, actor: Actor, organization_id: int, body: NewColleague) -> Colleague:
    """Give a colleague a role, and an account first where they have none; only they ever see the link to it."""
    organizations.get(session, actor, organization_id)
    actor.require("colleagues.invite", organization_id)
    user, made = _account(session, body)
    role = body.organization_practitioner_role
    organizations.set_role(
        session, actor, organization_id, RoleOf(jhe_user_id=user.id, organization_practitioner_role=role)
    )
    answer = Colleague(id=user.id, email=user.email, role=role)
    if made:
        known, words = settings.of(session), _message(session, user)
        session.info["afterwards"] = lambda _write: answer.model_copy(update={"mail": _sent(known.mail, words)})
    return answer


def _account(session: Session, body: NewColleague) -> tuple[UserRow, bool]:
    user = by_email(session, body.email)
    if user is not None and user.user_type != PRACTITIONER:
        raise Conflict(EXISTS, {"email": ["is taken"]})
    if user is not None:
        return user, False
    row = add_practitioner(session, body.email, body.first_name, body.last_name)
    return session.get_one(UserRow, row.user_id), True


def _message(session: Session, user: UserRow) -> dict[str, Any]:
    known = settings.of(session)
    link, hours = passwords.link_for(session, user), passwords.hours(known)
    return {"sender": known.mail.sender, "to": user.email, "link": link, "hours": hours}


def _sent(known: mail.MailSettings, words: dict[str, Any]) -> str:
    """What became of the mail; the account stands either way, and a new link can be asked for."""
    try:
        return mail.send(known, mail.password_message(**words))
    except Invalid as error:
        return f"failed: {error.detail}"


def update_practitioner(session: Session, actor: Actor, practitioner_id: int, body: PractitionerChange) -> Practitioner:
    """Change a practitioner's account: who is disabled may do nothing any more, nor may who has its old e-mail."""
    actor.require("colleagues.update_practitioner")
    row, user = people.account(session, practitioner_id)
    if body.disabled and user.id == actor.user_id:
        raise Forbidden("You cannot disable your own account.")
    if people.change_email(session, user, body.email):
        user.password_hash = None  # the old addressee may know it
        practitioner_clients.end_everything(session, user.id)
    if body.disabled is not None:
        disable(session, user, body.disabled)
    for name in ("first_name", "last_name"):
        if (value := getattr(body, name)) is not None:
            setattr(user, name, value)
    row.last_updated = now()
    session.flush()
    changes.note(session, "practitioner", row.id)
    audit.note(session, count=1)
    return people.practitioner(session, actor, practitioner_id)


def disable(session: Session, user: UserRow, disabled: bool = True) -> None:
    """Lock an account, or unlock it again: what it was signed in with and its keys have ended for good."""
    user.disabled = disabled
    if disabled:
        practitioner_clients.end_everything(session, user.id)
