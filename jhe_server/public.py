"""The few paths everybody may read: health, readiness, FHIR's capability statement, a front page."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler

from . import __version__
from .complaints import UNREACHABLE
from .fhir_api import FHIR_JSON, capability_statement

if TYPE_CHECKING:
    from .app import ExchangeApp

PATIENCE = 5.0  # seconds after which a store that is asked whether it is ready is not


class PublicHandler(JupyterHandler):
    """Says nothing that depends on who asks, so it asks nobody."""

    async def prepare(self) -> None:  # type: ignore[override]
        if not self.check_host():
            self.set_status(403)
            await self.finish({"detail": "This host name is not one of this server's."})

    @property
    def exchange(self) -> ExchangeApp:
        return self.settings["jhe"]  # type: ignore[no-any-return]

    def set_default_headers(self) -> None:
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.set_header(
            "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        )


class HealthHandler(PublicHandler):
    """Whether the process lives: for whoever restarts it. The store has no part in it."""

    @allow_unauthenticated
    async def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        await self.finish(json.dumps({"status": "stopping" if self.exchange.closing else "ok", "version": __version__}))


class ReadyHandler(PublicHandler):
    """Whether requests should be sent here: for whoever spreads them. However many ask, the store is asked once."""

    @allow_unauthenticated
    async def get(self) -> None:
        why = "The Exchange is stopping." if self.exchange.closing else await self._unready()
        if why is not None:
            self.set_status(503)
            self.set_header("Retry-After", "5")
        self.set_header("Content-Type", "application/json")
        await self.finish(json.dumps({"status": "ready"} if why is None else {"status": "not ready", "detail": why}))

    async def _unready(self) -> str | None:
        opened = self.exchange.opened
        try:
            return await asyncio.wait_for(asyncio.shield(opened.asked_whether_ready()), PATIENCE)
        except TimeoutError:
            return UNREACHABLE


class MetadataHandler(PublicHandler):
    @allow_unauthenticated
    async def get(self) -> None:
        root = f"{self.exchange.public_root or self.request.protocol + '://' + self.request.host + self.exchange.root}"
        self.set_header("Content-Type", FHIR_JSON)
        started = datetime.fromtimestamp(self.exchange.started, UTC).isoformat(timespec="seconds")
        await self.finish(json.dumps(capability_statement(f"{root}/FHIR/R5", started)))


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>JupyterHealth Exchange</title><style>
body{{font:1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:4rem auto;padding:0 1rem}}
code{{background:color-mix(in srgb,currentColor 10%,transparent);padding:.1em .3em;border-radius:.2em}}</style>
<h1>JupyterHealth Exchange</h1><p>{what}</p>{more}
<p>Clients: <code>JHE_URL={url}</code> and a token from <code>jupyter jhe token EMAIL</code>.</p></html>"""
PORTAL = '<p><a href="{hub}user-redirect/jhe/portal">The portal</a> opens in your own server, without any code.</p>'


class FrontPage(PublicHandler):
    @allow_unauthenticated
    async def get(self) -> None:
        url = self.exchange.public_root or f"{self.request.protocol}://{self.request.host}{self.exchange.root}"
        hub = self.exchange.hub
        more = "" if hub is None else PORTAL.format(hub=escape(hub.auth.hub_prefix))
        self.set_header("Content-Type", "text/html; charset=utf-8")
        await self.finish(PAGE.format(what=escape(self._what()), more=more, url=escape(url)))

    def _what(self) -> str:
        if self.exchange.hub is not None:
            return "This is your JupyterHub's Exchange. The kernels of your own server find it by themselves."
        what = "This server hosts the Exchange's API. "
        if self.exchange.alone:
            return f"{what}It runs no kernels and no portal: open the panels in a notebook of your own Jupyter."
        return f"{what}Open a notebook and call jhe_jupyter.connect(): it is configured already."
