"""Signing in on our own pages: e-mail and password in, a browser session out; and who is signed in.

An account that does not exist is answered with the same words after the same work, and counted like one that does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from urllib.parse import quote

from sqlalchemy.orm import Session

from . import attempts, audit, browser_sessions, people, settings, tokens
from .access import Actor
from .audit import Entry
from .browser_sessions import COOKIE
from .errors import NotFound, Unauthenticated
from .people import UserRow, by_email, email_key
from .routes import Sent
from .settings import Settings
from .views import View, go

VIA, HUB = "page", "hub"
WRONG = "This e-mail and password do not fit together."
# Where one may be taken after signing in; below our own root, so that no link leads astray.
NEXT = ("o/authorize?", "o/account", "me")
Write = Callable[[], AbstractContextManager[Session]]


def page(session: Session, sent: Sent) -> View:
    """The page that asks for e-mail and password."""
    return _page(sent, settings.of(session))


def _page(sent: Sent, known: Settings, error: str = "", status: int = 200) -> View:
    wanted = sent.said("next")
    values = {"next": wanted, "error": error, "email": sent.said("email"), "hub": known.hub is not None}
    return View("sign_in.html", {**values, "hub_next": quote(wanted, safe="")}, status)


def by_hub(session: Session, sent: Sent) -> View:
    """Somebody whom the Hub knows, signed in on our own pages as well; a password of ours is not needed for it."""
    if sent.hub_sign_in:
        return View(status=303, location=sent.hub_sign_in)
    if sent.hub_user_id is None:
        raise NotFound()
    actor = tokens.actor_of(session, sent.hub_user_id, HUB)
    tokens.known_as(session, actor.user_id, HUB)
    browser_sessions.close(session, sent.cookies.get(COOKIE, ""))
    return go(sent.root, next_of(sent), browser_sessions.open_for(session, actor.user_id))


def enter(session: Session, sent: Sent) -> View:
    """Sign in. The try is counted before the password is looked at, so that a thousand at once are no way around."""
    email, known = email_key(sent.said("email")), settings.of(session)
    attempts.allowed(session, known.limits, "account", email)
    attempts.count(session, "account", email)
    user = by_email(session, email)
    account = None if user is None or user.disabled else (user.id, user.password_hash)
    entry: Entry = session.info["audit"]
    # Outside the transaction: a tenth of a second is long for everybody else who writes.
    session.info["afterwards"] = lambda write: _checked(write, sent, account, known, entry)
    return View()


def _checked(write: Write, sent: Sent, account: tuple[int, str | None] | None, known: Settings, entry: Entry) -> View:
    user_id, password_hash = account or (0, None)
    if not people.password_fits(password_hash, sent.said("password")):
        return _page(sent, known, WRONG, 401)
    with write() as session:
        session.info["settings"] = known
        attempts.forgive(session, "account", email_key(sent.said("email")))
        secret = opened(session, sent, user_id, entry)
    return go(sent.root, next_of(sent), secret)


def opened(session: Session, sent: Sent, user_id: int, entry: Entry) -> str:
    """A new browser session in place of the one that was there, and the row that says so."""
    browser_sessions.close(session, sent.cookies.get(COOKIE, ""))
    entry.actor_id, entry.via, entry.count = user_id, VIA, 1
    audit.append(session, entry)
    return browser_sessions.open_for(session, user_id)


def next_of(sent: Sent) -> str:
    """Where to go after signing in."""
    asked = sent.said("next")
    return asked if asked.startswith(NEXT) and asked.isprintable() and "\\" not in asked else "o/account"


def leave(session: Session, sent: Sent) -> View:
    """Sign out of this browser."""
    who(session, sent)
    browser_sessions.close(session, sent.cookies.get(COOKIE, ""))
    return go(sent.root, "o/sign_in", browser_sessions.fresh())


# ------------------------------------------------------------------ who is signed in
def who(session: Session, sent: Sent) -> Actor | None:
    """Who is signed in with this browser, as the audit will have it; None for nobody."""
    user_id = browser_sessions.user_of(session, sent.cookies.get(COOKIE, ""))
    if user_id is None:
        return None
    try:
        actor = tokens.actor_of(session, user_id, VIA)
    except Unauthenticated:
        return None
    tokens.known_as(session, actor.user_id, VIA)
    return actor


def first(sent: Sent, wanted: str) -> View:
    """To the sign-in page, and from there on to what was wanted."""
    return go(sent.root, f"o/sign_in?next={quote(wanted, safe='')}")


def email_of(session: Session, actor: Actor) -> str:
    return session.get_one(UserRow, actor.user_id).email
