"""A real JupyterHub on loopback, configured by the example we ship, its Exchange on PostgreSQL; and its people."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from conftest import PASSWORD as EXCHANGE_PASSWORD
from conftest import environment, free_port, wait_for
from jupyters import EXTENSIONS
from sqlalchemy import text

from jhe_jupyter.exchange import Exchange
from jhe_jupyter.on_hub import Exchanged, HubPlace
from jhe_server import demo, seed
from jhe_server.db import Database
from jhe_server.opened import open_store
from jhe_server.operator import recorded

EXAMPLE = Path(__file__).parent.parent / "examples" / "jupyterhub"
PASSWORD, TESTER, SERVICE, OUTSIDE = "the Hub's password", *(secrets.token_hex(16) for _ in range(3))
# What an institution would decide for itself, and this machine's addresses; all else is the example's.
CONFIGURATION = """
import sys
load_subconfig({example!r})
c.JupyterHub.public_url = c.JupyterHub.bind_url = "http://127.0.0.1:{port}/"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.authenticator_class, c.JupyterHub.spawner_class = "dummy", "simple"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allowed_users = set({users!r})
c.JupyterHub.load_groups = {groups!r}
c.SimpleLocalProcessSpawner.home_dir_template = {home!r}
c.Spawner.cmd, c.Spawner.args = [sys.executable, "-m", "jupyterhub.singleuser"], ["--allow-root"]
c.Spawner.environment = {environment!r}
c.Spawner.start_timeout = c.Spawner.http_timeout = 60
c.JupyterHub.services[0].update(
    api_token={service_token!r}, url="http://127.0.0.1:{service_port}", command={command!r}, environment={service!r}
)
c.JupyterHub.services.append({{"name": "tester", "api_token": {tester!r}}})
c.JupyterHub.load_roles.append({{"name": "tester", "services": ["tester"], "scopes": {scopes!r}}})
c.JupyterHub.services.append(  # nobody has to wait for it
    {{"name": "outside", "api_token": {outside!r}, "url": "http://127.0.0.1:{outside_port}", "timeout": 1}}
)
c.JupyterHub.load_roles.append({{"name": "also", "users": {users!r}, "scopes": ["access:services!service=outside"]}})
"""
GROUPS = {"wearables": ["ada"], "cardiology": ["bo"], "coordinators": ["mary"]}
LAB, CARDIOLOGY, WEEK = 20003, 20005, 7
ROLES = {"wearables": {LAB: "manager"}, "cardiology": {CARDIOLOGY: "manager"}, "coordinators": {LAB: "member"}}
# A second lab of the same name in another organization, with twenty people of its own.
ANOTHER_LAB = (
    f"UPDATE organization SET name = 'Wearables Lab' WHERE id = {CARDIOLOGY}",
    f"UPDATE study SET organization_id = {CARDIOLOGY} WHERE name = 'CGM and blood pressure at home'",
    f"""UPDATE patient_organization SET organization_id = {CARDIOLOGY} WHERE patient_id IN (SELECT patient_id
        FROM study_patient JOIN study ON study.id = study_id WHERE study.organization_id = {CARDIOLOGY})""",
    "UPDATE patient_identifier SET value = 'HEART-' || value WHERE value LIKE 'DEMO-%'",
    f"""UPDATE jhe_user SET email = 'heart.' || email, email_key = 'heart.' || email_key WHERE id IN (SELECT
        patient.user_id FROM patient JOIN patient_organization ON patient.id = patient_id
        WHERE organization_id = {CARDIOLOGY})""",
)
# A minute is long for a test: the Hub's answers are fresh for a second, and a token of ours is good for thirteen.
SHORT = ("c.ServiceAuth.cache_max_age = 1", "c.ExchangeApp.lifetimes = {'hub_seconds': 13}")
TESTING = ["admin:users", "admin:servers", "tokens", "groups", "access:services!service=jhe"]


def two_labs(address: str, folder: Path, proxy: list[str]) -> Iterator[JupyterHub]:
    """A Hub on a database with two labs and a demo study in each; the data is written while the Hub starts."""
    hub = JupyterHub(
        address, folder, proxy, GROUPS, f"c.ExchangeApp.hub_groups = {ROLES}", "c.ExchangeApp.at_root = True", *SHORT
    )
    try:
        _fill(open_store(address))
        hub.wait()
        yield hub
    finally:
        hub.close()


def _fill(store: Database) -> None:
    """The seeded clinic and two demo studies of a week."""
    with recorded(store, "seed.plant") as session:
        seed.plant(session, EXCHANGE_PASSWORD)
    with recorded(store, "demo.load") as session:
        demo.load(session, days=WEEK)
        for statement in ANOTHER_LAB:
            session.execute(text(statement))
        session.expire_all()
        demo.load(session, days=WEEK)
    store.close()


class JupyterHub:
    """One Hub with its proxy and its Exchange; `tester` is a client of the Hub's API that may do everything."""

    def __init__(self, database: str, folder: Path, proxy: list[str], groups: dict[str, list[str]], *lines: str):
        self.folder, self.database = folder, database
        self.port, self.hub_port, self.service_port, self.outside_port = (free_port() for _ in range(4))
        self.root = f"http://127.0.0.1:{self.port}"
        self.address = f"{self.root}/services/jhe/jhe"
        self.log = folder / "hub.log"
        self.clients: list[httpx.Client] = []
        env = {**environment(folder), "MPLCONFIGDIR": str(folder / "mpl")}
        self._write(database, proxy, groups, lines, env)
        command = [sys.executable, "-m", "jupyterhub", "--config", str(folder / "hub_config.py")]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self.tester = self._client(f"{self.root}/hub/api/", Authorization=f"token {TESTER}")
        self._ids: dict[str, str] = {}

    def wait(self) -> None:
        """Until the Exchange answers through the Hub's proxy."""
        wait_for(self.answers, 90, lambda: self.log.read_text()[-3000:])

    def _write(self, database: str, proxy: list[str], groups: dict[str, list[str]], lines: Any, env: Any) -> None:
        people = sorted({name for names in groups.values() for name in names} | {"grace"})
        extensions = self.folder / "config" / "jupyter_server_config.d" / "jhe_server.json"
        extensions.parent.mkdir(parents=True)
        extensions.write_text(json.dumps({"ServerApp": {"jpserver_extensions": EXTENSIONS}}))
        kept = {name: env[name] for name in ("PYTHONPATH", "MPLCONFIGDIR")}
        text = CONFIGURATION.format(
            example=str(EXAMPLE / "jupyterhub_config.py"),
            port=self.port,
            hub_port=self.hub_port,
            proxy_port=free_port(),
            service_port=self.service_port,
            proxy=proxy,
            password=PASSWORD,
            users=people,
            groups={group: {"users": names} for group, names in groups.items()},
            home=str(self.folder / "{username}"),
            environment={
                **kept,
                "JUPYTER_CONFIG_PATH": str(self.folder / "config"),
                "JUPYTERHUB_SINGLEUSER_APP": "jupyter-server",
            },
            command=[sys.executable, "-m", "jhe_server", f"--config={self.folder / 'jupyter_jhe_config.py'}"],
            service={**kept, "HOME": str(self.folder)},
            tester=TESTER,
            outside=OUTSIDE,
            outside_port=self.outside_port,
            service_token=SERVICE,
            scopes=TESTING,
        )
        (self.folder / "hub_config.py").write_text(text)
        said = "\n".join([f"c.ExchangeApp.database = {database!r}", *lines])
        (self.folder / "jupyter_jhe_config.py").write_text(said)

    def answers(self) -> bool:
        """The service first: a page that is not there yet costs the Hub, which is starting, an error page."""
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            httpx.get(f"http://127.0.0.1:{self.service_port}/", timeout=5, trust_env=False)
            return httpx.get(f"{self.address}/health", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def change(self, *statements: str) -> None:
        """Write into the Exchange's database, past the Exchange."""
        with self.store() as store, store.write() as session:
            for statement in statements:
                session.execute(text(statement))

    @contextmanager
    def store(self) -> Iterator[Database]:
        store = Database(self.database)
        yield store
        store.close()

    def service_process(self) -> int:
        """The process that listens for the service: the Hub's child."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next(int(one) for one in children if b"jhe_server" in Path(f"/proc/{one}/cmdline").read_bytes())

    # -------------------------------------------------------------- who knocks
    def _client(self, base: str, **headers: str) -> httpx.Client:
        client = httpx.Client(base_url=base, headers=headers, timeout=90, trust_env=False, follow_redirects=True)
        self.clients.append(client)
        return client

    def with_token(self, token: str, scheme: str = "Bearer") -> httpx.Client:
        """A client of the Exchange with some token; paths are below …/jhe/."""
        return self._client(f"{self.address}/", Authorization=f"{scheme} {token}")

    def beside_the_proxy(self, address: str) -> httpx.Client:
        """A client that reaches the service as its proxy does, on behalf of somebody at this address."""
        root = f"http://127.0.0.1:{self.service_port}/services/jhe/jhe/"
        return self._client(root, **{"X-Forwarded-For": address})

    def browser(self, name: str) -> httpx.Client:
        """Signed in at the Hub, as a browser is; the whole Hub's paths."""
        client = self._client(self.root)
        page = client.get("/hub/login?next=/hub/token")
        form = {"username": name, "password": PASSWORD, "_xsrf": _field(page.text, "_xsrf")}
        assert client.post("/hub/login?next=/hub/token", data=form).status_code == 200
        return client

    def token(self, name: str, *scopes: str) -> str:
        """A token of this user's own with these scopes and no others."""
        answer = self.tester.post(f"users/{name}/tokens", json={"scopes": list(scopes), "note": "a test's"})
        assert answer.status_code == 201, answer.text
        token = str(answer.json()["token"])
        self._ids[token] = f"users/{name}/tokens/{answer.json()['id']}"
        return token

    def revoke(self, token: str) -> None:
        assert self.tester.delete(self._ids[token]).status_code == 204

    def asked(self) -> int:
        """How often the Hub has been asked whose a token is, by its own log."""
        return len(re.findall(r" 403 GET /hub/api/user ", self.log.read_text()))

    def as_(self, email: None) -> httpx.Client:
        """Somebody who brings nothing, as `browsers.Browser` asks for."""
        client = httpx.Client(base_url=f"{self.address}/", timeout=60, trust_env=False)
        self.clients.append(client)
        return client

    def exchanged(self, token: str, by: httpx.Client | None = None, **instead: str) -> httpx.Response:
        """The answer to a Hub token that is offered for one of the Exchange's."""
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }
        return (by or self.as_(None)).post("o/token", data={**form, **instead})

    def connection(self, name: str) -> Exchange:
        """What `jhe.connect()` is in a kernel of this user's."""
        place = HubPlace(self.address, self.token(name, "access:services!service=jhe"))
        return Exchange(place.url, "", auth=Exchanged(place)).sign_in()

    # -------------------------------------------------------------- their servers
    def spawn(self, name: str) -> str:
        """The address of a user's own server, started."""
        answer = self.tester.post(f"users/{name}/server")
        assert answer.status_code in (201, 202), answer.text
        wait_for(lambda: self._is_ready(name), 90, lambda: self.log.read_text()[-3000:])
        return f"{self.root}/user/{name}/"

    def stop(self, name: str) -> None:
        assert self.tester.delete(f"users/{name}/server").status_code in (202, 204)

    def _is_ready(self, name: str) -> bool:
        servers = self.tester.get(f"users/{name}").json()["servers"]
        return bool(servers) and bool(servers[""]["ready"])

    def close(self) -> None:
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


def _field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', page)
    assert found, page[:500]
    return found[1]
