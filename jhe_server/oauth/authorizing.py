"""`/o/authorize`: an app asks, a person says yes or no on our page, and the app hears which."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from oauthlib.common import add_params_to_uri
from oauthlib.oauth2.rfc6749 import errors
from sqlalchemy.orm import Session

from .. import sign_in
from ..access import Actor
from ..errors import Invalid
from ..practitioner_clients import NOTEBOOK
from ..routes import Sent
from ..views import View
from .identity import issuer
from .parties import Party, party
from .provider import HERE, Provider

S256 = re.compile(r"[A-Za-z0-9_-]{43}")
MEANS = {
    "openid": "know that it is you",
    "email": "know your e-mail address",
    "profile": "know your name",
    "offline_access": "stay connected when you are not there",
}
Asked = tuple[list[str], Mapping[str, Any]]


def page(session: Session, sent: Sent) -> View:
    """The page that asks whether an app may act for whoever is signed in."""
    query = urlencode(sent.query)
    asked = _asked(session, query)
    if isinstance(asked, View):
        return asked
    actor = sign_in.who(session, sent)
    if sent.said("prompt") == "none":
        return _silently(session, asked, actor)
    if actor is None:
        return sign_in.first(sent, f"o/authorize?{query}")
    return _question(session, actor, query, asked)


def answer(session: Session, sent: Sent) -> View:
    """Yes or no: the app hears it at the address that is registered for it."""
    query = sent.said("request")
    asked = _asked(session, query)
    if isinstance(asked, View):
        return asked
    actor = sign_in.who(session, sent)
    if actor is None:
        return sign_in.first(sent, f"o/authorize?{query}")
    if sent.said("answer") != "yes":
        return _no(session, asked, errors.AccessDeniedError(state=asked[1]["state"]))
    headers, _, _ = Provider(session).create_authorization_response(
        f"{HERE}?{query}", scopes=asked[0], credentials={"user": actor.user_id}
    )
    return _away(session, headers["Location"])


def _asked(session: Session, query: str) -> Asked | View:
    """What an app asks for. An app or an address that we do not know is told to the person, never to the address."""
    try:
        scopes, credentials = Provider(session).validate_authorization_request(f"{HERE}?{query}")
    except errors.FatalClientError as refusal:
        raise Invalid(f"The app's request cannot be trusted: {_said(refusal)}.") from None
    except errors.OAuth2Error as refusal:
        return _away(session, refusal.in_uri(refusal.redirect_uri))
    except ValueError:
        raise Invalid("The app's request cannot be read.") from None
    if not S256.fullmatch(credentials.get("code_challenge", "")):
        odd = errors.InvalidRequestError("code_challenge is not S256's.", state=credentials["state"])
        return _no(session, (scopes, credentials), odd)
    return scopes, credentials


def _said(refusal: errors.FatalClientError) -> str:
    return str(refusal.description or refusal.error).rstrip(".").lower()


def _question(session: Session, actor: Actor, query: str, asked: Asked) -> View:
    scopes, credentials = asked
    app: Party | None = party(session, credentials["client_id"])
    assert app is not None
    target = urlsplit(credentials["redirect_uri"])
    values = {
        "app": app.name,
        "is_notebook": app.client_id == NOTEBOOK,
        "email": sign_in.email_of(session, actor),
        "is_patient": actor.patient_id is not None,
        "means": [MEANS[scope] for scope in scopes],
        "target": target.netloc or target.scheme,
        "request": query,
    }
    form_to = f"{target.scheme}://{target.netloc}" if target.netloc else f"{target.scheme}:"
    return View("consent.html", values, form_to=form_to)


def _silently(session: Session, asked: Asked, actor: Actor | None) -> View:
    """An app that will have no page shown: nobody is ever let in without having been asked."""
    refusal = errors.OAuth2Error(state=asked[1]["state"])
    refusal.error = "login_required" if actor is None else "consent_required"
    return _no(session, asked, refusal)


def _no(session: Session, asked: Asked, refusal: errors.OAuth2Error) -> View:
    return _away(session, refusal.in_uri(asked[1]["redirect_uri"]))


def _away(session: Session, location: str) -> View:
    """To the app, with our name, so that it is not taken for another server's answer (RFC 9207)."""
    return View(status=303, location=add_params_to_uri(location, [("iss", issuer(session))]))


def shown_code(session: Session, sent: Sent) -> View:
    """For a notebook whose kernel no browser can reach: the code, to be copied into it."""
    values = dict(parse_qsl(urlencode(sent.query)))
    return View("code.html", {"code": values.get("code", ""), "denied": "error" in values})
