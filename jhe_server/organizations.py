"""Organizations: the tree, who works in each with which role, and what a caller may see of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import model_validator
from sqlalchemy import ForeignKey, Identity, Index, Select, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import audit, changes
from .access import ROLES, Actor
from .db import Base, BigId, UTCTime, count, now, ordered, within
from .errors import Conflict, Forbidden, Invalid, NotFound
from .people import PRACTITIONER, PeopleSearch, Person, PractitionerRow, UserRow, matching, person
from .shapes import Body, Id, Listing, Name, OrganizationName, Page, Shape

ROOT = 0
LAST_MANAGER = "The last manager of an organization can be neither removed nor demoted."
# FHIR R5 organization-type (http://terminology.hl7.org/CodeSystem/organization-type) and the Exchange's own `root`,
# `laboratory`.
TYPES = {
    "prov": "Healthcare Provider",
    "dept": "Hospital Department",
    "team": "Organizational team",
    "govt": "Government",
    "ins": "Insurance Company",
    "pay": "Payer",
    "edu": "Educational Institute",
    "reli": "Religious Institution",
    "crs": "Clinical Research Sponsor",
    "cg": "Community Group",
    "bus": "Non-Healthcare Business or Corporation",
    "laboratory": "Laboratory",
    "other": "Other",
}


class OrganizationRow(Base):
    __tablename__ = "organization"
    __table_args__ = (Index("organization_part_of", "part_of"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, Identity(start=20_001), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    type: Mapped[str] = mapped_column(String(20))
    part_of: Mapped[int | None] = mapped_column(ForeignKey("organization.id"))


class MembershipRow(Base):
    """A practitioner's role in one organization."""

    __tablename__ = "practitioner_organization"
    __table_args__ = (Index("practitioner_organization_user", "user_id"),)

    organization_id: Mapped[int] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("jhe_user.id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(10))
    since: Mapped[datetime] = mapped_column(UTCTime)


Type = Literal["prov", "dept", "team", "govt", "ins", "pay", "edu", "reli", "crs", "cg", "bus", "laboratory", "other"]


class NewOrganization(Body):
    name: Name
    type: Type
    part_of: Id = ROOT


class OrganizationChange(Body):
    name: Name | None = None
    type: Type | None = None
    part_of: Id | None = None


class RoleOf(Body):
    """The public Exchange misspells the role's name; its clients must work here, so both spellings are taken."""

    jhe_user_id: Id
    organization_practitioner_role: Literal["viewer", "member", "manager"]

    @model_validator(mode="before")
    @classmethod
    def _partitioner(cls, sent: Any) -> Any:
        if not isinstance(sent, dict):
            return sent
        spelled = {"organizationPartitionerRole", "organization_partitioner_role"}
        return {("organizationPractitionerRole" if key in spelled else key): value for key, value in sent.items()}


class UserOf(Body):
    jhe_user_id: Id


class OrganizationSearch(Listing):
    part_of: Id | None = None
    search: Name | None = None


class PractitionerRole(Shape):
    id: int
    email: str
    role: str


class Organization(Shape):
    """An organization, the caller's role in it, and the organizations below it that the caller may see."""

    id: int
    name: str
    type: str
    part_of: int | None
    current_user_role: str | None = None
    children: list[Organization] = []


class OrganizationDetail(Organization):
    practitioners: list[PractitionerRole] = []


class OrganizationUser(Person):
    role: str


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


def to_write(session: Session, actor: Actor, verb: str, organization_id: int) -> OrganizationRow:
    """The organization to write into; one the caller may not write into is refused whether or not it exists."""
    actor.require(verb, organization_id)
    row = session.get(OrganizationRow, organization_id)
    if row is None or organization_id == ROOT:
        raise Forbidden()
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
    below = _below(session, actor, [row.id for row in found])
    return Page(count=total, results=[shaped(row, actor, below.get(row.id)) for row in found])


def _below(session: Session, actor: Actor, ids: list[int]) -> dict[int, list[Organization]]:
    """The visible children of each, one statement for all."""
    rows = session.scalars(visible(session, actor).where(OrganizationRow.part_of.in_(ids)).order_by(OrganizationRow.id))
    children: dict[int, list[Organization]] = {}
    for row in rows:
        children.setdefault(row.part_of or ROOT, []).append(shaped(row, actor))
    return children


def get(session: Session, actor: Actor, organization_id: int) -> OrganizationDetail:
    """One organization; with its practitioners where the caller has a role in it."""
    row = row_of(session, actor, organization_id)
    plain = shaped(row, actor, _below(session, actor, [row.id]).get(row.id))
    team = _team(session, row.id) if actor.may("organizations.users", row.id) else []
    people = [PractitionerRole(id=user.id, email=user.email, role=role) for user, role in team]
    return OrganizationDetail(**plain.model_dump(exclude={"children"}), children=plain.children, practitioners=people)


def _team(session: Session, organization_id: int) -> list[tuple[UserRow, str]]:
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


def users(session: Session, actor: Actor, organization_id: int) -> list[OrganizationUser]:
    """The people of an organization with their roles."""
    row = row_of(session, actor, organization_id)
    actor.require("organizations.users", row.id)
    return [OrganizationUser(**person(user).model_dump(), role=role) for user, role in _team(session, row.id)]


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
    return shaped(row, actor, _below(session, actor, [row.id]).get(row.id))


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
