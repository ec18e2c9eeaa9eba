"""What the pages and docstrings say is true: tables match the code, snippets run, names and links exist."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import documented
import pytest
from conftest import ADMIN, Exchange, environment

import jhe_jupyter
import jhe_server
from jhe_jupyter import activity, bp, cgm, plots
from jhe_server.cli import SUBCOMMANDS

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMES = {"ex": jhe_jupyter.Exchange, "jhe": jhe_jupyter, "plots": plots, "cgm": cgm, "bp": bp, "activity": activity}
MODULES = [
    module.name
    for package in (jhe_server, jhe_jupyter)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if ".migrations" not in module.name and not module.name.endswith("__main__")
]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return [body for kind, body in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def snippets() -> list[tuple[str, str]]:
    """(page, Python block) of all pages."""
    return [(page.name, body) for page in PAGES for body in blocks(page, "python")]


# ------------------------------------------------------------------ tables
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_what_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == documented.renewed(text), "write the tables anew: python -m tests.documented"


def test_every_table_stands_on_a_page() -> None:
    found = chain.from_iterable(documented.TABLE.findall(page.read_text(encoding="utf-8")) for page in PAGES)
    assert sorted(name for name, _ in found) == sorted(documented.TABLES)


# ------------------------------------------------------------------ snippets
@pytest.mark.parametrize(("page", "body"), snippets())
def test_a_snippet_uses_only_names_there_are(page: str, body: str) -> None:
    used = [
        (node.value.id, node.attr)
        for node in ast.walk(ast.parse(body))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in NAMES
    ]
    assert [f"{name}.{attribute}" for name, attribute in used if not hasattr(NAMES[name], attribute)] == []


def run(command: list[str], exchange: Exchange, text: str) -> str:
    """What a program prints in a folder of its own, where a kernel's environment is set; it must not fail."""
    folder = exchange.folder / "reader"
    folder.mkdir(exist_ok=True)
    env = environment(exchange.folder) | {"JHE_URL": exchange.address, "JHE_TOKEN": exchange.token(ADMIN)}
    env |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}", "MPLBACKEND": "agg"}
    done = subprocess.run(command, input=text, cwd=folder, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_tutorial_runs_from_its_first_line_to_its_last(demo: Exchange) -> None:
    printed = run([sys.executable, "-"], demo, "\n".join(blocks(ROOT / "docs" / "tutorial.md", "python")))
    assert printed.count("outbox") == 3, "the last block prints a line for each of the three patients it invites"
    mails = (demo.folder / "jhe-demo" / "data" / "outbox").glob("*.eml")
    assert len(list(mails)) == 6, "Noor, Olga and Paolo, and the three of the last block"


def test_the_apis_examples_run(demo: Exchange) -> None:
    run([sys.executable, "-"], demo, "\n".join(blocks(ROOT / "docs" / "api.md", "python")))


def test_the_lines_about_pictures_run(demo: Exchange) -> None:
    run([sys.executable, "-"], demo, "\n".join(blocks(ROOT / "docs" / "plots.md", "python")))


def test_every_picture_stands_on_its_page() -> None:
    page = (ROOT / "docs" / "plots.md").read_text(encoding="utf-8")
    assert [name for name in plots.__all__ if f"`plots.{name}`" not in page] == []


def test_the_tutorials_shell_lines_run_in_the_same_environment(demo: Exchange) -> None:
    [script] = [body for body in blocks(ROOT / "docs" / "tutorial.md", "bash") if "$JHE_URL" in body]
    printed = run(["bash", "-euo", "pipefail"], demo, script)
    assert re.search(r"cloud_sharing=[^|\s]+\|[A-Za-z0-9]{32}$", printed, re.MULTILINE)
    assert '"studiesPendingConsent":[{' in printed


def test_readmes_lines_run(demo: Exchange) -> None:
    [body] = blocks(ROOT / "README.md", "python")
    assert len([line for line in body.splitlines() if line.strip()]) <= 10
    run([sys.executable, "-"], demo, body)


# ------------------------------------------------------------------ commands and links
def test_readme_begins_with_the_demo_and_goes_on_to_the_checks() -> None:
    first, second = blocks(ROOT / "README.md", "bash")[:2]
    assert first.strip() == 'pip install ".[lab]" && jupyter jhe demo'
    assert second.strip() == 'pip install -e ".[test]" && python -m tests'


def test_ci_runs_readmes_second_command_as_it_stands() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert blocks(ROOT / "README.md", "bash")[1].strip() in script.splitlines()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_links_to_what_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        file, _, heading = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        assert not heading or heading in headings(found), target


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_modules_there_are(page: Path) -> None:
    said = set(re.findall(r"`([\w/]+\.py)`", page.read_text(encoding="utf-8")))
    said -= {name for name in said if name.startswith("jupyter_")}  # a reader's own configuration
    assert [name for name in said if not any((ROOT / folder / name).exists() for folder in ("", "jhe_server"))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_commands_there_are(page: Path) -> None:
    for said in re.findall(r"jupyter jhe ((?:[a-z]+(?=[\s`]) ?)+)", page.read_text(encoding="utf-8")):
        name, *below = said.split()
        assert name in SUBCOMMANDS, said
        assert not below or below[0] in SUBCOMMANDS[name][0]().subcommands, said


# ------------------------------------------------------------------ docstrings
@pytest.mark.parametrize("name", [*MODULES, "documented"])
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
