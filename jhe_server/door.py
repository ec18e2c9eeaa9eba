"""The door: who asks → what they ask, as shapes → the verb in its transaction → the audit → the answer. Once, for all.

No web and no SQL here: `web.py` brings what came over HTTP, the concepts know the store.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, TypeAdapter, ValidationError

from . import audit, changes, columns, tokens
from .access import Actor
from .audit import Entry
from .db import Database
from .errors import ExchangeError, Forbidden, Invalid, NotFound, Unauthenticated
from .routes import Route
from .settings import Settings
from .shapes import MAX_ID, Listing, Page

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"
# What an outcome is called in the audit, by status.
OUTCOMES = {
    400: "invalid",
    405: "invalid",
    406: "invalid",
    409: "invalid",
    410: "invalid",
    413: "invalid",
    415: "invalid",
    422: "invalid",
    500: "error",
}
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


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


@dataclass
class Reply:
    """`answer` is what the verb returned, `body` what leaves; a stream's chunks are made as they are taken."""

    status: int
    body: bytes | None = None
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    answer: Any = None
    stream: Iterator[bytes] | None = None


class Door:
    """Performs requests against one store."""

    def __init__(self, database: Database, settings: Settings, log: logging.Logger | None = None) -> None:
        self.database = database
        self.settings = settings
        self.log = log or logging.getLogger("jhe")

    def actor(self, credential: Credential | None) -> Actor:
        """Who is asking, before anything they sent is read."""
        with self.database.read() as session:
            return _actor(session, credential)

    def perform(self, request: Request) -> Reply:
        """Answer a request or raise the one error it earned; either leaves its audit row."""
        entry = Entry(verb=request.route.name, request_id=request.request_id)
        try:
            return self._write(request, entry) if request.route.changes else self._read(request, entry)
        except ValidationError as error:
            refusal: ExchangeError = invalid(error)
        except ExchangeError as error:
            refusal = error
        except RecursionError:
            refusal = Invalid("The JSON is nested too deeply.")
        except Exception:
            self.log.exception("jhe: %s failed (request %s)", request.route.name, request.request_id)
            refusal = ExchangeError()
        self._refused(entry, refusal)
        raise refusal

    def turn_away(self, credential: Credential, verb: str, request_id: str, refusal: ExchangeError) -> None:
        """Record what was refused before it came here: a method, a length, a media type; whoever sent it is known."""
        actor = self.actor(credential)
        self._refused(Entry(verb=verb, actor_id=actor.user_id, via=actor.via, request_id=request_id), refusal)

    def _refused(self, entry: Entry, refusal: ExchangeError) -> None:
        """A refusal's row is a transaction of its own, so that it survives the rollback of what was refused.

        Strangers' refusals are counted by address and minute (`web.py`), or anybody could fill the disk.
        """
        if isinstance(refusal, Unauthenticated):
            return
        entry.outcome = OUTCOMES.get(refusal.status, "denied")
        entry.count = 0
        entry.patients.clear()
        self.record(entry)

    def record(self, entry: Entry) -> None:
        with self.database.write() as session:
            audit.append(session, entry)

    # -------------------------------------------------------------- reading
    def _read(self, request: Request, entry: Entry) -> Reply:
        with ExitStack() as stack:
            session = stack.enter_context(self.database.read())
            actor, arguments = self._opened(session, request, entry)
            reply = self._unchanged(session, actor, request) or self._answer(session, actor, request, arguments)
            if request.route.audited:
                self.record(entry)
            if reply.stream is not None:
                reply.stream = _closing(reply.stream, stack.pop_all())
            return reply

    def _answer(self, session: Any, actor: Actor, request: Request, arguments: dict[str, Any]) -> Reply:
        route = request.route
        if request.media_type == ARROW and route.table is not None:
            table = route.table(session, actor, **arguments)
            headers = {"ETag": _etag(session, actor, request)}
            return Reply(200, media_type=ARROW, headers=headers, answer=table, stream=columns.stream(table))
        return _reply(request, route.verb(session, actor, **arguments), arguments.get("query"))

    def _unchanged(self, session: Any, actor: Actor, request: Request) -> Reply | None:
        if request.media_type != ARROW or request.etag is None:
            return None
        etag = _etag(session, actor, request)
        known = {one.strip().removeprefix("W/") for one in request.etag.split(",")}
        return Reply(304, headers={"ETag": etag}, media_type=ARROW) if etag in known else None

    # -------------------------------------------------------------- writing
    def _write(self, request: Request, entry: Entry) -> Reply:
        with self.database.write() as session:
            actor, arguments = self._opened(session, request, entry)
            answer = request.route.verb(session, actor, **arguments)
            changes.append(session)
            audit.append(session, entry)
            afterwards: Callable[..., Any] | None = session.info.get("afterwards")
        if afterwards is not None:
            answer = afterwards(self._after)
        return _reply(request, answer, arguments.get("query"))

    def _after(self) -> Any:
        """A second, small transaction for the outcome of a call to the world."""
        return _Appending(self.database)

    # -------------------------------------------------------------- both
    def _opened(self, session: Any, request: Request, entry: Entry) -> tuple[Actor, dict[str, Any]]:
        """The actor first; only then is what they sent read."""
        actor = _actor(session, request.credential)
        entry.actor_id, entry.via = actor.user_id, actor.via
        session.info.update(audit=entry, settings=self.settings)
        if not request.route.changes:
            session.info["state"] = (str(self.database.url), changes.head(session))
        if (
            request.credential
            and request.credential.by_cookie
            and request.route.changes
            and request.route.method == "GET"
        ):
            raise Forbidden("This call writes; a browser session has to send it as POST.")
        actor.knock(request.route.name)
        return actor, _arguments(request)


