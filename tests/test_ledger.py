"""The ledger: replayed to now it is the tables, replayed to any moment it is what somebody there would have seen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from conftest import ADMIN, MARY, MEGAN, PETER, VICTOR, Clinic
from hypothesis import given
from hypothesis import strategies as st
from indoors import Rehearsal, answered, answers, examples, rehearsal, rows, to_clear
from sqlalchemy import select, text

from jhe_server import consents, departures, ledger, studies
from jhe_server.consents import AsOf, ConsentListing
from jhe_server.db import now
from jhe_server.devices import OneCode
from jhe_server.errors import ExchangeError
from jhe_server.patients import InOrganization
from jhe_server.studies import NewStudy, PatientIds, StudyChange

PATIENTS = st.lists(st.sampled_from([40001, 40002]), min_size=1, max_size=2, unique=True)
CODES = st.sampled_from([50001, 50002, 50003])
GIVEN = st.dictionaries(CODES, st.booleans(), min_size=1)
WHICH = st.sampled_from([0, 0, 1])
STEPS = st.one_of(
    st.tuples(st.just("enroll"), WHICH, PATIENTS),
    st.tuples(st.just("unenroll"), WHICH, PATIENTS),
    st.tuples(st.just("request"), WHICH, CODES),
    st.tuples(st.just("request"), WHICH, CODES),
    st.tuples(st.just("drop"), WHICH, CODES),
    st.tuples(st.just("answer"), WHICH, PATIENTS, GIVEN),
    st.tuples(st.just("answer"), WHICH, PATIENTS, GIVEN),
    st.tuples(st.just("clear"), WHICH, PATIENTS, st.lists(CODES, min_size=1, unique=True)),
    st.tuples(st.just("clear"), WHICH, PATIENTS, st.lists(CODES, min_size=2, unique=True)),
    st.tuples(st.just("policy"), WHICH, st.sampled_from(["hide", "keep"])),
)
# A study as it stands: its policy, its codes, and who answered what (null while pending), enrolled ones only.
State = tuple[str, frozenset[int], frozenset[tuple[int, frozenset[tuple[int, bool]]]]]


class Play:
    """Steps in two fresh studies, refused or not, with the state of the tables and the time after each."""

    def __init__(self, stage: Rehearsal) -> None:
        self.stage = stage
        body = NewStudy(name="Fresh", description="", organization=20003)
        self.studies = [stage.call(studies.create, MARY, body).id for _ in range(2)]
        self.seen: list[tuple[datetime, dict[int, State]]] = []
        for code in (50001, 50002, 50003):
            self.step("request", 0, code)
        self.step("enroll", 0, [40001, 40002])
        for patient in (40001, 40002):
            self.step("answer", 0, [patient], {50001: True, 50002: True, 50003: patient == 40001})

    def step(self, name: str, which: int, *arguments: Any) -> None:
        with suppress(ExchangeError):  # a refusal changes nothing, which the next look confirms
            getattr(self, name)(self.studies[which], *arguments)
        self.seen.append((now(), self.tables()))

    def enroll(self, study: int, patients: list[int]) -> None:
        self.stage.call(studies.enroll, MEGAN, study, PatientIds(patient_ids=patients))

    def unenroll(self, study: int, patients: list[int]) -> None:
        self.stage.call(studies.unenroll, MEGAN, study, PatientIds(patient_ids=patients))

    def request(self, study: int, code: int) -> None:
        self.stage.call(studies.request_code, MEGAN, study, OneCode(scope_code_id=code))

    def drop(self, study: int, code: int) -> None:
        self.stage.call(studies.drop_code, MEGAN, study, OneCode(scope_code_id=code))

    def answer(self, study: int, patients: list[int], given: dict[int, bool]) -> None:
        self.stage.call(consents.answer, MEGAN, patients[0], answers(study, given))

    def clear(self, study: int, patients: list[int], codes: list[int]) -> None:
        self.stage.call(consents.clear, MEGAN, patients[0], to_clear(study, *codes))

    def policy(self, study: int, policy: str) -> None:
        change = StudyChange.model_validate({"dataAfterWithdrawal": policy})
        self.stage.call(studies.update, MARY, study, change)

    # ---------------------------------------------------------------- two ways to look
    def tables(self) -> dict[int, State]:
        with self.stage.session() as session:

            def of(statement: str, study: int) -> list[Any]:
                return list(session.execute(text(statement + " WHERE study_id = :study"), {"study": study}))

            found = {}
            for study in self.studies:
                policy = session.execute(
                    text("SELECT data_after_withdrawal FROM study WHERE id = :study"), {"study": study}
                ).scalar_one()
                given: dict[int, set[tuple[int, bool]]] = {one.patient_id: set() for one in of(
                    "SELECT patient_id FROM study_patient", study)}  # fmt: skip
                for one in of("SELECT patient_id, code_id, consented FROM consent", study):
                    given[one.patient_id].add((one.code_id, bool(one.consented)))
                codes = frozenset(one.code_id for one in of("SELECT code_id FROM study_code", study))
                found[study] = (policy, codes, frozenset((who, frozenset(said)) for who, said in given.items()))
            return found

    def replayed(self, as_of: datetime | None) -> dict[int, State]:
        with self.stage.session() as session:
            states = ledger.replay(session, set(self.studies), as_of)
        return {study: _state(state) for study, state in states.items()}


def _state(state: ledger.StudyState) -> State:
    given = (
        (who, frozenset((code, answer.consented) for code, answer in said.items()))
        for who, said in state.answers.items()
    )
    return (state.policy, frozenset(state.codes), frozenset(given))


def test_replaying_the_ledger_gives_back_now_and_every_moment(clinic: Clinic) -> None:
    @examples(clinic)
    @given(steps=st.lists(STEPS, min_size=3, max_size=18))
    def holds(steps: list[tuple[Any, ...]]) -> None:
        with rehearsal(clinic) as stage:
            play = Play(stage)
            for step in steps:
                play.step(*step)
            assert play.replayed(None) == play.tables()
            for time, state in play.seen:
                assert play.replayed(time) == state
            no_moment_shows_half_a_step(play)

    holds()


def no_moment_shows_half_a_step(play: Play) -> None:
    """As of any event's own time, the state is one that stood after a whole step (or at the start)."""
    with play.stage.session() as session:
        of_both = select(ledger.LedgerRow.time).where(ledger.LedgerRow.study_id.in_(play.studies))
        times = list(session.scalars(of_both))
    stood = [state for _, state in play.seen]
    start = {study: ("hide", frozenset(), frozenset()) for study in play.studies}
    for time in times:
        found = play.replayed(time)
        assert found in stood or all(start[study] == state for study, state in found.items())


