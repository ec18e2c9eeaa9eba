"""The tables of `docs/access.md`, made from the rules and the routes: `python -m tests.access_table` writes them."""

from __future__ import annotations

from pathlib import Path

from jhe_server import api, fhir_api, oauth_api
from jhe_server.access import ROLES, RULES, Actor, Rule

PAGE = Path(__file__).parent.parent / "docs" / "access.md"
BEGIN, END = "<!-- made by tests/access_table.py: begin -->", "<!-- made by tests/access_table.py: end -->"
HEAD = (
    "| verb | lets one | calls | none | viewer | member | manager | superuser | patient |\n|---|---|---|" + ":-:|" * 6
)
# Verbs that no route calls by themselves: another verb asks for them too, when the body goes that far.
WITHIN = {
    "studies.set_policy": "a study's `dataAfterWithdrawal`",
    "organizations.create_top_level": "an organization's `partOf: 0`",
}


def tables() -> str:
    """A heading per concept, and below it a line per verb."""
    concepts = dict.fromkeys(verb.partition(".")[0] for verb in RULES)
    return "\n\n".join(f"### {concept}\n\n{HEAD}\n" + "\n".join(_lines(concept)) for concept in concepts)


def _lines(concept: str) -> list[str]:
    return [_line(verb, rule) for verb, rule in RULES.items() if verb.partition(".")[0] == concept]


def _line(verb: str, rule: Rule) -> str:
    if rule.public:
        return f"| `{verb}` | {rule.sentence} | {calls(verb)} | {' | '.join('●' * 6)} |"
    marks = ["●" if rule.known else "", *("●" if Actor(0, roles={1: role}).may(verb, 1) else "" for role in ROLES)]
    marks += ["●" if Actor(0, is_superuser=True).may(verb) else "", "●" if rule.patient else ""]
    return f"| `{verb}` | {rule.sentence} | {calls(verb)} | {' | '.join(marks)} |".replace("|  |", "| |").replace(
        "|  |", "| |"
    )


def calls(verb: str) -> str:
    """Where the verb is called on the wire."""
    found = [f"`{route.method} {route.path}`" for route in api.ROUTES if route.name == verb]
    found += [
        f"`{route.method} {f'FHIR/R5/{route.path}'.rstrip('/')}`" for route in fhir_api.ROUTES if route.name == verb
    ]
    found += [f"`{route.method} o/{route.path}`" for route in oauth_api.KNOWN if route.name == verb]
    return "<br>".join(found) or WITHIN[verb]


def committed() -> str:
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def write() -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    write()
