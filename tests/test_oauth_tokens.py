"""What becomes of tokens: refreshed once each, ended as a family, revoked, looked into; and keys for scripts."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from apps import App, registered, works
from browsers import Browser
from conftest import ADMIN, MARY, MEGAN, PETER, VICTOR, Exchange
from phones import bearer, connected, invited, refresh
from refusals import refused
from sqlalchemy import select, update

from jhe_server.audit import AuditRow
from jhe_server.authorization_codes import CodeRow
from jhe_server.db import now
from jhe_server.people import by_email
from jhe_server.tokens import FamilyRow, RefreshRow, TokenRow, token_hash


@pytest.fixture(scope="module")
def app(shared_exchange: Exchange) -> App:
    return registered(shared_exchange, "A public app")


@pytest.fixture(scope="module")
def confidential(shared_exchange: Exchange) -> App:
    return registered(shared_exchange, "A confidential app", confidential=True)


@pytest.fixture(scope="module")
def mary(shared_exchange: Exchange) -> Browser:
    browser = Browser(shared_exchange)
    browser.sign_in(MARY)
    return browser


def _later(exchange: Exchange, row: Any, by: timedelta = timedelta(minutes=1)) -> None:
    """As if whatever is used was used that long ago."""
    with exchange.database.write() as session:
        session.execute(update(row).where(row.used.is_not(None)).values(used=now() - by))


def _family(exchange: Exchange, token: str) -> FamilyRow:
    with exchange.database.read() as session:
        id = session.scalar(select(TokenRow.family_id).where(TokenRow.token_hash == token_hash(token)))
        return session.get_one(FamilyRow, id)


def denied(answer: httpx.Response) -> str:
    assert answer.status_code in (400, 401), answer.text
    return str(answer.json()["error"])


# ------------------------------------------------------------------ refreshing
def test_a_refresh_token_is_good_once(shared_exchange: Exchange, app: App, mary: Browser) -> None:
    first = app.tokens(mary)
    second = app.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert works(shared_exchange, second["access_token"])
    assert denied(app.refresh(first["refresh_token"])) == "invalid_grant"
    assert works(shared_exchange, second["access_token"]), "a duplicate within the grace ends nothing"
    assert app.refresh(second["refresh_token"]).status_code == 200


def test_what_is_long_over_leaves_no_rows(shared_exchange: Exchange, app: App, mary: Browser) -> None:
    """A phone refreshes every hour for a year: of a month ago nothing is kept."""
    first = app.tokens(mary)
    second = app.refresh(first["refresh_token"]).json()
    family = _family(shared_exchange, second["access_token"]).id
    _later(shared_exchange, RefreshRow, timedelta(days=31))
    with shared_exchange.database.write() as session:
        session.execute(update(TokenRow).where(TokenRow.family_id == family).values(expires=now() - timedelta(1)))
    third = app.refresh(second["refresh_token"]).json()
    assert works(shared_exchange, third["access_token"])
    with shared_exchange.database.read() as session:
        for row, left in ((TokenRow, 1), (RefreshRow, 2)):
            assert len(session.scalars(select(row).where(row.family_id == family)).all()) == left


def test_a_refresh_token_that_comes_back_ends_its_family(shared_exchange: Exchange, app: App, mary: Browser) -> None:
    first = app.tokens(mary)
    second = app.refresh(first["refresh_token"]).json()
    _later(shared_exchange, RefreshRow)
    assert denied(app.refresh(first["refresh_token"])) == "invalid_grant"
    with shared_exchange.database.read() as session:
        row = session.scalar(select(AuditRow).order_by(AuditRow.seq.desc()).limit(1))
    assert row is not None
    assert (row.verb, row.actor_id, row.outcome) == ("oauth.token", 10002, "denied"), "whose family it was is on record"
    for token in (first, second):
        assert not works(shared_exchange, token["access_token"])
    assert denied(app.refresh(second["refresh_token"])) == "invalid_grant"


def test_a_code_that_comes_back_ends_its_family_once_it_is_clear_who_sends_it(
    shared_exchange: Exchange, app: App, mary: Browser
) -> None:
    code = app.let_in(mary)["code"]
    tokens = app.exchange_code(code).json()
    _later(shared_exchange, CodeRow)
    for instead in ({"code_verifier": "x" * 43}, {"client_id": "commonhealth-patient-app"}):
        assert denied(app.exchange_code(code, **instead)) in ("invalid_grant", "invalid_client")
        assert works(shared_exchange, tokens["access_token"]), "whoever saw the code only can do no harm with it"
    assert denied(app.exchange_code(code)) == "invalid_grant"
    assert not works(shared_exchange, tokens["access_token"])


def test_eight_refreshes_at_once_give_one_answer_that_lasts(shared_exchange: Exchange, app: App, mary: Browser) -> None:
    token = app.tokens(mary)["refresh_token"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: app.refresh(token), range(8)))
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    assert works(shared_exchange, won["access_token"])
    assert app.refresh(won["refresh_token"]).status_code == 200


def test_only_the_client_it_was_given_to_refreshes(
    shared_exchange: Exchange, app: App, confidential: App, mary: Browser
) -> None:
    token = confidential.tokens(mary)["refresh_token"]
    assert denied(app.refresh(token)) == "invalid_grant"
    assert denied(App(shared_exchange, confidential.client_id).refresh(token)) == "invalid_client"
    assert confidential.refresh(token).status_code == 200


def test_refreshing_widens_nothing(app: App, mary: Browser) -> None:
    token = app.exchange_code(app.let_in(mary, scope="openid")["code"]).json()["refresh_token"]
    assert denied(app.refresh(token, scope="openid email")) == "invalid_scope"
    assert app.refresh(token, scope="openid").json()["scope"] == "openid"


def test_no_kind_of_token_passes_for_another(shared_exchange: Exchange, app: App, mary: Browser) -> None:
    tokens = app.tokens(mary)
    claims = tokens["id_token"].split(".")[1]
    heads = (urlsafe_b64encode(head).decode().rstrip("=") for head in (b'{"alg":"none"}', b'{"alg":"HS256"}'))
    forged = [f"{head}.{claims}.x" for head in heads]
    kinds = (tokens["refresh_token"], tokens["id_token"], "jhe_" + tokens["refresh_token"], "jhe_", "jhr_x")
    for secret in (*kinds, *forged):
        answer = bearer(shared_exchange, secret).get("api/v1/users/profile")
        assert answer.status_code == 401
    assert denied(app.refresh(tokens["access_token"])) == "invalid_grant"


def test_nothing_lasts_longer_than_it_should(shared_exchange: Exchange, app: App, mary: Browser) -> None:
    """Of a family's end nothing is moved by refreshing; a patient's phone may be left alone for longer."""
    first = app.tokens(mary)
    until = _family(shared_exchange, first["access_token"]).expires
    second = app.refresh(first["refresh_token"]).json()
    assert _family(shared_exchange, second["access_token"]).expires == until
    assert timedelta(days=89) < until - now() < timedelta(days=90)
    theirs = _family(shared_exchange, connected(shared_exchange)["access_token"]).expires
    assert timedelta(days=399) < theirs - now() < timedelta(days=400)
    with shared_exchange.database.write() as session:
        session.execute(update(RefreshRow).values(expires=now()))
    assert denied(app.refresh(second["refresh_token"])) == "invalid_grant"


# ------------------------------------------------------------------ ending
def test_giving_back_one_token_ends_the_family(shared_exchange: Exchange, app: App, mary: Browser) -> None:
    for name in ("access_token", "refresh_token"):
        tokens = app.tokens(mary)
        assert app.post("revoke_token", token=tokens[name]).status_code == 200
        assert not works(shared_exchange, tokens["access_token"])
        assert denied(app.refresh(tokens["refresh_token"])) == "invalid_grant"


def test_nobody_gives_back_what_is_not_theirs(
    shared_exchange: Exchange, app: App, confidential: App, mary: Browser
) -> None:
    tokens, own = app.tokens(mary), shared_exchange.token(MARY)
    for token in (tokens["access_token"], tokens["refresh_token"], own, "unknown"):
        assert confidential.post("revoke_token", token=token).status_code == 200, "the answer tells nothing"
    assert works(shared_exchange, tokens["access_token"])
    assert works(shared_exchange, own)
    assert denied(App(shared_exchange, "nobody").post("revoke_token", token=own)) == "invalid_client"


def test_a_client_that_is_deleted_takes_its_tokens_along(shared_exchange: Exchange, mary: Browser) -> None:
    app = registered(shared_exchange, "A short-lived app")
    token = app.tokens(mary)["access_token"]
    admin = shared_exchange.as_(ADMIN)
    [found] = admin.get("api/v1/clients", params={"search": "A short-lived"}).json()["results"]
    assert admin.delete(f"api/v1/clients/{found['id']}").status_code == 204
    assert not works(shared_exchange, token)


def test_another_address_ends_a_patients_phone_and_invitations(shared_exchange: Exchange) -> None:
    """The address is where the next invitation goes: whoever had the old one is out."""
    admin, phone = shared_exchange.as_(ADMIN), shared_exchange.as_(None)
    tokens, open_one = connected(shared_exchange, 40002), invited(shared_exchange, 40002)
    changed = admin.patch("api/v1/patients/40002", json={"telecomEmail": "pamela.new@example.com"})
    assert changed.status_code == 200, changed.text
    assert not works(shared_exchange, tokens["access_token"])
    assert denied(refresh(phone, tokens)) == "invalid_grant"
    refused(phone.post(f"api/v1/invitation/{open_one}"), 403)


# ------------------------------------------------------------------ looking into
def test_a_client_looks_into_its_own_tokens_only(
    shared_exchange: Exchange, app: App, confidential: App, mary: Browser
) -> None:
    own, foreign = confidential.tokens(mary), app.tokens(mary)
    said = confidential.post("introspect", token=own["access_token"]).json()
    assert (said["active"], said["sub"], said["client_id"]) == (True, "10002", confidential.client_id)
    for token in (foreign["access_token"], shared_exchange.token(ADMIN), own["refresh_token"], "unknown"):
        assert confidential.post("introspect", token=token).json() == {"active": False}
    assert denied(confidential.post("introspect")) == "invalid_request"
    assert denied(App(shared_exchange, confidential.client_id).post("introspect", token="x")) == "invalid_client"


# ------------------------------------------------------------------ keys for scripts
def _key(exchange: Exchange, email: str) -> App:
    made = exchange.as_(email).post("api/v1/practitioner_clients", json={"name": "Nightly report"}).json()
    return App(exchange, made["clientId"], made["clientSecret"])


def test_a_key_gets_tokens_that_act_as_its_owner(shared_exchange: Exchange) -> None:
    key = _key(shared_exchange, MEGAN)
    said = key.post("token", grant_type="client_credentials").json()
    assert "refresh_token" not in said
    profile = bearer(shared_exchange, said["access_token"]).get("api/v1/users/profile").json()
    assert profile["email"] == MEGAN
    listed = shared_exchange.as_(MEGAN).get("api/v1/practitioner_clients").json()["results"]
    assert [one["clientId"] for one in listed] == [key.client_id]
    assert key.secret not in str(listed)
    assert shared_exchange.as_(VICTOR).get("api/v1/practitioner_clients").json()["results"] == []


def test_a_deleted_key_ends_what_was_got_with_it_and_nobody_else_deletes_it(shared_exchange: Exchange) -> None:
    key = _key(shared_exchange, MARY)
    token = key.post("token", grant_type="client_credentials").json()["access_token"]
    mary = shared_exchange.as_(MARY)
    id = mary.get("api/v1/practitioner_clients").json()["results"][-1]["id"]
    for email in (MEGAN, ADMIN):
        refused(shared_exchange.as_(email).delete(f"api/v1/practitioner_clients/{id}"), 404)
    assert works(shared_exchange, token)
    assert mary.delete(f"api/v1/practitioner_clients/{id}").status_code == 204
    assert not works(shared_exchange, token)
    assert denied(key.post("token", grant_type="client_credentials")) == "invalid_client"


def test_a_key_is_for_its_one_grant_and_other_clients_are_not_for_it(
    shared_exchange: Exchange, app: App, confidential: App
) -> None:
    key = _key(shared_exchange, MEGAN)
    by_code = key.post("token", grant_type="authorization_code", code="x", redirect_uri="x")
    assert denied(by_code) == "unauthorized_client"
    assert denied(key.post("token", grant_type="refresh_token", refresh_token="x")) == "unauthorized_client"
    without = App(shared_exchange, key.client_id).post("token", grant_type="client_credentials")
    assert denied(without) == "invalid_client"
    assert denied(confidential.post("token", grant_type="client_credentials")) == "unauthorized_client"
    assert denied(app.post("token", grant_type="client_credentials")) in ("unauthorized_client", "invalid_client")


def test_what_a_key_got_is_no_app_and_leaves_no_rows(shared_exchange: Exchange, app: App, mary: Browser) -> None:
    key = _key(shared_exchange, MARY)
    app.tokens(mary)
    apps = mary.open("o/account").text.count('name="app"')
    for _ in range(3):
        last = key.post("token", grant_type="client_credentials").json()["access_token"]
    assert mary.open("o/account").text.count('name="app"') == apps > 0
    with shared_exchange.database.write() as session:
        mine = FamilyRow.client_id == key.client_id
        rows = session.scalars(select(FamilyRow).where(mine)).all()
        assert max(row.expires - row.created for row in rows) <= timedelta(hours=1)
        session.execute(update(FamilyRow).where(mine).values(expires=now() - timedelta(seconds=1)))
    key.post("token", grant_type="client_credentials")
    with shared_exchange.database.read() as session:
        assert len(session.scalars(select(FamilyRow).where(FamilyRow.client_id == key.client_id)).all()) == 1
    assert not works(shared_exchange, last), "what is over is over"


def test_userinfo_says_what_the_app_was_let_in_for(shared_exchange: Exchange, app: App, mary: Browser) -> None:
    said = {}
    for scope in ("openid", "openid email", "openid email profile"):
        token = app.exchange_code(app.let_in(mary, scope=scope)["code"]).json()["access_token"]
        said[scope] = set(bearer(shared_exchange, token).get("o/userinfo").json())
    assert said["openid"] == {"sub"}
    assert said["openid email"] == {"sub", "email"}
    assert {"sub", "email", "given_name", "family_name"} >= said["openid email profile"] > said["openid email"]


def test_nobody_keeps_more_keys_than_they_can_remember(shared_exchange: Exchange) -> None:
    victor = shared_exchange.as_(VICTOR)
    answers = [victor.post("api/v1/practitioner_clients", json={"name": f"Key {n}"}) for n in range(21)]
    assert [answer.status_code for answer in answers] == [201] * 20 + [409]


# ------------------------------------------------------------------ where everything is, and who may read it
def test_the_documents_say_where_everything_is(shared_exchange: Exchange) -> None:
    stranger = shared_exchange.as_(None)
    document = stranger.get("o/.well-known/openid-configuration").json()
    base = document["issuer"].removesuffix("/o")
    for name, address in document.items():
        if name.endswith(("_endpoint", "_uri")):
            path = address.removeprefix(f"{base}/")
            assert stranger.get(path, headers={"Accept": "*/*"}).status_code != 404, name
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert set(document["grant_types_supported"]) & {"password", "implicit"} == set()
    for root in ("FHIR/R5", "fhir/r5", "fhir"):
        smart = stranger.get(f"{root}/.well-known/smart-configuration")
        assert smart.headers["Access-Control-Allow-Origin"] == "*"
        assert smart.json()["token_endpoint"] == document["token_endpoint"]


def test_a_browser_app_calls_from_where_it_is_registered_and_no_other_does(
    shared_exchange: Exchange, app: App, mary: Browser
) -> None:
    tokens = app.tokens(mary)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": app.client_id}
    stranger, allow = shared_exchange.as_(None), "Access-Control-Allow-Origin"
    for origin, allowed in [("https://app.example.org", True), ("https://app.example.or", False), ("null", False),
                            ("https://app.example.org.evil.example", False), ("https://", False)]:  # fmt: skip
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        assert (stranger.options("o/token", headers=asked).headers.get(allow) == origin) is allowed
        answer = stranger.get("FHIR/R5/Patient", headers={"Origin": origin})
        assert (answer.headers.get(allow) == origin) is allowed, "a 401 as well"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert allow not in stranger.get("o/sign_in", headers={"Origin": origin, "Accept": "text/html"}).headers
    answer = stranger.post("o/token", data=form, headers={"Origin": "https://app.example.org"})
    assert (answer.status_code, answer.headers[allow]) == (200, "https://app.example.org")


def test_a_disabled_account_gets_nothing_more(shared_exchange: Exchange) -> None:
    """Last here, since it stays disabled: Peter is a patient whom an operator has locked out."""
    tokens, open_one = connected(shared_exchange), invited(shared_exchange)
    with shared_exchange.database.write() as session:
        user = by_email(session, PETER)
        assert user is not None
        user.disabled = True
    phone = shared_exchange.as_(None)
    assert not works(shared_exchange, tokens["access_token"])
    assert denied(refresh(phone, tokens)) == "invalid_grant"
    refused(phone.post(f"api/v1/invitation/{open_one}"), 403)
