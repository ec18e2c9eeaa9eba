"""What every benchmark needs: a server of its own, a stopwatch, a line per promise."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx

from jhe_server import tokens
from jhe_server.db import Database
from jhe_server.people import by_email


def machine() -> str:
    return f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"


@contextlib.contextmanager
def served(file: Path, store: str | None = None) -> Iterator[tuple[str, int]]:
    """A server of our own on a free port, on that file or another store: its address and its process id."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "jhe_server", f"--port={port}", f"--database={store or f'sqlite:///{file}'}"]
    with (file.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=file.parent)
    url = f"http://127.0.0.1:{port}/jhe"
    try:
        wait(url)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(20)


def wait(url: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise RuntimeError("the server did not start")


def managers_token(database: Database) -> str:
    """A bearer token of the clinic's manager, for a day."""
    with database.write() as session:
        user = by_email(session, "manager_mary@example.com")
        assert user is not None
        return tokens.issue(session, user, timedelta(days=1))[0]


def timed(action: object) -> float:
    began = time.perf_counter()
    action()  # type: ignore[operator]
    return time.perf_counter() - began


def report(what: str, figure: str, holds: bool) -> bool:
    print(f"{'holds      ' if holds else 'falls short'}  {what}: {figure}", flush=True)
    return holds
