"""Whether the store can be worked with: it answers, and it is at the schema this version was written for."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from . import migrations
from .complaints import UNREACHABLE
from .db import Database
from .errors import ExchangeError


def unready(database: Database) -> str | None:
    """Why nobody should be sent here, in one sentence; None where everybody may."""
    try:
        with database.read() as session:
            found = migrations.revision_of(session.connection())
    except (ExchangeError, SQLAlchemyError):
        return UNREACHABLE
    if found == migrations.HEAD:
        return None
    return f"The database is at schema {found}, this version needs {migrations.HEAD}: run jupyter jhe upgrade."
