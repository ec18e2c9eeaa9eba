"""`jupyter jhe doctor`: each thing that can be wrong is found and said with what to do, and no secret is."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from conftest import Clinic, _fresh, environment, free_port
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from roles import Roles
from sqlalchemy import text

from jhe_server.doctor.findings import Finding
from jhe_server.doctor.store import findings as of_store
from jhe_server.doctor.surroundings import own_certificate, seen_by_clients


@dataclass
class Doctor:
    """The command, with settings in a file of the test's own."""

    folder: Path

    def configure(self, **settings: object) -> Path:
        file = Path(environment(self.folder)["JUPYTER_CONFIG_DIR"]) / "jupyter_jhe_config.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        server = {name.removeprefix("server_"): settings.pop(name) for name in list(settings) if "server_" in name}
        file.write_text(json.dumps({"ExchangeApp": settings, "ServerApp": server}))
        return file

    def asked(self, *options: str, expect: int) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "jhe_server", "doctor", *options], cwd=self.folder,
            env=environment(self.folder), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == expect, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout


def lines(said: str, level: str) -> dict[str, str]:
    """The findings of a level, by what they are about."""
    found = [line.split(maxsplit=1)[1] for line in said.splitlines() if line.startswith(f"{level} ")]
    return {line[:14].strip(): line[15:] for line in found}


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    return Doctor(tmp_path)


# ------------------------------------------------------------------ the command
def test_where_nothing_is_wrong_it_says_so(doctor: Doctor, sqlite_store: str) -> None:
    doctor.configure(database=sqlite_store)
    said = doctor.asked(expect=0)
    assert lines(said, "wrong") == {}
    assert set(lines(said, "ok")) >= {"settings", "safety", "permissions", "disk", "durability", "database", "clock"}
    assert "outbox" in lines(said, "warn")["mail"]


def test_everything_wrong_is_found_in_one_go_and_no_secret_is_said(doctor: Doctor, sqlite_store: str) -> None:
    folder = doctor.folder
    (folder / "clinic.sqlite").chmod(0o644)
    (folder / "outbox").mkdir(mode=0o755)
    (folder / "outbox" / "1.eml").write_text("Subject: a link")
    (folder / "signing-key.json").write_text("{}")
    (folder / "signing-key.json").chmod(0o644)
    config = doctor.configure(
        database=sqlite_store, databse="typo", public_url="http://jhe.example.org/jhe", smtp_host="127.0.0.1",
        smtp_port=free_port(), smtp_user="jhe", smtp_password="hunter2-hunter2", lifetimes={"nonsense": 1},
        hub_email="{username}@example.org", hub_groups={"lab": "member"}, server_certfile=str(folder / "no.pem"),
    )  # fmt: skip
    config.chmod(0o644)
    said = doctor.asked(expect=1)
    wrong = [line for line in said.splitlines() if line.startswith("wrong")]
    for what in ("databse", "lifetimes takes", "hub_email is", "hub_groups maps", f"chmod 600 {config}",
                 "in the clear", "chmod 600 " + str(folder), "no mail server is listening",
                 "signing-key.json can be read", "outbox", "no.pem"):  # fmt: skip
        assert any(what in line for line in wrong), what
    assert "1 messages wait" in said
    assert "hunter2" not in said
    assert (folder / "clinic.sqlite").stat().st_mode & 0o777 == 0o600, "opening it mended it; it was said before"


def test_a_database_that_is_not_there_is_not_made(doctor: Doctor) -> None:
    said = doctor.asked(f"--database=sqlite:///{doctor.folder / 'new' / 'x.sqlite'}", expect=0)
    assert "not there yet" in lines(said, "warn")["database"]
    assert not (doctor.folder / "new").exists()


def test_a_server_that_does_not_answer_is_said_without_its_password(doctor: Doctor) -> None:
    url = f"postgresql://jhe:hunter2@127.0.0.1:{free_port()}/jhe"
    said = doctor.asked(f"--database={url}", expect=1)
    assert "cannot be reached" in lines(said, "wrong")["database"]
    assert "hunter2" not in said


def test_an_address_that_names_no_store_is_said_to_name_none(doctor: Doctor) -> None:
    said = doctor.asked("--database=mysql://u:hunter2@x/y", expect=1)
    assert "sqlite:///FILE" in lines(said, "wrong")["database"]
    assert "hunter2" not in said


def test_a_setting_of_the_wrong_kind_is_named_and_its_value_is_not(doctor: Doctor) -> None:
    doctor.configure(smtp_password=8675309)
    said = doctor.asked(expect=1)
    assert "'smtp_password' trait" in lines(said, "wrong")["settings"]
    assert "8675309" not in said


