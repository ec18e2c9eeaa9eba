"""What people on a real JupyterHub do: notebooks in their own servers, the portal in a browser; a service outside."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import PAMELA, PETER, environment, wait_for
from hubs import CARDIOLOGY, EXAMPLE, LAB, OUTSIDE, PASSWORD, JupyterHub
from labs import Page, chromium
from remote_kernels import Outputs, run_cells, run_notebook
from traitlets.config import PyFileConfigLoader

from jhe_server.app import ExchangeApp
from jhe_server.hub_policy import HubPolicy, groups

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
UNCHANGED = ("00_tour.ipynb", "01_onboard_a_cohort.ipynb", "02_explore_observations.ipynb", "05_on_the_hub.ipynb")
JAMILA = "jamila.mathal@example.com"
# Whom the notebooks enrol: both labs run them, and these five are patients of both.
SHARED = {JAMILA, "uma.beispiel@example.com", "viktor.pavyzdys@example.com", "wanjiru.kielelezo@example.com",
          "ximena.adibide@example.com"}  # fmt: skip
SEEN = """import jhe_jupyter as jhe
for one in jhe.connect().patients_df()["telecom_email"]:
    print(one)"""


class Desk:
    """Somebody's own server on the Hub."""

    def __init__(self, hub: JupyterHub, name: str) -> None:
        self.hub, self.name, self.server = hub, name, hub.spawn(name)
        self.token = hub.token(name, f"access:servers!user={name}")

    def run(self, notebook: str) -> dict[str, Outputs]:
        return asyncio.run(run_notebook(self.server, self.token, NOTEBOOKS / notebook))

    def prints(self, source: str) -> list[str]:
        [output] = asyncio.run(run_cells(self.server, self.token, {"cell": source}))["cell"]
        return str(output["text"]).split()

    def http(self) -> httpx.Client:
        client = httpx.Client(base_url=self.server, headers={"Authorization": f"token {self.token}"}, trust_env=False)
        self.hub.clients.append(client)
        return client


@pytest.fixture(scope="module")
def desks(hub: JupyterHub) -> Iterator[dict[str, Desk]]:
    """The two labs' managers at work."""
    with ThreadPoolExecutor(2) as pool:
        yield dict(zip(("ada", "bo"), pool.map(lambda name: Desk(hub, name), ("ada", "bo")), strict=True))
    for name in ("ada", "bo"):
        hub.stop(name)


def work(desk: Desk) -> set[str]:
    """Every notebook from top to bottom; the e-mails of all patients its reader sees in the end."""
    for notebook in UNCHANGED:
        assert any(outputs for outputs in desk.run(notebook).values()), notebook
    return set(desk.prints(SEEN))


def test_two_people_of_different_labs_run_the_notebooks_unchanged_and_see_only_their_own(
    desks: dict[str, Desk],
) -> None:
    jamila_is_a_patient_of_both(desks["ada"].hub)
    with ThreadPoolExecutor(2) as pool:
        wearables, cardiology = pool.map(work, (desks["ada"], desks["bo"]))
    assert wearables & cardiology <= SHARED
    cohort = wearables - SHARED - {PETER, PAMELA}
    assert (len(cohort), {f"heart.{email}" for email in cohort}) == (20, cardiology - SHARED)


def jamila_is_a_patient_of_both(hub: JupyterHub) -> None:
    """A person has one record; the second clinic finds it by e-mail, as the guide has it, and adds it to its own."""
    ada, bo = hub.connection("ada"), hub.connection("bo")
    ada.create_patient(JAMILA, "Mathal", "Jamila", "1980-01-01", LAB)
    bo.add_patient_to_organization(bo.lookup_patient(email=JAMILA), CARDIOLOGY)


def test_a_users_server_hosts_no_exchange_and_opens_no_database(desks: dict[str, Desk]) -> None:
    own = desks["ada"].http()
    for path in ("jhe", "jhe/health", "jhe/api/v1/patients", "jhe/FHIR/R5/metadata", "jhe/o/sign_in"):
        assert own.get(path).status_code == 404, path
    assert own.head("jhe/portal").status_code == 200
    assert [*(desks["ada"].hub.folder / "ada").rglob("exchange.sqlite*")] == []


