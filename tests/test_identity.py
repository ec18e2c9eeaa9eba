"""Who a Jupyter server's callers are to the Exchange: its one owner by token or cookie, and nobody by anything else."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MARY, Clinic, Exchange, _fresh, wait_for
from jupyter_client import BlockingKernelClient
from jupyters import TOKEN, Jupyter

from jhe_server import tokens
from jhe_server.errors import Unauthenticated

PATIENTS = "jhe/api/v1/patients"
NEW = {"telecomEmail": "new@example.org", "nameFamily": "New", "nameGiven": "Ada", "birthDate": "1980-01-01",
       "organizationId": 20003}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laptop")


@pytest.fixture(scope="module")
def store_address(request: pytest.FixtureRequest, folder: Path) -> str:
    return _fresh(request, "sqlite", folder)


@pytest.fixture(scope="module")
def laptop(store_address: str, folder: Path) -> Iterator[Jupyter]:
    """A laptop's server as it comes."""
    server = Jupyter(store_address, folder, "--ExchangeApp.cors_origins=https://app.example.org")
    yield server
    server.close()


@pytest.fixture(scope="module")
def browser(laptop: Jupyter) -> httpx.Client:
    return laptop.browser()


@pytest.fixture(scope="module")
def mary_token(store_address: str, folder: Path) -> Iterator[str]:
    clinic = Clinic(store_address, folder)
    yield clinic.token(MARY)
    clinic.close()


