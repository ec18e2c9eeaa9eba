"""The gate: whatever happens to enrolments, requests, answers and memberships, nobody reads more than the rule says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import ADMIN, MARK, MEGAN, PERCY, PETER, TOM, VICTOR, Clinic
from hypothesis import given
from hypothesis import strategies as st
from indoors import Rehearsal, answers, examples, reading, rehearsal, to_clear
from naive import Reading, Refusal, World, read

from jhe_server import consents, departures, followup, observations, patients, studies, uploads
from jhe_server.devices import OneCode
from jhe_server.errors import NotFound
from jhe_server.followup import FollowUpSearch
from jhe_server.observations import SEARCHABLE, ObservationSearch
from jhe_server.patients import InOrganization, IntoOrganization
from jhe_server.studies import PatientIds, StudyChange

Place = tuple[int, int, int]  # a study, a patient, a code
Step = tuple[Any, ...]  # a method of `Play` and its arguments

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
STUDIES, HOMES = st.sampled_from([30001, 30002, 30004]), st.sampled_from([LAB, OTHER_LAB])
WHO, CODES = st.sampled_from([40001, 40002, 40003]), st.sampled_from([PRESSURE, TEMPERATURE, HEART_RATE])
WHEN = st.sampled_from([timedelta(days=-1), timedelta(), timedelta(hours=1)])
# Mostly a patient, a study and a code that belong together: chance alone would seldom find three.
PLACES = st.one_of(
    st.sampled_from([(30001, 40001, PRESSURE), (30001, 40001, HEART_RATE), (30002, 40001, PRESSURE)]),
    st.sampled_from([(30002, 40002, PRESSURE), (30004, 40003, TEMPERATURE), (30004, 40001, TEMPERATURE)]),
    st.tuples(STUDIES, WHO, CODES),
)
WITHDRAWALS = st.lists(st.tuples(st.just("withdraw"), PLACES, WHEN), max_size=4)
STEPS = st.one_of(
    st.tuples(st.just("enrol"), STUDIES, WHO),
    st.tuples(st.just("leave"), STUDIES, WHO),
    st.tuples(st.just("answer"), PLACES, st.booleans()),
    st.tuples(st.just("withdraw"), PLACES, WHEN),
    st.tuples(st.just("clear"), PLACES),
    st.tuples(st.just("request"), STUDIES, CODES),
    st.tuples(st.just("drop"), STUDIES, CODES),
    st.tuples(st.just("policy"), STUDIES, st.sampled_from(["hide", "keep"])),
    st.tuples(st.just("upload"), PLACES, WHEN),
    st.tuples(st.just("join"), HOMES, WHO),
    st.tuples(st.just("expel"), HOMES, WHO),
)


class Play:
    """The same steps in the store and on the napkin."""

    def __init__(self, stage: Rehearsal) -> None:
        self.stage = stage
        self.world = read(stage)

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

    def answer(self, place: Place, yes: bool) -> None:
        study, patient, code = place
        expected = self.world.answer(study, patient, code, yes, datetime.now(UTC))
        self.both(expected, consents.answer, patient, answers(study, {code: yes}))

    def clear(self, place: Place) -> None:
        study, patient, code = place
        self.both(self.world.clear(study, patient, code), consents.clear, patient, to_clear(study, code))

    def withdraw(self, place: Place, when: timedelta) -> None:
        """A consent with data and its end: what a study that keeps data is about."""
        self.answer(place, True)
        self.upload(place, when)
        self.answer(place, False)

    def request(self, study: int, code: int) -> None:
        self.both(self.world.request(study, code), studies.request_code, study, OneCode(scope_code_id=code))

    def drop(self, study: int, code: int) -> None:
        self.both(self.world.drop(study, code), studies.drop_code, study, OneCode(scope_code_id=code))

    def policy(self, study: int, policy: str) -> None:
        self.world.studies[study].policy = policy
        change = StudyChange.model_validate({"dataAfterWithdrawal": policy})
        self.both(None, studies.update, study, change)

    def upload(self, place: Place, when: timedelta) -> None:
        _, patient, code = place
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


def test_every_read_is_what_the_rule_says(clinic: Clinic) -> None:
    @examples(clinic)
    @given(keep=st.sets(STUDIES), first=WITHDRAWALS, steps=st.lists(STEPS, max_size=20), study=STUDIES, home=HOMES)
    def holds(keep: set[int], first: list[Step], steps: list[Step], study: int, home: int) -> None:
        with rehearsal(clinic) as stage:
            play = Play(stage)
            for id in sorted(keep):
                play.policy(id, "keep")
            for step in [*first, *steps]:
                getattr(play, step[0])(*step[1:])
            everybody_reads_what_they_may(stage, play.world, study, home)

    holds()


def everybody_reads_what_they_may(stage: Rehearsal, world: World, study: int, home: int) -> None:
    for email, roles in PRACTITIONERS.items():
        whole, of_study, of_home = (world.readable(roles, *only) for only in ((), (study,), (None, home)))
        lists_hold(stage, email, whole, study, of_study, home, of_home)
        single_reads_hold(stage, email, world, whole)
        followups_hold(stage, email, world, roles)
    for email, id in PATIENTS.items():
        if id in world.patients():
            own = world.of(id)
            of_study, of_home = (own & world.readable(None, *only) for only in ((study,), (None, home)))
            lists_hold(stage, email, own, study, of_study, home, of_home)
            single_reads_hold(stage, email, world, own)
    previews_hold(stage, world)


def lists_hold(
    stage: Rehearsal, email: str, whole: set[int], study: int, of_study: set[int], home: int, of_home: set[int]
) -> None:
    """REST and FHIR list the same rows, and their totals never tell of more."""
    for expected, narrowed in ((whole, {}), (of_study, {"study_id": study}), (of_home, {"organization_id": home})):
        page = stage.call(observations.search, email, ObservationSearch(limit=1000, **narrowed))
        assert {row.id for row in page.results} == expected, (email, narrowed)
        assert page.count == len(page.results) == len(expected)
    only = {"patient._has:Group:member:_id": study}, {"patient.organization": home}
    for expected, asked in ((whole, {}), (of_study, only[0]), (of_home, only[1])):
        pairs = [(name, str(id)) for name, id in asked.items()]
        found = stage.call(observations.fhir_search, email, SEARCHABLE.read([("_count", "1000"), *pairs]))
        assert {int(one["id"]) for one in found.resources} == expected, (email, asked)
        assert found.total == len(found.resources)


def single_reads_hold(stage: Rehearsal, email: str, world: World, readable: set[int]) -> None:
    for id, verb in zip(sorted(world.readings)[-3:], (observations.get, observations.fhir_get) * 2, strict=False):
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
