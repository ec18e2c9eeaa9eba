"""The door: who asks → what they ask, as shapes → the verb in its transaction → the audit → the answer. Once, for all.

No web and no SQL here: `web.py` brings what came over HTTP, the concepts know the store.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, TypeAdapter, ValidationError

from . import __version__, attempts, audit, changes, oauth_clients, tokens
from .access import Actor
from .arrow_stream import stream
from .audit import Entry
from .calls import ARROW, Credential, Reply, Request, arguments, invalid
from .complaints import reason
from .db import Database, recall, remember
from .errors import ExchangeError, Forbidden, Invalid, Unauthenticated, Unavailable
from .recording import Recorder
from .routes import MIB, Sent
from .settings import Settings
from .shapes import Listing, Page

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
    507: "error",
}
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


class Door:
    """Performs requests against one store."""

    def __init__(self, database: Database, settings: Settings, log: logging.Logger | None = None) -> None:
        self.database = database
        self._recorder = Recorder(database)
        self._room = threading.BoundedSemaphore(2)  # one that is read, one that is written
        self.settings = settings
        self.log = log or logging.getLogger("jhe")

    def actor(self, credential: Credential | None) -> Actor:
        """Who is asking, before anything they sent is read."""
        with self.database.read() as session:
            return _actor(session, credential)

    def knows_origin(self, origin: str) -> bool:
        """Whether some app that is registered calls from pages of this origin."""
        with self.database.read() as session:
            return oauth_clients.knows_origin(session, origin)

    def perform(self, request: Request) -> Reply:
        """Answer a request or raise the one error it earned; either leaves its audit row."""
        entry = Entry(verb=request.route.name, request_id=request.request_id)
        if request.route.public:
            return self._limited(request, entry)
        return self._performed(request, entry)

    def _limited(self, request: Request, entry: Entry) -> Reply:
        """A call of somebody nobody knows: refused once too many from that address were, and counted if refused."""
        kind, address = request.route.limit, request.sent.address
        if kind is None or request.sent.hub_user_id is not None:  # whom the Hub knows is not guessing
            return self._performed(request, entry)
        with self.database.read() as session:
            attempts.allowed(session, self.settings.limits, kind, address)
        try:
            reply = self._performed(request, entry)
        except ExchangeError as refusal:
            if refusal.status < 500:
                self._count(kind, address)
            raise
        if 400 <= reply.status < 500:
            self._count(kind, address)
        return reply

    def _count(self, kind: str, address: str) -> None:
        with self.database.write() as session:
            attempts.count(session, kind, address)

    def _performed(self, request: Request, entry: Entry) -> Reply:
        try:
            return self._write(request, entry) if request.route.changes else self._read(request, entry)
        except ValidationError as error:
            refusal: ExchangeError = invalid(error)
        except ExchangeError as error:
            refusal = error
            self._complain(request, refusal)
        except RecursionError:
            refusal = Invalid("The JSON is nested too deeply.")
        except Exception:
            self.log.exception("jhe: %s failed (request %s)", request.route.name, request.request_id)
            refusal = ExchangeError()
        if not request.route.public or entry.actor_id is not None:
            self._refused(entry, refusal)
            refusal.recorded = True
        raise refusal

    def _complain(self, request: Request, refusal: ExchangeError) -> None:
        """What the caller hears in our words, the operator reads in the store's."""
        if refusal.status >= 500 and refusal.__cause__ is not None:
            said = (request.route.name, request.request_id, reason(refusal.__cause__))
            self.log.warning("jhe: %s was put off (request %s): %s", *said)

    def turn_away(self, credential: Credential, verb: str, request_id: str, refusal: ExchangeError) -> None:
        """Record what was refused before it came here: a method, a length, a media type; whoever sent it is known."""
        actor = self.actor(credential)
        self._refused(Entry(verb=verb, actor_id=actor.user_id, via=actor.via, request_id=request_id), refusal)

    def _refused(self, entry: Entry, refusal: ExchangeError) -> None:
        """A refusal's row is a transaction of its own, so that it survives the rollback of what was refused.

        Strangers' refusals are counted by address and minute (`strangers.py`), or anybody could fill the disk. What
        is put off is no refusal: it was not decided, and there may be nothing to write it to.
        """
        if isinstance(refusal, Unauthenticated | Unavailable):
            return
        entry.outcome = OUTCOMES.get(refusal.status, "denied")
        entry.count = 0
        entry.patients.clear()
        self.record(entry)

    def record(self, entry: Entry) -> None:
        self._recorder.record(entry)

    # -------------------------------------------------------------- reading
    def _read(self, request: Request, entry: Entry) -> Reply:
        with ExitStack() as stack:
            session = stack.enter_context(self.database.read())
            actor, given = self._opened(session, request, entry)
            reply = self._unchanged(session, actor, request) or self._answer(session, actor, request, given)
            if request.route.audited and not (request.route.public and entry.actor_id is None):
                self.record(entry)
            if reply.stream is not None:
                reply.stream = _closing(reply.stream, stack.pop_all())
            return reply

    def _answer(self, session: Any, actor: Actor | Sent, request: Request, given: dict[str, Any]) -> Reply:
        route = request.route
        if request.media_type == ARROW and route.table is not None and isinstance(actor, Actor):
            table = route.table(session, actor, **given)
            etag = _etag(session, actor, request)
            remember(session, ("read", etag), session.info["audit"].read())
            headers = {"ETag": etag}
            return Reply(200, media_type=ARROW, headers=headers, answer=table, stream=stream(table))
        return _reply(request, route.verb(session, actor, **given), given.get("query"))

    def _unchanged(self, session: Any, actor: Actor | Sent, request: Request) -> Reply | None:
        if request.media_type != ARROW or request.etag is None or isinstance(actor, Sent):
            return None
        etag = _etag(session, actor, request)
        known = {one.strip().removeprefix("W/") for one in request.etag.split(",")}
        # Who reads it again reads of the same patients: where that is forgotten, the answer is given anew.
        whom = recall(session, ("read", etag)) if etag in known else None
        if whom is None:
            return None
        session.info["audit"].reads(whom)
        return Reply(304, headers={"ETag": etag}, media_type=ARROW)

    # -------------------------------------------------------------- writing
    def _write(self, request: Request, entry: Entry) -> Reply:
        if not request.route.ahead:
            return self._written(request, entry)
        with self._room_for(request.body):
            return self._written(request, entry, self._read_ahead(request, entry))

    def _room_for(self, body: bytes) -> AbstractContextManager[Any]:
        """JSON takes thirty times its size once it is read: who sends much waits until there is memory for it."""
        return self._room if len(body) > MIB else nullcontext()

    def _written(self, request: Request, entry: Entry, ahead: dict[str, Any] | None = None) -> Reply:
        with self.database.write() as session:
            actor, given = self._opened(session, request, entry, ahead)
            answer = request.route.verb(session, actor, **given)
            changes.append(session)
            if not request.route.public or entry.actor_id is not None:
                audit.append(session, entry)
            afterwards: Callable[..., Any] | None = session.info.get("afterwards")
        if afterwards is not None:
            answer = afterwards(self._after)
        reply = _reply(request, answer, given.get("query"))
        reply.recorded = entry.actor_id is not None
        return reply

    def _read_ahead(self, request: Request, entry: Entry) -> dict[str, Any]:
        """What was sent, read while others write; whoever may not send it is heard no further."""
        with self.database.read() as session:
            self._known(session, request, entry)
        return arguments(request)

    def _after(self) -> Any:
        """A second, small transaction for the outcome of a call to the world."""
        return _Appending(self.database)

    # -------------------------------------------------------------- both
    def _opened(
        self, session: Any, request: Request, entry: Entry, given: dict[str, Any] | None = None
    ) -> tuple[Actor | Sent, dict[str, Any]]:
        """The actor first; only then is what they sent read."""
        session.info.update(audit=entry, settings=self.settings)
        if request.route.public:
            return request.sent, arguments(request)
        actor = self._known(session, request, entry)
        return actor, arguments(request) if given is None else given

    def _known(self, session: Any, request: Request, entry: Entry) -> Actor:
        """Who is calling, and may."""
        actor = _actor(session, request.credential)
        entry.actor_id, entry.via = actor.user_id, actor.via
        if not request.route.changes:
            session.info["state"] = (str(self.database.url), changes.mark(session))
        if (
            request.credential
            and request.credential.by_cookie
            and request.route.changes
            and request.route.method == "GET"
        ):
            raise Forbidden("This call writes; a browser session has to send it as POST.")
        actor.knock(request.route.name)
        return actor


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
    head = audit.head(session) if request.route.name == "audit.search" else changes.mark(session)
    said = [__version__, request.route.name, sorted(request.path.items()), sorted(request.query), actor.scope, head]
    return f'"{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]}"'


def _closing(chunks: Iterator[bytes], stack: ExitStack) -> Iterator[bytes]:
    """The stream's transaction ends with the stream, whether it was read to its end or not."""
    with stack:
        yield from chunks
