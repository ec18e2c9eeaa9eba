"""A route: one call of the wire with its verb, shapes and statuses; handlers and the role matrix come from it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

MIB = 2**20
# How large a body may be is a setting for each of these kinds.
Kind = Literal["body", "import", "bundle"]
Verb = Callable[..., Any]


@dataclass(frozen=True)
class Route:
    """`verb` is called with the session, the actor, and those of path ids, `query` and `body` that the route names.

    `query` and `body` are shapes, or functions that read what was sent (FHIR: the pairs, and whether to be strict);
    `form` says that the query comes as a form, in the body. `table` is the verb that answers the
    same question as an Arrow stream; `present` dresses the answer where it is not
    plain JSON (FHIR). `audited` says that the call touches patient data; refusals always are.
    """

    method: str
    path: str
    verb: Verb
    query: Any = None
    body: Any = None
    status: int = 200
    table: Verb | None = None
    writes: bool | None = None
    audited: bool = True
    waits: bool = False
    form: bool = False
    kind: Kind = "body"
    present: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """The verb's one name: permission, audit action, and heading in the documentation.

        >>> from jhe_server import studies
        >>> Route("GET", "studies", studies.search).name
        'studies.search'
        """
        return f"{self.verb.__module__.split('.')[1]}.{self.verb.__name__}"

    @property
    def changes(self) -> bool:
        return self.method != "GET" if self.writes is None else self.writes

    @property
    def parameters(self) -> list[str]:
        """The names of the ids in the path."""
        return re.findall(r"{(\w+)}", self.path)

    @property
    def pattern(self) -> str:
        """The path as a regular expression; an id is anything between slashes, what it means is decided later."""
        return re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.path) + "/?"


def by_pattern(routes: list[Route]) -> dict[str, dict[str, Route]]:
    """The routes of each path by method; paths without ids first, so that `patients/me` is not a patient's id."""
    found: dict[str, dict[str, Route]] = {}
    for route in sorted(routes, key=lambda route: ("{" in route.path, route.path)):
        found.setdefault(route.pattern, {})[route.method] = route
    return found