def owner(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def nobody(answer: httpx.Response) -> None:
    assert answer.status_code == 401, (answer.status_code, answer.text[:300])
    assert answer.json() == {"detail": "Authentication credentials were not provided."}
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


# ------------------------------------------------------------------ the owner
@pytest.mark.parametrize("scheme", ["token", "Bearer"])
def test_jupyters_token_is_the_owner_a_superuser_below_the_first_id(laptop: Jupyter, scheme: str) -> None:
    profile = owner(laptop.client(Authorization=f"{scheme} {TOKEN}").get("jhe/api/v1/users/profile"))
    assert profile["isSuperuser"] is True
    assert profile["id"] < 10001


def test_the_owner_may_write_by_token_without_a_cookie(laptop: Jupyter) -> None:
    client = laptop.client(Authorization=f"token {TOKEN}")
    made = client.post(PATIENTS, json=NEW)
    assert made.status_code == 201
    assert client.delete(f"{PATIENTS}/{made.json()['id']}").status_code == 204


def test_a_browser_session_reads(browser: httpx.Client) -> None:
    assert owner(browser.get(PATIENTS))["count"] == 5


def test_a_browser_session_writes_only_with_its_xsrf_token_and_from_our_own_pages(
    laptop: Jupyter, browser: httpx.Client
) -> None:
    body = {"nameFamily": "Browser"}
    xsrf, own = {"X-XSRFToken": browser.cookies["_xsrf"]}, {"Origin": laptop.base.rstrip("/")}
    for headers in ({}, own, {"X-XSRFToken": "wrong"}, xsrf | {"Origin": "https://evil.example.org"}):
        refused = browser.patch(f"{PATIENTS}/40001", json=body, headers=headers)
        assert refused.status_code == 403, headers
        assert refused.headers["Content-Type"] == "application/json"
    assert browser.get(f"{PATIENTS}/40001").json()["nameFamily"] == "Petersen"
    assert browser.patch(f"{PATIENTS}/40001", json=body, headers=xsrf | own).status_code == 200
    assert browser.patch(f"{PATIENTS}/40001", json={"nameFamily": "Petersen"}, headers=xsrf).status_code == 200


def test_the_guides_get_that_writes_is_not_for_browser_sessions(laptop: Jupyter, browser: httpx.Client) -> None:
    path = f"{PATIENTS}/40001/invitation_link"
    assert browser.get(path).status_code == 403
    assert browser.post(path, headers={"X-XSRFToken": browser.cookies["_xsrf"]}).status_code == 200
    assert owner(laptop.client(Authorization=f"token {TOKEN}").get(path))["invitationLink"]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_reads_nothing_through_a_browser_session(browser: httpx.Client, site: str) -> None:
    assert browser.get(PATIENTS, headers={"Sec-Fetch-Site": site}).status_code == 403
    assert browser.get(PATIENTS, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert browser.get(PATIENTS, headers={"Sec-Fetch-Site": "none"}).status_code == 200


# ------------------------------------------------------------------ nobody
def test_without_a_credential_nobody_is_there(laptop: Jupyter) -> None:
    nobody(laptop.client().get(PATIENTS))
    nobody(laptop.client().post(PATIENTS, json=NEW))


@pytest.mark.parametrize(
    "authorization", ["Bearer jhe_wrong", "Bearer wrong", "token wrong", f"Basic {TOKEN}", "Bearer", "nonsense"]
)
def test_a_bad_credential_never_falls_back_to_the_cookie(browser: httpx.Client, authorization: str) -> None:
    nobody(browser.get(PATIENTS, headers={"Authorization": authorization}))


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_a_token_in_the_address_is_refused(laptop: Jupyter, browser: httpx.Client, name: str) -> None:
    for client in (laptop.client(), browser):
        assert client.get(PATIENTS, params={name: TOKEN}).status_code == 400
    nobody(laptop.client().get(PATIENTS))


@pytest.mark.parametrize("host", ["evil.example.org", "evil.example.org:8888", "127.0.0.1.evil.example.org"])
def test_another_host_name_is_refused_whoever_asks(laptop: Jupyter, browser: httpx.Client, host: str) -> None:
    """What DNS rebinding looks like: the right address, the cookie, and a name that is not ours."""
    for client in (browser, laptop.client(Authorization=f"token {TOKEN}")):
        for path in (PATIENTS, "jhe/health", "jhe/FHIR/R5/metadata"):
            assert client.get(path, headers={"Host": host}).status_code == 403
    assert browser.get(PATIENTS, headers={"Host": f"localhost:{laptop.port}"}).status_code in (200, 401)


def test_our_own_token_says_who_asks_even_beside_the_owners_cookie(browser: httpx.Client, mary_token: str) -> None:
    profile = owner(browser.get("jhe/api/v1/users/profile", headers={"Authorization": f"Bearer {mary_token}"}))
    assert (profile["email"], profile["isSuperuser"]) == (MARY, False)


# ------------------------------------------------------------------ other sites' pages
def test_only_allowed_origins_may_call_with_bearer_tokens(laptop: Jupyter, mary_token: str) -> None:
    client = laptop.client(Authorization=f"Bearer {mary_token}")
    allowed = client.get(PATIENTS, headers={"Origin": "https://app.example.org"})
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    assert "Origin" in allowed.headers["Vary"]
    for origin in ("https://evil.example.org", "https://app.example.org.evil.org", "null", "http://app.example.org"):
        assert "Access-Control-Allow-Origin" not in client.get(PATIENTS, headers={"Origin": origin}).headers


def test_a_refusal_carries_the_headers_a_browser_needs_to_show_it(laptop: Jupyter) -> None:
    refused = laptop.client().get(PATIENTS, headers={"Origin": "https://app.example.org"})
    nobody(refused)
    assert refused.headers["Access-Control-Allow-Origin"] == "https://app.example.org"


def test_a_preflight_is_answered_for_allowed_origins_only(laptop: Jupyter) -> None:
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    said = laptop.client().options(PATIENTS, headers=asking | {"Origin": "https://app.example.org"})
    assert said.status_code == 204
    assert "POST" in said.headers["Access-Control-Allow-Methods"]
    assert "authorization" in said.headers["Access-Control-Allow-Headers"].lower()
    other = laptop.client().options(PATIENTS, headers=asking | {"Origin": "https://evil.example.org"})
    assert "Access-Control-Allow-Origin" not in other.headers


# ------------------------------------------------------------------ kernels
def kernel_says(laptop: Jupyter, code: str) -> str:
    """What a kernel of this server prints."""
    client = laptop.client(Authorization=f"token {TOKEN}")
    kernel = client.post("api/kernels", json={"name": "python3"}).json()["id"]
    talking = BlockingKernelClient(connection_file=str(laptop.runtime / f"kernel-{kernel}.json"))
    talking.load_connection_file()
    talking.start_channels()
    said: list[str] = []
    try:
        talking.wait_for_ready(timeout=60)

        def heard(message: dict[str, Any]) -> None:
            said.append(message["content"].get("text") or str(message["content"].get("traceback", "")))

        talking.execute_interactive(code, timeout=60, output_hook=heard)
    finally:
        talking.stop_channels()
        client.delete(f"api/kernels/{kernel}")
    return "".join(said)


def test_a_kernel_finds_the_exchange_and_a_token_of_the_owners(laptop: Jupyter) -> None:
    said = kernel_says(
        laptop,
        "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('JHE_')}))",
    )
    found = json.loads(said)
    assert found["JHE_URL"] in (f"http://{host}:{laptop.port}/jhe" for host in ("127.0.0.1", "localhost"))
    assert found["JHE_TOKEN"].startswith("jhe_")
    assert found["JHE_TOKEN"] != TOKEN
    profile = owner(laptop.client(Authorization=f"Bearer {found['JHE_TOKEN']}").get("jhe/api/v1/users/profile"))
    assert profile["isSuperuser"] is True
    file = Path(found["JHE_TOKEN_FILE"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() == found["JHE_TOKEN"]


def test_a_kernel_needs_no_configuration_for_our_client_or_the_public_one(laptop: Jupyter) -> None:
    said = kernel_says(
        laptop,
        "import jhe_jupyter as jhe; from jupyterhealth_client import JupyterHealthClient\n"
        "print(jhe.connect()); print(JupyterHealthClient().get_user()['email'])",
    )
    assert said.splitlines() == [f"<Exchange http://localhost:{laptop.port}/jhe as owner@localhost>", "owner@localhost"]


def test_the_lent_token_ends_with_the_server(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    address = _fresh(request, "sqlite", tmp_path)
    server = Jupyter(address, tmp_path)
    try:
        wait_for(lambda: bool(list(server.runtime.glob("jhe-*.token"))), 20)
        [file] = server.runtime.glob("jhe-*.token")
        headers = {"Authorization": f"Bearer {file.read_text().strip()}"}
        assert server.client(**headers).get("jhe/api/v1/users/profile").status_code == 200
    finally:
        server.close()
    assert not file.exists()
    clinic = Clinic(address, tmp_path)
    with clinic.database.read() as session, pytest.raises(Unauthenticated):
        tokens.actor(session, headers["Authorization"].removeprefix("Bearer "))
    clinic.close()


# ------------------------------------------------------------------ other servers
def test_a_server_without_any_token_has_no_owner(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Jupyter calls everybody a user there; the Exchange still wants to know who asks."""
    address = _fresh(request, "sqlite", tmp_path)
    server = Jupyter(address, tmp_path, "--ServerApp.allow_unauthenticated_access=True", token="")
    try:
        nobody(server.client().get(PATIENTS))
        nobody(server.client(Authorization="token anything").get(PATIENTS))
        assert server.client().get("jhe/health").status_code == 200
        clinic = Clinic(address, tmp_path)
        client = server.client(Authorization=f"Bearer {clinic.token(MARY)}")
        clinic.close()
        assert client.get(PATIENTS).status_code == 200
        assert client.patch(f"{PATIENTS}/40001", json={"nameFamily": "New"}).status_code == 200
    finally:
        server.close()


PROVIDER = '''
"""An identity provider that knows several people, each by a header."""
from jupyter_server.auth.identity import IdentityProvider, User


class Several(IdentityProvider):
    def get_user(self, handler):
        name = handler.request.headers.get("X-Person")
        return User(username=name) if name else None
'''


def test_the_people_of_another_identity_provider_are_not_the_owner(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    (tmp_path / "several.py").write_text(PROVIDER)
    address = _fresh(request, "sqlite", tmp_path)
    server = Jupyter(
        address,
        tmp_path,
        "--ServerApp.identity_provider_class=several.Several",
        "--ServerApp.allow_unauthenticated_access=False",
        PYTHONPATH=f"{tmp_path}:{Path(__file__).parent.parent}",
    )
    try:
        eve = server.client(X_Person="eve")
        assert eve.get("api/status").status_code == 200
        nobody(eve.get(PATIENTS))
        nobody(server.client().get(PATIENTS))
        assert server.client().get("jhe/health").status_code == 200
        clinic = Clinic(address, tmp_path)
        eve_with_marys_token = server.client(X_Person="eve", Authorization=f"Bearer {clinic.token(MARY)}")
        clinic.close()
        assert eve_with_marys_token.get("jhe/api/v1/users/profile").json()["email"] == MARY
    finally:
        server.close()


def test_a_users_server_on_a_hub_hosts_no_exchange(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'never.sqlite'}"
    server = Jupyter(address, tmp_path, JUPYTERHUB_USER="megan")
    try:
        client = server.client(Authorization=f"token {TOKEN}")
        for path in (PATIENTS, "jhe/health", "jhe/FHIR/R5/metadata", "jhe"):
            assert client.get(path).status_code == 404
        assert not (tmp_path / "never.sqlite").exists()
        assert not list(server.runtime.glob("jhe-*.token"))
    finally:
        server.close()


# ------------------------------------------------------------------ alone
def jupyters_token(exchange: Exchange) -> str:
    """What Jupyter made for itself, as only the account that runs the server can read it."""
    [said] = (exchange.folder / "home" / "runtime").glob("jpserver-*.json")
    return str(json.loads(said.read_text())["token"])


def test_alone_the_start_says_where_it_is_and_how_one_gets_in(shared_exchange: Exchange) -> None:
    """Jupyter would print an address with a token in it, which opens nothing here."""
    said = shared_exchange.log.read_text()
    assert f"The JupyterHealth Exchange is at http://localhost:{shared_exchange.port}/jhe" in said
    assert f"jupyter jhe login http://localhost:{shared_exchange.port}/jhe" in said
    assert "jupyter jhe user add" in said
    assert "?token=" not in said
    assert jupyters_token(shared_exchange) not in said


@pytest.mark.parametrize(
    "path",
    ["api/kernels", "api/contents", "api/terminals", "api/sessions", "files/x", "lab", "tree", "nbconvert/html/x"],
)
def test_alone_there_are_no_kernels_files_or_pages(shared_exchange: Exchange, path: str) -> None:
    token = jupyters_token(shared_exchange)
    root = f"http://127.0.0.1:{shared_exchange.port}/{path}"
    assert httpx.get(root, headers={"Authorization": f"token {token}"}, trust_env=False).status_code == 404


def test_alone_jupyters_own_token_is_nobody(shared_exchange: Exchange) -> None:
    token = jupyters_token(shared_exchange)
    for scheme in ("token", "Bearer"):
        nobody(shared_exchange.as_(None).get("api/v1/patients", headers={"Authorization": f"{scheme} {token}"}))


def test_alone_the_front_page_says_so(shared_exchange: Exchange) -> None:
    for path in ("", "jhe", "jhe/"):
        page = httpx.get(f"http://127.0.0.1:{shared_exchange.port}/{path}", trust_env=False)
        assert page.status_code == 200
        assert "no kernels and no portal" in page.text
