"""Organizations: a tree in which nothing is inherited, who sees and changes what of it, and that a manager remains."""

from __future__ import annotations

import pytest
from conftest import ADMIN, MARK, MARY, MEGAN, PETER, TOM, VICTOR, Clinic
from indoors import answered, ask, counted, rows
from pydantic import ValidationError

from jhe_server import colleagues, organizations, people, studies, tokens
from jhe_server.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from jhe_server.organizations import (
    NewOrganization,
    Organization,
    OrganizationChange,
    OrganizationSearch,
    RoleOf,
    UserOf,
)
from jhe_server.people import ByEmail, NewPractitioner, PeopleSearch, PractitionerChange


def role(user: int, name: str) -> RoleOf:
    return RoleOf.model_validate({"jheUserId": user, "organizationPractitionerRole": name})


def listed(clinic: Clinic, email: str) -> list[int]:
    return [one.id for one in clinic.call(organizations.search, email, OrganizationSearch()).results]


# ------------------------------------------------------------------ seeing
def test_one_sees_ones_own_organizations_and_the_names_on_their_way_to_the_root(clinic: Clinic) -> None:
    assert listed(clinic, MEGAN) == [20001, 20002, 20003]
    assert listed(clinic, TOM) == list(range(20001, 20009))
    assert listed(clinic, MARK) == [20004, 20005, 20006, 20007]
    assert listed(clinic, ADMIN) == list(range(20001, 20009))
    with pytest.raises(Forbidden):
        listed(clinic, PETER)
    for unseen in (20004, 29999, 0):
        with pytest.raises(NotFound):
            clinic.call(organizations.get, MEGAN, unseen)


def test_seeing_a_name_is_not_having_a_role(clinic: Clinic) -> None:
    seen = clinic.call(organizations.get, MEGAN, 20001)
    assert (seen.current_user_role, seen.practitioners) == (None, [])
    for verb in (organizations.users, studies.of_organization):
        with pytest.raises(Forbidden):
            clinic.call(verb, MEGAN, 20001)


def test_the_detail_names_practitioners_and_the_callers_role(clinic: Clinic) -> None:
    detail = answered(clinic, VICTOR, "organizations/20003")
    assert detail["currentUserRole"] == "viewer"
    assert detail["partOf"] == 20002
    assert {(one["id"], one["role"]) for one in detail["practitioners"]} == {
        (10002, "manager"), (10003, "member"), (10004, "viewer"), (10005, "viewer"),
    }  # fmt: skip


def test_a_tree_shows_what_the_caller_may_see_of_it(clinic: Clinic) -> None:
    def shown(one: Organization) -> object:
        return {one.id: [shown(child) for child in one.children]}

    assert shown(clinic.call(organizations.tree, MARK, 20004)) == {20004: [{20005: [{20006: [{20007: []}]}]}]}
    whole = shown(clinic.call(organizations.tree, ADMIN, 20004))
    assert whole == {20004: [{20005: [{20006: [{20007: []}, {20008: []}]}]}]}


def test_colleagues_are_the_people_of_ones_own_organizations(clinic: Clinic) -> None:
    def found(email: str) -> list[int]:
        return [one.id for one in clinic.call(organizations.colleagues, email, PeopleSearch()).results]

    assert found(VICTOR) == [10002, 10003, 10004, 10005]
    assert found(MARK) == [10005, 10008]
    with pytest.raises(Forbidden):
        found(PETER)


# ------------------------------------------------------------------ making and changing
def test_whoever_makes_a_sub_organization_manages_it_and_nobody_inherits_it(clinic: Clinic) -> None:
    made = clinic.call(organizations.create, MARY, NewOrganization(name="New lab", type="laboratory", part_of=20002))
    assert (made.id, made.current_user_role) == (20009, "manager")
    assert rows(
        clinic.database, "SELECT user_id, role FROM practitioner_organization WHERE organization_id = 20009"
    ) == [(10002, "manager")]
    below = NewOrganization(name="Below", type="team", part_of=20003)
    for email in (MEGAN, VICTOR, TOM, MARK):
        with pytest.raises(Forbidden):
            clinic.call(organizations.create, email, below)


def test_only_a_superuser_makes_or_moves_one_to_the_top(clinic: Clinic) -> None:
    top = NewOrganization(name="Top", type="prov")
    with pytest.raises(Forbidden):
        clinic.call(organizations.create, MARY, top)
    with pytest.raises(Forbidden):
        clinic.call(organizations.update, MARY, 20003, OrganizationChange(part_of=0))
    assert clinic.call(organizations.create, ADMIN, top).part_of == 0


def test_a_manager_of_itself_or_of_its_parent_changes_an_organization(clinic: Clinic) -> None:
    assert clinic.call(organizations.update, MARY, 20003, OrganizationChange(name="Our lab")).name == "Our lab"
    # Mark manages cardiology (20006), of which the cardiology lab is a part, and has no role in the lab itself.
    assert clinic.call(organizations.update, MARK, 20008, OrganizationChange(name="Renamed")).name == "Renamed"
    for email, home in ((MEGAN, 20003), (VICTOR, 20003), (TOM, 20006)):
        with pytest.raises(Forbidden):
            clinic.call(organizations.update, email, home, OrganizationChange(name="Mine"))
    with pytest.raises(NotFound):
        clinic.call(organizations.update, MEGAN, 20007, OrganizationChange(name="Mine"))
    with pytest.raises(Forbidden):
        clinic.call(organizations.update, ADMIN, 0, OrganizationChange(name="Root"))


