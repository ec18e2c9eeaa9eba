"""Authorization code with PKCE: an app asks, a person answers on our page, and nothing else lets the app in."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from apps import CALLBACK, App, registered, works
from browsers import Browser
from conftest import MARY, MEGAN, PETER, Exchange
from joserfc import jwt
from joserfc.jwk import KeySet
from phones import bearer


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


def test_an_app_is_let_in_by_a_person_who_signs_in_on_the_way(shared_exchange: Exchange, app: App) -> None:
    browser = Browser(shared_exchange)
    app.asks(browser)
    assert browser.page.url.path == "/jhe/o/sign_in"
    browser.submit("sign_in", email="Manager_Mary@Example.com", password="a development password")
    assert "Let A public app in?" in browser.text
    assert "app.example.org" in browser.text
    assert MARY in browser.text
    heard = app.heard(browser.submit("authorize", answer="yes"))
    assert (heard["state"], heard["from"]) == ("a state", "jhe")
    assert heard["iss"].endswith(f":{shared_exchange.port}/jhe/o")
    said = app.exchange_code(heard["code"]).json()
    assert (said["token_type"], said["expires_in"], said["scope"]) == ("Bearer", 3600, "openid email")
    profile = bearer(shared_exchange, said["access_token"]).get("api/v1/users/profile").json()
    assert profile["email"] == MARY
    assert bearer(shared_exchange, said["access_token"]).get("o/userinfo").json()["email"] == MARY


def test_the_id_token_is_signed_and_says_who_and_for_whom(
    shared_exchange: Exchange, confidential: App, mary: Browser
) -> None:
    token = confidential.tokens(mary)["id_token"]
    stranger = shared_exchange.as_(None)
    document = stranger.get("o/.well-known/openid-configuration").json()
    keys = KeySet.import_key_set(stranger.get("o/.well-known/jwks.json").json())
    assert all("d" not in key.as_dict(private=False) for key in keys)
    found = jwt.decode(token, keys, algorithms=document["id_token_signing_alg_values_supported"])
    assert found.header["alg"] == "ES256"
    assert {name: found.claims[name] for name in ("iss", "aud", "sub", "nonce", "email")} == {
        "iss": document["issuer"],
        "aud": confidential.client_id,
        "sub": "10002",
        "nonce": "a nonce",
        "email": MARY,
    }
    assert found.claims["exp"] - found.claims["iat"] == 3600
    key_file = shared_exchange.folder / "signing-key.json"
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert "id_token" not in confidential.exchange_code(confidential.let_in(mary, scope="email")["code"]).json()


def test_a_no_is_heard_as_one(app: App, mary: Browser) -> None:
    app.asks(mary)
    heard = app.heard(mary.submit("authorize", answer="no"))
    assert (heard["error"], heard["state"]) == ("access_denied", "a state")
    assert "code" not in heard


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example.org/callback",
        "https://app.example.org/callback?from=jhe&more=1",
        "https://app.example.org/callback?from=jhe#x",
        "https://app.example.org/CALLBACK?from=jhe",
        "https://app.example.org/callback/?from=jhe",
        "https://app.example.org:443/callback?from=jhe",
        "http://app.example.org/callback?from=jhe",
        "https://app.example.org.evil.example/callback?from=jhe",
        "https://app.example.org@evil.example/callback?from=jhe",
        "https://app.example.org/x/../callback?from=jhe",
        "//app.example.org/callback?from=jhe",
        "",
        None,
    ],
)
def test_an_address_that_is_nearly_registered_is_told_to_the_person_and_never_followed(
    app: App, mary: Browser, uri: str | None
) -> None:
    answer = app.asks(mary, redirect_uri=uri)
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert "cannot be trusted" in mary.text


@pytest.mark.parametrize("client_id", ["nobody", "", None, "key-x"])
def test_an_app_nobody_knows_is_told_to_the_person(app: App, mary: Browser, client_id: str | None) -> None:
    assert app.asks(mary, client_id=client_id).status_code == 400


@pytest.mark.parametrize(
    ("instead", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unauthorized_client"),
        ({"response_type": None}, "invalid_request"),
        ({"scope": "openid everything"}, "invalid_scope"),
        ({"prompt": "none"}, "consent_required"),
    ],
)
def test_a_request_the_app_got_wrong_is_told_to_the_app(
    app: App, mary: Browser, instead: dict[str, Any], error: str
) -> None:
    heard = app.heard(app.asks(mary, **instead))
    assert (heard["error"], heard["state"]) == (error, "a state")


def test_nobody_is_let_in_silently(shared_exchange: Exchange, app: App) -> None:
    assert app.heard(app.asks(Browser(shared_exchange), prompt="none"))["error"] == "login_required"


@pytest.mark.parametrize(
    "instead",
    [
        {"code_verifier": "x" * 43},
        {"code_verifier": None},
        {"redirect_uri": "https://app.example.org/callback"},
        {"redirect_uri": None},
        {"code": "x" * 43},
        {"code": None},
        {"client_id": "commonhealth-patient-app"},
        {"grant_type": "password"},
        {"grant_type": "implicit"},
        {"grant_type": None},
    ],
)
def test_a_wrong_exchange_does_not_spend_the_code(app: App, mary: Browser, instead: dict[str, Any]) -> None:
    code = app.let_in(mary)["code"]
    answer = app.exchange_code(code, **instead)
    assert answer.status_code in (400, 401), answer.text
    assert "access_token" not in answer.text
    assert app.exchange_code(code).status_code == 200


@pytest.mark.parametrize("secret", ["", " ", "wrong", "0" * 43])
def test_a_confidential_app_needs_its_secret(confidential: App, mary: Browser, secret: str) -> None:
    code = confidential.let_in(mary)["code"]
    impostor = App(confidential.exchange, confidential.client_id, verifier=confidential.verifier)
    answer = impostor.exchange_code(code, client_secret=secret)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert impostor.exchange_code(code).status_code == 401
    by_form = impostor.exchange_code(code, client_secret=confidential.secret)
    assert by_form.status_code == 200, "the secret may come in the form as well"


def test_credentials_in_an_address_are_refused(shared_exchange: Exchange, confidential: App) -> None:
    stranger = shared_exchange.as_(None)
    for name in ("client_secret", "refresh_token", "code_verifier", "access_token", "token"):
        answer = stranger.post(f"o/token?{name}=x", data={"grant_type": "client_credentials"})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), name


def test_the_token_endpoint_takes_a_form_and_nothing_else(shared_exchange: Exchange) -> None:
    stranger = shared_exchange.as_(None)
    assert stranger.post("o/token", json={"grant_type": "client_credentials"}).status_code == 415
    assert stranger.get("o/token").status_code == 401, "whoever asks for something that is not there is somebody first"
    assert stranger.post("o/token", content=b"%ff=x", headers={"Content-Type": FORM}).status_code == 400
    assert stranger.post("o/token", content=b"a=b&a=c", headers={"Content-Type": FORM}).status_code == 400


FORM = "application/x-www-form-urlencoded"


def test_a_patient_lets_an_app_in_as_well(shared_exchange: Exchange, app: App) -> None:
    browser = Browser(shared_exchange)
    browser.sign_in(PETER)
    token = app.tokens(browser)["access_token"]
    assert bearer(shared_exchange, token).get("api/v1/patients/me").json()["id"] == 40001


def test_a_notebook_needs_no_registration_and_any_port_of_this_machine(shared_exchange: Exchange) -> None:
    browser = Browser(shared_exchange)
    browser.sign_in(MEGAN)
    for port in (50123, 61999):
        notebook = App(shared_exchange, "jhe-jupyter", redirect_uri=f"http://127.0.0.1:{port}/callback")
        assert works(shared_exchange, notebook.tokens(browser)["access_token"])
    for uri in ("http://localhost:50123/callback", "http://127.0.0.2:50123/callback", "http://127.0.0.1:50123/"):
        assert notebook.asks(browser, redirect_uri=uri).status_code == 400


def test_where_no_browser_reaches_the_kernel_the_code_is_shown(shared_exchange: Exchange) -> None:
    browser = Browser(shared_exchange)
    browser.sign_in(MEGAN)
    issuer = shared_exchange.as_(None).get("o/.well-known/openid-configuration").json()["issuer"]
    notebook = App(shared_exchange, "jhe-jupyter", redirect_uri=f"{issuer}/code")
    code = notebook.let_in(browser)["code"]
    assert code in browser.open(f"o/code?{httpx.QueryParams(code=code)}").text
    assert notebook.exchange_code(code).status_code == 200


@pytest.mark.parametrize(
    "uri",
    ["http://app.example.org/cb", "javascript:alert(1)", "data:text/html,x", "https://a.example/#f", "https:///cb",
     "https://a.example/cb;x", "https://u:p@a.example/cb", "/callback", "x"],
)  # fmt: skip
def test_an_address_no_code_should_be_sent_to_is_not_registered(shared_exchange: Exchange, uri: str) -> None:
    answer = shared_exchange.as_("admin@example.com").post(
        "api/v1/clients", json={"name": "An odd app", "redirectUris": [CALLBACK, uri]}
    )
    assert answer.status_code == 400, answer.text
