"""A store is brought up to date by whoever owns it, in one transaction; anybody else is told what to run."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from . import grants, migrations
from .complaints import opening
from .db import Database
from .errors import Unavailable
from .migrations import HEAD
from .observations import segments


def upgrade(url: str, role: str = "") -> Iterator[str]:
    """What `jupyter jhe upgrade` does, told line by line: the schema, then what the service's role may do."""
    with opening():
        database = Database(url)
        try:
            done = bring_up_to_date(database)
            yield f"schema {HEAD}: {'upgraded' if done else 'nothing to do'}"
            if role:
                yield from _grant(database, role)
        finally:
            database.close()


def _grant(database: Database, role: str) -> Iterator[str]:
    with database.alone() as connection:
        grants.grant(connection, role)
        loose = grants.may_create(connection, role)
    yield f"{role}: granted what the service needs"
    if loose:
        yield f"{role} may still make tables of its own: let a superuser run REVOKE CREATE ON SCHEMA public FROM PUBLIC"


def bring_up_to_date(database: Database) -> bool:
    """Schema and segments as this version wants them; True where the schema was not.

    On an ordinary start nothing is written, and nothing loose is looked through.
    """
    found = migrations.revision(database)
    if found != HEAD:
        _check(database, found)
        return migrations.upgrade(database, then=(_seal, grants.renew))
    with database.read() as session:
        outdated = segments.outdated(session)
    if outdated:
        with database.write() as session:
            _seal_anew(session)
    return False


def _seal(connection: Connection) -> None:
    with Session(connection, join_transaction_mode="create_savepoint") as session, session.begin():
        _seal_anew(session)


def _seal_anew(session: Session) -> None:
    """Whoever waited for somebody else doing the same finds nothing outdated."""
    segments.unseal(session, segments.outdated(session))
    segments.seal_all(session)


def _check(database: Database, found: str | None) -> None:
    """Refuse what cannot end well: going back, and making tables that would belong to the service."""
    if found is not None and found > HEAD:
        raise Unavailable(
            f"The database is at schema {found} and this version knows none newer than {HEAD}: "
            "install the version that upgraded it, or a later one."
        )
    with database.connect() as connection:
        if not database.is_sqlite and not _owns(connection, found):
            state = "is empty" if found is None else f"is at schema {found} and this version needs {HEAD}"
            raise Unavailable(
                f"The database {state}; the role of the service cannot upgrade it: "
                "run `jupyter jhe upgrade --database=…` as the role that owns it."
            )


def _owns(connection: Connection, found: str | None) -> bool:
    """Whether this role made the tables, or may make them."""
    if found is None:
        return bool(connection.scalar(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")))
    return grants.acts_as_owner(connection)
