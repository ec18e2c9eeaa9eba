"""The server of `jupyter jhe` as a JupyterHub's service: where it listens and who is there, as the Hub says.

The Hub tells a service it starts everything by environment variables; one that is started elsewhere has to be told the
same ones, of which those that follow from the others may be left out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from traitlets import default

from .alone import ExchangeServerApp

MISSING = (
    "As a service of JupyterHub the Exchange needs jupyterhub itself: pip install 'jupyterhealth-jupyter[hub]', of the"
    " Hub's own version."
)


def is_service(environ: Mapping[str, str]) -> bool:
    """Whether this process is a Hub's service; a user's server on a Hub is none.

    >>> is_service({"JUPYTERHUB_SERVICE_NAME": "jhe"}), is_service({"JUPYTERHUB_USER": "ada"})
    (True, False)
    """
    return bool(environ.get("JUPYTERHUB_SERVICE_NAME")) and not environ.get("JUPYTERHUB_USER")


def completed(environ: Mapping[str, str]) -> dict[str, str]:
    """What a service that the Hub did not start need not be told, since it follows from its name.

    >>> completed({"JUPYTERHUB_SERVICE_NAME": "jhe"})["JUPYTERHUB_SERVICE_PREFIX"]
    '/services/jhe/'
    """
    name, base = environ["JUPYTERHUB_SERVICE_NAME"], environ.get("JUPYTERHUB_BASE_URL", "").rstrip("/") + "/"
    usual = {
        "JUPYTERHUB_BASE_URL": base,
        "JUPYTERHUB_SERVICE_PREFIX": f"{base}services/{name}/",
        "JUPYTERHUB_CLIENT_ID": f"service-{name}",
    }
    return {key: value for key, value in usual.items() if not environ.get(key)}


class HubServerApp(ExchangeServerApp):
    """Listens where the Hub's proxy looks for it."""

    name = "jupyter-jhe-hub-service"

    def initialize(self, *arguments: Any, **more: Any) -> None:
        os.environ.update(completed(os.environ))
        super().initialize(*arguments, **more)

    @property
    def _bound(self) -> Any:
        return urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL") or "http://127.0.0.1:0")

    @default("ip")
    def _default_ip(self) -> str:
        return self._bound.hostname or "127.0.0.1"

    @default("port")
    def _default_port(self) -> int:
        return self._bound.port or 80

    @default("port_retries")
    def _default_port_retries(self) -> int:
        return 0  # the proxy looks in one place only

    @default("base_url")
    def _default_base_url(self) -> str:
        return os.environ["JUPYTERHUB_SERVICE_PREFIX"]

    @default("allow_remote_access")
    def _default_remote_access(self) -> bool:
        return True  # the Hub's proxy hands on the host that the browser asked for

    @default("identity_provider_class")
    def _default_identity_provider(self) -> Any:
        try:
            from .hub import HubIdentityProvider
        except ImportError:
            raise SystemExit(MISSING) from None
        return HubIdentityProvider
