"""The server is killed in the middle of work or told to stop: what was acknowledged is there, the rest whole or not."""

from __future__ import annotations

import http.client
import signal
import time

import pytest
from conftest import MARY, PETER, Exchange
from work import begun, ended, moments, reached, whole


def killed(exchange: Exchange) -> None:
    assert exchange.process is not None
    exchange.process.kill()
    exchange.process.wait(10)


def test_a_killed_server_keeps_what_it_acknowledged_and_nothing_half(exchange: Exchange) -> None:
    for life, chance in moments():
        works = begun(exchange, life * 1000)
        reached(works, 1, chance.randrange(4, 60))
        killed(exchange)
        ended(works)
        exchange.start()
        whole(exchange, works)
    again = exchange.as_(MARY).get("api/v1/patients", params={"search": "kill1@example.org"}).json()
    assert again["count"] == 1


def polled(exchange: Exchange) -> http.client.HTTPConnection:
    """A connection on which the server has a minute to answer."""
    client = exchange.as_(PETER)
    polling = http.client.HTTPConnection("127.0.0.1", exchange.port, timeout=30)
    headers = {"Authorization": client.headers["Authorization"]}
    polling.request("GET", "/jhe/api/v1/changes?since=1000000000&wait=60", headers=headers)
    return polling


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_told_to_stop_finishes_what_is_in_flight(sqlite_exchange: Exchange, how: signal.Signals) -> None:
    """Within seconds, with exit status 0; nothing acknowledged is lost or half done, and no long poll keeps it."""
    process = sqlite_exchange.process
    assert process is not None
    polling = polled(sqlite_exchange)
    works = begun(sqlite_exchange)
    reached(works, 1, 20)
    told = time.monotonic()
    process.send_signal(how)
    assert process.wait(10) == 0
    assert time.monotonic() - told < 10
    ended(works)
    assert polling.getresponse().status == 200
    polling.close()
    whole(sqlite_exchange, works)
    assert "Traceback" not in sqlite_exchange.log.read_text()
