"""The service's role in PostgreSQL: it does all of its work, and can neither rewrite a record nor change the schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MARY, MEGAN, PETER, Clinic
from indoors import answered, ask, bundle, counted, reading, rows, streamed
from releases import filled
from roles import Roles
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError

from jhe_server import audit, upgrading
from jhe_server.db import Database
from jhe_server.errors import ExchangeError, Unavailable
from jhe_server.fhir_api import FHIR_JSON
from jhe_server.opened import open_store

RECORDS = ("audit", "audit_subject", "consent_ledger", "change")


@pytest.fixture
def roles(postgresql: str) -> Roles:
    return Roles.made(postgresql)


@pytest.fixture(scope="module")
def served(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Roles, Clinic]]:
    """A clinic whose service has its own role, seeded by that role."""
    roles = Roles.made(postgresql)
    clinic = Clinic(roles.seeded(), tmp_path_factory.mktemp("served"))
    yield roles, clinic
    clinic.close()


def test_the_service_does_its_whole_work(served: tuple[Roles, Clinic]) -> None:
    """Enough readings for a segment, a withdrawal, an import, a removal: everything that copies, counts or deletes."""
    _, clinic = served
    many = bundle(*(reading(40001, 50001) for _ in range(300)))
    assert ask(clinic, MEGAN, "POST", "", many, FHIR_JSON).status == 200
    before = streamed(clinic, MARY, "observations?study_id=30001&patient_id=40001").num_rows
    assert before > 0
    everybody = [
        {"email": f"g{i}@example.org", "last_name": "G", "first_name": "H", "dob": "1990-01-01"} for i in range(3)
    ]
    said = ask(clinic, MEGAN, "POST", "patients/import", {"organization_id": 20003, "rows": everybody})
    assert said.status == 200
    assert ask(clinic, PETER, "POST", "patients/40001/consents/withdraw", {"studyId": 30001}).status == 201
    assert streamed(clinic, MARY, "observations?study_id=30001&patient_id=40001").num_rows == 0
    for patient in (40001, 40006):
        assert ask(clinic, MEGAN, "DELETE", f"patients/{patient}?organization_id=20003").status == 204
    assert answered(clinic, MARY, "audit?limit=1")["count"] > 0
    with clinic.database.read() as session:
        assert audit.verify(session) is None


@pytest.mark.parametrize("table", RECORDS)
def test_a_record_cannot_be_rewritten_by_the_service(served: tuple[Roles, Clinic], table: str) -> None:
    """PostgreSQL itself refuses, whatever the service was talked into: with or without triggers."""
    roles, clinic = served
    before = rows(clinic.database, f"SELECT * FROM {table} ORDER BY 1")
    assert before
    roles.run(roles.service, f"GRANT UPDATE, DELETE ON {table} TO CURRENT_USER")  # gives nothing: a warning, no error
    for statement in (
        f"UPDATE {table} SET seq = seq + 1",
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
        f"TRUNCATE {table} CASCADE",
        f"DROP TABLE {table}",
        f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        f"ALTER TABLE {table} RENAME TO elsewhere",
        f"ALTER TABLE {table} OWNER TO CURRENT_USER",
        f"CREATE TRIGGER mine AFTER INSERT ON {table} EXECUTE FUNCTION tsvector_update_trigger()",
        f"CREATE RULE mine AS ON INSERT TO {table} DO INSTEAD NOTHING",
        "SET session_replication_role = replica",
        "DROP FUNCTION jhe_append_only() CASCADE",
        "DROP SCHEMA public CASCADE",
        f'SET ROLE "{roles.owner}"',
        "UPDATE alembic_version SET version_num = '0001'",
        "CREATE TABLE mine (id int)",
    ):
        with pytest.raises(DatabaseError, match=r"permission denied|must be owner|no privileges"):
            roles.run(roles.service, statement)
    assert rows(clinic.database, f"SELECT * FROM {table} ORDER BY 1") == before


def test_an_upgrade_gives_the_service_what_it_adds_and_nobody_else_anything(roles: Roles) -> None:
    filled(roles.url(roles.owner), "0001")
    roles.run(
        roles.owner,
        f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{roles.service}", "{roles.analyst}"',
        f'GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{roles.service}"',
    )
    assert "upgraded" in roles.upgrade()[0]
    granted = """
        SELECT grantee, string_agg(privilege_type, ',' ORDER BY privilege_type)
        FROM information_schema.role_table_grants WHERE table_name = '{}' AND grantee <> '{}' GROUP BY grantee
    """
    database = Database(roles.url(roles.owner))
    assert rows(database, granted.format("token_family", roles.owner)) == [
        (roles.service, "DELETE,INSERT,SELECT,UPDATE")
    ]
    assert dict(rows(database, granted.format("audit", roles.owner))) == {
        roles.service: "INSERT,SELECT",
        roles.analyst: "SELECT",
    }
    database.close()


def test_a_service_behind_says_what_to_run_and_changes_nothing(roles: Roles) -> None:
    with pytest.raises(Unavailable, match=r"is empty; .*`jupyter jhe upgrade"):
        open_store(roles.url(roles.service))
    filled(roles.url(roles.owner), "0003")
    roles.run(roles.owner, f'GRANT SELECT ON alembic_version TO "{roles.service}"')
    with pytest.raises(Unavailable, match=r"is at schema 0003 .* `jupyter jhe upgrade"):
        open_store(roles.url(roles.service))
    database = Database(roles.url(roles.owner))
    assert counted(database, "alembic_version", "version_num = '0003'") == 1
    database.close()


@pytest.mark.parametrize("other", ["owner", "admin", "nobody"])
def test_a_role_that_nothing_could_be_refused_is_no_services(roles: Roles, other: str) -> None:
    named = {"owner": roles.owner, "admin": make_url(roles.admin).username or "", "nobody": "nobody_of_this_name"}[
        other
    ]
    with pytest.raises(ExchangeError, match=r"name the role the service runs as|There is no role"):
        roles.upgrade(named)


def test_sqlite_has_no_roles(tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="SQLite has no roles"):
        list(upgrading.upgrade(f"sqlite:///{tmp_path / 'new.sqlite'}", "jhe"))
