"""Before anything is opened: what this server's settings mean for others, and whether it may start with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .errors import ExchangeError
from .safety import Exposure, risks

if TYPE_CHECKING:
    from .app import ExchangeApp


def refuse_unsafe(app: ExchangeApp) -> None:
    """Say every risk; end the process for one that nobody accepted, or, in somebody's notebook server, host nothing."""
    fatal = []
    for risk in risks(exposure_of(app)):
        if risk.fatal and risk.name not in app.accepted_risks:
            fatal.append(risk.sentence)
        else:
            app.log.warning("jhe: %s", risk.sentence)
    if fatal:
        with or_not_at_all(app):
            raise ExchangeError(" ".join(fatal))


@contextmanager
def or_not_at_all(app: ExchangeApp) -> Iterator[None]:
    """Alone, what keeps the Exchange from starting ends the process with one sentence; there is nothing else to do."""
    try:
        yield
    except ExchangeError as error:
        if not app.alone:
            raise
        app.log.critical("jhe: not started. %s", error.detail)
        app.exit(1)


def exposure_of(app: ExchangeApp) -> Exposure:
    """How a server that is about to start can be reached."""
    server = app.serverapp
    assert server is not None
    provider = server.identity_provider
    return Exposure(
        ip="127.0.0.1" if server.sock else server.ip,
        alone=app.alone,
        behind_hub=app.hub is not None,
        encrypted=bool(server.certfile),
        asks_who=bool(getattr(provider, "auth_enabled", True)),
        token=None if getattr(provider, "token_generated", True) else provider.token,
        public_url=app.public_root,
        secrets=passwords(app),
        files=private_files(app),
    )


def passwords(app: ExchangeApp) -> tuple[tuple[str, str], ...]:
    """The passwords among the settings, by the setting's name."""
    database = urlsplit(app.database).password
    found = [] if database is None else [("database", database)]
    return (*found, *([("smtp_password", app.smtp_password)] if app.smtp_host and app.smtp_user else []))


def private_files(app: ExchangeApp) -> tuple[Path, ...]:
    """The database, where it is a file, and the signing key, where it has been said where that is."""
    kind, _, name = app.database.partition(":///")
    found = [Path(name), Path(f"{name}-wal")] if kind == "sqlite" and name else []
    return (*found, *([Path(app.key_file)] if app.key_file else []))
