"""How a refusal looks on the wire, and how the tests see that one left nothing behind."""

from __future__ import annotations

from typing import Any

import httpx
from conftest import Exchange
from sqlalchemy import func, select

from jhe_server.db import Base

SECRET = "Zsuzsanna-Verysecret"  # what no answer may repeat and no log may keep
WRITTEN_BY_REFUSALS = {"audit", "audit_subject", "attempt"}  # a refused stranger is counted


def written(exchange: Exchange) -> dict[str, int]:
    """How many rows each table has, but for the audit's: a refusal leaves its own row there."""
    with exchange.database.read() as session:
        tables = [table for table in Base.metadata.sorted_tables if table.name not in WRITTEN_BY_REFUSALS]
        return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


def assert_silent(exchange: Exchange) -> None:
    """The log holds nothing of what was sent, and no traceback: a refusal is a normal answer."""
    log = exchange.log.read_text()
    assert SECRET not in log
    assert "Traceback" not in log


def refused(answer: httpx.Response, status: int = 400, field: str | None = None) -> dict[str, Any]:
    """One sentence in the error shape of the path, which repeats nothing of what was sent."""
    assert answer.status_code == status, (answer.request.url, answer.request.content[:200], answer.text[:500])
    assert SECRET not in answer.text
    body: dict[str, Any] = answer.json()
    fhir = "/fhir" in answer.request.url.path.lower()
    assert answer.headers["Content-Type"] == ("application/fhir+json" if fhir else "application/json")
    detail = body["issue"][0]["diagnostics"] if fhir else body["detail"]
    assert set(body) <= ({"resourceType", "issue"} if fhir else {"detail", "errors"})
    assert detail.endswith(".")
    assert 5 < len(detail) < 300
    if field is not None:
        assert field in {one.split(".")[0] for one in body["errors"]}, body
        assert all(isinstance(said, list) and said for said in body["errors"].values())
    return body
