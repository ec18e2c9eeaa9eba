"""Accounts: signing in and out, one's own apps and tokens, and everything on other sites that tries to get in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx
import pytest
from apps import App, registered, works
from browsers import Browser
from conftest import MARK, MARY, PASSWORD, TOM, Clinic, Exchange
from phones import bearer
from sqlalchemy import event, func, select, update
from sqlalchemy.orm import Session

from jhe_server import sign_in
from jhe_server.audit import AuditRow, Entry
from jhe_server.browser_sessions import BrowserSessionRow
from jhe_server.db import now
from jhe_server.people import by_email
from jhe_server.routes import Sent
from jhe_server.tokens import FamilyRow

STRANGER = "nobody@example.com"
WRONG = "This e-mail and password do not fit together."


# ------------------------------------------------------------------ in and out
def test_one_signs_in_sees_ones_account_and_signs_out(shared_exchange: Exchange) -> None:
    browser = Browser(shared_exchange)
    browser.open("o/account")
    assert browser.page.url.path == "/jhe/o/sign_in", "whoever is not signed in is asked first"
    browser.submit("sign_in", email=f" {MARY.upper()} ", password=PASSWORD)
    assert browser.page.url.path == "/jhe/o/account"
    assert MARY in browser.text
    kept = dict(browser.http.cookies)
    browser.submit("sign_out")
    browser.http.cookies.clear()
    browser.http.cookies.update(kept)
    assert browser.open("o/account").url.path == "/jhe/o/sign_in", "the old cookie opens nothing"


def test_the_cookie_is_ours_alone_and_new_with_every_sign_in(shared_exchange: Exchange) -> None:
    browser = Browser(shared_exchange)
    browser.open("o/sign_in")
    before = browser.http.cookies["jhe_session"]
    browser.submit("sign_in", email=MARY, password=PASSWORD)
    after = browser.http.cookies["jhe_session"]
    assert before != after, "a cookie somebody planted never becomes a session"
    first = Browser(shared_exchange).http.get("o/sign_in", headers={"Accept": "text/html"})
    said = first.headers["Set-Cookie"]
    assert "; Path=/jhe; HttpOnly; SameSite=Lax" in said
    stranger = shared_exchange.as_(None)
    stranger.cookies.set("jhe_session", after)
    for path in ("api/v1/patients", "api/v1/users/profile", "FHIR/R5/Patient", "o/userinfo"):
        assert stranger.get(path).status_code == 401, "it is no key to the API"


def test_over_tls_the_cookie_never_leaves_without_it(sqlite_store: str, tmp_path: object) -> None:
    from jhe_server.pages import cookie
    from jhe_server.routes import Sent

    assert cookie("x", Sent(root="/jhe"), secure=True).endswith("; Secure")
    assert "Secure" not in cookie("x", Sent(root="/jhe"), secure=False)


def test_a_session_ends_by_itself(shared_exchange: Exchange) -> None:
    browser = Browser(shared_exchange)
    browser.sign_in(MARY)
    with shared_exchange.database.write() as session:
        session.execute(update(BrowserSessionRow).values(expires=now() - timedelta(seconds=1)))
    assert browser.open("o/account").url.path == "/jhe/o/sign_in"


def test_every_sign_in_leaves_its_row(shared_exchange: Exchange) -> None:
    Browser(shared_exchange).sign_in(MARK)
    with shared_exchange.database.read() as session:
        row = session.scalar(select(AuditRow).where(AuditRow.verb == "sign_in.enter").order_by(AuditRow.seq.desc()))
    assert row is not None
    assert (row.actor_id, row.via, row.outcome) == (10008, "page", "ok")


@pytest.mark.parametrize(
    "next", ["https://evil.example/", "//evil.example", "/\\evil.example", "o/sign_out", "me\r\nX: y", "../x", ""]
)
def test_signing_in_leads_to_our_own_pages_only(shared_exchange: Exchange, next: str) -> None:
    browser = Browser(shared_exchange)
    browser.open(f"o/sign_in?{httpx.QueryParams(next=next)}")
    assert browser.submit("sign_in", email=MARY, password=PASSWORD).url.path == "/jhe/o/account"


# ------------------------------------------------------------------ who is not let in
def test_a_stranger_and_a_wrong_password_hear_the_same(shared_exchange: Exchange) -> None:
    said = []
    for email, password in [(TOM, "wrong"), (STRANGER, "wrong"), (STRANGER, PASSWORD), (TOM, ""), ("", "")]:
        browser = Browser(shared_exchange)
        answer = browser.sign_in(email, password)
        form = re.sub(r'value="[^"]*"', "", answer.text)
        said.append((answer.status_code, WRONG in browser.text, form))
    assert said == [said[0]] * len(said)
    assert said[0][:2] == (401, True)


def test_an_account_that_does_not_exist_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the clock: the same slow hash is computed, once, whether there is something to compare with or not."""
    from jhe_server import people

    asked: list[str] = []
    hasher = people._hasher()
    monkeypatch.setattr(people, "_hasher", lambda: _Counting(hasher, asked))
    own = hasher.hash(PASSWORD)
    people._nobodys_hash()
    asked.clear()
    assert people.password_fits(own, PASSWORD)
    assert not people.password_fits(own, "wrong")
    assert not people.password_fits(None, PASSWORD)
    assert not people.password_fits(None, "nobody's password"), "nobody's password is nobody's"
    assert len(asked) == 4
    assert {one.rpartition("$")[0].rpartition("$")[0] for one in asked} == {own.rpartition("$")[0].rpartition("$")[0]}


