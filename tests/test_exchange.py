"""The Exchange in a notebook's hand: every verb and frame of it against a real server, with names where ids are."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest
from conftest import ADMIN, MARY, MEGAN, PERCY, PETER, TOM, VICTOR
from conftest import Exchange as Server

import jhe_jupyter as jhe
from jhe_jupyter import lists
from jhe_jupyter.exchange import Exchange
from jhe_jupyter.transport import Arriving

LAB, STUDY, FOLLOW_UP = "Wearables Lab", "Blood pressure and heart rate at home", "Blood pressure follow-up"
PRESSURE, HEART = "omh:blood-pressure:4.0", "omh:heart-rate:2.0"


def connected(server: Server, email: str) -> Exchange:
    return jhe.connect(server.address, server.token(email))


@pytest.fixture(scope="module")
def mary(shared_exchange: Server) -> Iterator[Exchange]:
    with connected(shared_exchange, MARY) as exchange:
        yield exchange


@pytest.fixture
def jo(mary: Exchange) -> dict[str, Any]:
    """A patient of the lab that no other test knows."""
    return mary.create_patient(f"jo-{uuid.uuid4().hex}@example.com", "Smith", "Jo", date(1980, 1, 1), LAB)


# ------------------------------------------------------------------ who and where
def test_connecting_says_who_and_where_and_never_the_token(shared_exchange: Server) -> None:
    token = shared_exchange.token(VICTOR)
    with jhe.connect(shared_exchange.address, token) as victor:
        assert repr(victor) == f"<Exchange {shared_exchange.address} as {VICTOR}>"
        assert "<td>Wearables Lab</td><td>viewer</td>" in victor._repr_html_()
        assert token not in repr(victor) + victor._repr_html_()


def test_a_kernel_connects_without_arguments(shared_exchange: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JHE_TOKEN_FILE", raising=False)
    monkeypatch.setenv("JHE_URL", shared_exchange.address)
    monkeypatch.setenv("JHE_TOKEN", shared_exchange.token(MEGAN))
    with jhe.connect() as megan:
        assert megan.get_user()["email"] == MEGAN


def test_a_token_that_is_no_good_is_heard_at_once(shared_exchange: Server) -> None:
    with pytest.raises(jhe.Unauthenticated, match="unknown, expired or revoked"):
        jhe.connect(shared_exchange.address, "jhe_nonsense")


def test_an_address_that_is_no_exchange_is_heard_at_once(shared_exchange: Server) -> None:
    with pytest.raises(jhe.ExchangeError, match="usually ends in /jhe"):
        jhe.connect(shared_exchange.address.removesuffix("/jhe"), shared_exchange.token(MARY))


# ------------------------------------------------------------------ patients
def test_a_patient_from_creation_to_removal(mary: Exchange) -> None:
    email = f"bo-{uuid.uuid4().hex}@example.com"
    bo = mary.create_patient(email, "Berg", "Bo", "1975-05-05", organization=LAB, phone="555", identifiers=email[:12])
    assert (bo["telecomEmail"], bo["birthDate"], bo["organizationId"]) == (email, "1975-05-05", 20003)
    changed = mary.update_patient(email, phone=None, given_name="Boel")
    assert (changed["telecomPhone"], changed["nameGiven"], changed["nameFamily"]) == (None, "Boel", "Berg")
    assert mary.lookup_patient(email=email.upper())["id"] == bo["id"]
    assert mary.lookup_patient(external_id=email[:12])["id"] == bo["id"]
    assert mary.update_patient(bo, identifiers={"urn:oid:1.2": email})["identifiers"][0]["system"] == "urn:oid:1.2"
    assert mary.update_patient(bo, identifiers=None)["identifiers"] == []
    mary.remove_patient(bo, LAB)
    with pytest.raises(KeyError):
        mary.get_patient(bo["id"])


def test_a_refused_patient_is_the_guides_sentence(mary: Exchange, jo: dict[str, Any]) -> None:
    with pytest.raises(jhe.Conflict, match="User with this email already exists"):
        mary.create_patient(jo["telecomEmail"].upper(), "Smith", "Jo", "1980-01-01", LAB)
    with pytest.raises(jhe.Invalid) as caught:
        mary.create_patient("new@example.com", "Smith", "Jo", "2980-01-01", LAB)
    assert caught.value.errors == {"birthDate": ["must not be in the future"]}
    assert str(caught.value).count("must not be in the future") == 1


def test_a_viewer_may_not_write(shared_exchange: Server) -> None:
    with connected(shared_exchange, VICTOR) as victor, pytest.raises(jhe.Forbidden):
        victor.create_patient("new@example.com", "Smith", "Jo", "1980-01-01", LAB)


def test_an_existing_patient_joins_another_organization(shared_exchange: Server, jo: dict[str, Any]) -> None:
    with connected(shared_exchange, TOM) as tom:
        joined = tom.add_patient_to_organization(jo["telecomEmail"], "Pulse Lab")
        assert joined["organizationId"] == 20007
        with pytest.raises(jhe.Conflict):
            tom.add_patient_to_organization(jo, "Pulse Lab")


def test_nobody_is_found_under_an_unknown_address(mary: Exchange) -> None:
    with pytest.raises(KeyError, match=r"nobody@example\.com"):
        mary.lookup_patient(email="nobody@example.com")
    with pytest.raises(KeyError, match="'MRN-0' of 'urn:x'"):
        mary.lookup_patient(external_id="MRN-0", system="urn:x")
    with pytest.raises(TypeError):
        mary.lookup_patient()


def test_an_invitation_carries_its_link_and_what_became_of_the_mail(mary: Exchange, jo: dict[str, Any]) -> None:
    default = mary.invite(jo)
    assert "cloud_sharing=" in default.link
    assert (default.email, default.status) == (None, "issued")
    assert default.expires is not None
    assert timedelta(days=13) < default.expires - datetime.now(UTC) < timedelta(days=15)
    mailed = mary.invite(jo, client="CareX", send_email=True)
    assert mailed.link.startswith("https://carex.ai/invitation/")
    assert mailed.email == "outbox"
    secret = mailed.link.rsplit("_", 1)[1]
    assert secret not in repr(mailed)
    assert [one["status"] for one in mary.list_invitations(jo["id"]) if one["id"] == mailed.id] == ["issued"]


def test_a_qr_code_needs_a_package_and_says_which(mary: Exchange, jo: dict[str, Any]) -> None:
    try:
        import segno  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match="pip install segno"):
            mary.invite(jo).qr()
    else:
        assert mary.invite(jo).qr()._repr_html_().startswith("<svg")


# ------------------------------------------------------------------ names where ids are
@pytest.mark.parametrize("lab", [20003, "20003", LAB, " wearables  LAB ", {"id": 20003}, 20003.0])
def test_an_organization_by_id_name_or_object(mary: Exchange, lab: Any) -> None:
    assert mary.organization_id(lab) == 20003


def test_rows_of_frames_are_objects_too(mary: Exchange) -> None:
    patients = mary.patients_df(study=STUDY)
    assert mary.patient_id(patients.iloc[0]) == patients["patient_id"].iloc[0]
    assert mary.patient_id(next(patients.itertuples())) == patients["patient_id"].iloc[0]
    assert mary.study_id(mary.studies_df().iloc[0]) == 30001


@pytest.mark.parametrize("peter", [40001, "40001", PETER, PETER.upper(), "Peter Petersen", "petersen,  peter"])
def test_a_patient_by_id_address_or_name(mary: Exchange, peter: Any) -> None:
    assert mary.patient_id(peter) == 40001


@pytest.mark.parametrize(
    "pressure", ["blood-pressure", "blood_pressure", "omh:blood-pressure", PRESSURE, "Blood Pressure", 50002,
                 f"https://w3id.org/openmhealth|{PRESSURE}", {"codingCode": PRESSURE}, {"id": 50002}]
)  # fmt: skip
def test_a_code_in_every_spelling(mary: Exchange, pressure: Any) -> None:
    assert mary.code(pressure)["codingCode"] == PRESSURE


def test_a_code_of_another_system_has_a_short_name_too(mary: Exchange) -> None:
    assert mary.code("sleep-stage-summary")["codingSystem"] == "https://w3id.org/ieee1752"


def test_an_unknown_name_lists_what_there_is_with_the_closest_first(mary: Exchange) -> None:
    with pytest.raises(jhe.UnknownName) as caught:
        mary.organization_id("Waerables Lab")
    assert str(caught.value).startswith("No organization is called 'Waerables Lab'. There are: 20003 'Wearables Lab', ")
    with pytest.raises(jhe.UnknownName, match="and 8 more"):
        mary.code("mood")
    with pytest.raises(jhe.UnknownName, match=rf"No patient is called '{PERCY}'"):
        mary.patient_id(PERCY)
    with pytest.raises(jhe.UnknownName, match="No person is called"):
        mary.user_id("nobody@example.com")


def test_an_ambiguous_name_asks_for_the_id(mary: Exchange) -> None:
    name = f"Twin {uuid.uuid4().hex}"
    twins = [mary.create_study(name, "one of two", LAB)["id"] for _ in range(2)]
    with pytest.raises(jhe.AmbiguousName, match=rf"2 studies are called .*; give the id: {twins[0]} .*, {twins[1]} "):
        mary.study_id(name)
    for twin in twins:
        mary.delete_study(twin)


@pytest.mark.parametrize("nothing", [None, True, float("nan"), 1.5, object()])
def test_what_can_be_no_name_is_refused(mary: Exchange, nothing: Any) -> None:
    with pytest.raises(TypeError, match="an organization is an id, a name or the object itself"):
        mary.organization_id(nothing)


# ------------------------------------------------------------------ studies and consents
def test_a_study_from_its_request_to_an_answer(mary: Exchange, jo: dict[str, Any]) -> None:
    study = mary.create_study(f"Sleep {uuid.uuid4().hex}", "How people sleep", LAB)
    mary.add_scope_request(study, "heart-rate")
    mary.add_scope_request(study, "heart-rate")
    mary.add_data_source(study["name"], "Oura")
    assert mary.enroll(study, jo) == mary.enroll(study, [jo["telecomEmail"]])
    assert mary.consents_df(study=study)["state"].tolist() == ["pending"]
    before = datetime.now(UTC)
    mary.set_consents(jo, study, {"heart-rate": True}, reason="on paper")
    [row] = mary.consents_df(study=study, patient=jo).to_dict("records")
    assert (row["state"], row["reason"], row["actor"]) == ("granted", "on paper", 10002)
    assert mary.consents_df(study=study, as_of=before)["state"].tolist() == ["pending"]
    mary.set_consents(jo, study, {HEART: False})
    assert mary.consents_df(patient=jo).query(f"study_id == {study['id']}")["state"].tolist() == ["declined"]
    mary.unenroll(study, mary.patients_df(study=study))
    assert mary.consents_df(study=study).empty
    mary.delete_study(study["id"])


def test_enrolment_is_all_or_nothing(mary: Exchange, jo: dict[str, Any]) -> None:
    with pytest.raises(jhe.Invalid, match=r"must share the same organization.*40003"):
        mary.enroll(FOLLOW_UP, [jo, 40003])
    assert jo["id"] not in mary.patients_df(study=FOLLOW_UP)["patient_id"].tolist()


def test_an_answer_is_yes_or_no(mary: Exchange) -> None:
    with pytest.raises(TypeError, match="True or False, for 'blood-pressure' it is 'yes'"):
        mary.set_consents(40001, FOLLOW_UP, {"blood-pressure": "yes"})  # type: ignore[dict-item]
    with pytest.raises(jhe.Invalid, match="does not request"):
        mary.set_consents(40001, FOLLOW_UP, {"blood-glucose": True})


def test_an_organization_gets_people(mary: Exchange) -> None:
    team = mary.create_organization(f"Team {uuid.uuid4().hex}", "team", part_of=LAB)
    assert team["partOf"] == 20003
    assert mary.add_practitioner(team, MEGAN, "member")["role"] == "member"
    with pytest.raises(jhe.Invalid, match="viewer"):
        mary.add_practitioner(team["name"], MEGAN, "boss")
    mary.delete_organization_user(team["id"], 10003)
    mary.delete_organization(team["id"])


# ------------------------------------------------------------------ frames
def test_patients_studies_and_organizations_as_frames(mary: Exchange) -> None:
    patients = mary.patients_df(organization=LAB, study=STUDY)
    assert list(patients.columns) == list(lists.PATIENTS)
    assert patients["patient_id"].tolist() == [40001, 40002]
    assert patients["birth_date"].dt.year.tolist() == [1980, 1975]
    assert mary.patients_df(study=STUDY, search="park")["name_given"].tolist() == ["Pamela"]
    studies = mary.studies_df(organization=LAB).set_index("study_id")
    assert studies.loc[30001, "codes"] == (PRESSURE, HEART)
    assert studies.loc[30001, "data_sources"] == ("CareX",)
    organizations = mary.organizations_df().set_index("organization_id")
    assert organizations.loc[20003, "part_of"] == 20002
    assert organizations.loc[20003, "current_user_role"] == "manager"


def test_patients_come_the_same_by_arrow_and_by_pages(mary: Exchange, jo: dict[str, Any]) -> None:
    paged = lists.list_frame(mary.list_patients(), lists.PATIENTS, {"id": "patient_id"})
    pd.testing.assert_frame_equal(mary.patients_df(), paged)
    assert mary.read_arrow("patients", Arriving.read, shape="bytes", size=len), "else this compares pages with pages"
    assert jo["id"] in paged["patient_id"].tolist()


def test_consents_of_everybody_pivot_into_an_overview(mary: Exchange) -> None:
    consents = mary.consents_df()
    assert list(consents.columns) == ["patient_id", "study_id", "code", "state", "time", "actor", "reason"]
    assert {30001, 30002} <= set(consents["study_id"])
    table = mary.consents_df(study=STUDY).pivot_table(
        index="patient_id", columns="code", values="state", aggfunc="first", observed=True
    )
    assert table.loc[40001].tolist() == ["granted", "granted"]
    assert mary.consents_df(study=STUDY, as_of="2000-01-01").empty


def test_observations_are_tidy_and_say_what_was_asked(mary: Exchange) -> None:
    frame = mary.observations_df(["blood-pressure", HEART], study=STUDY)
    assert frame["patient_id"].tolist() == [40001, 40001, 40002, 40002]
    pressure = frame[frame["code"] == PRESSURE]
    assert pressure["systolic_blood_pressure_value"].notna().all()
    assert set(pressure["systolic_blood_pressure_unit"]) == {"mmHg"}
    assert frame.attrs["query"] == {"study_id": 30001, "code": [PRESSURE, HEART]}
    assert frame.attrs["count"] == 4
    assert frame.attrs["aggregates"] == 0
    assert frame.attrs["consent_policy"] == {"30001": "hide"}
    one = mary.observations_df(HEART, patient=PETER)
    assert set(one["code"]) == {HEART}
    middle = one["effective_start"].max()
    assert mary.observations_df(HEART, patient=PETER, until=middle).empty
    assert len(mary.observations_df(HEART, patient=PETER, since=middle)) == len(one)


def test_a_limit_keeps_the_newest_and_nothing_else_does(mary: Exchange) -> None:
    newest = mary.observations_df(limit=1)["observation_id"].tolist()
    everything = mary.observations_df()
    last = max(mary.list_observation_rows(), key=lambda row: (row["lastUpdated"], row["id"]))
    assert newest == [last["id"]]
    assert len(everything) == len(list(mary.list_observation_rows()))


def test_nothing_measured_still_has_its_columns(mary: Exchange) -> None:
    frame = mary.observations_df("blood-glucose", unit="mg/dL")
    assert frame.empty
    assert {"blood_glucose_value", "blood_glucose_unit", "effective_local"} <= set(frame.columns)


def test_the_public_clients_shape(mary: Exchange) -> None:
    resource = next(mary.list_observations(40001, None, PRESSURE, 1))
    assert resource["resourceType"] == "Observation"
    frame = mary.list_observations_df(PETER, None, None, 2)
    assert len(frame) == 2
    assert set(frame["subject_reference"]) == {"Patient/40001"}
    assert str(frame["effective_time_frame_date_time"].dtype).endswith("UTC]")


def heartbeat(patient: int, rate: int, at: datetime) -> dict[str, Any]:
    """A FHIR Observation as an app uploads it."""
    header = {
        "uuid": str(uuid.uuid4()),
        "schema_id": {"namespace": "omh", "name": "heart-rate", "version": "2.0"},
        "source_creation_date_time": at.isoformat(),
    }
    frame = {"date_time": at.isoformat()}
    body = {"heart_rate": {"value": rate, "unit": "beats/min"}, "effective_time_frame": frame}
    data = base64.b64encode(json.dumps({"header": header, "body": body}).encode()).decode()
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "https://w3id.org/openmhealth", "code": HEART}]},
        "subject": {"reference": f"Patient/{patient}"},
        "device": {"reference": "Device/70001"},
        "valueAttachment": {"contentType": "application/json", "data": data},
    }


def test_what_is_uploaded_is_in_the_frame_with_the_patients_clock(mary: Exchange) -> None:
    at = datetime(2026, 1, 5, 7, 30, tzinfo=timezone(timedelta(hours=-8)))
    stored = mary.post_observation(heartbeat(40002, 71, at))
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [{"resource": heartbeat(40002, 72, at)}]}
    [entry] = mary.post_bundle(bundle)["entry"]
    assert entry["response"]["status"].startswith("201")
    frame = mary.observations_df("heart-rate", patient=40002, since=at, until=at + timedelta(seconds=1))
    assert sorted(frame["heart_rate_value"]) == [71.0, 72.0]
    assert int(stored["id"]) in frame["observation_id"].tolist()
    assert set(frame["effective_local"]) == {pd.Timestamp("2026-01-05 07:30")}
    assert set(frame["effective_start"]) == {pd.Timestamp("2026-01-05 15:30", tz="UTC")}
    assert mary.get_fhir("Observation", stored["id"])["status"] == "final"


def test_the_fhir_side_says_what_it_is(mary: Exchange) -> None:
    assert "Observation" in mary.list_fhir_resource_types()
    listed = [one["id"] for one in mary.list_fhir("Observation", patient_id=40001)]
    assert listed == [one["id"] for one in mary.list_observations(40001)]
    assert len(listed) == 2


def test_the_fhir_side_understands_names_and_refuses_those_nobody_has(mary: Exchange) -> None:
    study = mary.get_study(30001)
    by_id = mary.get_fhir("Patient", study_id=30001)
    assert by_id["total"] > 0
    for named in (study, study["name"], f" {study['name'].upper()}"):
        assert mary.get_fhir("Patient", study_id=named)["total"] == by_id["total"]
    peter = [one["id"] for one in mary.list_fhir("Observation", patient_id=40001)]
    assert [one["id"] for one in mary.list_fhir("Observation", patient_id=PETER, study_id=study)] == peter
    for call in (mary.get_fhir, mary.list_fhir):
        with pytest.raises(jhe.UnknownName, match="No study is called 'no such study'"):
            call("Patient", study_id="no such study")
        with pytest.raises(jhe.UnknownName, match="No patient is called"):
            call("Observation", patient_id="nobody@example.com")


def test_whatever_asks_for_an_id_takes_a_name_or_the_object(mary: Exchange) -> None:
    study, peter = mary.get_study(30001), mary.get_patient(40001)
    home = mary.get_organization(study["organization"]["id"])
    for named in (study["name"], study):
        assert mary.get_study(named) == study
        assert {one["id"] for one in mary.list_patients(study_id=named)} >= {40001}
        assert list(mary.list_study_consents(named)) == list(mary.list_study_consents(30001))
        assert list(mary.list_followup(named)) == list(mary.list_followup(30001))
    for named in (PETER, peter, "Petersen, Peter"):
        assert mary.get_patient(named) == peter
        assert mary.get_patient_consents(named) == mary.get_patient_consents(40001)
        assert list(mary.list_consent_history(named)) == list(mary.list_consent_history(40001))
        assert list(mary.list_invitations(named)) == list(mary.list_invitations(40001))
    for named in (home["name"], home):
        assert mary.get_organization(named) == home
        assert {one["id"] for one in mary.list_studies(organization_id=named)} >= {30001}
        assert list(mary.list_organization_users(named)) == list(mary.list_organization_users(home["id"]))
    with pytest.raises(jhe.UnknownName, match="No study is called 'Lungs'"):
        mary.get_study("Lungs")
    with pytest.raises(jhe.NotFound):
        mary.get_study(39999)


def test_following_up_names_everybody_of_a_study(mary: Exchange) -> None:
    frame = mary.followup_df(study=STUDY)
    assert list(frame.columns) == list(lists.FOLLOWUP)
    assert {40001, 40002} <= set(frame["patient_id"])
    assert frame["state"].notna().all()


def test_the_audit_answers_who_has_read_a_patient(shared_exchange: Server, mary: Exchange, jo: dict[str, Any]) -> None:
    since = datetime.now(UTC)
    mary.get_patient(jo["id"])
    mary.patients_df()
    with connected(shared_exchange, ADMIN) as admin:
        frame = admin.audit_df(patient=jo["id"], actor=MARY, since=since)
    assert list(frame.columns) == list(lists.AUDIT)
    assert frame["verb"].tolist() == ["patients.get", "patients.search"]
    assert frame["seq"].is_monotonic_increasing
    assert set(frame["actor_id"]) == {10002}


def test_a_withdrawn_consent_empties_an_older_frame(mary: Exchange) -> None:
    frame = mary.observations_df("heart-rate")
    kept, report = mary.revalidate(frame)
    assert (len(kept), len(report)) == (len(frame), 0)
    mary.set_consents(PETER, STUDY, {"heart-rate": False}, reason="asked us to")
    try:
        kept, report = mary.revalidate(frame)
    finally:
        mary.set_consents(PETER, STUDY, {"heart-rate": True})
    assert 40001 not in kept["patient_id"].tolist()
    assert set(report["patient_id"]) == {40001}
    assert set(report["reason"]) == {"consent withdrawn"}
    assert report["since"].notna().all()
    assert len(kept) + len(report) == len(frame)
    assert kept.attrs["count"] == len(kept)
