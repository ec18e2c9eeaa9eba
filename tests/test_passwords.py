"""Passwords: a one-time link for the first or a forgotten one, and guessing stopped, whoever guesses."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email import message_from_bytes
from email.policy import default

import pytest
from apps import App, registered, works
from browsers import Browser
from conftest import ADMIN, MARK, MARY, MEGAN, PAMELA, PASSWORD, PERCY, TOM, VICTOR, Exchange, wait_for
from sqlalchemy import delete, update

from jhe_server.attempts import AttemptRow
from jhe_server.db import now
from jhe_server.password_links import PasswordLinkRow

STRANGER = "nobody@example.com"
ANOTHER = "another fine password"


@pytest.fixture(autouse=True)
def _nobody_has_tried(shared_exchange: Exchange) -> None:
    with shared_exchange.database.write() as session:
        session.execute(delete(AttemptRow))


def _mails(exchange: Exchange) -> list[str]:
    found = [message_from_bytes(file.read_bytes(), policy=default) for file in sorted(exchange.outbox.glob("*.eml"))]
    return [message.get_content() for message in found if not message.is_multipart()]


def _link(exchange: Exchange, email: str) -> str:
    """The path of the link that is mailed to somebody who asks for one."""
    before, browser = len(_mails(exchange)), Browser(exchange)
    browser.open("o/forgotten")
    browser.submit("forgotten", email=email)
    assert "on its way" in browser.text
    wait_for(lambda: len(_mails(exchange)) > before, 20)
    found = re.search(r"/jhe/(o/password/\S+)", _mails(exchange)[-1])
    assert found is not None
    return found[1]


def test_a_first_or_forgotten_password_is_set_by_a_link_that_is_good_once(shared_exchange: Exchange) -> None:
    browser, earlier = Browser(shared_exchange), Browser(shared_exchange)
    earlier.sign_in(MEGAN)
    app = registered(shared_exchange, "An app from before")
    token = app.tokens(earlier)["access_token"]
    link = _link(shared_exchange, MEGAN)
    assert browser.open(link).status_code == 200
    for password, again in [("short", "short"), (ANOTHER, "not the same"), (MEGAN, MEGAN), ("x" * 201, "x" * 201)]:
        assert browser.submit(password=password, again=again).status_code == 400
    browser.submit(password=ANOTHER, again=ANOTHER)
    assert MEGAN in browser.text, "signed in with it"
    assert earlier.open("o/account").url.path == "/jhe/o/sign_in", "whoever was signed in before is out"
    assert not works(shared_exchange, token)
    assert Browser(shared_exchange).open(link).status_code == 410
    assert Browser(shared_exchange).sign_in(MEGAN).status_code == 401
    assert Browser(shared_exchange).sign_in(MEGAN, ANOTHER).status_code == 200


def test_a_link_is_over_when_it_is_old_or_another_was_used(shared_exchange: Exchange) -> None:
    """Not when another was sent: anybody may ask for one."""
    first, second = _link(shared_exchange, PAMELA), _link(shared_exchange, PAMELA)
    browser = Browser(shared_exchange)
    browser.open(first)
    assert browser.submit(password=ANOTHER, again=ANOTHER).status_code == 200
    assert Browser(shared_exchange).open(second).status_code == 410


def test_a_link_is_over_when_it_is_old(shared_exchange: Exchange) -> None:
    link, browser = _link(shared_exchange, PAMELA), Browser(shared_exchange)
    assert browser.open(link).status_code == 200
    with shared_exchange.database.write() as session:
        session.execute(update(PasswordLinkRow).values(expires=now() - timedelta(seconds=1)))
    assert browser.submit(password=ANOTHER, again=ANOTHER).status_code == 410
    assert browser.open("o/password/unknown").status_code == 410


def test_another_address_leaves_the_old_one_no_way_in(shared_exchange: Exchange) -> None:
    """Neither a link that was mailed there, nor the password, nor a key; for a practitioner and for a patient."""
    admin, percy = shared_exchange.as_(ADMIN), Browser(shared_exchange)
    percy.open(_link(shared_exchange, PERCY))
    percy.submit(password=ANOTHER, again=ANOTHER)
    made = shared_exchange.as_(TOM).post("api/v1/practitioner_clients", json={"name": "Old"}).json()
    links = {email: _link(shared_exchange, email) for email in (TOM, PERCY)}
    people = admin.get("api/v1/practitioners", params={"search": TOM}).json()["results"]
    moved = {TOM: f"practitioners/{people[0]['id']}", PERCY: "patients/40003"}
    for name, path in moved.items():
        field = "email" if name == TOM else "telecomEmail"
        assert admin.patch(f"api/v1/{path}", json={field: f"new.{name}"}).status_code == 200
        assert Browser(shared_exchange).open(links[name]).status_code == 410
    assert Browser(shared_exchange).sign_in(f"new.{TOM}").status_code == 401
    assert Browser(shared_exchange).sign_in(f"new.{PERCY}", ANOTHER).status_code == 401
    key = App(shared_exchange, made["clientId"], made["clientSecret"])
    assert key.post("token", grant_type="client_credentials").json()["error"] == "invalid_client"


def test_a_manager_invites_a_colleague_who_sets_a_password_and_is_in(shared_exchange: Exchange) -> None:
    mary, before = shared_exchange.as_(MARY), len(_mails(shared_exchange))
    body = {"email": "new@example.com", "firstName": "New", "lastName": "Colleague"}
    role = {"organizationPractitionerRole": "member"}
    made = mary.post("api/v1/organizations/20003/invite", json=body | role)
    assert (made.status_code, made.json()["mail"]) == (201, "outbox"), made.text
    assert "/o/password/" not in made.text, "the link is for nobody but who it was mailed to"
    found = re.search(r"/jhe/(o/password/\S+)", _mails(shared_exchange)[before])
    assert found is not None
    browser = Browser(shared_exchange)
    browser.open(found[1])
    browser.submit(password=ANOTHER, again=ANOTHER)
    assert "new@example.com" in browser.text
    profile = shared_exchange.as_("new@example.com").get("api/v1/organizations/20003").json()
    assert profile["currentUserRole"] == "member"
    again = mary.post("api/v1/organizations/20003/invite", json=body | {"organizationPractitionerRole": "viewer"})
    assert (again.json()["mail"], again.json()["role"]) == (None, "viewer"), "an account there is gets the role only"
    assert mary.post("api/v1/organizations/20003/invite", json=body | role | {"email": PAMELA}).status_code == 409
    assert len(_mails(shared_exchange)) == before + 1


def test_asking_for_a_link_tells_nobody_whether_there_is_an_account(shared_exchange: Exchange) -> None:
    said = []
    for email in (TOM, STRANGER, "not an address", "a@b\r\nBcc: everybody@example.com"):
        browser = Browser(shared_exchange)
        browser.open("o/forgotten")
        answer = browser.submit("forgotten", email=email)
        said.append((answer.status_code, browser.text))
    assert said == [said[0]] * len(said)


def test_a_link_names_where_we_are_and_never_where_the_caller_says_we_are(shared_exchange: Exchange) -> None:
    browser = Browser(shared_exchange)
    before = len(_mails(shared_exchange))
    browser.open("o/forgotten")
    [(_, hidden)] = browser.forms
    forged = {"Host": f"localhost:{shared_exchange.port}", "Accept": "text/html", "X-Forwarded-Host": "evil.example"}
    assert browser.http.post("o/forgotten", data={**hidden, "email": MARK}, headers=forged).status_code == 200
    assert browser.http.get("o/sign_in", headers={"Host": "evil.example", "Accept": "text/html"}).status_code == 403
    wait_for(lambda: len(_mails(shared_exchange)) > before, 20)
    assert "evil.example" not in _mails(shared_exchange)[-1]
    del forged["Accept"]
    forged["Host"] = "127.0.0.1:1"
    body = {"patientId": 40001, "clientId": 1}
    invited = shared_exchange.as_(MEGAN).post("api/v1/invitation", headers=forged, json=body)
    assert f"/localhost:{shared_exchange.port}_" in invited.json()["invitationLink"]
    assert "evil.example" not in invited.text


def test_links_are_mailed_a_few_times_and_not_more(shared_exchange: Exchange) -> None:
    answers = []
    for _ in range(5):
        browser = Browser(shared_exchange)
        browser.open("o/forgotten")
        answers.append(browser.submit("forgotten", email="limited@example.com").status_code)
    assert answers == [200, 200, 200, 429, 429]


def test_one_address_has_a_few_dozen_mails_sent_and_not_more(shared_exchange: Exchange) -> None:
    """To however many people: what is accepted counts like what is refused."""
    browser, answers = Browser(shared_exchange), []
    for number in range(32):
        browser.open("o/forgotten")
        answers.append(browser.submit("forgotten", email=f"somebody{number}@example.com").status_code)
    assert answers == [200] * 30 + [429] * 2


def test_whoever_guesses_links_is_stopped_and_guesses_no_passwords_either(shared_exchange: Exchange) -> None:
    browser, links = Browser(shared_exchange), Browser(shared_exchange)
    browser.open("o/sign_in")
    answers = [links.open(f"o/password/guess{number}").status_code for number in range(32)]
    assert answers == [410] * 30 + [429] * 2
    assert browser.submit("sign_in", email=MARY, password=PASSWORD).status_code == 429
    assert shared_exchange.as_(MARY).get("api/v1/users/profile").status_code == 200, "who has a token is let alone"


def test_a_mail_that_cannot_be_sent_keeps_none_back_and_leaves_no_name(shared_exchange: Exchange) -> None:
    """The outbox is gone for a while: the answer is as ever, the log says what failed but not to whom."""
    hidden = shared_exchange.outbox.rename(shared_exchange.outbox.with_name("elsewhere"))
    shared_exchange.outbox.write_text("a file where the folder was")
    browser = Browser(shared_exchange)
    browser.open("o/forgotten")
    assert browser.submit("forgotten", email=MARK).status_code == 200
    wait_for(lambda: "could not be mailed" in shared_exchange.log.read_text(), 20)
    shared_exchange.outbox.unlink()
    hidden.rename(shared_exchange.outbox)
    assert MARK not in shared_exchange.log.read_text()
    assert _link(shared_exchange, PAMELA)


def test_guessing_one_account_is_stopped_whoever_guesses_and_however_many_at_once(shared_exchange: Exchange) -> None:
    """Counted before the password is looked at; an account that does not exist is stopped the same."""
    for email in (VICTOR, STRANGER):
        browsers = [Browser(shared_exchange) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda one, email=email: one.sign_in(email, "wrong").status_code, browsers))
        assert sorted(answers).count(401) <= 5, answers
        assert set(answers) <= {401, 429}
        stopped = Browser(shared_exchange).sign_in(email)
        assert stopped.status_code == 429, "the right password neither"
        assert int(stopped.headers["Retry-After"]) > 0
    assert Browser(shared_exchange).sign_in(MARY).status_code == 200, "nobody else is kept waiting"
