"""A registered app as the tests play it: asks at `/o/authorize`, hears the answer, exchanges the code."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from browsers import Browser
from conftest import ADMIN, Exchange
from phones import bearer

from jhe_server.authorization_codes import s256

CALLBACK = "https://app.example.org/callback?from=jhe"


@dataclass
class App:
    """One app with one request under way."""

    exchange: Exchange
    client_id: str
    secret: str | None = None
    redirect_uri: str = CALLBACK
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def request(self, **instead: Any) -> dict[str, str]:
        """What it asks for; a None instead leaves a parameter out."""
        asked = {"response_type": "code", "client_id": self.client_id, "redirect_uri": self.redirect_uri,
                 "scope": "openid email", "state": "a state", "nonce": "a nonce",
                 "code_challenge": s256(self.verifier), "code_challenge_method": "S256", **instead}  # fmt: skip
        return {name: value for name, value in asked.items() if value is not None}

    def asks(self, browser: Browser, **instead: Any) -> httpx.Response:
        return browser.open(f"o/authorize?{httpx.QueryParams(self.request(**instead))}")

    def heard(self, answer: httpx.Response) -> dict[str, str]:
        """What came to its own address, and to no other."""
        location = answer.headers["Location"]
        assert location.startswith(self.redirect_uri), location
        return dict(parse_qsl(urlsplit(location).query))

    def let_in(self, browser: Browser, **instead: Any) -> dict[str, str]:
        """The whole way, with a yes on the consent page."""
        self.asks(browser, **instead)
        return self.heard(browser.submit("authorize", answer="yes"))

    def exchange_code(self, code: str, /, **instead: Any) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri,
                "code_verifier": self.verifier}  # fmt: skip
        return self.post("token", **{**form, **instead})

    def refresh(self, token: str, /, **instead: Any) -> httpx.Response:
        return self.post("token", **{"grant_type": "refresh_token", "refresh_token": token, **instead})

    def post(self, path: str, **form: Any) -> httpx.Response:
        """As its client: with its secret by HTTP Basic, or with its id in the form."""
        auth = httpx.BasicAuth(self.client_id, self.secret) if self.secret else httpx.USE_CLIENT_DEFAULT
        if not self.secret:
            form = {"client_id": self.client_id, **form}
        sent = {name: value for name, value in form.items() if value is not None}
        return self.exchange.as_(None).post(f"o/{path}", data=sent, auth=auth)

    def tokens(self, browser: Browser) -> dict[str, Any]:
        answer = self.exchange_code(self.let_in(browser)["code"])
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def registered(exchange: Exchange, name: str, *, confidential: bool = False, **more: Any) -> App:
    body = {"name": name, "redirectUris": [CALLBACK], "confidential": confidential, **more}
    made = exchange.as_(ADMIN).post("api/v1/clients", json=body)
    assert made.status_code == 201, made.text
    return App(exchange, made.json()["clientId"], made.json()["clientSecret"])


def works(exchange: Exchange, token: str) -> bool:
    """Whether a token lets anybody in."""
    return bearer(exchange, token).get("api/v1/users/profile").status_code == 200
