"""The verb: rows read, decided, written (or, in a dry run, taken back), and an answer for each."""

from __future__ import annotations

from sqlalchemy.orm import Session

from .. import audit, invitations
from ..access import Actor
from ..errors import Forbidden
from ..organizations import to_write
from . import known
from .deciding import decide
from .reading import Row, read
from .shapes import Import, ImportResult, RowResult
from .writing import write


class _Rollback(Exception):
    """A dry run's way out."""


def run(session: Session, actor: Actor, body: Import) -> ImportResult:
    """Import rows of patients into an organization (and a study), each for itself; a dry run writes nothing."""
    home = to_write(session, actor, "imports.run", body.organization_id)
    rows = [read(number, sent, body.study_id) for number, sent in enumerate(body.rows, 1)]
    result = _rolled_back(session, actor, home.id, rows) if body.dry_run else _done(session, actor, home.id, rows)
    if body.invite and not body.dry_run:
        _invite(session, actor, rows, result)
    touched = {row.patient_id for row in rows if row.patient_id is not None}
    audit.note(session, patients=() if body.dry_run else touched, count=0 if body.dry_run else len(touched))
    return result


def _done(session: Session, actor: Actor, organization_id: int, rows: list[Row]) -> ImportResult:
    found = known.find(session, organization_id, rows)
    for row in rows:
        decide(row, found)
    write(session, actor, organization_id, found)
    return _result(rows)


def _rolled_back(session: Session, actor: Actor, organization_id: int, rows: list[Row]) -> ImportResult:
    """The real thing inside a savepoint that is thrown away, ids of people who would be created included."""
    result: list[ImportResult] = []
    noted = dict(session.info.get("changes", {}))
    try:
        with session.begin_nested():
            result.append(_done(session, actor, organization_id, rows))
            raise _Rollback
    except _Rollback:
        session.info["changes"] = noted
    for one in result[0].results:
        one.patient_id = None if one.action == "create" else one.patient_id
    return result[0]


def _result(rows: list[Row]) -> ImportResult:
    results = [
        RowResult(row=row.number, action=row.action, patient_id=row.patient_id, errors=row.errors) for row in rows
    ]
    summary: dict[str, int] = {}
    for one in results:
        summary[one.action] = summary.get(one.action, 0) + 1
    return ImportResult(results=results, summary=summary)


def _invite(session: Session, actor: Actor, rows: list[Row], result: ImportResult) -> None:
    """An invitation with its message for everybody the import created or linked; mail leaves after the commit."""
    if not actor.may("invitations.link"):
        raise Forbidden()
    deliveries = []
    for row, one in zip(rows, result.results, strict=True):
        if row.action in ("create", "link") and row.patient_id is not None:
            query = invitations.SendEmail(send_email=True)
            one.invitation_link = invitations.link(session, actor, row.patient_id, query).invitation_link
            deliveries.append(session.info.pop("afterwards"))

    def deliver(write: invitations.Write) -> ImportResult:
        for send in deliveries:
            send(write)
        return result

    if deliveries:
        session.info["afterwards"] = deliver
