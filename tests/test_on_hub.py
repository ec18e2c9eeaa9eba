"""How a kernel finds the Exchange of its Hub, and where the Hub's token goes: there and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

import jhe_jupyter as jhe
from jhe_jupyter.on_hub import Exchanged, HubPlace, hub_place

HUB = {"JUPYTERHUB_API_TOKEN": "the-hubs", "JUPYTERHUB_USER": "ada"}
PUBLIC = {**HUB, "JUPYTERHUB_PUBLIC_HUB_URL": "https://hub.example.org/hub/"}
VARIABLES = ("JHE_URL", "JHE_TOKEN", "JHE_TOKEN_FILE", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_PUBLIC_HUB_URL")


class Listener:
    """A server that refuses everything and remembers what it was sent."""

    def __init__(self) -> None:
        heard: list[tuple[str, str | None, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                heard.append((self.path, self.headers.get("Authorization"), self.rfile.read(size).decode()))
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_GET

            def log_message(self, *arguments: Any) -> None:
                """Not on the screen."""

        self.heard, self.server = heard, HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jhe"
        self.thread = Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


def on(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def test_the_exchange_is_a_service_beside_the_hubs_own_pages() -> None:
    assert hub_place(PUBLIC) == HubPlace("https://hub.example.org/services/jhe/jhe", "the-hubs")
    below = {**HUB, "JUPYTERHUB_PUBLIC_HUB_URL": "https://example.org/hub/hub/"}
    assert hub_place(below) == HubPlace("https://example.org/hub/services/jhe/jhe", "the-hubs")


def test_an_address_in_the_environment_counts_before_the_hubs() -> None:
    assert hub_place({**PUBLIC, "JHE_URL": "http://proxy-public/services/jhe/jhe"}) == HubPlace(
        "http://proxy-public/services/jhe/jhe", "the-hubs"
    )


@pytest.mark.parametrize(
    "environ",
    [
        {},
        HUB,
        {"JUPYTERHUB_PUBLIC_HUB_URL": "https://hub.example.org/hub/"},
        {**PUBLIC, "JHE_TOKEN": "jhe_another"},
        {**PUBLIC, "JHE_TOKEN_FILE": "a-file"},
    ],
    ids=["nowhere", "no address", "no token", "a token of one's own", "a file of tokens"],
)
def test_without_all_it_takes_or_with_another_token_the_hub_is_not_asked(environ: dict[str, str]) -> None:
    assert hub_place(environ) is None


def test_the_hubs_token_as_ones_own_is_the_hubs_all_the_same() -> None:
    assert hub_place({**PUBLIC, "JHE_URL": "http://hub/jhe", "JHE_TOKEN": "the-hubs"}) == HubPlace(
        "http://hub/jhe", "the-hubs"
    )


def test_the_hubs_token_is_sent_to_no_other_address(monkeypatch: pytest.MonkeyPatch, listener: Listener) -> None:
    on(monkeypatch, PUBLIC)
    with pytest.raises(jhe.ExchangeError):
        jhe.connect(listener.url, browser=False)
    with pytest.raises(jhe.ExchangeError):
        jhe.connect(listener.url, token="jhe_somebodys")
    assert listener.heard
    assert "the-hubs" not in str(listener.heard)


def test_the_hubs_token_leaves_in_the_body_of_one_call_only(
    monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    on(monkeypatch, {**HUB, "JHE_URL": listener.url})
    with pytest.raises(jhe.ExchangeError, match="could not exchange the Hub's token"):
        jhe.connect()
    assert [(path, authorization) for path, authorization, _ in listener.heard] == [("/jhe/o/token", None)]


def test_a_hub_that_does_not_say_where_it_is_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, HUB)
    with pytest.raises(jhe.ExchangeError, match=r"c\.JupyterHub\.public_url"):
        jhe.connect()


def test_no_secret_is_shown() -> None:
    place = HubPlace("https://hub.example.org/services/jhe/jhe", "the-hubs")
    assert "the-hubs" not in repr(place) + repr(Exchanged(place)) + str(place)
