"""The clock is set back an hour under a running service: order, rights and limits do not rest on what time it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsers import Browser
from conftest import MARK, MEGAN, PASSWORD, PETER, VICTOR, Exchange, _fresh
from indoors import reading, rows
from work import FHIR, OMH

from jhe_server import audit

HEART_RATE, HOUR = 50004, 3600
COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(sys.platform != "linux" or COMPILER is None, reason="needs Linux and a C compiler")


class Shifted(Exchange):
    """A server whose clock is off by as many seconds as its file says."""

    def clock(self, seconds: int) -> None:
        fresh = self.folder / "clock.new"
        fresh.write_text(str(seconds))
        fresh.replace(self.folder / "clock")


@pytest.fixture
def shifted(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shifted]:
    library, source = tmp_path / "clock.so", Path(__file__).with_name("clock.c")
    subprocess.run([COMPILER or "cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("SHIFTED_CLOCK", str(tmp_path / "clock"))
    exchange = Shifted(_fresh(request, "sqlite", tmp_path), tmp_path, "--ExchangeApp.lookups_per_minute=3")
    yield exchange
    exchange.close()


def uploaded(client: httpx.Client) -> None:
    answer = client.post("FHIR/R5/Observation", json=reading(40001, HEART_RATE), headers=FHIR)
    assert answer.status_code == 201, answer.text


def answered(client: httpx.Client, consented: bool) -> None:
    code = {"codingSystem": OMH, "codingCode": "omh:heart-rate:2.0", "consented": consented}
    body = {"studyScopeConsents": [{"studyId": 30001, "scopeConsents": [code]}]}
    assert client.post("api/v1/patients/40001/consents", json=body).status_code == 201


def looked_up(client: httpx.Client) -> int:
    return client.get("api/v1/patients/global_lookup", params={"email": PETER}).status_code


def fed(client: httpx.Client, since: int) -> Any:
    return client.get("api/v1/changes", params={"since": since}).json()


def seen(client: httpx.Client) -> int:
    return int(client.get("FHIR/R5/Observation", params={"code": f"{OMH}|omh:heart-rate:2.0", "patient": 40001,
                          "_summary": "count"}).json()["total"])  # fmt: skip


def signs_in(exchange: Exchange, password: str) -> bool:
    browser = Browser(exchange)
    browser.open("o/account")
    browser.submit("sign_in", email=VICTOR, password=password)
    return browser.page.url.path == "/jhe/o/account"


def test_a_clock_set_back_loses_nothing_opens_nothing_and_locks_nobody_out(shifted: Shifted) -> None:
    megan, peter, mark = shifted.as_(MEGAN), shifted.as_(PETER), shifted.as_(MARK)
    uploaded(megan)
    answered(peter, True)
    there, last = seen(megan), fed(megan, 0)["next"]
    assert [looked_up(mark) for _ in range(4)] == [200, 200, 200, 429]
    assert not any(signs_in(shifted, password) for password in [*["wrong"] * 5, PASSWORD]), "five wrong, then none"
    shifted.clock(-HOUR)
    uploaded(megan)
    assert seen(megan) == there + 1  # the token is as good as before, and so is what was written
    answered(peter, False)
    assert seen(megan) == 0  # a later no is a no, whatever time it bears
    answered(peter, True)
    assert seen(megan) == there + 1
    heard = fed(megan, last)
    numbers = [one["seq"] for one in heard["changes"]]
    assert numbers == sorted(numbers)
    assert min(numbers) > last
    assert {one["concept"] for one in heard["changes"]} >= {"observations", "consent"}
    assert [looked_up(mark) for _ in range(4)] == [200, 200, 200, 429]  # who had to wait a minute waits no hour
    assert signs_in(shifted, PASSWORD)
    shifted.clock(0)
    uploaded(megan)
    assert seen(megan) == there + 2
    times = [time for (time,) in rows(shifted.database, "SELECT time FROM audit ORDER BY seq")]
    assert times != sorted(times), "the clock was set back"
    with shifted.database.read() as session:
        assert audit.verify(session) is None
    assert "Traceback" not in shifted.log.read_text()
