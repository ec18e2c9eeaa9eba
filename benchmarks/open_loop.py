"""An open loop: requests that are due by the clock, whatever became of the earlier ones, to a service on this machine.

A request's latency counts from the moment at which it was due, so that a service that stalls cannot hide it.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from observations import FHIR, HEART_RATE, bundle, resident

SIZE, WORKERS = 500, 48
MIB = 2**20


@dataclass(frozen=True)
class Load:
    """So many requests a second for so long."""

    gets: float
    bundles: float
    seconds: float

    def due(self) -> list[tuple[float, str, int]]:
        """(second, kind, number) of every request, evenly spread, in order."""
        found = [(i / self.gets, "get", i) for i in range(round(self.gets * self.seconds))]
        # Half a step later, so that no Bundle is due at the same moment as a read.
        found += [((i + 0.5) / self.bundles, "bundle", i) for i in range(round(self.bundles * self.seconds))]
        return sorted(found)


@dataclass
class Measured:
    """What came of a load: seconds from due to answered by what was asked, statuses, memory by second."""

    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[tuple[str, int | str]] = field(default_factory=Counter)
    late: list[float] = field(default_factory=list)  # how long after it was due a request could be sent
    memory: list[tuple[float, float]] = field(default_factory=list)

    @property
    def reads(self) -> list[float]:
        return [took for what, times in self.took.items() if what != "bundle" for took in times]

    @property
    def errors(self) -> dict[tuple[str, int | str], int]:
        return {key: n for key, n in self.statuses.items() if key[1] not in (200, 201)}


def loopback(url: str) -> tuple[str, int]:
    """Host and port of a service on this machine; any other is refused.

    >>> loopback("http://127.0.0.1:8888/jhe")
    ('127.0.0.1', 8888)
    """
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 80
    if not ipaddress.ip_address(host).is_loopback:
        raise SystemExit(f"{host} is not this machine; a load is for a service of one's own.")
    return host, port


class Senders:
    """Threads with a connection each, of which whoever is free takes what is due next."""

    def __init__(self, url: str, token: str, patients: list[int]) -> None:
        self.address, self.root = loopback(url), urlsplit(url).path
        self.headers = {"Authorization": f"Bearer {token}"}
        self.patients = patients
        self.first = 0  # of the readings that no earlier load has sent
        self.kinds = {
            "patient": "/api/v1/patients/{}",
            "FHIR patient": "/FHIR/R5/Patient/{}",
            "studies": "/api/v1/studies",
            "data sources": "/api/v1/data_sources",
            "ten patients": "/api/v1/patients?limit=10&offset=20",
        }

    def run(self, load: Load, pid: int) -> Measured:
        """Send a load; bodies are made before it begins."""
        due, measured = load.due(), Measured()
        bodies = {i: self._body(i) for _, kind, i in due if kind == "bundle"}
        self.first += len(bodies)
        todo, lock, begin = iter(due), threading.Lock(), time.perf_counter() + 0.5
        threads = [
            threading.Thread(target=self._work, args=(todo, lock, begin, bodies, measured)) for _ in range(WORKERS)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            measured.memory.append((time.perf_counter() - begin, resident(pid) / MIB))
            time.sleep(1)
        return measured

    def _body(self, number: int) -> bytes:
        """Each of a patient's is of earlier days than the one before: nothing is ever measured in the future."""
        turn, whose = divmod(self.first + number, len(self.patients))
        return bundle(self.patients[whose], -(turn + 1) * SIZE, SIZE, HEART_RATE)

    def _work(
        self, todo: Iterator[Any], lock: threading.Lock, begin: float, bodies: dict[int, bytes], measured: Measured
    ) -> None:
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        while True:
            with lock:
                second, kind, number = next(todo, (0.0, "", 0))
            if not kind:
                connection.close()
                return
            time.sleep(max(0.0, begin + second - time.perf_counter()))
            sent = time.perf_counter()
            what, status = self._send(connection, kind, number, bodies)
            with lock:
                measured.late.append(sent - begin - second)
                measured.took[what].append(time.perf_counter() - begin - second)
                measured.statuses[what, status] += 1

    def _send(
        self, connection: http.client.HTTPConnection, kind: str, number: int, bodies: dict[int, bytes]
    ) -> tuple[str, int | str]:
        if kind == "bundle":
            headers = {**self.headers, **FHIR}
            return "bundle", self._answer(connection, "POST", f"{self.root}/FHIR/R5", bodies.pop(number), headers)
        what = list(self.kinds)[number % len(self.kinds)]
        path = self.root + self.kinds[what].format(self.patients[number % len(self.patients)])
        return what, self._answer(connection, "GET", path, None, self.headers)

    @staticmethod
    def _answer(
        connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> int | str:
        """The status; of a Bundle the worst of its entries'."""
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return type(error).__name__
        if body is None or answer.status != 200:
            return answer.status
        return max(int(entry["response"]["status"][:3]) for entry in json.loads(said)["entry"])
