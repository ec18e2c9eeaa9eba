"""A Hub user's account, found or brought up to date in a transaction of its own, and what happens once one is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import audit, changes, hub_users
from .audit import Entry
from .errors import Forbidden, Unauthenticated

if TYPE_CHECKING:
    from .door import Door
    from .hub_users import HubUser


def account(door: Door, user: HubUser) -> int:
    """The account of a Hub user; nothing is written as long as nothing about them has changed."""
    policy = door.settings.hub
    assert policy is not None
    with door.database.read() as session:
        found = hub_users.recognised(session, policy, user)
    if found is not None:
        return found
    entry = Entry("hub_users.admit", via=hub_users.VIA)
    with _recorded(door, entry) as session:
        entry.actor_id = hub_users.admit(session, policy, user)
    return entry.actor_id


def watched(door: Door) -> list[str]:
    """Whom the Hub is asked about from time to time: those who could come in without it."""
    with door.database.read() as session:
        return hub_users.watched(session)


def seen(door: Door, name: str, user: HubUser | None) -> None:
    """What the Hub says now of somebody who is in: changed roles count at once, and who is gone is out."""
    if user is not None:
        try:
            account(door, user)
        except (Forbidden, Unauthenticated):
            user = None
    if user is None:
        with _recorded(door, Entry("hub_users.gone", via=hub_users.VIA)) as session:
            hub_users.gone(session, name)


@contextmanager
def _recorded(door: Door, entry: Entry) -> Iterator[Any]:
    """A write with its row in the audit and its place in the change feed."""
    with door.database.write() as session:
        session.info.update(audit=entry, settings=door.settings)
        yield session
        changes.append(session)
        audit.append(session, entry)
