"""Users of a Hub as practitioners, without a Hub: whose a name is, what the Hub decides, who is out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from conftest import ADMIN, MARK, MARY, PETER, Clinic
from indoors import rows

from jhe_server import hub_accounts, hub_users, tokens
from jhe_server.door import Door
from jhe_server.errors import Conflict, ExchangeError, Forbidden, Unauthenticated
from jhe_server.hub_policy import HubPolicy, groups
from jhe_server.hub_users import HubUser
from jhe_server.organizations import roles_of
from jhe_server.people import UserRow

LAB, CARDIOLOGY = 20003, 20005
MADE, AGAIN = "2026-01-05T08:00:00.000000Z", "2026-06-30T08:00:00.000000Z"
ADA = HubUser("ada", made=MADE)


class OnHub:
    """The clinic as a Hub's service."""

    def __init__(self, clinic: Clinic) -> None:
        self.clinic = clinic
        self.let(HubPolicy())

    def let(self, policy: HubPolicy) -> None:
        """What the operator lets the Hub decide."""
        self.door = Door(self.clinic.database, replace(self.clinic.settings, hub=policy))

    def comes(self, user: HubUser) -> int:
        return hub_accounts.account(self.door, user)

    def account(self, user: HubUser) -> tuple[str, bool, dict[int, str]]:
        """(e-mail, whether a superuser, roles) of a Hub user who comes."""
        user_id = self.comes(user)
        with self.clinic.database.read() as session:
            row = session.get_one(UserRow, user_id)
            return row.email, row.is_superuser, roles_of(session, user_id)

    def written(self) -> int:
        return int(rows(self.clinic.database, "SELECT count(*) FROM audit")[0][0])

    def says(self, verb: Any, *arguments: Any) -> Any:
        with self.clinic.database.write() as session:
            return verb(session, *arguments)

    def token(self, user_id: int) -> str:
        with self.clinic.database.write() as session:
            return tokens.issue(session, session.get_one(UserRow, user_id), timedelta(hours=1))[0]

    def is_in(self, token: str) -> bool:
        with self.clinic.database.read() as session:
            return tokens.good(session, token) is not None


@pytest.fixture
def on_hub(clinic: Clinic) -> Iterator[OnHub]:
    return OnHub(clinic)


# ------------------------------------------------------------------ who comes
def test_somebody_new_is_a_practitioner_without_organization_and_stays_the_same(on_hub: OnHub) -> None:
    assert on_hub.account(ADA) == ("ada@hub.invalid", False, {})
    assert on_hub.comes(ADA) == on_hub.comes(ADA)


def test_coming_again_writes_nothing(on_hub: OnHub) -> None:
    on_hub.comes(ADA)
    before = on_hub.written()
    on_hub.comes(ADA)
    assert on_hub.written() == before


def test_the_first_coming_is_on_record(on_hub: OnHub) -> None:
    user_id = on_hub.comes(ADA)
    told = "SELECT actor_id, via, outcome FROM audit WHERE verb = 'hub_users.admit'"
    assert rows(on_hub.clinic.database, told) == [(user_id, "hub", "ok")]


def test_names_that_differ_are_different_people_however_alike_they_are(on_hub: OnHub) -> None:
    names = ["ada", "Ada", "ada ", "ada@example.com", "ada+2", "ädä", "a" * 255, "a" * 254]
    assert len({on_hub.comes(HubUser(name)) for name in names}) == len(names)


def test_a_name_that_was_given_to_somebody_new_is_refused_until_somebody_says_whose_it_is(on_hub: OnHub) -> None:
    first = on_hub.comes(ADA)
    newcomer = replace(ADA, made=AGAIN)
    for _ in range(2):
        with pytest.raises(Forbidden, match="somebody new"):
            on_hub.comes(newcomer)
    assert on_hub.says(hub_users.unlink, "ada")
    assert on_hub.comes(newcomer) != first
    assert on_hub.account(newcomer)[0] == "ada+2@hub.invalid"


def test_a_hub_that_does_not_say_when_it_made_a_user_says_it_later(on_hub: OnHub) -> None:
    silent = replace(ADA, made=None)
    assert on_hub.comes(silent) == on_hub.comes(ADA) == on_hub.comes(silent)
    with pytest.raises(Forbidden):
        on_hub.comes(replace(ADA, made=AGAIN))


# ------------------------------------------------------------------ addresses
def test_without_the_operators_word_no_name_is_an_address(on_hub: OnHub) -> None:
    assert on_hub.account(HubUser(MARY))[0] != MARY


def test_where_the_hub_vouches_for_addresses_the_account_of_the_address_is_theirs(on_hub: OnHub) -> None:
    on_hub.let(HubPolicy(email="{name}@example.com"))
    assert on_hub.account(HubUser("Manager_Mary")) == (MARY, False, on_hub.clinic.actor(MARY).roles)
    assert on_hub.account(HubUser("newcomer"))[0] == "newcomer@example.com"
    assert on_hub.account(HubUser("not an address"))[0].endswith("@hub.invalid")


def test_a_patients_address_makes_nobody_a_practitioner(on_hub: OnHub) -> None:
    on_hub.let(HubPolicy(email="{name}"))
    with pytest.raises(Forbidden, match="patient"):
        on_hub.comes(HubUser(PETER))


