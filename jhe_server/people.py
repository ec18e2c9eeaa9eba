"""Users and practitioners: accounts, e-mail addresses, passwords, and the profile of who is asking."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import Boolean, ForeignKey, Identity, Select, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import audit, changes
from .access import Actor
from .db import Base, BigId, UTCTime, count, now, ordered, within
from .errors import Conflict, NotFound, Unavailable
from .shapes import Body, Email, Id, Line, Listing, Name, Page, Query, Shape

PRACTITIONER, PATIENT = "practitioner", "patient"
EXISTS = "User with this email already exists"
FIRST_ID = 10_001  # ids below are reserved: a laptop's owner has one
_HASHING = threading.Lock()
OWNER_ID, OWNER_EMAIL = 1, "owner@localhost"


class UserRow(Base):
    __tablename__ = "jhe_user"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, Identity(start=FIRST_ID), primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    email_key: Mapped[str] = mapped_column(String(254), unique=True)  # the address in lower case
    first_name: Mapped[str] = mapped_column(String(200), default="")
    last_name: Mapped[str] = mapped_column(String(200), default="")
    user_type: Mapped[str] = mapped_column(String(16))
    is_superuser: Mapped[bool] = mapped_column(Boolean, default=False)
    password_hash: Mapped[str | None] = mapped_column(String(200))
    disabled: Mapped[bool] = mapped_column(Boolean, default=False)
    created: Mapped[datetime] = mapped_column(UTCTime)


class PractitionerRow(Base):
    __tablename__ = "practitioner"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, Identity(start=80_001), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("jhe_user.id", ondelete="CASCADE"), unique=True)
    last_updated: Mapped[datetime] = mapped_column(UTCTime, default=now)


class NewPractitioner(Body):
    email: Email
    first_name: Name
    last_name: Name


class PractitionerChange(Body):
    email: Email | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    disabled: bool | None = None


class PeopleSearch(Listing):
    organization_id: Id | None = None
    search: Line | None = None


class ByEmail(Query):
    email: Line


class Person(Shape):
    """A practitioner as colleagues see them."""

    id: int
    email: str
    first_name: str
    last_name: str
    user_type: str = PRACTITIONER


class Practitioner(Shape):
    """A practitioner's account as a superuser sees it."""

    id: int
    jhe_user_id: int
    email: str
    first_name: str
    last_name: str
    is_superuser: bool
    disabled: bool


def email_key(email: str) -> str:
    """The form in which two spellings of one address are equal.

    >>> email_key(" Peter@Example.COM ")
    'peter@example.com'
    """
    return email.strip().lower()


def by_email(session: Session, email: str) -> UserRow | None:
    return session.scalar(select(UserRow).where(UserRow.email_key == email_key(email)))


def add_user(session: Session, email: str, user_type: str, **fields: Any) -> UserRow:
    """A new account; its e-mail must be nobody else's."""
    if by_email(session, email) is not None:
        raise Conflict(EXISTS, {"telecomEmail" if user_type == PATIENT else "email": ["is taken"]})
    email = email.strip()
    row = UserRow(email=email, email_key=email_key(email), user_type=user_type, created=now(), **fields)
    session.add(row)
    session.flush()
    return row


def add_practitioner(session: Session, email: str, first_name: str, last_name: str, **fields: Any) -> PractitionerRow:
    user = add_user(session, email, PRACTITIONER, first_name=first_name, last_name=last_name, **fields)
    row = PractitionerRow(user_id=user.id)
    session.add(row)
    session.flush()
    changes.note(session, "practitioner", row.id)
    return row


def owner(session: Session) -> UserRow:
    """The owner of a laptop's own server: a superuser with a reserved id, made on first use."""
    row = session.get(UserRow, OWNER_ID)
    if row is None:
        row = add_user(session, OWNER_EMAIL, PRACTITIONER, id=OWNER_ID, last_name="Owner", is_superuser=True)
        session.add(PractitionerRow(id=OWNER_ID, user_id=OWNER_ID))
        session.flush()
    return row


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobodys_hash() -> str:
    return _hasher().hash("nobody's password")


