"""The description of the API as OpenAPI 3.1, made from the routes and their shapes: it cannot say anything else.

Statuses are documented as the door gives them: whoever is unknown hears 401, whatever is malformed 400, and so on; the
sentences are those of the access table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from . import __version__, api, fhir_api, oauth_api
from .access import RULES
from .calls import ARROW, JSON
from .fhir_api import FHIR_JSON
from .routes import Route

REF = "#/components/schemas/{model}"
ERRORS = {
    400: "What was sent cannot be used; `errors` says so by field.",
    401: "Nobody is known yet, or the token is no longer good.",
    403: "Known, but may not.",
    404: "Not there, or not for this caller to see.",
    406: "Cannot be produced.",
    409: "Clashes with what exists.",
    410: "Was there, is over.",
    413: "Larger than this server accepts.",
    415: "Of a media type that is not read here.",
    422: "An Open mHealth payload that is not valid.",
    429: "Asked too often; wait for `Retry-After` seconds.",
    503: "Busy or stopping; wait for `Retry-After` seconds.",
}
WITH_BODY = (413, 415, 422)
Json = dict[str, Any]


@cache
def document() -> Json:
    """The whole description; `servers` names no host, since the document lies beside what it describes."""
    components: Json = {"Error": _error(), "OperationOutcome": _resource("OperationOutcome")}
    paths: Json = {}
    for root, path, route in _served():
        operation = _operation(root, path, route, components)
        paths.setdefault(f"/{root}/{path}".rstrip("/"), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "JupyterHealth Exchange", "version": __version__},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "."}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _served() -> Iterator[tuple[str, str, Route]]:
    """Every call of the API with its path as it is spelled here: ids that one pattern serves share a name."""
    found = {"api/v1": api.ROUTES, "FHIR/R5": fhir_api.ROUTES, "o": oauth_api.KNOWN}
    for root, routes in found.items():
        for route in routes:
            yield root, route.path.replace("{token}", "{invitation_id}"), route


def _operation(root: str, path: str, route: Route, components: Json) -> Json:
    said = {
        "operationId": f"{route.method.lower()}:{root}/{route.path}",
        "summary": RULES[route.name].sentence,
        "description": (route.verb.__doc__ or "").strip(),
        "tags": [route.name.partition(".")[0]],
        "parameters": [*_ids(path, route), *_query(route)],
        "responses": _responses(root, route, components),
    }
    if route.public:
        said["security"] = []
    if (body := _body(root, route, components)) is not None:
        said["requestBody"] = {"required": True, "content": body}
    return {name: value for name, value in said.items() if value != [] or name == "security"}


# ------------------------------------------------------------------ what comes in
def _ids(path: str, route: Route) -> Iterator[Json]:
    for here, name in zip(re.findall(r"{(\w+)}", path), route.parameters, strict=True):
        kind: Json = {"type": "integer", "minimum": 0} if name.endswith("_id") else {"type": "string"}
        yield {"name": here, "in": "path", "required": True, "schema": kind}


def _query(route: Route) -> Iterator[Json]:
    if route.form or route.query is None:
        return
    if not (isinstance(route.query, type) and issubclass(route.query, BaseModel)):
        yield from _searched(route)
        return
    said = route.query.model_json_schema(by_alias=True)
    for name, schema in said["properties"].items():
        required = name in said.get("required", ())
        yield {"name": name, "in": "query", "required": required, "schema": _without_null(schema)}


def _without_null(schema: Json) -> Json:
    """A query parameter is there or not; it is never null."""
    options = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    plain = {name: value for name, value in schema.items() if name not in ("anyOf", "default", "title")}
    return {**plain, **options[0]} if len(options) == 1 else {**plain, **({"anyOf": options} if options else {})}


def _searched(route: Route) -> Iterator[Json]:
    """FHIR's search parameters: each may be repeated, and all of them are text."""
    kind = route.path.partition("/")[0]
    searchable = next(one.searchable for one in fhir_api.READABLE if one.searchable.kind == kind)
    for name in searchable.parameters:
        yield {"name": name, "in": "query", "schema": {"type": "array", "items": {"type": "string"}}}


def _body(root: str, route: Route, components: Json) -> Json | None:
    if route.form:
        return {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}
    if route.body is None:
        return None
    if isinstance(route.body, type) and issubclass(route.body, BaseModel):
        return {JSON: {"schema": _schema(route.body, "validation", components)}}
    kind = route.path or "Bundle"
    components.setdefault(kind, _resource(kind))
    return {FHIR_JSON: {"schema": {"$ref": REF.format(model=kind)}}}


# ------------------------------------------------------------------ what leaves
def _responses(root: str, route: Route, components: Json) -> Json:
    found: Json = {str(route.status): {"description": "Done.", **_content(root, route, components)}}
    if route.table is not None:
        found["304"] = {"description": "Nothing has changed since the `ETag` that was sent."}
    for status, sentence in ERRORS.items():
        if status in WITH_BODY and route.method == "GET":
            continue
        found.setdefault(str(status), {"description": sentence, "content": _refused(root)})
    return found


def _content(root: str, route: Route, components: Json) -> Json:
    if route.status == 204:
        return {}
    if root == "FHIR/R5":
        return {"content": {FHIR_JSON: {"schema": {"type": "object", "required": ["resourceType"]}}}}
    content: Json = {JSON: {"schema": _answer(route, components)}}
    if route.table is not None:
        content[ARROW] = {"schema": {"type": "string", "format": "binary"}}
    return {"content": content}


def _answer(route: Route, components: Json) -> Json:
    """What the verb says it returns."""
    answer = get_type_hints(route.verb)["return"]
    return {} if answer is type(None) else _schema(answer, "serialization", components)


def _schema(kind: Any, mode: Any, components: Json) -> Json:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    said = adapter.json_schema(by_alias=True, mode=mode, ref_template=REF, schema_generator=_Named)
    components.update(said.pop("$defs", {}))
    if "title" not in said or said.get("type") != "object":
        return said
    name = _Named.plain(said["title"])
    components[name] = said
    return {"$ref": REF.format(model=name)}


class _Named(GenerateJsonSchema):
    """Component names that may stand in an address: `Page[Patient]` is `Page_Patient`."""

    @staticmethod
    def plain(title: str) -> str:
        return re.sub(r"\W+", "_", title).strip("_")


def _refused(root: str) -> Json:
    if root == "FHIR/R5":
        return {FHIR_JSON: {"schema": {"$ref": REF.format(model="OperationOutcome")}}}
    return {JSON: {"schema": {"$ref": REF.format(model="Error")} if root == "api/v1" else {"type": "object"}}}


def _error() -> Json:
    by_field = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}
    properties = {"detail": {"type": "string", "description": "One sentence."}, "errors": by_field}
    return {"type": "object", "properties": properties, "required": ["detail"], "additionalProperties": False}


def _resource(kind: str) -> Json:
    return {
        "type": "object",
        "description": f"A FHIR R5 {kind}.",
        "properties": {"resourceType": {"const": kind}},
        "required": ["resourceType"],
    }
