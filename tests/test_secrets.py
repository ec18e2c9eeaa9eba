"""Whatever lets somebody in is in no log, at DEBUG neither, and in no file of the Exchange: only its hash is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import httpx
import pytest
from apps import App, registered
from browsers import Browser
from conftest import MARY, PASSWORD, TOM, Exchange, wait_for
from phones import bearer

WRONG = "a password that is not Mary's"
NEW = "seven green boats at anchor"


@pytest.fixture(scope="module")
def talkative(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A server that logs all it ever would."""
    from conftest import _fresh

    folder = tmp_path_factory.mktemp("talkative")
    exchange = Exchange(_fresh(request, "sqlite", folder), folder, "--debug")
    yield exchange
    exchange.close()


def let_in(exchange: Exchange, browser: Browser, app: App) -> list[str]:
    """Signed in and an app let in, every way that can fail included; what was secret on the way."""
    browser.sign_in(MARY, WRONG)
    browser.sign_in(MARY)
    code = app.let_in(browser)["code"]
    app.exchange_code(code, code_verifier="x" * 43)
    App(exchange, app.client_id, "not the secret").exchange_code(code)
    first = app.exchange_code(code).json()
    second = app.refresh(first["refresh_token"]).json()
    app.refresh(first["refresh_token"])
    bearer(exchange, second["access_token"]).get("o/userinfo")
    bearer(exchange, second["refresh_token"]).get("api/v1/patients")
    app.post("introspect", token=second["access_token"])
    browser.open(f"o/code?{httpx.QueryParams(code=code, state='a state')}", Referer=f"{exchange.address}/o/code?{code}")
    cookie = browser.http.cookies["jhe_session"]
    tokens = [one[name] for one in (first, second) for name in ("access_token", "refresh_token")]
    return [PASSWORD, WRONG, code, app.verifier, cookie, *tokens, first["id_token"]]


def a_key(exchange: Exchange) -> list[str]:
    made = exchange.as_(MARY).post("api/v1/practitioner_clients", json={"name": "Nightly"}).json()
    key = App(exchange, made["clientId"], made["clientSecret"])
    got = key.post("token", grant_type="client_credentials").json()["access_token"]
    in_the_address = exchange.as_(None).post(f"o/token?client_secret={made['clientSecret']}", data={"a": "b"})
    assert in_the_address.status_code == 400
    assert exchange.as_(None).get(f"api/v1/patients?token={got}").status_code == 400
    return [made["clientSecret"], got]


def a_link(exchange: Exchange, browser: Browser) -> list[str]:
    """A password forgotten and set anew, by a link that comes by mail: there alone it has to stand."""
    browser.open("o/forgotten")
    browser.submit("forgotten", email=TOM)
    outbox = Path(exchange.folder)
    wait_for(lambda: any(outbox.rglob("*.eml")), 20)
    [file] = outbox.rglob("*.eml")
    mail = message_from_bytes(file.read_bytes(), policy=default).get_content()
    found = re.search(r"/jhe/(o/password/(\S+))", mail)
    assert found is not None
    browser.open(found[1])
    browser.submit(password=NEW, again=NEW)
    browser.open(found[1])
    file.unlink()
    return [found[2], NEW]


def test_no_secret_is_logged_or_kept(talkative: Exchange) -> None:
    app, browser = registered(talkative, "A confidential app", confidential=True), Browser(talkative)
    secrets = [*let_in(talkative, browser, app), str(app.secret)]
    secrets += [*a_key(talkative), *a_link(talkative, Browser(talkative))]
    assert len(set(secrets)) == len(secrets) == 15
    talkative.stop()
    logged = talkative.log.read_text()
    assert "o/token" in logged, "the log says what was called"
    kept = b"".join(file.read_bytes() for file in talkative.folder.rglob("*") if file.is_file())
    assert hashlib.sha256(secrets[5].encode()).hexdigest().encode() in kept, "so this looked in the right place"
    assert [place for place, one in enumerate(secrets) if one in logged or one.encode() in kept] == []