def hashed(password: str) -> str:
    """Argon2id; one at a time, since each takes 64 MiB and a tenth of a second of a processor."""
    with _one_at_a_time():
        return _hasher().hash(password)


def set_password(user: UserRow, password: str) -> None:
    user.password_hash = hashed(password)


def password_fits(password_hash: str | None, password: str) -> bool:
    """Whether this is the password; without a hash to compare with it takes as long to say no."""
    with _one_at_a_time():
        try:
            fits = _hasher().verify(password_hash or _nobodys_hash(), password)
        except VerificationError:
            return False
    return fits and password_hash is not None


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Whoever floods the sign-in waits for themselves; the threads that answer everybody are not kept for long."""
    if not _HASHING.acquire(timeout=5):
        raise Unavailable(headers={"Retry-After": "5"})
    try:
        yield
    finally:
        _HASHING.release()


# ------------------------------------------------------------------ verbs
def find(session: Session, actor: Actor, query: ByEmail) -> Person:
    """A practitioner by exact e-mail, for a manager who wants to give them a role."""
    actor.require("people.find")
    row = by_email(session, query.email)
    if row is None or row.user_type != PRACTITIONER or row.id < FIRST_ID:
        raise NotFound()
    return person(row)


def person(row: UserRow) -> Person:
    return Person(id=row.id, email=row.email, first_name=row.first_name, last_name=row.last_name)


def _accounts() -> Select[*tuple[Any, ...]]:
    joined = select(PractitionerRow, UserRow).join(UserRow, UserRow.id == PractitionerRow.user_id)
    return joined.where(UserRow.id >= FIRST_ID)


def _account(row: PractitionerRow, user: UserRow) -> Practitioner:
    same = {name: getattr(user, name) for name in ("email", "first_name", "last_name", "is_superuser", "disabled")}
    return Practitioner(id=row.id, jhe_user_id=user.id, **same)


def practitioners(session: Session, actor: Actor, query: PeopleSearch) -> Page[Practitioner]:
    """All practitioners' accounts."""
    actor.require("people.practitioners")
    rows = matching(_accounts(), query.search)
    total = count(session, rows)
    offset, limit = within(total, query)
    columns = {"id": PractitionerRow.id, "email": UserRow.email_key, "lastName": UserRow.last_name}
    found = session.execute(ordered(rows, query, columns, PractitionerRow.id).offset(offset).limit(limit))
    return Page(count=total, results=[_account(*pair) for pair in found])


def matching(rows: Select[Any], search: str | None) -> Select[Any]:
    """Narrow a select of users to those whose name or e-mail starts with a text."""
    if not search:
        return rows
    text = email_key(search)
    columns = (UserRow.email_key, func.lower(UserRow.first_name), func.lower(UserRow.last_name))
    starts = [column.startswith(text, autoescape=True) for column in columns]
    return rows.where(starts[0] | starts[1] | starts[2])


def practitioner(session: Session, actor: Actor, practitioner_id: int) -> Practitioner:
    """One practitioner's account."""
    actor.require("people.practitioner")
    return _account(*account(session, practitioner_id))


def account(session: Session, practitioner_id: int) -> tuple[PractitionerRow, UserRow]:
    found = session.execute(_accounts().where(PractitionerRow.id == practitioner_id)).first()
    if found is None:
        raise NotFound()
    return found[0], found[1]


def create_practitioner(session: Session, actor: Actor, body: NewPractitioner) -> Practitioner:
    """A new practitioner's account, without any role yet."""
    actor.require("people.create_practitioner")
    row = add_practitioner(session, body.email, body.first_name, body.last_name)
    audit.note(session, count=1)
    return _account(*account(session, row.id))


def change_email(session: Session, user: UserRow, email: str | None) -> bool:
    """Give an account another address; True where it really is another one."""
    if email is None or email_key(email) == user.email_key:
        user.email = user.email if email is None else email.strip()
        return False
    if by_email(session, email) is not None:
        raise Conflict(EXISTS, {"email": ["is taken"]})
    user.email, user.email_key = email.strip(), email_key(email)
    session.flush()
    return True
