"""The side door: what an operator does at the machine itself, in the change feed and in the audit like any request."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .access import Actor


def operator() -> Actor:
    """Whoever can open the database may do everything, and is known to the audit by `via` alone."""
    from .access import Actor
    from .people import FIRST_ID

    return Actor(FIRST_ID, is_superuser=True, via="cli")


@contextmanager
def recorded(database: Any, verb: str, count: int = 0) -> Iterator[Any]:
    """A write from the command line; the store's libraries are loaded only now, most commands' help needs none."""
    from . import audit, changes

    with database.write() as session:
        entry = audit.Entry(verb=verb, via="cli", count=count, request_id=secrets.token_hex(8))
        session.info["audit"] = entry
        yield session
        changes.append(session)
        audit.append(session, entry)
