"""The store: the schema the code expects, ids never used again, records nobody rewrites, files nobody else reads."""

from __future__ import annotations

import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from conftest import ADMIN, MEGAN, Clinic
from indoors import answered, counted, rows
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DatabaseError

from jhe_server import departures, migrations, organizations, patients, studies, tables
from jhe_server.db import Database, microseconds, moment
from jhe_server.errors import Conflict, Unavailable
from jhe_server.opened import open_store
from jhe_server.organizations import NewOrganization
from jhe_server.patients import InOrganization, NewPatient
from jhe_server.studies import NewStudy

RECORDS = ("audit", "audit_subject", "consent_ledger")


def newcomer(number: int) -> NewPatient:
    body = {
        "telecom_email": f"n{number}@example.com",
        "name_family": "N",
        "name_given": "N",
        "birth_date": "1990-01-01",
    }
    return NewPatient.model_validate({**body, "organization_id": 20003})


# ------------------------------------------------------------------ the schema
def test_the_migrated_schema_is_the_one_the_code_was_written_for(clinic: Clinic) -> None:
    with clinic.database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.Base.metadata) == []


def test_opening_a_store_brings_it_to_the_head_once(clinic: Clinic) -> None:
    assert migrations.revision(clinic.database) == migrations.HEAD
    assert migrations.upgrade(clinic.database) is False
    again = open_store(clinic.url)
    assert counted(again, "patient") == 5
    again.close()


def test_the_first_ids_are_the_contracts(clinic: Clinic) -> None:
    first = {"jhe_user": 10001, "organization": 20001, "study": 30001, "patient": 40001, "code": 50001,
             "observation": 60001, "data_source": 70001, "practitioner": 80001}  # fmt: skip
    for table, id in first.items():
        assert rows(clinic.database, f"SELECT min(id) FROM {table} WHERE id > 0") == [(id,)], table
    assert rows(clinic.database, "SELECT name, part_of FROM organization WHERE id = 0") == [("ROOT", None)]


def test_ids_are_never_used_again(clinic: Clinic) -> None:
    for number in range(2):
        made = clinic.call(patients.create, MEGAN, newcomer(number))
        assert (made.id, made.jhe_user_id) == (40006 + number, 10012 + number)
        clinic.call(departures.remove_patient, MEGAN, made.id, InOrganization(organization_id=20003))
        study = clinic.call(studies.create, MEGAN, NewStudy(name="S", description="", organization=20003))
        assert study.id == 30006 + number
        clinic.call(departures.remove_study, MEGAN, study.id)
        home = clinic.call(organizations.create, ADMIN, NewOrganization(name="O", type="other"))
        assert home.id == 20009 + number
        clinic.call(departures.remove_organization, ADMIN, home.id)


# ------------------------------------------------------------------ records
@pytest.mark.parametrize("table", RECORDS)
def test_records_are_append_only(clinic: Clinic, table: str) -> None:
    """Not changed, not deleted, not replaced, not truncated: by no statement of ours or of anybody with our rights."""
    answered(clinic, MEGAN, "patients")  # leaves an audit row
    before = rows(clinic.database, f"SELECT * FROM {table}")
    assert before
    statements = [f"UPDATE {table} SET seq = seq", f"DELETE FROM {table}", f"DELETE FROM {table} WHERE seq = 1"]
    if clinic.database.is_sqlite:
        statements += [
            f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
            f"REPLACE INTO {table} SELECT * FROM {table}",
        ]
    else:
        statements += [f"TRUNCATE {table}", f"TRUNCATE {table} CASCADE"]
    for statement in statements:
        with clinic.database.write() as session:
            with pytest.raises(DatabaseError, match="append-only"):
                session.execute(text(statement))
            session.rollback()
    assert rows(clinic.database, f"SELECT * FROM {table}") == before


