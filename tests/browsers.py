"""A browser without scripts: follows our pages, fills in their forms, keeps cookies; no more than the pages need."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Any

import httpx
from conftest import PASSWORD, Exchange


class _Forms(HTMLParser):
    """The forms of a page: where each goes, and the fields it brings by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append((given.get("action", ""), {}))
        elif tag == "input" and self.found and "name" in given:
            self.found[-1][1][given["name"]] = given.get("value", "")


class Browser:
    """One browser; `page` is the last answer."""

    def __init__(self, exchange: Exchange) -> None:
        self.http: httpx.Client = exchange.as_(None)
        self.origin = f"http://127.0.0.1:{exchange.port}"
        self.page = httpx.Response(204)

    def open(self, path: str, **headers: str) -> httpx.Response:
        """A page and wherever it leads, as long as that is with us."""
        sent = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Site": "none", **headers}
        self.page = self._followed(self.http.get(path, headers=sent))
        return self.page

    def submit(self, action: str = "", **fields: Any) -> httpx.Response:
        """The form that goes there (the page's only one, without an `action`), filled in."""
        target, hidden = next(form for form in self.forms if not action or form[0].endswith(action))
        sent = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
        url = self.page.url.join(target) if target else self.page.url
        self.page = self._followed(self.http.post(url, data={**hidden, **fields}, headers=sent))
        return self.page

    def _followed(self, answer: httpx.Response) -> httpx.Response:
        while answer.is_redirect and answer.headers["Location"].startswith("/"):
            answer = self.http.get(answer.url.join(answer.headers["Location"]), headers={"Accept": "text/html"})
        return answer

    @property
    def forms(self) -> list[tuple[str, dict[str, str]]]:
        parser = _Forms()
        parser.feed(self.page.text)
        return parser.found

    @property
    def text(self) -> str:
        """What one reads."""
        plain = re.sub(r"<style>.*?</style>|<[^>]+>", " ", self.page.text, flags=re.DOTALL)
        return html.unescape(re.sub(r"\s+", " ", plain))

    def sign_in(self, email: str, password: str = PASSWORD) -> httpx.Response:
        self.open("o/sign_in")
        return self.submit("sign_in", email=email, password=password)