# ------------------------------------------------------------------ as the API tells it
def test_as_of_shows_a_study_as_it_was(clinic: Clinic) -> None:
    moments = [now()]
    steps: list[Callable[[], Any]] = [
        lambda: clinic.call(consents.answer, PETER, 40001, answers(30002, {50002: True}, "yes please")),
        lambda: clinic.call(consents.answer, MEGAN, 40001, answers(30002, {50002: False}, "asked by phone")),
        lambda: clinic.call(consents.clear, MEGAN, 40001, to_clear(30002, 50002)),
        lambda: clinic.call(studies.unenroll, MEGAN, 30002, PatientIds(patient_ids=[40001])),
    ]
    for step in steps:
        step()
        moments.append(now())

    def peters(time: datetime) -> list[tuple[str, int | None, str | None]]:
        page = clinic.call(consents.of_study, VICTOR, 30002, ConsentListing(as_of=time))
        return [(one.state, one.actor_id, one.reason) for one in page.results if one.patient_id == 40001]

    assert [peters(time) for time in moments] == [
        [("pending", None, None)],
        [("granted", 10006, "yes please")],
        [("declined", 10003, "asked by phone")],
        [("pending", None, None)],
        [],
    ]


def test_as_of_shows_a_patients_consents_as_they_were(clinic: Clinic) -> None:
    before = now()
    clinic.call(consents.answer, PETER, 40001, answers(30001, {50002: False}))
    clinic.call(studies.drop_code, MARY, 30001, OneCode(scope_code_id=50004))
    shown = clinic.call(consents.of_patient, VICTOR, 40001, AsOf(as_of=before))
    assert [code.id for code in shown.consolidated_consented_scopes] == [50002, 50004]
    today = clinic.call(consents.of_patient, VICTOR, 40001, AsOf())
    assert today.consolidated_consented_scopes == []
    assert clinic.call(consents.of_patient, VICTOR, 40001, AsOf(as_of=now())) == today
    long_ago = answered(clinic, VICTOR, "patients/40001/consents?as_of=2001-01-01T00:00:00Z")
    assert long_ago["studies"] == long_ago["studiesPendingConsent"] == []


@pytest.mark.parametrize("email", [MEGAN, PETER])
def test_an_event_names_who_acted_and_for_whom(clinic: Clinic, email: str) -> None:
    clinic.call(consents.answer, email, 40001, answers(30002, {50002: True}, "a reason"))
    [event] = rows(
        clinic.database,
        "SELECT study_id, patient_id, code_id, decision, actor_id, on_behalf_of, reason FROM consent_ledger "
        "ORDER BY seq DESC LIMIT 1",
    )
    actor, behalf = (10003, 40001) if email == MEGAN else (10006, None)
    assert event == (30002, 40001, 50002, "granted", actor, behalf, "a reason")


def test_the_ledger_outlives_the_patient_and_the_study(clinic: Clinic) -> None:
    statement = "SELECT count(*) FROM consent_ledger WHERE patient_id = 40003 AND study_id = 30004"
    [(before,)] = rows(clinic.database, statement)
    clinic.call(departures.remove_patient, ADMIN, 40003, InOrganization(organization_id=20007))
    clinic.call(departures.remove_study, ADMIN, 30004)
    [(after,)] = rows(clinic.database, statement)
    assert before == 2  # enrolled, granted
    assert after == 3  # and left


def test_a_change_of_policy_is_in_the_ledger_once(clinic: Clinic) -> None:
    for _ in range(2):
        clinic.call(studies.update, MARY, 30001, StudyChange(data_after_withdrawal="keep"))
    found = rows(clinic.database, "SELECT decision FROM consent_ledger WHERE study_id = 30001 AND patient_id IS NULL "
                                  "AND code_id IS NULL ORDER BY seq")  # fmt: skip
    assert found == [("hide",), ("keep",)]


def test_what_changes_together_has_one_moment(clinic: Clinic) -> None:
    """Else a replay to the time between would show a state that nobody ever saw."""
    clinic.call(consents.answer, MEGAN, 40001, answers(30001, {50002: False, 50004: False}))
    clinic.call(consents.clear, MEGAN, 40001, to_clear(30001, 50002, 50004))
    clinic.call(studies.unenroll, MEGAN, 30001, PatientIds(patient_ids=[40001, 40002]))
    for decision in ("declined", "cleared", "left"):
        events = rows(clinic.database, "SELECT time FROM consent_ledger WHERE decision = :said", said=decision)
        assert len(events) == 2
        assert len(set(events)) == 1, decision
