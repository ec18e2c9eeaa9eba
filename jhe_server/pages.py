"""How a page leaves: a template filled in, the headers that fence it in, and the cookie that its forms answer to."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import UTC, datetime
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .browser_sessions import COOKIE, form_token, fresh
from .calls import Reply, Request
from .routes import Sent
from .views import View

HTML = "text/html; charset=utf-8"
TEMPLATES = Path(__file__).parent / "templates"


@cache
def _environment() -> Environment:
    """Every value is text: what a patient or a study is called never becomes markup."""
    found = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    found.filters.update(day=_day, moment=_moment)
    return found


@cache
def _style() -> str:
    return (TEMPLATES / "style.css").read_text(encoding="utf-8")


def _day(time: datetime) -> str:
    return f"{time.astimezone(UTC):%-d %B %Y}"


def _moment(time: datetime) -> str:
    return f"{time.astimezone(UTC):%-d %B %Y, %H:%M} UTC"


def policy(form_to: str = "") -> str:
    """No script, nothing from elsewhere, in nobody's frame; forms lead to us, and where an app's answer has to go."""
    digest = b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {form_to}".rstrip()
    )


def rendered(page: str, root: str, secret: str = "", **values: Any) -> bytes:
    """A page as it leaves; its forms carry the token that belongs to the cookie."""
    field = Markup('<input type="hidden" name="form" value="{}">').format(form_token(secret)) if secret else ""
    same = {"root": root, "style": Markup(_style()), "form_field": field, "signed_in": "", "error": ""}  # noqa: S704
    return _environment().get_template(page).render({**same, **values}).encode()


def present(request: Request, view: View, _query: Any) -> Reply:
    """A view as a reply: a page, a way on, or a file."""
    sent = request.sent
    secret = view.session or sent.cookies.get(COOKIE) or fresh()
    headers = {"Content-Security-Policy": policy(view.form_to)}
    if secret != sent.cookies.get(COOKIE):
        headers["Set-Cookie"] = cookie(secret, sent, request.url.startswith("https:"))
    if view.location is not None:
        return Reply(view.status, b"", HTML, {**headers, "Location": view.location}, view)
    if view.stream is not None:
        headers["Content-Disposition"] = f'attachment; filename="{escape(view.download)}"'
        return Reply(200, None, "application/fhir+json", headers, view, view.stream)
    values = {"signed_in": view.values.get("email", "") if view.page in ("account.html", "consent.html") else ""}
    return Reply(view.status, rendered(view.page, sent.root, secret, **{**values, **view.values}), HTML, headers, view)


def cookie(secret: str, sent: Sent, secure: bool) -> str:
    """Sent back to our own pages only, never to a script, and over TLS only where there is any."""
    path = sent.root or "/"
    return f"{COOKIE}={secret}; Path={path}; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
