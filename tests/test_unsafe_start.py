"""What the Exchange refuses to start with: the sentence it says, its exit status, and that nothing was opened."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Exchange, environment, free_port
from jupyters import Jupyter

from jhe_server.safety import Exposure, risks

LOOPBACK = Exposure(ip="127.0.0.1")
IN_PUBLIC = Exposure(ip="127.0.0.1", public_url="https://jhe.example.org/jhe")


# ------------------------------------------------------------------ the rules
@pytest.mark.parametrize(
    ("exposure", "names"),
    [
        (LOOPBACK, []),
        (IN_PUBLIC, []),
        (replace(LOOPBACK, ip="0.0.0.0"), ["plain_http"]),
        (replace(LOOPBACK, ip=""), ["plain_http"]),
        (replace(LOOPBACK, ip="192.0.2.7", encrypted=True), []),
        (replace(IN_PUBLIC, ip="0.0.0.0"), []),
        (replace(LOOPBACK, ip="0.0.0.0", behind_hub=True), []),
        (replace(LOOPBACK, public_url="http://jhe.example.org/jhe"), ["plain_http"]),
        (replace(LOOPBACK, public_url="http://localhost:8900/jhe"), []),
        (replace(LOOPBACK, ip="0.0.0.0", alone=False, asks_who=False), ["no_authentication", "plain_http"]),
        (replace(LOOPBACK, alone=False, asks_who=False), []),
        (replace(LOOPBACK, secrets=(("database", "postgres"),)), []),
        (replace(IN_PUBLIC, secrets=(("database", "postgres"), ("smtp_password", "gJ8xR2"))), ["default_secret"]),
        (replace(IN_PUBLIC, secrets=(("smtp_password", "ChangeMe"),)), ["default_secret"]),
        (replace(IN_PUBLIC, alone=False, token="letmein"), ["default_secret"]),
        (replace(IN_PUBLIC, alone=False, token="a" * 32), []),
    ],
)
def test_what_is_unsafe_depends_on_who_can_reach_it(exposure: Exposure, names: list[str]) -> None:
    assert [risk.name for risk in risks(exposure)] == names


def test_in_ones_own_notebook_server_plain_http_is_said_and_no_more() -> None:
    [risk] = risks(replace(LOOPBACK, ip="0.0.0.0", alone=False))
    assert (risk.name, risk.fatal) == ("plain_http", False)


def test_no_sentence_repeats_a_secret() -> None:
    for risk in risks(replace(IN_PUBLIC, alone=False, token="hunter2", secrets=(("database", "postgres"),))):
        assert "hunter2" not in risk.sentence
        assert "postgres" not in risk.sentence


# ------------------------------------------------------------------ real processes
def start(folder: Path, database: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A server that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "jhe_server", f"--database={database}", f"--port={free_port()}", *options],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_server_with_unsafe_settings_says_all_of_it_and_ends(tmp_path: Path) -> None:
    address = "postgresql://jhe:postgres@127.0.0.1/jhe"
    done = start(tmp_path, address, "--ip=0.0.0.0", "--ExchangeApp.public_url=http://jhe.example.org/jhe")
    assert done.returncode == 1
    assert "in the clear" in done.stderr
    assert "one that everybody knows" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_others_can_read_is_not_served(sqlite_store: str, tmp_path: Path) -> None:
    file = tmp_path / "clinic.sqlite"
    file.chmod(0o644)
    done = start(tmp_path, sqlite_store)
    assert (done.returncode, f"chmod 600 {file}" in done.stderr) == (1, True)
    assert file.stat().st_mode & 0o777 == 0o644, "whoever reads this decides what that meant"


def test_who_knows_better_may_say_so(sqlite_store: str, tmp_path: Path) -> None:
    exchange = Exchange(sqlite_store, tmp_path, "--ip=0.0.0.0", "--ExchangeApp.accepted_risks=plain_http")
    exchange.close()
    assert "in plain HTTP" in exchange.log.read_text()
    done = start(tmp_path, sqlite_store, "--ExchangeApp.accepted_risks=nonsense")
    assert (done.returncode, "accepted_risks" in done.stderr) == (1, True)


def test_a_notebook_server_that_asks_nobody_hosts_no_exchange_in_public(tmp_path: Path) -> None:
    """Jupyter itself goes on; that is its owner's affair."""
    address = f"sqlite:///{tmp_path / 'never.sqlite'}"
    server = Jupyter(address, tmp_path, "--ip=0.0.0.0", token="")
    try:
        assert server.client().get("api/status").status_code == 200
        assert server.client().get("jhe/health").status_code == 404
        assert not (tmp_path / "never.sqlite").exists()
        assert "asks nobody who they are" in server.log.read_text()
    finally:
        server.close()
