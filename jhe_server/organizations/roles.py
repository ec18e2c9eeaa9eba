"""Who works in an organization, and with which role: given, changed and taken away."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from .. import audit, changes
from ..access import ROLES, Actor
from ..db import count, now, ordered, within
from ..errors import Conflict, Invalid, NotFound
from ..people import PRACTITIONER, PeopleSearch, Person, PractitionerRow, UserRow, matching, person
from ..shapes import Page
from .reading import row_of, team_of
from .rows import MembershipRow
from .shapes import OrganizationUser, PractitionerRole, RoleOf, UserOf

LAST_MANAGER = "The last manager of an organization can be neither removed nor demoted."


def users(session: Session, actor: Actor, organization_id: int) -> list[OrganizationUser]:
    """The people of an organization with their roles."""
    row = row_of(session, actor, organization_id)
    actor.require("organizations.users", row.id)
    return [OrganizationUser(**person(user).model_dump(), role=role) for user, role in team_of(session, row.id)]


def set_role(session: Session, actor: Actor, organization_id: int, body: RoleOf) -> PractitionerRole:
    """Give a practitioner a role in the organization, or another one."""
    row = row_of(session, actor, organization_id)
    actor.require("organizations.set_role", row.id)
    user = session.get(UserRow, body.jhe_user_id)
    if (
        user is None
        or user.user_type != PRACTITIONER
        or session.scalar(select(PractitionerRow.id).where(PractitionerRow.user_id == user.id)) is None
    ):
        raise Invalid("No practitioner has this id.", {"jheUserId": ["is not a practitioner"]})
    role = body.organization_practitioner_role
    membership = session.get(MembershipRow, (row.id, user.id))
    if membership is None:
        session.add(MembershipRow(organization_id=row.id, user_id=user.id, role=role, since=now()))
    else:
        if role != "manager":
            keep_a_manager(session, row.id, user.id)
        membership.role = role
    _noted(session, row.id, user.id)
    return PractitionerRole(id=user.id, email=user.email, role=role)


def remove_user(session: Session, actor: Actor, organization_id: int, body: UserOf) -> None:
    """Take a practitioner's role in the organization away."""
    row = row_of(session, actor, organization_id)
    actor.require("organizations.remove_user", row.id)
    membership = session.get(MembershipRow, (row.id, body.jhe_user_id))
    if membership is None:
        raise NotFound("This person has no role in the organization.")
    keep_a_manager(session, row.id, body.jhe_user_id)
    session.delete(membership)
    _noted(session, row.id, body.jhe_user_id)


def assign(session: Session, user_id: int, organization_id: int, role: str | None) -> None:
    """What somebody beyond the Exchange decides, a Hub's groups: a role in the organization, or None for none.

    It may take the last manager away: whoever is out of the group is out.
    """
    membership = session.get(MembershipRow, (organization_id, user_id))
    if role is None:
        if membership is not None:
            session.delete(membership)
    elif membership is None:
        session.add(MembershipRow(organization_id=organization_id, user_id=user_id, role=role, since=now()))
    else:
        membership.role = role
    changes.note(session, "role", user_id, [organization_id])
    session.flush()


def keep_a_manager(session: Session, organization_id: int, leaving: int) -> None:
    """Refuse to take the last manager away: nobody but a superuser could give the organization another."""
    managers = (
        select(MembershipRow.user_id)
        .join(UserRow, UserRow.id == MembershipRow.user_id)
        .where(MembershipRow.organization_id == organization_id, MembershipRow.role == "manager")
        .where(~UserRow.disabled | (UserRow.id == leaving))  # a disabled account manages nothing
    )
    if set(session.scalars(managers)) == {leaving}:
        raise Conflict(LAST_MANAGER)


def _noted(session: Session, organization_id: int, user_id: int) -> None:
    changes.note(session, "role", user_id, [organization_id])
    audit.note(session, count=1)
    session.flush()


def colleagues(session: Session, actor: Actor, query: PeopleSearch) -> Page[Person]:
    """The people of the caller's organizations."""
    actor.knock("organizations.colleagues")
    memberships = select(MembershipRow.user_id)
    allowed = actor.organizations("organizations.colleagues")
    if allowed is not None:
        memberships = memberships.where(MembershipRow.organization_id.in_(allowed))
    if query.organization_id is not None:
        memberships = memberships.where(MembershipRow.organization_id == query.organization_id)
    rows = matching(select(UserRow).where(UserRow.id.in_(memberships)), query.search)
    total = count(session, rows)
    offset, limit = within(total, query)
    columns = {"id": UserRow.id, "email": UserRow.email_key, "lastName": UserRow.last_name}
    found = session.scalars(ordered(rows, query, columns, UserRow.id).offset(offset).limit(limit))
    return Page(count=total, results=[person(row) for row in found])


def roles_of(session: Session, user_id: int) -> dict[int, str]:
    rows = session.execute(
        select(MembershipRow.organization_id, MembershipRow.role).where(MembershipRow.user_id == user_id)
    )
    return {organization_id: role for organization_id, role in rows if role in ROLES}
