"""Signing in with a browser: by an answer to this machine where it is the browser's own, else by a code to copy."""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from .errors import ConnectionLost, Unauthenticated
from .kept_tokens import Tokens
from .oauth import CodeRequest
from .transport import client, server_url

PATIENCE = 300.0  # seconds for somebody to look for a password
DONE = b"<!doctype html><title>Signed in</title><p>You are signed in. You can close this page and go back.</p>"
DENIED = "Nobody was let in: the answer on the sign-in page was no."


def exchange_at(url: str) -> str:
    """The address an Exchange is mounted at, given that address or its host's.

    Raises ConnectionLost where nothing answers or what answers is no Exchange.
    """
    base = str(server_url(url))
    for address in dict.fromkeys((base, f"{base}/jhe")):
        if _document(address) is not None:
            return address
    raise ConnectionLost(None, f"There is no Exchange at {base}; is the address right?")


def _document(url: str) -> dict[str, Any] | None:
    """What an Exchange says of itself, if one is there."""
    try:
        with client(url, timeout=30.0) as http:
            answer = http.get(f"{url}/o/.well-known/openid-configuration")
            said = answer.json() if answer.is_success else {}
    except httpx.TransportError as error:
        raise ConnectionLost(None, f"No Exchange answers at {httpx.URL(url).host} ({error}).") from None
    except ValueError:
        return None
    return said if isinstance(said, dict) and str(said.get("issuer", "")).endswith("/o") else None


def is_remote(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether this process most likely runs where its reader's browser does not.

    >>> is_remote({"JUPYTERHUB_USER": "ada"}), is_remote({"DISPLAY": ":0"}, "linux"), is_remote({}, "darwin")
    (True, False, False)
    """
    if {"SSH_CONNECTION", "SSH_TTY", "JUPYTERHUB_USER"} & set(environ):
        return True
    return platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(environ)


def sign_in(
    url: str,
    *,
    browser: bool | None = None,
    show: Callable[[str], Any] | None = None,
    ask: Callable[[str], str] | None = None,
) -> Tokens:
    """Tokens for whoever signs in on the Exchange's own page.

    `browser` says whether a browser on this machine can be opened (None: find out); otherwise the address is printed
    and the code that is shown in the end asked for. Raises Unauthenticated after a no.
    """
    if is_remote(os.environ) if browser is None else not browser:
        return _by_copying(url, ask or input)
    with HTTPServer(("127.0.0.1", 0), _Answer) as server:
        asked = CodeRequest(url, f"http://127.0.0.1:{server.server_port}/callback")
        print(f"Sign in in your browser; if none opens, go to {asked.address}")
        (show or webbrowser.open)(asked.address)
        return asked.exchange(_heard(server, asked.state))


def _heard(server: Any, state: str) -> str:
    """The code, once the browser brings it with our own state; whatever else knocks is not listened to."""
    server.said, server.timeout, until = None, 1.0, time.monotonic() + PATIENCE
    while time.monotonic() < until:
        server.handle_request()
        said = server.said or {}
        if said.get("state") == state:
            if "code" not in said:
                raise Unauthenticated(None, DENIED)
            return str(said["code"])
    raise Unauthenticated(None, "Nobody signed in within five minutes; try again.")


class _Answer(BaseHTTPRequestHandler):
    """One page that says that it worked."""

    timeout = 2.0  # seconds; a browser opens connections it then says nothing on

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        found = address.path == "/callback"
        if found:
            self.server.said = {name: values[0] for name, values in parse_qs(address.query).items()}  # type: ignore[attr-defined]
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", "default-src 'none'")
        self.end_headers()
        self.wfile.write(DONE if found else b"")

    def log_message(self, format: str, *args: Any) -> None:
        """The path holds the code: it is logged nowhere."""


def _by_copying(url: str, ask: Callable[[str], str]) -> Tokens:
    issuer = (_document(url) or {}).get("issuer", f"{url}/o")
    asked = CodeRequest(url, f"{issuer}/code")
    print(f"Open this address in your browser and sign in:\n{asked.address}")
    return asked.exchange(ask("Code shown there: ").strip())
