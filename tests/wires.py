"""Transports between our client and the real server: one that writes down what went by, one that knows no Arrow."""

from __future__ import annotations

import httpx

from jhe_jupyter.connection import ARROW


class Recording(httpx.HTTPTransport):
    """Everything passes; `answers` holds (path, status) of what was answered since it was last emptied."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[tuple[str, int]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        self.answers.append((request.url.path.rpartition("/jhe/")[2], response.status_code))
        return response

    def of(self, path: str) -> list[int]:
        """The statuses of one path, forgotten once they are read."""
        found = [status for asked, status in self.answers if asked == path]
        self.answers.clear()
        return found


class WithoutArrow(Recording):
    """As if the server had never heard of Arrow, like the public Exchange: it is asked for JSON instead."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("Accept") == ARROW:
            request.headers["Accept"] = "application/json"
        return super().handle_request(request)
