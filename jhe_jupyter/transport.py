"""How a request travels: the token it carries, the address it may go to, what is repeated and how long to wait."""

from __future__ import annotations

import io
import random
import ssl
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import httpx

from .errors import ConnectionLost

T = TypeVar("T")
ATTEMPTS = 4
LONGEST_WAIT = 30.0  # seconds; a server that asks for more is obeyed by giving up, not by sleeping
BUSY = frozenset({429, 502, 503, 504})
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


class TokenAuth(httpx.Auth):
    """A bearer token, read again from its file once when the server no longer knows it.

    Long-lived kernels outlive the token they were started with; the Jupyter server replaces the file when it restarts.
    """

    def __init__(self, token: str, token_file: Path | None = None) -> None:
        self._token = token
        self._file = token_file

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        used = self._token
        request.headers["Authorization"] = f"Bearer {used}"
        response = yield request
        if response.status_code == 401 and self._renewed(used):
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _renewed(self, used: str) -> bool:
        """Whether there is another token to try: another thread or the file may hold one."""
        if self._file is not None:
            try:
                self._token = read_token(self._file)
            except OSError:
                return False
        return self._token != used


def read_token(path: Path) -> str:
    """The token in a file, without the line end around it."""
    return path.read_text(encoding="utf-8").strip()


def pause(attempt: int, retry_after: str | None = None) -> float | None:
    """Seconds to wait before the next attempt (0 = the first), or None where waiting is hopeless.

    What the server asks for is obeyed; otherwise exponential with full jitter, so that many notebooks do not knock
    at the same moment.

    >>> pause(0, "2")
    2.0
    >>> pause(0, "3600") is None
    True
    >>> 0 <= pause(3) <= 2
    True
    """
    if retry_after is not None and retry_after.strip().isdigit():
        asked = float(retry_after)
        return asked if asked <= LONGEST_WAIT else None
    return random.uniform(0, min(0.25 * 2**attempt, 4.0))  # noqa: S311 - jitter, no secret


def send(http: httpx.Client, request: httpx.Request, *, repeatable: bool, stream: bool = False) -> httpx.Response:
    """Send a request and return its answer, repeating only what is safe to repeat.

    A request that certainly never left is always repeated. One that may have arrived is repeated when `repeatable`
    (the method or the contract makes it idempotent), and so are the answers 429, 502, 503 and 504. With `stream` the
    answer's body is still to come, and the caller closes it.
    Raises ConnectionLost, which names the address and never the token.
    """
    for attempt in range(ATTEMPTS):
        last = attempt == ATTEMPTS - 1
        try:
            response = http.send(request, stream=stream)
        except httpx.TransportError as error:
            if last or not (_never_sent(error) or (repeatable and _worth_repeating(error))):
                raise ConnectionLost(None, _lost(request.url, error)) from None
            wait = pause(attempt)
        else:
            if last or not repeatable or response.status_code not in BUSY:
                return response
            wait = pause(attempt, response.headers.get("Retry-After"))
            if wait is None:
                return response
            response.close()
        time.sleep(wait or 0)
    raise AssertionError("the last attempt returns or raises")


def receive(http: httpx.Client, request: httpx.Request, use: Callable[[httpx.Response], T]) -> T:
    """Send a repeatable request and return what `use` makes of the answer while its body arrives.

    A body that breaks off is asked for again from its beginning. Raises ConnectionLost as `send` does.
    """
    for attempt in range(ATTEMPTS):
        try:
            with closing(send(http, request, repeatable=True, stream=True)) as response:
                return use(response)
        except httpx.TransportError as error:
            if attempt == ATTEMPTS - 1 or not _worth_repeating(error):
                raise ConnectionLost(None, _lost(request.url, error)) from None
        time.sleep(pause(attempt) or 0)
    raise AssertionError("the last attempt returns or raises")


class Arriving(io.RawIOBase):
    """The body of an answer as a file that is read while it arrives."""

    def __init__(self, response: httpx.Response) -> None:
        self._chunks = response.iter_bytes()
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, fewer only at the end, all of them for -1."""
        parts: list[memoryview] = []
        missing = sys.maxsize if size is None or size < 0 else size
        while missing and self._filled():
            parts.append(self._left[:missing])
            self._left = self._left[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)

    def _filled(self) -> bool:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._left = memoryview(chunk)
        return True


def _never_sent(error: httpx.TransportError) -> bool:
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def _worth_repeating(error: httpx.TransportError) -> bool:
    """Broken connections are; a server that let the whole timeout pass is busy, and asking again makes it busier."""
    return isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError)


def _lost(url: httpx.URL, error: httpx.TransportError) -> str:
    """One sentence about a connection that failed, with the server's address and without path, query or token."""
    server = f"{url.scheme}://{url.netloc.decode('ascii')}"
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return f"No Exchange answers at {server}: is the server running, and is the address right? ({error})"
    if isinstance(error, httpx.TimeoutException):
        return f"The Exchange at {server} did not answer in time; it may still be working on the request."
    return f"The connection to the Exchange at {server} was lost before it answered ({error or type(error).__name__})."


def server_url(url: str | httpx.URL) -> httpx.URL:
    """The Exchange's address in one spelling, or ValueError where it cannot be one.

    >>> server_url("http://127.0.0.1:8888/jhe/")
    URL('http://127.0.0.1:8888/jhe')
    >>> server_url("localhost:8888/jhe")
    Traceback (most recent call last):
    ValueError: the address of an Exchange starts with http:// or https://, as in http://127.0.0.1:8888/jhe
    """
    try:
        parsed = httpx.URL(str(url).strip())
    except httpx.InvalidURL as error:
        raise ValueError(f"this is no address: {error}") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("the address of an Exchange starts with http:// or https://, as in http://127.0.0.1:8888/jhe")
    if parsed.userinfo or parsed.query:
        raise ValueError("the address of an Exchange carries no password and no ?query; pass the token as token=")
    return parsed.copy_with(path=parsed.path.rstrip("/"), fragment=None)


def is_loopback(url: httpx.URL) -> bool:
    """Whether the address is this machine: then proxies of the environment must not stand between."""
    return url.host in {"localhost", "127.0.0.1", "::1"} or url.host.startswith("127.")


def client(url: httpx.URL | str, **more: Any) -> httpx.Client:
    """An HTTP client for an address; the certificates it trusts are read once, which takes longer than a question."""
    trusted = not is_loopback(httpx.URL(url))
    return httpx.Client(**more, trust_env=trusted, verify=_certificates(trusted))


@cache
def _certificates(trust_env: bool) -> ssl.SSLContext:
    """Whom to trust; where the environment may say so (`SSL_CERT_FILE`), as it says when first asked."""
    return httpx.create_ssl_context(trust_env=trust_env)
