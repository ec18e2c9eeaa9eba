"""Observations at scale: a study of a million read as a frame, uploads onto it, FHIR pages, over HTTP on this machine.

    python benchmarks/observations.py [--observations 1000000] [--large 5000000]

Prints one line per promise: the figure, what it is compared with, and whether it holds. Ratios decide; absolute
figures are reported for the machine they were taken on.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import UUID

import httpx
import pandas as pd
from measuring import machine, managers_token, report, served, timed

import jhe_jupyter as jhe
from jhe_server import consents, imports, observations, seed, studies
from jhe_server.access import Actor
from jhe_server.cli import recorded
from jhe_server.devices import CodeRow, OneCode
from jhe_server.opened import open_store
from jhe_server.studies import StudyRow

ORGANIZATION, DEVICE, PATIENTS = 20003, 70001, 50
ADMIN = Actor(10001, is_superuser=True, via="cli")
GLUCOSE, HEART_RATE = "omh:blood-glucose:4.0", "omh:heart-rate:2.0"
SYSTEM = "https://w3id.org/openmhealth"
START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(minutes=5)
ARROW, FHIR = "application/vnd.apache.arrow.stream", {"Content-Type": "application/fhir+json"}
SUGAR = {"study_id": "30006"}  # the study that `fill` makes, the first after the seed's
chance = random.Random(1)


# ------------------------------------------------------------------ the data
def point(code: str, number: int) -> dict[str, Any]:
    """A reading every five minutes, on a clock one hour east of UTC."""
    when = (START + number * EVERY).strftime("%Y-%m-%dT%H:%M:%S+01:00")
    name, version = code.split(":")[1:]
    value: dict[str, Any]
    if code == GLUCOSE:
        meal = {"temporal_relationship_to_meal": "fasting"} if number % 7 == 0 else {}
        value = {"blood_glucose": {"value": 60 + chance.randrange(200), "unit": "mg/dL"}, **meal}
    else:
        value = {"heart_rate": {"value": 50 + chance.randrange(100), "unit": "beats/min"}}
    return {
        "header": {
            "uuid": str(UUID(int=chance.getrandbits(128))),
            "schema_id": {"namespace": "omh", "name": name, "version": version},
            "source_creation_date_time": when,
            "modality": "sensed",
        },
        "body": {**value, "effective_time_frame": {"date_time": when}},
    }


def row(patient_id: int, code_id: int, code: str, number: int) -> dict[str, Any]:
    """The same as `observations.add` takes it: what an upload has checked."""
    start = (START + number * EVERY - timedelta(hours=1) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )
    return {
        "patient_id": patient_id, "code_id": code_id, "data_source_id": DEVICE, "status": "final",
        "effective_start": start, "effective_end": None, "utc_offset_minutes": 60, "modality": "sensed",
        "payload": point(code, number),
        "identifiers": [("https://example.org", str(UUID(int=chance.getrandbits(128))))],
    }  # fmt: skip


def resource(patient_id: int, code: str, number: int) -> dict[str, Any]:
    sent = base64.b64encode(json.dumps(point(code, number)).encode()).decode()
    return {
        "resourceType": "Observation",
        "status": "final",
        "identifier": [{"system": "https://example.org", "value": str(UUID(int=chance.getrandbits(128)))}],
        "code": {"coding": [{"system": SYSTEM, "code": code}]},
        "subject": {"reference": f"Patient/{patient_id}"},
        "device": {"reference": f"Device/{DEVICE}"},
        "valueAttachment": {"contentType": "application/json", "data": sent},
    }


def bundle(patient_id: int, first: int, size: int = 1000, code: str = GLUCOSE) -> bytes:
    entries = [
        {"resource": resource(patient_id, code, first + i), "request": {"method": "POST", "url": "Observation"}}
        for i in range(size)
    ]
    return json.dumps({"resourceType": "Bundle", "type": "batch", "entry": entries}).encode()


# ------------------------------------------------------------------ the store
def fill(file: Path, number: int) -> str:
    """A clinic with a study of that many observations, of which one patient in ten has withdrawn; a token."""
    database = open_store(f"sqlite:///{file}")
    with recorded(database, "seed.plant") as session:
        seed.plant(session, "benchmark")
    with recorded(database, "imports.run") as session:
        study = studies.create(
            session, ADMIN, studies.NewStudy(name="Sugar", description="-", organization=ORGANIZATION)
        )
        rows = [
            {"email": f"p{i}@example.com", "last_name": f"F{i}", "first_name": f"G{i}", "dob": "1970-01-01"}
            for i in range(PATIENTS)
        ]
        made = imports.run(session, ADMIN, imports.Import(organization_id=ORGANIZATION, study_id=study.id, rows=rows))
        patients = [one.patient_id for one in made.results if one.patient_id is not None]
        codes = {row.coding_code: row for row in session.query(CodeRow) if row.coding_code in (GLUCOSE, HEART_RATE)}
        for code in codes.values():
            studies.request_code(session, ADMIN, study.id, OneCode(scope_code_id=code.id))
            for at, patient in enumerate(patients):
                known = session.get_one(StudyRow, study.id)
                consents.record(session, ADMIN, known, patient, code, at % 10 != 0, time=START)
    each = number // PATIENTS
    for patient in patients:
        for first in range(0, each, 10_000):
            with recorded(database, "uploads.create_many") as session:
                numbers = range(first, min(first + 10_000, each))
                observations.add(session, [row(patient, codes[GLUCOSE].id, GLUCOSE, i) for i in numbers])
    token = managers_token(database)
    database.close()
    return token


# ------------------------------------------------------------------ reading
def reading(url: str, token: str, pid: int, folder: Path, runs: int = 7) -> bool:
    """A study as a typed frame, against pandas reading the same frame from a Parquet file; in turn, in one process."""
    whole = jhe.connect(url, token=token).observations_df(study="Sugar")
    middle = whole["effective_start"].min() + (whole["effective_start"].max() - whole["effective_start"].min()) / 2
    results = []
    for what, bound, asked in (("whole", 4, {}), (f"since {middle:%Y-%m-%d %H:%M}", 6, {"since": middle})):
        frame = jhe.connect(url, token=token).observations_df(study="Sugar", **asked)
        file = folder / "frame.parquet"
        frame.to_parquet(file, compression="zstd")
        pd.testing.assert_frame_equal(pd.read_parquet(file), frame, check_categorical=False)
        ours, theirs = [], []
        for _ in range(runs):
            theirs.append(timed(partial(pd.read_parquet, file)))
            # A new connection each time, which remembers nothing yet.
            ours.append(timed(partial(jhe.connect(url, token=token).observations_df, study="Sugar", **asked)))
        ratio = median(ours) / median(theirs)
        said = f"{median(ours):.2f} s, pandas.read_parquet {median(theirs):.3f} s; ratio {ratio:.1f} (<= {bound})"
        results.append(report(f"a frame of {len(frame):,} observations, {what}", said, ratio <= bound))
    return all([*results, again(url, token), first_byte(url, token), memory(url, token, pid)])


def again(url: str, token: str, runs: int = 7) -> bool:
    first, second = [], []
    for _ in range(runs):
        ask = partial(jhe.connect(url, token=token).observations_df, study="Sugar")
        first.append(timed(ask))
        second.append(timed(ask))
    ratio = median(second) / median(first)
    said = f"{median(second):.2f} s after {median(first):.2f} s; ratio {ratio:.2f} (<= 0.5)"
    return report("the same frame again, nothing changed", said, ratio <= 0.5)


def first_byte(url: str, token: str, runs: int = 15) -> bool:
    took = []
    with client_of(url, token) as client:
        for _ in range(runs):
            began = time.perf_counter()
            with client.stream("GET", "api/v1/observations", params=SUGAR, headers={"Accept": ARROW}) as answer:
                next(answer.iter_raw())
                took.append(time.perf_counter() - began)
    return report("the stream's first byte", f"{median(took) * 1000:.0f} ms (<= 100)", median(took) <= 0.1)


def memory(url: str, token: str, pid: int) -> bool:
    """How much the server grows while it streams the whole study."""
    with client_of(url, token) as client:
        before = resident(pid)
        highest, rows = before, 0
        with client.stream("GET", "api/v1/observations", params=SUGAR, headers={"Accept": ARROW}) as answer:
            for chunk in answer.iter_raw():
                rows += len(chunk)
                highest = max(highest, resident(pid))
    grown = (highest - before) / 2**20
    return report(f"the server's memory while {rows / 2**20:.0f} MiB leave", f"+{grown:.0f} MiB (<= 150)", grown <= 150)


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


# ------------------------------------------------------------------ uploads
def uploading(url: str, token: str, patient_id: int, bundles: int = 50, before: int = 10) -> bool:
    """Bundles of 1,000 one after the other, and what others notice of it, once what is imported and cached is there."""
    bodies = [bundle(patient_id, -1_000_000 - 1000 * i) for i in range(before + bundles)]
    others = {path: Bystander(url, token, path) for path in ("data_sources", f"patients/{patient_id}")}
    with client_of(url, token) as client:
        for body in bodies[:before]:
            created(client, body)
        for one in others.values():
            one.start()
        took = [timed(partial(created, client, body)) for body in bodies[before:]]
        repeated = client.post("FHIR/R5", content=bodies[0], headers=FHIR).json()["entry"]
    for one in others.values():
        one.stop()
    assert [entry["response"]["status"][:3] for entry in repeated] == ["409"] * 1000
    each = 1000 / median(took)
    said = f"{median(took) * 1000:.0f} ms a Bundle of 1,000: {each:,.0f} observations/s (>= 10,000)"
    results = [report("uploading", said, each >= 10_000)]
    for (path, one), bound in zip(others.items(), (30, 150), strict=True):
        p99 = quantiles(one.took, n=100, method="inclusive")[98] * 1000
        said = f"p99 {p99:.0f} ms of {len(one.took)} (<= {bound})"
        results.append(report(f"GET {path.partition('/')[0]} meanwhile", said, p99 <= bound))
    return all(results)


def created(client: httpx.Client, body: bytes) -> None:
    answer = client.post("FHIR/R5", content=body, headers=FHIR)
    statuses = {entry["response"]["status"][:3] for entry in answer.json()["entry"]}
    assert statuses == {"201"}, statuses


class Bystander(threading.Thread):
    """Somebody who asks for a little, again and again."""

    def __init__(self, url: str, token: str, path: str) -> None:
        super().__init__(daemon=True)
        self.took: list[float] = []
        self._over = threading.Event()
        self._url, self._token, self._path = url, token, path

    def run(self) -> None:
        with client_of(self._url, self._token) as client:
            while not self._over.wait(0.01):
                self.took.append(timed(lambda: client.get(f"api/v1/{self._path}").raise_for_status()))

    def stop(self) -> None:
        self._over.set()
        self.join()


# ------------------------------------------------------------------ FHIR
def searching(url: str, token: str, runs: int = 5) -> bool:
    """Pages of 1,000 with their total, near and far; each asked while nothing of it is remembered."""
    asked = {"_count": "1000", "patient._has:Group:member:_id": SUGAR["study_id"]}
    results = []
    with client_of(url, token) as client:
        total = client.get("FHIR/R5/Observation", params={**asked, "_summary": "count"}).json()["total"]
        for what, page in (("first", 1), ("middle", total // 2000), ("last", -(-total // 1000))):
            ms = median(asking(client, {**asked, "_page": str(page)}) for _ in range(runs)) * 1000
            results.append(report(f"FHIR page of 1,000, the {what} of {total:,}", f"{ms:.0f} ms (<= 150)", ms <= 150))
        ms = median(asking(client, {**asked, "_summary": "count"}) for _ in range(runs)) * 1000
        results.append(report("FHIR _summary=count", f"{ms:.0f} ms (<= 200)", ms <= 200))
    return all(results)


def asking(client: httpx.Client, asked: dict[str, str]) -> float:
    """A search just after something was written: whatever the server remembers of earlier ones is worthless."""
    client.patch(f"api/v1/studies/{SUGAR['study_id']}", json={"description": str(time.time())}).raise_for_status()
    return timed(lambda: client.get("FHIR/R5/Observation", params=asked).raise_for_status())


# ------------------------------------------------------------------ all of it
def client_of(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=f"{url}/", headers={"Authorization": f"Bearer {token}"}, timeout=300, trust_env=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observations", type=int, default=1_000_000)
    parser.add_argument("--memory-only", action="store_true", help="show the server's memory alone, for a larger study")
    given = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        token = fill(folder / "exchange.sqlite", given.observations)
        with served(folder / "exchange.sqlite") as (url, pid):
            if given.memory_only:
                return 0 if memory(url, token, pid) else 1
            return 0 if all(measured(url, token, pid, folder)) else 1


def measured(url: str, token: str, pid: int, folder: Path) -> list[bool]:
    with client_of(url, token) as client:
        enrolled = client.get(f"api/v1/studies/{SUGAR['study_id']}/patients", params={"limit": 2}).json()["results"]
    return [reading(url, token, pid, folder), searching(url, token), uploading(url, token, enrolled[1]["id"])]


if __name__ == "__main__":
    sys.exit(main())
