"""Who may come in, and with what: identity, cookies and origins, bounded bodies, media types.

Jupyter's own `prepare` never runs here: it would answer for us with a login page. Order in ours: stopping → 503, host,
secrets in the address → 400, who is asking → 401, method, length, media types; only then is the body read.
"""

from __future__ import annotations

from jupyter_server.utils import ensure_async
from tornado import web

from . import hub_accounts, negotiation, tokens
from .answering import AnsweringHandler
from .calls import ARROW, JSON, Credential
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
)
from .routes import MIB, Route

SECRETS = frozenset({"token", "access_token"})  # that have no place in an address
DISCARDED = 16 * MIB  # bytes of a refused body that are read past


@web.stream_request_body
class AdmissionHandler(AnsweringHandler):
    """Leaves behind who is asking (`credential`), what they sent, what they will get (`produced`), or a refusal."""

    credential: Credential | None = None
    media_types: tuple[str, ...] = (JSON,)
    secrets: frozenset[str] = SECRETS
    produced: str

    def initialize(self, routes: dict[str, Route]) -> None:
        super().initialize(routes)
        self._chunks: list[bytes] = []
        self._size = 0
        self._refusal: ExchangeError | None = None

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

    def _negotiated(self) -> str:
        """The media type of the answer."""
        offered = (*self.media_types, ARROW) if self.route and self.route.table else self.media_types
        return negotiation.preferred(self.request.headers.get("Accept", "*/*"), offered)

    # -------------------------------------------------------------- who
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
        via = "jupyter" if self.exchange.hub is None else "hub"
        return Credential(user_id=user_id, via=via, by_cookie=not by_token)

    async def _jupyter_user(self) -> tuple[int, bool] | None:
        """(our user, whether a token said so): Jupyter's single owner, where Jupyter really asks who is there."""
        provider = self.identity_provider
        if self.exchange.hub is not None:
            return await self._hub_user()
        if self.exchange.owner_id is None or not getattr(provider, "auth_enabled", True):
            return None
        if not self.exchange.is_single_user(provider):
            return None
        user = await ensure_async(provider.get_user(self))
        if user is None:
            return None
        self.current_user = self._jupyter_current_user = user  # else Jupyter's XSRF check takes itself for too early
        return self.exchange.owner_id, bool(getattr(self, "_token_authenticated", False))

    async def _hub_user(self) -> tuple[int, bool] | None:
        """(our user, whether a token said so), as the Hub says whose service this is."""
        user = await self.identity_provider.hub_user(self)  # type: ignore[attr-defined]
        if user is None:
            return None
        self.current_user = self._jupyter_current_user = await self.identity_provider.get_user(self)  # type: ignore[misc]
        user_id: int = await self.run(hub_accounts.account, self.exchange.door, user)
        return user_id, bool(getattr(self, "_token_authenticated", False))

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

    def check_xsrf_cookie(self) -> None:
        """Tornado asks before `prepare`; the real check is made there, once it is known how the caller is known."""

    # -------------------------------------------------------------- the body
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
