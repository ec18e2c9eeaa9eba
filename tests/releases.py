"""Stores as earlier versions left them: schema by schema, filled by plain SQL (`released/*.sql`) on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conftest import _named, _new_database
from sqlalchemy import Connection, inspect, text

from jhe_server import migrations
from jhe_server.db import Database

RELEASED = {path.stem: path for path in (Path(__file__).parent / "released").glob("*.sql")}
REVISIONS = sorted(path.name[:4] for path in Path(migrations.__file__).parent.glob("versions/0*.py"))


def empty_store(request: Any, kind: str, folder: Path) -> str:
    """The address of a database with nothing in it."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'old.sqlite'}"
    url = request.getfixturevalue("postgresql")
    return _named(url, _new_database(url))


def filled(url: str, revision: str) -> None:
    """Make the store of an earlier version: each schema in turn, and what it was the first to have rows for."""
    database = Database(url)
    for step in (one for one in REVISIONS if one <= revision):
        with database.alone() as connection:
            migrations.migrate(connection, step)
        if step in RELEASED:
            with database.alone() as connection:
                _run(connection, RELEASED[step].read_text())
    database.close()


def _run(connection: Connection, script: str) -> None:
    for statement in script.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
    if connection.dialect.name == "postgresql":
        _move_counters(connection)


def _move_counters(connection: Connection) -> None:
    """Ids that were said aloud do not move PostgreSQL's identities; those that it gave have."""
    for table in tables(connection):
        for column in inspect(connection).get_columns(table):
            if "identity" in column:
                key = column["name"]
                sequence = f"pg_get_serial_sequence('{table}', '{key}')"
                connection.execute(text(f"SELECT setval({sequence}, greatest(max({key}), 1)) FROM {table}"))


def tables(connection: Connection) -> list[str]:
    return sorted(set(inspect(connection).get_table_names()) - {"alembic_version"})


def contents(url: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, whatever the schema: what an upgrade may add to and never take from."""
    database = Database(url)
    with database.connect() as connection:
        found = {
            table: sorted((dict(row._mapping) for row in connection.execute(text(f'SELECT * FROM "{table}"'))), key=str)
            for table in tables(connection)
        }
    database.close()
    return found
