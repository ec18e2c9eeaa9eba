"""A whole store as one SQLite file, whatever it lives on: copied, checked, and said in numbers.

A backup of PostgreSQL is the same tables at the same revision, row by row, so one kind of file can be checked without
a server, brought to a newer schema and restored into either.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Integer, MetaData, Table, event, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.types import JSON, BigInteger

from . import audit, migrations
from .db import Database
from .errors import Conflict, InsufficientStorage, Invalid

IN_USE = "The database is in use; stop every Exchange that runs on it first."
REFUSALS = {"55P03": IN_USE, "42501": "This role may not do that to the tables; name the database as their owner."}
AT_ONCE = 2000  # rows fetched and inserted together
COUNTED = ("patient", "study", "observation", "audit")


@dataclass(frozen=True)
class Contents:
    """What is in a store: rows by table, the audit's head, and the first broken link of its chain, if any."""

    rows: dict[str, int]
    head: str
    broken: int | None

    def __str__(self) -> str:
        said = ", ".join(f"{name} {self.rows.get(name, 0)}" for name in COUNTED)
        return f"{said}; audit head {self.head}"


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


@contextmanager
def complained(file: Path) -> Iterator[None]:
    """What SQLite says of a file, for an operator."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise InsufficientStorage("The disk is full; nothing was changed.") from error
        raise Invalid(f"{file} cannot be used: {error}.") from error
    except UnicodeDecodeError as error:  # the sentence quotes a page that is no text
        raise Invalid(f"{file.name} is damaged; nothing was changed.") from error


@contextmanager
def owning() -> Iterator[None]:
    """What PostgreSQL says to a role that does not own the tables, or finds them locked, for an operator."""
    try:
        yield
    except DBAPIError as error:
        said = REFUSALS.get(str(getattr(error.orig, "sqlstate", "")))
        if said is None:
            raise
        raise Conflict(said) from error


def copy_file(source: Path, target: Path) -> None:
    """A consistent picture of a SQLite store, taken while others write; the copy is a single file without a WAL."""
    with (
        complained(source),
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)
        _without_wal(new)


def in_one_file(file: Path) -> None:
    """All of a database in its one file, with no WAL beside it."""
    with complained(file), closing(sqlite3.connect(file)) as connection:
        _without_wal(connection)


def _without_wal(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=DELETE").fetchall()


def check_file(file: Path) -> str:
    """The revision of a SQLite store that is whole; raises Invalid where it is damaged or no store of ours."""
    with complained(file), closing(sqlite3.connect(file)) as connection:
        [found] = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok" or connection.execute("PRAGMA foreign_key_check").fetchone():
            raise Invalid(f"{file.name} is damaged; nothing was changed.")
        try:
            [revision] = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except (sqlite3.OperationalError, TypeError):
            raise Invalid(f"{file.name} holds no Exchange.") from None
    known(str(revision))
    return str(revision)


def known(revision: str) -> None:
    if revision > migrations.HEAD:
        raise Invalid(f"It was made by a newer version (schema {revision}); this one knows {migrations.HEAD}.")


def contents(connection: Connection, tables: Iterable[Table]) -> Contents:
    """Counts every table and walks the audit's chain, on one connection and so of one moment."""
    with Session(bind=connection) as session:
        broken, (seq, digest) = audit.verify(session), audit.head(session)
    return Contents(counts(connection, tables), f"{seq}:{digest}", broken)


def counts(connection: Connection, tables: Iterable[Table]) -> dict[str, int]:
    return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


def contents_of(file: Path, revision: str = migrations.HEAD) -> Contents:
    """The contents of a SQLite store; the audit of an older schema is walked when it has been brought up to date."""
    database = Database(url_of(file))
    try:
        with database.read() as session:
            connection = session.connection()
            tables = tables_of(connection)
            if revision == migrations.HEAD:
                return contents(connection, tables)
            return Contents(counts(connection, tables), f"not walked (schema {revision})", None)
    finally:
        database.close()


def tables_of(connection: Connection) -> list[Table]:
    """The tables of a store as they are there, those that others refer to first; types mean the same on both."""
    metadata = MetaData()
    event.listen(metadata, "column_reflect", _generic)
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


def _generic(_inspector: Any, _table: Table, column: dict[str, Any]) -> None:
    kind = column["type"].as_generic()
    if isinstance(kind, Integer):
        kind = BigInteger()  # SQLite's INTEGER has 64 bits
    column["type"] = JSON(none_as_null=True) if isinstance(kind, JSON) else kind


def copy_rows(source: Connection, target: Connection, tables: Iterable[Table]) -> None:
    """Every row of every table, into tables of the same names that are empty."""
    for table in tables:
        found = source.execution_options(yield_per=AT_ONCE).execute(select(table))
        parts: Iterable[Any] = [_parents_first(table, found)] if _refers_to_itself(table) else found.partitions()
        for part in parts:
            if part:
                target.execute(insert(table), [dict(row._mapping) for row in part])


def _refers_to_itself(table: Table) -> bool:
    return any(key.column.table is table for key in table.foreign_keys)


def _parents_first(table: Table, rows: Iterable[Any]) -> list[Any]:
    """Organizations, of which there are few: each after the one it is part of."""
    [(own, parent)] = [(key.column.name, key.parent.name) for key in table.foreign_keys if key.column.table is table]
    left, done, ordered = list(rows), {None}, []
    while left:
        ready = [row for row in left if row._mapping[parent] in done]
        if not ready:
            raise Invalid(f"The rows of {table.name} go round in circles; nothing was changed.")
        ordered += ready
        done |= {row._mapping[own] for row in ready}
        left = [row for row in left if row._mapping[own] not in done]
    return ordered


def last_ids(connection: Connection, tables: Iterable[Table]) -> dict[str, int]:
    """The last id each table has given away, so that none is ever given again."""
    if connection.dialect.name == "sqlite":
        return {name: seq for name, seq in connection.execute(text("SELECT name, seq FROM sqlite_sequence"))}
    found = {}
    for table, sequence in _sequences(connection, tables):
        last, called = connection.execute(text(f"SELECT last_value, is_called FROM {sequence}")).one()  # noqa: S608
        found[table] = int(last) if called else int(last) - 1
    return found


def set_last_ids(connection: Connection, last: dict[str, int], tables: Iterable[Table]) -> None:
    """Go on after those ids; a table that has given none away begins where its schema says."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("DELETE FROM sqlite_sequence"))
        rows = [{"name": name, "seq": seq} for name, seq in last.items()]
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), rows)
        return
    for table, sequence in _sequences(connection, tables):
        if last.get(table):
            connection.execute(text("SELECT setval(:sequence, :seq)"), {"sequence": sequence, "seq": last[table]})


def _sequences(connection: Connection, tables: Iterable[Table]) -> Iterator[tuple[str, str]]:
    """(table, sequence) of every table of PostgreSQL that numbers its rows itself."""
    asked = text("SELECT pg_get_serial_sequence(:table, :column)")
    for table in tables:
        for column in table.primary_key.columns:
            sequence = connection.scalar(asked, {"table": table.name, "column": column.name})
            if sequence is not None:
                yield table.name, str(sequence)
