"""The OAuth2 grants we have, composed: authorization code with PKCE S256, refreshing, client credentials; no others."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable
from typing import Any

from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc6749.endpoints import (
    AuthorizationEndpoint,
    IntrospectEndpoint,
    RevocationEndpoint,
    TokenEndpoint,
)
from oauthlib.oauth2.rfc6749.grant_types import AuthorizationCodeGrant, ClientCredentialsGrant, RefreshTokenGrant
from oauthlib.oauth2.rfc6749.grant_types.authorization_code import code_challenge_method_s256
from oauthlib.oauth2.rfc6749.tokens import BearerToken
from sqlalchemy.orm import Session

from .. import settings
from ..routes import Sent
from ..tokens import PREFIX
from . import exchanging, families, identity
from .answers import Answer
from .validator import Validator

logging.getLogger("oauthlib").setLevel(logging.INFO)  # at DEBUG it logs codes and tokens
HERE = "https://exchange.invalid/"  # oauthlib asks for an address and uses only its query, which we keep from it


class Provider(AuthorizationEndpoint, TokenEndpoint, RevocationEndpoint, IntrospectEndpoint):  # type: ignore[misc]
    """oauthlib's endpoints over one transaction."""

    def __init__(self, session: Session) -> None:
        validator = Validator(session)
        code = AuthorizationCodeGrant(validator)
        code._code_challenge_methods = {"S256": code_challenge_method_s256}  # oauthlib would take `plain` as well
        code.register_token_modifier(lambda token, _handler, request: identity.with_id_token(session, validator, token))
        lifetime = int(families.access_lifetime(session).total_seconds())
        bearer = BearerToken(validator, _access_token, lifetime, _refresh_token)
        AuthorizationEndpoint.__init__(self, "code", bearer, {"code": code})
        # The default also answers grant types that nobody knows.
        TokenEndpoint.__init__(self, "authorization_code", bearer, {
            "authorization_code": code,
            "refresh_token": RefreshTokenGrant(validator),
            "client_credentials": ClientCredentialsGrant(validator),
        })  # fmt: skip
        RevocationEndpoint.__init__(self, validator)
        IntrospectEndpoint.__init__(self, validator)


def _access_token(_request: Any, refresh_token: bool = False) -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _refresh_token(_request: Any) -> str:
    return families.REFRESH_PREFIX + secrets.token_urlsafe(32)


def asked(endpoint: Callable[..., Any], sent: Sent) -> Answer:
    """One call of an endpoint with what was sent as a form."""
    headers = {"Authorization": sent.authorization} if sent.authorization else {}
    try:
        _, body, status = endpoint(HERE, http_method="POST", body=list(sent.form), headers=headers)
    except errors.OAuth2Error as refusal:
        body, status = refusal.json, refusal.status_code
    except ValueError:  # oauthlib's own complaint about characters that no form holds
        body, status = errors.InvalidRequestError("The form cannot be read.").json, 400
    found = {"WWW-Authenticate": 'Basic realm="jhe"'} if status == 401 else {}
    return Answer(status, json.loads(body) if body else None, found)


# ------------------------------------------------------------------ verbs
def token(session: Session, sent: Sent) -> Answer:
    """Tokens for a code, for a refresh token, or for a practitioner's key; as a Hub's service, for the Hub's."""
    if settings.of(session).hub is not None and sent.said("grant_type") == exchanging.GRANT:
        return exchanging.exchange(session, sent)
    return asked(Provider(session).create_token_response, sent)


def revoke(session: Session, sent: Sent) -> Answer:
    """Give a token back; a token nobody knows is answered the same."""
    return asked(Provider(session).create_revocation_response, sent)


def introspect(session: Session, sent: Sent) -> Answer:
    """What one of the client's own tokens is good for; for clients with a secret."""
    return asked(Provider(session).create_introspect_response, sent)
