"""`ExchangeApp`: the traits an operator sets, the store opened, the routes added up; it wires and decides nothing.

Where it runs decides what it is: in a plain Jupyter server the owner's own Exchange, alone an API without kernels, in a
user's server on a Hub nothing at all (the Hub's service hosts it).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.identity import IdentityProvider, LegacyIdentityProvider, PasswordIdentityProvider
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.ioloop import PeriodicCallback
from tornado.routing import PathMatches, Rule
from traitlets import Bool, Dict, Enum, Float, Int, List, Unicode, default

from . import log_lines, portal
from .alone import ExchangeServerApp
from .commands import default_database
from .entrance import Entrance
from .kernels import RENEW_EVERY, KernelToken
from .safety import ACCEPTABLE
from .starting import or_not_at_all, refuse_unsafe
from .stream_places import StreamPlaces

if TYPE_CHECKING:
    from .door import Door
    from .hub import Hub
    from .opened import Opened
    from .strangers import Strangers

SINGLE_USER = (IdentityProvider, PasswordIdentityProvider, LegacyIdentityProvider)
LAST_WORDS = 5.0  # seconds in which the store may close after that, before the process ends without it
STREAMS = 8  # read at once: as many connections again are left for everything else
STREAMS_EACH = 4  # of which one caller has at most so many
LOOK_EVERY = 20_000  # milliseconds between two looks at the Hub: is everybody who is in still there?
IDLE = 2.0  # seconds after the start before the store is opened unasked: the first page comes first


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
    proxies = Int(0, help="Trusted proxies in front: the caller's address is the one the outermost has seen.").tag(
        config=True
    )
    lifetimes = Dict(help="What is good for longer or shorter than usual, as {'access_minutes': 15}.").tag(config=True)
    limits = Dict(help="Attempts a minute or two that differ from the usual, as {'account': 10}.").tag(config=True)
    key_file = Unicode("", help="The key that signs ID tokens; `signing-key.json` beside the database unless set.").tag(
        config=True
    )
    kernel_environment = Bool(True, help="Give kernels JHE_URL and JHE_TOKEN, with the owner's rights.").tag(
        config=True
    )
    max_body_mib = Float(1.0, help="The largest body a call may have, in MiB.").tag(config=True)
    max_import_mib = Float(10.0, help="The largest import of patients, in MiB.").tag(config=True)
    max_bundle_mib = Float(32.0, help="The largest FHIR Bundle, in MiB.").tag(config=True)
    threads = Int(8, help="Requests worked on at once.").tag(config=True)
    stalled_after = Float(60.0, help="Seconds a reader may leave a stream untouched before it is closed.").tag(
        config=True
    )
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
    hub_email = Unicode(
        "", help="On a Hub: the address of user {name}, which the Hub then vouches for, as {name}@example.org."
    ).tag(config=True)
    hub_groups = Dict(help="On a Hub: roles by Hub group, as {'cardio': {20003: 'member'}}.").tag(config=True)
    hub_admins_are_superusers = Bool(False, help="On a Hub: its admins, and nobody else of it, are superusers.").tag(
        config=True
    )
    stop_within = Float(10.0, help="Seconds in which what is under way may finish when the server stops.").tag(
        config=True
    )
    accepted_risks = List(Enum(ACCEPTABLE), help="Start all the same: plain_http, readable_files.").tag(config=True)
    log_lines = Enum(("plain", "json"), "plain", help="json: each line of the log is an object, for a collector.").tag(
        config=True
    )
    outbox = Unicode("", help="The outbox folder; `outbox` beside the database unless set.").tag(config=True)

    aliases = {"database": "ExchangeApp.database"}

    closing = False
    kernel_token: KernelToken | None = None
    _opened: Opened | None = None
    _working = 0

    @default("database")
    def _default_database(self) -> str:
        return default_database()

    @default("invitation_link_prefix")
    def _default_prefix(self) -> str:
        from .settings import GUIDE_PREFIX

        return GUIDE_PREFIX

    @default("public_url")
    def _default_public_url(self) -> str:
        """A Hub that knows its own public address says where its service is."""
        found = os.environ.get("JUPYTERHUB_PUBLIC_URL", "") if self._is_service else ""
        return f"{found.rstrip('/')}/jhe" if found else ""

    @default("proxies")
    def _default_proxies(self) -> int:
        return int(self._is_service)  # the Hub's own

    # -------------------------------------------------------------- where am I
    @property
    def _is_service(self) -> bool:
        return bool(os.environ.get("JUPYTERHUB_SERVICE_NAME")) and not self.client_mode

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
    def hub(self) -> Hub | None:
        """The Hub whose service this is."""
        found: Hub | None = getattr(self._server.identity_provider, "hub", None) if self.alone else None
        return found

    @property
    def root(self) -> str:
        """The path of the Exchange on this server, without a slash at its end."""
        return str(url_path_join(self._server.base_url, "jhe")).rstrip("/")

    @property
    def public_root(self) -> str:
        return str(self.public_url).rstrip("/")

    def body_limit(self, kind: str) -> int:
        """The largest body of a kind of call (`routes.Kind`), in bytes."""
        mebibytes: float = getattr(self, f"max_{kind}_mib")
        return round(mebibytes * 2**20)

    def is_single_user(self, provider: Any) -> bool:
        """Only Jupyter's own identity providers mean "the one owner"; any other may know several people."""
        return type(provider) in SINGLE_USER

    # -------------------------------------------------------------- start
    def initialize_settings(self) -> None:
        self.settings["jhe"] = self
        if self.log_lines == "json":
            log_lines.as_json()
        self.started = time.time()
        self._opening = threading.Lock()
        self._ticking: list[PeriodicCallback] = []
        self.streams = StreamPlaces(STREAMS, STREAMS_EACH)
        self.site = self._site()

    def _site(self) -> str:
        """Where the Exchange says it is: what is set, else the server's own address, never a request's."""
        if self.public_url:
            return self.public_root
        ip = self._server.ip if self._server.ip not in ("", "0.0.0.0", "::", "*") else "127.0.0.1"  # noqa: S104
        return f"http://{ip}:{self._server.port}{self.root}"

    def initialize_handlers(self) -> None:
        if not self.alone:  # alone there are no kernels, so there is no portal
            self._server.web_app.default_router.rules.insert(-1, portal.rule(self._server))
        if self.client_mode:
            self.log.info("jhe: a user's server on a Hub; the Exchange is hosted by the Hub's service")
            return
        refuse_unsafe(self)
        entrance = Entrance(self, self._server.web_app)
        below = url_path_join(self._server.base_url, ".*") if self.alone else f"{self.root}(?:/.*)?"
        # Not `add_handlers`: Jupyter looks there at the methods of handlers that are not known yet.
        self._server.web_app.default_router.rules.insert(-1, Rule(PathMatches(below), entrance))
        if self.alone:
            self._server.web_app.settings["log_function"] = log_lines.of_others
            with or_not_at_all(self):
                entrance.open()

    @property
    def opened(self) -> Opened:
        """The store and all that stands on it, opened when first asked for."""
        with self._opening:
            if self._opened is None:
                from .opened import Opened

                self._opened = Opened(self)
            return self._opened

    @property
    def door(self) -> Door:
        return self.opened.door

    @property
    def pool(self) -> ThreadPoolExecutor:
        return self.opened.pool

    @property
    def strangers(self) -> Strangers:
        return self.opened.strangers

    @property
    def owner_id(self) -> int | None:
        return self.opened.owner_id

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """After the socket is bound: only now is the port known."""
        if self.client_mode:
            return
        if not serverapp.sock:
            self._learn_address(str(serverapp.connection_url).rstrip("/") + "/jhe")
        self._tick(self._flush_strangers, 15_000)
        self._tick(self._renew_token, RENEW_EVERY)
        if self.hub is not None:
            self._tick(self._look_at_hub, LOOK_EVERY)
        loop = asyncio.get_running_loop()
        loop.call_later(IDLE, lambda: loop.run_in_executor(None, self._open_quietly))

    def _learn_address(self, url: str) -> None:
        if not self.public_url:
            self.site = url
            if self._opened is not None:
                self.door.settings = replace(self.door.settings, site=url)
        if not self.alone and self.kernel_environment:
            self.kernel_token = KernelToken(url)

    def _open_quietly(self) -> None:
        """Ahead of the first request; what goes wrong here goes wrong again there, and is said there."""
        with contextlib.suppress(Exception):
            _ = self.opened

    def _tick(self, action: Callable[[], Awaitable[None]], milliseconds: int) -> None:
        callback = PeriodicCallback(action, milliseconds)
        callback.start()
        self._ticking.append(callback)

    async def _flush_strangers(self) -> None:
        if self._opened is not None:
            await self._run(self.strangers.flush)

    async def _renew_token(self) -> None:
        if self._opened is not None and self.kernel_token is not None:
            await self._run(self.kernel_token.renew, self.opened.database)

    async def _look_at_hub(self) -> None:
        from .hub_watch import look

        if self._opened is not None and self.hub is not None:
            await look(self.hub, self.door, self._run)

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

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
        if self.client_mode or self.closing:
            return
        self.closing = True
        for callback in self._ticking:
            callback.stop()
        until = time.monotonic() + self.stop_within
        while self._working and time.monotonic() < until:
            await asyncio.sleep(0.02)
        if self.kernel_token is not None:
            self.kernel_token.forget()
        with self._opening:
            opened = self._opened
        if opened is not None:
            await self._close(opened)

    async def _close(self, opened: Opened) -> None:
        """Alone, a store that never answers is not waited for: what it was asked was not acknowledged."""
        try:
            closed = asyncio.get_running_loop().run_in_executor(None, opened.close)
            await asyncio.wait_for(asyncio.shield(closed), LAST_WORDS)
        except TimeoutError:
            self.log.error("jhe: stopped without %d requests, none of which was acknowledged", self._working)
            if self.alone:
                logging.shutdown()
                os._exit(1)

    def current_activity(self) -> dict[str, int] | None:
        return {"requests": self._working} if self._working else None
