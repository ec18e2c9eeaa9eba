"""HTTP in front of the door: identity, bounded bodies, negotiation, and the one place where an error becomes a status.

Jupyter's own `prepare` never runs here: it would answer for us with a login page. Order in ours: stopping → 503, host,
secrets in the address → 400, who is asking → 401, method, length, media types; only then is the body read.
"""

from __future__ import annotations

import asyncio
import functools
import json
import secrets
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import ensure_async
from tornado import web
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from . import tokens
from .attempts import network_of
from .calls import ARROW, JSON, Credential, Reply, Request
from .errors import (
    ExchangeError,
    Forbidden,
    Invalid,
    NotAcceptable,
    NotAllowed,
    NotFound,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)
from .routes import MIB, Route, Sent, without_secrets

if TYPE_CHECKING:
    from .app import ExchangeApp

FORM = "application/x-www-form-urlencoded"
SECRETS = frozenset({"token", "access_token"})  # that have no place in an address
DISCARDED = 16 * MIB  # bytes of a refused body that are read past
PIECE = MIB // 4  # bytes of a stream that a reader has to take in time; below what a slow line manages in a minute


@web.stream_request_body
class ExchangeHandler(JupyterHandler):
    """Serves the routes of one path; without any, it answers that there is nothing here.

    Every method is marked `allow_unauthenticated`: it tells Jupyter that we look after our callers ourselves, whatever
    it does by default.
    """

    routes: dict[str, Route]
    credential: Credential | None = None
    media_types: tuple[str, ...] = (JSON,)
    accepts: tuple[str, ...] = (JSON,)
    secrets: frozenset[str] = SECRETS
    known_origin = False

    def initialize(self, routes: dict[str, Route]) -> None:
        self.routes = routes
        self._chunks: list[bytes] = []
        self._size = 0
        self._refusal: ExchangeError | None = None
        self.request_id = secrets.token_hex(8)

    @property
    def exchange(self) -> ExchangeApp:
        return self.settings["jhe"]  # type: ignore[no-any-return]

    @property
    def route(self) -> Route | None:
        return self.routes.get(self.request.method or "")

    # -------------------------------------------------------------- headers
    def set_default_headers(self) -> None:
        """On every answer, errors included."""
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        self.set_header("Vary", "Origin, Accept, Authorization, Cookie")
        origin = self.request.headers.get("Origin")
        if origin and (self.known_origin or origin in self.settings["jhe"].cors_origins):
            self.set_header("Access-Control-Allow-Origin", origin)  # never with credentials: bearer tokens only
            self.set_header("Access-Control-Expose-Headers", "ETag, Location, Retry-After, WWW-Authenticate")

    def check_xsrf_cookie(self) -> None:
        """Tornado asks before `prepare`; the real check is made there, once it is known how the caller is known."""

    # -------------------------------------------------------------- who, and may this be read at all
    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse early; but where a small body is on its way, let it pass by unread first.

        A connection closed on unread bytes is reset, and the caller would see that instead of the answer.
        """
        try:
            await self._admit()
        except ExchangeError as refusal:
            await self._turn_away(refusal)
            length = self.request.headers.get("Content-Length", "0")
            if not length.isdecimal() or int(length) > DISCARDED:
                self.set_header("Connection", "close")
                raise
            self._refusal = refusal

    async def _turn_away(self, refusal: ExchangeError) -> None:
        """A refusal before the door leaves its trace like any other: a row for somebody known, a count otherwise."""
        if isinstance(refusal, Unavailable | Unauthenticated):
            return  # the latter is counted where every answer leaves
        if self.credential is None:
            self.exchange.strangers.refused(self.address)
            return
        name = self.route.name if self.route else "none"
        await self.run(self.exchange.door.turn_away, self.credential, name, self.request_id, refusal)

    async def _admit(self) -> None:
        if self.exchange.closing:
            raise Unavailable(headers={"Retry-After": "5"})
        if not self.check_host():
            raise Forbidden("This host name is not one of this server's.")
        await self._recognise_origin()
        if self.request.method == "OPTIONS":
            return
        if self.secrets & set(self.request.query_arguments):
            raise Invalid("Tokens are not accepted in the address; send an Authorization header.")
        if self.route is not None and self.route.public:
            self._bounded()
            self.produced = self._negotiated()
            return
        self.credential = await self._credential()
        if self.route is None or self._brings_a_body() or not self._acceptable():
            # Whoever is refused for anything else has to be somebody first; other calls ask in their own transaction.
            await self.run(self.exchange.door.actor, self.credential)
        if not self.routes:
            raise NotFound()
        if self.route is None:
            allowed = ", ".join(sorted(self.routes))
            raise NotAllowed(f"This path answers {allowed}.", headers={"Allow": allowed})
        self._bounded()
        self.produced = self._negotiated()

    async def _recognise_origin(self) -> None:
        """A browser app may call from where its client is registered."""
        origin = self.request.headers.get("Origin")
        if origin and await self.run(self.exchange.door.knows_origin, origin):
            self.known_origin = True
            self.set_default_headers()

    def _brings_a_body(self) -> bool:
        headers = self.request.headers
        return headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers

    def _acceptable(self) -> bool:
        try:
            return bool(self._negotiated())
        except NotAcceptable:
            return False

    @property
    def _limit(self) -> int:
        """The largest body this call takes, in bytes."""
        return self.exchange.body_limit(self.route.kind if self.route else "body")

    def _bounded(self) -> None:
        length = self.request.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > self._limit:
            self.set_header("Connection", "close")
            raise self._too_large()

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self._limit / MIB:.3g} MiB.")

    def data_received(self, chunk: bytes) -> None:
        """A chunked body says its length only by being too long; what is refused is read past, within bounds."""
        self._size += len(chunk)
        if self._refusal is None and self._size > self._limit:
            self._refusal = self._too_large()
            self._chunks, self._size = [], 0
        if self._refusal is None:
            self._chunks.append(chunk)
        elif self._size > DISCARDED:
            self.set_header("Connection", "close")
            self.send_error(self._refusal.status, exc_info=(type(self._refusal), self._refusal, None))

    async def _credential(self) -> Credential:
        header = self.request.headers.get("Authorization")
        if header is not None:
            scheme, _, value = header.partition(" ")
            if scheme.lower() == "bearer" and value.strip().startswith(tokens.PREFIX):
                return Credential(token=value.strip())
        known = await self._jupyter_user()
        # A bad Authorization header never falls back to a cookie.
        if known is None or (header is not None and not known[1]):
            raise Unauthenticated()
        user_id, by_token = known
        if not by_token:
            self._check_cookie_request()
        return Credential(user_id=user_id, via="jupyter", by_cookie=not by_token)

    async def _jupyter_user(self) -> tuple[int, bool] | None:
        """(our user, whether a token said so): Jupyter's single owner, where Jupyter really asks who is there."""
        provider = self.identity_provider
        if self.exchange.owner_id is None or not getattr(provider, "auth_enabled", True):
            return None
        if not self.exchange.is_single_user(provider):
            return None
        user = await ensure_async(provider.get_user(self))
        if user is None:
            return None
        self.current_user = self._jupyter_current_user = user  # else Jupyter's XSRF check takes itself for too early
        return self.exchange.owner_id, bool(getattr(self, "_token_authenticated", False))

    def _check_cookie_request(self) -> None:
        """What a browser sends by itself has to come from our own pages."""
        if self.request.method not in ("GET", "HEAD"):
            if not self.check_origin():
                raise Forbidden("A request from another site is refused.")
            try:
                super().check_xsrf_cookie()
            except web.HTTPError:
                raise Forbidden("The XSRF token is missing or wrong.") from None
        elif self.request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            raise Forbidden("A request from another site is refused.")

    def _negotiated(self) -> str:
        """The media type of the answer."""
        offered = (*self.media_types, ARROW) if self.route and self.route.table else self.media_types
        accept = self.request.headers.get("Accept", "*/*")
        best, quality = None, 0.0
        for part in accept.split(","):
            kind, *parameters = (one.strip() for one in part.lower().split(";"))
            q = _quality(parameters)
            for one in offered:
                if kind in (one, "*/*", one.split("/")[0] + "/*") and q > quality:
                    best, quality = one, q
        if best is None:
            raise NotAcceptable(f"Only {' and '.join(offered)} can be produced here.")
        return best

    # -------------------------------------------------------------- the call
    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Off the event loop: no notebook waits for a database."""
        pool: Executor = self.exchange.pool
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, functools.partial(function, *arguments))
        except RuntimeError as error:
            if self.exchange.closing:
                raise Unavailable(headers={"Retry-After": "5"}) from error
            raise

    async def perform(self, **path: str) -> None:
        if self._refusal is not None:
            raise self._refusal
        try:
            request = self._request(path)
        except ExchangeError as refusal:
            await self._turn_away(refusal)
            raise
        with self.exchange.in_flight():
            async with self._place():
                reply: Reply = await self._answered(request)
                if request.route.waits:
                    reply = await self._waited(request, reply)
                await self._send(reply)

    async def _answered(self, request: Request) -> Reply:
        """Refusals of somebody nobody knows are counted by address."""
        status, recorded = 500, False
        try:
            reply: Reply = await self.run(self.exchange.door.perform, request)
            status, recorded = reply.status, reply.recorded
        except ExchangeError as refusal:
            status, recorded = refusal.status, refusal.recorded
            raise
        finally:
            if request.route.public and 400 <= status < 500 and not recorded:
                self.exchange.strangers.refused(self.address)
        return reply

    def _place(self) -> AbstractAsyncContextManager[Any]:
        """An open stream keeps a connection of the store; beyond so many they wait here, where waiting costs none."""
        streams = self.route is not None and self.route.streams
        return self.exchange.streams if self.produced == ARROW or streams else nullcontext()

    def _request(self, path: dict[str, str]) -> Request:
        route = self.route
        assert route is not None
        body = b"".join(self._chunks)
        if route.body is not None or body:
            self._check_media_type(body, (FORM,) if route.form else self.accepts)
        query, form = _pairs(self.request.query), _form(body) if route.form else []
        return Request(
            route=route,
            credential=self.credential,
            path=dict(zip(route.parameters, path.values(), strict=True)),
            query=query + form,
            body=b"" if route.form else body,
            media_type=self.produced,
            url=self.absolute(self.request.path),
            request_id=self.request_id,
            etag=self.request.headers.get("If-None-Match"),
            sent=self._sent(query, form),
            strict="handling=strict" in self.request.headers.get("Prefer", "").lower().replace(" ", ""),
        )

    def _sent(self, query: list[tuple[str, str]], form: list[tuple[str, str]]) -> Sent:
        cookies = {name: morsel.value for name, morsel in self.request.cookies.items()}
        return Sent(
            query=tuple(query),
            form=tuple(form),
            authorization=self.request.headers.get("Authorization"),
            cookies=cookies,
            address=network_of(self.address),
            root=self.mounted,
            path=self.request.path,
        )

    @property
    def address(self) -> str:
        """Where the caller is, as the outermost proxy that we trust has seen it."""
        said, peer = self.request.headers.get("X-Forwarded-For", ""), self.request.remote_ip or ""
        return seen_by_proxies(said, self.exchange.proxies, peer)

    @property
    def mounted(self) -> str:
        """The path below which browsers reach the Exchange."""
        if self.exchange.public_url:
            return urlsplit(self.exchange.public_root).path
        return self.exchange.root if self.request.path.startswith(f"{self.exchange.root}/") else ""

    def _check_media_type(self, body: bytes, accepts: tuple[str, ...]) -> None:
        kind, *parameters = self.request.headers.get("Content-Type", "").lower().split(";")
        if body and kind.strip() not in accepts:
            raise UnsupportedMedia(f"Send {' or '.join(accepts)}.")
        charset = next((one.partition("=")[2].strip(' "') for one in parameters if "charset" in one), "utf-8")
        if charset not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMedia("Send it in UTF-8.")

    async def _waited(self, request: Request, reply: Reply) -> Reply:
        """A long poll: ask again, cheaply, until there is something new or the caller's patience ends."""
        loop = asyncio.get_running_loop()
        wait = float(min(60.0, (reply.answer is not None and self._wait()) or 0.0))
        until = loop.time() + wait
        while not reply.answer.changes and loop.time() < until and not self.exchange.closing:
            await asyncio.sleep(0.2)
            reply = await self.run(self.exchange.door.perform, request)
        return reply

    def _wait(self) -> float:
        return float(self.get_query_argument("wait", "0"))

    async def _send(self, reply: Reply) -> None:
        self.set_status(reply.status)
        for name, value in reply.headers.items():
            self.set_header(name, value)
        if reply.stream is not None:
            await self._stream(reply)
            return
        if reply.body is not None:
            self.set_header("Content-Type", reply.media_type)
            self.write(reply.body)
        else:
            self.clear_header("Content-Type")
        await self.finish()

    async def _stream(self, reply: Reply) -> None:
        """One chunk at a time, the next made when the last has left; a reader who stalls is let go."""
        self.set_header("Content-Type", reply.media_type)
        chunks = reply.stream
        assert chunks is not None
        try:
            while (chunk := await self.run(next, chunks, None)) is not None:
                for start in range(0, len(chunk), PIECE):
                    self.write(chunk[start : start + PIECE])
                    await asyncio.wait_for(self.flush(), self.exchange.stalled_after)
            await asyncio.wait_for(self.finish(), self.exchange.stalled_after)
        except (StreamClosedError, TimeoutError):
            if isinstance(self.request.connection, HTTP1Connection):
                self.request.connection.close()
        finally:
            await self.run(chunks.close)  # type: ignore[attr-defined]

    @allow_unauthenticated
    async def get(self, **path: str) -> None:
        await self.perform(**path)

    @allow_unauthenticated
    async def post(self, **path: str) -> None:
        await self.perform(**path)

    @allow_unauthenticated
    async def put(self, **path: str) -> None:
        await self.perform(**path)

    @allow_unauthenticated
    async def patch(self, **path: str) -> None:
        await self.perform(**path)

    @allow_unauthenticated
    async def delete(self, **path: str) -> None:
        await self.perform(**path)

    @allow_unauthenticated
    async def head(self, **path: str) -> None:
        await self.perform(**path)

    @allow_unauthenticated
    async def options(self, **path: str) -> None:
        """A browser app of an allowed origin asks before it calls."""
        self.set_status(204)
        self.set_header("Allow", ", ".join([*sorted(self.routes), "OPTIONS"]))
        if self.request.headers.get("Access-Control-Request-Method"):
            self.set_header("Access-Control-Allow-Methods", ", ".join(sorted(self.routes)))
            self.set_header(
                "Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, If-None-Match, Prefer"
            )
            self.set_header("Access-Control-Max-Age", "600")
        await self.finish()

    # -------------------------------------------------------------- addresses
    def absolute(self, path: str) -> str:
        """An address the caller can follow; `public_url` where a proxy would have us guess."""
        if self.exchange.public_url:
            root = self.exchange.public_root
            below = path.removeprefix(self.exchange.root) if path.startswith(self.exchange.root) else path
            return root + below
        return f"{self.request.protocol}://{self.request.host}{path}"

    # -------------------------------------------------------------- errors and the log
    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Tornado would log the whole address; what it refuses itself is in the log of requests."""
        if not isinstance(value, ExchangeError | StreamClosedError | web.HTTPError):
            said = (self.request.method, without_secrets(self.request.path), self.request_id)
            self.log.error("jhe: %s %s failed (request %s)", *said, exc_info=(typ, value, tb))

    def send_error(self, status_code: int = 500, **more: Any) -> None:
        error = (more.get("exc_info") or (None, None, None))[1]
        status = error.status if isinstance(error, ExchangeError) else status_code
        super().send_error(status, **more)

    def write_error(self, status_code: int, **more: Any) -> None:
        error = (more.get("exc_info") or (None, None, None))[1]
        refusal = error if isinstance(error, ExchangeError) else _refusal(status_code)
        if isinstance(refusal, Unauthenticated):
            self.exchange.strangers.refused(self.address)
        for name, value in refusal.headers.items():
            self.set_header(name, value)
        self.set_header("Content-Type", self.error_type)
        self.finish(self.error_text(refusal))

    error_type = JSON

    def error_text(self, refusal: ExchangeError) -> str:
        return json.dumps(self.error_body(refusal), ensure_ascii=False)

    def error_body(self, refusal: ExchangeError) -> dict[str, Any]:
        return {"detail": refusal.detail} | ({"errors": refusal.errors} if refusal.errors else {})

    def _log(self) -> None:
        """Jupyter's own access log hides queries only, and an invitation's secret may stand in the path."""
        path = without_secrets(self.request.path)
        log = self.log.warning if self.get_status() >= 500 else self.log.debug
        took = 1000 * self.request.request_time()
        log("jhe: %d %s %s %.1f ms (request %s)", self.get_status(), self.request.method, path, took, self.request_id)


def seen_by_proxies(forwarded: str, proxies: int, peer: str) -> str:
    """The caller's address where so many trusted proxies each append whom they see; what stands before is hearsay.

    >>> seen_by_proxies("6.6.6.6, 192.0.2.7, 10.0.0.1", 2, "10.0.0.2")
    '192.0.2.7'
    >>> seen_by_proxies("6.6.6.6", 0, "192.0.2.7"), seen_by_proxies("", 1, "10.0.0.2")
    ('192.0.2.7', '10.0.0.2')
    """
    seen = [one.strip() for one in forwarded.split(",") if one.strip()]
    return seen[-proxies][:60] if 0 < proxies <= len(seen) else peer


def _refusal(status: int) -> ExchangeError:
    """What tornado itself refuses (a malformed request, a method), in our words."""
    found = next((kind for kind in ExchangeError.__subclasses__() if kind.status == status), None)
    if found is not None:
        return found()
    refusal = ExchangeError("The request cannot be used as it was sent." if 400 <= status < 500 else None)
    refusal.status = status
    return refusal


def _quality(parameters: list[str]) -> float:
    for one in parameters:
        if one.startswith("q="):
            try:
                return float(one[2:])
            except ValueError:
                return 0.0
    return 1.0


def _form(body: bytes) -> list[tuple[str, str]]:
    """A form's fields are written as a query's are."""
    try:
        return _pairs(body.decode())
    except UnicodeDecodeError:
        raise Invalid("The form is not valid UTF-8.") from None


def _pairs(query: str) -> list[tuple[str, str]]:
    """The query as sent, in order; what is not UTF-8 is refused rather than guessed."""
    pairs = []
    for part in query.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        try:
            decoded = [unquote_to_bytes(one.replace("+", " ")).decode() for one in (name, value)]
        except UnicodeDecodeError:
            raise Invalid("The query is not valid UTF-8.") from None
        if "\0" in decoded[0] + decoded[1]:
            raise Invalid("The query contains a NUL character.", {decoded[0].strip("\0")[:100]: ["contains NUL"]})
        pairs.append((decoded[0], decoded[1]))
    return pairs
