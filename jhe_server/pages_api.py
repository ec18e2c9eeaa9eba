"""Pages and their forms over HTTP: signing in, letting apps in, and the patient's page; plain HTML without scripts.

What comes in by a form has to come from our own page: it carries a token that belongs to the browser's cookie.
"""

from __future__ import annotations

from dataclasses import replace
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

from . import account_page, pages, passwords, patient_page, sign_in
from .browser_sessions import COOKIE, form_token
from .calls import Request
from .errors import ExchangeError, Forbidden
from .oauth import authorizing
from .oauth_api import OUT_OF_PLACE
from .routes import Route
from .web import ExchangeHandler

FRAMES = ("iframe", "frame", "embed", "object")


class PageHandler(ExchangeHandler):
    """Errors are pages too; no other site may send a form here, frame a page, or read one."""

    media_types = ("text/html",)
    secrets = OUT_OF_PLACE
    error_type = pages.HTML

    def set_default_headers(self) -> None:
        super().set_default_headers()
        for name in ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers"):
            self.clear_header(name)
        self.set_header("Content-Security-Policy", pages.policy())
        self.set_header("X-Frame-Options", "DENY")
        self.set_header("Referrer-Policy", "same-origin")  # without any, a browser says of our own forms: from nowhere

    async def _recognise_origin(self) -> None:
        """No app of any origin reads a page."""

    async def _admit(self) -> None:
        if self.request.headers.get("Sec-Fetch-Dest") in FRAMES:
            raise Forbidden("This page is not shown inside others.")
        await super()._admit()

    async def _introduced(self, request: Request) -> Request:
        """Who is signed in to the Hub, only the Hub knows; whoever is not yet is sent there first."""
        if request.route.verb is not sign_in.by_hub or self.exchange.hub is None:
            return request
        known = await self._hub_user()
        if known is None:
            return replace(request, sent=replace(request.sent, hub_sign_in=self.get_login_url()))
        return replace(request, sent=replace(request.sent, hub_user_id=known[0]))

    def _request(self, path: dict[str, str]) -> Request:
        request = super()._request(path)
        if request.route.method != "GET":
            self._check_form(request)
        return request

    def _check_form(self, request: Request) -> None:
        """From our own page, by the browser's word and by the token that only our page was given."""
        origin, site = self.request.headers.get("Origin"), self.request.headers.get("Sec-Fetch-Site", "same-origin")
        ours = {self.request.host, urlsplit(self.exchange.public_root).netloc} - {""}  # a browser's `null` has no host
        cookie = request.sent.cookies.get(COOKIE, "")
        belongs = compare_digest(request.sent.said("form").encode(), form_token(cookie).encode())
        if (origin is not None and urlsplit(origin).netloc not in ours) or site not in ("same-origin", "none"):
            raise Forbidden("A form from another site is refused.")
        if not cookie or not belongs:
            raise Forbidden("This form is too old; open the page again.")

    def error_text(self, refusal: ExchangeError) -> str:
        title = "That did not work" if refusal.status >= 500 else "Not like this"
        return pages.rendered("message.html", self.mounted, title=title, text=refusal.detail).decode()


def _page(path: str, verb: Any, audited: bool = False, **more: Any) -> Route:
    return Route("GET", path, verb, public=True, present=pages.present, audited=audited, **more)


def _form(path: str, verb: Any, limit: str | None = None) -> Route:
    return Route("POST", path, verb, public=True, present=pages.present, form=True, limit=limit)


ROUTES = [
    _page("o/sign_in", sign_in.page),
    _page("o/hub", sign_in.by_hub, writes=True),
    _form("o/sign_in", sign_in.enter, "sign_in"),
    _form("o/sign_out", sign_in.leave),
    _page("o/account", account_page.page),
    _form("o/account", account_page.end),
    _page("o/forgotten", passwords.forgotten),
    _form("o/forgotten", passwords.send_link, "sign_in"),
    _page("o/password/{link}", passwords.form, limit="sign_in"),
    _form("o/password/{link}", passwords.change, "sign_in"),
    _page("o/authorize", authorizing.page),
    _form("o/authorize", authorizing.answer),
    _page("o/code", authorizing.shown_code),
    _page("me", patient_page.page, audited=True),
    _form("me/answer", patient_page.answer),
    _page("me/withdraw/{study_id}", patient_page.ask_withdraw, audited=True),
    _form("me/withdraw/{study_id}", patient_page.withdraw),
    _page("me/data", patient_page.data, audited=True, streams=True),
    _page("me/invitation/{token}", patient_page.invitation, limit="invitation"),
    _form("me/invitation/{token}", patient_page.accept, "invitation"),
]
