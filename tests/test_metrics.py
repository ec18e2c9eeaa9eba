"""What Prometheus reads: requests, uploads, refusals and waiting, under bounded labels, with nothing of any patient."""

from __future__ import annotations

import json
import secrets

import httpx
import pytest
from conftest import ADMIN, MEGAN, VICTOR, Clinic, Exchange, wait_for
from indoors import bundle, reading
from prometheus_client.parser import text_string_to_metric_families

from jhe_server.fhir_api import FHIR_JSON

HEART_RATE, GLUCOSE = 50004, 50001
TOKEN = secrets.token_hex(16)


@pytest.fixture(scope="module")
def watched(shared_exchange: Exchange) -> Exchange:
    """The module's server with a token of Jupyter's, which is what `/metrics` asks for."""
    shared_exchange.stop()
    shared_exchange.options = (f"--IdentityProvider.token={TOKEN}", "--debug", "--ExchangeApp.log_lines=json")
    shared_exchange.start()
    return shared_exchange


def scraped(exchange: Exchange, **headers: str) -> httpx.Response:
    given = {"Authorization": f"token {TOKEN}", **headers}
    return httpx.get(f"http://127.0.0.1:{exchange.port}/metrics", headers=given, trust_env=False)


def samples(exchange: Exchange) -> dict[tuple[str, ...], float]:
    """(name, label values…) → value, of what is ours."""
    answer = scraped(exchange)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {
        (one.name, *one.labels.values()): one.value
        for family in families
        for one in family.samples
        if one.name.startswith("jhe")
    }


def test_requests_uploads_refusals_and_waiting_are_counted(watched: Exchange) -> None:
    megan, fhir = watched.as_(MEGAN), {"Content-Type": FHIR_JSON}
    before = samples(watched)
    good, not_consented = reading(40001, HEART_RATE), reading(40001, GLUCOSE)
    assert megan.post("FHIR/R5", json=bundle(good, good, not_consented), headers=fhir).status_code == 200
    assert megan.post("FHIR/R5/Observation", json=good, headers=fhir).status_code == 201
    assert megan.post("FHIR/R5/Observation", json=not_consented, headers=fhir).status_code == 403
    assert megan.get("api/v1/patients/40001").status_code == 200
    assert megan.get("api/v1/nothing/of/the/kind").status_code == 404
    after = samples(watched)

    def more(*sample: str) -> float:
        return after.get(sample, 0.0) - before.get(sample, 0.0)

    assert more("jhe_upload_entries_total", "201") == 3
    assert more("jhe_upload_entries_total", "403") == 2
    assert more("jhe_upload_gate_refusals_total") == 2
    assert more("jhe_requests_total", "GET patients/{patient_id}", "200") == 1
    assert more("jhe_request_seconds_count", "GET patients/{patient_id}") == 1
    assert more("jhe_requests_total", "none", "404") == 1
    assert more("jhe_writer_wait_seconds_count") >= 2
    assert more("jhe_thread_wait_seconds_count") >= 5
    assert after["jhe_requests_in_flight",] == 0


def test_waiting_to_write_is_timed_on_either_store(clinic: Clinic) -> None:
    waits: list[float] = []
    clinic.database.waited = waits.append
    with clinic.database.read() as session:
        session.connection()
    assert waits == []
    with clinic.database.write() as session:
        session.connection()
    assert len(waits) == 1
    assert waits[0] >= 0


def test_labels_are_bounded_whatever_is_asked_for(watched: Exchange) -> None:
    for number in range(3):
        watched.as_(None).get(f"api/v1/patients/{number}/{number}")
        assert watched.as_(None).request(f"ODD{number}", "api/v1/patients").status_code == 405
    routes = {key[1] for key in samples(watched) if key[0] == "jhe_requests_total"}
    assert not [route for route in routes if any(digit in route for digit in "0123456789")]


def test_nobody_scrapes_without_a_token_of_jupyters(watched: Exchange) -> None:
    for given in ("", "token wrong", f"Bearer {watched.as_(ADMIN).headers['Authorization'][7:]}"):
        answer = scraped(watched, Authorization=given)
        assert (answer.status_code, "jhe_requests_total" in answer.text) == (403, False)


def test_every_answer_has_a_number_which_is_the_logs_and_the_audits(watched: Exchange) -> None:
    megan = watched.as_(MEGAN)
    answers = [
        megan.get("api/v1/patients", headers={"X-Request-ID": "mine"}),
        megan.get("api/v1/patients/49999"),
        megan.post("FHIR/R5", content=b"{", headers={"Content-Type": FHIR_JSON}),
        watched.as_(None).get("api/v1/patients"),
        megan.get("nowhere"),
    ]
    numbers = [answer.headers["X-Request-ID"] for answer in answers]
    assert len(set(numbers)) == len(numbers)
    assert "mine" not in numbers
    wait_for(lambda: numbers[-1] in watched.log.read_text(), 5)
    lines = {line.get("request"): line for line in logged(watched)}
    for number, answer in zip(numbers, answers, strict=True):
        assert lines[number]["status"] == answer.status_code
        assert lines[number]["path"].startswith("/jhe/")
    recorded = watched.as_(ADMIN).get("api/v1/audit", params={"limit": 50}).json()["results"]
    assert set(numbers[:2]) <= {row["requestId"] for row in recorded}


def logged(exchange: Exchange) -> list[dict[str, object]]:
    """The lines written since JSON was asked for; those before are of the server's first life."""
    text = exchange.log.read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"time"')]


def test_neither_the_log_nor_the_metrics_hold_anything_of_a_patient_or_a_secret(watched: Exchange) -> None:
    megan, fhir = watched.as_(MEGAN), {"Content-Type": FHIR_JSON}
    token = megan.headers["Authorization"].removeprefix("Bearer ")
    secret = secrets.token_hex(8)
    body = {"nameFamily": f"Z{secret}", "nameGiven": "Ada", "birthDate": "1980-12-10", "organizationId": 20003}
    megan.get("api/v1/patients", params={"search": f"q{secret}"})
    megan.post("api/v1/patients", json=body | {"telecomEmail": f"e{secret}@example.org"})
    megan.post("api/v1/patients", json=body | {"telecomEmail": f"bad {secret}"})
    megan.post("FHIR/R5/Observation", content=f'{{"note": "{secret}"'.encode(), headers=fhir)
    megan.post("FHIR/R5/Observation", json=reading(40001, HEART_RATE) | {"status": secret}, headers=fhir)
    megan.get("FHIR/R5/Patient", params={"family": secret, "name:wrong": secret})
    megan.get(f"api/v1/patients?token={secret}")
    httpx.get(f"http://127.0.0.1:{watched.port}/elsewhere?name={secret}", trust_env=False)
    watched.as_(None).get("api/v1/patients", headers={"Authorization": f"Bearer jhe_{secret}"})
    watched.as_(None).post("api/v1/invitation/redeem", json={"token": secret})
    watched.as_(None).post(f"api/v1/invitation/{secret}")
    last = watched.as_(VICTOR).get("api/v1/patients").headers["X-Request-ID"]
    wait_for(lambda: last in watched.log.read_text(), 5)
    said = watched.log.read_text() + scraped(watched).text
    assert len(logged(watched)) > 10
    assert secret not in said
    assert token not in said
    assert TOKEN not in said
    for name in ("Peter", "Pamela", "example.com"):
        assert name not in said


def test_every_line_is_an_object_once_lines_are_collected(watched: Exchange) -> None:
    lines = watched.log.read_text().splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith('{"time"'))
    for line in lines[first:]:
        assert {"time", "level", "logger", "message"} <= set(json.loads(line))
