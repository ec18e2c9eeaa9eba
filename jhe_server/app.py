"""`ExchangeApp`: the traits an operator sets, the store opened, the routes added up; it wires and decides nothing.

Where it runs decides what it is: in a plain Jupyter server the owner's own Exchange, alone an API without kernels, in a
user's server on a Hub nothing at all (the Hub's service hosts it).
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.paths import jupyter_runtime_dir
from jupyter_server.auth.identity import IdentityProvider, LegacyIdentityProvider, PasswordIdentityProvider
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.manager import AsyncContentsManager
from jupyter_server.utils import url_path_join
from tornado.ioloop import PeriodicCallback
from traitlets import Bool, Enum, Float, Int, List, Unicode, default

from .cli import default_database

if TYPE_CHECKING:
    from .door import Door
    from .strangers import Strangers

SINGLE_USER = (IdentityProvider, PasswordIdentityProvider, LegacyIdentityProvider)
LEASE = timedelta(hours=1)  # a kernel's token outlives a server that was killed by this much at most
RENEW_EVERY = 10 * 60 * 1000  # milliseconds


class NoContents(AsyncContentsManager):
    """Alone there are no files to serve: nothing is registered at /files/ either."""

    files_handler_class = None

    def info_string(self) -> str:
        return "JupyterHealth Exchange: no files are served"


class ExchangeServerApp(ServerApp):
    """The server of `jupyter jhe`: no kernels, no terminals, no files."""

    name = "jupyter-jhe-server"
    default_services = ("auth", "security")  # type: ignore[assignment]

    @default("contents_manager_class")
    def _default_contents(self) -> type[NoContents]:
        return NoContents

    @default("terminals_enabled")
    def _default_terminals(self) -> bool:
        return False

    @default("allow_unauthenticated_access")
    def _default_unauthenticated(self) -> bool:
        return False

    def init_signal(self) -> None:
        """Without a terminal the stock server would die of SIGINT before its extensions are stopped."""
        super().init_signal()
        signal.signal(signal.SIGINT, self._signal_stop)


class ExchangeApp(ExtensionApp):
    """The JupyterHealth Exchange in Jupyter."""

    name = "jhe"
    app_name = "JupyterHealth Exchange"
    description = "Host the JupyterHealth Exchange: patients, studies, consents and observations."
    extension_url = "/jhe/"
    load_other_extensions = False
    serverapp_class = ExchangeServerApp
    serverapp_config = {"open_browser": False, "allow_root": True}

    database = Unicode(help="Where the Exchange keeps its data: sqlite:///FILE or postgresql://…").tag(config=True)
    public_url = Unicode(
        "", help="The address under which clients reach the Exchange, …/jhe, where a proxy stands in front."
    ).tag(config=True)
    at_root = Bool(False, help="Alone: serve the API at the root of the host as well, for apps told a host only.").tag(
        config=True
    )
    cors_origins = List(Unicode(), help="Origins of browser apps that may call the API with bearer tokens.").tag(
        config=True
    )
    kernel_environment = Bool(True, help="Give kernels JHE_URL and JHE_TOKEN, with the owner's rights.").tag(
        config=True
    )
    threads = Int(8, help="Requests worked on at once.").tag(config=True)
    invitation_link_prefix = Unicode(help="The guide's invitation link, up to the host and the token.").tag(config=True)
    invitation_days = Float(14.0, help="Days for which an invitation can be redeemed.").tag(config=True)
    default_client = Unicode("CommonHealth", help="The client of the guide's invitation link, by name.").tag(
        config=True
    )
    lookups_per_minute = Int(120, help="Lookups by e-mail across organizations, per person and minute.").tag(
        config=True
    )
    smtp_host = Unicode("", help="The mail server; without one, messages are written to the outbox folder.").tag(
        config=True
    )
    smtp_port = Int(0, help="0: 587 for STARTTLS, 465 for TLS, 25 for none.").tag(config=True)
    smtp_tls = Enum(("starttls", "tls", "none"), "starttls", help="How the connection is protected.").tag(config=True)
    smtp_user = Unicode("", help="The account at the mail server.").tag(config=True)
    smtp_password = Unicode("", help="Its password; set it in a file only you can read.").tag(config=True)
    mail_sender = Unicode("noreply@localhost", help="The address invitations come from.").tag(config=True)
    outbox = Unicode("", help="The outbox folder; `outbox` beside the database unless set.").tag(config=True)

    aliases = {"database": "ExchangeApp.database"}

    closing = False
    owner_id: int | None = None
    door: Door
    strangers: Strangers
    pool: ThreadPoolExecutor
    _working = 0
    _kernel_token: int | None = None
    _token_file: Path | None = None

    @default("database")
    def _default_database(self) -> str:
        return default_database()

    @default("invitation_link_prefix")
    def _default_prefix(self) -> str:
        from .settings import GUIDE_PREFIX

        return GUIDE_PREFIX

    # -------------------------------------------------------------- where am I
    @property
    def _server(self) -> ServerApp:
        assert self.serverapp is not None
        return self.serverapp

    @property
    def alone(self) -> bool:
        return isinstance(self.serverapp, ExchangeServerApp)

    @property
    def client_mode(self) -> bool:
        """A user's server on a Hub: the Exchange is the Hub's service, not this process's file."""
        return bool(os.environ.get("JUPYTERHUB_USER"))

    @property
    def root(self) -> str:
        """The path of the Exchange on this server, without a slash at its end."""
        return str(url_path_join(self._server.base_url, "jhe")).rstrip("/")

    @property
    def public_root(self) -> str:
        return str(self.public_url).rstrip("/")

    def is_single_user(self, provider: Any) -> bool:
        """Only Jupyter's own identity providers mean "the one owner"; any other may know several people."""
        return type(provider) in SINGLE_USER

    # -------------------------------------------------------------- start
    def initialize_settings(self) -> None:
        self.settings["jhe"] = self
        self.started = time.time()
        if self.client_mode:
            return
        from .app_parts import open_store, settings_of
        from .door import Door
        from .strangers import Strangers

        store = open_store(self.database)
        self.door = Door(store, settings_of(self, self.site()), self.log)
        self.pool = ThreadPoolExecutor(self.threads, "jhe")
        self.strangers = Strangers(self.door.record)
        if not self.alone:
            self.owner_id = self._owner()

    def site(self) -> str:
        """Where the Exchange says it is: what is set, else the server's own address, never a request's."""
        if self.public_url:
            return self.public_root
        ip = self._server.ip if self._server.ip not in ("", "0.0.0.0", "::", "*") else "127.0.0.1"  # noqa: S104
        return f"http://{ip}:{self._server.port}{self.root}"

    def _owner(self) -> int:
        from .people import owner

        with self.door.database.write() as session:
            return owner(session).id

    def initialize_handlers(self) -> None:
        if self.client_mode:
            self.log.info("jhe: a user's server on a Hub; the Exchange is hosted by the Hub's service")
            return
        from .app_parts import handlers

        self.handlers.extend(handlers("/jhe"))
        if self.alone:
            self.handlers.extend(handlers("") if self.at_root else [("/", self._front_page())])

    def _front_page(self) -> Any:
        from .public import FrontPage

        return FrontPage

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """After the socket is bound: only now is the port known."""
        if self.client_mode:
            return
        from dataclasses import replace

        if not self.public_url and not serverapp.sock:
            self.door.settings = replace(self.door.settings, site=serverapp.connection_url.rstrip("/") + "/jhe")
        self._minutely = PeriodicCallback(self._flush_strangers, 15_000)
        self._minutely.start()
        if self.owner_id is not None and self.kernel_environment and not serverapp.sock:
            await self._lend_token(serverapp)

    # -------------------------------------------------------------- kernels
    async def _lend_token(self, serverapp: ServerApp) -> None:
        """Kernels find JHE_URL and JHE_TOKEN in their environment; the token lives as long as this server."""
        token, self._kernel_token = await self._run(self._issue_token)
        lent = {"JHE_URL": serverapp.connection_url.rstrip("/") + "/jhe", "JHE_TOKEN": token}
        self._token_file = Path(jupyter_runtime_dir()) / f"jhe-{os.getpid()}.token"
        _write_private(self._token_file, token)  # the client reads it again when the token is no longer good
        os.environ.update(lent, JHE_TOKEN_FILE=str(self._token_file))
        self._renewal = PeriodicCallback(self._renew_token, RENEW_EVERY)
        self._renewal.start()

    def _issue_token(self) -> tuple[str, int]:
        from .people import owner
        from .tokens import issue

        with self.door.database.write() as session:
            return issue(session, owner(session), LEASE, via="jupyter")

    async def _renew_token(self) -> None:
        from .tokens import extend

        await self._run(self._with_token, extend, LEASE)

    def _with_token(self, action: Any, *arguments: Any) -> None:
        with self.door.database.write() as session:
            action(session, self._kernel_token, *arguments)

    # -------------------------------------------------------------- stop
    @contextmanager
    def in_flight(self) -> Iterator[None]:
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1

    async def stop_extension(self) -> None:
        """Before the HTTP server stops: what is under way is finished, what comes hears 503, then the store closes."""
        if self.client_mode or self.closing or not hasattr(self, "door"):
            return
        self.closing = True
        for callback in ("_minutely", "_renewal"):
            if hasattr(self, callback):
                getattr(self, callback).stop()
        until = time.monotonic() + 10
        while self._working and time.monotonic() < until:
            await asyncio.sleep(0.02)
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        from .tokens import revoke

        self.strangers.flush(everything=True)
        if self._kernel_token is not None:
            self._with_token(revoke)
        if self._token_file is not None:
            self._token_file.unlink(missing_ok=True)
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.door.database.close()

    async def _flush_strangers(self) -> None:
        await self._run(self.strangers.flush)

    async def _run(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    def current_activity(self) -> dict[str, int] | None:
        return {"requests": self._working} if self._working else None


def _write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner can read, at once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)
