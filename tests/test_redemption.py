"""An invitation redeemed by a phone: its secret becomes a code, the code tokens, once; and every way it may not."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MARY, MEGAN, Exchange
from phones import bearer, exchange_code, invited, redeem, refresh, verifier
from refusals import refused
from sqlalchemy import func, select, update

from jhe_server.audit import AuditRow
from jhe_server.authorization_codes import CodeRow
from jhe_server.db import Base, now
from jhe_server.invitations import InvitationRow
from jhe_server.tokens import FamilyRow

UNKNOWN = "x" * 32


def statuses(exchange: Exchange, patient: int = 40001) -> list[str]:
    page = exchange.as_(MEGAN).get("api/v1/invitation", params={"patient_id": patient}).json()
    return [one["status"] for one in page["results"]]


def families(exchange: Exchange) -> int:
    with exchange.database.read() as session:
        return session.scalar(select(func.count()).select_from(FamilyRow)) or 0


def everything(exchange: Exchange) -> str:
    """All that the tables hold, as text."""
    with exchange.database.read() as session:
        rows = [session.execute(select(table)).all() for table in Base.metadata.sorted_tables]
    return repr(rows)


def test_a_phone_gets_in_with_nothing_but_its_link(shared_exchange: Exchange) -> None:
    phone, secret = shared_exchange.as_(None), invited(shared_exchange)
    answer = redeem(phone, secret)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert set(said) == {"grant", "token_endpoint", "expires"}
    assert set(said["grant"]) == {"grant_type", "redirect_uri", "client_id", "code"}
    assert said["token_endpoint"].endswith(f":{shared_exchange.port}/jhe/o/token/")
    tokens = exchange_code(phone, said["grant"], secret).json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 3600)
    assert tokens["access_token"].startswith("jhe_")
    me = bearer(shared_exchange, tokens["access_token"]).get("api/v1/patients/me").json()
    assert me["id"] == 40001
    assert statuses(shared_exchange)[0] == "redeemed"


def test_the_secret_may_be_sent_in_the_body_and_the_redirect_left_out(shared_exchange: Exchange) -> None:
    phone, secret = shared_exchange.as_(None), invited(shared_exchange)
    said = phone.post("api/v1/invitation/redeem", json={"token": secret}).json()
    assert exchange_code(phone, said["grant"], secret, redirect_uri=None).status_code == 200


def _unknown(_exchange: Exchange, secret: str) -> str:
    return UNKNOWN


def _outlived(exchange: Exchange, secret: str) -> str:
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    with exchange.database.write() as session:
        rows = update(InvitationRow).where(InvitationRow.token_hash == hashed)
        session.execute(rows.values(expires=now() - timedelta(seconds=1)))
    return secret


def _cancelled(exchange: Exchange, secret: str) -> str:
    megan = exchange.as_(MEGAN)
    newest = megan.get("api/v1/invitation", params={"patient_id": 40001}).json()["results"][0]["id"]
    assert megan.delete(f"api/v1/invitation/{newest}").status_code == 204
    return secret


def _reissued(exchange: Exchange, secret: str) -> str:
    invited(exchange)
    return secret


def _used(exchange: Exchange, secret: str) -> str:
    phone = exchange.as_(None)
    assert exchange_code(phone, redeem(phone, secret).json()["grant"], secret).status_code == 200
    return secret


@pytest.mark.parametrize(
    ("after", "status"), [(_unknown, 404), (_outlived, 410), (_cancelled, 403), (_reissued, 409), (_used, 409)]
)
def test_an_invitation_that_is_not_open_says_why(
    shared_exchange: Exchange, after: Callable[[Exchange, str], str], status: int
) -> None:
    secret = after(shared_exchange, invited(shared_exchange))
    refused(redeem(shared_exchange.as_(None), secret), status)
    refused(shared_exchange.as_(None).post("api/v1/invitation/redeem", json={"token": secret}), status)


def test_redeeming_again_voids_the_code_before(shared_exchange: Exchange) -> None:
    """A phone that lost the answer asks again; whoever saw the first answer has nothing."""
    phone, secret = shared_exchange.as_(None), invited(shared_exchange)
    first, second = (redeem(phone, secret).json()["grant"] for _ in range(2))
    lost = exchange_code(phone, first, secret)
    assert (lost.status_code, lost.json()["error"]) == (400, "invalid_grant")
    assert exchange_code(phone, second, secret).status_code == 200


def test_a_code_is_worth_nothing_once_the_invitation_is_over(shared_exchange: Exchange) -> None:
    phone, secret = shared_exchange.as_(None), invited(shared_exchange)
    grant = redeem(phone, secret).json()["grant"]
    _cancelled(shared_exchange, secret)
    assert exchange_code(phone, grant, secret).json()["error"] == "invalid_grant"


def test_a_wrong_verifier_or_client_does_not_spend_the_code(shared_exchange: Exchange) -> None:
    phone, secret = shared_exchange.as_(None), invited(shared_exchange)
    grant = redeem(phone, secret).json()["grant"]
    wrong: list[dict[str, Any]] = [
        {"code_verifier": verifier(UNKNOWN)},
        {"code_verifier": None},
        {"code_verifier": ""},
        {"client_id": "commonhealth-patient-app"},
        {"client_id": "nobody"},
        {"redirect_uri": "https://evil.example.org/"},
        {"code": "wrong"},
    ]
    for instead in wrong:
        answer = exchange_code(phone, grant, secret, **instead)
        assert answer.status_code in (400, 401), instead
        assert answer.json()["error"] in ("invalid_grant", "invalid_request", "invalid_client"), answer.json()
    assert exchange_code(phone, grant, secret).status_code == 200


def _at_once(call: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(call, range(8)))


def test_eight_at_once_get_one_family_of_tokens(exchange: Exchange) -> None:
    """However eight phones interleave, one is let in; so is one of eight exchanges of one code, and its tokens last."""
    phone, secret = exchange.as_(None), invited(exchange)

    def race(_: int) -> httpx.Response:
        answer = redeem(phone, secret)
        return exchange_code(phone, answer.json()["grant"], secret) if answer.is_success else answer

    ends = [answer.status_code for answer in _at_once(race)]
    assert ends.count(200) == 1, ends
    assert set(ends) <= {200, 400, 409}
    assert families(exchange) == 1
    assert redeem(phone, secret).status_code == 409

    secret = invited(exchange)
    grant = redeem(phone, secret).json()["grant"]
    answers = _at_once(lambda _: exchange_code(phone, grant, secret))
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    assert families(exchange) == 2
    assert bearer(exchange, won["access_token"]).get("api/v1/patients/me").status_code == 200
    assert refresh(phone, {**won, "client_id": grant["client_id"]}).status_code == 200


def test_no_secret_is_in_any_table_audit_row_or_log(sqlite_store: str, tmp_path: Path) -> None:
    """At DEBUG as well: the paths of requests are logged there."""
    exchange = Exchange(sqlite_store, tmp_path, "--debug")
    phone, secret = exchange.as_(None), invited(exchange)
    grant = redeem(phone, secret).json()["grant"]
    tokens = exchange_code(phone, grant, secret).json()
    refreshed = refresh(phone, {**tokens, "client_id": grant["client_id"]}).json()
    redeem(phone, secret)
    phone.get(f"api/v1/invitation/{secret}")
    for elsewhere in (f"api/v1/invitation/{secret}", f"me/invitation/{secret}", f"o/password/{secret}"):
        address = f"http://127.0.0.1:{exchange.port}/{elsewhere}"
        assert httpx.get(address, headers={"Referer": address}, trust_env=False).status_code in (401, 404)
    secrets = [secret, verifier(secret), grant["code"]]
    secrets += [one[name] for one in (tokens, refreshed) for name in ("access_token", "refresh_token")]
    assert len(set(secrets)) == 7
    exchange.close()
    assert "/invitation/…" in exchange.log.read_text(), "the log says what was called"
    kept = everything(exchange) + exchange.log.read_text()
    kept += "".join(file.read_bytes().decode("latin-1") for file in exchange.folder.glob("clinic.sqlite*"))
    assert [one for one in secrets if one in kept] == []
    assert hashlib.sha256(secret.encode()).hexdigest() in kept, "the hash is there, so this looked in the right place"


def test_an_invitations_code_that_comes_back_ends_its_family(shared_exchange: Exchange) -> None:
    phone, secret = shared_exchange.as_(None), invited(shared_exchange)
    grant = redeem(phone, secret).json()["grant"]
    tokens = exchange_code(phone, grant, secret).json()
    with shared_exchange.database.write() as session:
        session.execute(update(CodeRow).where(CodeRow.used.is_not(None)).values(used=now() - timedelta(minutes=1)))
        last = session.scalar(select(func.max(AuditRow.seq))) or 0
    assert exchange_code(phone, grant, secret).status_code == 400
    assert bearer(shared_exchange, tokens["access_token"]).get("api/v1/patients/me").status_code == 401
    with shared_exchange.database.read() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.seq > last, AuditRow.verb == "oauth.token")).all()
    assert [(row.actor_id, row.outcome) for row in rows] == [(10006, "denied")], "whose family it was is on record"


def test_redeeming_and_exchanging_leave_their_rows(shared_exchange: Exchange) -> None:
    with shared_exchange.database.read() as session:
        last = session.scalar(select(func.max(AuditRow.seq))) or 0
    phone, secret = shared_exchange.as_(None), invited(shared_exchange, by=MARY)
    exchange_code(phone, redeem(phone, secret).json()["grant"], secret)
    with shared_exchange.database.read() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.seq > last).order_by(AuditRow.seq)).all()
    said = [(row.verb, row.actor_id, row.patient_id, row.via, row.outcome) for row in rows]
    assert said[-2:] == [
        ("redemptions.redeem", 10006, 40001, "oauth", "ok"),
        ("oauth.token", 10006, 40001, "oauth", "ok"),
    ]


def test_whoever_guesses_invitations_is_stopped(shared_exchange: Exchange) -> None:
    """By address, whatever they guess; it stops nobody who has a token. Last here: nobody redeems after it."""
    phone = shared_exchange.as_(None)
    guesses = [letter * 32 for letter in string.ascii_letters]
    answers = [redeem(phone, guess).status_code for guess in guesses]
    assert set(answers) == {404, 429}
    assert answers == sorted(answers)
    stopped = redeem(phone, guesses[0])
    refused(stopped, 429)
    assert int(stopped.headers["Retry-After"]) > 0
    assert shared_exchange.as_(MEGAN).get("api/v1/patients/40001").status_code == 200
