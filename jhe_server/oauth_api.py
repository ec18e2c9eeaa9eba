"""`/o`: OAuth2's endpoints and documents over HTTP; their errors are RFC 6749's, what they decide is in `oauth`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated

from . import hub_accounts, oauth
from .admission import SECRETS
from .calls import JSON, Reply, Request
from .errors import ExchangeError, TooMany, Unauthenticated, Unavailable
from .fhir_api import ROOTS
from .public import PublicHandler
from .routes import Route
from .web import ExchangeHandler

# What a careless client might put into an address, where every proxy would log it.
OUT_OF_PLACE = SECRETS | {"client_secret", "refresh_token", "code_verifier", "password", "subject_token"}
WORDS = {Unauthenticated: "invalid_token", TooMany: "slow_down", Unavailable: "temporarily_unavailable"}


class OAuthHandler(ExchangeHandler):
    """Errors as RFC 6749 (5.2) has them."""

    secrets = OUT_OF_PLACE

    async def _introduced(self, request: Request) -> Request:
        """Whose a Hub's token is, only the Hub knows."""
        hub, sent = self.exchange.hub, request.sent
        if hub is None or request.route.verb is not oauth.token or sent.said("grant_type") != oauth.GRANT:
            return request
        user = await hub.holder(sent.said("subject_token"), sent.address)
        user_id = None if user is None else await self.run(hub_accounts.account, self.exchange.door, user)
        return replace(request, sent=replace(sent, hub_user_id=user_id))

    def error_body(self, refusal: ExchangeError) -> dict[str, Any]:
        word = WORDS.get(type(refusal), "server_error" if refusal.status >= 500 else "invalid_request")
        return {"error": word, "error_description": refusal.detail}


class DocumentHandler(PublicHandler):
    """A document for programs; any page may read it, there is nothing in it that is not for everybody."""

    def initialize(self, document: Callable[[Any], dict[str, Any]]) -> None:
        self.document = document

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Access-Control-Allow-Origin", "*")

    @allow_unauthenticated
    async def get(self) -> None:
        self.set_header("Content-Type", JSON)
        await self.finish(json.dumps(self.document(self.exchange)))


def documents(root: str) -> list[Any]:
    """Where everything is: OpenID's document, SMART's below each FHIR root, and the keys."""
    found: list[Any] = [
        (rf"{root}/o/\.well-known/openid-configuration/?", _openid),
        (rf"{root}/o/\.well-known/jwks\.json", _keys),
        *((rf"{root}/{base}/\.well-known/smart-configuration/?", _smart) for base in ROOTS),
    ]
    return [(pattern, DocumentHandler, {"document": document}) for pattern, document in found]


def _openid(exchange: Any) -> dict[str, Any]:
    return oauth.openid_configuration(exchange.site, exchange.hub is not None)


def _smart(exchange: Any) -> dict[str, Any]:
    return oauth.smart_configuration(exchange.site, exchange.hub is not None)


def _keys(exchange: Any) -> dict[str, Any]:
    return oauth.jwks(exchange.door.settings.key_file)


def answered(request: Request, answer: oauth.Answer, _query: Any) -> Reply:
    body = b"" if answer.body is None else json.dumps(answer.body).encode()
    return Reply(answer.status, body, JSON, {"Pragma": "no-cache", **answer.headers}, answer)


def _endpoint(path: str, verb: Any, limit: str | None = "token") -> Route:
    return Route("POST", path, verb, form=True, public=True, present=answered, limit=limit)


ENDPOINTS = [
    _endpoint("token", oauth.token),
    _endpoint("revoke_token", oauth.revoke),
    _endpoint("introspect", oauth.introspect),
]
KNOWN = [Route("GET", "userinfo", oauth.userinfo)]
ROUTES = [*ENDPOINTS, *KNOWN]
