"""The portal and its tile without a browser: what is asked of whom, and what is there without Voilà."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from conftest import Exchange, wait_for
from jupyters import TOKEN, Jupyter

from jhe_server import portal

TILE = Path(portal.__file__).parent.parent / "labextension"


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    folder = tmp_path_factory.mktemp("portal")
    jupyter = Jupyter(f"sqlite:///{folder / 'exchange.sqlite'}", folder)
    yield jupyter
    jupyter.close()


def kernels(jupyter: Jupyter) -> list[str]:
    found = jupyter.client(Authorization=f"token {TOKEN}").get("api/kernels").json()
    return [one["id"] for one in found]


def test_a_stranger_is_led_to_the_sign_in_and_no_kernel_starts(jupyter: Jupyter) -> None:
    answer = jupyter.client().get("jhe/portal")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login?next=%2Fjhe%2Fportal")
    assert kernels(jupyter) == []


def test_asking_whether_there_is_a_portal_starts_nothing(jupyter: Jupyter) -> None:
    assert jupyter.browser().head("jhe/portal").status_code == 200
    assert kernels(jupyter) == []


def test_the_page_has_no_code_and_names_no_other_host(jupyter: Jupyter) -> None:
    browser = jupyter.browser()
    page = browser.get("jhe/portal", timeout=60)
    assert page.status_code == 200
    assert "jhe.connect()" not in page.text
    assert 'src="http' not in page.text
    assert 'rel="stylesheet" href="https:' not in page.text
    (id,) = kernels(jupyter)
    form = {"_xsrf": browser.cookies["_xsrf"]}
    assert browser.post(f"voila/api/shutdown/{id}", data=form).status_code < 300
    wait_for(lambda: kernels(jupyter) == [], 20)


def test_alone_there_are_no_kernels_and_no_portal(shared_exchange: Exchange) -> None:
    assert shared_exchange.as_(None).get("portal").status_code in (401, 404)


def test_without_voila_the_address_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "voila", None)
    handler, arguments = portal.Portal.__dict__["_handler"](object.__new__(portal.Portal))
    assert (handler, arguments) == (portal.NoPortal, {})
    assert "pip install 'jupyterhealth-jupyter[portal]'" in portal.MISSING


def test_what_is_packaged_is_what_jupyter_loads() -> None:
    notebook = nbformat.read(portal.FOLDER / portal.NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert [cell.source for cell in notebook.cells] == ["import jhe_jupyter as jhe\n\njhe.connect().console()"]
    package = json.loads((TILE / "package.json").read_text())
    assert (TILE / package["jupyterlab"]["_build"]["load"]).is_file()
    script = (TILE / package["jupyterlab"]["_build"]["load"]).read_text()
    assert f'["{package["name"]}"]' in script
