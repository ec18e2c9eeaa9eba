"""A route: one call of the wire with its verb, shapes and statuses; handlers and the role matrix come from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

MIB = 2**20
# How large a body may be is a setting for each of these kinds.
Kind = Literal["body", "import", "bundle"]
Verb = Callable[..., Any]
SECRET_PATH = re.compile(r"(/(?:invitation|password)/)(?!\d+/?$)[^/?]+")


def without_secrets(path: str) -> str:
    """A path as it may be logged.

    >>> without_secrets("/jhe/api/v1/invitation/abc"), without_secrets("/jhe/api/v1/invitation/7")
    ('/jhe/api/v1/invitation/…', '/jhe/api/v1/invitation/7')
    """
    return SECRET_PATH.sub(r"\1…", path)


@dataclass(frozen=True)
class Sent:
    """What somebody nobody knows yet has sent, for the verbs that find out who it is, or need not know.

    `root` is the path below which the Exchange is reached, `address` where the caller is, as far as can be told;
    `hub_user_id` who a JupyterHub says it is, where it was asked, `hub_sign_in` where it would ask them.
    """

    query: tuple[tuple[str, str], ...] = ()
    form: tuple[tuple[str, str], ...] = ()
    authorization: str | None = None
    cookies: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    root: str = ""
    path: str = ""
    hub_user_id: int | None = None
    hub_sign_in: str = ""

    def said(self, name: str) -> str:
        """A field of the form, else of the query; empty where it was not sent."""
        return next((value for key, value in (*self.form, *self.query) if key == name), "")


@dataclass(frozen=True)
class Route:
    """`verb` is called with the session, the actor, and those of path ids, `query` and `body` that the route names.

    `query` and `body` are shapes, or functions that read what was sent (FHIR: the pairs, and whether to be strict);
    `form` says that the query comes as a form, in the body. `table` is the verb that answers the
    same question as an Arrow stream; `present` dresses the answer where it is not
    plain JSON (FHIR). `audited` says that the call touches patient data; refusals always are.
    A `public` verb is called with the session and what was `Sent` instead of an actor; `limit` names the count of
    refused calls, by address, after which no more are heard; `streams` that the answer keeps a connection of the
    store while it is read, as Arrow streams do; `ahead` that what was sent takes long to read, and is read before the
    store is held for writing.
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
    public: bool = False
    limit: str | None = None
    streams: bool = False
    ahead: bool = False

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
        """The names in the path: of ids where they end so, else of text."""
        return re.findall(r"{(\w+)}", self.path)

    @property
    def pattern(self) -> str:
        """The path as a regular expression; an id is anything between slashes, what it means is decided later."""
        return re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.path) + "/?"


def by_pattern(routes: list[Route]) -> dict[str, dict[str, Route]]:
    """The routes of each path by method; paths without ids first, so that `patients/me` is not a patient's id.

    Routes whose paths differ in nothing but the names of their ids share a pattern: the first one's.
    """
    found: dict[str, dict[str, Route]] = {}
    patterns: dict[str, str] = {}
    for route in sorted(routes, key=lambda route: ("{" in route.path, route.path)):
        pattern = patterns.setdefault(re.sub(r"{\w+}", "{}", route.path), route.pattern)
        found.setdefault(pattern, {})[route.method] = route
    return found
