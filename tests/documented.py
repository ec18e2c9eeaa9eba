"""The tables in `docs/` that come from the code: `python -m tests.documented` writes them, `test_docs.py` compares.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; whoever edits it there edits it in vain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from jupyter_core.application import JupyterApp
from jupyter_core.paths import jupyter_data_dir
from traitlets.utils.importstring import import_item

from jhe_server import api, fhir_api, oauth_api
from jhe_server.access import MANAGER, MEMBER, RULES, VIEWER, Rule
from jhe_server.app import ExchangeApp
from jhe_server.cli import SUBCOMMANDS
from jhe_server.commands import Command
from jhe_server.routes import Route

DOCS = Path(__file__).parent.parent / "docs"
TABLE = re.compile(r"(?<=<!-- table: )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table.

    >>> print(table(["a", "b"], [["1", "x|y"]]))
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    head = list(header)
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    text[1] = text[1].replace(" ", "")
    return "\n".join(text)


def routes() -> str:
    """Every call: method and path, verb, from which role on, status, sentence."""
    served = {"/api/v1/": api.ROUTES, "/FHIR/R5/": fhir_api.ROUTES, "/o/": oauth_api.KNOWN}
    rows = [_call(root, route) for root, found in served.items() for route in found]
    return table(["call", "verb", "who", "answers", "what it does"], rows)


def _call(root: str, route: Route) -> Iterator[str]:
    rule = RULES[route.name]
    yield f"`{route.method} {(root + route.path).rstrip('/')}`"
    yield f"`{route.name}`"
    yield _who(rule)
    yield f"{route.status}, Arrow" if route.table else str(route.status)
    yield rule.sentence


def _who(rule: Rule) -> str:
    if rule.public:
        return "anybody"
    if rule.known:
        return "anybody known"
    if rule.patient and not rule.roles:
        return "patient"
    least = {VIEWER: "viewer", MEMBER: "member", MANAGER: "manager"}.get(rule.roles, "superuser")
    return f"{least}, patient" if rule.patient else least


def searches() -> str:
    """Every FHIR type with what it can be searched and sorted by."""
    rows = []
    for one in fhir_api.READABLE:
        names = ", ".join(f"`{name}`" for name in one.searchable.by)
        order = ", ".join(f"`{name}`" for name in one.searchable.order)
        rows.append([f"`{one.searchable.kind}`", names, order])
    return table(["type", "parameters", "`_sort`"], rows)


def settings() -> str:
    """Every trait an operator can set, with its default and its sentence."""
    traits = ExchangeApp.class_own_traits(config=True)
    app = ExchangeApp()
    rows = [[f"`{name}`", f"`{_default(getattr(app, name))}`", trait.help] for name, trait in traits.items()]
    return table(["setting", "default", "what it is"], rows)


def _default(value: Any) -> str:
    """A default as Python writes it; the data folder differs from machine to machine."""
    return repr(value).replace(jupyter_data_dir(), "…")


def commands() -> str:
    """Every command with what it takes and what it does."""
    return table(
        ["command", "what it does"], [row for name in SUBCOMMANDS for row in _command(name, SUBCOMMANDS[name])]
    )


def _command(name: str, found: tuple[type[JupyterApp] | str, str]) -> Iterator[list[str]]:
    kind, sentence = import_item(found[0]) if isinstance(found[0], str) else found[0], found[1]
    if not issubclass(kind, Command):
        for sub, below in kind.subcommands.items():
            yield from _command(f"{name} {sub}", below)
        return
    options = [f"[{option}]" for option in sorted(_options(kind))]
    yield [f"`{' '.join(['jupyter jhe', name, *kind.takes, *options])}`", sentence]


def _options(kind: type[Command]) -> Iterator[str]:
    """The options that are the command's own; `--database` and `--debug` are everybody's."""
    yield from (f"--{name}=…" for name in kind.aliases if name not in {*JupyterApp.aliases, *Command.aliases})
    yield from (f"--{name}" for name in kind.flags if name not in JupyterApp.flags)


TABLES: dict[str, Callable[[], str]] = {
    "routes": routes,
    "searches": searches,
    "settings": settings,
    "commands": commands,
}


def renewed(text: str) -> str:
    """A page with its tables as the code has them now."""
    return TABLE.sub(lambda found: f"{found[1]}{found[2]}{TABLES[found[1]]()}\n", text)


def main() -> None:
    for page in sorted(DOCS.glob("*.md")):
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
