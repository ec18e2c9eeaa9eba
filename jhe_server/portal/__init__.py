"""The portal: the console at `/jhe/portal`, without code, for those who keep a study and never open a notebook.

Voilà renders one packaged notebook, in a kernel that has what every kernel of this server has: the owner's token (on a
Hub the user's own). It is an extra, and loaded with the first request; without it the address says how to get it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import PathMatches, Rule, RuleRouter

NOTEBOOK = "console.ipynb"
FOLDER = Path(__file__).parent
MISSING = "The portal needs Voilà: pip install 'jupyterhealth-jupyter[portal]', then start Jupyter again."


class NoPortal(JupyterHandler):
    """What the portal's address says where Voilà is not installed."""

    @web.authenticated
    def head(self) -> None:
        self.set_status(404)

    @web.authenticated
    def get(self) -> None:
        self.set_status(404)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write(MISSING)


class Portal(RuleRouter):
    """Finds the portal's handler when it is first asked for: nobody waits for Voilà who does not use it."""

    def __init__(self, server: ServerApp) -> None:
        super().__init__([])
        self.server = server

    def find_handler(self, request: HTTPServerRequest, **more: Any) -> HTTPMessageDelegate | None:
        handler, arguments = self._handler()
        application = self.server.web_app
        return application.get_handler_delegate(request, handler, target_kwargs=arguments)

    def _handler(self) -> tuple[type[web.RequestHandler], dict[str, Any]]:
        if find_spec("voila") is None:
            return NoPortal, {}
        from .rendering import PortalHandler, arguments

        return PortalHandler, arguments(self.server)


def rule(server: ServerApp) -> Rule:
    """The route of the portal on a Jupyter server."""
    return Rule(PathMatches(url_path_join(server.base_url, "jhe/portal/?")), Portal(server))
