"""A server told to stop, with no terminal: what is under way ends well, what comes is put off, and it ends in time."""

from __future__ import annotations

import http.client
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import MARY, MEGAN, Exchange, _fresh, wait_for
from indoors import counted

PATIENT = {
    "telecomEmail": "late@example.org",
    "nameFamily": "Late",
    "nameGiven": "Ada",
    "birthDate": "1980-12-10",
    "organizationId": 20003,
}


class Post(threading.Thread):
    """A patient created in the background, since the answer is a while in coming."""

    def __init__(self, client: httpx.Client) -> None:
        super().__init__()
        self.client = client
        self.answer: httpx.Response | httpx.TransportError | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self.client.post("api/v1/patients", json=PATIENT)
        except httpx.TransportError as error:
            self.answer = error


def waiting(exchange: Exchange) -> bool:
    """Whether a request is being worked on, as the server itself counts."""
    return "jhe_requests_in_flight 1.0" in metrics(exchange)


def metrics(exchange: Exchange) -> str:
    address = f"http://127.0.0.1:{exchange.port}/metrics"
    return httpx.get(address, headers={"Authorization": f"token {'m' * 32}"}, trust_env=False).text


OPTIONS = (f"--IdentityProvider.token={'m' * 32}", "--ExchangeApp.stop_within=3")


@pytest.fixture
def stoppable(store: str, tmp_path: Path) -> Iterator[Exchange]:
    exchange = Exchange(store, tmp_path, *OPTIONS)
    yield exchange
    exchange.close()


@pytest.fixture
def stuck(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Exchange]:
    """On PostgreSQL, which waits for a lock as long as it takes."""
    exchange = Exchange(_fresh(request, "postgresql", tmp_path), tmp_path, *OPTIONS)
    yield exchange
    exchange.close()


def test_what_is_under_way_is_finished_and_what_comes_is_put_off(stoppable: Exchange) -> None:
    process = stoppable.process
    assert process is not None
    kept = http.client.HTTPConnection("127.0.0.1", stoppable.port, timeout=10)
    kept.request("GET", "/jhe/health/ready")
    assert (answer := kept.getresponse()).status == 200
    assert answer.read() == b'{"status": "ready"}'
    mary = stoppable.as_(MARY)
    token = stoppable.as_(MEGAN).headers["Authorization"]
    with stoppable.database.write() as held:
        held.connection()  # the one place of the writer is taken
        post = Post(mary)
        wait_for(lambda: waiting(stoppable), 10)
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: _status(kept, "/jhe/health/ready") == 503, 5)
        assert _status(kept, "/jhe/health") == 200
        assert _status(kept, "/jhe/api/v1/patients", token) == 503
        assert process.poll() is None
    post.join(10)
    assert isinstance(post.answer, httpx.Response)
    assert post.answer.status_code == 201
    kept.close()
    assert process.wait(10) == 0
    assert counted(stoppable.database, "jhe_user", "email = 'late@example.org'") == 1
    assert "Traceback" not in stoppable.log.read_text()


def _status(kept: http.client.HTTPConnection, path: str, token: str = "") -> int:
    kept.request("GET", path, headers={"Authorization": token} if token else {})
    answer = kept.getresponse()
    answer.read()
    assert answer.status != 503 or answer.headers["Retry-After"] == "5"
    return answer.status


def test_a_store_that_never_answers_keeps_no_server_alive(stuck: Exchange) -> None:
    """Its writer is somebody else's for good: nothing of the request is there, and nobody was told it were."""
    process = stuck.process
    assert process is not None
    mary = stuck.as_(MARY)
    with stuck.database.write() as held:
        held.connection()
        post = Post(mary)
        wait_for(lambda: waiting(stuck), 10)
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 1
        post.join(10)
    assert not isinstance(post.answer, httpx.Response) or post.answer.status_code == 503
    assert counted(stuck.database, "jhe_user", "email = 'late@example.org'") == 0
    assert "1 requests, none of which was acknowledged" in stuck.log.read_text()
