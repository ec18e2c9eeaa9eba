"""Uploads: who may, what is consented to, and how a Bundle is answered; `test_upload_refusals.py` has every refusal."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import ADMIN, MARK, MEGAN, PETER, TOM, VICTOR, Clinic
from indoors import answers, ask, bundle, counted, reading, rows

from jhe_server import consents, observations, uploads
from jhe_server.errors import Conflict, ExchangeError, Forbidden, Invalid
from jhe_server.fhir_api import FHIR_JSON
from jhe_server.observations import ObservationSearch

PRESSURE, TEMPERATURE, HEART_RATE = 50002, 50003, 50004


def refused(clinic: Clinic, email: str, sent: dict[str, Any]) -> ExchangeError:
    before = counted(clinic.database, "observation")
    with pytest.raises(ExchangeError) as refusal:
        clinic.call(uploads.create, email, sent)
    assert counted(clinic.database, "observation") == before
    return refusal.value


def with_point(change: Any) -> dict[str, Any]:
    """A reading of Peter's whose data point is changed before it is encoded."""
    sent = reading(40001, HEART_RATE)
    point = json.loads(base64.b64decode(sent["valueAttachment"]["data"]))
    change(point)
    sent["valueAttachment"]["data"] = base64.b64encode(json.dumps(point).encode()).decode()
    return sent


# ------------------------------------------------------------------ one
@pytest.mark.parametrize("email", [PETER, MEGAN, ADMIN])
def test_a_patient_and_a_member_upload_and_it_comes_back_as_sent(clinic: Clinic, email: str) -> None:
    measured = datetime(2026, 3, 1, 8, 0, 5, 123456, UTC)
    sent = reading(40001, HEART_RATE, measured, identifier=[{"system": "urn:a", "value": "1"}], status="preliminary")
    stored = clinic.call(uploads.create, email, sent)
    assert {key: stored[key] for key in ("status", "subject", "identifier")} == {
        key: sent[key] for key in ("status", "subject", "identifier")
    }
    assert json.loads(base64.b64decode(stored["valueAttachment"]["data"])) == json.loads(
        base64.b64decode(sent["valueAttachment"]["data"])
    )
    assert datetime.fromisoformat(stored["effectiveDateTime"]) == measured
    assert stored["meta"]["source"] == "https://jupyterhealth.org/jhe"
    assert clinic.call(observations.get, email, int(stored["id"])).coding_code == "omh:heart-rate:2.0"


def test_the_wire_answers_201_with_the_place(clinic: Clinic) -> None:
    reply = ask(clinic, PETER, "POST", "Observation", reading(40001, HEART_RATE), media_type=FHIR_JSON)
    assert reply.status == 201
    assert reply.headers["Location"].endswith(f"Observation/{json.loads(reply.body or b'')['id']}")


def test_an_older_version_of_the_schema_is_recorded_as_sent(clinic: Clinic) -> None:
    stored = clinic.call(
        uploads.create, MEGAN, with_point(lambda point: point["header"]["schema_id"].update(version="1.0"))
    )
    found = clinic.call(observations.get, MEGAN, int(stored["id"]))
    assert found.omh_data["header"]["schema_id"]["version"] == "1.0"


def test_whitespace_in_base64_is_allowed(clinic: Clinic) -> None:
    sent = reading(40001, HEART_RATE)
    data = sent["valueAttachment"]["data"]
    sent["valueAttachment"]["data"] = f"{data[:40]}\r\n  {data[40:]}\n"
    assert clinic.call(uploads.create, MEGAN, sent)["id"] == "60009"


# ------------------------------------------------------------------ who may, and what was consented
def test_a_patient_one_cannot_see_is_no_patient_and_one_cannot_write_for_is_forbidden(clinic: Clinic) -> None:
    sent = reading(40001, HEART_RATE)
    unknown = refused(clinic, MARK, reading(49999, HEART_RATE))
    for email in (MARK, "npl_patient_percy@example.com"):
        hidden = refused(clinic, email, sent)
        assert (type(hidden), hidden.detail) == (Invalid, unknown.detail)
    for email in (VICTOR, TOM):
        assert isinstance(refused(clinic, email, sent), Forbidden)


def test_nothing_is_accepted_without_consent_in_a_study_that_requests_the_code(clinic: Clinic) -> None:
    for email in (PETER, MEGAN, ADMIN):
        assert isinstance(refused(clinic, email, reading(40001, TEMPERATURE)), Forbidden)
    clinic.call(consents.answer, PETER, 40001, answers(30001, {HEART_RATE: False}))
    for email in (PETER, MEGAN, ADMIN):
        assert "omh:heart-rate:2.0" in refused(clinic, email, reading(40001, HEART_RATE)).detail