def test_an_account_that_does_not_exist_asks_the_store_as_much(clinic: Clinic) -> None:
    """Whoever is unknown, locked out or without a password yet costs the statements of a wrong one."""
    with clinic.database.write() as session:
        locked, without = by_email(session, TOM), by_email(session, MARK)
        assert locked is not None
        assert without is not None
        locked.disabled, without.password_hash = True, None
    asked = {}
    for email in (MARY, STRANGER, TOM, MARK):
        entry, statements = Entry(verb="sign_in.enter"), []
        with clinic.database.write() as session, noted(session, statements):
            session.info.update(settings=clinic.settings, audit=entry)
            sign_in.enter(session, Sent(form=(("email", email), ("password", "wrong"))))
            afterwards = session.info["afterwards"]
        assert afterwards(clinic.database.write).status == 401
        asked[email] = statements
        assert entry.actor_id is None
    assert asked[MARY]
    assert [asked[email] for email in (STRANGER, TOM, MARK)] == [asked[MARY]] * 3


@contextmanager
def noted(session: Session, statements: list[str]) -> Iterator[None]:
    """Every statement a session sends."""
    connection = session.connection()

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", note)


class _Counting:
    """A password hasher that notes what it verifies against."""

    def __init__(self, hasher: object, asked: list[str]) -> None:
        self.hasher, self.asked = hasher, asked

    def verify(self, known: str, password: str) -> bool:
        self.asked.append(known)
        return bool(self.hasher.verify(known, password))  # type: ignore[attr-defined]

    def hash(self, password: str) -> str:
        return str(self.hasher.hash(password))  # type: ignore[attr-defined]


# ------------------------------------------------------------------ other sites
def _submitted(browser: Browser, headers: dict[str, str], **instead: str) -> int:
    browser.open("o/sign_in")
    [(_, hidden)] = browser.forms
    form = {**hidden, "email": MARY, "password": PASSWORD, **instead}
    return browser.http.post("o/sign_in", data=form, headers={"Accept": "text/html", **headers}).status_code


