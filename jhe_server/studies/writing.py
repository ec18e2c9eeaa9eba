"""Studies written: made in an organization, and changed."""

from __future__ import annotations

from sqlalchemy.orm import Session

from .. import audit, changes, ledger
from ..access import Actor
from ..db import now
from ..organizations import to_write
from .reading import reach, shapes
from .rows import StudyRow
from .shapes import NewStudy, Study, StudyChange


def create(session: Session, actor: Actor, body: NewStudy) -> Study:
    """A new study in an organization; a body that says what happens after a withdrawal needs a manager."""
    home = to_write(session, actor, "studies.create", body.organization)
    if body.data_after_withdrawal is not None:
        actor.require("studies.set_policy", home.id)
    row = StudyRow(
        name=body.name,
        description=body.description,
        organization_id=home.id,
        icon_url=body.icon_url,
        contact=body.contact,
        data_after_withdrawal=body.data_after_withdrawal or ledger.HIDE,
        last_updated=now(),
    )
    session.add(row)
    session.flush()
    ledger.append(session, actor, row.data_after_withdrawal, row.id)
    return _written(session, row)


def _written(session: Session, row: StudyRow) -> Study:
    touched(session, row)
    return shapes(session, [row])[0]


def touched(session: Session, row: StudyRow, count: int = 1) -> None:
    row.last_updated = now()
    session.flush()
    changes.note(session, "study", row.id, [row.organization_id])
    audit.note(session, study=row.id, count=count)


def update(session: Session, actor: Actor, study_id: int, body: StudyChange) -> Study:
    """Change a study; its organization stays what it is, its policy is a manager's."""
    row = reach(session, actor, "studies.update", study_id)
    if body.data_after_withdrawal is not None:
        actor.require("studies.set_policy", row.organization_id)
        if body.data_after_withdrawal != row.data_after_withdrawal:
            row.data_after_withdrawal = body.data_after_withdrawal
            ledger.append(session, actor, row.data_after_withdrawal, row.id)
    row.name = body.name or row.name
    row.description = row.description if body.description is None else body.description
    for name in ("icon_url", "contact"):
        if name in body.model_fields_set:
            setattr(row, name, getattr(body, name))
    return _written(session, row)