def test_a_practitioners_upload_rests_on_a_study_of_their_own_organizations(clinic: Clinic) -> None:
    """Pat consents to oxygen in Tom's lab and to glucose in Mark's cardiology."""
    clinic.call(uploads.create, TOM, reading(40005, 50005))
    clinic.call(uploads.create, MARK, reading(40005, 50001))
    for email, code in ((MARK, 50005), (TOM, 50001)):
        assert isinstance(refused(clinic, email, reading(40005, code)), Forbidden)
    for code in (50001, 50005):
        clinic.call(uploads.create, "ccl_cardio_patient_pat@example.com", reading(40005, code))


def test_the_supported_codes_of_a_source_are_a_hint_and_no_rule(clinic: Clinic) -> None:
    sent = reading(40001, PRESSURE, device={"reference": "Device/70002"})
    assert clinic.call(uploads.create, MEGAN, sent)["device"]["reference"] == "Device/70002"


def test_an_identifier_is_one_observations(clinic: Clinic) -> None:
    named = {"identifier": [{"system": "urn:a", "value": "1"}]}
    clinic.call(uploads.create, MEGAN, reading(40001, HEART_RATE, **named))
    refusal = refused(clinic, MEGAN, reading(40001, HEART_RATE, **named))
    assert isinstance(refusal, Conflict)
    assert refusal.detail == "Identifier already exists: urn:a|1"
    clinic.call(uploads.create, MEGAN, reading(40001, HEART_RATE, identifier=[{"system": "urn:b", "value": "1"}]))


# ------------------------------------------------------------------ a Bundle
def statuses(answer: dict[str, Any]) -> list[str]:
    return [entry["response"]["status"].split()[0] for entry in answer["entry"]]


def mixed() -> list[dict[str, Any]]:
    named = {"identifier": [{"system": "urn:a", "value": "1"}]}
    broken = with_point(lambda point: point["body"]["heart_rate"].update(value=7000))
    return [
        reading(40001, HEART_RATE, **named),
        reading(49999, HEART_RATE),
        reading(40001, TEMPERATURE),
        reading(40002, HEART_RATE, **named),
        broken,
        reading(40002, PRESSURE),
    ]


def test_a_batch_answers_entry_by_entry_and_in_order(clinic: Clinic) -> None:
    answer = clinic.call(uploads.create_many, MEGAN, bundle(*mixed()))
    assert answer["type"] == "batch-response"
    assert statuses(answer) == ["201", "400", "403", "409", "422", "201"]
    assert rows(clinic.database, "SELECT id, patient_id FROM observation WHERE id > 60008 ORDER BY id") == [
        (60009, 40001), (60010, 40002),
    ]  # fmt: skip
    assert answer["entry"][5]["response"]["location"].endswith("Observation/60010")
    assert all("outcome" in entry["response"] for entry in answer["entry"][1:5])


def test_a_transaction_is_all_or_nothing(clinic: Clinic) -> None:
    with pytest.raises(ExchangeError) as refusal:
        clinic.call(uploads.create_many, MEGAN, bundle(*mixed(), kind="transaction"))
    assert "entry 1 " in refusal.value.detail
    assert counted(clinic.database, "observation") == 8
    answer = clinic.call(uploads.create_many, MEGAN, bundle(reading(40001, HEART_RATE), kind="transaction"))
    assert (answer["type"], statuses(answer)) == ("transaction-response", ["201"])


def test_sending_a_batch_again_adds_nothing(clinic: Clinic) -> None:
    sent = bundle(*(reading(40001, HEART_RATE, identifier=[{"system": "urn:a", "value": str(n)}]) for n in range(3)))
    assert statuses(clinic.call(uploads.create_many, MEGAN, sent)) == ["201"] * 3
    assert statuses(clinic.call(uploads.create_many, MEGAN, sent)) == ["409"] * 3
    assert counted(clinic.database, "observation") == 11


def test_newest_comes_first_and_ties_go_by_id(clinic: Clinic) -> None:
    sent = bundle(*(reading(40001, HEART_RATE, datetime.now(UTC) - timedelta(days=n)) for n in range(3)))
    clinic.call(uploads.create_many, MEGAN, sent)
    page = clinic.call(observations.search, VICTOR, ObservationSearch(limit=3))
    assert [row.id for row in page.results] == [60011, 60010, 60009]
