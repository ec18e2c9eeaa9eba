"""One day at the clinic, end to end over HTTP: from a new patient to data read, consent withdrawn, and who saw what."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
from conftest import ADMIN, MARY, MEGAN, TOM, VICTOR, Exchange

OMH = "https://w3id.org/openmhealth"
PRESSURE = "omh:blood-pressure:4.0"
ADA = {"telecomEmail": "ada@example.org", "nameFamily": "Lovelace", "nameGiven": "Ada", "birthDate": "1980-12-10",
       "organizationId": 20003, "telecomPhone": "+1 555 0142", "identifier": "MRN-1815"}  # fmt: skip


def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, (answer.request.method, answer.request.url, answer.status_code, answer.text)
    return answer.json() if answer.content else None


def reading(patient: int, systolic: int, time: str) -> dict[str, Any]:
    point = {
        "header": {
            "uuid": "5b9f8c9e-6a51-4a7b-9a53-3f6f0a5d2c10",
            "schema_id": {"namespace": "omh", "name": "blood-pressure", "version": "4.0"},
            "source_creation_date_time": time,
            "modality": "sensed",
        },
        "body": {
            "systolic_blood_pressure": {"value": systolic, "unit": "mmHg"},
            "diastolic_blood_pressure": {"value": 80, "unit": "mmHg"},
            "effective_time_frame": {"date_time": time},
        },
    }
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": OMH, "code": PRESSURE}]},
        "subject": {"reference": f"Patient/{patient}"},
        "device": {"reference": "Device/70001"},
        "valueAttachment": {
            "contentType": "application/json",
            "data": base64.b64encode(json.dumps(point).encode()).decode(),
        },
    }


def answer_to(study: int, consented: bool, reason: str | None = None) -> dict[str, Any]:
    said = {"codingSystem": OMH, "codingCode": PRESSURE, "consented": consented}
    return {"studyScopeConsents": [{"studyId": study, "scopeConsents": [said], "reason": reason}]}


def systolic(client: httpx.Client, **query: Any) -> list[int]:
    rows = ok(client.get("api/v1/observations", params={**query, "ordering": "effective"}))["results"]
    return [row["omhData"]["body"]["systolic_blood_pressure"]["value"] for row in rows]


def test_a_day_at_the_clinic(exchange: Exchange) -> None:
    megan, victor, tom = exchange.as_(MEGAN), exchange.as_(VICTOR), exchange.as_(TOM)

    # Morning: Megan makes a study that asks for blood pressure, and a patient for it.
    study = ok(megan.post("api/v1/studies", json={"name": "Morning", "description": "", "organization": 20003}), 201)[
        "id"
    ]
    ok(megan.post(f"api/v1/studies/{study}/scope_requests", json={"scope_code_id": 50002}), 201)
    ok(megan.post(f"api/v1/studies/{study}/data_sources", json={"data_source_id": 70001}), 201)
    ok(megan.post(f"api/v1/studies/{study}/clients", json={"client_id": 2}), 201)
    assert ok(megan.get("api/v1/patients/global_lookup", params={"email": ADA["telecomEmail"]})) == []
    ada = ok(megan.post("api/v1/patients", json=ADA), 201)["id"]
    assert ok(megan.get("api/v1/patients", params={"patient_identifier_value": "MRN-1815"}))["count"] == 1
    ok(megan.post(f"api/v1/studies/{study}/patients", json={"patient_ids": [ada]}), 201)
    ok(victor.post("api/v1/patients", json={**ADA, "telecomEmail": "bea@example.org"}), 403)
    assert followed(megan, study) == ["not invited"]

    # Ada is invited; her app connects (here: her token) and she consents.
    link = ok(megan.get(f"api/v1/patients/{ada}/invitation_link", params={"send_email": "true"}))
    assert link["email"] == "outbox"
    assert followed(megan, study) == ["invited"]
    phone = exchange.as_(ADA["telecomEmail"])  # type: ignore[arg-type]
    pending = ok(phone.get(f"api/v1/patients/{ada}/consents"))["studiesPendingConsent"]
    assert [one["id"] for one in pending] == [study]
    ok(phone.post("FHIR/R5/Observation", json=reading(ada, 118, "2026-03-01T08:00:00Z")), 403)
    ok(phone.post(f"api/v1/patients/{ada}/consents", json=answer_to(study, True)), 201)

    # Her device uploads; the lab reads, the other lab does not.
    entries = [{"resource": reading(ada, value, f"2026-03-0{day}T08:00:00Z")} for day, value in ((1, 118), (2, 121))]
    said = ok(phone.post("FHIR/R5", json={"resourceType": "Bundle", "type": "batch", "entry": entries}))
    assert [one["response"]["status"] for one in said["entry"]] == ["201 Created"] * 2
    assert systolic(megan, patient_id=ada) == systolic(victor, study_id=study) == [118, 121]
    assert systolic(victor, patient_id=ada, since="2026-03-02T00:00:00Z") == [121]
    assert systolic(exchange.as_("manager_mark@example.com"), patient_id=ada) == []
    found = ok(victor.get("FHIR/R5/Observation", params={"patient": ada, "code": f"{OMH}|{PRESSURE}"}))
    assert found["total"] == 2
    assert followed(megan, study) == ["active"]

    # Noon: she withdraws; nobody but she reads on, and the ledger remembers.
    before = ok(phone.get(f"api/v1/patients/{ada}/consents"))["studies"][0]["scopeConsents"][0]["consentedTime"]
    ok(phone.patch(f"api/v1/patients/{ada}/consents", json=answer_to(study, False, "moving away")))
    assert systolic(megan, patient_id=ada) == systolic(victor, study_id=study) == []
    assert ok(victor.get("FHIR/R5/Observation", params={"patient": ada}))["total"] == 0
    assert systolic(phone) == [118, 121]
    ok(phone.post("FHIR/R5/Observation", json=reading(ada, 130, "2026-03-03T08:00:00Z")), 403)
    then = ok(megan.get(f"api/v1/studies/{study}/consents", params={"as_of": before}))["results"]
    now = ok(megan.get(f"api/v1/studies/{study}/consents"))["results"]
    assert ([one["state"] for one in then], [one["state"] for one in now]) == (["granted"], ["declined"])
    assert now[0]["reason"] == "moving away"

    # A manager lets the study keep what was measured while consent was in force; these readings are older than that.
    mary = exchange.as_(MARY)
    ok(megan.patch(f"api/v1/studies/{study}", json={"dataAfterWithdrawal": "keep"}), 403)
    ok(mary.patch(f"api/v1/studies/{study}", json={"dataAfterWithdrawal": "keep"}))
    assert systolic(megan, patient_id=ada) == []

    # Afternoon: Tom's cardiology lab, where she is a patient as well, finds and adds her.
    [known] = ok(tom.get("api/v1/patients/global_lookup", params={"email": "ADA@example.org"}))
    assert set(known) == {"id", "nameFamily", "nameGiven", "birthDate", "telecomEmail"}
    added = ok(tom.patch(f"api/v1/patients/{ada}/global_add_organization", params={"organization_id": 20008}))
    assert {one["id"] for one in added["organizations"]} == {20003, 20008}  # Tom is a viewer of the first
    ok(tom.patch(f"api/v1/patients/{ada}", json={"telecomEmail": "new@example.org"}), 403)
    ok(tom.patch(f"api/v1/patients/{ada}", params={"organization_id": 20008}, json={"telecomPhone": "+1 555 0143"}))

    # Evening: she leaves both; nothing of her is left but ids.
    preview = ok(megan.get(f"api/v1/patients/{ada}/removal_preview"))
    assert ([one["id"] for one in preview["studies"]], preview["wholeRecord"]) == ([study], False)
    ok(megan.delete(f"api/v1/patients/{ada}", params={"organization_id": 20003}), 204)
    ok(megan.get(f"api/v1/patients/{ada}"), 404)
    assert ok(tom.get(f"api/v1/patients/{ada}"))["telecomPhone"] == "+1 555 0143"
    ok(tom.delete(f"api/v1/patients/{ada}", params={"organization_id": 20008}), 204)
    ok(phone.get("api/v1/patients/me"), 401)
    assert ok(exchange.as_(ADMIN).get("api/v1/patients/global_lookup", params={"email": ADA["telecomEmail"]})) == []

    # Who has read Ada?
    audit = exchange.as_(ADMIN).get("api/v1/audit", params={"patient_id": ada, "limit": 1000})
    rows = ok(audit)["results"]
    readers = {row["actorId"] for row in rows if row["verb"] == "observations.search" and row["outcome"] == "ok"}
    assert {10003, 10004} <= readers
    assert "Lovelace" not in audit.text
    assert {"patients.create", "consents.change", "departures.remove_patient"} <= {row["verb"] for row in rows}


def followed(client: httpx.Client, study: int) -> list[str]:
    return [one["state"] for one in ok(client.get("api/v1/followup", params={"study_id": study}))["results"]]