# ------------------------------------------------------------------ what the Hub decides
def test_groups_give_the_strongest_role_and_take_it_away(on_hub: OnHub) -> None:
    on_hub.let(HubPolicy(groups={"lab": {LAB: "viewer"}, "leads": {LAB: "manager", CARDIOLOGY: "member"}}))
    assert on_hub.account(replace(ADA, groups=frozenset({"lab", "leads"})))[2] == {LAB: "manager", CARDIOLOGY: "member"}
    assert on_hub.account(replace(ADA, groups=frozenset({"lab", "chess"})))[2] == {LAB: "viewer"}
    assert on_hub.account(ADA)[2] == {}


def test_groups_decide_about_their_organizations_only(on_hub: OnHub) -> None:
    on_hub.let(HubPolicy(email="{name}", groups={"lab": {LAB: "viewer"}}))
    before = on_hub.clinic.actor(MARK).roles
    assert on_hub.account(HubUser(MARK, groups=frozenset({"lab"})))[2] == {**before, LAB: "viewer"}


def test_an_organization_that_is_not_there_is_passed_by_and_nothing_is_written_for_it(on_hub: OnHub) -> None:
    on_hub.let(HubPolicy(groups={"lab": {29999: "viewer"}}))
    user = replace(ADA, groups=frozenset({"lab"}))
    assert on_hub.account(user)[2] == {}
    before = on_hub.written()
    on_hub.comes(user)
    assert on_hub.written() == before


def test_a_hubs_admin_is_a_superuser_only_where_the_operator_says_so(on_hub: OnHub) -> None:
    admin = replace(ADA, admin=True)
    assert not on_hub.account(admin)[1]
    on_hub.let(HubPolicy(admins=True))
    assert on_hub.account(admin)[1]
    assert on_hub.account(replace(ADA, admin=None))[1], "a Hub that does not say changes nothing"
    assert not on_hub.account(replace(ADA, admin=False))[1]


@pytest.mark.parametrize(
    "given", [{"lab": {20003: "owner"}}, {"lab": "member"}, {"lab": {"Lab": "member"}}, {"lab": [1]}]
)
def test_a_mapping_that_makes_no_sense_is_said_so(given: Any) -> None:
    with pytest.raises(ExchangeError, match="hub_groups maps a Hub group to roles"):
        groups(given)


@pytest.mark.parametrize("given", ["grace@example.org", "{username}@example.org", "{name}@{domain}"])
def test_one_address_for_everybody_would_be_one_account_for_everybody(given: str) -> None:
    with pytest.raises(ExchangeError, match="all of them would be one account"):
        HubPolicy(email=given)


# ------------------------------------------------------------------ who is gone
def test_whoever_is_gone_from_the_hub_is_out_with_all_they_had(on_hub: OnHub) -> None:
    token = on_hub.token(on_hub.comes(ADA))
    assert hub_accounts.watched(on_hub.door) == ["ada"]
    hub_accounts.seen(on_hub.door, "ada", ADA)
    assert on_hub.is_in(token)
    hub_accounts.seen(on_hub.door, "ada", None)
    assert not on_hub.is_in(token)
    assert hub_accounts.watched(on_hub.door) == []


def test_whoever_came_under_the_same_name_since_does_not_keep_the_others_tokens_alive(on_hub: OnHub) -> None:
    token = on_hub.token(on_hub.comes(ADA))
    hub_accounts.seen(on_hub.door, "ada", replace(ADA, made=AGAIN))
    assert not on_hub.is_in(token)


def test_people_the_hub_does_not_know_are_none_of_its_business(on_hub: OnHub) -> None:
    on_hub.clinic.token(MARY)
    assert hub_accounts.watched(on_hub.door) == []


def test_a_changed_group_counts_for_whoever_is_in_at_the_next_look(on_hub: OnHub) -> None:
    on_hub.let(HubPolicy(groups={"lab": {LAB: "viewer"}}))
    on_hub.comes(replace(ADA, groups=frozenset({"lab"})))
    hub_accounts.seen(on_hub.door, "ada", ADA)
    assert on_hub.account(ADA)[2] == {}


# ------------------------------------------------------------------ what an administrator says
def test_a_name_is_given_to_an_account_by_an_administrator(on_hub: OnHub) -> None:
    token = on_hub.token(on_hub.comes(ADA))
    on_hub.says(hub_users.link, "ada", ADMIN)
    assert on_hub.account(replace(ADA, made=AGAIN))[:2] == (ADMIN, True)
    assert not on_hub.is_in(token), "what the name let somebody else do has ended"
    assert on_hub.says(hub_users.known) == [("ada", ADMIN, True)]


@pytest.mark.parametrize("email", [PETER, "nobody@example.com"])
def test_a_name_is_given_to_practitioners_only(on_hub: OnHub, email: str) -> None:
    with pytest.raises(Conflict, match="No practitioner has this e-mail"):
        on_hub.says(hub_users.link, "ada", email)


def test_an_account_that_is_locked_is_locked_on_the_hub_too(on_hub: OnHub) -> None:
    user_id = on_hub.comes(ADA)
    with on_hub.clinic.database.write() as session:
        session.get_one(UserRow, user_id).disabled = True
    with on_hub.clinic.database.read() as session, pytest.raises(Unauthenticated):
        tokens.actor_of(session, user_id, "hub")
