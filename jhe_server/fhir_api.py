"""`/FHIR/R5`: path → verb, a Bundle or a resource around the answers, and an OperationOutcome around every refusal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from . import __version__, devices, fhir, observations, organizations, patients, studies, uploads
from .calls import Reply, Request
from .errors import ExchangeError, Invalid
from .fhir_search import FHIRSearch, Resources
from .fhir_select import Searchable
from .routes import Route, Verb
from .strict_json import parse_json
from .web import ExchangeHandler

FHIR_JSON = "application/fhir+json"
ROOTS = ("FHIR/R5", "fhir/r5", "fhir")


class FHIRHandler(ExchangeHandler):
    media_types = (FHIR_JSON, "application/json")
    accepts = (FHIR_JSON, "application/json")
    error_type = FHIR_JSON

    def error_body(self, refusal: ExchangeError) -> dict[str, Any]:
        where = [name for name in refusal.errors if name.strip()]
        return fhir.operation_outcome(refusal.fhir_code, refusal.detail, where)


# ------------------------------------------------------------------ what comes in
def read_json(sent: bytes) -> Any:
    try:
        body = parse_json(sent, "the body")
    except UnicodeDecodeError:
        raise Invalid("The body is not valid UTF-8.") from None
    if not isinstance(body, dict):
        raise Invalid("Expected a FHIR resource.")
    return body


def read_observation(sent: bytes) -> Any:
    return uploads.read_one(read_json(sent))


def read_bundle(sent: bytes) -> Any:
    return uploads.read_bundle(read_json(sent))


# ------------------------------------------------------------------ what leaves
def bundle(request: Request, answer: Resources, query: FHIRSearch) -> Reply:
    """A searchset with its links; counting only, it has none of the resources."""
    base = request.url.rstrip("/").removesuffix("/_search")
    offset, limit = query.window
    page = offset // limit + 1
    more = offset + limit < answer.total and not query.count_only
    said = fhir.searchset(
        answer.resources,
        total=answer.total,
        root=base.rpartition("/")[0],
        self_url=_address(base, query.understood),
        previous_url=_turned(base, query, page - 1) if page > 1 else None,
        next_url=_turned(base, query, page + 1) if more else None,
    )
    return Reply(200, _dumped(said), FHIR_JSON, answer=answer)


def _turned(base: str, query: FHIRSearch, page: int) -> str:
    kept = [(name, value) for name, value in query.understood if name != "_page"]
    return _address(base, [*kept, ("_page", str(page))])


def _address(base: str, pairs: list[tuple[str, str]]) -> str:
    return f"{base}?{urlencode(pairs)}" if pairs else base


def resource(request: Request, answer: dict[str, Any], _query: Any) -> Reply:
    return Reply(200, _dumped(answer), FHIR_JSON, answer=answer)


def created(request: Request, answer: dict[str, Any], _query: Any) -> Reply:
    headers = {"Location": f"{request.url.rstrip('/')}/{answer['id']}"}
    return Reply(201, _dumped(answer), FHIR_JSON, headers, answer)


def _dumped(said: dict[str, Any]) -> bytes:
    return orjson.dumps(said)


# ------------------------------------------------------------------ what is served
@dataclass(frozen=True)
class Readable:
    """A type that can be searched and read; `audited` where its resources are about patients."""

    searchable: Searchable
    search: Verb
    get: Verb
    id: str
    audited: bool = True

    @property
    def routes(self) -> Iterator[Route]:
        kind, read, audited = self.searchable.kind, self.searchable.read, self.audited
        yield Route("GET", kind, self.search, query=read, present=bundle, audited=audited)
        yield Route(
            "POST", f"{kind}/_search", self.search, query=read, present=bundle, audited=audited, writes=False, form=True
        )
        yield Route("GET", f"{kind}/{{{self.id}}}", self.get, present=resource, audited=audited)


READABLE = [
    Readable(patients.SEARCHABLE, patients.fhir_search, patients.fhir_get, "patient_id"),
    Readable(observations.SEARCHABLE, observations.fhir_search, observations.fhir_get, "observation_id"),
    Readable(studies.SEARCHABLE, studies.fhir_search, studies.fhir_get, "study_id"),
    Readable(devices.SEARCHABLE, devices.fhir_search, devices.fhir_get, "data_source_id", audited=False),
    Readable(
        organizations.ORGANIZATION, organizations.fhir_search, organizations.fhir_get, "organization_id", audited=False
    ),
    Readable(
        organizations.PRACTITIONER,
        organizations.fhir_colleagues,
        organizations.fhir_colleague,
        "practitioner_id",
        audited=False,
    ),
]
ROUTES = [
    *(route for one in READABLE for route in one.routes),
    Route("POST", "Observation", uploads.create, body=read_observation, present=created, ahead=True),
    Route("POST", "", uploads.create_many, body=read_bundle, present=resource, kind="bundle", ahead=True),
]


def capability_statement(url: str, date: str) -> dict[str, Any]:
    """What is served here, from the routes; everybody may read it."""
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
                "resource": [_capability(one.searchable) for one in READABLE],
                "interaction": [{"code": "batch"}, {"code": "transaction"}],
            }
        ],
    }


def _capability(searchable: Searchable) -> dict[str, Any]:
    codes = {"GET": "search-type", "GET {}": "read", "POST": "create"}
    served = [
        f"{route.method}{' {}' if route.parameters else ''}"
        for route in ROUTES
        if route.path.partition("/")[0] == searchable.kind and not route.form
    ]
    return {
        "type": searchable.kind,
        "interaction": [{"code": codes[call]} for call in served],
        "searchParam": [{"name": name, "type": by.type} for name, by in searchable.parameters.items()],
    }
