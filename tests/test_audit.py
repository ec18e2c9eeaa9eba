"""The audit: one row a call, refusals too, chained so that tampering shows where it was, with ids and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import ADMIN, MARK, MARY, MEGAN, PERCY, PETER, TOM, VICTOR, Clinic
from hypothesis import given
from hypothesis import strategies as st
from indoors import Rehearsal, answered, ask, counted, examples, reading, rehearsal, rows, streamed
from sqlalchemy import text

from jhe_server import audit, tables
from jhe_server.audit import AuditSearch, Entry
from jhe_server.errors import ExchangeError, Forbidden, NotFound
from jhe_server.fhir_api import FHIR_JSON

COLUMNS = (*audit.FIELDS[1:], "hash")
LENGTH = 12


def last(clinic: Clinic) -> dict[str, Any]:
    [entry] = answered(clinic, ADMIN, "audit?limit=1")["results"]
    return dict(entry)


# ------------------------------------------------------------------ one row a call
def test_a_read_leaves_who_what_and_whom(clinic: Clinic) -> None:
    answered(clinic, VICTOR, "patients?organization_id=20003")
    entry = last(clinic)
    assert (entry["verb"], entry["actorId"], entry["outcome"], entry["count"]) == ("patients.search", 10004, "ok", 2)
    assert (entry["organizationId"], entry["patients"]) == (20003, "40001-40002")
    assert len(entry["requestId"]) == 16


def test_a_write_leaves_its_row_in_its_own_transaction(clinic: Clinic) -> None:
    ask(clinic, MEGAN, "POST", "studies/30002/patients", {"patient_ids": [40001]})
    entry = last(clinic)
    assert (entry["verb"], entry["studyId"], entry["patientId"]) == ("studies.enroll", 30002, 40001)
    assert entry["organizationId"] == 20003


@pytest.mark.parametrize(
    ("email", "method", "path", "body", "outcome"),
    [
        (VICTOR, "DELETE", "patients/40001", None, "denied"),
        (MARK, "GET", "patients/40001", None, "denied"),
        (MEGAN, "POST", "patients", {"nameFamily": "x"}, "invalid"),
        (MEGAN, "POST", "studies/30001/patients", {"patient_ids": [40003]}, "invalid"),
    ],
)
def test_a_refusal_outlives_the_rollback_of_what_was_refused(
    clinic: Clinic, email: str, method: str, path: str, body: Any, outcome: str
) -> None:
    before = counted(clinic.database, "audit")
    with pytest.raises((ExchangeError, ValueError)):
        ask(clinic, email, method, path, body)
    assert counted(clinic.database, "audit") == before + 1
    entry = last(clinic)
    assert (entry["outcome"], entry["count"], entry["patients"]) == (outcome, 0, "")


def test_who_has_read_a_patient_can_be_asked_across_lists_streams_and_bundles(clinic: Clinic) -> None:
    answered(clinic, TOM, "observations?patient_id=40004")
    answered(clinic, TOM, "patients")
    streamed(clinic, TOM, "patients")
    ask(clinic, TOM, "GET", "Observation?patient=40003", media_type=FHIR_JSON)
    found = answered(clinic, ADMIN, "audit?patient_id=40004&actor_id=10005")["results"]
    assert [one["verb"] for one in found] == ["patients.search", "patients.search", "observations.search"]


def test_a_manager_reads_the_audit_of_their_own_organizations_only(clinic: Clinic) -> None:
    answered(clinic, VICTOR, "patients/40001")
    answered(clinic, MARK, "patients/40003")
    answered(clinic, TOM, "patients")  # concerns both labs
    marys = answered(clinic, MARY, "audit")["results"]
    assert {one["verb"] for one in marys} == {"patients.get", "patients.search"}
    assert all(one["patientId"] != 40003 for one in marys)
    [search] = [one for one in marys if one["verb"] == "patients.search"]
    assert search["patients"] == ""  # the list named patients of organizations that are not hers
    assert answered(clinic, MARY, "audit?patient_id=40003")["count"] == 0
    for email in (MEGAN, VICTOR, PETER):
        with pytest.raises(Forbidden):
            answered(clinic, email, "audit")


def test_a_time_window_is_half_open(clinic: Clinic) -> None:
    for _ in range(3):
        answered(clinic, VICTOR, "patients/40001")
    times = [one["time"] for one in answered(clinic, ADMIN, "audit?verb=patients.get&ordering=seq")["results"]]
    found = answered(clinic, ADMIN, f"audit?verb=patients.get&since={times[0]}&until={times[2]}")["results"]
    assert sorted(one["time"] for one in found) == times[:2]


# ------------------------------------------------------------------ the chain
def chained(stage: Rehearsal) -> None:
    """Some rows of every kind, and nothing that would keep anybody from changing them."""
    with stage.session() as session:
        for number in range(LENGTH):
            entry = Entry(verb=f"verb.{number}", actor_id=10001 + number % 3, request_id=f"{number:016x}", count=number)
            entry.patients, entry.organizations = (
                set(range(40001, 40001 + number % 4)),
                {20003} if number % 2 else set(),
            )
            entry.address = "127.0.0.1" if number % 5 == 0 else None
            assert audit.append(session, entry) == number + 1
        assert audit.verify(session) is None
        unprotect(session)


def unprotect(session: Any) -> None:
    if session.bind.dialect.name == "sqlite":
        for table in ("audit", "audit_subject"):
            for way in ("update", "delete", "replace"):
                session.execute(text(f"DROP TRIGGER {table}_no_{way}"))
    else:
        for table in ("audit", "audit_subject"):
            session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))


def found_at(stage: Rehearsal, statement: str, **values: Any) -> int | None:
    """The link that breaks, if the statement is run by somebody with the whole database in hand."""
    with stage.session() as session:
        changed: Any = session.execute(text(statement), values)
        assert changed.rowcount == 1
        broken = audit.verify(session)
        session.rollback()
    return broken


OTHER: dict[str, Any] = {"time": 1, "actor_id": 10999, "via": "cli", "verb": "patients.get", "patient_id": 40999,
                         "study_id": 30999, "organization_id": 20999, "outcome": "denied", "count": 999,
                         "request_id": "f" * 16, "address": "10.0.0.1", "hash": "0" * 64}  # fmt: skip


def test_any_row_changed_removed_or_slipped_in_breaks_the_chain_at_its_place(clinic: Clinic) -> None:
    with rehearsal(clinic) as stage:
        chained(stage)

        @examples(clinic)
        @given(seq=st.integers(1, LENGTH), column=st.sampled_from(COLUMNS))
        def a_changed_field_shows(seq: int, column: str) -> None:
            statement = f'UPDATE audit SET "{column}" = :value WHERE seq = :seq'
            assert found_at(stage, statement, value=OTHER[column], seq=seq) == seq

        a_changed_field_shows()
        for seq in range(1, LENGTH):
            assert found_at(stage, "DELETE FROM audit WHERE seq = :seq", seq=seq) == seq
            assert found_at(stage, "UPDATE audit SET seq = seq + 1000 WHERE seq = :seq", seq=seq) == seq
        for seq, first in rows_of(stage, "SELECT seq, first_id FROM audit_subject"):
            here = "WHERE seq = :seq AND first_id = :first"
            for tampering in ("DELETE FROM audit_subject", "UPDATE audit_subject SET last_id = last_id + 1",
                              "UPDATE audit_subject SET kind = 'study'"):  # fmt: skip
                assert found_at(stage, f"{tampering} {here}", seq=seq, first=first) == seq
        slip = "INSERT INTO audit_subject (seq, kind, first_id, last_id) VALUES (:seq, 'patient', 49999, 49999)"
        for seq in (1, 2, LENGTH):
            assert found_at(stage, slip, seq=seq) == seq
        assert found_at(stage, slip, seq=LENGTH + 7) == LENGTH + 1


def rows_of(stage: Rehearsal, statement: str) -> list[tuple[Any, ...]]:
    with stage.session() as session:
        return [tuple(row) for row in session.execute(text(statement))]


def test_only_a_head_kept_elsewhere_shows_that_the_end_was_cut_off(clinic: Clinic) -> None:
    with rehearsal(clinic) as stage:
        chained(stage)
        with stage.session() as session:
            kept = audit.head(session)
            session.execute(text("DELETE FROM audit_subject WHERE seq = :seq"), {"seq": LENGTH})
            session.execute(text("DELETE FROM audit WHERE seq = :seq"), {"seq": LENGTH})
            assert audit.verify(session) is None
            assert audit.head(session) != kept


def test_an_empty_audit_is_whole(clinic: Clinic) -> None:
    with clinic.database.read() as session:
        assert audit.verify(session) is None
        assert audit.head(session) == (0, audit.GENESIS)


# ------------------------------------------------------------------ ids and nothing else
def test_a_days_work_leaves_no_name_no_address_and_no_secret_where_ids_belong(clinic: Clinic) -> None:
    """Every text of every table is looked at; secrets may be nowhere, names only where people are kept."""
    secrets = [clinic.token(MEGAN), clinic.token(PETER), work(clinic)[-32:]]
    names = {"Petersen", "Peter", PETER, "Ngata", "ngata@example.com", "Wearables", "555-0199", "MRN-77"}
    texts = everything(clinic)
    for table, said in texts.items():
        assert not [secret for secret in secrets if secret in said or secret.removeprefix("jhe_") in said], table
    for table in ("audit", "audit_subject", "consent_ledger", "change", "token", "invitation"):
        assert not [name for name in names if name.lower() in texts[table].lower()], table
    assert "Ngata" in texts["patient"]  # the search finds what is there


def work(clinic: Clinic) -> str:
    body = {"telecomEmail": "ngata@example.com", "nameFamily": "Ngata", "nameGiven": "Ana", "birthDate": "1990-01-01",
            "organizationId": 20003, "telecomPhone": "555-0199", "identifier": "MRN-77"}  # fmt: skip
    ask(clinic, MEGAN, "POST", "patients", body)
    with pytest.raises(ExchangeError):
        ask(clinic, MEGAN, "POST", "patients", body)
    answered(clinic, MARK, f"patients/global_lookup?email={PETER}")
    answered(clinic, MEGAN, "patients?search=Petersen")
    with pytest.raises(NotFound):
        answered(clinic, MARK, "patients/40001")
    ask(clinic, MEGAN, "POST", "Observation", reading(40001, 50004), media_type=FHIR_JSON)
    ask(clinic, MEGAN, "PATCH", "patients/40001", {"nameFamily": "Petersen-Ngata"})
    link: str = ask(clinic, MEGAN, "POST", "patients/40006/invitation_link?send_email=true").answer.invitation_link
    ask(clinic, MEGAN, "DELETE", "patients/40002?organization_id=20003")
    with pytest.raises(ExchangeError):
        answered(clinic, PERCY, "patients?search=Petersen")
    return link


def everything(clinic: Clinic) -> dict[str, str]:
    """All that each table holds, as text."""
    return {name: str(rows(clinic.database, f'SELECT * FROM "{name}"')) for name in tables.Base.metadata.tables}


def test_passwords_are_kept_as_slow_hashes(clinic: Clinic) -> None:
    hashes = {one for (one,) in rows(clinic.database, "SELECT password_hash FROM jhe_user")}
    assert all(one.startswith("$argon2id$") for one in hashes)


def test_a_search_finds_by_verb_and_actor(clinic: Clinic) -> None:
    answered(clinic, VICTOR, "patients/40001")
    answered(clinic, MEGAN, "patients/40001")
    page = clinic.call(audit.search, ADMIN, AuditSearch(verb="patients.get", actor_id=10004))
    assert [(one.verb, one.actor_id, one.via) for one in page.results] == [("patients.get", 10004, "token")]
