"""The Exchange as the service of a real JupyterHub: whom it lets in by the Hub's word, and for how long."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from browsers import Browser
from conftest import ADMIN, PASSWORD, wait_for
from hubs import CARDIOLOGY, LAB, SERVICE, JupyterHub
from jupyterhealth_client import JupyterHealthClient
from sqlalchemy import text

import jhe_jupyter as jhe
from jhe_jupyter.exchange import Exchange
from jhe_jupyter.on_hub import Exchanged, HubPlace
from jhe_server import hub_users, tokens
from jhe_server.door import Door
from jhe_server.hub import Hub, ServiceAuth
from jhe_server.hub_policy import HubPolicy
from jhe_server.hub_watch import look
from jhe_server.people import UserRow
from jhe_server.settings import Settings

ACCESS = "access:services!service=jhe"
NOT_GOOD = "The Hub's token is not good here"


def me(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("api/v1/users/profile")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def roles(client: httpx.Client) -> dict[int, str]:
    return {one["id"]: one["role"] for one in me(client)["practitioner"]["organizations"]}


def ours(hub: JupyterHub, name: str) -> httpx.Client:
    """With a token of ours, exchanged for one of the Hub's."""
    answer = hub.exchanged(hub.token(name, ACCESS))
    assert answer.status_code == 200, answer.text
    return hub.with_token(answer.json()["access_token"])


def refused(answer: httpx.Response) -> None:
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == "invalid_request"
    assert answer.json()["error_description"].startswith(NOT_GOOD)


@pytest.fixture
def eve(hub: JupyterHub) -> str:
    """Somebody new on the Hub, whom nobody has made anything of yet."""
    hub.tester.delete("users/eve")
    assert hub.tester.post("users/eve").status_code == 201
    hub.change("DELETE FROM hub_user WHERE name = 'eve'")
    return "eve"


