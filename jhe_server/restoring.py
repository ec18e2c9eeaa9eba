"""`jupyter jhe restore`: a backup takes the place of a store, whole and checked, or nothing changes.

The backup is copied, checked and brought to this version's schema before the store is touched; then it replaces the
store's contents in one transaction of the store itself, so that a crash in the middle leaves the old ones.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Table, text

from . import migrations, portable
from .complaints import opening
from .db import APPLICATION, Database
from .errors import Conflict, Invalid
from .opened import open_store
from .operator import recorded
from .portable import IN_USE, Contents
from .upgrading import bring_up_to_date

STAGING = ".restore."
LINGER = 3.0  # seconds until PostgreSQL has noticed that somebody left


def restore(url: str, file: Path, replaces: bool = False) -> Contents:
    """Put what a backup holds in a store's place; what is there now.

    `file` may be of an older version, and of SQLite or PostgreSQL alike. Raises Invalid where it is no backup, is
    damaged or has a broken audit, and Conflict where the store is in use, or holds something and is not to be replaced.
    """
    if not file.is_file():
        raise Invalid(f"There is no file {file}.")
    with opening():
        target, database = Database.file_of(url), Database(url)
        holds_something = _holds_something(database)
    try:
        if holds_something and not replaces:
            raise Conflict("The database holds something already; --replace it, or name an empty one.")
        with _staged(file, target.parent if target else None) as staged:
            there = _checked(staged, file.name)
            (_into_file if target else _into_server)(database, staged, there)
        with recorded(database, "backup.restore"):
            pass
    finally:
        database.close()
    return there


def _holds_something(database: Database) -> bool:
    """Anybody, or anything on record; what migrations put into a new store does not count."""
    if migrations.revision(database) is None:
        return False
    with database.read() as session:
        asked = (text(f"SELECT 1 FROM {table} LIMIT 1") for table in ("jhe_user", "audit"))  # noqa: S608
        return any(session.scalar(one) for one in asked)


@contextmanager
def _staged(file: Path, folder: Path | None) -> Iterator[Path]:
    """A copy of the backup, in a folder that only its owner can read; the file itself is only read."""
    for left in folder.glob(f"{STAGING}*") if folder else ():  # by one that was killed: a copy of everything
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=STAGING) as made:
        copy = Path(made) / "staged.sqlite"
        portable.copy_file(file, copy)
        yield copy


def _checked(staged: Path, name: str) -> Contents:
    """Whole, of a version we know, its audit unbroken, its triggers ours, and from now on at this version's schema."""
    try:
        portable.check_file(staged)
    except Invalid as error:
        raise Invalid(error.detail.replace(staged.name, name)) from error
    open_store(portable.url_of(staged)).close()
    portable.in_one_file(staged)
    if _triggers(staged) != _triggers(_new(staged.with_name("new.sqlite"))):
        raise Invalid(f"{name} has other triggers than a store of ours: it was changed by hand; nothing was changed.")
    found = portable.contents_of(staged)
    if found.broken is not None:
        raise Invalid(f"The audit in {name} is broken at seq {found.broken}; nothing was changed.")
    return found


def _new(file: Path) -> Path:
    open_store(portable.url_of(file)).close()
    return file


def _triggers(file: Path) -> set[tuple[str, str]]:
    """What keeps a store's records append-only, or does in it whatever else somebody thought of."""
    with portable.complained(file), closing(sqlite3.connect(file)) as connection:
        return set(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))


def _into_file(database: Database, staged: Path, there: Contents) -> None:
    """SQLite's own backup writes all pages in one transaction; nobody else may have the file open meanwhile."""
    file = Database.file_of(str(database.url))
    assert file is not None
    database.close()
    with (
        portable.complained(file),
        closing(sqlite3.connect(staged)) as source,
        closing(sqlite3.connect(file, timeout=1)) as target,
    ):
        _alone(target)
        source.backup(target)


def _alone(target: sqlite3.Connection) -> None:
    """A database leaves WAL mode only for whoever is its one user."""
    target.execute("PRAGMA synchronous=FULL")
    target.execute("PRAGMA locking_mode=EXCLUSIVE")
    try:
        target.execute("PRAGMA journal_mode=DELETE").fetchall()
        target.execute("BEGIN EXCLUSIVE")
        target.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise Conflict(IN_USE) from error
        raise


def _into_server(database: Database, staged: Path, there: Contents) -> None:
    """One transaction: the tables emptied, filled, checked; owners and grants stay as they are."""
    _refuse_company(database)
    bring_up_to_date(database)
    backup = Database(portable.url_of(staged))
    try:
        with backup.read() as session, portable.owning(), database.alone() as target:
            _fill(target, session.connection(), there)
    finally:
        backup.close()


def _fill(target: Connection, source: Connection, there: Contents) -> None:
    tables = portable.tables_of(source)
    target.execute(text("SET LOCAL lock_timeout = '5s'"))
    _guard(target, tables, "DISABLE")
    target.execute(text(f"TRUNCATE {', '.join(map(_quoted, tables))} RESTART IDENTITY"))
    portable.copy_rows(source, target, tables)
    portable.set_last_ids(target, portable.last_ids(source, tables), tables)
    _guard(target, tables, "ENABLE")
    if portable.contents(target, tables) != there:
        raise Invalid("What arrived is not what the backup holds; nothing was changed.")


def _refuse_company(database: Database) -> None:
    """An Exchange that runs remembers what it has read, and would answer from it; one that has ended may linger."""
    database.close()
    until = time.monotonic() + LINGER
    while _others(database):
        if time.monotonic() > until:
            raise Conflict(IN_USE)
        time.sleep(0.1)


def _others(database: Database) -> int:
    asked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND application_name = :name"
    )
    with database.connect() as connection:
        return int(connection.scalar(asked, {"name": APPLICATION}) or 0)


def _guard(target: Connection, tables: list[Table], verb: str) -> None:
    """The triggers that keep records append-only rest while all of them are replaced; their owner may say so."""
    for table in tables:
        target.execute(text(f"ALTER TABLE {_quoted(table)} {verb} TRIGGER USER"))


def _quoted(table: Table) -> str:
    """Names come from the backup: one with a quotation mark in it stays a name."""
    return '"' + table.name.replace('"', '""') + '"'
