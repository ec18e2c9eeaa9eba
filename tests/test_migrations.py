"""Upgrading, from every released schema with data in it: nothing is lost, and of two who upgrade at once one does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from conftest import Clinic, environment, wait_for
from indoors import answered, counted, rows, streamed
from releases import RELEASED, REVISIONS, contents, empty_store, filled
from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError

from jhe_server import audit, migrations, tables
from jhe_server.db import Database
from jhe_server.errors import Conflict, Unavailable
from jhe_server.opened import open_store

MARY = "mary@example.org"


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> str:
    return empty_store(request, kind, tmp_path)


class Upgraded(Clinic):
    """A store that an earlier version left, brought up to date; and what was in it before and after."""

    def __init__(self, url: str, folder: Path) -> None:
        self.before = contents(url)
        open_store(url).close()
        self.after = contents(url)
        super().__init__(url, folder)


@pytest.fixture(scope="module", params=[(kind, one) for kind in ("sqlite", "postgresql") for one in REVISIONS])
def upgraded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    kind, revision = request.param
    folder = tmp_path_factory.mktemp("old")
    url = empty_store(request, kind, folder)
    filled(url, revision)
    clinic = Upgraded(url, folder)
    yield clinic
    clinic.close()


def test_the_code_was_written_for_the_last_revision() -> None:
    assert REVISIONS[-1] == migrations.HEAD


def test_earlier_stores_have_rows_in_every_table(empty: str) -> None:
    """Else an upgrade that empties a table would pass below."""
    filled(empty, migrations.HEAD)
    unfilled = {table for table, rows in contents(empty).items() if not rows}
    assert unfilled == {"observation_segment"}, sorted(RELEASED)


def test_an_upgrade_keeps_every_row(upgraded: Upgraded) -> None:
    before, after = upgraded.before, upgraded.after
    assert set(before) <= set(after)
    for table in set(before) - {"observation_loose", "observation_segment"}:  # these are derived
        kept = [{key: row[key] for key in before[table][0]} for row in after[table]]
        assert sorted(kept, key=str) == before[table], table


def test_an_upgraded_store_is_like_a_new_one(upgraded: Upgraded) -> None:
    """The schema is the code's, references hold, records cannot be rewritten, and ids go on where they were."""
    with upgraded.database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.Base.metadata) == []
    assert _dangling(upgraded.database) == []
    with pytest.raises(Conflict), upgraded.database.write() as session:
        session.execute(text("INSERT INTO study_code (study_id, code_id) VALUES (30001, 59999)"))
    for table in ("audit", "audit_subject", "consent_ledger"):
        with upgraded.database.connect() as connection, pytest.raises(DatabaseError, match="append-only"):
            connection.execute(text(f"DELETE FROM {table}"))
    with upgraded.database.write() as session:
        made = "INSERT INTO code (coding_system, coding_code, text) VALUES ('a', 'b', 'c') RETURNING id"
        assert session.scalar(text(made)) == 50003


def _dangling(database: Database) -> list[Any]:
    """References that lead nowhere: SQLite does not look while a table is made anew, PostgreSQL never stops looking."""
    if database.is_sqlite:
        return rows(database, "PRAGMA foreign_key_check")
    return rows(database, "SELECT conname FROM pg_constraint WHERE NOT convalidated")


def test_an_upgraded_store_is_read_as_before(upgraded: Upgraded) -> None:
    """By pages, which know no segments, and as a frame, which is made of them; the audit's chain still holds."""
    assert answered(upgraded, MARY, "observations?limit=1")["count"] == 300
    frame = streamed(upgraded, MARY, "observations?study_id=30001")
    assert frame["observation_id"].to_pylist() == list(range(60001, 60301))
    assert frame["blood_glucose_value"].to_pylist() == [float(value) for value in range(101, 401)]
    assert answered(upgraded, MARY, "studies/30001/consents")["count"] == 4
    with upgraded.database.read() as session:
        assert audit.verify(session) is None
        assert audit.head(session)[0] > 3


def test_what_was_measured_before_there_were_segments_is_sealed(empty: str) -> None:
    filled(empty, "0001")
    database = open_store(empty)
    assert rows(database, "SELECT sum(rows) FROM observation_segment") == [(300,)]
    assert counted(database, "observation_loose") == 0
    database.close()


def test_a_store_of_a_later_version_is_left_alone(empty: str) -> None:
    filled(empty, migrations.HEAD)
    database = Database(empty)
    with database.alone() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(Unavailable, match=r"schema 9999 .* newer"):
        open_store(empty)


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(empty: str) -> None:
    """All of it is one transaction on both stores: there is no schema in between, and nothing half sealed."""

    def power_cut(connection: Connection) -> None:
        assert migrations.revision_of(connection) == migrations.HEAD
        raise ZeroDivisionError

    filled(empty, "0001")
    before, database = contents(empty), Database(empty)
    with pytest.raises(ZeroDivisionError):
        migrations.upgrade(database, then=[power_cut])
    assert contents(empty) == before
    assert migrations.revision(database) == "0001"
    database.close()


def test_of_two_that_upgrade_at_once_one_does_and_the_other_waits(empty: str, tmp_path: Path) -> None:
    filled(empty, "0001")
    command = [sys.executable, "-m", "jhe_server", "upgrade", f"--database={empty}"]
    database = Database(empty)
    with database.alone() as connection:
        both = [_started(command, tmp_path) for _ in range(2)]
        wait_for(lambda: _waiting(connection, both) == 2, 30)
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(out for out, _ in said) == [
        f"schema {migrations.HEAD}: {what}\n" for what in ("nothing to do", "upgraded")
    ]
    assert rows(database, "SELECT sum(rows) FROM observation_segment") == [(300,)]
    database.close()


def _started(command: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _waiting(connection: Any, both: list[subprocess.Popen[str]]) -> int:
    """How many wait for the writer's place: PostgreSQL lists them; of SQLite's we know who has the file open."""
    if connection.dialect.name == "postgresql":
        found = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        return int(connection.scalar(text(found)))
    names = [_open_files(process.pid) for process in both]
    return sum(any(name.endswith("old.sqlite") for name in some) for some in names)


def _open_files(pid: int) -> list[str]:
    folder = Path(f"/proc/{pid}/fd")
    return [str(one.readlink()) for one in folder.iterdir() if one.is_symlink()] if folder.exists() else []
