"""The database: whether it answers, at which schema it is, and whether what it has acknowledged is safe."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from .. import migrations
from ..complaints import reason
from ..db import Database, moment, now
from ..errors import ExchangeError
from ..safety import is_loopback
from .findings import Finding, ok, warn, wrong

OLDEST = 140000  # PostgreSQL 14
SKEW = timedelta(seconds=5)
LOSES = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def has_address(url: str) -> bool:
    return url.startswith(("sqlite:///", "postgresql:", "postgres:", "postgresql+psycopg:"))


def findings(url: str) -> Iterator[Finding]:
    file = Database.file_of(url)
    if file is not None and not file.exists():
        yield warn("database", f"{file} is not there yet; the first start makes it.")
        return
    try:
        database = Database(url)
    except (SQLAlchemyError, ImportError, OSError) as error:
        yield wrong("database", f"It cannot be opened: {reason(error)}")
        return
    try:
        with database.read() as session:
            yield from _asked(session, database)
    except (ExchangeError, SQLAlchemyError) as error:
        yield wrong("database", f"It cannot be reached: {reason(error.__cause__ or error)}")
    finally:
        database.close()


def _asked(session: Session, database: Database) -> Iterator[Finding]:
    yield from (_sqlite(session) if database.is_sqlite else _postgresql(session, database))
    found = migrations.revision_of(session.connection())
    if found is None:
        yield warn("database", "It is empty; the first start, or jupyter jhe upgrade, makes the tables.")
        return
    if found != migrations.HEAD:
        yield wrong("database", _other_schema(found))
        return
    yield ok("database", f"Schema {found}, as this version wants it.")
    yield from _clock(session)


def _other_schema(found: str) -> str:
    if found > migrations.HEAD:
        return f"Schema {found} is of a newer version than this, which knows {migrations.HEAD}: install that one."
    return f"Schema {found} is older than {migrations.HEAD}: make a backup, then run jupyter jhe upgrade."


def _sqlite(session: Session) -> Iterator[Finding]:
    mode = session.scalar(text("PRAGMA journal_mode"))
    if mode not in ("wal", "delete"):  # a restored file is in no WAL until it is first served
        yield wrong("durability", f"The journal mode is {mode}, so a crash loses data: start the Exchange once.")
    else:
        yield ok("durability", f"SQLite {sqlite3.sqlite_version}; what is acknowledged has been synced to the disk.")


def _postgresql(session: Session, database: Database) -> Iterator[Finding]:
    version = int(session.scalar(text("SHOW server_version_num")) or 0)
    if version < OLDEST:
        yield wrong("database", f"PostgreSQL {version // 10000} is too old; 14 or newer is needed.")
    lost = [name for name, value in LOSES.items() if session.scalar(text(f"SHOW {name}")) == value]
    for name in lost:
        yield wrong("durability", f"PostgreSQL runs with {name} = off: a crash loses what was acknowledged.")
    if not lost:
        yield ok("durability", f"PostgreSQL {version // 10000}; what is acknowledged has been synced to the disk.")
    yield from _way(session, database)
    yield from _role(session)


def _way(session: Session, database: Database) -> Iterator[Finding]:
    host = database.url.host or str(database.url.query.get("host", ""))
    here = not host or host.startswith("/") or is_loopback(host)
    encrypted = session.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
    if not here and not encrypted:
        yield wrong("database", f"The connection to {host} is not encrypted: add ?sslmode=verify-full&sslrootcert=…")
    elif not here and database.url.query.get("sslmode") not in ("verify-ca", "verify-full"):
        yield warn("database", f"Whether {host} is who it says is not checked: add sslmode=verify-full&sslrootcert=…")
    else:
        yield ok("database", "The way to it is encrypted and checked." if encrypted else "It is on this machine.")


def _role(session: Session) -> Iterator[Finding]:
    alters = "SELECT bool_or(has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')) FROM pg_class c "
    alters += "WHERE c.relname IN ('audit', 'audit_subject') AND c.relkind = 'r'"
    if session.scalar(text(alters)):
        yield warn(
            "database",
            "This role could alter the audit: let the service have one that cannot, "
            "by jupyter jhe upgrade --grant ROLE as the owner.",
        )


def _clock(session: Session) -> Iterator[Finding]:
    here = now()
    last = session.scalar(text("SELECT time FROM audit ORDER BY seq DESC LIMIT 1"))
    if last is not None and moment(int(last)) - here > SKEW:
        yield wrong("clock", f"The audit's last row is {moment(int(last)) - here} ahead of this clock: set the clock.")
        return
    if session.get_bind().dialect.name == "postgresql":
        there = session.scalar(text("SELECT clock_timestamp()"))
        if there is not None and abs(there - now()) > SKEW:
            yield wrong("clock", f"This clock and the database server's are {abs(there - here)} apart: set them.")
            return
    yield ok("clock", f"{here:%Y-%m-%d %H:%M:%S} UTC, not before the last row of the audit.")
