"""The gate: whatever happens to enrolments, requests, answers, policies and memberships, nobody reads more than the rule says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import ADMIN, MARK, MARY, MEGAN, PERCY, PETER, TOM, VICTOR, Clinic
from hypothesis import given, settings
from hypothesis import strategies as st
from indoors import Rehearsal, answers, reading, rehearsal, to_clear
from naive import Reading, Refusal, World, read

from jhe_server import consents, departures, followup, observations, patients, studies, uploads
from jhe_server.devices import OneCode
from jhe_server.errors import ExchangeError, NotFound
from jhe_server.followup import FollowUpSearch
from jhe_server.observations import FHIRSearch, ObservationSearch
from jhe_server.patients import InOrganization, IntoOrganization
from jhe_server.studies import PatientIds, StudyChange

LAB, OTHER_LAB = 20003, 20007
PRESSURE, TEMPERATURE, HEART_RATE = 50002, 50003, 50004
# Who reads, and the organizations in which they hold any role (None: a superuser).
PRACTITIONERS: dict[str, set[int] | None] = {
    VICTOR: {LAB},
    TOM: {LAB, OTHER_LAB, 20008},
    MARK: {20004, 20005, 20006, OTHER_LAB},
    ADMIN: None,
}
PATIENTS = {PETER: 40001, PERCY: 40003}
STUDIES = st.sampled_from([30001, 30002, 30004])
WHO, CODES = st.sampled_from([40001, 40002, 40003]), st.sampled_from([PRESSURE, TEMPERATURE, HEART_RATE])
HOMES = st.sampled_from([LAB, OTHER_LAB])
WHEN = st.sampled_from([timedelta(days=-1), timedelta(), timedelta(hours=1)])
STEPS = st.one_of(
    st.tuples(st.just("enrol"), STUDIES, WHO),
    st.tuples(st.just("leave"), STUDIES, WHO),
    st.tuples(st.just("answer"), STUDIES, WHO, CODES, st.booleans()),
    st.tuples(st.just("answer"), STUDIES, WHO, CODES, st.booleans()),
    st.tuples(st.just("clear"), STUDIES, WHO, CODES),
    st.tuples(st.just("request"), STUDIES, CODES),
    st.tuples(st.just("drop"), STUDIES, CODES),
    st.tuples(st.just("policy"), STUDIES, st.sampled_from(["hide", "keep", "keep"])),
    st.tuples(st.just("upload"), WHO, CODES, WHEN),
    st.tuples(st.just("upload"), WHO, CODES, WHEN),
    st.tuples(st.just("join"), HOMES, WHO),
    st.tuples(st.just("expel"), HOMES, WHO),
)


class Play:
    """The same steps in the store and on the napkin."""

    def __init__(self, stage: Rehearsal) -> None:
        self.stage = stage
        self.world = read(stage)

    def step(self, name: str, *arguments: Any) -> None:
        refusal = getattr(self, name)(*arguments)
        assert refusal is None, (name, arguments, refusal)

    def both(self, expected: Refusal, verb: Callable[..., Any], *arguments: Any) -> Any:
        """The store does what the napkin expects, or refuses as it does."""
        if expected is None:
            return self.stage.call(verb, ADMIN, *arguments)
        with pytest.raises(expected):
            self.stage.call(verb, ADMIN, *arguments)
        return None

    def enrol(self, study: int, patient: int) -> None:
        self.both(self.world.enrol(study, patient), studies.enroll, study, PatientIds(patient_ids=[patient]))

    def leave(self, study: int, patient: int) -> None:
        self.both(self.world.leave(study, patient), studies.unenroll, study, PatientIds(patient_ids=[patient]))

    def answer(self, study: int, patient: int, code: int, yes: bool) -> None:
        expected = self.world.answer(study, patient, code, yes, datetime.now(UTC))
        self.both(expected, consents.answer, patient, answers(study, {code: yes}))

    def clear(self, study: int, patient: int, code: int) -> None:
        self.both(self.world.clear(study, patient, code), consents.clear, patient, to_clear(study, code))

    def request(self, study: int, code: int) -> None:
        self.both(self.world.request(study, code), studies.request_code, study, OneCode(scope_code_id=code))

    def drop(self, study: int, code: int) -> None:
        self.both(self.world.drop(study, code), studies.drop_code, study, OneCode(scope_code_id=code))

    def policy(self, study: int, policy: str) -> None:
        self.world.studies[study].policy = policy
        change = StudyChange.model_validate({"dataAfterWithdrawal": policy})
        self.both(None, studies.update, study, change)

    def upload(self, patient: int, code: int, when: timedelta) -> None:
        measured = datetime.now(UTC) + when
        sent = reading(patient, code, measured)
        stored = self.both(self.world.may_upload(patient, code), uploads.create, sent)
        if stored is not None:
            self.world.readings[int(stored["id"])] = Reading(patient, code, measured)

    def join(self, home: int, patient: int) -> None:
        query = IntoOrganization(organization_id=home)
        self.both(self.world.join(home, patient), patients.add_to_organization, patient, query)

    def expel(self, home: int, patient: int) -> None:
        query = InOrganization(organization_id=home)
        self.both(self.world.expel(home, patient), departures.remove_patient, patient, query)


@settings(max_examples=30)
@given(steps=st.lists(STEPS, min_size=5, max_size=25))
def test_every_read_is_what_the_rule_says(clinic: Clinic, steps: list[tuple[Any, ...]]) -> None:
    with rehearsal(clinic) as stage:
        play = Play(stage)
        for step in steps:
            play.step(*step)
        for email, roles in PRACTITIONERS.items():
            lists_hold(stage, email, lambda study, home, roles=roles: play.world.readable(roles, study, home))
            single_reads_hold(stage, email, play.world, play.world.readable(roles))
            followups_hold(stage, email, play.world, roles)
        for email, id in PATIENTS.items():
            if id in play.world.patients():
                own = play.world.of(id)
                lists_hold(
                    stage,
                    email,
                    lambda study, home, own=own: own & play.world.readable(None, study, home) if study or home else own,
                )
                single_reads_hold(stage, email, play.world, own)
        previews_hold(stage, play.world)


def lists_hold(stage: Rehearsal, email: str, readable: Callable[[int | None, int | None], set[int]]) -> None:
    """REST and FHIR list the same rows, and their totals never tell of more."""
    for study, home in [(None, None), (30001, None), (30002, None), (30004, None), (None, LAB), (30001, OTHER_LAB)]:
        expected = readable(study, home)
        query = ObservationSearch(study_id=study, organization_id=home, limit=1000)
        page = stage.call(observations.search, email, query)
        assert {row.id for row in page.results} == expected, (email, study, home)
        assert page.count == len(page.results) == len(expected)
    for study in (None, 30001, 30004):
        asked = FHIRSearch(studies=None if study is None else [study], page_size=1000)
        found = stage.call(observations.fhir_search, email, asked)
        assert {int(one["id"]) for one in found.resources} == readable(study, None), (email, study)
        assert found.total == len(found.resources)


def single_reads_hold(stage: Rehearsal, email: str, world: World, readable: set[int]) -> None:
    for id in sorted(world.readings)[-4:]:
        for verb in (observations.get, observations.fhir_get):
            if id in readable:
                assert int(dict(stage.call(verb, email, id))["id"]) == id
            else:
                with pytest.raises(NotFound):
                    stage.call(verb, email, id)


def followups_hold(stage: Rehearsal, email: str, world: World, roles: set[int] | None) -> None:
    for row in stage.call(followup.search, email, FollowUpSearch(limit=1000)).results:
        own = world.of(row.patient_id) & world.readable(roles, row.study_id)
        assert row.last_measured == max((world.readings[id].measured for id in own), default=None)
        assert (row.last_uploaded is None) == (not own)


def previews_hold(stage: Rehearsal, world: World) -> None:
    """A removal's preview counts what its reader sees, and nothing where the record stays."""
    for email, roles, home in ((MEGAN, {LAB}, LAB), (MARK, PRACTITIONERS[MARK], OTHER_LAB)):
        for patient in world.members[home]:
            preview = stage.call(departures.preview_patient, email, patient, InOrganization(organization_id=home))
            homes = [id for id, members in world.members.items() if patient in members]
            assert preview.whole_record == (homes == [home])
            seen = world.of(patient) & world.readable(roles)
            assert preview.observations == (len(seen) if preview.whole_record else 0)
            left = {id for id, one in world.studies.items() if one.organization == home and patient in one.answers}
            assert {study.id for study in preview.studies} == left
            assert preview.answers == sum(len(world.studies[id].answers[patient]) for id in left)
