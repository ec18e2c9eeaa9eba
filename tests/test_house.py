"""The house's own promises: who may import whom, verb ↔ rule ↔ docs, the public names, and the size of things."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import access_table
import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

import jhe_jupyter
from jhe_server import api, fhir_api, oauth_api, pages_api
from jhe_server.access import RULES, Actor
from jhe_server.errors import Forbidden
from jhe_server.opened import handlers
from jhe_server.public import PublicHandler
from jhe_server.web import ExchangeHandler

ROOT = Path(__file__).parent.parent
ROUTES = [*api.ROUTES, *fhir_api.ROUTES, *oauth_api.KNOWN]
SOURCES = sorted(path for package in ("jhe_server", "jhe_jupyter") for path in (ROOT / package).rglob("*.py"))
# Looked at again and left whole for now; whatever joins them is a decision.
LARGE: set[str] = set()


# ------------------------------------------------------------------ who may import whom
def test_the_floors_hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The contracts are in pyproject.toml; a new module fails here until it is given its floor."""
    monkeypatch.syspath_prepend(str(ROOT))
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_every_room_with_a_rule_about_imports_still_exists() -> None:
    """A contract about a module that was renamed would hold for ever."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    named = {name for contract in contracts for name in contract.get("source_modules", [])}
    known = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in SOURCES}
    assert named <= known


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a fresh Python has loaded after a statement."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_jupyter_does_not_pay_for_the_exchange_before_it_starts() -> None:
    loaded = loaded_by("import jhe_server, jhe_server.app")
    heavy = {"sqlalchemy", "pydantic", "alembic", "pandas", "numpy", "pyarrow", "matplotlib", "httpx", "jsonschema_rs"}
    assert "tornado" in loaded
    assert loaded & heavy == set()


def test_a_server_whose_store_is_up_to_date_loads_neither_alembic_nor_frames(seeded_file: Path) -> None:
    start = f"from jhe_server.opened import handlers, open_store; handlers('/jhe'); open_store('sqlite:///{seeded_file}').close()"
    loaded = loaded_by(start)
    assert "sqlalchemy" in loaded
    assert loaded & {"alembic", "pandas", "numpy", "pyarrow", "matplotlib"} == set()


def test_a_notebook_does_not_pay_for_frames_and_plots_before_it_uses_them() -> None:
    assert loaded_by("import jhe_jupyter") & {"pandas", "numpy", "pyarrow", "matplotlib", "jhe_server"} == set()


# ------------------------------------------------------------------ verb ↔ rule ↔ docs
def test_every_verb_has_a_rule_and_every_rule_a_verb() -> None:
    assert {route.name for route in ROUTES} | set(access_table.WITHIN) == set(RULES)


def test_a_verb_is_the_function_its_name_says() -> None:
    for route in ROUTES:
        concept, _, function = route.name.partition(".")
        assert getattr(sys.modules[f"jhe_server.{concept}"], function) is route.verb
        assert route.verb.__doc__, route.name


def test_every_verb_has_its_line_in_the_docs() -> None:
    assert access_table.committed() == access_table.tables(), "run python -m tests.access_table"
    concepts = {verb.partition(".")[0] for verb in RULES}
    lines = access_table.PAGE.read_text(encoding="utf-8").splitlines()
    assert {line.removeprefix("### ") for line in lines if line.startswith("### ")} == concepts


def test_a_verb_without_a_rule_is_denied_to_everybody() -> None:
    for actor in (Actor(1, is_superuser=True), Actor(2, roles={20001: "manager"}), Actor(3, patient_id=40001)):
        assert not actor.may("patients.rename")
        assert not actor.is_self("patients.rename", 40001)
        with pytest.raises(Forbidden):
            actor.knock("patients.rename")


def test_a_practitioner_without_a_role_may_only_look_around() -> None:
    nobody = Actor(1)
    for verb, rule in RULES.items():
        assert not nobody.may(verb)
        if not rule.known:
            with pytest.raises(Forbidden):
                nobody.knock(verb)


def test_a_call_that_reads_writes_nothing_but_the_guides_invitation_link() -> None:
    assert [route.path for route in ROUTES if route.method == "GET" and route.changes] == [
        "patients/{patient_id}/invitation_link"
    ]
    read_by_post = [route for route in ROUTES if route.method != "GET" and not route.changes]
    assert all(route.form and route.path.endswith("/_search") for route in read_by_post), "a search as a form"


PUBLIC = {
    *("POST invitation/redeem", "POST invitation/{token}", "POST token", "POST revoke_token", "POST introspect"),
    *(f"{method} o/{page}" for method in ("GET", "POST") for page in ("sign_in", "account", "forgotten", "authorize")),
    *("GET o/hub", "GET o/password/{link}", "POST o/password/{link}", "POST o/sign_out", "GET o/code"),
    *("GET me", "POST me/answer", "GET me/data", "GET me/withdraw/{study_id}", "POST me/withdraw/{study_id}"),
    *("GET me/invitation/{token}", "POST me/invitation/{token}"),
}


def test_a_call_that_finds_out_by_itself_who_is_asking_is_a_decision() -> None:
    served = [*ROUTES, *oauth_api.ENDPOINTS, *pages_api.ROUTES]
    assert {f"{route.method} {route.path}" for route in served if route.public} == PUBLIC


def test_whatever_is_served_asks_who_is_there_but_for_documents() -> None:
    """A path everybody may read is a decision: it is made here once more."""
    served = [(pattern, handler) for pattern, handler, *_ in handlers("/jhe")]
    assert all(issubclass(handler, PublicHandler | ExchangeHandler) for _, handler in served)
    public = {pattern for pattern, handler in served if issubclass(handler, PublicHandler)}
    fhir = {f"/jhe/{root}/metadata/?" for root in fhir_api.ROOTS}
    smart = {f"/jhe/{root}/\\.well-known/smart-configuration/?" for root in fhir_api.ROOTS}
    openid = {"/jhe/o/\\.well-known/openid-configuration/?", "/jhe/o/\\.well-known/jwks\\.json"}
    described = {"/jhe/openapi\\.json", "/jhe/openapi/?"}
    assert public == {"/jhe/health/?", "/jhe/health/ready/?", "/jhe/?"} | described | fhir | smart | openid


# ------------------------------------------------------------------ names and sizes
def test_the_client_package_exports_what_it_lists() -> None:
    for name in jhe_jupyter.__all__:
        assert getattr(jhe_jupyter, name).__module__.startswith("jhe_jupyter."), name
    assert sorted(set(jhe_jupyter.__all__)) == dir(jhe_jupyter)
    with pytest.raises(AttributeError):
        jhe_jupyter.no_such_name  # noqa: B018
    typed = ast.parse((ROOT / "jhe_jupyter" / "__init__.py").read_text())
    imported = {
        alias.name
        for node in ast.walk(typed)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert imported == set(jhe_jupyter.__all__), "what type checkers see is what there is"


def test_no_room_without_a_name() -> None:
    """If it has no name, it has no home yet."""
    nameless = ("utils", "util", "helpers", "helper", "common", "base", "manager", "managers", "misc")
    assert [path for path in SOURCES if path.stem in nameless] == []


def test_every_file_says_first_what_lives_in_it() -> None:
    everywhere = [*SOURCES, *(ROOT / "tests").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    silent = [str(path) for path in everywhere if not (ast.get_docstring(ast.parse(path.read_text())) or "").strip()]
    assert silent == []


def functions() -> Iterator[tuple[int, str]]:
    """(lines, where) of every function but the migrations', which are history."""
    for path in SOURCES:
        if "versions" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                    yield node.end_lineno - node.lineno + 1, f"{path.relative_to(ROOT)}: {node.name}"


def test_functions_stay_small() -> None:
    found = sorted(functions())
    assert statistics.median(lines for lines, _ in found) <= 10
    assert [one for one in found if one[0] > 40] == [], "look again past 40 lines"


def test_files_stay_small() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in SOURCES if "versions" not in path.parts}
    large = {path.name for path, lines in sizes.items() if lines > 350}
    assert large <= LARGE, "look again past 350 lines; a concept that outgrows its file becomes a folder"
    assert statistics.median(sizes.values()) <= 250
