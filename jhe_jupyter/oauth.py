"""OAuth2 as a notebook speaks it: authorization code with PKCE, refreshed in time, once for all who share a sign-in."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import httpx

from .errors import ConnectionLost, ExchangeError, Unauthenticated
from .kept_tokens import Keeper, Tokens
from .transport import client

CLIENT_ID = "jhe-jupyter"  # the notebook's own client, known to every Exchange
SCOPE = "openid email offline_access"
EARLY = 60.0  # seconds before its end at which a token is renewed
OVER = "The sign-in has ended; call connect() with the address again to sign in anew."
NO_CODE = "This code opens nothing, or no longer does; sign in again for another."


@dataclass(frozen=True)
class CodeRequest:
    """One request for a code: `address` is opened in a browser, `verifier` and `state` stay here."""

    url: str
    redirect_uri: str
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)

    @property
    def address(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        query = httpx.QueryParams(
            response_type="code",
            client_id=CLIENT_ID,
            redirect_uri=self.redirect_uri,
            scope=SCOPE,
            state=self.state,
            code_challenge=urlsafe_b64encode(digest).decode().rstrip("="),
            code_challenge_method="S256",
        )
        return f"{self.url}/o/authorize?{query}"

    def exchange(self, code: str) -> Tokens:
        """The tokens a code stands for. Raises Unauthenticated where it stands for none."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        try:
            return tokens_for(self.url, CLIENT_ID, {**form, "code_verifier": self.verifier})
        except Unauthenticated:
            raise Unauthenticated(None, NO_CODE) from None


def tokens_for(url: str, client_id: str, form: dict[str, Any]) -> Tokens:
    """What the token endpoint of an Exchange answers to a grant."""
    said = post_form(f"{url}/o/token", {"client_id": client_id, **form})
    return Tokens.from_answer(said, client_id)


def give_back(url: str, tokens: Tokens) -> None:
    """End a sign-in at its Exchange: the refresh token, and all that came of it (RFC 7009)."""
    post_form(f"{url}/o/revoke_token", {"client_id": tokens.client_id, "token": tokens.refresh})


def post_form(address: str, form: dict[str, Any]) -> dict[str, Any]:
    """Post a form and return the answer; a refusal becomes Unauthenticated, silence ConnectionLost."""
    try:
        with client(address, timeout=30.0) as http:
            answer = http.post(address, data=form)
    except httpx.TransportError as error:
        raise ConnectionLost(None, f"No Exchange answers at {httpx.URL(address).host} ({error}).") from None
    if answer.is_success:
        said: dict[str, Any] = answer.json() if answer.content else {}
        return said
    if answer.status_code in (400, 401):
        raise Unauthenticated(None, OVER)  # it says already what the status would
    raise ExchangeError(answer.status_code, "The Exchange could not renew the sign-in; try again later.")


class SignedIn(httpx.Auth):
    """A bearer token that is renewed shortly before its end, and once when the server no longer knows it.

    Threads of one kernel wait for each other, and so do kernels: whoever comes second finds the tokens renewed.
    """

    def __init__(self, url: str, keeper: Keeper, tokens: Tokens) -> None:
        self._url, self._keeper, self._tokens = url, keeper, tokens
        self._one_at_a_time = threading.Lock()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        used = self._tokens
        if used.expires - EARLY < time.time():
            used = self._renewed(used)
        request.headers["Authorization"] = f"Bearer {used.access}"
        response = yield request
        if response.status_code == 401:
            request.headers["Authorization"] = f"Bearer {self._renewed(used).access}"
            yield request

    def _renewed(self, used: Tokens) -> Tokens:
        with self._one_at_a_time, self._keeper.alone():
            newest = self._keeper.load() or self._tokens
            if newest.access == used.access:
                newest = self._refresh(used)
            self._tokens = newest
            return newest

    def _refresh(self, used: Tokens) -> Tokens:
        form = {"grant_type": "refresh_token", "refresh_token": used.refresh}
        try:
            fresh = tokens_for(self._url, used.client_id, form)
        except Unauthenticated:
            self._keeper.forget()
            raise
        self._keeper.save(fresh)
        return fresh
