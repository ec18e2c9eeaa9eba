"""What all answers have in common: their headers, the addresses in them, how an error becomes a status, and the log."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from concurrent.futures import Executor
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jupyter_server.base.handlers import JupyterHandler
from tornado import web
from tornado.iostream import StreamClosedError

from . import log_lines, metrics
from .calls import JSON
from .errors import ExchangeError, Unauthenticated, Unavailable
from .routes import Route, without_secrets

if TYPE_CHECKING:
    from .app import ExchangeApp

EXPOSED = "ETag, Location, Retry-After, WWW-Authenticate, X-Request-ID"  # to pages of an allowed origin


class AnsweringHandler(JupyterHandler):
    """The routes of one path, and how anything about them is said; who is let in stands in `admission`."""

    routes: dict[str, Route]
    error_type = JSON
    known_origin = False

    def initialize(self, routes: dict[str, Route]) -> None:
        self.routes = routes

    @cached_property
    def request_id(self) -> str:
        """The request's number in the log, in the audit and in the answer; ours alone, whatever a caller sends."""
        return secrets.token_hex(8)

    @property
    def exchange(self) -> ExchangeApp:
        return self.settings["jhe"]  # type: ignore[no-any-return]

    @property
    def route(self) -> Route | None:
        return self.routes.get(self.request.method or "")

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Off the event loop: no notebook waits for a database."""
        pool: Executor = self.exchange.pool
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, metrics.timed(function, *arguments))
        except RuntimeError as error:
            if self.exchange.closing:
                raise Unavailable(headers={"Retry-After": "5"}) from error
            raise

    # -------------------------------------------------------------- headers
    def set_default_headers(self) -> None:
        """On every answer, errors included."""
        self.set_header("X-Request-ID", self.request_id)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        self.set_header("Vary", "Origin, Accept, Authorization, Cookie")
        origin = self.request.headers.get("Origin")
        if origin and (self.known_origin or origin in self.settings["jhe"].cors_origins):
            self.set_header("Access-Control-Allow-Origin", origin)  # never with credentials: bearer tokens only
            self.set_header("Access-Control-Expose-Headers", EXPOSED)

    # -------------------------------------------------------------- addresses
    @property
    def address(self) -> str:
        """Where the caller is, as the outermost proxy that we trust has seen it."""
        said, peer = self.request.headers.get("X-Forwarded-For", ""), self.request.remote_ip or ""
        return seen_by_proxies(said, self.exchange.proxies, peer)

    @property
    def mounted(self) -> str:
        """The path below which browsers reach the Exchange."""
        if self.exchange.public_url:
            return urlsplit(self.exchange.public_root).path
        return self.exchange.root if self.request.path.startswith(f"{self.exchange.root}/") else ""

    def absolute(self, path: str) -> str:
        """An address the caller can follow; `public_url` where a proxy would have us guess."""
        if self.exchange.public_url:
            root = self.exchange.public_root
            below = path.removeprefix(self.exchange.root) if path.startswith(self.exchange.root) else path
            return root + below
        return f"{self.request.protocol}://{self.request.host}{path}"

    # -------------------------------------------------------------- errors and the log
    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Tornado would log the whole address; what it refuses itself is in the log of requests."""
        if not isinstance(value, ExchangeError | StreamClosedError | web.HTTPError):
            said = (self.request.method, without_secrets(self.request.path), self.request_id)
            self.log.error("jhe: %s %s failed (request %s)", *said, exc_info=(typ, value, tb))

    def send_error(self, status_code: int = 500, **more: Any) -> None:
        error = (more.get("exc_info") or (None, None, None))[1]
        status = error.status if isinstance(error, ExchangeError) else status_code
        super().send_error(status, **more)

    def write_error(self, status_code: int, **more: Any) -> None:
        error = (more.get("exc_info") or (None, None, None))[1]
        refusal = error if isinstance(error, ExchangeError) else _refusal(status_code)
        if isinstance(refusal, Unauthenticated):
            self.exchange.strangers.refused(self.address)
        for name, value in refusal.headers.items():
            self.set_header(name, value)
        self.set_header("Content-Type", self.error_type)
        self.finish(self.error_text(refusal))

    def error_text(self, refusal: ExchangeError) -> str:
        return json.dumps(self.error_body(refusal), ensure_ascii=False)

    def error_body(self, refusal: ExchangeError) -> dict[str, Any]:
        return {"detail": refusal.detail} | ({"errors": refusal.errors} if refusal.errors else {})

    def _log(self) -> None:
        """Jupyter's own access log hides queries only, and an invitation's secret may stand in the path."""
        status, took = self.get_status(), self.request.request_time()
        metrics.answered(self.route, status, took)
        log_lines.answered(self.log, self.request, status, took, self.request_id)


def seen_by_proxies(forwarded: str, proxies: int, peer: str) -> str:
    """The caller's address where so many trusted proxies each append whom they see; what stands before is hearsay.

    >>> seen_by_proxies("6.6.6.6, 192.0.2.7, 10.0.0.1", 2, "10.0.0.2")
    '192.0.2.7'
    >>> seen_by_proxies("6.6.6.6", 0, "192.0.2.7"), seen_by_proxies("", 1, "10.0.0.2")
    ('192.0.2.7', '10.0.0.2')
    """
    seen = [one.strip() for one in forwarded.split(",") if one.strip()]
    return seen[-proxies][:60] if 0 < proxies <= len(seen) else peer


def _refusal(status: int) -> ExchangeError:
    """What tornado itself refuses (a malformed request, a method), in our words."""
    found = next((kind for kind in ExchangeError.__subclasses__() if kind.status == status), None)
    if found is not None:
        return found()
    refusal = ExchangeError("The request cannot be used as it was sent." if 400 <= status < 500 else None)
    refusal.status = status
    return refusal
