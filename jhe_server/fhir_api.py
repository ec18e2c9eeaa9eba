"""`/FHIR/R5`: path → verb, a Bundle or a resource around the answers, and an OperationOutcome around every refusal."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from . import __version__, fhir, observations, uploads
from .door import Reply, Request
from .errors import ExchangeError, Invalid
from .observations import FHIRSearch, Resources
from .routes import MIB, Route
from .shapes import MAX_ID
from .web import ExchangeHandler

FHIR_JSON = "application/fhir+json"
ROOTS = ("FHIR/R5", "fhir/r5", "fhir")
DATE = re.compile(r"(eq|ge|gt|le|lt)?(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+ -]\d{2}:\d{2})?)?")


class FHIRHandler(ExchangeHandler):
    media_types = (FHIR_JSON, "application/json")
    accepts = (FHIR_JSON, "application/json")
    error_type = FHIR_JSON

    def error_body(self, refusal: ExchangeError) -> dict[str, Any]:
        return fhir.operation_outcome(refusal.fhir_code, refusal.detail, list(refusal.errors) or None)


# ------------------------------------------------------------------ what comes in
def read_json(sent: bytes) -> Any:
    try:
        body = fhir.parse_json(sent.decode("utf-8"), "the body")
    except UnicodeDecodeError:
        raise Invalid("The body is not valid UTF-8.") from None
    if not isinstance(body, dict):
        raise Invalid("Expected a FHIR resource.")
    return body


def read_search(pairs: list[tuple[str, str]]) -> FHIRSearch:
    """A FHIR search: a comma means or, a parameter given twice means and."""
    search = FHIRSearch()
    for name, value in pairs:
        if name in ("_count", "_page", "_summary"):
            _paging(search, name, value)
        elif name in _IDS:
            _narrow(search, *_IDS[name], value)
        elif name == "code":
            search.codes = (
                value.split(",") if search.codes is None else [c for c in search.codes if c in value.split(",")]
            )
        elif name == "date":
            _date(search, value)
    return search


_IDS = {
    "_id": ("ids", None),
    "patient": ("patients", "Patient"),
    "subject": ("patients", "Patient"),
    "patient._has:Group:member:_id": ("studies", "Group"),
    "patient.organization": ("organizations", "Organization"),
}


def _narrow(search: FHIRSearch, attribute: str, kind: str | None, value: str) -> None:
    """Ids, bare or as references; whatever is no id finds nothing."""
    found = [id for one in value.split(",") if (id := _id(one.strip(), kind)) is not None]
    before = getattr(search, attribute)
    setattr(search, attribute, found if before is None else [id for id in before if id in found])


def _id(text: str, kind: str | None) -> int | None:
    bare = text.removeprefix(f"{kind}/") if kind else text
    return int(bare) if bare.isascii() and bare.isdecimal() and len(bare) < 20 and int(bare) <= MAX_ID else None


def _paging(search: FHIRSearch, name: str, value: str) -> None:
    if name == "_summary":
        search.count_only = value == "count"
        return
    if not value.isascii() or not value.isdecimal() or len(value) > 15:
        raise Invalid(f"{name} is a whole number.", {name: ["is not a whole number"]})
    number = int(value)
    if name == "_count":
        search.count_only = search.count_only or number == 0
        search.page_size = number or None
    else:
        search.page = max(1, number)


def _date(search: FHIRSearch, value: str) -> None:
    """`ge le gt lt eq` and a date or a date-time; a date is the whole of its day in UTC."""
    found = DATE.fullmatch(value)
    if found is None:
        raise Invalid("date is like ge2026-01-31 or lt2026-01-31T08:00:00Z.", {"date": ["is not a date"]})
    try:
        start = datetime.fromisoformat((found[2] + (found[3] or "")).replace(" ", "+"))
    except ValueError:
        raise Invalid("date is not a day of the calendar.", {"date": ["is not a date"]}) from None
    start = start.astimezone(UTC) if start.tzinfo else start.replace(tzinfo=UTC)
    end = start + (timedelta(microseconds=1) if found[3] else timedelta(days=1))
    bounds = {"eq": (start, end), "ge": (start, None), "gt": (end, None), "le": (None, end), "lt": (None, start)}
    since, until = bounds[found[1] or "eq"]
    search.since = max(filter(None, (search.since, since)), default=None)
    search.until = min(filter(None, (search.until, until)), default=None)


# ------------------------------------------------------------------ what leaves
def bundle(request: Request, answer: Resources, query: FHIRSearch) -> Reply:
    """A searchset with its links; counting only, it has none of the resources."""
    offset, limit = query.window
    page = offset // limit + 1
    turned = {
        "previous_url": _turned(request, page - 1) if page > 1 else None,
        "next_url": _turned(request, page + 1) if offset + limit < answer.total and not query.count_only else None,
    }
    root = request.url.rsplit("/", 1)[0]
    said = fhir.searchset(answer.resources, total=answer.total, root=root, self_url=_turned(request, None), **turned)
    return Reply(200, _dumped(said), FHIR_JSON, answer=answer)


def _turned(request: Request, page: int | None) -> str:
    kept = [(name, value) for name, value in request.query if name != "_page"]
    query = request.query if page is None else [*kept, ("_page", str(page))]
    return f"{request.url}?{urlencode(query)}" if query else request.url


def resource(request: Request, answer: dict[str, Any], _query: Any) -> Reply:
    return Reply(200, _dumped(answer), FHIR_JSON, answer=answer)


def created(request: Request, answer: dict[str, Any], _query: Any) -> Reply:
    headers = {"Location": f"{request.url.rstrip('/')}/{answer['id']}"}
    return Reply(201, _dumped(answer), FHIR_JSON, headers, answer)


def _dumped(said: dict[str, Any]) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


ROUTES = [
    Route("GET", "Observation", observations.fhir_search, query=read_search, present=bundle),
    Route("POST", "Observation", uploads.create, body=read_json, present=created),
    Route("GET", "Observation/{observation_id}", observations.fhir_get, present=resource),
    Route("POST", "", uploads.create_many, body=read_json, present=resource, limit=32 * MIB),
]


def capability_statement(url: str, date: str) -> dict[str, Any]:
    """What is served here, from the routes; everybody may read it."""
    interactions: dict[str, list[dict[str, str]]] = {}
    codes = {("GET", False): "search-type", ("GET", True): "read", ("POST", False): "create"}
    for route in ROUTES:
        if route.path:
            code = codes[route.method, "{" in route.path]
            interactions.setdefault(route.path.partition("/")[0], []).append({"code": code})
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "JupyterHealth Exchange for Jupyter", "version": __version__},
        "implementation": {"description": "JupyterHealth Exchange", "url": url},
        "fhirVersion": "5.0.0",
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "resource": [{"type": kind, "interaction": found} for kind, found in interactions.items()],
                "interaction": [{"code": "batch"}, {"code": "transaction"}],
            }
        ],
    }
