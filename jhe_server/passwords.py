"""A first or a forgotten password: a link by mail, good once, that lets its reader set one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from sqlalchemy.orm import Session

from . import attempts, mail, password_links, people, practitioner_clients, settings
from .audit import Entry
from .errors import Gone, Invalid
from .people import UserRow, by_email, email_key
from .routes import Sent
from .settings import Settings
from .sign_in import opened
from .views import View, go, message

SHORTEST, LONGEST = 12, 200
OVER = "This link has been used or is too old; ask for a new one."
ON_ITS_WAY = "If there is an account with this e-mail, a link to set a password is on its way to it."
_POST = ThreadPoolExecutor(1, "jhe-password-mail")  # one after the other, however many are asked for
Write = Callable[[], AbstractContextManager[Session]]


def forgotten(session: Session, sent: Sent) -> View:
    """The page that asks where to send a link."""
    return View("forgotten.html")


def send_link(session: Session, sent: Sent) -> View:
    """Send a link, if there is an account. The answer is the same and does not wait for either to be found out."""
    email, known = email_key(sent.said("email")), settings.of(session)
    attempts.allowed(session, known.limits, "mail", email)
    attempts.count(session, "mail", email)
    attempts.count(session, "sign_in", sent.address)  # also where nothing was refused: each is a mail to somebody

    def later(write: Write) -> View:
        _POST.submit(_mailed, write, email, known)
        return message("Look into your mail", ON_ITS_WAY)

    session.info["afterwards"] = later
    return View()


def _mailed(write: Write, email: str, known: Settings) -> None:
    """Nobody waits for it, so the log is where its failure is told."""
    try:
        outcome = _mail(write, email, known)
    except Exception as error:  # its words may hold the address
        outcome = f"failed: {type(error).__name__}"
    if outcome.startswith("failed"):
        logging.getLogger("jhe").error("jhe: a link for a password could not be mailed (%s)", outcome)


def _mail(write: Write, email: str, known: Settings) -> str:
    with write() as session:
        user = by_email(session, email)
        if user is None or user.disabled:
            return "nobody"
        session.info["settings"] = known
        link = link_for(session, user)
        words = mail.password_message(sender=known.mail.sender, to=user.email, link=link, hours=hours(known))
    return mail.send(known.mail, words)


def hours(known: Settings) -> float:
    return known.lifetimes.password_link_hours


def link_for(session: Session, user: UserRow) -> str:
    """A one-time link for an account."""
    return f"{settings.of(session).site}/o/password/{password_links.issue(session, user.id)[0]}"


def form(session: Session, sent: Sent, link: str) -> View:
    """The page a link leads to. Reading it uses nothing up: mail programs look at links before people do."""
    _user_of(session, link)
    return View("password.html", {"shortest": SHORTEST})


def _user_of(session: Session, link: str) -> UserRow:
    user_id = password_links.user_of(session, link)
    user = None if user_id is None else session.get(UserRow, user_id)
    if user is None or user.disabled:
        raise Gone(OVER)
    return user


def change(session: Session, sent: Sent, link: str) -> View:
    """Set the password: everything that was signed in before is signed out, and its keys are gone."""
    user, password, known = _user_of(session, link), sent.said("password"), settings.of(session)
    if complaint := _complaint(user, password, sent.said("again")):
        return View("password.html", {"shortest": SHORTEST, "error": complaint}, 400)
    entry: Entry = session.info["audit"]
    session.info["afterwards"] = lambda write: _changed(write, sent, link, known, entry)
    return View()


def _complaint(user: UserRow, password: str, again: str) -> str:
    if not SHORTEST <= len(password) <= LONGEST:
        return f"A password has {SHORTEST} to {LONGEST} characters; a few words in a row do well."
    if email_key(password) in (user.email_key, user.email_key.partition("@")[0]):
        return "A password is not one's e-mail address."
    return "" if password == again else "The two are not the same; type it once more."


def _changed(write: Write, sent: Sent, link: str, known: Settings, entry: Entry) -> View:
    password_hash = people.hashed(sent.said("password"))
    with write() as session:
        session.info["settings"] = known
        user = _user_of(session, link)  # once more: of two at once, one finds the link used
        user.password_hash = password_hash
        practitioner_clients.end_everything(session, user.id)  # the link as well
        secret = opened(session, sent, user.id, entry)
    return go(sent.root, "o/account", secret)


def require_long(password: str) -> str:
    """A password given at the command line, by the same rule."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid(f"A password has {SHORTEST} to {LONGEST} characters.")
    return password
