"""The FHIR slice on the wire: uploads, Bundles, searches as the guide sends them; refusals are OperationOutcomes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import ADMIN, MARY, MEGAN, PAMELA, PERCY, PETER, TOM, VICTOR, Exchange
from fhir.resources.bundle import Bundle
from fhir.resources.capabilitystatement import CapabilityStatement
from fhir.resources.observation import Observation
from fhir.resources.operationoutcome import OperationOutcome

FHIR_JSON = "application/fhir+json"
OMH = "https://w3id.org/openmhealth"
Resource = dict[str, Any]


@pytest.fixture(scope="module")
def megan(shared_exchange: Exchange) -> httpx.Client:
    return shared_exchange.as_(MEGAN)


def point(rate: float = 61, time: str = "2026-03-01T08:00:00-05:00") -> Resource:
    return {
        "header": {
            "uuid": "9e2b7a44-0f6c-4d1b-8a7e-2b7c1f0d9e11",
            "schema_id": {"namespace": "omh", "name": "heart-rate", "version": "2.0"},
            "source_creation_date_time": time,
            "modality": "sensed",
        },
        "body": {"heart_rate": {"value": rate, "unit": "beats/min"}, "effective_time_frame": {"date_time": time}},
    }


def observation(payload: Any = None, **other: Any) -> Resource:
    data = payload if isinstance(payload, str) else json.dumps(point() if payload is None else payload)
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": OMH, "code": "omh:heart-rate:2.0"}]},
        "subject": {"reference": "Patient/40001"},
        "device": {"reference": "Device/70001"},
        "valueAttachment": {"contentType": "application/json", "data": base64.b64encode(data.encode()).decode()},
    } | other


def bundle(*resources: Any, kind: str = "batch") -> Resource:
    entries = [{"resource": one, "request": {"method": "POST", "url": "Observation"}} for one in resources]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def send(client: httpx.Client, path: str, body: Any) -> httpx.Response:
    return client.post(path, content=json.dumps(body).encode(), headers={"Content-Type": FHIR_JSON})


def outcome(answer: httpx.Response, status: int, code: str | None = None) -> str:
    """The refusal's sentence, out of an OperationOutcome that validates."""
    assert answer.status_code == status, (answer.status_code, answer.text[:500])
    assert answer.headers["Content-Type"] == FHIR_JSON
    said = OperationOutcome.model_validate(answer.json())
    assert said.issue[0].severity == "error"
    assert code in (None, said.issue[0].code)
    return str(said.issue[0].diagnostics)


def total(client: httpx.Client, **query: Any) -> int:
    return int(client.get("FHIR/R5/Observation", params=query | {"_count": 0}).json()["total"])


# ------------------------------------------------------------------ uploading one
def test_an_observation_is_answered_as_it_is_stored(megan: httpx.Client) -> None:
    identifier = {"system": "urn:wire", "value": "one"}
    made = send(megan, "FHIR/R5/Observation", observation(identifier=[identifier], status="amended"))
    assert made.status_code == 201, made.text
    assert made.headers["Content-Type"] == FHIR_JSON
    said = made.json()
    Observation.model_validate(said)
    assert made.headers["Location"].endswith(f"/jhe/FHIR/R5/Observation/{said['id']}")
    assert megan.get(made.headers["Location"]).json() == said
    assert (said["status"], said["identifier"]) == ("amended", [identifier])
    assert said["subject"]["reference"] == "Patient/40001"
    assert said["device"]["reference"] == "Device/70001"
    assert said["effectiveDateTime"] == "2026-03-01T08:00:00-05:00"
    assert said["meta"]["source"] == "https://jupyterhealth.org/jhe"
    assert json.loads(base64.b64decode(said["valueAttachment"]["data"])) == point()
    row = megan.get(f"api/v1/observations/{said['id']}").json()
    assert row["omhData"] == row["valueAttachmentData"] == point()


@pytest.mark.parametrize("media_type", [FHIR_JSON, "application/json", "application/fhir+json; charset=utf-8"])
@pytest.mark.parametrize("root", ["FHIR/R5", "fhir/r5", "fhir", "FHIR/R5/"])
def test_every_root_and_media_type_takes_an_upload(megan: httpx.Client, root: str, media_type: str) -> None:
    body = json.dumps(observation()).encode()
    path = f"{root.rstrip('/')}/Observation" + ("/" if root.endswith("/") else "")
    assert megan.post(path, content=body, headers={"Content-Type": media_type}).status_code == 201


def test_characters_beyond_ascii_come_back_unharmed(megan: httpx.Client) -> None:
    """As they are and as JSON escapes them, in the data point and in the identifier."""
    note = "Größe, 測定, עברית, e\u0301, \u00a0, 🦊"
    sent = point()
    sent["body"]["note"] = note
    identifier = [{"system": "urn:wire", "value": "Ö-🦊"}]
    for escaped in (True, False):
        data = json.dumps(sent, ensure_ascii=escaped)
        made = send(megan, "FHIR/R5/Observation", observation(data, identifier=identifier))
        assert made.status_code == 201, made.text
        identifier = []
        stored = json.loads(base64.b64decode(made.json()["valueAttachment"]["data"]))
        assert stored["body"]["note"] == note
    found_again = megan.get("FHIR/R5/Observation", params={"identifier": "urn:wire|Ö-🦊"}).json()
    assert found_again["total"] == 1