def test_one_is_moved_only_by_who_also_manages_the_new_parent(clinic: Clinic) -> None:
    for target in (20006, 29999):
        with pytest.raises(Forbidden):
            clinic.call(organizations.update, MARY, 20003, OrganizationChange(part_of=target))
    assert clinic.call(organizations.update, MARY, 20003, OrganizationChange(part_of=20001)).part_of == 20001


@pytest.mark.parametrize(("one", "below"), [(20001, 20001), (20001, 20003), (20005, 20008)])
def test_an_organization_is_never_part_of_itself(clinic: Clinic, one: int, below: int) -> None:
    with pytest.raises(Invalid) as refusal:
        clinic.call(organizations.update, ADMIN, one, OrganizationChange(part_of=below))
    assert refusal.value.errors == {"partOf": ["would make a circle"]}


# ------------------------------------------------------------------ roles
def test_a_manager_gives_changes_and_takes_roles(clinic: Clinic) -> None:
    given = clinic.call(organizations.set_role, MARY, 20003, role(10008, "viewer"))
    assert (given.id, given.role) == (10008, "viewer")
    clinic.call(organizations.set_role, MARY, 20003, role(10008, "member"))
    assert clinic.actor(MARK).roles[20003] == "member"
    clinic.call(organizations.remove_user, MARY, 20003, UserOf(jhe_user_id=10008))
    assert 20003 not in clinic.actor(MARK).roles
    with pytest.raises(NotFound):
        clinic.call(organizations.remove_user, MARY, 20003, UserOf(jhe_user_id=10008))


def test_the_public_misspelling_of_the_role_is_understood(clinic: Clinic) -> None:
    for key in ("organizationPartitionerRole", "organization_partitioner_role", "organization_practitioner_role"):
        body = {"jheUserId": 10008, key: "member"}
        assert ask(clinic, MARY, "POST", "organizations/20003/user", body).answer.role == "member"


def test_a_role_is_viewer_member_or_manager_and_a_practitioners(clinic: Clinic) -> None:
    with pytest.raises(ValidationError):
        role(10003, "super_user")
    for user in (10006, 19999, 1):
        with pytest.raises(Invalid):
            clinic.call(organizations.set_role, MARY, 20003, role(user, "viewer"))


def test_only_a_manager_of_the_organization_itself_gives_roles(clinic: Clinic) -> None:
    for email, home in ((MEGAN, 20003), (VICTOR, 20003), (TOM, 20003), (TOM, 20007), (MEGAN, 20001)):
        with pytest.raises(Forbidden):
            clinic.call(organizations.set_role, email, home, role(10003, "manager"))
    with pytest.raises(NotFound):
        clinic.call(organizations.set_role, MARK, 20003, role(10008, "manager"))


def test_the_last_manager_can_be_neither_removed_nor_demoted(clinic: Clinic) -> None:
    for email in (MARY, ADMIN):
        with pytest.raises(Conflict):
            clinic.call(organizations.remove_user, email, 20003, UserOf(jhe_user_id=10002))
        for lesser in ("member", "viewer"):
            with pytest.raises(Conflict):
                clinic.call(organizations.set_role, email, 20003, role(10002, lesser))
    clinic.call(organizations.set_role, MARY, 20003, role(10003, "manager"))
    clinic.call(organizations.set_role, MEGAN, 20003, role(10002, "viewer"))
    assert clinic.actor(MARY).roles[20003] == "viewer"


def test_a_manager_finds_a_practitioner_by_exact_email_and_no_patient(clinic: Clinic) -> None:
    assert clinic.call(people.find, MARY, ByEmail(email=MARK.upper())).id == 10008
    for email in (PETER, "manager_m", "nobody@example.com"):
        with pytest.raises(NotFound):
            clinic.call(people.find, MARY, ByEmail(email=email))
    with pytest.raises(Forbidden):
        clinic.call(people.find, MEGAN, ByEmail(email=MARK))


# ------------------------------------------------------------------ accounts
def test_accounts_are_a_superusers(clinic: Clinic) -> None:
    body = NewPractitioner(email="new@example.com", first_name="N", last_name="W")
    with pytest.raises(Forbidden):
        clinic.call(people.create_practitioner, MARY, body)
    made = clinic.call(people.create_practitioner, ADMIN, body)
    assert (made.id, made.jhe_user_id, made.is_superuser) == (80007, 10012, False)
    with pytest.raises(Conflict):
        clinic.call(people.create_practitioner, ADMIN, body.model_copy(update={"email": PETER}))
    with pytest.raises(ValidationError):
        NewPractitioner.model_validate({**body.model_dump(), "isSuperuser": True})
    with pytest.raises(ValidationError):
        PractitionerChange.model_validate({"isSuperuser": True})


def test_whoever_is_disabled_may_nothing_from_that_moment_on(clinic: Clinic) -> None:
    token = clinic.token(MEGAN)
    clinic.call(colleagues.update_practitioner, ADMIN, 80003, PractitionerChange(disabled=True))
    with clinic.database.read() as session, pytest.raises(Unauthenticated):
        tokens.actor(session, token)
    with pytest.raises(Forbidden):
        clinic.call(colleagues.update_practitioner, ADMIN, 80001, PractitionerChange(disabled=True))
    assert counted(clinic.database, "jhe_user", "id = 10003") == 1
