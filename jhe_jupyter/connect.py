"""Finding the Exchange and the right to use it: in the arguments, else in what a Jupyter server left for kernels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .errors import ExchangeError
from .on_hub import Exchanged, HubPlace, hub_place
from .transport import read_token, server_url

if TYPE_CHECKING:
    from .exchange import Exchange

NOWHERE = (
    "No Exchange found. In a notebook of `jupyter lab` with the extension enabled, or on a Hub that runs one, it is"
    " found by itself; elsewhere call connect(url=…, token=…) or set JHE_URL and JHE_TOKEN (`jupyter jhe token EMAIL`"
    " prints a token)."
)
NOT_SAID = (
    "No Exchange found: this Hub does not say its public address. Its administrator can set c.JupyterHub.public_url, or"
    " JHE_URL in the servers' environment."
)


class NotConfigured(ExchangeError, LookupError):
    """Neither arguments nor environment say where the Exchange is or who is asking."""


class Place(NamedTuple):
    """Where the Exchange is, the token to use and the file where a newer one will be."""

    url: str
    token: str
    token_file: Path | None = None

    def __repr__(self) -> str:
        return f"Place({self.url!r})"


def connect(url: str | None = None, token: str | None = None, *, browser: bool | None = None) -> Exchange:
    """Connect to an Exchange and ask it who we are.

    `url` as in `http://127.0.0.1:8888/jhe`, `token` a bearer token; what is not given comes from JHE_URL and from
    JHE_TOKEN_FILE or JHE_TOKEN, else from the JupyterHub this kernel runs on. An address alone is signed in to once
    with a browser, and stays signed in; `browser` says whether one can be opened on this machine (None: find out).
    Raises NotConfigured, ConnectionLost, or Unauthenticated for a token that is no good.
    """
    from .exchange import Exchange  # pandas takes its time; whoever only imports us does not wait for it

    hub = _hub(url, token, os.environ)
    if hub is not None:
        return Exchange(hub.url, "", auth=Exchanged(hub)).sign_in()
    if url is not None and not token and not _is_environments(url, os.environ):
        return signed_in(url, browser)
    place = find(url, token, os.environ)
    return Exchange(place.url, place.token, token_file=place.token_file).sign_in()


def _hub(url: str | None, token: str | None, environ: Mapping[str, str]) -> HubPlace | None:
    """This kernel's own Hub, unless somewhere or somebody else is meant: its token goes nowhere else."""
    place = None if token else hub_place(environ)
    return place if place is not None and (url is None or server_url(url) == server_url(place.url)) else None


def signed_in(url: str, browser: bool | None, *, anew: bool = False) -> Exchange:
    """With the tokens of an earlier sign-in, while they last and unless told `anew`, else with those of a new one."""
    from .browser_sign_in import exchange_at, sign_in
    from .errors import Unauthenticated
    from .exchange import Exchange
    from .kept_tokens import keeper
    from .oauth import SignedIn

    address = exchange_at(url)
    kept = keeper(address)
    if not anew and (known := kept.load()) is not None:
        with suppress(Unauthenticated):
            return Exchange(address, "", auth=SignedIn(address, kept, known)).sign_in()
    fresh = sign_in(address, browser=browser)
    kept.save(fresh)
    return Exchange(address, "", auth=SignedIn(address, kept, fresh)).sign_in()


def _is_environments(url: str, environ: Mapping[str, str]) -> bool:
    known = environ.get("JHE_URL")
    return bool(known) and server_url(url) == server_url(known or "")


def find(url: str | None, token: str | None, environ: Mapping[str, str]) -> Place:
    """Where and as whom to connect: arguments, then JHE_URL with JHE_TOKEN_FILE or JHE_TOKEN.

    >>> find(None, "a-secret", {"JHE_URL": "http://127.0.0.1:8888/jhe"})
    Place('http://127.0.0.1:8888/jhe')

    A token of the environment is used only at the address of the environment: it is never sent elsewhere.
    """
    known = environ.get("JHE_URL")
    where = url or known
    if not where:
        raise NotConfigured(None, NOT_SAID if environ.get("JUPYTERHUB_USER") else NOWHERE)
    if token:
        return Place(where, token)
    if known and server_url(where) != server_url(known):
        raise NotConfigured(None, f"A token is needed for {server_url(where)}: the one at hand is for {known}.")
    return _with_token_of(where, environ)


def _with_token_of(url: str, environ: Mapping[str, str]) -> Place:
    """The environment's token: the file is asked first, because it outlives a restart of the server."""
    file = Path(environ["JHE_TOKEN_FILE"]) if environ.get("JHE_TOKEN_FILE") else None
    token = environ.get("JHE_TOKEN") or ""
    if file is not None and file.is_file():
        token = read_token(file) or token
    if not token:
        raise NotConfigured(None, NOWHERE)
    return Place(url, token, file)
