"""The clinic as one would draw it on a napkin, in sets and dictionaries: who may read what. The store has to agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from indoors import Rehearsal
from sqlalchemy import text

from jhe_server.errors import Conflict, ExchangeError, Forbidden, Invalid, NotFound

Refusal = type[ExchangeError] | None


@dataclass
class Answer:
    """A yes or no, and every stretch of time in which it was a yes."""

    yes: bool = False
    periods: list[list[datetime | None]] = field(default_factory=list)

    def say(self, yes: bool, time: datetime) -> None:
        if yes and not self.yes:
            self.periods.append([time, None])
        elif self.yes and not yes:
            self.periods[-1][1] = time
        self.yes = yes

    def covered(self, moment: datetime) -> bool:
        return any(start and start <= moment and end and moment < end for start, end in self.periods)


@dataclass
class Study:
    organization: int
    codes: set[int]
    policy: str
    answers: dict[int, dict[int, Answer]] = field(default_factory=dict)  # enrolled patient → code → answer

    def opens(self, reading: Reading) -> bool:
        """The sentence of the gate, for one study."""
        answer = self.answers.get(reading.patient, {}).get(reading.code)
        if answer is None or reading.code not in self.codes:
            return False
        return answer.yes or (self.policy == "keep" and answer.covered(reading.measured))


@dataclass(frozen=True)
class Reading:
    patient: int
    code: int
    measured: datetime


@dataclass
class World:
    members: dict[int, set[int]]
    studies: dict[int, Study]
    readings: dict[int, Reading]

    def patients(self) -> set[int]:
        return set().union(*self.members.values())

    def readable(self, organizations: set[int] | None, study: int | None = None, home: int | None = None) -> set[int]:
        """The observations that open to somebody with a role in the organizations (None: everywhere)."""
        studies = [
            one
            for id, one in self.studies.items()
            if (organizations is None or one.organization in organizations)
            and study in (None, id)
            and home in (None, one.organization)
        ]
        return {id for id, reading in self.readings.items() if any(one.opens(reading) for one in studies)}

    def of(self, patient: int) -> set[int]:
        return {id for id, reading in self.readings.items() if reading.patient == patient}

    # ---------------------------------------------------------------- what may happen, and what it does
    def enrol(self, study: int, patient: int) -> Refusal:
        one = self.studies[study]
        if patient not in self.members[one.organization]:
            return Invalid
        one.answers.setdefault(patient, {})
        return None

    def leave(self, study: int, patient: int) -> Refusal:
        self.studies[study].answers.pop(patient, None)
        return None

    def answer(self, study: int, patient: int, code: int, yes: bool, time: datetime) -> Refusal:
        refusal = self._asked(study, patient, code)
        if refusal is None:
            self.studies[study].answers[patient].setdefault(code, Answer()).say(yes, time)
        return refusal

    def clear(self, study: int, patient: int, code: int) -> Refusal:
        refusal = self._asked(study, patient, code)
        if refusal is None:
            self.studies[study].answers[patient].pop(code, None)
        return refusal

    def _asked(self, study: int, patient: int, code: int) -> Refusal:
        one = self.studies[study]
        if patient not in self.patients():
            return NotFound
        return None if patient in one.answers and code in one.codes else Invalid

    def request(self, study: int, code: int) -> Refusal:
        self.studies[study].codes.add(code)
        return None

    def drop(self, study: int, code: int) -> Refusal:
        one = self.studies[study]
        if code not in one.codes:
            return NotFound
        one.codes.discard(code)
        for given in one.answers.values():
            given.pop(code, None)
        return None

    def may_upload(self, patient: int, code: int) -> Refusal:
        if patient not in self.patients():
            return Invalid
        said = (one.answers.get(patient, {}).get(code) for one in self.studies.values() if code in one.codes)
        return None if any(answer and answer.yes for answer in said) else Forbidden

    def join(self, organization: int, patient: int) -> Refusal:
        if patient not in self.patients():
            return NotFound
        if patient in self.members[organization]:
            return Conflict
        self.members[organization].add(patient)
        return None

    def expel(self, organization: int, patient: int) -> Refusal:
        if patient not in self.members[organization]:
            return NotFound
        self.members[organization].discard(patient)
        for study in self.studies.values():
            if study.organization == organization:
                study.answers.pop(patient, None)
        if patient not in self.patients():
            self.readings = {id: one for id, one in self.readings.items() if one.patient != patient}
        return None


def read(stage: Rehearsal) -> World:
    """The world as it is at the start of a rehearsal, from the bare tables."""

    def rows(statement: str) -> list[tuple[int, ...]]:
        with stage.session() as session:
            return [tuple(row) for row in session.execute(text(statement))]

    world = World({}, {}, {})
    for organization, patient in rows("SELECT organization_id, patient_id FROM patient_organization"):
        world.members.setdefault(organization, set()).add(patient)
    for id, organization, policy in rows("SELECT id, organization_id, data_after_withdrawal FROM study"):
        world.studies[id] = Study(organization, set(), str(policy))
    for study, code in rows("SELECT study_id, code_id FROM study_code"):
        world.studies[study].codes.add(code)
    for study, patient in rows("SELECT study_id, patient_id FROM study_patient"):
        world.studies[study].answers[patient] = {}
    for study, patient, code, yes, time in rows("SELECT study_id, patient_id, code_id, consented, time FROM consent"):
        world.studies[study].answers[patient][code] = answer = Answer()
        answer.say(bool(yes), moment(time))
    for id, patient, code, start in rows("SELECT id, patient_id, code_id, effective_start FROM observation"):
        world.readings[id] = Reading(patient, code, moment(start))
    return world


def moment(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
