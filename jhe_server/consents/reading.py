"""Reading consents: a patient's or a study's, today from the rows or as of a moment from the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Select,
    bindparam,
    select,
)
from sqlalchemy.orm import Session

from .. import audit, ledger, studies
from ..access import Actor
from ..columns import Column, Table
from ..db import count, microseconds, ordered, within
from ..devices import CodeRow, code_shape
from ..errors import Invalid
from ..ledger import Answer, StudyState
from ..organizations import names as organization_names
from ..patient_rows import PatientName, names, row_of
from ..shapes import Code, Page
from ..studies import StudyCodeRow, StudyPatientRow, StudyRow
from .rows import AnswerRow, answers_of
from .shapes import (
    DECLINED,
    GRANTED,
    PENDING,
    AnsweredStudy,
    AsOf,
    Consent,
    ConsentListing,
    PatientConsents,
    PendingStudy,
    ScopeConsent,
)


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
        .outerjoin(AnswerRow, answers_of(StudyPatientRow, StudyCodeRow))
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
    .outerjoin(AnswerRow, answers_of(StudyPatientRow, StudyCodeRow))
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
        .outerjoin(AnswerRow, answers_of(StudyPatientRow, StudyCodeRow))
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
