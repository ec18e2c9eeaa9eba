"""Backups: whole, checked, of one moment, restored into either store; nothing is lost by one that fails."""

from __future__ import annotations

import random
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from conftest import MEGAN, Clinic, _named, _new_database
from indoors import ask, bundle, counted, reading
from roles import Roles
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from jhe_server import migrations
from jhe_server.backing_up import back_up
from jhe_server.db import Database
from jhe_server.errors import Conflict, ExchangeError, Invalid
from jhe_server.fhir_api import FHIR_JSON
from jhe_server.portable import Contents, contents, tables_of
from jhe_server.restoring import restore

HEART_RATE = 50004


def upload(clinic: Clinic, number: int) -> None:
    ask(clinic, MEGAN, "POST", "", bundle(*[reading(40001, HEART_RATE)] * number), media_type=FHIR_JSON)


def empty(request: pytest.FixtureRequest, kind: str, folder: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{folder / 'empty' / 'exchange.sqlite'}"
    url = request.getfixturevalue("postgresql")
    return _named(url, _new_database(url))


def inside(url: str) -> Contents:
    database = Database(url)
    with database.read() as session:
        found = contents(session.connection(), tables_of(session.connection()))
    database.close()
    return found


def everything(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but the audit's, whose last row is the restoration itself."""
    database = Database(url)
    with database.read() as session:
        connection = session.connection()
        tables = [table for table in tables_of(connection) if table.name != "audit"]
        found = {table.name: sorted(map(tuple, connection.execute(table.select())), key=repr) for table in tables}
    database.close()
    return found


# ------------------------------------------------------------------ there and back
@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
def test_what_is_restored_is_what_was_backed_up_on_either_store(
    request: pytest.FixtureRequest, clinic: Clinic, into: str, tmp_path: Path
) -> None:
    upload(clinic, 30)
    before, file = everything(clinic.url), tmp_path / "backup.sqlite"
    made = back_up(clinic.url, file)
    assert (made.rows["observation"], made.broken) == (counted(clinic.database, "observation"), None)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir() if "backup" in one.name] == ["backup.sqlite"]
    there = empty(request, into, tmp_path)
    assert restore(there, file) == made
    assert everything(there) == before
    assert inside(there).rows["audit"] == made.rows["audit"] + 1
    assert inside(there).broken is None


@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
def test_ids_go_on_where_they_were_and_the_record_stays_append_only(
    request: pytest.FixtureRequest, clinic: Clinic, into: str, tmp_path: Path
) -> None:
    upload(clinic, 3)
    with clinic.database.write() as session:
        last = session.scalar(text("SELECT max(id) FROM observation"))
        for table in ("observation_loose", "observation_segment", "observation_payload", "observation"):
            session.execute(text(f"DELETE FROM {table}"))
    back_up(clinic.url, tmp_path / "backup.sqlite")
    there = empty(request, into, tmp_path)
    restore(there, tmp_path / "backup.sqlite")
    restored = Clinic(there, tmp_path)
    upload(restored, 1)
    with restored.database.read() as session:
        assert session.scalar(text("SELECT min(id) FROM observation")) == last + 1
    with pytest.raises((Conflict, DBAPIError)), restored.database.write() as session:
        session.execute(text("DELETE FROM audit"))
    restored.close()


def test_a_backup_is_of_one_moment_while_others_write(clinic: Clinic, tmp_path: Path) -> None:
    """What is committed in the middle of it is in none of its tables."""
    upload(clinic, 20)
    with clinic.database.write() as session:
        session.execute(text("UPDATE patient SET telecom_phone = 'half'"))
        back_up_seen = _unrecorded(clinic, tmp_path / "backup.sqlite")
    assert back_up_seen == 0


def _unrecorded(clinic: Clinic, file: Path) -> int:
    from jhe_server import portable

    source = Database.file_of(clinic.url)
    if source is None:
        from jhe_server.backing_up import _copy_server

        _copy_server(clinic.database, migrations.HEAD, file)
    else:
        portable.copy_file(source, file)
    with closing(sqlite3.connect(file)) as copy:
        return int(copy.execute("SELECT count(*) FROM patient WHERE telecom_phone = 'half'").fetchone()[0])


# ------------------------------------------------------------------ refusals
def test_a_store_that_holds_something_is_replaced_only_when_told_so(clinic: Clinic, tmp_path: Path) -> None:
    back_up(clinic.url, tmp_path / "backup.sqlite")
    upload(clinic, 5)
    later = everything(clinic.url)
    clinic.database.close()
    with pytest.raises(Conflict, match="--replace"):
        restore(clinic.url, tmp_path / "backup.sqlite")
    assert everything(clinic.url) == later
    restore(clinic.url, tmp_path / "backup.sqlite", replaces=True)
    assert inside(clinic.url).rows["observation"] == len(later["observation"]) - 5


def test_a_store_in_use_is_not_replaced(clinic: Clinic, tmp_path: Path) -> None:
    back_up(clinic.url, tmp_path / "backup.sqlite")
    before = everything(clinic.url)
    with clinic.database.read() as session:
        session.execute(text("SELECT 1 FROM patient"))
        with pytest.raises(Conflict, match="in use"):
            restore(clinic.url, tmp_path / "backup.sqlite", replaces=True)
    assert everything(clinic.url) == before
    upload(clinic, 1)


@pytest.mark.parametrize("harm", ["torn", "flipped", "not ours", "guard gone", "guard of its own"])
def test_a_backup_that_is_not_whole_changes_nothing(sqlite_store: str, harm: str, tmp_path: Path) -> None:
    changes_nothing(Clinic(sqlite_store, tmp_path), harm, tmp_path / "backup.sqlite")


def test_a_backup_whose_audit_was_tampered_with_is_refused_on_either_store(clinic: Clinic, tmp_path: Path) -> None:
    changes_nothing(clinic, "audit", tmp_path / "backup.sqlite")


def changes_nothing(clinic: Clinic, harm: str, file: Path) -> None:
    upload(clinic, 200)
    back_up(clinic.url, file)
    before = everything(clinic.url)
    clinic.database.close()
    damage(file, harm)
    with pytest.raises(Invalid) as refused:
        restore(clinic.url, file, replaces=True)
    assert "staged" not in refused.value.detail
    assert everything(clinic.url) == before


def damage(file: Path, harm: str) -> None:
    if harm == "torn":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif harm == "flipped":
        whole = bytearray(file.read_bytes())
        for at in random.Random(1).sample(range(4096, len(whole)), 4000):
            whole[at] ^= 0xFF
        file.write_bytes(whole)
    elif harm == "not ours":
        file.unlink()
        with closing(sqlite3.connect(file)) as other:
            other.execute("CREATE TABLE something (x)")
    elif harm.startswith("guard"):
        own = "CREATE TRIGGER own AFTER UPDATE ON jhe_user BEGIN UPDATE jhe_user SET is_superuser = 1; END"
        with closing(sqlite3.connect(file)) as changed:
            changed.execute("DROP TRIGGER audit_no_delete" if harm == "guard gone" else own)
    else:
        with closing(sqlite3.connect(file)) as tampered:
            tampered.execute("DROP TRIGGER audit_no_update")
            tampered.execute("UPDATE audit SET verb = 'patients.get' WHERE seq = 1")
            tampered.commit()


def test_a_backup_of_a_newer_version_is_refused(sqlite_store: str, tmp_path: Path) -> None:
    back_up(sqlite_store, tmp_path / "backup.sqlite")
    with closing(sqlite3.connect(tmp_path / "backup.sqlite")) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.commit()
    with pytest.raises(Invalid, match="newer version"):
        restore(f"sqlite:///{tmp_path / 'new.sqlite'}", tmp_path / "backup.sqlite")
    new = Database(f"sqlite:///{tmp_path / 'new.sqlite'}")
    assert migrations.revision(new) is None
    new.close()


def test_what_stands_where_a_backup_should_go_is_not_lost(sqlite_store: str, tmp_path: Path) -> None:
    file = tmp_path / "backup.sqlite"
    file.write_text("something else")
    with pytest.raises(Conflict, match="exists"):
        back_up(sqlite_store, file)
    assert file.read_text() == "something else"
    assert back_up(sqlite_store, file, replaces=True).broken is None
    database = Database.file_of(sqlite_store)
    assert database is not None
    with pytest.raises(Conflict, match="the database itself"):
        back_up(sqlite_store, database, replaces=True)
    with pytest.raises(Invalid, match="no database"):
        back_up(f"sqlite:///{tmp_path / 'nowhere.sqlite'}", tmp_path / "other.sqlite")
    assert not (tmp_path / "nowhere.sqlite").exists()


# ------------------------------------------------------------------ versions, and what is broken
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_made_before_an_upgrade_comes_back_upgraded(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    """The store is left at its schema; whoever restores gets this version's."""
    old = Database(empty(request, kind, tmp_path))
    with old.alone() as connection:
        migrations.migrate(connection, "0003")
        connection.execute(text("INSERT INTO organization (name, type, part_of) VALUES ('Clinic', 'prov', 0)"))
    back_up(str(old.url.render_as_string(hide_password=False)), tmp_path / "backup.sqlite")
    assert migrations.revision(old) == "0003"
    old.close()
    there = f"sqlite:///{tmp_path / 'new.sqlite'}"
    restore(there, tmp_path / "backup.sqlite")
    new = Database(there)
    assert migrations.revision(new) == migrations.HEAD
    assert counted(new, "organization") == 2
    new.close()


def test_a_store_whose_audit_is_broken_is_backed_up_and_said_to_be_broken(sqlite_store: str, tmp_path: Path) -> None:
    back_up(sqlite_store, tmp_path / "first.sqlite")
    file = Database.file_of(sqlite_store)
    assert file is not None
    damage(file, "audit")
    assert back_up(sqlite_store, tmp_path / "backup.sqlite").broken == 1
    assert (tmp_path / "backup.sqlite").exists()


def test_a_store_without_an_exchange_is_not_backed_up(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="no Exchange"):
        back_up(empty(request, "postgresql", tmp_path), tmp_path / "backup.sqlite")
    assert not (tmp_path / "backup.sqlite").exists()


def test_only_the_owner_of_the_tables_backs_up_and_restores_them_and_the_service_goes_on(
    postgresql: str, tmp_path: Path
) -> None:
    roles, file = Roles.made(postgresql), tmp_path / "backup.sqlite"
    service, owner = roles.seeded(), roles.url(roles.owner)
    with pytest.raises(Conflict, match="as their owner"):
        back_up(service, file)
    assert not file.exists()
    made = back_up(owner, file)
    with pytest.raises(Conflict, match="as their owner"):
        restore(service, file, replaces=True)
    assert inside(service).rows["patient"] == made.rows["patient"]
    restore(owner, file, replaces=True)
    clinic = Clinic(service, tmp_path)
    upload(clinic, 2)
    assert counted(clinic.database, "observation") == made.rows["observation"] + 2
    clinic.close()
