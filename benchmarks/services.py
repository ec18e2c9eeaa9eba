"""What more services on one PostgreSQL bring: uploads, small writes and small reads through one and through three.

    python benchmarks/services.py [--services 1 3] [--seconds 10]

Writers take turns, whichever service they came through: how much of the time somebody has the turn says how much room
is left. Clients, services and PostgreSQL share this machine, so what it says of several machines is the turn alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from statistics import quantiles

import httpx
from load import enrol, plant, stores
from measuring import machine, served
from observations import FHIR, HEART_RATE, bundle
from sqlalchemy import create_engine, text

SIZE, CLIENTS = 500, 6
Call = Callable[[httpx.Client, int, int], httpx.Response]  # with a patient and a number never used before


def upload(client: httpx.Client, patient: int, turn: int) -> httpx.Response:
    return client.post("FHIR/R5", content=bundle(patient, -SIZE * turn, SIZE, HEART_RATE), headers=FHIR)


def write(client: httpx.Client, patient: int, turn: int) -> httpx.Response:
    return client.patch(f"api/v1/patients/{patient}", json={"telecomPhone": f"555-{turn}"})


def read(client: httpx.Client, patient: int, turn: int) -> httpx.Response:
    return client.get(f"api/v1/patients/{patient}")


class Turn:
    """How much of the time somebody has the writer's turn, and how many wait: looked at a hundred times a second."""

    def __init__(self, store: str) -> None:
        self.engine = create_engine(store)
        self.seen: list[tuple[int, int]] = []  # nothing on SQLite, which does not tell

    def watch(self, over: threading.Event) -> None:
        locks = text("SELECT count(*) FILTER (WHERE granted), count(*) FILTER (WHERE NOT granted) FROM pg_locks "
                     "WHERE locktype = 'advisory'")  # fmt: skip
        with self.engine.connect() as connection:
            while not over.wait(0.01):
                had, waiting = connection.execute(locks).one()
                self.seen.append((had, waiting))
        self.engine.dispose()

    def __str__(self) -> str:
        if not self.seen:
            return "on SQLite"
        had, waiting = (sum(one) / len(self.seen) for one in zip(*self.seen, strict=True))
        return f"the turn taken {had:.0%} of the time, {waiting:.1f} waiting"


@contextmanager
def watched(store: str) -> Iterator[Turn]:
    turn, over = Turn(store), threading.Event()
    if store.startswith("sqlite"):
        yield turn
        return
    thread = threading.Thread(target=turn.watch, args=(over,))
    thread.start()
    yield turn
    over.set()
    thread.join()


def pressed(
    urls: list[str], token: str, patients: list[int], call: Call, turns: Iterator[int], seconds: float
) -> list[float]:
    """Six clients, spread over the services, each as fast as it is answered."""
    took: list[float] = []
    until = time.perf_counter() + seconds

    def press(which: int) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=urls[which % len(urls)], headers=headers, trust_env=False, timeout=60) as client:
            for patient in patients[which::CLIENTS] * 10_000:
                began = time.perf_counter()
                if began > until:
                    return
                call(client, patient, next(turns)).raise_for_status()
                took.append(time.perf_counter() - began)

    threads = [threading.Thread(target=press, args=(which,)) for which in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def measured(store: str, folder: Path, token: str, services: int, turns: Iterator[int], seconds: float) -> None:
    with ExitStack() as stack:
        homes = [folder / str(which) for which in range(services)]
        for home in homes:
            home.mkdir(exist_ok=True)
        urls = [stack.enter_context(served(home / "none", store))[0] for home in homes]
        patients = enrol(urls[0], token)  # the second time they are there already
        for name, call, each in (("uploads", upload, SIZE), ("small writes", write, 1), ("small reads", read, 1)):
            with watched(store) as turn:
                took = pressed(urls, token, patients, call, turns, seconds)
            p50, p95 = (quantiles(took, n=20)[which] * 1000 for which in (9, 18))
            rate = f"{len(took) * each / seconds:,.0f} {'observations' if each > 1 else 'calls'}/s"
            print(f"{services} services, {name}: {rate}, p50 / p95 {p50:.0f} / {p95:.0f} ms; {turn}", flush=True)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", nargs="+", type=int, default=[1, 3], choices=range(1, 9))
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args(arguments)
    print(machine(), flush=True)
    for kind, numbers in (("sqlite", [1]), ("postgresql", options.services)):
        with tempfile.TemporaryDirectory() as name, stores(kind, Path(name)) as store:
            token, turns = plant(store), count(1)
            for services in numbers:
                measured(store, Path(name), token, services, turns, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
