"""The role matrix: every route × every kind of caller, over HTTP, against the table in `contract_table.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from conftest import ADMIN, Exchange
from contract_table import ALL, ANYBODY, CALLERS, DISABLED, LIST, MAY, ROLELESS, expected
from example_calls import EXAMPLES
from example_things import LAB, Example, Things, answers, bundle
from sqlalchemy import select

from jhe_server import api, audit, changes, fhir_api, oauth_api, tokens
from jhe_server.audit import AuditRow
from jhe_server.people import by_email
from jhe_server.routes import Route

SERVED = [*api.ROUTES, *fhir_api.ROUTES, *oauth_api.KNOWN]
ROUTES = {f"{route.method} {route.path}": route for route in SERVED}
FORBIDDEN = "You do not have permission to perform this action."
UNKNOWN = "Authentication credentials were not provided."


@dataclass
class Doorstep:
    """A served clinic, a client for each kind of caller, and who each of them is."""

    exchange: Exchange
    clients: dict[str, httpx.Client]
    users: dict[str, int] = field(default_factory=dict)

    @property
    def superuser(self) -> httpx.Client:
        return self.clients["superuser"]

    def head(self) -> int:
        with self.exchange.database.read() as session:
            return changes.head(session)

    def last_row(self) -> int:
        with self.exchange.database.read() as session:
            return audit.head(session)[0]

    def audited(self, after: int) -> list[AuditRow]:
        """The rows written since, but for those that count strangers, which come when a minute is over."""
        rows = select(AuditRow).where(AuditRow.seq > after, AuditRow.verb != "strangers")
        with self.exchange.database.read() as session:
            return list(session.scalars(rows.order_by(AuditRow.seq)))


@pytest.fixture(scope="module")
def doorstep(shared_exchange: Exchange) -> Doorstep:
    superuser = shared_exchange.as_(ADMIN)
    doorstep = Doorstep(shared_exchange, {"superuser": superuser})
    _prepare(Things(superuser))
    for kind, caller in CALLERS.items():
        doorstep.clients[kind] = shared_exchange.as_(None)
        if caller.email is not None:
            token = _TOKENS.get(kind, Exchange.token)(shared_exchange, caller.email)
            doorstep.clients[kind].headers["Authorization"] = f"Bearer {token}"
            doorstep.users[kind] = shared_exchange.actor(caller.email).user_id
    account = _account(superuser, DISABLED)
    superuser.patch(f"api/v1/practitioners/{account['id']}", json={"disabled": True}).raise_for_status()
    return doorstep


def _prepare(things: Things) -> None:
    """What the seed has not: a practitioner without a role, a manager to disable, and standing things to name."""
    for email in (ROLELESS, DISABLED):
        things.post("practitioners", email=email, firstName="A", lastName="B")
    disabled = _account(things.superuser, DISABLED)["jheUserId"]
    things.post(f"organizations/{LAB}/user", jheUserId=disabled, organizationPractitionerRole="manager")
    invitation = things.post("invitation", patientId=40001, clientId=1)["id"]
    observation = things.new_observation_id()
    standing = {"invitation_id": invitation, "observation_id": observation, "colleague_id": things.new_colleague_id()}
    Things.standing = Things.standing | standing


def _account(superuser: httpx.Client, email: str) -> dict[str, Any]:
    found = superuser.get("api/v1/practitioners", params={"search": email}).json()["results"]
    return dict(found[0])


def _expired(exchange: Exchange, email: str) -> str:
    return exchange.token(email, timedelta(seconds=-1))


def _revoked(exchange: Exchange, email: str) -> str:
    with exchange.database.write() as session:
        user = by_email(session, email)
        assert user is not None
        token, id = tokens.issue(session, user, timedelta(hours=1))
        tokens.revoke(session, id)
        return token


_TOKENS: dict[str, Callable[[Exchange, str], str]] = {"expired-token": _expired, "revoked-token": _revoked}


def test_every_route_has_an_example_and_every_example_a_route() -> None:
    assert {example.route for example in EXAMPLES} == set(ROUTES)
    assert {example.may for example in EXAMPLES} == set(MAY)


@pytest.mark.parametrize("kind", CALLERS)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_call_answers_every_caller_as_the_contract_says(doorstep: Doorstep, example: Example, kind: str) -> None:
    route, caller, client = ROUTES[example.route], CALLERS[kind], doorstep.clients[kind]
    status = expected(example.may, example.about, caller, example.answer or route.status, example.hidden)
    done = status < 300
    things = Things(doorstep.superuser, example.fresh if done else ())
    if done and example.before:
        example.before(client, things)
    head, last = doorstep.head(), doorstep.last_row()
    answer = example.send(client, things)
    assert answer.status_code == status, answer.text
    rows = doorstep.audited(last)
    if not done:
        _said_why(example, answer)
        assert doorstep.head() == head, "a refusal changes nothing"
    else:
        assert (doorstep.head() > head) == route.changes, "every write, and nothing else, moves the change feed"
        if example.about == LIST and caller.here not in MAY[example.may]:
            assert _listed(answer.json()) == [], "a list from elsewhere holds nothing"
    _left_its_row(route, doorstep.users.get(kind), status, rows)


def _said_why(example: Example, answer: httpx.Response) -> None:
    said = answer.json()
    text = said["issue"][0]["details"]["text"] if example.is_fhir else said[example.says_why]
    assert example.root != "api/v1" or set(said) == {"detail"}
    if answer.status_code == 401:
        assert text == UNKNOWN
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    elif answer.status_code == 404:
        assert text == "Not found."


def _listed(said: dict[str, Any]) -> list[Any]:
    """The rows of a page or of a Bundle, whose count has to agree."""
    rows = list(said.get("results", said.get("entry", [])))
    assert said.get("count", said.get("total")) == len(rows)
    return rows


def _left_its_row(route: Route, user_id: int | None, status: int, rows: list[AuditRow]) -> None:
    """Strangers are counted by the minute; everybody else leaves one row for a refusal and for what is audited."""
    if status == 401 or (status < 300 and not route.audited):
        assert rows == []
        return
    [row] = rows
    if route.public:
        assert (row.verb, row.outcome, row.via) == (route.name, "ok", "oauth"), "whoever the secret was given to"
        return
    outcome = "ok" if status < 300 else "invalid" if status == 400 else "denied"
    assert (row.actor_id, row.verb, row.outcome, row.via) == (user_id, route.name, outcome, "token")


def test_the_profile_says_what_the_matrix_says(doorstep: Doorstep) -> None:
    """Permissions are computed from the same rules, so a panel never offers what the server refuses."""
    told: dict[str, set[str]] = {}
    for role in ("viewer", "member", "manager"):
        told[role] = set(doorstep.clients[role].get("api/v1/users/profile").json()["permissions"][str(LAB)])
    for example in EXAMPLES:
        if example.about in (ALL, ANYBODY) or example.says:
            continue
        verb = ROUTES[example.route].name
        assert {role for role in told if verb in told[role]} == MAY[example.may] & set(told), verb


def test_a_batch_refuses_its_entries_one_by_one(doorstep: Doorstep) -> None:
    """Whoever may upload somewhere is answered a Bundle, each entry with the status the call alone would have had."""
    for kind, status in {"manager": "201", "viewer-here-manager-elsewhere": "403", "manager-elsewhere": "400"}.items():
        answer = doorstep.clients[kind].post("FHIR/R5", json=bundle(40001, "batch"))
        assert answer.status_code == 200
        assert answer.json()["entry"][0]["response"]["status"].startswith(status), kind


def test_nothing_a_body_says_gives_what_another_verb_guards(doorstep: Doorstep) -> None:
    member, manager = doorstep.clients["member"], doorstep.clients["manager"]
    for client, path, body in [
        (member, "patients/40001", {"jheUserId": 10001}),
        (member, "patients/40001", {"organizationId": 20007}),
        (member, "studies/30001", {"organization": 20007}),
        (doorstep.superuser, "practitioners/80003", {"isSuperuser": True}),
    ]:
        answer = client.patch(f"api/v1/{path}", json=body)
        assert answer.status_code == 400, answer.text
        assert list(answer.json()["errors"].values()) == [["is not a field of this call"]]
    assert manager.patch(f"api/v1/organizations/{LAB}", json={"partOf": 20007}).status_code == 403
    assert manager.patch(f"api/v1/organizations/{LAB}", json={"partOf": 0}).status_code == 403


def test_a_role_is_not_inherited_down_the_tree(doorstep: Doorstep) -> None:
    """A new sub-organization of the lab is none of its member's business, nor of the manager's who did not make it."""
    child = Things(doorstep.superuser).new_organization_id()
    for kind in ("member", "viewer", "manager"):
        client = doorstep.clients[kind]
        assert client.get(f"api/v1/organizations/{child}").status_code == 404
        body = {"telecomEmail": "x@example.org", "nameFamily": "X", "nameGiven": "Y", "birthDate": "1990-01-01"}
        assert client.post("api/v1/patients", json=body | {"organizationId": child}).status_code == 403


def test_a_patient_answers_for_nobody_else_in_a_study_they_share(doorstep: Doorstep) -> None:
    answer = doorstep.clients["another-patient"].post("api/v1/patients/40001/consents", json=answers(consented=True))
    assert answer.status_code == 404


def test_refusals_of_strangers_are_counted_in_one_row_a_minute(sqlite_exchange: Exchange) -> None:
    """A row each would let anybody fill the disk; the count is written when the minute is over, or the server stops."""
    stranger = sqlite_exchange.as_(None)
    for path in ["api/v1/patients", "api/v1/patients/40001", "FHIR/R5/Observation"] * 7:
        assert stranger.get(path).status_code == 401
    sqlite_exchange.stop()
    with sqlite_exchange.database.read() as session:
        rows = list(session.scalars(select(AuditRow).where(AuditRow.verb == "strangers")))
    assert 1 <= len(rows) <= 2  # the minute may have turned meanwhile
    assert sum(row.count for row in rows) == 21
    assert {(row.actor_id, row.outcome, row.address) for row in rows} == {(None, "denied", "127.0.0.1")}


def test_a_token_ends_with_the_account_it_was_made_for(doorstep: Doorstep) -> None:
    for kind in ("disabled-manager", "revoked-token", "expired-token"):
        answer = doorstep.clients[kind].get("api/v1/users/profile")
        assert (answer.status_code, answer.json()) == (401, {"detail": UNKNOWN})
    assert CALLERS["revoked-token"].email == CALLERS["manager"].email, "the same person's good token works meanwhile"
    assert doorstep.clients["manager"].get("api/v1/users/profile").status_code == 200
