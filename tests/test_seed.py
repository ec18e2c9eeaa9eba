"""The seed is the clinic that documentation, tests and notebooks share: these ids, roles and answers, exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ADMIN, PASSWORD, Clinic
from indoors import answered, counted, rows
from sqlalchemy import text

from jhe_server import ledger, people, seed
from jhe_server.errors import Conflict
from jhe_server.opened import open_store
from jhe_server.organizations import OrganizationRow
from jhe_server.people import by_email


def test_eight_organizations_in_two_trees(clinic: Clinic) -> None:
    assert rows(clinic.database, "SELECT id, type, part_of FROM organization WHERE id > 0 ORDER BY id") == [
        (20001, "edu", 0),
        (20002, "team", 20001),
        (20003, "laboratory", 20002),
        (20004, "prov", 0),
        (20005, "dept", 20004),
        (20006, "dept", 20005),
        (20007, "laboratory", 20006),
        (20008, "laboratory", 20006),
    ]


def test_six_practitioners_with_their_roles(clinic: Clinic) -> None:
    assert rows(clinic.database, "SELECT id, email, is_superuser FROM jhe_user WHERE user_type = 'practitioner' "
                                 "ORDER BY id") == [
        (10001, "admin@example.com", True),
        (10002, "manager_mary@example.com", False),
        (10003, "member_megan@example.com", False),
        (10004, "viewer_victor@example.com", False),
        (10005, "three_org_tom@example.com", False),
        (10008, "manager_mark@example.com", False),
    ]  # fmt: skip
    manager = dict.fromkeys
    assert {
        id: clinic.actor(email).roles
        for id, email in rows(clinic.database, "SELECT id, email FROM jhe_user WHERE user_type = 'practitioner'")
    } == {
        10001: {},
        10002: manager((20001, 20002, 20003), "manager"),
        10003: {20003: "member"},
        10004: {20003: "viewer"},
        10005: {20003: "viewer", 20007: "member", 20008: "manager"},
        10008: manager((20004, 20005, 20006, 20007), "manager"),
    }
    assert rows(clinic.database, "SELECT id FROM practitioner WHERE user_id = 10001") == [(80001,)]


def test_five_patients_where_they_belong(clinic: Clinic) -> None:
    people = "SELECT p.id, u.id, u.email FROM patient p JOIN jhe_user u ON u.id = p.user_id ORDER BY p.id"
    assert rows(clinic.database, people) == [
        (40001, 10006, "ll_patient_peter@example.com"),
        (40002, 10007, "ll_patient_pamela@example.com"),
        (40003, 10009, "npl_patient_percy@example.com"),
        (40004, 10010, "ccl_patient_paul@example.com"),
        (40005, 10011, "ccl_cardio_patient_pat@example.com"),
    ]
    assert rows(clinic.database, "SELECT patient_id, organization_id FROM patient_organization ORDER BY 1, 2") == [
        (40001, 20003), (40002, 20003), (40003, 20007), (40004, 20008), (40005, 20006), (40005, 20008),
    ]  # fmt: skip
    assert rows(clinic.database, "SELECT patient_id, system, value FROM patient_identifier ORDER BY id") == [
        (40001, "https://openwearables.io/ns/patient-id", "abc123"),
        (40001, "urn:oid:1.2.3.4", "E1234"),
    ]


def test_five_studies_with_what_they_request_and_who_answered(clinic: Clinic) -> None:
    shown = {
        study["id"]: (
            study["organization"]["id"],
            [code["id"] for code in study["scopeRequests"]],
            [source["id"] for source in study["dataSources"]],
        )
        for study in answered(clinic, ADMIN, "studies")["results"]
    }
    assert shown == {
        30001: (20003, [50002, 50004], [70001]),
        30002: (20003, [50002], [70001]),
        30003: (20006, [50001], [70002]),
        30004: (20007, [50003], [70003]),
        30005: (20008, [50005], []),
    }
    assert rows(clinic.database, "SELECT study_id, oauth_client_id FROM study_client ORDER BY 1") == [
        (30001, 1), (30002, 1), (30003, 2), (30004, 2),
    ]  # fmt: skip
    assert rows(clinic.database, "SELECT study_id, patient_id FROM study_patient ORDER BY 1, 2") == [
        (30001, 40001), (30001, 40002), (30002, 40001), (30002, 40002), (30003, 40005), (30004, 40003),
        (30005, 40004), (30005, 40005),
    ]  # fmt: skip
    assert rows(clinic.database, "SELECT study_id, patient_id, code_id, consented FROM consent ORDER BY 1, 2, 3") == [
        (30001, 40001, 50002, True), (30001, 40001, 50004, True), (30001, 40002, 50002, True),
        (30001, 40002, 50004, True), (30002, 40002, 50002, True), (30003, 40005, 50001, True),
        (30004, 40003, 50003, True), (30005, 40004, 50005, True), (30005, 40005, 50005, True),
    ]  # fmt: skip


def test_sixteen_codes_that_all_can_be_validated(clinic: Clinic) -> None:
    found = rows(clinic.database, "SELECT id, coding_code FROM code ORDER BY id")
    assert [id for id, _ in found] == list(range(50001, 50017))
    assert dict(found)[50002] == "omh:blood-pressure:4.0"
    assert dict(found)[50016] == "omh:sleep-duration:2.0"
    systems = rows(clinic.database, "SELECT id, coding_system FROM code WHERE id IN (50011, 50014) ORDER BY id")
    assert [system for _, system in systems] == ["http://hl7.org/fhir/resource-types", "https://w3id.org/ieee1752"]


def test_data_sources_and_clients(clinic: Clinic) -> None:
    sources = answered(clinic, ADMIN, "data_sources")["results"]
    assert [
        (one["id"], one["name"], one["type"], [code["id"] for code in one["supportedScopes"]]) for one in sources
    ] == [
        (70001, "CareX", "personal_device", [50002, 50004]),
        (70002, "Dexcom", "personal_device", [50001]),
        (70003, "iHealth", "personal_device", [50003, 50004]),
        (70004, "Oura", "personal_device", [50004]),
        (70005, "Questionnaire", "patient_app", [50011]),
    ]
    clients = answered(clinic, ADMIN, "clients")["results"]
    assert [(one["id"], one["name"], one["invitationUrl"]) for one in clients] == [
        (1, "CareX", "https://carex.ai/invitation/CODE"),
        (2, "CommonHealth", "https://commonhealth.tcp.org?invitation=CODE"),
    ]
    brought = "SELECT oauth_client_id, data_source_id FROM oauth_client_data_source ORDER BY 1, 2"
    assert rows(clinic.database, brought) == [
        (1, 70001), (1, 70005), (2, 70002), (2, 70003),
    ]  # fmt: skip


def test_one_observation_per_patient_and_consented_code_and_the_ledger_agrees(clinic: Clinic) -> None:
    assert rows(clinic.database, "SELECT patient_id, code_id FROM observation ORDER BY 1, 2") == rows(
        clinic.database, "SELECT DISTINCT patient_id, code_id FROM consent WHERE consented ORDER BY 1, 2"
    )
    assert counted(clinic.database, "observation") == 8
    with clinic.database.read() as session:
        states = ledger.replay(session, {30001, 30002})
    assert {code: one.consented for code, one in states[30001].answers[40001].items()} == {50002: True, 50004: True}
    assert states[30002].answers[40001] == {}


def test_everybodys_password_is_the_one_the_seed_was_given(clinic: Clinic) -> None:
    with clinic.database.read() as session:
        user = by_email(session, ADMIN)
        assert user is not None
        assert people.password_fits(user.password_hash, PASSWORD)
        assert not people.password_fits(user.password_hash, PASSWORD + "!")


def test_a_database_with_patients_or_organizations_is_not_seeded_again(clinic: Clinic) -> None:
    with pytest.raises(Conflict), clinic.database.write() as session:
        seed.plant(session, PASSWORD)
    assert counted(clinic.database, "patient") == 5


def test_a_laptop_owners_account_is_no_obstacle(tmp_path: Path) -> None:
    database = open_store(f"sqlite:///{tmp_path / 'laptop.sqlite'}")
    with database.write() as session:
        assert people.owner(session).id < people.FIRST_ID
    with database.write() as session:
        seed.plant(session, PASSWORD)
    assert rows(database, "SELECT min(id), max(id) FROM jhe_user WHERE id > 10000") == [(10001, 10011)]
    database.close()


def test_one_organization_is_enough_to_be_refused(tmp_path: Path) -> None:
    database = open_store(f"sqlite:///{tmp_path / 'used.sqlite'}")
    with database.write() as session:
        session.add(OrganizationRow(name="Somebody's", type="other", part_of=0))
    with pytest.raises(Conflict), database.write() as session:
        seed.plant(session, PASSWORD)
    with database.read() as session:
        assert session.execute(text("SELECT count(*) FROM patient")).scalar() == 0
    database.close()
