"""The role matrix: every route × every kind of caller, over HTTP, against the table in `contract_table.py`."""

from __future__ import annotations

import pytest
from conftest import Exchange
from contract_table import ALL, ANYBODY, CALLERS, MAY
from doorsteps import ROUTES, UNKNOWN, Doorstep, check, opened
from example_calls import EXAMPLES
from example_things import LAB, Example, Things, answers, bundle
from sqlalchemy import select

from jhe_server.audit import AuditRow


@pytest.fixture(scope="module")
def doorstep(shared_exchange: Exchange) -> Doorstep:
    return opened(shared_exchange)


def test_every_route_has_an_example_and_every_example_a_route() -> None:
    assert {example.route for example in EXAMPLES} == set(ROUTES)
    assert {example.may for example in EXAMPLES} == set(MAY)


@pytest.mark.parametrize("kind", CALLERS)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_call_answers_every_caller_as_the_contract_says(doorstep: Doorstep, example: Example, kind: str) -> None:
    check(doorstep, example, kind)


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