# ------------------------------------------------------------------ the Hub's tokens
def test_a_hub_token_is_exchanged_for_a_short_one_of_ours(hub: JupyterHub) -> None:
    said = hub.exchanged(hub.token("ada", ACCESS)).json()
    assert said["token_type"] == "Bearer"
    assert said["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert said["access_token"].startswith("jhe_")
    assert 0 < said["expires_in"] < 60
    assert me(hub.with_token(said["access_token"]))["lastName"] == "ada"


@pytest.mark.parametrize("scheme", ["Bearer", "token"])
def test_a_hub_token_may_be_used_as_it_is(hub: JupyterHub, scheme: str) -> None:
    assert me(hub.with_token(hub.token("ada", ACCESS), scheme))["lastName"] == "ada"


def test_a_token_made_for_something_else_on_the_hub_is_nobodys(hub: JupyterHub) -> None:
    for scopes in (["access:servers!user=ada"], ["read:users!user=ada"], ["access:services!service=outside"]):
        token = hub.token("ada", *scopes)
        refused(hub.exchanged(token))
        assert hub.with_token(token).get("api/v1/users/profile").status_code == 401


def test_a_services_own_token_is_nobodys_whatever_it_may(hub: JupyterHub) -> None:
    token = hub.tester.headers["Authorization"].removeprefix("token ")
    assert ACCESS in hub.tester.get("user").json()["scopes"], "it may come, but it is no person"
    for one in (token, SERVICE):
        refused(hub.exchanged(one))
        assert hub.with_token(one).get("api/v1/users/profile").status_code == 401


def test_a_token_that_was_revoked_is_nobodys_as_soon_as_the_hub_is_asked_again(hub: JupyterHub) -> None:
    token = hub.token("ada", ACCESS)
    assert hub.exchanged(token).status_code == 200
    hub.revoke(token)
    wait_for(lambda: hub.exchanged(token).status_code == 400, 5)
    assert hub.with_token(token).get("api/v1/users/profile").status_code == 401


def test_a_token_is_exchanged_for_what_it_is_and_nothing_else(hub: JupyterHub) -> None:
    token, id_token = hub.token("ada", ACCESS), "urn:ietf:params:oauth:token-type:id_token"
    for instead in ({"subject_token_type": id_token}, {"requested_token_type": id_token}, {"subject_token_type": ""}):
        answer = hub.exchanged(token, **instead)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    refused(hub.exchanged(""))
    assert hub.as_(None).post("o/token?subject_token=x").status_code == 400
    known = hub.as_(None).get("o/.well-known/openid-configuration").json()
    assert "urn:ietf:params:oauth:grant-type:token-exchange" in known["grant_types_supported"]


def test_the_public_client_works_with_a_hub_token_as_its_token(hub: JupyterHub) -> None:
    client = JupyterHealthClient(url=hub.address, token=hub.token("ada", ACCESS))
    assert client.get_user()["lastName"] == "ada"
    assert next(client.list_patients())["organizations"][0]["id"] == LAB


def test_the_metrics_are_for_whom_the_hub_lets_in(hub: JupyterHub) -> None:
    def scraped(token: str) -> httpx.Response:
        header = {"Authorization": f"token {token}"} if token else {}
        return httpx.get(f"{hub.root}/services/jhe/metrics", headers=header, trust_env=False)

    assert [scraped(one).status_code for one in ("", SERVICE)] == [403, 403]
    assert "jhe_requests_total" in scraped(hub.token("ada", ACCESS)).text


# ------------------------------------------------------------------ what the Hub is not asked
def test_tokens_of_ours_never_reach_the_hub(hub: JupyterHub) -> None:
    junk, before = "jhe_" + "x" * 43, hub.asked()
    for scheme in ("Bearer", "bearer", "token", "Bearer "):
        assert hub.with_token(junk, scheme).get("api/v1/users/profile").status_code == 401
    refused(hub.exchanged(junk))
    refused(hub.exchanged("jhr_" + "x" * 43))
    refused(hub.exchanged("not\r\na: token"))
    assert hub.asked() == before
    assert junk not in hub.log.read_text()


def test_whoever_tries_out_tokens_is_stopped_and_nobody_else_is(hub: JupyterHub) -> None:
    thief, before = hub.beside_the_proxy("192.0.2.66"), hub.asked()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: hub.exchanged(f"{n:032x}", thief).status_code, range(100)))
    assert set(answers) == {400, 429}
    assert hub.asked() - before < 50
    stopped = thief.get("api/v1/users/profile", headers={"Authorization": "token " + "f" * 32})
    assert (stopped.status_code, stopped.headers["Retry-After"]) == (429, "60")
    assert hub.exchanged(hub.token("ada", ACCESS)).status_code == 200


def test_a_neighbours_wrong_tokens_stop_nobody_whom_the_hub_knows(hub: JupyterHub) -> None:
    """All kernels of a machine come from one address."""
    early, ended, neighbours = hub.token("ada", ACCESS), hub.token("ada", ACCESS), hub.beside_the_proxy("192.0.2.68")
    assert [hub.exchanged(one, neighbours).status_code for one in (early, ended)] == [200, 200]
    hub.revoke(ended)
    with ThreadPoolExecutor(8) as pool:
        same = set(pool.map(lambda _: hub.exchanged("d" * 32, neighbours).status_code, range(70)))
        assert same == {400, 429}, "again and again, as a kernel does that was left behind"
        assert hub.exchanged(hub.token("bo", ACCESS), neighbours).status_code == 200, "the Hub says who it is: no guess"
        others = set(pool.map(lambda n: hub.exchanged(f"{n:032x}", neighbours).status_code, range(1000, 1040)))
    assert 429 in others
    wait_for(lambda: hub.exchanged(ended, neighbours).status_code != 200, 5)
    assert hub.exchanged(early, neighbours).status_code == 200, "asked about anew, and let in before"


