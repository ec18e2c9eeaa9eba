"""What kernels are given: JHE_URL and JHE_TOKEN in their environment, for as long as their Jupyter server lives.

The token is made before the store is open, so that no kernel starts without it, and is good from then on. It is a
lease: a server that is killed leaves a token that is good for an hour at most.
"""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_core.paths import jupyter_runtime_dir

if TYPE_CHECKING:
    from .db import Database

LEASE = timedelta(hours=1)
RENEW_EVERY = 10 * 60 * 1000  # milliseconds


class KernelToken:
    """The owner's token for kernels: in the environment, in a file of its own, and (hashed) in the store."""

    def __init__(self, url: str) -> None:
        self.token = "jhe_" + secrets.token_urlsafe(32)
        self.file = Path(jupyter_runtime_dir()) / f"jhe-{os.getpid()}.token"
        _write_private(self.file, self.token)  # a client reads it again when its token is no longer good
        os.environ.update(JHE_URL=url, JHE_TOKEN=self.token, JHE_TOKEN_FILE=str(self.file))
        self._id: int | None = None

    def register(self, database: Database, user_id: int) -> None:
        from .people import UserRow
        from .tokens import keep

        with database.write() as session:
            self._id = keep(session, self.token, session.get_one(UserRow, user_id), LEASE, via="jupyter")

    def renew(self, database: Database) -> None:
        from .tokens import extend

        with database.write() as session:
            extend(session, self._id or 0, LEASE)

    def end(self, database: Database) -> None:
        from .tokens import revoke

        with database.write() as session:
            revoke(session, self._id or 0)

    def forget(self) -> None:
        self.file.unlink(missing_ok=True)
        for name in ("JHE_URL", "JHE_TOKEN", "JHE_TOKEN_FILE"):
            os.environ.pop(name, None)


def _write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner can read, at once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)
