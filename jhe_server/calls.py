"""One call: as it came over the wire, as the shapes its verb asks for, as its reply; what does not fit, by field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from .errors import Invalid, NotFound
from .routes import Route, Sent
from .shapes import MAX_ID

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"


@dataclass(frozen=True)
class Credential:
    """A bearer token of ours, or a user whom Jupyter or the Hub already knows."""

    token: str | None = None
    user_id: int | None = None
    via: str = "token"
    by_cookie: bool = False


@dataclass(frozen=True)
class Request:
    """One call as it came over the wire."""

    route: Route
    credential: Credential | None
    path: dict[str, str] = field(default_factory=dict)
    query: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    media_type: str = JSON
    url: str = ""
    request_id: str = ""
    etag: str | None = None
    strict: bool = False
    sent: Sent = field(default_factory=Sent)


@dataclass
class Reply:
    """`answer` is what the verb returned, `body` what leaves; a stream's chunks are made as they are taken.

    `recorded` says that an audit row names the caller of a public call.
    """

    status: int
    body: bytes | None = None
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    answer: Any = None
    stream: Iterator[bytes] | None = None
    recorded: bool = False


def arguments(request: Request) -> dict[str, Any]:
    """What a verb is called with: the ids of the path, its query and its body as shapes."""
    route = request.route
    named = {name: request.path[name] for name in route.parameters}
    found: dict[str, Any] = {name: _id(text) if name.endswith("_id") else text for name, text in named.items()}
    if route.query is not None:
        found["query"] = _query(route.query, request)
    if route.body is not None:
        found["body"] = _body(route.body, request.body)
    return found


def _id(text: str) -> int:
    """An id in a path; whatever is not one names nothing."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) > MAX_ID:
        raise NotFound()
    return int(text)


def _query(shape: Any, request: Request) -> Any:
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return shape.model_validate(dict(request.query))
    return shape(request.query, request.strict)


def _body(shape: Any, sent: bytes) -> Any:
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        body = shape.model_validate_json(sent or b"null", strict=True)
        json.loads(sent, object_pairs_hook=_once)
        return body
    return shape(sent)


def _once(pairs: list[tuple[str, Any]]) -> None:
    """Of a key given twice, one reader takes the first and another the last: neither is what was surely meant."""
    if len({key for key, _ in pairs}) < len(pairs):
        raise Invalid("The body has a key twice in one object.")


def invalid(error: ValidationError) -> Invalid:
    """What was wrong with a shape, by field, in sentences that never hold what was sent."""
    fields: dict[str, list[str]] = {}
    for one in error.errors(include_input=False, include_url=False, include_context=False):
        if one["type"] == "json_invalid":
            return Invalid("The body is not valid JSON.")
        where = ".".join(str(part)[:100] for part in one["loc"]) or "body"
        fields.setdefault(where, []).append(_said(one["type"], one["msg"]))
    first, said = next(iter(fields.items()))
    more = f" ({len(fields) - 1} more field{'s' if len(fields) > 2 else ''})" if len(fields) > 1 else ""
    return Invalid(f"{first}: {said[0]}{more}.", fields)


def _said(kind: str, message: str) -> str:
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return "is not a field of this call"
    if "email address" in message:
        return "is not a valid e-mail address"
    plain = message.removeprefix("Value error, ").removeprefix("Input ").replace(" after validation", "").rstrip(".")
    return plain[0].lower() + plain[1:]
