"""A disk that fills: 507 in one sentence, nothing half-written, nothing read unaudited; with room again it goes on."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import MEGAN, Clinic, Exchange, _fresh
from indoors import ask, bundle, counted, reading, rows
from sqlalchemy import text

from jhe_server import audit
from jhe_server.errors import InsufficientStorage
from jhe_server.fhir_api import FHIR_JSON
from jhe_server.strangers import Strangers

HEART_RATE = 50004
SENTENCE = "The Exchange's disk is full, so this request left nothing behind; its operator has to make room."
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts as on Linux")


def upload(clinic: Clinic, *, entries: int = 0) -> Any:
    sent = bundle(*[reading(40001, HEART_RATE)] * entries) if entries else reading(40001, HEART_RATE)
    return ask(clinic, MEGAN, "POST", "" if entries else "Observation", sent, media_type=FHIR_JSON)


def unbroken(clinic: Clinic) -> bool:
    with clinic.database.read() as session:
        return audit.verify(session) is None


# ------------------------------------------------------------------ a server whose files may not grow
@contextmanager
def full(exchange: Exchange) -> Iterator[None]:
    """The kernel refuses every byte by which the server's largest growing file would grow."""
    assert exchange.process is not None
    pid, kind = exchange.process.pid, resource.RLIMIT_FSIZE
    soft, hard = resource.prlimit(pid, kind)
    size = (exchange.folder / "clinic.sqlite-wal").stat().st_size
    assert size > exchange.log.stat().st_size
    resource.prlimit(pid, kind, (size, hard))
    try:
        yield
    finally:
        if exchange.process.poll() is None:
            resource.prlimit(pid, kind, (soft, hard))


@linux
def test_a_server_on_a_full_disk_says_so_and_goes_on_when_there_is_room(sqlite_exchange: Exchange) -> None:
    megan, there = sqlite_exchange.as_(MEGAN), counted(sqlite_exchange.database, "observation")
    sent, fhir = reading(40001, HEART_RATE), {"Content-Type": FHIR_JSON}
    assert megan.post("FHIR/R5/Observation", json=sent, headers=fhir).status_code == 201
    recorded = counted(sqlite_exchange.database, "audit")
    with full(sqlite_exchange):
        for path, body in (("FHIR/R5/Observation", sent), ("FHIR/R5", bundle(sent, sent))):
            answer = megan.post(path, json=body, headers=fhir)
            assert (answer.status_code, answer.headers["Content-Type"]) == (507, FHIR_JSON)
            [issue] = answer.json()["issue"]
            assert (issue["code"], issue["diagnostics"]) == ("no-store", SENTENCE)
        for path in ("patients", "observations", "patients/49999"):  # a read, or a refusal, that cannot be audited
            answer = megan.get(f"api/v1/{path}")
            assert (answer.status_code, answer.json()) == (507, {"detail": SENTENCE})
        assert megan.get("api/v1/studies").status_code == megan.get("health").status_code == 200
        assert counted(sqlite_exchange.database, "observation") == there + 1
        assert counted(sqlite_exchange.database, "audit") == recorded
    assert megan.get("api/v1/patients").status_code == 200
    assert megan.post("FHIR/R5", json=bundle(sent, sent), headers=fhir).status_code == 200
    assert counted(sqlite_exchange.database, "observation") == there + 3
    assert unbroken(sqlite_exchange)
    with full(sqlite_exchange):
        sqlite_exchange.stop(signal.SIGTERM)
    assert sqlite_exchange.process is not None
    assert sqlite_exchange.process.returncode == 0
    assert "Traceback" not in sqlite_exchange.log.read_text()


# ------------------------------------------------------------------ a disk that is really full
@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB of the test's own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("this account may not mount")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)  # a test that failed may still have files open


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(b"\0" * 4096):
            pass


@linux
def test_what_does_not_fit_on_the_disk_is_not_there_at_all(request: pytest.FixtureRequest, small_disk: Path) -> None:
    clinic = Clinic(_fresh(request, "sqlite", small_disk), small_disk)
    there = counted(clinic.database, "observation")
    upload(clinic)
    fill(small_disk / "filler")
    with pytest.raises(InsufficientStorage):
        upload(clinic, entries=500)
    assert counted(clinic.database, "observation") == there + 1
    (small_disk / "filler").unlink()
    upload(clinic, entries=500)
    assert counted(clinic.database, "observation") == there + 501
    assert unbroken(clinic)
    clinic.close()


@linux
def test_strangers_counted_while_the_disk_is_full_are_recorded_later(
    request: pytest.FixtureRequest, small_disk: Path
) -> None:
    clinic = Clinic(_fresh(request, "sqlite", small_disk), small_disk)
    strangers = Strangers(clinic.door.record)
    upload(clinic)
    fill(small_disk / "filler")
    for _ in range(20):  # more than what may be left of the last page that was written
        for address in ("192.0.2.1", "192.0.2.2"):
            strangers.refused(address)
        strangers.flush(everything=True)
    recorded = counted(clinic.database, "audit", "verb = 'strangers'")
    (small_disk / "filler").unlink()
    strangers.flush(everything=True)
    [(refusals, lines)] = rows(clinic.database, "SELECT sum(count), count(*) FROM audit WHERE verb = 'strangers'")
    assert (refusals, recorded < lines) == (40, True)
    clinic.close()


# ------------------------------------------------------------------ PostgreSQL, which says it by its code
NO_ROOM = """
CREATE FUNCTION no_room() RETURNS trigger AS
$$BEGIN RAISE disk_full USING MESSAGE = 'could not extend file'; END$$ LANGUAGE plpgsql
"""


def test_postgresql_on_a_full_disk_is_heard_alike(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The error is the server's own, raised where its disk would raise it: a write of an observation."""
    clinic = Clinic(_fresh(request, "postgresql", tmp_path), tmp_path)
    with clinic.database.write() as session:
        session.execute(text(NO_ROOM))
        session.execute(text("CREATE TRIGGER no_room BEFORE INSERT ON observation_payload EXECUTE FUNCTION no_room()"))
    there = counted(clinic.database, "observation")
    with pytest.raises(InsufficientStorage):
        upload(clinic)
    assert counted(clinic.database, "observation") == there
    assert counted(clinic.database, "audit", "verb = 'uploads.create' AND outcome = 'error'") == 1
    clinic.close()
