"""Organizations read: what of the tree a caller may see, searched, one by one and as a whole."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from .. import audit
from ..access import Actor
from ..db import count, ordered, within
from ..errors import NotFound
from ..people import UserRow
from ..shapes import OrganizationName, Page
from .rows import ROOT, MembershipRow, OrganizationRow
from .shapes import TYPES, Organization, OrganizationDetail, OrganizationSearch, PractitionerRole


# ------------------------------------------------------------------ what a caller may see
def mine(actor: Actor, verb: str) -> Select[Any]:
    """The organizations in which the actor may do the verb."""
    rows = select(OrganizationRow).where(OrganizationRow.id != ROOT)
    allowed = actor.organizations(verb)
    return rows if allowed is None else rows.where(OrganizationRow.id.in_(allowed))


def visible_ids(session: Session, actor: Actor) -> set[int] | None:
    """Own organizations and those on their way to the root; None means all (a superuser)."""
    own = actor.organizations("organizations.get")
    if own is None:
        return None
    seen, level = set(own), set(own)
    while level:
        parents = session.scalars(select(OrganizationRow.part_of).where(OrganizationRow.id.in_(level)))
        level = {parent for parent in parents if parent} - seen
        seen |= level
    return seen


def visible(session: Session, actor: Actor) -> Select[Any]:
    ids = visible_ids(session, actor)
    rows = select(OrganizationRow).where(OrganizationRow.id != ROOT)
    return rows if ids is None else rows.where(OrganizationRow.id.in_(ids))


def row_of(session: Session, actor: Actor, organization_id: int) -> OrganizationRow:
    """The organization, if the caller may see it."""
    row: OrganizationRow | None = session.scalar(visible(session, actor).where(OrganizationRow.id == organization_id))
    if row is None and actor.is_superuser and organization_id == ROOT:
        row = session.get(OrganizationRow, ROOT)
    if row is None:
        raise NotFound()
    audit.note(session, organization=organization_id)
    return row


def names(session: Session, ids: set[int]) -> dict[int, OrganizationName]:
    rows = session.scalars(select(OrganizationRow).where(OrganizationRow.id.in_(ids)))
    return {row.id: OrganizationName(id=row.id, name=row.name, type=row.type) for row in rows}


def shaped(row: Any, actor: Actor, children: list[Organization] | None = None) -> Organization:
    return Organization(
        id=row.id,
        name=row.name,
        type=row.type,
        part_of=row.part_of,
        current_user_role="super_user" if actor.is_superuser else actor.roles.get(row.id),
        children=children or [],
    )


# ------------------------------------------------------------------ verbs
def search(session: Session, actor: Actor, query: OrganizationSearch) -> Page[Organization]:
    """The caller's organizations, and the names on their way to the root."""
    actor.knock("organizations.search")
    rows = visible(session, actor)
    if query.part_of is not None:
        rows = rows.where(OrganizationRow.part_of == query.part_of)
    if query.search:
        rows = rows.where(func.lower(OrganizationRow.name).startswith(query.search.lower(), autoescape=True))
    total = count(session, rows)
    offset, limit = within(total, query)
    columns = {"id": OrganizationRow.id, "name": OrganizationRow.name, "type": OrganizationRow.type}
    found = session.scalars(ordered(rows, query, columns, OrganizationRow.id).offset(offset).limit(limit)).all()
    below = children_of(session, actor, [row.id for row in found])
    return Page(count=total, results=[shaped(row, actor, below.get(row.id)) for row in found])


def children_of(session: Session, actor: Actor, ids: list[int]) -> dict[int, list[Organization]]:
    """The visible children of each, one statement for all."""
    rows = session.scalars(visible(session, actor).where(OrganizationRow.part_of.in_(ids)).order_by(OrganizationRow.id))
    children: dict[int, list[Organization]] = {}
    for row in rows:
        children.setdefault(row.part_of or ROOT, []).append(shaped(row, actor))
    return children


def get(session: Session, actor: Actor, organization_id: int) -> OrganizationDetail:
    """One organization; with its practitioners where the caller has a role in it."""
    row = row_of(session, actor, organization_id)
    plain = shaped(row, actor, children_of(session, actor, [row.id]).get(row.id))
    team = team_of(session, row.id) if actor.may("organizations.users", row.id) else []
    people = [PractitionerRole(id=user.id, email=user.email, role=role) for user, role in team]
    return OrganizationDetail(**plain.model_dump(exclude={"children"}), children=plain.children, practitioners=people)


def team_of(session: Session, organization_id: int) -> list[tuple[UserRow, str]]:
    rows = (
        select(UserRow, MembershipRow.role)
        .join(MembershipRow, MembershipRow.user_id == UserRow.id)
        .where(MembershipRow.organization_id == organization_id)
        .order_by(UserRow.id)
    )
    return [(user, role) for user, role in session.execute(rows)]


def tree(session: Session, actor: Actor, organization_id: int) -> Organization:
    """One organization with everything below it that the caller may see."""
    top = row_of(session, actor, organization_id)
    children: dict[int | None, list[OrganizationRow]] = {}
    for row in session.scalars(visible(session, actor).order_by(OrganizationRow.id)):
        children.setdefault(row.part_of, []).append(row)

    def grown(row: OrganizationRow) -> Organization:
        return shaped(row, actor, [grown(child) for child in children.get(row.id, [])])

    return grown(top)


def types(session: Session, actor: Actor) -> dict[str, str]:
    """The types an organization can have, with what each stands for."""
    actor.knock("organizations.types")
    return TYPES