def test_a_patient_uploads_their_own(shared_exchange: Exchange) -> None:
    assert send(shared_exchange.as_(PETER), "FHIR/R5/Observation", observation()).status_code == 201
    refused = send(shared_exchange.as_(PAMELA), "FHIR/R5/Observation", observation())
    outcome(refused, 400)


GLUCOSE = {"coding": [{"system": OMH, "code": "omh:blood-glucose:4.0"}]}


def test_a_subject_that_cannot_be_seen_is_refused_like_one_that_does_not_exist(megan: httpx.Client) -> None:
    answers = [
        send(megan, "FHIR/R5/Observation", observation(subject={"reference": f"Patient/{id}"})) for id in (40003, 49999)
    ]
    assert answers[0].content == answers[1].content


def test_a_viewer_does_not_upload(shared_exchange: Exchange) -> None:
    outcome(send(shared_exchange.as_(VICTOR), "FHIR/R5/Observation", observation()), 403, "forbidden")


def test_a_taken_identifier_is_a_conflict(megan: httpx.Client) -> None:
    body = observation(identifier=[{"system": "urn:wire", "value": "taken"}])
    assert send(megan, "FHIR/R5/Observation", body).status_code == 201
    sentence = outcome(send(megan, "FHIR/R5/Observation", body), 409, "conflict")
    assert sentence.startswith("Identifier already exists")


# ------------------------------------------------------------------ Bundles
def test_a_batch_answers_each_entry_in_its_place(megan: httpx.Client) -> None:
    before = total(megan)
    mine = [{"system": "urn:wire", "value": "batch"}]
    sent = [observation(identifier=mine), observation(code=GLUCOSE), {"resourceType": "Patient"},
            observation(identifier=mine), observation(point(time="never")), observation()]  # fmt: skip
    answer = send(megan, "FHIR/R5", bundle(*sent))
    assert answer.status_code == 200, answer.text
    said = answer.json()
    Bundle.model_validate(said)
    assert said["type"] == "batch-response"
    statuses = [int(one["response"]["status"][:3]) for one in said["entry"]]
    assert statuses == [201, 403, 400, 409, 422, 201]
    assert said["entry"][0]["response"]["status"] == "201 Created"
    for one in said["entry"]:
        if not one["response"]["status"].startswith("201"):
            OperationOutcome.model_validate(one["response"]["outcome"])
    assert said["entry"][3]["response"]["outcome"]["issue"][0]["diagnostics"].startswith("Identifier already exists")
    made = said["entry"][5]["response"]["location"].rpartition("Observation/")[2].partition("/")[0]
    assert megan.get(f"FHIR/R5/Observation/{made}").status_code == 200
    assert total(megan) == before + 2


def test_a_transaction_is_all_or_nothing(megan: httpx.Client) -> None:
    before = total(megan)
    sentence = outcome(
        send(megan, "FHIR/R5", bundle(observation(), observation(code=GLUCOSE), kind="transaction")), 403
    )
    assert "entry 1" in sentence
    assert total(megan) == before
    answer = send(megan, "FHIR/R5/", bundle(observation(), observation(), kind="transaction"))
    assert (answer.status_code, answer.json()["type"]) == (200, "transaction-response")
    Bundle.model_validate(answer.json())
    assert total(megan) == before + 2


# ------------------------------------------------------------------ searching
def found(answer: httpx.Response) -> Resource:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == FHIR_JSON
    said: Resource = answer.json()
    Bundle.model_validate(said)
    assert said["type"] == "searchset"
    return said


def test_a_search_as_the_guide_sends_it(megan: httpx.Client) -> None:
    params = {"patient._has:Group:member:_id": 30001, "patient": 40001, "code": f"{OMH}|omh:blood-pressure:4.0"}
    said = found(megan.get("FHIR/R5/Observation", params=params))
    assert said["total"] == len(said["entry"]) == 1
    [entry] = said["entry"]
    assert entry["resource"]["subject"]["reference"] == "Patient/40001"
    assert entry["fullUrl"].endswith(f"/jhe/FHIR/R5/Observation/{entry['resource']['id']}")
    Observation.model_validate(entry["resource"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("patient=40002", 2),
        ("patient=Patient/40002", 2),
        ("subject=Patient/40002", 2),
        ("patient=40002&code=omh:blood-pressure:4.0", 1),
        ("patient=40002&code=omh:blood-pressure:4.0,omh:heart-rate:2.0", 2),
        ("patient=40002&code=omh:blood-pressure:4.0&code=omh:heart-rate:2.0", 0),
        (f"patient=40002&code={OMH}%7Comh:heart-rate:2.0", 1),
        ("patient=40002&code=http://loinc.org%7Comh:heart-rate:2.0", 0),
        ("patient=40002&patient.organization=20003", 2),
        ("patient=40002&patient.organization=20007", 0),
        ("patient=40002&patient._has:Group:member:_id=30002", 1),
        ("patient=40003", 0),
        ("patient=49999", 0),
        ("patient=nobody", 0),
        ("patient=40002&date=ge2020-01-01", 2),
        ("patient=40002&date=lt2020-01-01", 0),
        ("patient=40002&date=ge2020-01-01&date=lt2999-01-01", 2),
    ],
)
def test_a_search_finds_what_it_says(megan: httpx.Client, query: str, expected: int) -> None:
    said = found(megan.get(f"FHIR/R5/Observation?{query}"))
    assert (said["total"], len(said["entry"])) == (expected, expected)


