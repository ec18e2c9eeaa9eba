"""Readers that stall and uploads that are cut off: the one is let go, the other is not there, and others go on."""

from __future__ import annotations

import json
import random
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import MEGAN, VICTOR, Exchange, _fresh, wait_for
from indoors import bundle, counted, reading

from jhe_server import fhir
from jhe_server.app import STREAMS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at the server's sockets as Linux shows them")
HEART_RATE = 50004
STREAM = {"Accept": "application/vnd.apache.arrow.stream"}
MIB = 2**20
LAST = b"0\r\n\r\n"


@pytest.fixture(scope="module")
def impatient(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A server that lets go of a reader after a second, with more to read than the sockets between them hold."""
    folder: Path = tmp_path_factory.mktemp("impatient")
    exchange = Exchange(_fresh(request, "sqlite", folder), folder, "--ExchangeApp.stalled_after=1")
    answer = send(exchange, bundle(*(noted(number) for number in range(1000))))
    assert {one["response"]["status"] for one in answer["entry"]} == {"201 Created"}
    yield exchange
    exchange.close()


def noted(number: int) -> dict[str, Any]:
    """A reading with a note of 16 KiB that hardly compresses."""
    sent = reading(40001, HEART_RATE)
    point: Any = fhir.read_attachment(sent["valueAttachment"])[0]
    point["body"]["note"] = random.Random(number).randbytes(8 * 1024).hex()
    return sent | {"valueAttachment": fhir.attachment(point)}


def send(exchange: Exchange, body: dict[str, Any]) -> dict[str, Any]:
    answer = exchange.as_(MEGAN).post("FHIR/R5", json=body, headers={"Content-Type": "application/fhir+json"})
    assert answer.status_code == 200, answer.text[:500]
    said: dict[str, Any] = answer.json()
    return said


def connected(exchange: Exchange) -> socket.socket:
    """A bare connection with as small a buffer as the kernel allows."""
    bare = socket.socket()
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    bare.settimeout(30)
    bare.connect(("127.0.0.1", exchange.port))
    return bare


def asked(exchange: Exchange, token: str) -> socket.socket:
    """A reader who has seen the first bytes of a stream and takes no more."""
    bare = connected(exchange)
    head = f"GET /jhe/api/v1/observations HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
    bare.sendall((head + f"Accept: {STREAM['Accept']}\r\n\r\n").encode())
    assert bare.recv(15) == b"HTTP/1.1 200 OK"
    return bare


def ended(bare: socket.socket) -> bool:
    """Whether the server closes the connection before the stream's last chunk."""
    tail = b""
    try:
        while tail != LAST and (part := bare.recv(MIB)):
            tail = (tail + part)[-len(LAST) :]
    except ConnectionResetError:
        return True
    return tail != LAST


def readers(exchange: Exchange) -> bool:
    """Whether some transaction still reads the store: it keeps the log of writes from being emptied."""
    with closing(sqlite3.connect(exchange.folder / "clinic.sqlite", timeout=0)) as connection:
        [(busy, _, _)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return bool(busy)


def sockets(exchange: Exchange) -> int:
    """How many connections the server holds open."""
    assert exchange.process is not None
    found = 0
    for one in Path(f"/proc/{exchange.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += str(one.readlink()).startswith("socket:")
    return found


# ------------------------------------------------------------------ readers that stall
def test_stalled_readers_are_let_go_and_nobody_waits_for_them(impatient: Exchange) -> None:
    victor, token = impatient.as_(VICTOR), impatient.token(VICTOR)
    stalled = [asked(impatient, token) for _ in range(STREAMS)]
    assert readers(impatient)
    assert victor.get("api/v1/patients").status_code == 200  # while all of them are open
    whole = victor.get("api/v1/observations", headers=STREAM)  # waits for a place, and then has it all
    assert pa.ipc.open_stream(whole.content).read_all().num_rows > 1000
    wait_for(lambda: not readers(impatient), 20)
    assert all(ended(bare) for bare in stalled)
    for bare in stalled:
        bare.close()
    assert "Traceback" not in impatient.log.read_text()


def test_a_reader_who_leaves_gives_everything_back(impatient: Exchange) -> None:
    before, token = sockets(impatient), impatient.token(VICTOR)
    for _ in range(3):
        asked(impatient, token).close()
    wait_for(lambda: not readers(impatient) and sockets(impatient) <= before, 20)
    assert "Traceback" not in impatient.log.read_text()


# ------------------------------------------------------------------ uploads that are cut off
@pytest.mark.parametrize("said", ["Content-Length", "Transfer-Encoding"])
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_half_an_upload_is_no_upload(impatient: Exchange, kind: str, said: str) -> None:
    body = json.dumps(bundle(*[reading(40001, HEART_RATE)] * 100, kind=kind)).encode()
    before = [counted(impatient.database, table) for table in ("observation", "audit")]
    open_before, token = sockets(impatient), impatient.token(MEGAN)
    head = f"POST /jhe/FHIR/R5 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
    head += "Content-Type: application/fhir+json\r\n"
    half = body[: len(body) // 2]
    with connected(impatient) as bare:
        if said == "Content-Length":
            bare.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + half)
        else:
            bare.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + half)
        wait_for(lambda: sockets(impatient) > open_before, 20)
    wait_for(lambda: sockets(impatient) <= open_before, 20)
    assert [counted(impatient.database, table) for table in ("observation", "audit")] == before
    assert "Traceback" not in impatient.log.read_text()
