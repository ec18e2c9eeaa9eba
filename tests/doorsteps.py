"""At the door of a served clinic: a client for every kind of caller, and what a call of each has to come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from conftest import ADMIN, Exchange
from contract_table import CALLERS, DISABLED, LIST, MAY, ROLELESS, expected
from example_things import LAB, Example, Things
from sqlalchemy import select

from jhe_server import api, audit, changes, fhir_api, oauth_api, tokens
from jhe_server.audit import AuditRow
from jhe_server.people import by_email
from jhe_server.routes import Route

SERVED = [*api.ROUTES, *fhir_api.ROUTES, *oauth_api.KNOWN]
ROUTES = {f"{route.method} {route.path}": route for route in SERVED}
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


def opened(exchange: Exchange) -> Doorstep:
    """Everybody with their tokens, and what the seed has not."""
    superuser = exchange.as_(ADMIN)
    doorstep = Doorstep(exchange, {"superuser": superuser})
    _prepare(Things(superuser))
    for kind, caller in CALLERS.items():
        doorstep.clients[kind] = exchange.as_(None)
        if caller.email is not None:
            token = _TOKENS.get(kind, Exchange.token)(exchange, caller.email)
            doorstep.clients[kind].headers["Authorization"] = f"Bearer {token}"
            doorstep.users[kind] = exchange.actor(caller.email).user_id
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


def check(doorstep: Doorstep, example: Example, kind: str) -> None:
    """One call by one caller: its status, what it says, what it leaves in the change feed and in the audit."""
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
