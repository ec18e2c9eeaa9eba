"""An account that is disabled, from a panel or at the command line: out at once, and what was ended stays ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from apps import App, registered, works
from browsers import Browser
from conftest import ADMIN, MARK, MEGAN, TOM, Clinic, Exchange
from test_cli import CommandLine

from jhe_server import changes, hub_users, practitioner_clients, tokens
from jhe_server.audit import Entry
from jhe_server.db import now


def by_api(exchange: Exchange, email: str, disabled: bool, folder: Path) -> None:
    admin = exchange.as_(ADMIN)
    [found] = admin.get(f"api/v1/practitioners?search={email}").json()["results"]
    answer = admin.patch(f"api/v1/practitioners/{found['id']}", json={"disabled": disabled})
    assert answer.json()["disabled"] is disabled


def by_command(exchange: Exchange, email: str, disabled: bool, folder: Path) -> None:
    CommandLine(folder, exchange.url).run("user", "disable", email, *([] if disabled else ["--undo"]))


@pytest.mark.parametrize(("switch", "email"), [(by_api, TOM), (by_command, MARK)])
def test_whoever_is_disabled_is_out_and_only_the_password_comes_back(
    shared_exchange: Exchange, tmp_path: Path, switch: Callable[..., None], email: str
) -> None:
    browser, app = Browser(shared_exchange), registered(shared_exchange, f"An app of {email}")
    browser.sign_in(email)
    tokens = app.tokens(browser)
    made = shared_exchange.as_(email).post("api/v1/practitioner_clients", json={"name": "Nightly"}).json()
    key = App(shared_exchange, made["clientId"], made["clientSecret"])
    got = key.post("token", grant_type="client_credentials").json()["access_token"]
    printed = shared_exchange.token(email)

    switch(shared_exchange, email, True, tmp_path)
    for _ in ("disabled", "enabled again"):
        assert [works(shared_exchange, one) for one in (tokens["access_token"], got, printed)] == [False] * 3
        assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
        assert key.post("token", grant_type="client_credentials").json()["error"] == "invalid_client"
        assert browser.open("o/account").url.path == "/jhe/o/sign_in"
        again = Browser(shared_exchange).sign_in(email)
        if _ == "disabled":
            assert again.status_code == 401
            switch(shared_exchange, email, False, tmp_path)
    assert again.url.path == "/jhe/o/account", "the password is good again"
    assert shared_exchange.as_(email).get("api/v1/practitioner_clients").json()["count"] == 0


def test_nobody_disables_themselves_and_only_a_superuser_anybody(shared_exchange: Exchange) -> None:
    admin = shared_exchange.as_(ADMIN)
    [own] = admin.get(f"api/v1/practitioners?search={ADMIN}").json()["results"]
    assert admin.patch(f"api/v1/practitioners/{own['id']}", json={"disabled": True}).status_code == 403
    [megan] = admin.get(f"api/v1/practitioners?search={MEGAN}").json()["results"]
    refusal = shared_exchange.as_(MARK).patch(f"api/v1/practitioners/{megan['id']}", json={"disabled": True})
    assert refusal.status_code == 403


def test_whoever_left_the_hub_leaves_no_key_behind(clinic: Clinic) -> None:
    """A key gets tokens by itself: it would let in for ever somebody whom the Hub no longer knows."""
    made = clinic.call(practitioner_clients.create, MEGAN, practitioner_clients.NewPractitionerClient(name="Nightly"))
    token = clinic.token(MEGAN)
    with clinic.database.write() as session:
        session.add(hub_users.HubUserRow(name="megan", user_id=tokens.actor(session, token).user_id, linked=now()))
    with clinic.database.write() as session:
        session.info.update(audit=Entry(verb="hub_users.gone"))
        hub_users.gone(session, "megan")
        changes.append(session)
    with clinic.database.read() as session:
        assert session.get(practitioner_clients.PractitionerClientRow, made.id) is None
        assert tokens.good(session, token) is None
