"""What is refused before the door is recorded like anything else: who, and that it was refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from browsers import Browser
from conftest import MARY, VICTOR, Exchange, wait_for
from sqlalchemy import select

from jhe_server import audit
from jhe_server.audit import AuditRow


def head(exchange: Exchange) -> int:
    with exchange.database.read() as session:
        return audit.head(session)[0]


def last(exchange: Exchange) -> AuditRow:
    with exchange.database.read() as session:
        row = session.scalar(select(AuditRow).order_by(AuditRow.seq.desc()).limit(1))
        assert row is not None
        return row


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "verb", "outcome"),
    [
        ("PUT", "api/v1/patients/40001", {}, b"{}", 405, "none", "invalid"),
        ("GET", "api/v1/no/such/path", {}, b"", 404, "none", "denied"),
        ("GET", "FHIR/R5/NoSuchType", {}, b"", 404, "none", "denied"),
        ("GET", "api/v1/patients", {"Accept": "image/png"}, b"", 406, "patients.search", "invalid"),
        ("POST", "api/v1/patients", {"Content-Type": "text/plain"}, b"hello", 415, "patients.create", "invalid"),
        ("POST", "api/v1/patients", {}, b" " * (2**20 + 1), 413, "patients.create", "invalid"),
        ("GET", "api/v1/patients?search=%ff", {}, b"", 400, "patients.search", "invalid"),
    ],
)
def test_a_refusal_before_the_door_is_audited(
    shared_exchange: Exchange,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
    verb: str,
    outcome: str,
) -> None:
    client = shared_exchange.as_(MARY)
    before = head(shared_exchange)
    answer = client.request(method, path, headers=headers, content=body)
    assert answer.status_code == status
    row = last(shared_exchange)
    assert (row.seq, row.actor_id, row.verb, row.outcome) == (before + 1, 10002, verb, outcome)


def test_a_bad_token_is_nobody_even_where_there_is_nothing(shared_exchange: Exchange) -> None:
    client = shared_exchange.as_(None)
    for path in ("api/v1/no/such/path", "FHIR/R5/NoSuchType", "api/v1/patients"):
        answer = client.get(path, headers={"Authorization": "Bearer jhe_" + "x" * 43})
        assert answer.status_code == 401, path


def test_strangers_are_counted_not_listed(sqlite_exchange: Exchange) -> None:
    client = sqlite_exchange.as_(None)
    sqlite_exchange.as_(VICTOR).get("api/v1/patients")
    before = head(sqlite_exchange)
    for _ in range(5):
        assert client.get("api/v1/patients").status_code == 401
        assert client.get("api/v1/patients?token=abc").status_code == 400
    assert head(sqlite_exchange) == before
    sqlite_exchange.stop()
    wait_for(lambda: head(sqlite_exchange) > before, 10)
    row = last(sqlite_exchange)
    assert (row.actor_id, row.outcome, row.count, row.address) == (None, "denied", 10, "127.0.0.1")


def test_somebody_known_who_is_refused_on_a_page_is_named_and_no_stranger(sqlite_exchange: Exchange) -> None:
    browser = Browser(sqlite_exchange)
    browser.sign_in(MARY)
    before = head(sqlite_exchange)
    refused = browser.open("me/withdraw/999999")
    assert refused.status_code in (403, 404)
    assert head(sqlite_exchange) == before + 1
    row = last(sqlite_exchange)
    assert (row.actor_id, row.via, row.outcome) == (10002, "page", "denied")
    sqlite_exchange.stop()
    assert head(sqlite_exchange) == before + 1, "not counted once more"


def test_how_large_a_body_may_be_is_a_setting(sqlite_store: str, tmp_path: Path) -> None:
    exchange = Exchange(sqlite_store, tmp_path, "--ExchangeApp.max_body_mib=0.001")
    try:
        answer = exchange.as_(MARY).post("api/v1/patients", json={"nameFamily": "x" * 2000})
        assert (answer.status_code, answer.json()["detail"]) == (413, "The body is larger than 0.001 MiB.")
        assert exchange.as_(MARY).post("api/v1/patients/import", json={"pad": "x" * 2000}).status_code == 400
    finally:
        exchange.close()