def test_the_same_wrong_token_is_asked_about_once(hub: JupyterHub) -> None:
    before, client = hub.asked(), hub.beside_the_proxy("192.0.2.67")
    for _ in range(5):
        refused(hub.exchanged("e" * 32, client))
    assert hub.asked() - before <= 2


# ------------------------------------------------------------------ who somebody is
def test_somebody_new_sees_nothing_and_nobody(hub: JupyterHub, eve: str) -> None:
    client = ours(hub, eve)
    assert roles(client) == {}
    for path in ("patients", "observations", "studies"):
        assert client.get(f"api/v1/{path}").status_code == 403, path


def test_groups_of_the_hub_are_roles_and_leaving_one_counts_at_once(hub: JupyterHub, eve: str) -> None:
    assert (roles(ours(hub, "ada")), roles(ours(hub, "bo"))) == ({LAB: "manager"}, {CARDIOLOGY: "manager"})
    hub.tester.post("groups/coordinators/users", json={"users": [eve]})
    client = ours(hub, eve)
    assert roles(client) == {LAB: "member"}
    hub.tester.request("DELETE", "groups/coordinators/users", json={"users": [eve]})
    token = hub.token(eve, ACCESS)
    wait_for(lambda: hub.exchanged(token).status_code == 200 and roles(client) == {}, 5)


def test_a_hubs_admin_is_no_superuser_unless_told_so(hub: JupyterHub) -> None:
    assert hub.tester.get("users/grace").json()["admin"]
    assert me(ours(hub, "grace"))["isSuperuser"] is False


def test_a_name_that_was_given_to_somebody_else_opens_nothing(hub: JupyterHub, eve: str) -> None:
    first = me(ours(hub, eve))["id"]
    hub.tester.delete("users/eve")
    hub.tester.post("users/eve")
    token = hub.token(eve, ACCESS)
    wait_for(lambda: hub.exchanged(token).status_code == 403, 5)
    assert "somebody new" in hub.exchanged(token).json()["error_description"]
    with hub.store() as store, store.write() as session:
        hub_users.unlink(session, eve)
    assert me(ours(hub, eve))["id"] != first


def test_whoever_is_deleted_on_the_hub_is_out_whatever_they_hold(hub: JupyterHub, eve: str) -> None:
    id = me(ours(hub, eve))["id"]
    with hub.store() as store, store.write() as session:
        token, _ = tokens.issue(session, session.get_one(UserRow, id), timedelta(days=30))
    assert me(hub.with_token(token))["id"] == id
    looked(hub)
    assert me(hub.with_token(token))["id"] == id, "still there"
    hub.tester.delete("users/eve")
    looked(hub)
    assert hub.with_token(token).get("api/v1/users/profile").status_code == 401


def looked(hub: JupyterHub) -> None:
    """What the service does every twenty seconds, done now."""

    async def now() -> None:
        auth = ServiceAuth(api_url=f"http://127.0.0.1:{hub.hub_port}/hub/api", api_token=SERVICE)
        await look(Hub(auth=auth), door, asyncio.to_thread)

    with hub.store() as store:
        door = Door(store, Settings(hub=HubPolicy()))
        asyncio.run(now())


# ------------------------------------------------------------------ a kernel's connection
def test_a_connection_renews_its_token_in_silence_and_once_for_all_its_threads(hub: JupyterHub) -> None:
    ex = hub.connection("ada")
    assert "ada" in ex.get_user()["lastName"]
    count = "SELECT count(*) FROM token JOIN jhe_user ON jhe_user.id = user_id WHERE last_name = 'ada' AND via = 'hub'"
    before = counted(hub, count)
    hub.change("UPDATE token SET revoked = created WHERE via = 'hub'")
    with ThreadPoolExecutor(8) as pool:
        assert {one["lastName"] for one in pool.map(lambda _: ex.get_user(), range(16))} == {"ada"}
    assert counted(hub, count) - before <= 1


def counted(hub: JupyterHub, question: str) -> int:
    with hub.store() as store, store.read() as session:
        return int(session.scalar(text(question)) or 0)


