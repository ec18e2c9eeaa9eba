"""How a route is performed over HTTP: what came in becomes a request, the door answers it, the reply goes out.

Who may come this far is decided in `admission`; what errors look like stands in `answering`.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from . import metrics, negotiation, urlencoded
from .admission import AdmissionHandler
from .attempts import network_of
from .browser_sessions import COOKIE
from .calls import ARROW, JSON, Reply, Request
from .complaints import reason
from .errors import ExchangeError
from .routes import MIB, Sent

PIECE = MIB // 4  # bytes of a stream that a reader has to take in time; below what a slow line manages in a minute


class ExchangeHandler(AdmissionHandler):
    """Serves the routes of one path; without any, it answers that there is nothing here.

    Every method is marked `allow_unauthenticated`: it tells Jupyter that we look after our callers ourselves, whatever
    it does by default.
    """

    accepts: tuple[str, ...] = (JSON,)

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
            reply: Reply = await self.run(self._performed, await self._introduced(request))
            status, recorded = reply.status, reply.recorded
        except ExchangeError as refusal:
            status, recorded = refusal.status, refusal.recorded
            raise
        finally:
            if request.route.public and 400 <= status < 500 and not recorded:
                self.exchange.strangers.refused(self.address)
        return reply

    def _performed(self, request: Request) -> Reply:
        """In a thread: performed, and counted."""
        try:
            reply: Reply = self.exchange.door.perform(request)
        except ExchangeError as refusal:
            metrics.uploaded(request.route, refusal.status, None, refusal.detail)
            raise
        metrics.uploaded(request.route, reply.status, reply.answer)
        return reply

    async def _introduced(self, request: Request) -> Request:
        """The request with what somebody else has to say about who sent it; asked before any transaction begins."""
        return request

    def _place(self) -> AbstractAsyncContextManager[Any]:
        """An open stream keeps a connection of the store; beyond so many they wait here, where waiting costs none."""
        streams = self.route is not None and self.route.streams
        return self.exchange.streams.place(self._whose()) if self.produced == ARROW or streams else nullcontext()

    def _whose(self) -> str:
        """One sign-in: of a token, of Jupyter's user, or of a browser on our own pages."""
        if self.credential is not None:
            return self.credential.token or f"user {self.credential.user_id}"
        session = self.request.cookies.get(COOKIE)
        return session.value if session is not None else self.address

    def _request(self, path: dict[str, str]) -> Request:
        route = self.route
        assert route is not None
        body = b"".join(self._chunks)
        if route.body is not None or body:
            accepted = (urlencoded.FORM,) if route.form else self.accepts
            negotiation.check_content_type(self.request.headers.get("Content-Type", ""), body, accepted)
        query, form = urlencoded.pairs(self.request.query), urlencoded.form(body) if route.form else []
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

    # -------------------------------------------------------------- the reply
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
        except Exception as error:
            if not self._headers_written:
                raise  # there is time for an answer that says why
            self._cut_off(error)
        finally:
            await self.run(chunks.close)  # type: ignore[attr-defined]

    def _cut_off(self, error: Exception) -> None:
        """Tornado would end the answer as if it were whole: whoever reads it has to see that it is not."""
        if not isinstance(error, StreamClosedError | TimeoutError):
            told = (
                "jhe: %s was cut off (request %s): %s",
                self.request.path,
                self.request_id,
                reason(error.__cause__ or error),
            )
            self.log.warning(*told, exc_info=None if isinstance(error, ExchangeError) else error)
        if isinstance(self.request.connection, HTTP1Connection):
            self.request.connection.close()

    # -------------------------------------------------------------- methods
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
