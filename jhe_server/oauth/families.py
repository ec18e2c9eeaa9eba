"""Families of tokens: begun by a code, continued by refreshing, each refresh token good once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from .. import settings, tokens
from ..db import now
from ..people import PATIENT, UserRow
from ..practitioner_clients import PREFIX
from ..settings import Lifetimes
from ..tokens import FamilyRow, RefreshRow, TokenRow, token_hash

REFRESH_PREFIX = "jhr_"
VIA = "oauth"
REMEMBERED = timedelta(days=30)


def access_lifetime(session: Session) -> timedelta:
    return timedelta(minutes=settings.of(session).lifetimes.access_minutes)


def begin(session: Session, user: UserRow, client_id: str, scope: str) -> FamilyRow:
    """A new family; a patient's app may go on far longer than a practitioner's, a key's ends with its one token."""
    lifetimes, time = settings.of(session).lifetimes, now()
    days = lifetimes.patient_refresh_days if user.user_type == PATIENT else lifetimes.refresh_days
    lifetime = timedelta(days=days)
    if client_id.startswith(PREFIX):
        lifetime = access_lifetime(session)
        _sweep_key(session, client_id)
    row = FamilyRow(user_id=user.id, client_id=client_id, scope=scope, created=time,
                    expires=time + lifetime, last_used=time)  # fmt: skip
    session.add(row)
    session.flush()
    return row


def _sweep_key(session: Session, client_id: str) -> None:
    """A script that asks for a token every hour leaves no family for each of them."""
    over = (FamilyRow.client_id == client_id, FamilyRow.expires < now())
    session.execute(delete(TokenRow).where(TokenRow.family_id.in_(select(FamilyRow.id).where(*over))))
    session.execute(delete(FamilyRow).where(*over))


def add_access(session: Session, family: FamilyRow, user: UserRow, token: str, lifetime: timedelta) -> None:
    """An access token never outlives its family."""
    lifetime = min(lifetime, family.expires - now())
    tokens.keep(session, token, user, lifetime, VIA, family.id)
    family.last_used = now()
    session.flush()
    _sweep(session, family)


def _sweep(session: Session, family: FamilyRow) -> None:
    """A phone that refreshes every hour for a year leaves no row for each of them.

    A used refresh token is remembered for a month, so that it is known when it comes back; later it is merely unknown.
    """
    old = now() - REMEMBERED
    session.execute(delete(TokenRow).where(TokenRow.family_id == family.id, TokenRow.expires < now()))
    session.execute(delete(RefreshRow).where(RefreshRow.family_id == family.id, RefreshRow.used < old))


def add_refresh(session: Session, family: FamilyRow, user: UserRow, token: str) -> None:
    time = now()
    expires = min(family.expires, _idle_until(settings.of(session).lifetimes, user, time))
    session.add(RefreshRow(token_hash=token_hash(token), family_id=family.id, created=time, expires=expires))
    session.flush()


def _idle_until(lifetimes: Lifetimes, user: UserRow, time: datetime) -> datetime:
    """A phone may lie in a drawer for a month; a practitioner's forgotten session may not."""
    days = lifetimes.patient_refresh_days if user.user_type == PATIENT else lifetimes.refresh_idle_days
    return time + timedelta(days=days)


def refresh_of(session: Session, token: str) -> tuple[RefreshRow, FamilyRow] | None:
    """A refresh token and the family it continues."""
    row = session.scalar(select(RefreshRow).where(RefreshRow.token_hash == token_hash(token)))
    return None if row is None else (row, session.get_one(FamilyRow, row.family_id))


def is_alive(family: FamilyRow) -> bool:
    return family.ended is None and family.expires > now()