def test_a_token_that_is_not_let_in_is_explained(hub: JupyterHub) -> None:
    place = HubPlace(hub.address, hub.token("ada", "access:servers!user=ada"))
    with pytest.raises(jhe.Unauthenticated, match="restart your server from the Hub's control panel"):
        Exchange(hub.address, "", auth=Exchanged(place)).sign_in()


def test_a_service_that_was_killed_comes_back_by_itself_and_nobody_signs_in_again(hub: JupyterHub) -> None:
    ex = hub.connection("ada")
    before = len(ex.patients_df())
    os.kill(hub.service_process(), signal.SIGKILL)
    wait_for(lambda: not hub.answers(), 10)
    wait_for(hub.answers, 60)
    assert len(ex.patients_df()) == before


# ------------------------------------------------------------------ browsers
def test_whoever_is_signed_in_to_the_hub_is_signed_in_on_our_pages_without_a_password(hub: JupyterHub) -> None:
    browser = hub.browser("bo")
    assert "Sign in with JupyterHub" in browser.get("/services/jhe/jhe/o/sign_in?next=o/account").text
    page = browser.get("/services/jhe/jhe/o/hub?next=o/account")
    assert (page.status_code, page.url.path) == (200, "/services/jhe/jhe/o/account")
    assert "bo@hub.invalid" in page.text
    assert browser.get("/services/jhe/jhe/o/hub?next=https://example.org/").url.host == "127.0.0.1"


def test_a_cookie_of_the_hub_reads_and_writes_from_our_own_pages_only(hub: JupyterHub) -> None:
    browser, api = hub.browser("bo"), "/services/jhe/jhe/api/v1/"
    assert browser.get(f"{api}users/profile").status_code == 401
    browser.get("/services/jhe/jhe/o/hub?next=o/account")
    assert browser.get(f"{api}users/profile").json()["lastName"] == "bo"
    for site in ("cross-site", "same-site"):
        assert browser.get(f"{api}users/profile", headers={"Sec-Fetch-Site": site}).status_code in (401, 403)
    body = {"name": "A study", "description": "", "organization": CARDIOLOGY}
    assert browser.post(f"{api}studies", json=body).status_code in (401, 403)
    with_junk = browser.get(f"{api}users/profile", headers={"Authorization": "Bearer jhe_" + "x" * 43})
    assert with_junk.status_code == 401, "a bad bearer never falls back to a cookie"


def test_the_front_page_leads_to_the_portal_of_ones_own_server(hub: JupyterHub) -> None:
    page = httpx.get(f"{hub.address}/", trust_env=False).text
    assert re.findall(r'href="([^"]+)"', page) == ["/hub/user-redirect/jhe/portal"]


# ------------------------------------------------------------------ those who are not the Hub's
def test_a_patients_phone_is_let_in_as_anywhere(hub: JupyterHub) -> None:
    ada = ours(hub, "ada")
    patient = ada.get("api/v1/patients", params={"search": "Quiana"}).json()["results"][0]
    link = ada.post("api/v1/invitation", json={"patientId": patient["id"], "clientId": 1}).json()["invitationLink"]
    app = jhe.as_patient(link, hub.address)
    assert app.me["id"] == patient["id"]


def test_what_a_phone_asks_of_the_host_is_below_the_service_as_well(hub: JupyterHub) -> None:
    root = f"{hub.root}/services/jhe"
    for path, status in (("api/v1/patients/me", 401), ("FHIR/R5/metadata", 200), ("o/.well-known/jwks.json", 200)):
        assert httpx.get(f"{root}/{path}", trust_env=False).status_code == status, path


def test_an_account_of_ours_signs_in_with_its_password(hub: JupyterHub) -> None:
    browser = Browser(hub)  # type: ignore[arg-type]
    browser.open("o/sign_in")
    browser.submit("sign_in", email=ADMIN, password=PASSWORD)
    assert f"Signed in as {ADMIN}" in browser.text
