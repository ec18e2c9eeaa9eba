"""The server is killed in the middle of work or told to stop: what was acknowledged is there, the rest whole or not."""

from __future__ import annotations

import base64
import http.client
import json
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from conftest import MARY, MEGAN, PETER, Exchange, wait_for
from sqlalchemy import func, select

from jhe_server import audit
from jhe_server.consents import AnswerRow
from jhe_server.ledger import ENROLLED, LedgerRow
from jhe_server.observations import ObservationIdentifierRow, ObservationRow, PayloadRow
from jhe_server.patient_rows import PatientOrganizationRow, PatientRow
from jhe_server.people import UserRow
from jhe_server.studies import StudyPatientRow

BATCH = 20
OMH = "https://w3id.org/openmhealth"


class Work:
    """What one worker sent and what was acknowledged of it."""

    def __init__(
        self, exchange: Exchange, step: Callable[[httpx.Client, int], httpx.Response], before: int = 0
    ) -> None:
        self.client = exchange.as_(MEGAN)
        self.step = step
        self.acknowledged: list[tuple[int, Any]] = []
        self.before = self.sent = before  # the turns of an earlier life of the server are not done again
        self.refusals: list[str] = []
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        """Until the server is gone; one that is stopping says 503."""
        try:
            while True:
                self.sent += 1
                answer = self.step(self.client, self.sent)
                if answer.status_code == 503:
                    return
                if answer.status_code >= 300:
                    self.refusals.append(answer.text)
                    return
                self.acknowledged.append((self.sent, answer.json()))
        except httpx.TransportError:
            return


def create(client: httpx.Client, turn: int) -> httpx.Response:
    body = {"telecomEmail": f"kill{turn}@example.org", "nameFamily": "Kill", "nameGiven": str(turn),
            "birthDate": "1980-01-01", "organizationId": 20003, "identifier": f"K{turn}"}  # fmt: skip
    return client.post("api/v1/patients", json=body)


def bulk(client: httpx.Client, turn: int) -> httpx.Response:
    """Twenty people, made and enrolled in one request."""
    rows = [
        {"email": f"bulk{turn}.{i}@example.org", "last_name": f"Bulk{turn}", "first_name": str(i), "dob": "1980-01-01"}
        for i in range(BATCH)
    ]
    return client.post("api/v1/patients/import", json={"organizationId": 20003, "studyId": 30002, "rows": rows})


def consent(client: httpx.Client, turn: int) -> httpx.Response:
    """Two answers in one request."""
    codes = [
        {"codingSystem": OMH, "codingCode": code, "consented": turn % 2 == 0}
        for code in ("omh:blood-pressure:4.0", "omh:heart-rate:2.0")
    ]
    body = {"studyScopeConsents": [{"studyId": 30001, "scopeConsents": codes, "reason": str(turn)}]}
    return client.post("api/v1/patients/40002/consents", json=body)


