"""The public FHIR clients against this server, unchanged: jupyterhealth-client, fhirpy and fhirclient."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import MARY, MEGAN, PETER, VICTOR, Exchange
from fhirclient import client as smart
from fhirclient.models.patient import Patient
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import ResourceNotFound
from indoors import bundle, reading
from jupyterhealth_client import Code, JupyterHealthClient

from jhe_server import uploads

PULSE = "omh:heart-rate:2.0"
FIRST = datetime(2026, 3, 1, 8, tzinfo=UTC)
MANY = 130


@pytest.fixture(scope="module")
def served(shared_exchange: Exchange) -> Exchange:
    """Peter's pulse every half hour, beside what the seed has."""
    points = [reading(40001, 50004, FIRST + timedelta(minutes=30 * i)) for i in range(MANY)]
    answer = shared_exchange.call(uploads.create_many, MEGAN, bundle(*points))
    assert {one["response"]["status"] for one in answer["entry"]} == {"201 Created"}
    return shared_exchange


# ------------------------------------------------------------------ jupyterhealth-client
def public_client(exchange: Exchange, email: str) -> Any:
    return JupyterHealthClient(exchange.address, token=exchange.token(email))


@pytest.mark.parametrize("email", [MARY, VICTOR])
def test_the_public_client_lists_observations_of_a_patient_and_a_study(served: Exchange, email: str) -> None:
    client = public_client(served, email)
    own = list(client.list_observations(patient_id=40001, limit=None))
    assert len(own) == len({one["id"] for one in own}) == MANY + 2
    both = list(client.list_observations(study_id=30001, limit=None))
    assert len(both) == MANY + 4
    follow_up = list(client.list_observations(study_id=30002))
    assert [one["subject"]["reference"] for one in follow_up] == ["Patient/40002"]
    assert len(list(client.list_observations(study_id=30001, code=Code.HEART_RATE, limit=50))) == 50
    assert list(client.list_observations(patient_id=40003)) == []


def test_the_public_client_tidies_observations(served: Exchange) -> None:
    frame = public_client(served, MARY).list_observations_df(patient_id=40001, code=Code.HEART_RATE, limit=40)
    assert len(frame) == 40
    assert set(frame["heart_rate_unit"]) == {"beats/min"}
    assert str(frame["effective_time_frame_date_time"].dtype).startswith("datetime64")


def test_the_public_client_lists_and_reads_every_type(served: Exchange) -> None:
    client = public_client(served, MARY)
    kinds = client.list_fhir_resource_types()
    assert sorted(kinds) == ["Device", "Group", "Observation", "Organization", "Patient", "Practitioner"]
    for kind in kinds:
        first = next(iter(client.list_fhir(kind)))
        assert client.get_fhir(kind, id=first["id"]) == first
    assert {one["id"] for one in client.list_fhir("Patient")} == {"40001", "40002"}
    assert [one["id"] for one in client.list_fhir("Patient", patient_id=40001)] == ["40001"]
    assert len(list(client.list_fhir("Patient", study_id=30001, limit=1))) == 1
    assert list(client.list_fhir("Observation", fhir_source="imported")) == []


# ------------------------------------------------------------------ fhirpy
@pytest.fixture
def fhirpy(served: Exchange) -> SyncFHIRClient:
    return SyncFHIRClient(f"{served.address}/FHIR/R5", authorization=f"Bearer {served.token(MARY)}")


def test_fhirpy_searches_pages_and_counts(fhirpy: SyncFHIRClient) -> None:
    pulses = fhirpy.resources("Observation").search(patient="40001", code=PULSE)
    found = pulses.limit(50).fetch_all()
    assert len(found) == len({one.id for one in found}) == MANY + 1
    assert pulses.count() == MANY + 1
    assert len(pulses.limit(7).fetch()) == 7
    day = fhirpy.resources("Observation").search(patient="40001", date__ge="2026-03-02", date__lt="2026-03-03")
    assert len(day.fetch_all()) == 48
    newest = fhirpy.resources("Observation").search(patient="40001", date__lt="2026-04").sort("-date").first()
    assert newest["effectiveDateTime"] == (FIRST + timedelta(minutes=30 * (MANY - 1))).isoformat()


def test_fhirpy_finds_a_patient_and_follows_references(fhirpy: SyncFHIRClient) -> None:
    peter = fhirpy.resources("Patient").search(identifier="urn:oid:1.2.3.4|E1234").get()
    assert (peter.id, peter["name"][0]["family"]) == ("40001", "Petersen")
    assert peter["managingOrganization"].to_resource()["name"] == "Wearables Lab"
    taken = fhirpy.resources("Observation").search(patient="40002", code=PULSE).first()
    assert taken["subject"].to_resource().id == "40002"
    assert taken["device"].to_resource()["displayName"] == "CareX"
    with pytest.raises(ResourceNotFound):
        fhirpy.reference("Patient", "40003").to_resource()


def test_fhirpy_saves_an_observation(fhirpy: SyncFHIRClient) -> None:
    sent = reading(40002, 50004, FIRST)
    made = fhirpy.resource("Observation", **{name: value for name, value in sent.items() if name != "resourceType"})
    made.save()
    assert fhirpy.reference("Observation", made.id).to_resource()["effectiveDateTime"].startswith("2026-03-01T08:00")


# ------------------------------------------------------------------ fhirclient
@pytest.mark.parametrize(("email", "own"), [(MARY, ["40001", "40002"]), (PETER, ["40001"])])
def test_fhirclient_searches_pages_and_reads(served: Exchange, email: str, own: list[str]) -> None:
    server = smart.FHIRClient(settings={"app_id": "tests", "api_base": f"{served.address}/FHIR/R5"}).server
    server.session.headers["Authorization"] = f"Bearer {served.token(email)}"
    assert sorted(one.id for one in Patient.where({"_count": "1"}).perform_resources_iter(server)) == own
    [peter] = Patient.where({"identifier": "urn:oid:1.2.3.4|E1234"}).perform_resources_iter(server)
    assert (peter.id, peter.birthDate.isostring) == ("40001", "1980-01-15")
    assert Patient.read("40001", server).name[0].given == ["Peter"]
    assert len(server.request_json("Observation?patient=40001&_count=50")["entry"]) == 50
    server.session.close()