def test_a_form_from_another_site_is_refused(shared_exchange: Exchange) -> None:
    own = {"Origin": f"http://127.0.0.1:{shared_exchange.port}", "Sec-Fetch-Site": "same-origin"}
    assert _submitted(Browser(shared_exchange), own) == 303
    for foreign in (
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert _submitted(Browser(shared_exchange), foreign) == 403, foreign
    for token in ("", "x", "0" * 32):
        assert _submitted(Browser(shared_exchange), own, form=token) == 403, "without our own form's token"
    planted, thief = Browser(shared_exchange), Browser(shared_exchange)
    thief.open("o/sign_in")
    assert _submitted(planted, own, form=thief.forms[0][1]["form"]) == 403, "nor with another browser's"


def test_no_page_is_framed_cached_scripted_or_read_by_another_site(shared_exchange: Exchange) -> None:
    browser = Browser(shared_exchange)
    browser.sign_in(MARY)
    for path in ("o/sign_in", "o/account", "o/forgotten", "o/password/x", "o/authorize", "me", "me/invitation/x"):
        answer = browser.http.get(path, headers={"Accept": "text/html", "Origin": "https://evil.example"})
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script" not in policy
        assert "unsafe" not in policy
        assert "<script" not in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "Access-Control-Allow-Origin" not in answer.headers
        framed = browser.http.get(path, headers={"Accept": "text/html", "Sec-Fetch-Dest": "iframe"})
        assert framed.status_code == 403


def test_what_somebody_is_called_never_becomes_markup(shared_exchange: Exchange) -> None:
    browser = Browser(shared_exchange)
    query = httpx.QueryParams({"next": '"><script>x</script>', "email": "<b>"})
    browser.open(f"o/sign_in?{query}")
    assert "<script>" not in browser.page.text
    assert "<b>" not in browser.page.text
    app = registered(shared_exchange, "<img src=x onerror=alert(1)>")
    browser.sign_in(MARY)
    app.asks(browser)
    assert "<img" not in browser.page.text
    assert "<img src=x onerror=alert(1)>" in browser.text


# ------------------------------------------------------------------ my apps and tokens
def test_one_ends_an_app_a_token_or_everything(shared_exchange: Exchange) -> None:
    browser, app = Browser(shared_exchange), registered(shared_exchange, "My app")
    browser.sign_in(MARK)
    first, second = app.tokens(browser), app.tokens(browser)
    printed = shared_exchange.token(MARK)
    browser.open("o/account")
    assert browser.text.count("My app") >= 2
    newest = re.findall(r'name="app" value="(\d+)"', browser.page.text)[0]
    browser.submit(app=newest)
    assert works(shared_exchange, first["access_token"])
    assert not works(shared_exchange, second["access_token"])
    foreign = App(shared_exchange, app.client_id, verifier=app.verifier)
    other = Browser(shared_exchange)
    other.sign_in(MARY)
    theirs = foreign.tokens(other)
    with shared_exchange.database.read() as session:
        last = session.scalar(select(func.max(FamilyRow.id)))
    browser.submit(app=str(last))
    assert works(shared_exchange, theirs["access_token"]), "nobody ends another's app"
    keys = [_key(shared_exchange, MARK) for _ in range(2)]
    got = [key.post("token", grant_type="client_credentials").json()["access_token"] for key in keys]
    browser.open("o/account")
    browser.submit(key=re.findall(r'name="key" value="(\d+)"', browser.page.text)[0])
    assert [works(shared_exchange, token) for token in got].count(True) == 1, "a key ends with what was got with it"
    refusal = bearer(shared_exchange, first["access_token"]).post("api/v1/practitioner_clients", json={"name": "Mine"})
    assert refusal.status_code == 403, "an app makes no key that outlives it"
    browser.submit(everything="yes")
    assert browser.page.url.path == "/jhe/o/sign_in"
    assert not works(shared_exchange, first["access_token"])
    assert not works(shared_exchange, printed)
    assert not any(works(shared_exchange, token) for token in got)
    assert {key.post("token", grant_type="client_credentials").status_code for key in keys} == {401}


def _key(exchange: Exchange, email: str) -> App:
    made = exchange.as_(email).post("api/v1/practitioner_clients", json={"name": "Nightly"}).json()
    return App(exchange, made["clientId"], made["clientSecret"])