class _Appending:
    """`write()` that also numbers its changes."""

    def __init__(self, database: Database) -> None:
        self._context = database.write()

    def __enter__(self) -> Any:
        self._session = self._context.__enter__()
        return self._session

    def __exit__(self, *error: Any) -> Any:
        if error[0] is None:
            changes.append(self._session)
        return self._context.__exit__(*error)


def _actor(session: Any, credential: Credential | None) -> Actor:
    if credential is None:
        raise Unauthenticated()
    if credential.token is not None:
        return tokens.actor(session, credential.token)
    return tokens.actor_of(session, credential.user_id or 0, credential.via)


def _arguments(request: Request) -> dict[str, Any]:
    route = request.route
    arguments: dict[str, Any] = {name: _id(request.path[name]) for name in route.parameters}
    if route.query is not None:
        arguments["query"] = _query(route.query, request)
    if route.body is not None:
        arguments["body"] = _body(route.body, request.body)
    return arguments


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


def _reply(request: Request, answer: Any, query: Any) -> Reply:
    if request.route.present is not None:
        reply: Reply = request.route.present(request, answer, query)
        return reply
    status = 204 if answer is None else request.route.status
    if isinstance(answer, Page) and isinstance(query, Listing):
        _link(request, answer, query)
    return Reply(status, None if answer is None else dumped(answer), answer=answer)


def dumped(answer: Any) -> bytes:
    """An answer as JSON, camelCase, times in UTC with `Z`."""
    if isinstance(answer, BaseModel):
        return answer.model_dump_json(by_alias=True).encode()
    return _ANYTHING.dump_json(answer, by_alias=True)


def _link(request: Request, page: Page[Any], listing: Listing) -> None:
    """Links that keep the caller's address and filters and turn the page the way the caller turns it."""
    offset, limit = listing.window
    if offset + limit < page.count:
        page.next = _turned(request, listing, offset + limit, limit)
    if offset > 0 and page.count:
        page.previous = _turned(request, listing, max(0, offset - limit), limit)


def _turned(request: Request, listing: Listing, offset: int, limit: int) -> str:
    name, value = ("offset", offset) if listing.by_offset else ("page", offset // limit + 1)
    kept = [(key, given) for key, given in request.query if key != name]
    return f"{request.url}?{urlencode([*kept, (name, str(value))])}"


def _etag(session: Any, actor: Actor, request: Request) -> str:
    """Changes whenever the answer could: with every write, with the caller and their roles, with the question."""
    # The audit grows with every reading, its own included; everything else only with a write.
    head = audit.head(session) if request.route.name == "audit.search" else changes.head(session)
    said = [request.route.name, sorted(request.path.items()), sorted(request.query), actor.scope, head]
    return f'"{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]}"'


def _closing(chunks: Iterator[bytes], stack: ExitStack) -> Iterator[bytes]:
    """The stream's transaction ends with the stream, whether it was read to its end or not."""
    with stack:
        yield from chunks


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
