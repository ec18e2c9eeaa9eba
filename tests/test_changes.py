"""The change feed: every write moves it on, each caller hears of their own, nobody misses or hears anything twice."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import ADMIN, MARK, MARY, MEGAN, PERCY, PETER, TOM, VICTOR, Clinic
from indoors import answers, ask, reading

from jhe_server import changes, consents, departures, observations, organizations, patients, studies, uploads
from jhe_server.changes import Feed, Since
from jhe_server.errors import ExchangeError
from jhe_server.organizations import OrganizationChange
from jhe_server.patients import InOrganization, PatientChange
from jhe_server.studies import PatientIds, StudyChange


def news(clinic: Clinic, email: str, since: int) -> set[tuple[str, int]]:
    feed: Feed = clinic.call(changes.feed, email, Since(since=since))
    return {(one.concept, one.id) for one in feed.changes}


def now(clinic: Clinic) -> int:
    with clinic.database.read() as session:
        return changes.head(session)


def heard(clinic: Clinic, verb: Any, *arguments: Any) -> dict[str, set[tuple[str, int]]]:
    """What each hears when Megan (or whoever is named first) does something."""
    since = now(clinic)
    clinic.call(verb, *arguments)
    return {email: news(clinic, email, since) for email in (VICTOR, MARK, TOM, PETER, PERCY, ADMIN)}


def test_a_patients_change_is_heard_where_the_patient_belongs(clinic: Clinic) -> None:
    found = heard(clinic, patients.update, MEGAN, 40001, InOrganization(), PatientChange(name_given="Pete"))
    assert found[VICTOR] == found[TOM] == found[PETER] == found[ADMIN] == {("patient", 40001)}
    assert found[MARK] == found[PERCY] == set()


def test_an_answer_an_upload_and_an_enrolment_are_heard(clinic: Clinic) -> None:
    answer = heard(clinic, consents.answer, MEGAN, 40001, answers(30002, {50002: True}))
    assert answer[VICTOR] == answer[PETER] == {("consent", 40001)}
    upload = heard(clinic, uploads.create, MEGAN, reading(40001, 50004))
    assert upload[VICTOR] == upload[PETER] == {("observations", 40001)}
    leave = heard(clinic, studies.unenroll, MEGAN, 30001, PatientIds(patient_ids=[40001]))
    assert leave[VICTOR] == {("study", 30001), ("enrolment", 40001)}
    assert leave[PETER] == {("enrolment", 40001)}
    for found in (answer, upload, leave):
        assert found[MARK] == found[PERCY] == set()


def test_what_is_removed_is_heard_of_too(clinic: Clinic) -> None:
    gone = heard(clinic, observations.remove, MARY, 60001)
    assert gone[VICTOR] == gone[PETER] == {("observations", 40001)}
    left = heard(clinic, departures.remove_patient, MEGAN, 40002, InOrganization(organization_id=20003))
    assert ("patient", 40002) in left[VICTOR]
    study = heard(clinic, departures.remove_study, MEGAN, 30002)
    assert ("study", 30002) in study[VICTOR]
    assert ("study", 30002) not in study[MARK]


def test_an_organizations_change_is_heard_in_it(clinic: Clinic) -> None:
    found = heard(clinic, organizations.update, MARY, 20003, OrganizationChange(name="Ours"))
    assert ("organization", 20003) in found[VICTOR]
    assert found[MARK] == set()


def test_a_change_made_in_two_of_ones_organizations_is_heard_once(clinic: Clinic) -> None:
    since = now(clinic)
    clinic.call(patients.update, ADMIN, 40005, InOrganization(), PatientChange(name_given="Pat"))
    feed = clinic.call(changes.feed, ADMIN, Since(since=since))
    assert [(one.concept, one.id) for one in feed.changes] == [("patient", 40005)]


def test_next_continues_where_one_stopped(clinic: Clinic) -> None:
    since = now(clinic)
    assert clinic.call(changes.feed, VICTOR, Since(since=since)) == Feed(changes=[], next=since)
    clinic.call(studies.update, MARY, 30001, StudyChange(name="Renamed"))
    first = clinic.call(changes.feed, VICTOR, Since(since=since))
    assert [(one.concept, one.id) for one in first.changes] == [("study", 30001)]
    assert clinic.call(changes.feed, VICTOR, Since(since=first.next)).changes == []
    # One who hears nothing moves on as well: what others did is not theirs to wait for.
    assert clinic.call(changes.feed, MARK, Since(since=since)) == Feed(changes=[], next=first.next)


def test_more_than_one_answer_holds_is_heard_in_parts(clinic: Clinic) -> None:
    since, many = now(clinic), range(31000, 31000 + 2 * changes.AT_ONCE + 5)
    with clinic.database.write() as session:
        for study in many:
            changes.note(session, "study", study, [20003])
        changes.append(session)
    heard_of: list[list[int]] = []
    for _ in range(3):
        feed = clinic.call(changes.feed, VICTOR, Since(since=since))
        heard_of.append([one.id for one in feed.changes])
        since = feed.next
    assert [len(part) for part in heard_of] == [changes.AT_ONCE, changes.AT_ONCE, 5]
    assert [id for part in heard_of for id in part] == list(many)


def test_a_refused_write_is_not_news(clinic: Clinic) -> None:
    since = now(clinic)
    with pytest.raises(ExchangeError):
        ask(clinic, MEGAN, "POST", "studies/30001/patients", {"patient_ids": [40001, 40003]})
    assert news(clinic, ADMIN, since) == set()


def test_a_number_of_a_store_that_was_set_back_starts_again(clinic: Clinic) -> None:
    head = now(clinic)
    assert clinic.call(changes.feed, VICTOR, Since(since=head + 1000)).next == head