class Letterbox:
    """A mail server that takes anything and remembers nothing."""

    async def handle_DATA(self, *_: object) -> str:
        raise AssertionError("the doctor sends nothing")


@pytest.fixture
def letterbox() -> Iterator[int]:
    controller = Controller(Letterbox(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller.port
    controller.stop()


def test_a_mail_server_is_tried_and_nothing_is_sent(doctor: Doctor, sqlite_store: str, letterbox: int) -> None:
    given = {"smtp_host": "127.0.0.1", "smtp_port": letterbox, "smtp_tls": "none", "mail_sender": "a@example.org"}
    doctor.configure(database=sqlite_store, **given)
    assert "lets us in" in lines(doctor.asked(expect=0), "ok")["mail"]
    doctor.configure(database=sqlite_store, **given, smtp_user="jhe", smtp_password="x")
    assert "in the clear" in lines(doctor.asked(expect=1), "wrong")["mail"]


# ------------------------------------------------------------------ the store
def found(url: str, level: str) -> list[Finding]:
    return [one for one in of_store(url) if one.level == level]


def test_a_healthy_store_is_ok(clinic: Clinic) -> None:
    known = [one for one in found(clinic.url, "wrong") if one.about != "durability"]
    assert known == []
    assert {one.about for one in found(clinic.url, "ok")} >= {"database", "clock"}


def test_the_tests_own_postgresql_would_lose_data_and_that_is_said(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """It runs without fsync, since nothing in it has to last; nobody else should."""
    said = [one.sentence for one in found(_fresh(request, "postgresql", tmp_path), "wrong")]
    assert any("fsync = off" in sentence for sentence in said)


def test_a_role_that_could_alter_the_record_is_said_to(postgresql: str) -> None:
    roles = Roles.made(postgresql)
    service, owner = roles.seeded(), roles.url(roles.owner)
    assert any("could alter the audit" in one.sentence for one in found(owner, "warn"))
    assert found(service, "warn") == []


@pytest.mark.parametrize(("revision", "said"), [("0003", "jupyter jhe upgrade"), ("9999", "newer version")])
def test_another_schema_is_said_with_what_to_do(clinic: Clinic, revision: str, said: str) -> None:
    with clinic.database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    assert any(said in one.sentence for one in found(clinic.url, "wrong"))


def test_a_clock_behind_the_record_is_found(clinic: Clinic) -> None:
    ahead = int((time.time() + 3600) * 1e6)
    with clinic.database.write() as session:
        row = "INSERT INTO audit (seq, time, via, verb, outcome, count, request_id, hash) "
        row += "SELECT coalesce(max(seq), 0) + 1, :time, 'cli', 'x', 'ok', 0, '', 'x' FROM audit"
        session.execute(text(row), {"time": ahead})
    assert [one.about for one in found(clinic.url, "wrong") if one.about == "clock"] == ["clock"]


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "x.sqlite"
    file.write_text("not a database, but long enough to look like one" * 100)
    file.chmod(0o600)
    assert any("not a database" in one.sentence for one in found(f"sqlite:///{file}", "wrong"))


# ------------------------------------------------------------------ certificates
def certificate(folder: Path, days: float) -> tuple[Path, Path]:
    """(certificate, key) of a server of this machine that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    end = datetime.now(UTC) + timedelta(days=days)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), end - timedelta(90), end)
    pem, encoding = made.sign(key, hashes.SHA256()), serialization.Encoding.PEM
    (folder / "tls.pem").write_bytes(pem.public_bytes(encoding))
    plain = serialization.NoEncryption()
    (folder / "tls.key").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    return folder / "tls.pem", folder / "tls.key"


@pytest.mark.parametrize(("days", "level"), [(80, "ok"), (5.5, "warn"), (-2, "wrong")])
def test_a_certificate_is_to_be_renewed_in_time(tmp_path: Path, days: float, level: str) -> None:
    [found] = own_certificate(certificate(tmp_path, days)[0])
    assert (found.level, found.about) == (level, "certificate")


def test_a_certificate_that_clients_would_not_trust_is_wrong(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, 80))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        greeting = threading.Thread(target=greet, args=(context, listening))
        greeting.start()
        [found] = seen_by_clients(f"https://localhost:{port}/jhe")
        greeting.join(10)
    assert (found.level, "cannot be trusted" in found.sentence) == ("wrong", True)
    [gone] = seen_by_clients(f"https://localhost:{port}/jhe")
    assert (gone.level, "cannot be reached" in gone.sentence) == ("warn", True)


def greet(context: ssl.SSLContext, listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with suppress(OSError), connection, context.wrap_socket(connection, server_side=True):
        pass