def test_a_search_is_turned_page_by_page(megan: httpx.Client) -> None:
    ids, url = [], "FHIR/R5/Observation?_count=2&patient=40001,40002"
    expected = total(megan, patient="40001,40002")
    while url:
        said = found(megan.get(url))
        assert said["total"] == expected
        ids += [int(entry["resource"]["id"]) for entry in said["entry"]]
        links = {one["relation"]: one["url"] for one in said["link"]}
        url = links.get("next", "")
    assert len(ids) == len(set(ids)) == expected
    assert "previous" in links


def test_newest_come_first(megan: httpx.Client) -> None:
    made = send(megan, "FHIR/R5/Observation", observation()).json()["id"]
    assert found(megan.get("FHIR/R5/Observation?_count=1"))["entry"][0]["resource"]["id"] == made


@pytest.mark.parametrize(
    "query", ["_count=-1", "_count=x", "_page=1.5", "date=yesterday", "date=ge2026-02-30", "_count=%ff"]
)
def test_a_search_that_cannot_be_meant_is_refused(megan: httpx.Client, query: str) -> None:
    outcome(megan.get(f"FHIR/R5/Observation?{query}"), 400)


def test_nobody_finds_what_the_gate_does_not_let_through(shared_exchange: Exchange) -> None:
    assert total(shared_exchange.as_(TOM), patient=40003) == 1
    assert total(shared_exchange.as_(PERCY)) == 1
    assert total(shared_exchange.as_(MEGAN), patient=40003) == 0
    everybody = shared_exchange.as_(ADMIN)
    assert total(everybody, patient=40003) == 1
    [entry] = found(everybody.get("FHIR/R5/Observation?patient=40003"))["entry"]
    outcome(shared_exchange.as_(MEGAN).get(f"FHIR/R5/Observation/{entry['resource']['id']}"), 404, "not-found")


# ------------------------------------------------------------------ every refusal
def statuses(exchange: Exchange) -> Iterator[tuple[httpx.Response, int]]:
    stranger, mary = exchange.as_(None), exchange.as_(MARY)
    yield stranger.get("FHIR/R5/Observation"), 401
    yield stranger.post("FHIR/R5", content=b"{"), 401
    yield stranger.get("FHIR/R5/Nothing"), 401
    yield mary.get("FHIR/R5/Observation/99999"), 404
    yield mary.get("FHIR/R5/Observation/x"), 404
    yield mary.get("FHIR/R5/Nothing"), 404
    yield mary.get("fhir/r5/Nothing/1"), 404
    yield mary.delete("FHIR/R5/Observation/60001"), 405
    yield mary.put("fhir/Observation"), 405
    yield mary.get("FHIR/R5/Observation", headers={"Accept": "text/html"}), 406
    yield mary.post("FHIR/R5/Observation", content=b"x" * (2**20 + 1), headers={"Content-Type": FHIR_JSON}), 413
    yield mary.post("FHIR/R5/Observation", content=b"<x/>", headers={"Content-Type": "application/fhir+xml"}), 415
    yield mary.get("FHIR/R5/Observation?token=x"), 400


def test_every_refusal_below_fhir_is_an_operation_outcome(shared_exchange: Exchange) -> None:
    for answer, status in statuses(shared_exchange):
        outcome(answer, status)


def test_a_refused_method_says_which_are_served(shared_exchange: Exchange) -> None:
    assert shared_exchange.as_(MARY).put("FHIR/R5/Observation").headers["Allow"] == "GET, POST"


@pytest.mark.parametrize("root", ["FHIR/R5", "fhir/r5", "fhir"])
def test_the_capability_statement_names_what_is_served(shared_exchange: Exchange, root: str) -> None:
    answer = shared_exchange.as_(None).get(f"{root}/metadata")
    assert answer.headers["Content-Type"] == FHIR_JSON
    said = CapabilityStatement.model_validate(answer.json())
    assert said.fhirVersion == "5.0.0"
    [served] = [one for one in said.rest[0].resource if one.type == "Observation"]
    assert {code.code for code in served.interaction} == {"search-type", "read", "create"}
