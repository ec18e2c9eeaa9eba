"""The way in below our root: finds the handler of a request, and opens the store for the first one.

Everything heavy (SQLAlchemy, pydantic, the routes) is imported then, or by the thread that starts once the server
answers: a notebook server is not kept waiting for an Exchange nobody has asked for yet.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import RuleRouter
from tornado.web import Application

from . import __version__
from .routes import without_secrets

if TYPE_CHECKING:
    from .app import ExchangeApp


class Unopened(JupyterHandler):
    """What every call hears while the store cannot be opened; only that the process lives is true all the same."""

    async def prepare(self) -> None:  # type: ignore[override]
        self.set_header("Content-Type", "application/json")
        if self.request.path.rstrip("/") == f"{self.settings['jhe'].root}/health":
            await self.finish(json.dumps({"status": "ok", "version": __version__}))  # the process lives
            return
        self.set_status(503)
        self.set_header("Retry-After", "30")
        await self.finish(json.dumps({"detail": "The Exchange's database cannot be opened; its log says why."}))

    @allow_unauthenticated
    async def get(self) -> None:
        """Never reached: `prepare` has answered."""

    def _log(self) -> None:
        """Jupyter would log the whole address and where it was linked from; a secret may stand in either."""
        if self.get_status() >= 500:
            self.log.warning("jhe: 503 %s %s", self.request.method, without_secrets(self.request.path))


class Entrance(RuleRouter):
    """Routes to the Exchange's handlers, which are known once its store is open."""

    def __init__(self, exchange: ExchangeApp, application: Application) -> None:
        super().__init__([])
        self.exchange = exchange
        self.application = application

    def find_handler(self, request: HTTPServerRequest, **more: Any) -> HTTPMessageDelegate | None:
        if not self.rules:
            try:
                self.open()
            except Exception:
                self.exchange.log.exception("jhe: the database cannot be opened")
                return self.application.get_handler_delegate(request, Unopened)
        return super().find_handler(request, **more)

    def open(self) -> None:
        """Open the store and learn the routes; a store that cannot be opened is tried again with the next request."""
        found = self.exchange.opened.handlers(self.exchange)
        base = self.exchange.serverapp.base_url  # type: ignore[union-attr]
        self.add_rules([(url_path_join(base, pattern), *rest) for pattern, *rest in found])

    def get_target_delegate(
        self, target: Any, request: HTTPServerRequest, **parameters: Any
    ) -> HTTPMessageDelegate | None:
        return self.application.get_handler_delegate(request, target, **parameters)
