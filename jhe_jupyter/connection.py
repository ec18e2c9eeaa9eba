"""One connection to one Exchange: a request made, a refusal raised, pages followed to the end."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, overload

import httpx

from .errors import refusal
from .remembered import Answer, Remembered
from .transport import REPEATABLE, Arriving, TokenAuth, client, receive, send, server_url

T = TypeVar("T")
Json = dict[str, Any]
PAGE_SIZE = 1000
ARROW = "application/vnd.apache.arrow.stream"


class Connection:
    """A connection to one Exchange with one token.

    `url` is the address the Exchange is mounted at, as in `http://127.0.0.1:8888/jhe`; `token` a bearer token;
    `token_file` where a newer one will be found when this one expires, `auth` what signs requests instead; `transport`
    an httpx transport to use instead of the network; `timeout` in seconds. Raises ValueError where the address cannot
    be one; every other method
    raises `ExchangeError` and its kin.

    >>> Connection("http://127.0.0.1:8888/jhe", "a-secret")
    Connection('http://127.0.0.1:8888/jhe')
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        token_file: Path | None = None,
        auth: httpx.Auth | None = None,
        transport: httpx.BaseTransport | None = None,
        timeout: float = 60.0,
    ) -> None:
        self._url = server_url(url)
        signed = auth or TokenAuth(token, token_file)
        self._http = client(self._url, auth=signed, transport=transport, timeout=timeout)
        self._remembered = Remembered()
        weakref.finalize(self, self._http.close)  # a notebook never closes anything

    @property
    def url(self) -> str:
        """The address of the Exchange."""
        return str(self._url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def close(self) -> None:
        """Close the connections and forget the answers; going out of use does it too."""
        self._http.close()
        self._remembered.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- one request ------------------------------------------------------------------------------------------------

    @overload
    def api_request(self, path: str, *, return_response: Literal[True], **kwargs: Any) -> httpx.Response: ...

    @overload
    def api_request(
        self, path: str, *, method: str = "GET", check: bool = True, fhir: bool = False, **kwargs: Any
    ) -> Any: ...

    def api_request(
        self,
        path: str,
        *,
        method: str = "GET",
        check: bool = True,
        return_response: bool = False,
        fhir: bool = False,
        repeatable: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Make one request to `/api/v1/{path}` (or `/FHIR/R5/{path}`) and return the decoded JSON, None where empty.

        `check=False` returns a refusal's body instead of raising it, `return_response=True` the httpx response.
        `repeatable` says whether the request may be sent again after a lost connection (default: by its method).
        Other arguments go to httpx (`params`, `json`, `headers`, …). A full address must be this Exchange's own,
        else ValueError: the token goes nowhere else.
        """
        if isinstance(kwargs.get("data"), str | bytes):
            kwargs["content"] = kwargs.pop("data")
            kwargs["headers"] = {"Content-Type": "application/json", **(kwargs.get("headers") or {})}
        request = self._http.build_request(method, self._address(path, fhir=fhir), **kwargs)
        response = send(self._http, request, repeatable=method in REPEATABLE if repeatable is None else repeatable)
        if check and not response.is_success:
            raise refusal(response) from None
        if return_response:
            return response
        return response.json() if response.content else None

    def _address(self, path: str, *, fhir: bool) -> httpx.URL:
        if "://" not in path:
            return httpx.URL(f"{self._url}/{'FHIR/R5' if fhir else 'api/v1'}/{path.lstrip('/')}")
        address = httpx.URL(path)
        if (address.scheme, address.netloc) != (self._url.scheme, self._url.netloc):
            raise ValueError(f"{address.host} is not the Exchange at {self._url.host}; the token goes nowhere else")
        return address

    # -- many pages -------------------------------------------------------------------------------------------------

    def list_api(
        self, path: str, params: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> Generator[Json]:
        """Yield the results of every page of an `/api/v1` list, at most `limit`; nothing is left out silently."""
        return _at_most(limit, self._pages(path, {"pageSize": _page_size(limit), **(params or {})}))

    def get_page(self, path: str, params: Mapping[str, Any] | None = None) -> Json:
        """One page of an `/api/v1` list: `{count, next, previous, results}`; for those who turn pages themselves."""
        return self._get(path, params)

    def _pages(self, path: str, params: Mapping[str, Any]) -> Generator[Json]:
        query = httpx.QueryParams(_given(params))
        while True:
            page = self.api_request(path, params=query)
            if isinstance(page, list):  # a few short lists come without pages
                yield from page
                return
            yield from page["results"]
            if not page.get("next"):
                return
            # Only the query of the link is followed: behind a proxy its host may be one we must not send a token to.
            query = httpx.URL(page["next"]).params

    def search_fhir(
        self, resource_type: str, params: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> Generator[Json]:
        """Yield the resources of every page of a FHIR search, at most `limit`, each id once."""
        return _at_most(limit, self._bundles(resource_type, {"_count": _page_size(limit), **(params or {})}))

    def _bundles(self, resource_type: str, params: Mapping[str, Any]) -> Generator[Json]:
        query = httpx.QueryParams(_given(params))
        seen: set[str] = set()
        while True:
            bundle = self.api_request(resource_type, fhir=True, params=query)
            for entry in bundle.get("entry") or []:
                resource = entry["resource"]
                if resource["id"] not in seen:  # a record written meanwhile moves the others to the next page
                    seen.add(resource["id"])
                    yield resource
            links = {link["relation"]: link["url"] for link in bundle.get("link") or []}
            if "next" not in links:
                return
            query = httpx.URL(links["next"]).params

    def read_arrow(
        self,
        path: str,
        read: Callable[[Arriving], T],
        params: Mapping[str, Any] | None = None,
        *,
        shape: str,
        size: Callable[[T], int],
    ) -> T | None:
        """What `read` makes of the whole list, arriving as one Arrow IPC stream; None where it is not offered.

        What it made is remembered, in memory only, as long as there is room for its `size` in bytes (1 GiB for all,
        those not asked for longest go first). Asked again, the server is asked whether anything changed, and where
        nothing did the same object is returned; who hands it on hands on a copy. `shape` tells readers of one list
        from another.
        """
        given = _given(params)
        question = (path, shape, *sorted(given.items()))
        known = self._remembered.recall(question)
        headers = {"Accept": ARROW, "Accept-Encoding": "identity"}  # it is compressed already
        if known is not None:
            headers["If-None-Match"] = known.etag
        request = self._http.build_request("GET", self._address(path, fhir=False), params=given, headers=headers)
        value, etag = receive(self._http, request, lambda response: _streamed(response, read, known))
        if value is not None and etag:
            self._remembered.keep(question, Answer(etag, value, size(value)))
        return value

    # -- shorthands -------------------------------------------------------------------------------------------------

    def _get(self, path: str, params: Mapping[str, Any] | None = None) -> Json:
        answer: Json = self.api_request(path, params=_given(params))
        return answer

    def _write(
        self, method: str, path: str, body: Json | None = None, params: Mapping[str, Any] | None = None, **how: Any
    ) -> Json:
        answer: Json = self.api_request(path, method=method, json=body, params=_given(params), **how)
        return answer


def _given(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parameters that were given: None is not sent, so that a default stays the server's."""
    return {name: value for name, value in (params or {}).items() if value is not None}


def _streamed(
    response: httpx.Response, read: Callable[[Arriving], T], known: Answer | None
) -> tuple[T | None, str | None]:
    """What `read` makes of a streamed answer, or what is known where that still holds, with its ETag."""
    if response.status_code == 304 and known is not None:
        return known.value, known.etag
    if response.is_success and response.headers.get("Content-Type", "").startswith(ARROW):
        return read(Arriving(response)), response.headers.get("ETag")
    response.read()
    if response.is_success or response.status_code == 406:
        return None, None
    raise refusal(response) from None


def _page_size(limit: int | None) -> int:
    return PAGE_SIZE if limit is None else max(1, min(limit, PAGE_SIZE))


def _at_most(limit: int | None, items: Generator[Json]) -> Generator[Json]:
    if limit is not None and limit < 0:
        raise ValueError(f"limit must not be negative, not {limit}")
    yield from islice(items, limit)
