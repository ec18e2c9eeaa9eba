"""Ways to ask the clinic without a wire: through the door, and in a rehearsal of which nothing stays."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import hypothesis
from conftest import Clinic
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from jhe_server import api, fhir, fhir_api, seed, tokens
from jhe_server.audit import Entry
from jhe_server.calls import ARROW, JSON, Credential, Reply, Request
from jhe_server.consents import Answers, ToClear
from jhe_server.db import Database
from jhe_server.people import by_email
from jhe_server.routes import by_pattern
from jhe_server.settings import Settings

SITE = "https://jhe.example.org/jhe/api/v1/"
CODES = {id: (system, code) for id, (system, code, _) in enumerate(seed.CODES, 50001)}
_API, _FHIR = by_pattern(api.ROUTES), by_pattern(fhir_api.ROUTES)


# ------------------------------------------------------------------ through the door
def ask(
    clinic: Clinic,
    email: str | None,
    method: str,
    path: str,
    body: Any = None,
    media_type: str = JSON,
    etag: str | None = None,
) -> Reply:
    """One call as the wire would bring it, `path` with its query: shapes, rule, verb, transaction and audit."""
    address = urlsplit(path)
    routes = _FHIR if media_type == fhir_api.FHIR_JSON else _API
    route, ids = next(
        (by_method[method], match.groupdict())
        for pattern, by_method in routes.items()
        if (match := re.fullmatch(pattern, address.path)) and method in by_method
    )
    pairs = [tuple(one.split("=", 1)) for one in address.query.split("&")] if address.query else []
    credential = None if email is None else Credential(user_id=user_id(clinic, email))
    sent = b"" if body is None else json.dumps(body).encode()
    return clinic.door.perform(
        Request(route, credential, ids, pairs, sent, media_type, SITE + address.path, uuid4().hex[:16], etag)
    )


def answered(clinic: Clinic, email: str, path: str) -> Any:
    """What a GET answers, as the JSON that would leave."""
    return json.loads(ask(clinic, email, "GET", path).body or b"null")


def streamed(clinic: Clinic, email: str, path: str) -> Any:
    """What a GET answers as Arrow, as a `pyarrow.Table`."""
    import pyarrow as pa

    reply = ask(clinic, email, "GET", path, media_type=ARROW)
    assert reply.stream is not None
    return pa.ipc.open_stream(b"".join(reply.stream)).read_all()


def user_id(clinic: Clinic, email: str) -> int:
    with clinic.database.read() as session:
        user = by_email(session, email)
        assert user is not None
        return user.id


# ------------------------------------------------------------------ a rehearsal
class Rehearsal:
    """Verbs on one connection, each in a session of its own and a savepoint for a transaction."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.connection = connection
        self.settings = settings

    def call(self, verb: Callable[..., Any], email: str, *arguments: Any) -> Any:
        with self.session() as session:
            session.info.update(settings=self.settings, audit=Entry(verb=verb.__name__))
            user = by_email(session, email)
            assert user is not None
            return verb(session, tokens.actor_of(session, user.id, "token"), *arguments)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """No session outlives its call, so that nothing it remembers hides what the store did by itself (a cascade)."""
        session = Session(self.connection, expire_on_commit=False, join_transaction_mode="create_savepoint")
        with session, session.begin():
            yield session


@contextmanager
def rehearsal(clinic: Clinic) -> Iterator[Rehearsal]:
    """Calls whose effects are taken back at the end, so that a hundred examples start from the same clinic."""
    with clinic.database.write() as outer:
        try:
            yield Rehearsal(outer.connection(), clinic.settings)
        finally:
            outer.rollback()


def examples(clinic: Clinic, share: int = 1) -> hypothesis.settings:
    """As many examples as the profile says (or a share of them), and a fifth on PostgreSQL, where each takes longer."""
    given = hypothesis.settings.default
    assert given is not None
    return hypothesis.settings(
        max_examples=max(2, given.max_examples // share // (1 if clinic.database.is_sqlite else 5))
    )


# ------------------------------------------------------------------ bodies
def answers(study: int, given: dict[int, bool], reason: str | None = None) -> Answers:
    """The body that sets answers: code id → yes or no."""
    scopes = [{"codingSystem": CODES[id][0], "codingCode": CODES[id][1], "consented": yes} for id, yes in given.items()]
    return Answers.model_validate(
        {"studyScopeConsents": [{"studyId": study, "scopeConsents": scopes, "reason": reason}]}
    )


def to_clear(study: int, *codes: int) -> ToClear:
    scopes = [{"codingSystem": CODES[id][0], "codingCode": CODES[id][1]} for id in codes]
    return ToClear.model_validate({"studyScopeConsents": [{"studyId": study, "scopeConsents": scopes}]})


def reading(patient: int, code: int, measured: datetime | None = None, **more: Any) -> dict[str, Any]:
    """A plausible FHIR Observation of one of the clinic's codes; `more` replaces or adds elements."""
    system, name = CODES[code]
    namespace, schema, version = name.split(":")
    when = (measured or datetime.now(UTC)).isoformat()
    point = {
        "header": {
            "uuid": str(uuid4()),
            "schema_id": {"namespace": namespace, "name": schema, "version": version},
            "source_creation_date_time": when,
            "modality": "sensed",
        },
        "body": {**seed.READINGS[code], "effective_time_frame": {"date_time": when}},
    }
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": fhir.codeable_concept(system, name),
        "subject": fhir.reference("Patient", patient),
        "device": fhir.reference("Device", 70001),
        "valueAttachment": fhir.attachment(point),
        **more,
    }


def bundle(*entries: dict[str, Any], kind: str = "batch") -> dict[str, Any]:
    asked = {"method": "POST", "url": "Observation"}
    return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": one, "request": asked} for one in entries]}


# ------------------------------------------------------------------ the store itself
def rows(database: Database, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    with database.read() as session:
        return [tuple(row) for row in session.execute(text(statement), values)]


def counted(database: Database, table: str, where: str = "1=1") -> int:
    return int(rows(database, f"SELECT count(*) FROM {table} WHERE {where}")[0][0])
