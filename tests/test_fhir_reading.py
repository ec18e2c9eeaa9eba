"""Every FHIR type searched and read on both stores: what each parameter finds, and who finds what."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from conftest import ADMIN, MARK, MARY, MEGAN, PAMELA, PAT, PERCY, PETER, TOM, VICTOR, Clinic
from fhir.resources import get_fhir_model_class
from indoors import ask, bundle, reading
from sqlalchemy import event

from jhe_server import audit, colleagues, devices, organizations, patients, people, studies, uploads
from jhe_server.audit import AuditSearch
from jhe_server.calls import ARROW
from jhe_server.db import now
from jhe_server.devices import DataSourceChange
from jhe_server.errors import Forbidden, NotFound
from jhe_server.fhir import attachment, read_attachment
from jhe_server.fhir_api import FHIR_JSON, READABLE
from jhe_server.fhir_search import Resources
from jhe_server.organizations import OrganizationChange, UserOf
from jhe_server.patients import InOrganization, PatientChange
from jhe_server.studies import PatientIds, StudyChange

KINDS = {one.searchable.kind: one for one in READABLE}
PRESSURE, PULSE = "omh:blood-pressure:4.0", "omh:heart-rate:2.0"
OMH = "https://w3id.org/openmhealth"
EVERYBODY = (ADMIN, MARY, MEGAN, VICTOR, TOM, MARK, PETER, PAMELA, PERCY, PAT)


def search(clinic: Clinic, email: str, query: str) -> Resources:
    """`Patient?family=Park`, without a server; nothing is encoded."""
    kind, _, text = query.partition("?")
    pairs = [(name, value) for name, _, value in (part.partition("=") for part in text.split("&") if part)]
    one = KINDS[kind]
    found: Resources = clinic.call(one.search, email, one.searchable.read(pairs, strict=True))
    for resource in found.resources:
        get_fhir_model_class(kind).model_validate(resource)
    return found


def ids(clinic: Clinic, email: str, query: str) -> list[int]:
    found = search(clinic, email, query)
    assert found.total == len(found.resources)
    return [int(resource["id"]) for resource in found.resources]


# ------------------------------------------------------------------ who finds what
VISIBLE: dict[str, dict[str, set[int]]] = {
    "Patient": {
        ADMIN: {40001, 40002, 40003, 40004, 40005}, MARY: {40001, 40002}, VICTOR: {40001, 40002},
        TOM: {40001, 40002, 40003, 40004, 40005}, MARK: {40003, 40005}, PETER: {40001}, PAT: {40005},
    },
    "Group": {
        ADMIN: {30001, 30002, 30003, 30004, 30005}, MARY: {30001, 30002}, VICTOR: {30001, 30002},
        TOM: {30001, 30002, 30004, 30005}, MARK: {30003, 30004}, PETER: {30001, 30002}, PERCY: {30004},
        PAT: {30003, 30005},
    },
    "Organization": {
        ADMIN: set(range(20001, 20009)), MARY: {20001, 20002, 20003}, VICTOR: {20001, 20002, 20003},
        TOM: set(range(20001, 20009)), MARK: {20004, 20005, 20006, 20007}, PETER: {20003}, PAT: {20006, 20008},
    },
    "Practitioner": {
        ADMIN: set(range(80001, 80007)), MARY: {80002, 80003, 80004, 80005}, VICTOR: {80002, 80003, 80004, 80005},
        TOM: {80002, 80003, 80004, 80005, 80006}, MARK: {80005, 80006}, PETER: set(), PAT: set(),
    },
    "Device": {email: set(range(70001, 70006)) for email in (ADMIN, VICTOR, MARK, PETER)},
}  # fmt: skip


@pytest.mark.parametrize("kind", VISIBLE)
def test_everybody_finds_their_own_and_reads_what_they_find(clinic: Clinic, kind: str) -> None:
    for email, expected in VISIBLE[kind].items():
        found = search(clinic, email, f"{kind}?_count=1000")
        assert {int(one["id"]) for one in found.resources} == expected, email
        assert found.total == len(expected)
        for resource in found.resources:
            assert clinic.call(KINDS[kind].get, email, int(resource["id"])) == resource


@pytest.mark.parametrize("kind", VISIBLE)
def test_what_is_not_found_is_not_read_either(clinic: Clinic, kind: str) -> None:
    everything = VISIBLE[kind][ADMIN]
    for email, own in VISIBLE[kind].items():
        for id in (*(everything - own), 99999):
            with pytest.raises((NotFound, Forbidden)) as refused:
                clinic.call(KINDS[kind].get, email, id)
            unseen = kind == "Practitioner" and email in (PETER, PAT)
            assert isinstance(refused.value, Forbidden if unseen else NotFound)
            assert ids(clinic, email, f"{kind}?_id={id}") == []


def test_observations_are_found_through_the_gate_alone(clinic: Clinic) -> None:
    own = {email: set(ids(clinic, email, "Observation?_count=1000")) for email in EVERYBODY}
    assert own[MARY] == own[MEGAN] == own[VICTOR] == own[PETER] | own[PAMELA]
    assert own[ADMIN] == own[TOM] | own[MARK]
    clinic.call(studies.unenroll, MARY, 30001, PatientIds(patient_ids=[40001]))
    assert ids(clinic, MARY, "Observation?patient=40001") == []
    assert len(ids(clinic, PETER, "Observation")) == 2, "a patient reads all of their own"


# ------------------------------------------------------------------ what each parameter finds
FINDS: list[tuple[str, list[int]]] = [
    ("Patient?identifier=urn:oid:1.2.3.4|E1234", [40001]),
    ("Patient?identifier=E1234", [40001]),
    ("Patient?identifier=urn:oid:1.2.3.4|", [40001]),
    ("Patient?identifier=|E1234", []),
    ("Patient?identifier=urn:other|E1234", []),
    ("Patient?identifier=E1234,abc123", [40001]),
    ("Patient?family=park", [40002]),
    ("Patient?family=P", [40002, 40001]),
    ("Patient?family=Pe,Pa", [40002, 40001]),
    ("Patient?family=etersen", []),
    ("Patient?family=P%", []),
    ("Patient?given=Peter", [40001]),
    ("Patient?name=Pamela", [40002]),
    ("Patient?name=petersen&given=peter", [40001]),
    ("Patient?birthdate=1980-01-15", [40001]),
    ("Patient?birthdate=1980", [40001]),
    ("Patient?birthdate=1980-02", []),
    ("Patient?birthdate=ge1975-06-02", [40002, 40001]),
    ("Patient?birthdate=gt1975-06-02", [40001]),
    ("Patient?birthdate=le1975-06-02", [40002]),
    ("Patient?birthdate=lt1975-06-02", []),
    ("Patient?birthdate=ge1970&birthdate=lt1980", [40002]),
    ("Patient?birthdate=lt9999-12-31", [40002, 40001]),
    ("Patient?organization=Organization/20003", [40002, 40001]),
    ("Patient?organization=20007", []),
    ("Patient?_has:Group:member:_id=30001", [40002, 40001]),
    ("Patient?_has:Group:member:_id=30003", []),
    ("Patient?patient=40002", [40002]),
    ("Patient?patient._has:Group:member:_id=30003", []),
    ("Patient?_source=https://jupyterhealth.org/jhe", [40002, 40001]),
    ("Patient?_source:below=https://jupyterhealth.org", [40002, 40001]),
    ("Patient?_source:below=https://jupyterhealth.org/jh", []),
    ("Patient?_source=https://jupyterhealth.org", []),
    ("Patient?_lastUpdated=ge2000-01-01", [40002, 40001]),
    ("Patient?_lastUpdated=gt2999", []),
    ("Patient?_sort=birthdate", [40002, 40001]),
    ("Patient?_sort=-birthdate", [40001, 40002]),
    ("Patient?_sort=given,-_id", [40002, 40001]),
    ("Patient?_id=40001,x&_id=40001,40002", [40001]),
    ("Patient?_id=", []),
    ("Group?name=blood pressure", [30002, 30001]),
    ("Group?name=blood pressure f", [30002]),
    ("Group?managing-entity=20003", [30002, 30001]),
    ("Group?managing-entity=Organization/20006", []),
    ("Group?member=Patient/40001", [30002, 30001]),
    ("Group?member=40003", []),
    ("Device?device-name=oura", [70004]),
    ("Device?_sort=device-name", [70001, 70002, 70003, 70004, 70005]),
    ("Organization?name=wearables", [20003]),
    ("Organization?partof=20001", [20002]),
    ("Organization?type=team", [20002]),
    ("Organization?type=http://terminology.hl7.org/CodeSystem/organization-type|team", [20002]),
    ("Organization?type=urn:other|team", []),
    ("Organization?type=|laboratory", [20003]),
    ("Practitioner?family=Member", [80003]),
    ("Practitioner?name=mary,tom&_sort=given", [80002, 80005]),
]


def test_each_parameter_finds_what_it_says(clinic: Clinic) -> None:
    for query, expected in FINDS:
        found = ids(clinic, MARY, query)
        assert (found if "_sort" in query else sorted(found)) == (expected if "_sort" in query else sorted(expected)), (
            query
        )


def test_each_parameter_of_observations_finds_what_it_says(clinic: Clinic) -> None:
    taken = now().replace(microsecond=0) - timedelta(hours=3)
    sent = reading(40001, 50004, taken, identifier=[{"system": "urn:x", "value": "7"}, {"value": "bare"}])
    clinic.call(uploads.create_many, MEGAN, bundle(sent))
    [made] = ids(clinic, MARY, "Observation?identifier=urn:x|7")
    instant = taken.isoformat().replace("+00:00", "Z")
    after = (taken + timedelta(seconds=1)).isoformat().replace("+00:00", "Z")
    ours = set(ids(clinic, MARY, "Observation"))
    pulse = {id for id in ours if id in ids(clinic, MARY, f"Observation?code={PULSE}")}
    for query, expected in {
        "identifier=7": {made}, "identifier=|bare": {made}, "identifier=|7": set(), "identifier=urn:x|bare": set(),
        f"date={instant}": {made}, f"date=ge{instant}": {made}, f"date=gt{instant}": set(), f"date=lt{after}": ours,
        f"date=le{instant}": ours, f"date=lt{instant}": ours - {made}, f"date={instant},{after}": {made},
        f"date=ge{instant}&date=lt{after}": {made}, f"date=ge{after}": set(),
        f"code={OMH}|{PULSE}": pulse, f"code={PULSE},{PRESSURE}": ours, f"code={PULSE}&code={PRESSURE}": set(),
        f"code=urn:other|{PULSE}": set(), f"code={OMH}|": ours, "code=50004": set(),
        "patient.identifier=urn:oid:1.2.3.4|E1234&date=ge" + instant: {made}, "patient.identifier=|E1234": set(),
        f"subject=Patient/40001&code={PULSE}": pulse & set(ids(clinic, PETER, "Observation")),
        f"_id={made}": {made}, f"_lastUpdated=ge{instant}": ours, "_source=urn:other": set(),
        "patient.organization=20003": ours, "patient.organization=20007": set(),
        "patient._has:Group:member:_id=30001,30002": ours,
    }.items():  # fmt: skip
        assert set(ids(clinic, MARY, f"Observation?{query}")) == expected, query
    assert ids(clinic, MARY, "Observation")[0] == made, "newest first"
    assert ids(clinic, MARY, "Observation?_sort=-date")[0] == ids(clinic, MARY, "Observation?_sort=date")[-1] == made


def test_an_interval_lies_in_a_span_reaches_into_it_or_begins_before_its_end(clinic: Clinic) -> None:
    frame = {"time_interval": {"start_date_time": "2026-02-01T23:00:00Z", "end_date_time": "2026-02-02T01:00:00Z"}}
    sent = reading(40001, 50004)
    clinic.call(uploads.create_many, MEGAN, bundle(_during(sent, frame)))
    for query, found in {"date=2026-02": 1, "date=2026-02-01": 0, "date=ge2026-02-02": 1, "date=gt2026-02-01": 1,
                         "date=gt2026-02-02": 0, "date=le2026-02-01": 1, "date=lt2026-02-02": 1,
                         "date=lt2026-02-01": 0}.items():  # fmt: skip
        assert len(ids(clinic, PETER, f"Observation?{query}&date=ge2026-02&date=lt2026-03")) == found, query


def _during(sent: dict[str, Any], frame: dict[str, Any]) -> dict[str, Any]:
    point: Any = read_attachment(sent["valueAttachment"])[0]
    point["body"]["effective_time_frame"] = frame
    return sent | {"valueAttachment": attachment(point)}


def test_a_study_names_how_many_are_in_it_but_not_who(clinic: Clinic) -> None:
    group = clinic.call(studies.fhir_get, VICTOR, 30001)
    assert (group["quantity"], group["membership"], group["type"]) == (2, "enumerated", "person")
    assert group["managingEntity"]["reference"] == "Organization/20003"
    assert "member" not in group
    assert "quantity" not in clinic.call(studies.fhir_get, PETER, 30001), "not a patient's business"
    assert ids(clinic, PETER, "Group?member=40002") == [], "nor is who else is in it"
    assert len(ids(clinic, PETER, "Group?member=40001")) == 2


def test_a_patient_of_two_hospitals_names_the_one_its_reader_knows(clinic: Clinic) -> None:
    homes = {MARK: "Organization/20006", TOM: "Organization/20008", PAT: "Organization/20006"}
    for email, home in homes.items():
        assert clinic.call(patients.fhir_get, email, 40005)["managingOrganization"]["reference"] == home
    assert ids(clinic, MARK, "Patient?organization=20008") == []
    assert ids(clinic, PAT, "Patient?organization=20008") == [40005]


def test_a_patient_is_not_told_how_their_hospital_is_organized(clinic: Clinic) -> None:
    assert clinic.call(organizations.fhir_get, MARY, 20003)["partOf"]["reference"] == "Organization/20002"
    assert "partOf" not in clinic.call(organizations.fhir_get, PETER, 20003)


# ------------------------------------------------------------------ order and pages
@pytest.mark.parametrize(("kind", "id", "change"), [
    ("Patient", 40001, lambda c: c.call(patients.update, MARY, 40001, InOrganization(), PatientChange(name_given="P"))),
    ("Group", 30001, lambda c: c.call(studies.update, MARY, 30001, StudyChange(name="Renamed"))),
    ("Organization", 20003, lambda c: c.call(organizations.update, MARY, 20003, OrganizationChange(name="Renamed"))),
    ("Device", 70002, lambda c: c.call(devices.update, ADMIN, 70002, DataSourceChange(name="Renamed"))),
], ids=lambda value: str(value)[:12])  # fmt: skip
def test_what_was_changed_last_comes_first(clinic: Clinic, kind: str, id: int, change: Any) -> None:
    before = search(clinic, MARY, f"{kind}?_id={id}").resources[0]["meta"]["lastUpdated"]
    change(clinic)
    [newest, *_] = search(clinic, MARY, kind).resources
    assert int(newest["id"]) == id
    assert newest["meta"]["lastUpdated"] > before
    assert ids(clinic, MARY, f"{kind}?_lastUpdated={newest['meta']['lastUpdated']}") == [id]


def test_a_disabled_practitioner_is_not_active(clinic: Clinic) -> None:
    clinic.call(colleagues.update_practitioner, ADMIN, 80003, people.PractitionerChange(disabled=True))
    [newest, *_] = search(clinic, MARY, "Practitioner").resources
    assert (newest["id"], newest["active"]) == ("80003", False)
    clinic.call(organizations.remove_user, MARY, 20003, UserOf(jhe_user_id=10003))
    assert 80003 not in ids(clinic, MARY, "Practitioner")


@pytest.mark.parametrize("sort", ["", "&_sort=date", "&_sort=-patient,date"])
def test_pages_hold_each_once_in_one_order_however_they_are_turned(clinic: Clinic, sort: str) -> None:
    clinic.call(uploads.create_many, MEGAN, bundle(*(reading(40001, 50004) for _ in range(9))))

    def page(number: int, size: int) -> list[str]:
        path = f"Observation?_count={size}&_page={number}{sort}"
        return [entry["resource"]["id"] for entry in answered(clinic, path)["entry"]]

    whole = page(1, 1000)
    assert len(whole) == len(set(whole)) == 13
    forth = [id for number in range(1, 8) for id in page(number, 2)]
    back = [page(number, 2) for number in range(7, 0, -1)]
    assert forth == whole == [id for ids in reversed(back) for id in ids]
    assert page(3, 4) == whole[8:12], "a page of another size, reached at once"


def test_a_page_turned_after_an_upload_is_counted_anew(clinic: Clinic) -> None:
    first = answered(clinic, "Observation?_count=2")
    clinic.call(uploads.create_many, MEGAN, bundle(reading(40001, 50004)))
    second = answered(clinic, "Observation?_count=2&_page=2")
    assert (second["total"], second["entry"][0]["resource"]["id"]) == (
        first["total"] + 1, first["entry"][1]["resource"]["id"]
    )  # fmt: skip


def answered(clinic: Clinic, path: str, email: str = MARY) -> Any:
    return json.loads(ask(clinic, email, "GET", path, media_type=FHIR_JSON).body or b"")


def test_a_page_asks_the_store_as_often_however_long_it_is(clinic: Clinic) -> None:
    clinic.call(uploads.create_many, MEGAN, bundle(*(reading(40001 + i % 2, 50004) for i in range(30))))
    said: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    event.listen(clinic.database._readers, "before_cursor_execute", note)
    asked = []
    for query in ("Observation?_count=1", "Observation?_count=30", "Patient?_count=1", "Patient?_count=2",
                  "Group?_count=1", "Group?_count=2", "Practitioner?_count=1", "Practitioner?_count=4"):  # fmt: skip
        said.clear()
        answered(clinic, query)
        asked.append(len(said))
    once, again = asked[::2], asked[1::2]
    # The total of observations is told by what is sealed and loose, that of others is counted once and remembered.
    assert [first - second for first, second in zip(once, again, strict=True)] == [0, 1, 1, 1]
    assert max(asked) <= 16


def test_a_read_by_fhir_leaves_its_audit_row_like_any_other(clinic: Clinic) -> None:
    answered(clinic, "Patient?_id=40001")
    answered(clinic, "Observation/60001")
    answered(clinic, "Group/30001")
    answered(clinic, "Device")
    rows = clinic.call(audit.search, ADMIN, AuditSearch(ordering="seq")).results[-3:]
    assert [row.verb for row in rows] == ["patients.fhir_search", "observations.fhir_get", "studies.fhir_get"]
    assert [(row.patient_id, row.study_id, row.count) for row in rows] == [
        (40001, None, 1),
        (None, None, 1),
        (None, 30001, 1),
    ]


def test_the_total_of_one_study_is_not_taken_for_anothers(clinic: Clinic) -> None:
    """With a filter about each observation, totals are counted and remembered: by study, too."""
    clinic.call(uploads.create_many, ADMIN, bundle(*(reading(40001, 50004) for _ in range(3))))
    asked = "Observation?date=ge2000&_summary=count&patient._has:Group:member:_id="
    totals = {study: answered(clinic, f"{asked}{study}", ADMIN)["total"] for study in (30001, 30002, 30004, 39999)}
    assert totals == {
        study: len(answered(clinic, f"Observation?_count=1000&patient._has:Group:member:_id={study}", ADMIN)["entry"])
        for study in totals
    }
    assert len(set(totals.values())) > 2


def test_who_reads_a_frame_again_is_on_record_as_its_reader(clinic: Clinic) -> None:
    """A 304 lets the reader go on with what they have: the same patients as of the answer it stands for."""
    first = ask(clinic, MARY, "GET", "observations?study_id=30001", media_type=ARROW)
    assert first.stream is not None
    rows = pa.ipc.open_stream(b"".join(first.stream)).read_all()
    again = ask(clinic, MARY, "GET", "observations?study_id=30001", media_type=ARROW, etag=first.headers["ETag"])
    assert again.status == 304
    for patient in set(rows.column("patient_id").to_pylist()):
        read = clinic.call(audit.search, ADMIN, AuditSearch(patient_id=patient, ordering="seq")).results[-2:]
        assert [(row.verb, row.study_id, row.count) for row in read] == [("observations.search", 30001, len(rows))] * 2
