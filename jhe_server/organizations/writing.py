"""Organizations written: made, changed and moved within the tree."""

from __future__ import annotations

from sqlalchemy.orm import Session

from .. import audit, changes
from ..access import Actor
from ..db import now
from ..errors import Forbidden, Invalid
from .reading import children_of, row_of, shaped
from .rows import ROOT, MembershipRow, OrganizationRow
from .shapes import NewOrganization, Organization, OrganizationChange


def to_write(session: Session, actor: Actor, verb: str, organization_id: int) -> OrganizationRow:
    """The organization to write into; one the caller may not write into is refused whether or not it exists."""
    actor.require(verb, organization_id)
    row = session.get(OrganizationRow, organization_id)
    if row is None or organization_id == ROOT:
        raise Forbidden()
    audit.note(session, organization=organization_id)
    return row


def create(session: Session, actor: Actor, body: NewOrganization) -> Organization:
    """A new organization; below another one its maker becomes its manager."""
    if body.part_of == ROOT:
        actor.require("organizations.create_top_level")
    else:
        to_write(session, actor, "organizations.create", body.part_of)
    row = OrganizationRow(name=body.name, type=body.type, part_of=body.part_of)
    session.add(row)
    session.flush()
    if body.part_of != ROOT and not actor.is_superuser:
        session.add(MembershipRow(organization_id=row.id, user_id=actor.user_id, role="manager", since=now()))
    changes.note(session, "organization", row.id, [row.id, body.part_of])
    audit.note(session, organization=row.id, count=1)
    session.flush()
    role = "super_user" if actor.is_superuser else "manager"
    return shaped(row, actor).model_copy(update={"current_user_role": role})


def manages(actor: Actor, verb: str, row: OrganizationRow) -> None:
    """An organization is changed by a manager of itself or its parent; who merely sees it is refused."""
    if not (actor.may(verb, row.id) or (row.part_of and actor.may(verb, row.part_of))):
        raise Forbidden()


def reach(session: Session, actor: Actor, verb: str, organization_id: int) -> OrganizationRow:
    """The organization to change or delete; a manager of the parent reaches it without having a role in it."""
    row = session.get(OrganizationRow, organization_id)
    if row is not None and row.id != ROOT and row.part_of and actor.may(verb, row.part_of):
        audit.note(session, organization=row.id)
        return row
    row = row_of(session, actor, organization_id)
    if row.id == ROOT:
        raise Forbidden("The root organization cannot be changed.")
    manages(actor, verb, row)
    return row


def update(session: Session, actor: Actor, organization_id: int, body: OrganizationChange) -> Organization:
    """Change an organization; moved only by one who also manages the new parent, and never below itself."""
    row = reach(session, actor, "organizations.update", organization_id)
    parents = [row.part_of]
    if body.part_of is not None and body.part_of != row.part_of:
        _move(session, actor, row, body.part_of)
    row.name, row.type = body.name or row.name, body.type or row.type
    session.flush()
    changes.note(session, "organization", row.id, [row.id, *parents, row.part_of])
    audit.note(session, count=1)
    return shaped(row, actor, children_of(session, actor, [row.id]).get(row.id))


def _move(session: Session, actor: Actor, row: OrganizationRow, parent: int) -> None:
    if parent == ROOT:
        actor.require("organizations.create_top_level")
    else:
        to_write(session, actor, "organizations.create", parent)
    above: int | None = parent
    while above:
        if above == row.id:
            raise Invalid(
                "An organization cannot be part of itself or of one below it.", {"partOf": ["would make a circle"]}
            )
        above = session.get_one(OrganizationRow, above).part_of
    row.part_of = parent