# ------------------------------------------------------------------ transactions
def test_what_fails_half_way_leaves_nothing(clinic: Clinic) -> None:
    def half_way() -> None:
        with clinic.database.write() as session:
            session.execute(text("INSERT INTO study_code (study_id, code_id) VALUES (30001, 50008)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_way()
    assert counted(clinic.database, "study_code", "code_id = 50008") == 0


def test_a_broken_reference_is_refused_and_said_plainly(clinic: Clinic) -> None:
    with pytest.raises(Conflict) as refusal, clinic.database.write() as session:
        session.execute(text("INSERT INTO study_code (study_id, code_id) VALUES (30001, 59999)"))
    assert refusal.value.detail == Conflict.sentence


def test_a_reading_transaction_cannot_write(clinic: Clinic) -> None:
    with pytest.raises(DatabaseError, match=r"readonly|read-only"), clinic.database.read() as session:
        session.execute(text("DELETE FROM study_client"))


def test_a_reading_transaction_sees_one_moment(clinic: Clinic) -> None:
    with clinic.database.read() as session:
        question = text("SELECT count(*) FROM patient")
        assert session.execute(question).scalar() == 5
        clinic.call(patients.create, MEGAN, newcomer(0))
        assert session.execute(question).scalar() == 5
    assert counted(clinic.database, "patient") == 6


@pytest.mark.parametrize(
    "path", ["patients", "observations", "studies", "followup", "studies/30001/consents", "organizations", "audit"]
)
def test_a_page_of_fifty_takes_as_many_statements_as_one_of_one(clinic: Clinic, path: str) -> None:
    for number in range(8):
        clinic.call(patients.create, MEGAN, newcomer(number))
    answered(clinic, ADMIN, f"{path}?limit=1")  # totals are remembered while nothing is written
    assert statements(clinic, f"{path}?limit=50") == statements(clinic, f"{path}?limit=1")


def statements(clinic: Clinic, path: str) -> int:
    seen: list[str] = []

    def note(*said: Any) -> None:
        seen.append(said[2])

    event.listen(Engine, "before_cursor_execute", note)
    answered(clinic, ADMIN, path)
    event.remove(Engine, "before_cursor_execute", note)
    return len(seen)


# ------------------------------------------------------------------ SQLite's own
@pytest.fixture
def file(sqlite_store: str) -> Path:
    return Path(sqlite_store.removeprefix("sqlite:///"))


@pytest.fixture
def sqlite(sqlite_store: str) -> Any:
    database = Database(sqlite_store)
    yield database
    database.close()


@pytest.mark.parametrize(
    ("pragma", "value"), [("foreign_keys", 1), ("synchronous", 2), ("journal_mode", "wal"), ("recursive_triggers", 1)]
)
def test_sqlite_keeps_what_it_acknowledges(sqlite: Database, pragma: str, value: object) -> None:
    with sqlite.write() as session:
        assert session.execute(text(f"PRAGMA {pragma}")).scalar() == value


def test_a_writer_holds_the_lock_from_its_first_question_on(sqlite: Database, file: Path) -> None:
    """What was checked still holds when it is written: nobody else writes in between."""
    other = sqlite3.connect(file, timeout=0, isolation_level=None)
    with sqlite.write() as session:
        session.execute(text("SELECT count(*) FROM patient"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_a_store_busy_with_somebody_else_says_try_again(sqlite: Database, file: Path) -> None:
    with sqlite.write() as session:
        session.execute(text("PRAGMA busy_timeout=20"))  # of this connection, which the next writer is given again
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as refusal, sqlite.write() as session:
        session.connection()  # a transaction begins with its first question
    assert refusal.value.headers == {"Retry-After": "1"}
    other.close()


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    database = open_store(f"sqlite:///{folder / 'jhe.sqlite'}")
    with database.write() as session:
        session.execute(text("INSERT INTO code (coding_system, coding_code, text) VALUES ('a', 'b', 'c')"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == dict.fromkeys(("jhe.sqlite", "jhe.sqlite-wal", "jhe.sqlite-shm"), 0o600)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    database.close()


def test_a_file_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "open.sqlite"
    path.touch(mode=0o644)
    Database(f"sqlite:///{path}").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_moment_is_kept_to_the_microsecond() -> None:
    for when in (datetime(1900, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, 8, 0, 0, 123457, tzinfo=UTC)):
        assert moment(microseconds(when)) == when
