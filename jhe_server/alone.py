"""The server of `jupyter jhe`: Jupyter's, with nothing to serve but the Exchange, and stopped by any signal alike."""

from __future__ import annotations

import signal

from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.manager import AsyncContentsManager
from traitlets import default

HERE = """The JupyterHealth Exchange is at {address}
An account: jupyter jhe user add EMAIL; its password: jupyter jhe user link EMAIL --site={address}
Into a notebook on another machine: jupyter jhe login {address}"""


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

    @default("reraise_server_extension_failures")
    def _default_reraise(self) -> bool:
        return True  # there is nothing else to serve

    @default("no_browser_open_file")
    def _default_no_browser_open_file(self) -> bool:
        return True

    def start_app(self) -> None:
        """Jupyter prints an address with a token it made up, which means nothing here: ours is told instead."""
        provider = self.identity_provider
        if getattr(provider, "token", ""):
            provider.token_generated = False
        super().start_app()

    def running_server_info(self, kernel_count: bool = True) -> str:
        """Where it is, and what to do next."""
        known = self.web_app.settings["jhe"].public_root
        return HERE.format(address=known or f"{str(self.connection_url).rstrip('/')}/jhe")

    def init_signal(self) -> None:
        """Without a terminal the stock server would die of SIGINT before its extensions are stopped."""
        super().init_signal()
        signal.signal(signal.SIGINT, self._signal_stop)