def upload(client: httpx.Client, turn: int) -> httpx.Response:
    """Twenty observations in one transaction Bundle."""
    entries = [
        {"resource": reading(turn, i), "request": {"method": "POST", "url": "Observation"}} for i in range(BATCH)
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return client.post("FHIR/R5", json=bundle, headers={"Content-Type": "application/fhir+json"})


def reading(turn: int, i: int) -> dict[str, Any]:
    point = {
        "header": {
            "uuid": f"00000000-0000-4000-8000-{turn:06}{i:06}",
            "schema_id": {"namespace": "omh", "name": "heart-rate", "version": "2.0"},
            "source_creation_date_time": "2026-03-01T08:00:00Z",
            "modality": "sensed",
        },
        "body": {
            "heart_rate": {"value": 60 + i, "unit": "beats/min"},
            "effective_time_frame": {"date_time": "2026-03-01T08:00:00Z"},
        },
    }
    return {
        "resourceType": "Observation",
        "status": "final",
        "identifier": [{"system": "urn:kill", "value": f"{turn}.{i}"}],
        "code": {"coding": [{"system": OMH, "code": "omh:heart-rate:2.0"}]},
        "subject": {"reference": "Patient/40001"},
        "device": {"reference": "Device/70001"},
        "valueAttachment": {
            "contentType": "application/json",
            "data": base64.b64encode(json.dumps(point).encode()).decode(),
        },
    }


def worked(exchange: Exchange, then: Callable[[], None], acknowledgements: int, before: int = 0) -> dict[str, Work]:
    """All four kinds of work at once; as soon as so many requests are acknowledged, `then` happens."""
    works = {step.__name__: Work(exchange, step, before) for step in (create, bulk, consent, upload)}
    for work in works.values():
        work.thread.start()

    def enough() -> bool:
        assert not any(work.refusals for work in works.values()), [work.refusals for work in works.values()]
        done = [len(work.acknowledged) for work in works.values()]
        return min(done) > 0 and sum(done) >= acknowledgements

    wait_for(enough, 60)
    then()
    for work in works.values():
        work.thread.join(30)
        assert not work.thread.is_alive()
        assert work.refusals == []
        work.client.close()
    return works


def whole(exchange: Exchange, works: dict[str, Work]) -> None:
    """Everything acknowledged is there, and of everything else all or nothing."""
    with exchange.database.read() as session:
        assert audit.verify(session) is None
        emails = set(session.scalars(select(UserRow.email_key).where(UserRow.email_key.like("%@example.org"))))
        for turn, _ in works["create"].acknowledged:
            assert f"kill{turn}@example.org" in emails
        made = {email for email in emails if email.startswith("bulk")}
        for turn in range(works["bulk"].before + 1, works["bulk"].sent + 1):
            there = sum(f"bulk{turn}.{i}@example.org" in made for i in range(BATCH))
            acknowledged = turn in dict(works["bulk"].acknowledged)
            assert there == BATCH if acknowledged else there in (0, BATCH)
        taken = set(session.scalars(select(ObservationIdentifierRow.value)))
        for turn in range(works["upload"].before + 1, works["upload"].sent + 1):
            there = sum(f"{turn}.{i}" in taken for i in range(BATCH))
            assert there == BATCH if turn in dict(works["upload"].acknowledged) else there in (0, BATCH)
        answers = session.execute(
            select(AnswerRow.consented, AnswerRow.reason).where(
                AnswerRow.study_id == 30001, AnswerRow.patient_id == 40002
            )
        ).all()
        assert len(set(answers)) == 1
        last = works["consent"].acknowledged[-1][0]
        assert int(answers[0].reason) in (last, last + 1)
        assert answers[0].consented == (int(answers[0].reason) % 2 == 0)
    consistent(exchange)


def consistent(exchange: Exchange) -> None:
    """No row without the rows it belongs to."""

    def numbers(*rows: Any) -> list[int]:
        with exchange.database.read() as session:
            return [session.scalar(select(func.count()).select_from(one.subquery())) or 0 for one in rows]

    patients, homeless, accounts = numbers(
        select(PatientRow.id),
        select(PatientRow.id).where(PatientRow.id.not_in(select(PatientOrganizationRow.patient_id))),
        select(UserRow.id).where(UserRow.user_type == "patient"),
    )
    assert (homeless, accounts) == (0, patients)
    observations, payloads = numbers(select(ObservationRow.id), select(PayloadRow.observation_id))
    assert observations == payloads
    with exchange.database.read() as session:
        enrolled = session.scalars(select(StudyPatientRow.patient_id).where(StudyPatientRow.study_id == 30002))
        told = session.scalars(
            select(LedgerRow.patient_id).where(LedgerRow.study_id == 30002, LedgerRow.decision == ENROLLED)
        )
        assert sorted(enrolled) == sorted(id for id in told if id is not None)


def killed(exchange: Exchange) -> None:
    assert exchange.process is not None
    exchange.process.kill()
    exchange.process.wait(10)


def test_a_killed_server_keeps_what_it_acknowledged_and_nothing_half(exchange: Exchange) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # shown where the test fails
    moments = random.Random(seed)
    for life in range(2):
        works = worked(exchange, lambda: killed(exchange), moments.randrange(4, 60), life * 1000)
        exchange.start()
        whole(exchange, works)
    again = exchange.as_(MARY).get("api/v1/patients", params={"search": "kill1@example.org"}).json()
    assert again["count"] == 1


def polled(exchange: Exchange) -> http.client.HTTPConnection:
    """A connection on which the server has a minute to answer."""
    client = exchange.as_(PETER)
    polling = http.client.HTTPConnection("127.0.0.1", exchange.port, timeout=30)
    headers = {"Authorization": client.headers["Authorization"]}
    polling.request("GET", "/jhe/api/v1/changes?since=1000000000&wait=60", headers=headers)
    return polling


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_told_to_stop_finishes_what_is_in_flight(sqlite_exchange: Exchange, how: signal.Signals) -> None:
    """Within seconds, with exit status 0; nothing acknowledged is lost or half done, and no long poll keeps it."""
    process = sqlite_exchange.process
    assert process is not None
    begun: list[float] = []
    polling = polled(sqlite_exchange)

    def told() -> None:
        begun.append(time.monotonic())
        process.send_signal(how)

    works = worked(sqlite_exchange, told, 20)
    assert process.wait(10) == 0
    assert time.monotonic() - begun[0] < 10
    assert polling.getresponse().status == 200
    polling.close()
    whole(sqlite_exchange, works)
    assert "Traceback" not in sqlite_exchange.log.read_text()
