"""A patient's own page: who asks for what, what was answered, and how to stop; without an app and without scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from . import audit, browser_sessions, consents, observations, patients, redemptions, sign_in
from .access import Actor
from .browser_sessions import COOKIE
from .consents import Answers, AsOf, Withdrawal
from .db import count
from .errors import Forbidden, NotFound
from .ledger import KEEP
from .organizations import OrganizationRow
from .patient_rows import PatientOrganizationRow
from .routes import Sent
from .studies import StudyRow
from .views import View, go

WANTED = "me"
AT_ONCE = 500  # observations in one piece of the download


def page(session: Session, sent: Sent) -> View:
    """What one shares, and with whom."""
    actor = sign_in.who(session, sent)
    if actor is None:
        return sign_in.first(sent, WANTED)
    if actor.patient_id is None:
        return go(sent.root, "o/account")
    own = consents.of_patient(session, actor, actor.patient_id, AsOf())
    values = {
        "name": own.patient.name_given,
        "signed_in": own.patient.telecom_email,
        "studies": _studies(session, own),
        "history": consents.history(session, actor, actor.patient_id),
    }
    return View("me.html", values)


def _studies(session: Session, own: Any) -> list[dict[str, Any]]:
    """Each study once, with what is answered and what is not."""
    asked: dict[int, tuple[Any, list[Any]]] = {}
    for study in [*own.studies, *own.studies_pending_consent]:
        given = getattr(study, "scope_consents", None) or getattr(study, "pending_scope_consents", [])
        asked.setdefault(study.id, (study, []))[1].extend(given)
    rows = {row.id: row for row in session.scalars(select(StudyRow).where(StudyRow.id.in_(asked)))}
    return [_study(study, rows[id], given) for id, (study, given) in sorted(asked.items())]


def _study(study: Any, row: StudyRow, given: list[Any]) -> dict[str, Any]:
    codes = sorted((_answer(one) for one in given), key=lambda one: str(one["text"]))
    return {
        "id": study.id,
        "name": study.name,
        "description": study.description,
        "organization": study.organization.name,
        "contact": row.contact,
        "keeps": row.data_after_withdrawal == KEEP,
        "codes": codes,
        "shares": any(one["state"] == "yes" for one in codes),
    }


def _answer(one: Any) -> dict[str, Any]:
    state = "open" if one.consented is None else "yes" if one.consented else "no"
    return {"text": one.code.text, "system": one.code.coding_system, "code": one.code.coding_code,
            "state": state, "since": one.consented_time}  # fmt: skip


def answer(session: Session, sent: Sent) -> View:
    """A yes or a no to one kind of data for one study."""
    actor = _patient(session, sent)
    body = {"codingSystem": sent.said("system"), "codingCode": sent.said("code")}
    given = {**body, "consented": sent.said("answer") == "yes"}
    study = {"studyId": _number(sent.said("study")), "scopeConsents": [given]}
    consents.answer(session, actor, actor.patient_id or 0, Answers.model_validate({"studyScopeConsents": [study]}))
    return go(sent.root, f"me#study-{study['studyId']}")


def ask_withdraw(session: Session, sent: Sent, study_id: int) -> View:
    """The second tap: what stopping means for this study."""
    actor = _patient(session, sent)
    own = consents.of_patient(session, actor, actor.patient_id or 0, AsOf())
    study = next((one for one in _studies(session, own) if one["id"] == study_id), None)
    if study is None:
        raise NotFound()
    return View("withdraw.html", {"study": study, "signed_in": own.patient.telecom_email})


def withdraw(session: Session, sent: Sent, study_id: int) -> View:
    """Stop sharing everything with a study."""
    actor = _patient(session, sent)
    consents.withdraw(session, actor, actor.patient_id or 0, Withdrawal(study_id=study_id))
    return go(sent.root, f"me#study-{study_id}")


def _patient(session: Session, sent: Sent) -> Actor:
    actor = sign_in.who(session, sent)
    if actor is None or actor.patient_id is None:
        raise Forbidden("You are no longer signed in; open your page again.")
    return actor


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


# ------------------------------------------------------------------ one's own data
def data(session: Session, sent: Sent) -> View:
    """All that is kept of one's own measurements, as a FHIR Bundle."""
    actor = _patient(session, sent)
    record = patients.fhir_get(session, actor, actor.patient_id or 0)
    own = observations.readable(actor, "observations.search")
    audit.note(session, patient=actor.patient_id, count=1 + count(session, own))
    return View(download="my-data.json", stream=_bundle(session, actor, record))


def _bundle(session: Session, actor: Actor, record: Any) -> Iterator[bytes]:
    yield b'{"resourceType": "Bundle", "type": "collection", "entry": [\n' + _entry(record)
    own = observations.every(session, actor, "observations.search")
    while some := list(islice(own, AT_ONCE)):
        yield b"".join(b",\n" + _entry(one) for one in some)
    yield b"\n]}\n"


def _entry(resource: Any) -> bytes:
    return json.dumps({"resource": resource}, ensure_ascii=False).encode()


# ------------------------------------------------------------------ in by invitation
def invitation(session: Session, sent: Sent, token: str) -> View:
    """Where an invitation without an app leads. Reading it uses nothing up: mail programs look at links first."""
    _, patient = redemptions.open_invitation(session, _secret(token))
    homes = select(OrganizationRow.name).join(
        PatientOrganizationRow, PatientOrganizationRow.organization_id == OrganizationRow.id
    )
    home = session.scalar(homes.where(PatientOrganizationRow.patient_id == patient.id).order_by(OrganizationRow.id))
    return View("invitation.html", {"organization": home or "A research team"})


def accept(session: Session, sent: Sent, token: str) -> View:
    """Open one's page with an invitation, which is used by that."""
    row, patient = redemptions.open_invitation(session, _secret(token))
    redemptions.exchanged(session, row.id)
    browser_sessions.close(session, sent.cookies.get(COOKIE, ""))
    redemptions.noted(session, row, patient)
    return go(sent.root, WANTED, browser_sessions.open_for(session, patient.user_id))


def _secret(token: str) -> str:
    """An invitation's address may hold the host before the secret."""
    return token[-32:]
