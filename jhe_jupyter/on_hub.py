"""In a kernel on a JupyterHub: the Exchange is the Hub's service, and the Hub's token is exchanged for one of its own.

That token is good for less than a minute, so that nobody who has left the Hub is in for longer; it is renewed before
its end, in silence. The Hub's own token goes to the token endpoint of the Hub's Exchange and nowhere else.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

import httpx

from .errors import ExchangeError, Unauthenticated
from .transport import client, send, server_url

SERVICE = "services/jhe/jhe"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
EARLY = 10.0  # seconds before its end at which a token is renewed
NOT_LET_IN = (
    "The Exchange does not let this server's Hub token in: restart your server from the Hub's control panel; if that"
    " does not help, your Hub's administrator has to let the roles `user` and `server` access the service."
)


class HubPlace(NamedTuple):
    """Where a Hub's Exchange is, and the Hub's token of this kernel's server."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"HubPlace({self.url!r})"


def hub_place(environ: Mapping[str, str]) -> HubPlace | None:
    """The Exchange of the Hub this kernel runs on: at JHE_URL where that is set, else below the Hub's public address.

    >>> hub_place({"JUPYTERHUB_API_TOKEN": "a", "JUPYTERHUB_PUBLIC_HUB_URL": "https://hub.example.org/all/hub/"})
    HubPlace('https://hub.example.org/all/services/jhe/jhe')

    None where this is no Hub, where the Hub does not say its address, or where the environment has another token for
    the Exchange.
    """
    token, other = environ.get("JUPYTERHUB_API_TOKEN"), environ.get("JHE_TOKEN")
    if not token or environ.get("JHE_TOKEN_FILE") or other not in (None, "", token):
        return None
    url = environ.get("JHE_URL") or _below_hub(environ.get("JUPYTERHUB_PUBLIC_HUB_URL", ""))
    return HubPlace(url, token) if url else None


def _below_hub(hub: str) -> str:
    """Services are beside the Hub's own pages: the same address without its last part."""
    base = hub.rstrip("/").removesuffix("/hub")
    return f"{base}/{SERVICE}" if base else ""


class Exchanged(httpx.Auth):
    """A token of the Exchange for one of the Hub's, renewed shortly before its end, and once when it is refused."""

    def __init__(self, place: HubPlace) -> None:
        self._url, self._hub_token = str(server_url(place.url)), place.token
        self._one_at_a_time = threading.Lock()
        self._token, self._expires = "", 0.0
        self._http = client(self._url, timeout=30.0)
        weakref.finalize(self, self._http.close)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        used = self._good()
        request.headers["Authorization"] = f"Bearer {used}"
        response = yield request
        if response.status_code == 401:
            request.headers["Authorization"] = f"Bearer {self._good(used)}"
            yield request

    def _good(self, refused: str = "") -> str:
        """A token with some life left in it that is not the one that was refused; threads wait for each other."""
        with self._one_at_a_time:
            if self._token == refused or self._expires - EARLY < time.monotonic():
                said = self._exchanged()
                self._token, self._expires = str(said["access_token"]), time.monotonic() + float(said["expires_in"])
            return self._token

    def _exchanged(self) -> dict[str, Any]:
        form = {"grant_type": GRANT, "subject_token": self._hub_token, "subject_token_type": ACCESS_TOKEN}
        request = self._http.build_request("POST", f"{self._url}/o/token", data=form)
        answer = send(self._http, request, repeatable=True)
        if answer.is_success:
            said: dict[str, Any] = answer.json()
            return said
        if answer.status_code in (400, 401):
            raise Unauthenticated(None, NOT_LET_IN)
        raise ExchangeError(answer.status_code, "The Exchange could not exchange the Hub's token; try again later.")
