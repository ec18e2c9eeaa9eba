"""Many slow clients at once: what they send bit by bit counts like anything else, and nobody else waits for them."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import MEGAN, VICTOR, Exchange, _fresh, wait_for
from indoors import bundle, counted, reading, rows
from test_cut_connections import STREAM, asked, connected, ended, noted, send
from work import FHIR

from jhe_server.app import STREAMS

HEART_RATE, UPLOADS = 50004, 60
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="fills sockets as Linux does")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def patient(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A server that lets go of a reader after a second."""
    folder: Path = tmp_path_factory.mktemp("patient")
    exchange = Exchange(_fresh(request, request.param, folder), folder, "--ExchangeApp.stalled_after=1")
    yield exchange
    exchange.close()


def begins(exchange: Exchange, token: str, body: bytes) -> socket.socket:
    """An upload of which half has arrived."""
    slow = connected(exchange)
    head = f"POST /jhe/FHIR/R5 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
    head += f"Content-Type: {FHIR['Content-Type']}\r\nContent-Length: {len(body)}\r\n\r\n"
    slow.sendall(head.encode() + body[: len(body) // 2])
    return slow


def test_sixty_uploads_bit_by_bit_are_all_there_in_the_end(patient: Exchange) -> None:
    body = json.dumps(bundle(*[reading(40001, HEART_RATE)] * 5)).encode()
    before, token, megan = counted(patient.database, "observation"), patient.token(MEGAN), patient.as_(MEGAN)
    with ExitStack() as opened:
        slow = [opened.enter_context(begins(patient, token, body)) for _ in range(UPLOADS)]
        assert megan.get("api/v1/patients").status_code == 200
        assert megan.post("FHIR/R5/Observation", json=reading(40001, HEART_RATE), headers=FHIR).status_code == 201
        assert counted(patient.database, "observation") == before + 1
        for one in slow:
            one.sendall(body[len(body) // 2 : -1])
        for one in slow:
            one.sendall(body[-1:])
        assert {one.recv(15) for one in slow} == {b"HTTP/1.1 200 OK"}
    assert counted(patient.database, "observation") == before + 1 + 5 * UPLOADS


@pytest.mark.parametrize("patient", ["postgresql"], indirect=True)  # on SQLite: `test_cut_connections`
def test_as_many_stalled_readers_as_there_may_be_leave_the_store_to_others(patient: Exchange) -> None:
    """Each holds a connection of the pool until it is let go."""
    send(patient, bundle(*(noted(number) for number in range(1000))))
    victor, token = patient.as_(VICTOR), patient.token(VICTOR)
    stalled = [asked(patient, token) for _ in range(STREAMS)]
    assert rows(patient.database, WAITING) != [(0,)]
    for _ in range(20):
        assert victor.get("api/v1/patients").status_code == 200
    whole = victor.get("api/v1/observations", headers=STREAM)  # waits for a place, and then has it all
    assert pa.ipc.open_stream(whole.content).read_all().num_rows > 1000
    wait_for(lambda: rows(patient.database, WAITING) == [(0,)], 20)
    assert all(ended(bare) for bare in stalled)
    for bare in stalled:
        bare.close()
    assert "Traceback" not in patient.log.read_text()
