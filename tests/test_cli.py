"""`jupyter jhe …` as an operator types it: what it prints, what it leaves in the store, and its exit status."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import MEGAN, PETER, Exchange, _fresh, environment
from sqlalchemy import create_engine, select, text

from jhe_server import audit, tokens
from jhe_server.cli import SUBCOMMANDS
from jhe_server.db import Database
from jhe_server.people import UserRow

ROSTER = """email,last_name,first_name,dob,phone
ada@example.org,Lovelace,Ada,1980-12-10,+1 555 0100
nobody,Wrong,Row,1980-01-01,
bea@example.org,Byron,Bea,1981-01-01,
"""


@dataclass
class CommandLine:
    """Commands on one store, run in a folder of the test's own."""

    folder: Path
    url: str

    def run(self, *words: str, expect: int = 0, database: bool = True) -> str:
        """What the command prints; on another exit status than expected, the test fails with all of it."""
        command = [sys.executable, "-m", "jhe_server", *words, *([f"--database={self.url}"] if database else [])]
        done = subprocess.run(
            command, cwd=self.folder, env=environment(self.folder), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == expect, (words, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout if expect == 0 or done.stdout else done.stderr

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        engine = create_engine(self.url)
        with engine.connect() as connection:
            found = [tuple(row) for row in connection.execute(text(statement))]
        engine.dispose()
        return found

    def tamper(self, statement: str) -> None:
        """As somebody with the file in their hands would."""
        engine = create_engine(self.url)
        with engine.begin() as connection:
            for [name] in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                connection.execute(text(f'DROP TRIGGER "{name}"'))
            connection.execute(text(statement))
        engine.dispose()


@pytest.fixture
def empty(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, f"sqlite:///{tmp_path / 'new' / 'exchange.sqlite'}")


@pytest.fixture
def seeded(sqlite_store: str, tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, sqlite_store)


# ------------------------------------------------------------------ seed, upgrade
def test_seeding_an_empty_database_prints_the_password_once(empty: CommandLine) -> None:
    said = empty.run("seed")
    [password] = [line for line in said.splitlines() if line.startswith("password: ")]
    assert len(password) > len("password: ") + 10
    file = empty.folder / "new" / "exchange.sqlite"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert password.removeprefix("password: ").encode() not in file.read_bytes()
    assert empty.rows("SELECT count(*) FROM patient") == [(5,)]
    assert "already" in empty.run("seed", expect=1)
    assert empty.rows("SELECT count(*) FROM patient") == [(5,)]


def test_seeding_works_on_postgresql_too(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    address = _fresh(request, "postgresql", tmp_path)
    line = CommandLine(tmp_path, address)
    assert "already" in line.run("seed", expect=1)
    assert line.run("token", MEGAN).startswith("jhe_")
    assert "unbroken" in line.run("audit", "verify")


def test_upgrading_twice_does_nothing_the_second_time(empty: CommandLine) -> None:
    assert "upgraded" in empty.run("upgrade")
    assert "nothing to do" in empty.run("upgrade")


# ------------------------------------------------------------------ accounts and tokens
@pytest.mark.parametrize("email", [MEGAN.upper(), PETER])
def test_a_printed_token_is_good_for_its_user(seeded: CommandLine, email: str) -> None:
    token = seeded.run("token", email, "--days=2").strip()
    database = Database(seeded.url)
    with database.read() as session:
        user = session.get_one(UserRow, tokens.actor(session, token).user_id)
        issued = session.scalars(select(audit.AuditRow.via).where(audit.AuditRow.verb == "tokens.issue")).all()
    database.close()
    assert (user.email, issued) == (email.lower(), ["cli"])


def test_a_token_is_not_kept_in_the_database(seeded: CommandLine) -> None:
    token = seeded.run("token", MEGAN).strip()
    assert seeded.rows("SELECT count(*) FROM token") == [(1,)]
    kept = b"".join(file.read_bytes() for file in seeded.folder.glob("clinic.sqlite*"))
    assert token.encode() not in kept
    assert token.removeprefix("jhe_").encode() not in kept


@pytest.mark.parametrize("words", [["nobody@example.org"], [MEGAN, "--days=401"], [MEGAN, PETER]])
def test_no_token_is_printed_for_what_cannot_be(seeded: CommandLine, words: list[str]) -> None:
    assert "jhe_" not in seeded.run("token", *words, expect=1)
    assert seeded.rows("SELECT count(*) FROM token") == [(0,)]


def test_adding_a_user(seeded: CommandLine) -> None:
    said = seeded.run("user", "add", "new@example.org", "--first-name=Ada", "--last-name=Lovelace", "--superuser")
    assert said.startswith("user ")
    [row] = seeded.rows(
        "SELECT first_name, last_name, is_superuser, user_type FROM jhe_user WHERE email = 'new@example.org'"
    )
    assert row == ("Ada", "Lovelace", 1, "practitioner")
    assert "already exists" in seeded.run("user", "add", "NEW@example.org", expect=1)
    assert "e-mail" in seeded.run("user", "add", "no address", expect=1)
    [(number,)] = seeded.rows("SELECT count(*) FROM audit WHERE verb = 'people.create_practitioner' AND via = 'cli'")
    assert number == 1


# ------------------------------------------------------------------ import
def test_importing_a_file(seeded: CommandLine) -> None:
    (seeded.folder / "roster.csv").write_text(ROSTER)
    promised = seeded.run("import", "roster.csv", "--organization=20003", "--study=30001", "--dry-run", expect=1)
    assert seeded.rows("SELECT count(*) FROM patient") == [(5,)]
    done = seeded.run("import", "roster.csv", "--organization=20003", "--study=30001", expect=1)
    assert promised == done.replace("2 create", "2 create").replace(
        done.splitlines()[-1], f"would be: {done.splitlines()[-1]}"
    )
    assert "line 3: email" in done
    assert "nobody" not in done
    assert seeded.rows("SELECT count(*) FROM patient") == [(7,)]
    assert seeded.rows("SELECT count(*) FROM study_patient WHERE study_id = 30001") == [(4,)]
    again = seeded.run("import", "roster.csv", "--organization=20003", "--study=30001", expect=1)
    assert "2 unchanged" in again


def test_a_good_file_is_success(seeded: CommandLine) -> None:
    (seeded.folder / "roster.csv").write_text(ROSTER.replace("nobody,Wrong,Row,1980-01-01,\n", ""))
    assert "2 create" in seeded.run("import", "roster.csv", "--organization=20003")


@pytest.mark.parametrize("words", [["roster.csv"], ["roster.csv", "--organization=29999"]])
def test_an_import_that_cannot_be_says_why(seeded: CommandLine, words: list[str]) -> None:
    (seeded.folder / "roster.csv").write_text(ROSTER)
    assert seeded.run("import", *words, expect=1).strip()
    assert seeded.rows("SELECT count(*) FROM patient") == [(5,)]


# ------------------------------------------------------------------ audit
def test_an_untouched_audit_is_unbroken_and_its_head_is_printed(seeded: CommandLine) -> None:
    seeded.run("token", MEGAN)
    head = seeded.run("audit", "head").strip()
    assert f"unbroken; head {head}" in seeded.run("audit", "verify")
    seq, _, digest = head.partition(":")
    assert (int(seq) > 0, len(digest)) == (True, 64)


TAMPERINGS = {
    "a row changed": ("UPDATE audit SET actor_id = 10004 WHERE seq = 2", 2),
    "a row removed": ("DELETE FROM audit WHERE seq = 4", 4),
    "a patient taken out": ("DELETE FROM audit_subject WHERE seq = 3", 3),
}


@pytest.mark.parametrize("how", TAMPERINGS)
def test_a_broken_audit_is_named_at_its_first_broken_link(seeded: CommandLine, how: str) -> None:
    statement, broken = TAMPERINGS[how]
    database = Database(seeded.url)
    for number in range(5):
        with database.write() as session:
            audit.append(session, audit.Entry(verb="test", actor_id=10003, patients={40001} if number == 2 else set()))
    database.close()
    seeded.tamper(statement)
    assert seeded.run("audit", "verify", expect=1).strip() == f"broken at seq {broken}"


# ------------------------------------------------------------------ the command itself
@pytest.mark.parametrize("words", [["user"], ["audit"], ["audit", "verify", "extra"]])
def test_a_command_that_is_incomplete_says_how_it_is_used(seeded: CommandLine, words: list[str]) -> None:
    assert seeded.run(*words, expect=1, database=len(words) > 1).strip()


def test_help_names_every_command_and_opens_nothing(empty: CommandLine) -> None:
    said = empty.run("--help-all", database=False)
    assert all(f"\n{command}\n" in said for command in SUBCOMMANDS)
    assert "--database" in empty.run("seed", "--help", database=False)
    assert not (empty.folder / "home" / "data" / "jhe").exists()


def test_the_server_starts_as_root_too_and_keeps_its_files_to_itself(sqlite_exchange: Exchange) -> None:
    """In a container everybody is root; elsewhere this checks that it starts as whoever runs the tests."""
    assert sqlite_exchange.healthy()
    assert stat.S_IMODE((sqlite_exchange.folder / "clinic.sqlite").stat().st_mode) == 0o600
    if os.geteuid() == 0:
        assert "Running as root is not recommended" not in sqlite_exchange.log.read_text()


UNOPENABLE = ["sqlite:///nonsense.sqlite", "postgresql://u:secret@127.0.0.1:1/x", "mysql://u:secret@x/y", "nonsense"]


@pytest.mark.parametrize("address", UNOPENABLE)
def test_a_database_that_cannot_be_opened_is_one_sentence(tmp_path: Path, address: str) -> None:
    (tmp_path / "nonsense.sqlite").write_text("this is no database, whatever its name says" * 100)
    said = CommandLine(tmp_path, address).run("audit", "head", expect=1)
    assert said.startswith("The database cannot be opened: ")
    assert len(said.splitlines()) == 1
    assert "secret" not in said


def test_the_seed_leaves_one_row_in_the_audit(empty: CommandLine) -> None:
    empty.run("seed")
    database = Database(empty.url)
    with database.read() as session:
        rows = session.execute(select(audit.AuditRow.verb, audit.AuditRow.via)).all()
        assert audit.verify(session) is None
    database.close()
    assert ("seed.plant", "cli") in [tuple(row) for row in rows]


def test_a_command_finds_the_database_of_the_servers_configuration(sqlite_store: str, tmp_path: Path) -> None:
    config = tmp_path / "home" / "config"
    config.mkdir(parents=True)
    (config / "jupyter_jhe_config.py").write_text(f"c.ExchangeApp.database = {sqlite_store!r}\n")
    done = subprocess.run(
        [sys.executable, "-m", "jhe_server", "audit", "head"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("0:")