def test_a_stranger_on_the_hub_opens_nobody_elses_portal(desks: dict[str, Desk]) -> None:
    hub = desks["ada"].hub
    answer = hub.browser("bo").get("/user/ada/jhe/portal")
    assert answer.status_code == 403


# ------------------------------------------------------------------ a coordinator in a real browser
def test_a_coordinator_signs_in_to_the_hub_and_lands_in_the_portal_with_their_own_rights(hub: JupyterHub) -> None:
    with chromium() as context:
        page = Page(context)
        page.page.set_default_timeout(60_000)
        page.page.goto(f"{hub.root}/hub/login")
        page.page.get_by_label("Username").fill("mary")
        page.page.get_by_label("Password").fill(PASSWORD)
        page.page.get_by_role("button", name="Sign in").click()
        page.page.wait_for_url(f"{hub.root}/user/mary/jhe/portal*", timeout=60_000)
        page.row("chiara.esempio@example.com").wait_for()
        assert page.row("heart.chiara.esempio@example.com").count() == 0
        assert page.panel.get_by_role("button", name="Add Patient").first.is_visible()
        page.turn_to("Organizations")
        page.panel.get_by_text("Wearables Lab").first.wait_for()
        assert page.panel.get_by_role("button", name="Edit…").count() == 0, "a member is no manager"
        page.shot("hub-portal")
        page.expect_clean()
    hub.stop("mary")


# ------------------------------------------------------------------ the examples
def test_the_exchanges_own_example_sets_what_there_is_to_set() -> None:
    found = PyFileConfigLoader("jupyter_jhe_config.py", path=str(EXAMPLE)).load_config().ExchangeApp
    assert set(found) <= set(ExchangeApp.class_trait_names(config=True))
    policy = HubPolicy(found.hub_email, groups(found.hub_groups))
    assert policy.email_of("ada") == "ada@example.org"
    assert policy.roles_of(["coordinators", "cardiology"]) == {CARDIOLOGY: "manager"}


# ------------------------------------------------------------------ a service that the Hub does not start
@pytest.fixture
def outside(hub: JupyterHub, tmp_path: Path) -> Iterator[str]:
    """The same service, started by somebody else, who tells it no more than docs/hub.md says."""
    told = {
        "JUPYTERHUB_SERVICE_NAME": "outside",
        "JUPYTERHUB_API_TOKEN": OUTSIDE,
        "JUPYTERHUB_API_URL": f"http://127.0.0.1:{hub.hub_port}/hub/api",
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{hub.outside_port}",
    }
    command = [sys.executable, "-m", "jhe_server", f"--database=sqlite:///{tmp_path / 'outside.sqlite'}"]
    with (tmp_path / "outside.log").open("wb") as out:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment(tmp_path) | told, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    address = f"{hub.root}/services/outside/jhe"

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "outside.log").read_text()[-2000:]
        return httpx.get(f"{address}/health", trust_env=False).status_code == 200

    try:
        wait_for(answers, 60)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def test_a_service_that_was_started_elsewhere_knows_the_hubs_people_too(hub: JupyterHub, outside: str) -> None:
    client: Any = httpx.Client(base_url=f"{outside}/", trust_env=False)
    with client:
        good = hub.exchanged(hub.token("ada", "access:services!service=outside"), client)
        assert good.status_code == 200, good.text
        profile = client.get("api/v1/users/profile", headers={"Authorization": f"Bearer {good.json()['access_token']}"})
        assert profile.json()["lastName"] == "ada"
        assert hub.exchanged(hub.token("ada", "access:services!service=jhe"), client).status_code == 400
    assert os.environ.get("JUPYTERHUB_SERVICE_NAME") is None


def test_without_jupyterhub_a_service_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "jupyterhub.py").write_text("raise ImportError('not installed')\n")
    env = environment(tmp_path) | {"JUPYTERHUB_SERVICE_NAME": "jhe", "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:1"}
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), env["PYTHONPATH"]])
    command = [sys.executable, "-m", "jhe_server"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "pip install 'jupyterhealth-jupyter[hub]'" in done.stderr
    assert "Traceback" not in done.stderr
