"""`jupyter jhe backup` and `restore` as an operator types them, beside a server that runs."""

from __future__ import annotations

import random
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import MEGAN, Clinic, Exchange, environment, wait_for
from indoors import ask, bundle, counted, reading

from jhe_server import audit
from jhe_server.backing_up import back_up
from jhe_server.fhir_api import FHIR_JSON
from jhe_server.restoring import restore


def command(exchange: Exchange, *words: str, url: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jhe_server", *words, f"--database={url or exchange.url}"],
        cwd=exchange.folder, env=environment(exchange.folder), capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def upload(exchange: Exchange) -> None:
    client = exchange.as_(MEGAN)
    answer = client.post("FHIR/R5/Observation", json=reading(40001, 50004), headers={"Content-Type": FHIR_JSON})
    assert answer.status_code == 201


def test_a_server_is_backed_up_while_it_runs_and_restored_while_it_does_not(exchange: Exchange) -> None:
    upload(exchange)
    made = command(exchange, "backup", "backup.sqlite")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.startswith("patient 5, study 5, observation ")
    assert "; audit head " in made.stdout
    assert stat.S_IMODE((exchange.folder / "backup.sqlite").stat().st_mode) == 0o600
    upload(exchange)
    there = exchange.as_(MEGAN).get("api/v1/observations").json()["count"]
    refused = command(exchange, "restore", "backup.sqlite", "--replace")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "The database is in use; stop every Exchange that runs on it first.\n"
    assert exchange.as_(MEGAN).get("api/v1/observations").json()["count"] == there
    exchange.stop(signal.SIGTERM)
    exchange.database.close()
    held = command(exchange, "restore", "backup.sqlite")
    assert (held.returncode, held.stderr.count("--replace")) == (1, 1)
    restored = command(exchange, "restore", "backup.sqlite", "--replace")
    assert (restored.returncode, restored.stdout) == (0, made.stdout)
    exchange.start()
    assert exchange.as_(MEGAN).get("api/v1/observations").json()["count"] == there - 1
    assert "unbroken" in command(exchange, "audit", "verify").stdout


def test_what_cannot_be_is_said_in_one_sentence(shared_exchange: Exchange) -> None:
    for words, said in (
        (("restore", "nowhere.sqlite"), "There is no file nowhere.sqlite.\n"),
        (("backup",), "Usage: jupyter jhe backup FILE\n"),
        (("backup", "server.log/file"), "server.log cannot be written: File exists.\n"),
    ):
        done = command(shared_exchange, *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.endswith(said)


@pytest.mark.parametrize("address", ["postgresql://u:hunter2@127.0.0.1:1/x", "nonsense"])
def test_a_database_that_cannot_be_opened_is_one_sentence(shared_exchange: Exchange, address: str) -> None:
    for words in (("backup", "x.sqlite"), ("restore", "server.log")):
        done = command(shared_exchange, *words, url=address)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("The database cannot be opened: ")
        assert len(done.stderr.splitlines()) == 1
        assert "hunter2" not in done.stderr


# ------------------------------------------------------------------ kill -9
def test_a_restoration_that_is_killed_leaves_the_old_or_the_new(store: str, tmp_path: Path) -> None:
    """Never some of each; and the next one finds nothing in its way."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # shown where the test fails
    moments, file = random.Random(seed), tmp_path / "backup.sqlite"
    clinic = Clinic(store, tmp_path)
    back_up(store, file)
    old = counted(clinic.database, "observation")
    for turn in range(1, 4):
        ask(clinic, MEGAN, "POST", "", bundle(*[reading(40001, 50004)] * 50), media_type=FHIR_JSON)
        new = counted(clinic.database, "observation")
        clinic.database.close()
        staged = tmp_path / f"temporary{turn}"
        staged.mkdir()
        killed = restoring(store, file, staged)
        wait_for(lambda: bool([*tmp_path.glob(".restore.*"), *staged.glob(".restore.*")]), 30)  # noqa: B023
        with suppress(subprocess.TimeoutExpired):
            killed.wait(moments.uniform(0, 1.2))
        killed.kill()
        killed.wait(10)
        clinic = Clinic(store, tmp_path)
        assert counted(clinic.database, "observation") in (old, new)
        with clinic.database.read() as session:
            assert audit.verify(session) is None
    clinic.close()
    restore(store, file, replaces=True)
    again = Clinic(store, tmp_path)
    assert counted(again.database, "observation") == old
    again.close()


def restoring(store: str, file: Path, temporary: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jhe_server", "restore", str(file), "--replace", f"--database={store}"]
    env = environment(temporary) | {"TMPDIR": str(temporary)}
    return subprocess.Popen(command, cwd=temporary, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
