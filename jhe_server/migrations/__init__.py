"""The schema's history (Alembic): `HEAD` is the revision this code was written for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

if TYPE_CHECKING:
    from ..db import Database

HEAD = "0006"


def revision(database: Database) -> str | None:
    """The revision a store is at, read without Alembic, whose import would slow every start."""
    with database.connect() as connection:
        return revision_of(connection)


def revision_of(connection: Connection) -> str | None:
    """The same, within a transaction."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def upgrade(database: Database, to: str = HEAD, then: Iterable[Callable[[Connection], None]] = ()) -> bool:
    """Bring a store forward to a revision; True where there was something to do.

    All of it is one transaction, whatever has to be done `then` included: an upgrade that fails, or is killed, has not
    happened. Whoever comes second waits and finds it done.
    """
    if revision(database) == to:
        return False
    with database.alone() as connection:
        if revision_of(connection) == to:
            return False
        migrate(connection, to)
        for step in then:
            step(connection)
    return True


def migrate(connection: Connection, to: str = HEAD) -> None:
    """Go forward to a revision on a connection whose transaction is the caller's."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, to)
