"""The portal's page: Voilà with one notebook of ours, and an end for kernels whose page is gone."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.filemanager import AsyncFileContentsManager
from jupyter_server.utils import ensure_async, url_path_join
from tornado import web
from tornado.ioloop import PeriodicCallback
from voila.configuration import VoilaConfiguration
from voila.paths import collect_template_paths
from voila.server_extension import _load_jupyter_server_extension
from voila.tornado.handler import TornadoVoilaHandler

from . import FOLDER, NOTEBOOK

LEFT_ALONE = 120.0  # seconds a kernel of the portal may be without a page before it is ended
LOOK_EVERY = 30_000  # milliseconds


class Kernels:
    """The server's kernel manager as the portal uses it: it remembers which kernels are the portal's."""

    def __init__(self, server: ServerApp) -> None:
        self._manager: Any = server.kernel_manager
        self._last_seen: dict[str, float] = {}
        self._ticking = PeriodicCallback(self.end_those_left_alone, LOOK_EVERY)
        self._ticking.start()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    async def start_kernel(self, **how: Any) -> str:
        """Start one in the server's own folder: the package's folder is no place to work in."""
        id = str(await ensure_async(self._manager.start_kernel(**{**how, "path": None})))
        self._last_seen[id] = time.monotonic()
        return id

    async def end_those_left_alone(self) -> None:
        """A page that is closed says so; one that was lost does not."""
        known = {one["id"]: one["connections"] for one in await ensure_async(self._manager.list_kernels())}
        for id, seen in list(self._last_seen.items()):
            if id not in known:
                del self._last_seen[id]
            elif known[id]:
                self._last_seen[id] = time.monotonic()
            elif time.monotonic() - seen > LEFT_ALONE:
                del self._last_seen[id]
                await ensure_async(self._manager.shutdown_kernel(id))


class PortalHandler(TornadoVoilaHandler):  # type: ignore[misc]
    """The console, rendered for whoever is signed in to this Jupyter server."""

    def initialize(self, *, kernels: Kernels, contents: AsyncFileContentsManager, **more: Any) -> None:
        self._kernels, self._contents = kernels, contents
        super().initialize(**more)

    @property
    def kernel_manager(self) -> Any:
        return self._kernels

    @property
    def contents_manager(self) -> Any:
        """The package's own folder, where the notebook is; the user's files are not reached from here."""
        return self._contents

    @property
    def settings(self) -> dict[str, Any]:
        """No page of ours uses mathematics, which would come from elsewhere: an address of this server is no script."""
        return {**self.application.settings, "mathjax_url": url_path_join(self.application.settings["base_url"], "api")}

    @web.authenticated
    async def head(self) -> None:
        """Whether there is a portal; starts nothing."""

    @web.authenticated
    async def get(self) -> None:
        _ = self.xsrf_token  # sets the cookie with which the page says that it was closed
        await super().get()


@cache
def arguments(server: ServerApp) -> dict[str, Any]:
    """What the handler of one server is made with."""
    if "voila_jinja2_env" not in server.web_app.settings:
        _load_jupyter_server_extension(server)  # its files and its way to end a kernel, where it is not enabled
    configuration = VoilaConfiguration(
        parent=server,
        template="lab",
        strip_sources=True,
        show_tracebacks=False,
        allow_template_override="NO",
        extension_denylist=["jupyterhealth-jupyter"],  # our tile has no place in its own page
        allow_theme_override="YES",  # the tile asks for the theme of the JupyterLab around it
    )
    return {
        "kernels": Kernels(server),
        "contents": AsyncFileContentsManager(root_dir=str(FOLDER), parent=server),
        "config": server.config,
        "notebook_path": NOTEBOOK,
        "template_paths": [str(FOLDER / "templates"), *collect_template_paths(["voila", "nbconvert"], "lab")],
        "voila_configuration": configuration,
    }
