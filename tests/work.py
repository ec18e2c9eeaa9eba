"""Work that goes on while something fails: patients, imports, answers and uploads, and what became of them."""

from __future__ import annotations

import base64
import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from conftest import MEGAN, SEED, Exchange, wait_for
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
FHIR = {"Content-Type": "application/fhir+json"}
MOMENTS = int(os.environ.get("JHE_MOMENTS", "5"))  # at which each fault strikes; the soak command asks for fifty


def moments() -> Iterator[tuple[int, random.Random]]:
    """The lives of a server, and the chance that ends each."""
    print(f"JHE_SEED={SEED}")  # shown where the test fails
    chance = random.Random(SEED)
    return ((life, chance) for life in range(MOMENTS))


# ------------------------------------------------------------------ four kinds of work
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
    return client.post(
        "FHIR/R5", json={"resourceType": "Bundle", "type": "transaction", "entry": entries}, headers=FHIR
    )


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


KINDS = (create, bulk, consent, upload)
PUT_OFF = (503, 507)


# ------------------------------------------------------------------ who does it
class Work:
    """What one worker sent and what was acknowledged of it.

    A patient worker does as a 503 says and sends the same again, and so it does while the disk is full; that it is
    there already is then an answer too.
    """

    def __init__(
        self,
        exchange: Exchange,
        step: Callable[[httpx.Client, int], httpx.Response],
        before: int = 0,
        patient: bool = False,
    ) -> None:
        self.client = exchange.as_(MEGAN)
        self.step = step
        self.patient = patient
        self.acknowledged: dict[int, Any] = {}
        self.before = self.sent = before  # the turns of an earlier life of the server are not done again
        self.put_off = 0
        self.refusals: list[str] = []
        self.enough = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        """Until the server is gone, or it is enough; one that is stopping says 503."""
        try:
            while not self.enough.is_set() and self.turn():
                pass
        except httpx.TransportError as error:
            if self.patient:
                self.refusals.append(repr(error))

    def turn(self) -> bool:
        self.sent += 1
        answer = self.step(self.client, self.sent)
        again = False
        if answer.status_code == 503 and not self.patient:
            return False
        while answer.status_code in PUT_OFF and self.patient:
            again = True
            self.put_off += 1
            self.enough.wait(0.02 * int(answer.headers.get("Retry-After", 5)))
            answer = self.step(self.client, self.sent)
        if answer.status_code >= 300 and not (again and answer.status_code == 409):
            self.refusals.append(f"{self.step.__name__} {self.sent}: {answer.status_code} {answer.text[:500]}")
            return False
        self.acknowledged[self.sent] = answer.json()
        return True


def begun(exchange: Exchange, before: int = 0, patient: bool = False) -> list[Work]:
    """All four kinds of work at once."""
    works = [Work(exchange, step, before, patient) for step in KINDS]
    for work in works:
        work.thread.start()
    return works


def reached(works: list[Work], each: int, together: int = 0) -> None:
    """Wait until so many turns of each kind, and of all of them, are acknowledged."""

    def enough() -> bool:
        assert not refusals(works), refusals(works)
        done = [len(work.acknowledged) for work in works]
        return min(done) >= each and sum(done) >= together

    wait_for(enough, 60, lambda: str([(work.sent, work.put_off) for work in works]))


def gone_on(works: list[Work]) -> None:
    """Wait until one more turn of each kind is acknowledged."""
    before = [len(work.acknowledged) for work in works]

    def further() -> bool:
        assert not refusals(works), refusals(works)
        return all(len(work.acknowledged) > done for work, done in zip(works, before, strict=True))

    wait_for(further, 60, lambda: str([(work.sent, work.put_off) for work in works]))


def refusals(works: list[Work]) -> list[str]:
    return [refusal for work in works for refusal in work.refusals]


def ended(works: list[Work]) -> None:
    for work in works:
        work.enough.set()
    for work in works:
        work.thread.join(30)
        assert not work.thread.is_alive()
        work.client.close()
    assert not refusals(works), refusals(works)


# ------------------------------------------------------------------ what has become of it
def whole(exchange: Exchange, works: list[Work]) -> None:
    """Everything acknowledged is there once, the last answer stands, and of everything else all or nothing."""
    created, bulked, answered, uploaded = works
    with exchange.database.read() as session:
        assert audit.verify(session) is None
        emails = set(session.scalars(select(UserRow.email_key).where(UserRow.email_key.like("%@example.org"))))
        taken = list(session.scalars(select(ObservationIdentifierRow.value)))
        rows = select(AnswerRow.consented, AnswerRow.reason)
        answers = session.execute(rows.where(AnswerRow.study_id == 30001, AnswerRow.patient_id == 40002)).all()
    assert {f"kill{turn}@example.org" for turn in created.acknowledged} <= emails
    all_or_nothing(bulked, emails, lambda turn, i: f"bulk{turn}.{i}@example.org")
    assert len(taken) == len(set(taken))
    all_or_nothing(uploaded, set(taken), lambda turn, i: f"{turn}.{i}")
    [(consented, reason)] = set(answers)
    last, turn = max(answered.acknowledged), int(reason or "0")
    assert turn in (last, last + 1)
    assert consented == (turn % 2 == 0)
    consistent(exchange)


def all_or_nothing(work: Work, there: set[str], name: Callable[[int, int], str]) -> None:
    for turn in range(work.before + 1, work.sent + 1):
        found = sum(name(turn, i) in there for i in range(BATCH))
        assert found == BATCH if turn in work.acknowledged else found in (0, BATCH)


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
