"""Consents: what each patient answered to each study's requests, and the gate that every read of observations passes.

The gate in a sentence: a practitioner reads an observation only while, in some study of an organization of theirs, the
patient is enrolled, the study requests the code, and the patient consents to it. An answer cannot exist without its
enrolment and its request (foreign keys see to it), so the gate asks for the answer alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import (
    Boolean,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    Select,
    String,
    and_,
    bindparam,
    or_,
    select,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import audit, changes, ledger, studies
from .access import Actor
from .columns import Column, Table
from .db import Base, BigId, UTCTime, count, microseconds, now, ordered, within
from .devices import CodeRow, DataSource, code_named, code_shape
from .errors import Forbidden, Invalid
from .ledger import Answer, StudyState
from .organizations import names as organization_names
from .patient_rows import PatientName, names, reach, row_of
from .shapes import Body, Code, Id, Line, Listing, Moment, OrganizationName, Page, Query, Shape, Time
from .studies import StudyCodeRow, StudyPatientRow, StudyRow

GRANTED, DECLINED, PENDING = "granted", "declined", "pending"


class AnswerRow(Base):
    """A patient's yes or no to one code for one study; leaves with the enrolment or the request."""

    __tablename__ = "consent"
    __table_args__ = (
        ForeignKeyConstraint(
            ["study_id", "patient_id"], ["study_patient.study_id", "study_patient.patient_id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["study_id", "code_id"], ["study_code.study_id", "study_code.code_id"], ondelete="CASCADE"
        ),
        Index("consent_patient", "patient_id", "code_id", "study_id", "consented"),
    )

    study_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    patient_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    code_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    consented: Mapped[bool] = mapped_column(Boolean)
    time: Mapped[datetime] = mapped_column(UTCTime)
    actor_id: Mapped[int] = mapped_column(BigId)
    reason: Mapped[str | None] = mapped_column(String(1000))


class ConsentPeriodRow(Base):
    """From a grant to its withdrawal: what a study that keeps data after a withdrawal may still read."""

    __tablename__ = "consent_period"
    __table_args__ = (
        ForeignKeyConstraint(
            ["study_id", "patient_id", "code_id"],
            ["consent.study_id", "consent.patient_id", "consent.code_id"],
            ondelete="CASCADE",
        ),
    )

    study_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    patient_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    code_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    start: Mapped[datetime] = mapped_column(UTCTime, primary_key=True)
    end: Mapped[datetime | None] = mapped_column(UTCTime)


class CodeAnswer(Body):
    coding_system: Line
    coding_code: Line
    consented: bool


class StudyAnswers(Body):
    study_id: Id
    scope_consents: Annotated[list[CodeAnswer], Field(min_length=1)]
    reason: Line | None = None


class Answers(Body):
    """The guide's body, for POST and PATCH."""

    study_scope_consents: Annotated[list[StudyAnswers], Field(min_length=1)]


class CodeToClear(Body):
    coding_system: Line
    coding_code: Line


class StudyToClear(Body):
    study_id: Id
    scope_consents: Annotated[list[CodeToClear], Field(min_length=1)]
    reason: Line | None = None


class ToClear(Body):
    study_scope_consents: Annotated[list[StudyToClear], Field(min_length=1)]


class AsOf(Query):
    as_of: Moment | None = None
    reset: str | None = None


class ConsentListing(Listing):
    as_of: Moment | None = None


class ScopeConsent(Shape):
    """One code's answer; null while pending."""

    code: Code
    consented: bool | None = None
    consented_time: Time | None = None
    actor_id: int | None = None
    reason: str | None = None


class _StudyOf(Shape):
    id: int
    name: str
    description: str
    organization: OrganizationName
    data_sources: list[DataSource]


class PendingStudy(_StudyOf):
    pending_scope_consents: list[ScopeConsent]


class AnsweredStudy(_StudyOf):
    scope_consents: list[ScopeConsent]


class PatientConsents(Shape):
    patient: PatientName
    consolidated_consented_scopes: list[Code]
    studies_pending_consent: list[PendingStudy]
    studies: list[AnsweredStudy]


class StudyScopeConsents(Shape):
    study_id: int
    scope_consents: list[ScopeConsent]


class Answered(Shape):
    study_scope_consents: list[StudyScopeConsents]


class Consent(Shape):
    """One row of a study's consents: a patient, a code, and how they answered."""

    patient_id: int
    study_id: int
    code: str
    coding_system: str
    state: str
    time: Time | None
    actor_id: int | None
    reason: str | None


# ------------------------------------------------------------------ the gate
def gate(
    actor: Actor,
    patient: ColumnElement[Any],
    code: ColumnElement[Any],
    start: ColumnElement[Any],
    end: ColumnElement[Any],
    *,
    study_id: int | None = None,
    organization_id: int | None = None,
    verb: str = "observations.search",
) -> ColumnElement[bool]:
    """Whether the actor may read what was measured of this patient with this code between start and end.

    Every read of observations narrows its select by this and by nothing else. A patient reads all of their own; a
    superuser counts as a member of every organization.
    """
    consented = select(AnswerRow.study_id).join(StudyRow, StudyRow.id == AnswerRow.study_id)
    consented = consented.where(AnswerRow.patient_id == patient, AnswerRow.code_id == code)
    consented = consented.where(or_(AnswerRow.consented, _kept(start, end)))
    if study_id is not None:
        consented = consented.where(AnswerRow.study_id == study_id)
    if organization_id is not None:
        consented = consented.where(StudyRow.organization_id == organization_id)
    if actor.patient_id is not None:
        own = patient == actor.patient_id
        return own if study_id is None and organization_id is None else and_(own, consented.exists())
    allowed = actor.organizations(verb)
    return (consented if allowed is None else consented.where(StudyRow.organization_id.in_(allowed))).exists()


def _kept(start: ColumnElement[Any], end: ColumnElement[Any]) -> ColumnElement[bool]:
    """A withdrawn answer of a study that keeps data: measured entirely between a grant and its withdrawal."""
    inside = select(ConsentPeriodRow.study_id).where(
        ConsentPeriodRow.study_id == AnswerRow.study_id,
        ConsentPeriodRow.patient_id == AnswerRow.patient_id,
        ConsentPeriodRow.code_id == AnswerRow.code_id,
        ConsentPeriodRow.start <= start,
        ConsentPeriodRow.end > end,
    )
    # `start` and `end` are two selects further out, where correlation has to be said: left to itself, the observation
    # would be joined here a second time, and any patient's reading in the period would open them all.
    return and_(StudyRow.data_after_withdrawal == ledger.KEEP, inside.correlate_except(ConsentPeriodRow).exists())


def uploadable(session: Session, actor: Actor, patients: Iterable[int]) -> set[tuple[int, int]]:
    """The (patient, code) pairs the actor may upload: consented in a study that requests the code.

    For the patient any such study counts; for a practitioner one of an organization where they are member or manager.
    """
    found: set[tuple[int, int]] = set()
    for chunk in studies.chunks(sorted(set(patients))):
        rows = select(AnswerRow.patient_id, AnswerRow.code_id).where(
            AnswerRow.consented, AnswerRow.patient_id.in_(chunk)
        )
        allowed = actor.organizations("uploads.create")
        if actor.patient_id is not None:
            rows = rows.where(AnswerRow.patient_id == actor.patient_id)
        elif allowed is not None:
            rows = rows.join(StudyRow, StudyRow.id == AnswerRow.study_id).where(StudyRow.organization_id.in_(allowed))
        found |= {(patient, code) for patient, code in session.execute(rows)}
    return found


# ------------------------------------------------------------------ reading
def of_patient(session: Session, actor: Actor, patient_id: int, query: AsOf) -> PatientConsents:
    """A patient's consents in the studies the caller may see, today or as of a moment; reading never changes any."""
    if query.reset is not None:
        raise Invalid("Reading consents never resets them; send DELETE for those that should be pending again.")
    row = row_of(session, actor, patient_id)
    states = _states(session, actor, row.id, query.as_of)
    rows = {study.id: study for study in session.scalars(select(StudyRow).where(StudyRow.id.in_(states)))}
    code_rows = {code for state in states.values() for code in state.codes}
    codes = {code.id: code_shape(code) for code in session.scalars(select(CodeRow).where(CodeRow.id.in_(code_rows)))}
    audit.note(session, count=len(states))
    return _patient_consents(session, names(session, [row.id])[row.id], states, rows, codes)


def _states(session: Session, actor: Actor, patient_id: int, as_of: datetime | None) -> dict[int, StudyState]:
    """The studies the patient was in at the moment, of those the caller may see."""
    if as_of is None:
        found = _today(session, patient_id)
    else:
        everywhere = ledger.replay(session, ledger.studies_of(session, patient_id), as_of, patient_id)
        found = {id: state for id, state in everywhere.items() if patient_id in state.answers}
    if not actor.is_self("consents.of_patient", patient_id):
        seen = studies.visible(actor, "consents.of_patient").where(StudyRow.id.in_(found))
        allowed = {row.id for row in session.scalars(seen)}
        found = {id: state for id, state in found.items() if id in allowed}
    return found


def _today(session: Session, patient_id: int) -> dict[int, StudyState]:
    requested = (
        select(StudyPatientRow.study_id, StudyCodeRow.code_id, AnswerRow)
        .outerjoin(StudyCodeRow, StudyCodeRow.study_id == StudyPatientRow.study_id)
        .outerjoin(AnswerRow, _answers_of(StudyPatientRow, StudyCodeRow))
        .where(StudyPatientRow.patient_id == patient_id)
        .order_by(StudyPatientRow.study_id, StudyCodeRow.code_id)
    )
    states: dict[int, StudyState] = {}
    for study_id, code_id, answer in session.execute(requested):
        state = states.setdefault(study_id, StudyState(answers={patient_id: {}}))
        if code_id is not None:
            state.codes[code_id] = None
        if answer is not None:
            state.answers[patient_id][code_id] = Answer(answer.consented, answer.time, answer.actor_id, answer.reason)
    return states


def _answers_of(enrolment: type[StudyPatientRow], request: type[StudyCodeRow]) -> ColumnElement[bool]:
    return and_(
        AnswerRow.study_id == enrolment.study_id,
        AnswerRow.patient_id == enrolment.patient_id,
        AnswerRow.code_id == request.code_id,
    )


def _patient_consents(
    session: Session,
    patient: PatientName,
    states: dict[int, StudyState],
    rows: dict[int, StudyRow],
    codes: dict[int, Code],
) -> PatientConsents:
    homes = organization_names(session, {row.organization_id for row in rows.values()})
    sources = studies.data_sources_by_study(session, list(rows))
    answer = PatientConsents(patient=patient, consolidated_consented_scopes=[], studies_pending_consent=[], studies=[])
    consented: dict[int, Code] = {}
    for study_id in sorted(set(states) & set(rows)):
        row, state = rows[study_id], states[study_id]
        about = {"id": row.id, "name": row.name, "description": row.description,
                 "organization": homes[row.organization_id], "data_sources": sources.get(row.id, [])}  # fmt: skip
        given = state.answers[patient.id]
        answered = [_scope_consent(codes[id], given[id]) for id in sorted(state.codes) if id in given]
        pending = [ScopeConsent(code=codes[id]) for id in sorted(state.codes) if id not in given]
        consented |= {one.code.id: one.code for one in answered if one.consented}
        if answered:
            answer.studies.append(AnsweredStudy(**about, scope_consents=answered))
        if pending:
            answer.studies_pending_consent.append(PendingStudy(**about, pending_scope_consents=pending))
    answer.consolidated_consented_scopes = [consented[id] for id in sorted(consented)]
    return answer


def _scope_consent(code: Code, answer: Answer) -> ScopeConsent:
    return ScopeConsent(
        code=code,
        consented=answer.consented,
        consented_time=answer.time,
        actor_id=answer.actor_id,
        reason=answer.reason,
    )


_COUNTED = (
    select(StudyPatientRow.patient_id, StudyPatientRow.study_id, StudyRow.organization_id, AnswerRow.code_id)
    .join(StudyRow, StudyRow.id == StudyPatientRow.study_id)
    .join(StudyCodeRow, StudyCodeRow.study_id == StudyPatientRow.study_id)
    .outerjoin(AnswerRow, _answers_of(StudyPatientRow, StudyCodeRow))
)
# A page names its few patients; a batch of a whole list is a range of them, which needs no thousand parameters.
_COUNTED_FEW = _COUNTED.where(StudyPatientRow.patient_id.in_(bindparam("ids", expanding=True)))
_COUNTED_MANY = _COUNTED.where(StudyPatientRow.patient_id.between(bindparam("first"), bindparam("last")))


def counts(session: Session, actor: Actor, ids: list[int]) -> dict[int, tuple[int, int]]:
    """(studies pending, studies answered) of each of the sorted patients, of the studies the caller may see."""
    if len(ids) <= 1000:
        rows = session.execute(_COUNTED_FEW, {"ids": ids})
    else:
        rows = session.execute(_COUNTED_MANY, {"first": ids[0], "last": ids[-1]})
    allowed = actor.organizations("studies.search")
    everything = allowed is None or actor.patient_id is not None
    pending: dict[int, set[int]] = {}
    answered: dict[int, set[int]] = {}
    for patient_id, study_id, organization_id, answer in rows:
        if everything or organization_id in (allowed or ()):
            (pending if answer is None else answered).setdefault(patient_id, set()).add(study_id)
    return {id: (len(pending.get(id, ())), len(answered.get(id, ()))) for id in ids}


def of_study(session: Session, actor: Actor, study_id: int, query: ConsentListing) -> Page[Consent]:
    """Every enrolled patient's answer to every requested code, pending ones included, today or as of a moment."""
    row = studies.row_of(session, actor, study_id)
    actor.require("consents.of_study", row.organization_id)
    if query.as_of is not None:
        found = list(_as_of(session, row.id, query.as_of))
        offset, limit = within(len(found), query)
        return _consent_page(session, len(found), found[offset : offset + limit])
    rows = _of_study(row.id)
    total = count(session, rows)
    offset, limit = within(total, query)
    columns = {"patientId": StudyPatientRow.patient_id, "code": CodeRow.coding_code, "time": AnswerRow.time}
    chosen = ordered(rows, query, columns, StudyPatientRow.patient_id).order_by(CodeRow.id)
    page = session.execute(chosen.offset(offset).limit(limit))
    return _consent_page(session, total, [_consent(*found) for found in page])


def _consent_page(session: Session, total: int, found: list[Consent]) -> Page[Consent]:
    audit.note(session, patients={one.patient_id for one in found}, count=len(found))
    return Page(count=total, results=found)


def _of_study(study_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(StudyPatientRow.patient_id, StudyPatientRow.study_id, CodeRow, AnswerRow)
        .join(StudyCodeRow, StudyCodeRow.study_id == StudyPatientRow.study_id)
        .join(CodeRow, CodeRow.id == StudyCodeRow.code_id)
        .outerjoin(AnswerRow, _answers_of(StudyPatientRow, StudyCodeRow))
        .where(StudyPatientRow.study_id == study_id)
    )


def _consent(patient_id: int, study_id: int, code: CodeRow, answer: AnswerRow | Answer | None) -> Consent:
    state = PENDING if answer is None else GRANTED if answer.consented else DECLINED
    return Consent(
        patient_id=patient_id,
        study_id=study_id,
        code=code.coding_code,
        coding_system=code.coding_system,
        state=state,
        time=answer.time if answer else None,
        actor_id=answer.actor_id if answer else None,
        reason=answer.reason if answer else None,
    )


def _as_of(session: Session, study_id: int, as_of: datetime) -> Iterator[Consent]:
    state = ledger.replay(session, {study_id}, as_of).get(study_id, StudyState())
    codes = {code.id: code for code in session.scalars(select(CodeRow).where(CodeRow.id.in_(state.codes)))}
    for patient_id in sorted(state.answers):
        for code_id in sorted(state.codes):
            yield _consent(patient_id, study_id, codes[code_id], state.answers[patient_id].get(code_id))


COLUMNS = [
    Column("patient_id", "int"),
    Column("study_id", "int"),
    Column("code", "word"),
    Column("coding_system", "word"),
    Column("state", "word"),
    Column("time", "time"),
    Column("actor_id", "int"),
    Column("reason", "text"),
]


def table(session: Session, actor: Actor, study_id: int, query: ConsentListing) -> Table:
    """The same rows, all of them, for an Arrow stream."""
    row = studies.row_of(session, actor, study_id)
    actor.require("consents.of_study", row.organization_id)
    enrolled = session.scalars(select(StudyPatientRow.patient_id).where(StudyPatientRow.study_id == row.id))
    audit.note(session, patients=enrolled)
    if query.as_of is not None:
        found = list(_as_of(session, row.id, query.as_of))
        audit.note(session, patients={one.patient_id for one in found}, count=len(found))
        return Table(COLUMNS, iter([[_flat(one) for one in found]]))
    rows = _of_study(row.id).order_by(StudyPatientRow.patient_id, CodeRow.id)
    audit.note(session, count=count(session, rows))
    parts = session.execute(rows.execution_options(yield_per=5000)).partitions()
    return Table(COLUMNS, ([_flat(_consent(*one)) for one in part] for part in parts))


def _flat(one: Consent) -> tuple[Any, ...]:
    time = None if one.time is None else microseconds(one.time)
    return (one.patient_id, one.study_id, one.code, one.coding_system, one.state, time, one.actor_id, one.reason)


# ------------------------------------------------------------------ answering
def answer(session: Session, actor: Actor, patient_id: int, body: Answers) -> Answered:
    """Set answers, granting or revoking: all of the body or nothing of it."""
    return _set(session, actor, "consents.answer", patient_id, body)


def change(session: Session, actor: Actor, patient_id: int, body: Answers) -> Answered:
    """Set answers that were set before; as `answer`."""
    return _set(session, actor, "consents.change", patient_id, body)


def _set(session: Session, actor: Actor, verb: str, patient_id: int, body: Answers) -> Answered:
    row = reach(session, actor, verb, patient_id)
    time, said = now(), []
    for one in body.study_scope_consents:
        study = _asking(session, actor, verb, row.id, one.study_id)
        codes = _requested(session, study, [(code.coding_system, code.coding_code) for code in one.scope_consents])
        for code, given in zip(codes, one.scope_consents, strict=True):
            record(session, actor, study, row.id, code, given.consented, one.reason, time)
        answered = [
            ScopeConsent(code=code_shape(code), consented=given.consented, consented_time=time,
                         actor_id=actor.user_id, reason=one.reason)
            for code, given in zip(codes, one.scope_consents, strict=True)
        ]  # fmt: skip
        said.append(StudyScopeConsents(study_id=study.id, scope_consents=answered))
    audit.note(session, count=sum(len(one.scope_consents) for one in said))
    return Answered(study_scope_consents=said)


def _asking(session: Session, actor: Actor, verb: str, patient_id: int, study_id: int) -> StudyRow:
    """The study whose request is answered: the patient is enrolled in it, and the actor may answer there."""
    audit.note(session, study=study_id)
    study = session.get(StudyRow, study_id)
    enrolled = session.get(StudyPatientRow, (study_id, patient_id))
    own = actor.is_self(verb, patient_id)
    seen = study is not None and (own or actor.may("studies.get", study.organization_id))
    if study is None or enrolled is None or not seen:
        raise Invalid(f"The patient is not enrolled in study {study_id}.", {"studyId": ["is not one of the patient's"]})
    if not own and not actor.may(verb, study.organization_id):
        raise Forbidden()
    return study


def _requested(session: Session, study: StudyRow, named: list[tuple[str, str]]) -> list[CodeRow]:
    """The codes a body names; each must be one that the study requests, named once."""
    if len(set(named)) < len(named):
        raise Invalid("A code is answered twice for the same study.", {"scopeConsents": ["name a code twice"]})
    found = [code_named(session, system, code) for system, code in named]
    for row, (_, code) in zip(found, named, strict=True):
        if row is None or session.get(StudyCodeRow, (study.id, row.id)) is None:
            raise Invalid(
                f"Study {study.id} does not request {code[:100]}.", {"codingCode": ["is not requested by the study"]}
            )
    return [row for row in found if row is not None]


def record(
    session: Session,
    actor: Actor,
    study: StudyRow,
    patient_id: int,
    code: CodeRow,
    consented: bool,
    reason: str | None = None,
    time: datetime | None = None,
) -> None:
    """Write one answer: its row, the period of consent it opens or closes, and the event that nothing deletes."""
    time = time or now()
    key = (study.id, patient_id, code.id)
    row = session.get(AnswerRow, key)
    if row is None:
        row = AnswerRow(study_id=study.id, patient_id=patient_id, code_id=code.id)
        session.add(row)
    row.consented, row.time, row.actor_id, row.reason = consented, time, actor.user_id, reason
    session.flush()
    _period(session, key, consented, time)
    decision = ledger.GRANTED if consented else ledger.DECLINED
    ledger.append(session, actor, decision, study.id, [patient_id], code.id, reason, time)
    changes.note(session, "consent", patient_id, [study.organization_id], patient_id)


def _period(session: Session, key: tuple[int, int, int], consented: bool, time: datetime) -> None:
    columns = (ConsentPeriodRow.study_id, ConsentPeriodRow.patient_id, ConsentPeriodRow.code_id)
    same = [column == value for column, value in zip(columns, key, strict=True)]
    open_one = session.scalar(select(ConsentPeriodRow).where(*same, ConsentPeriodRow.end.is_(None)))
    if consented and open_one is None:
        study_id, patient_id, code_id = key
        session.add(ConsentPeriodRow(study_id=study_id, patient_id=patient_id, code_id=code_id, start=time))
    elif not consented and open_one is not None:
        open_one.end = time
    session.flush()


def clear(session: Session, actor: Actor, patient_id: int, body: ToClear) -> None:
    """Take answers back: pending again, as if never answered; the ledger keeps that they were."""
    row = reach(session, actor, "consents.clear", patient_id)
    time, cleared = now(), 0
    for one in body.study_scope_consents:
        study = _asking(session, actor, "consents.clear", row.id, one.study_id)
        for code in _requested(session, study, [(code.coding_system, code.coding_code) for code in one.scope_consents]):
            given = session.get(AnswerRow, (study.id, row.id, code.id))
            if given is not None:
                session.delete(given)
                session.flush()
                ledger.append(session, actor, ledger.CLEARED, study.id, [row.id], code.id, one.reason, time)
                cleared += 1
        changes.note(session, "consent", row.id, [study.organization_id], row.id)
    audit.note(session, count=cleared)
