"""Patients at scale: pages of a list of 100,000, the whole of it as a frame, and an import, over HTTP on this machine.

    python benchmarks/patients.py [--patients 100000]

Prints one line per promise: the figure, what it is compared with, and whether it holds. Ratios decide; absolute
figures are reported for the machine they were taken on.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles

import httpx
import pyarrow as pa
from measuring import machine, managers_token, report, served, timed

import jhe_jupyter as jhe
from jhe_server import imports, seed
from jhe_server.access import Actor
from jhe_server.cli import recorded
from jhe_server.opened import open_store

ORGANIZATION, STUDY = 20003, 30001
ADMIN = Actor(10001, is_superuser=True, via="cli")
# The columns of the frame, as one would fetch them without an Exchange.
BARE = """
SELECT p.id, p.user_id,
       (SELECT value FROM patient_identifier i WHERE i.patient_id = p.id ORDER BY i.id LIMIT 1),
       p.name_family, p.name_given, p.birth_date, p.telecom_phone, u.email, o.organization_id
FROM patient_organization o JOIN patient p ON p.id = o.patient_id JOIN jhe_user u ON u.id = p.user_id
WHERE o.organization_id = 20003 ORDER BY p.id
"""


def rows(first: int, number: int) -> list[dict[str, str | int | None]]:
    return [
        {
            "email": f"patient{i}@example.com",
            "last_name": f"Family{i % 5000:04}",
            "first_name": f"Given{i % 700:03}",
            "dob": f"19{50 + i % 50}-0{1 + i % 9}-1{i % 10}",
            "phone": f"555-{i:07}",
            "identifier": f"MRN-{i}",
        }
        for i in range(first, first + number)
    ]


def fill(file: Path, patients: int) -> str:
    """A clinic with that many patients in one organization, half of them in a study; a manager's token."""
    database = open_store(f"sqlite:///{file}")
    with recorded(database, "seed.plant") as session:
        seed.plant(session, "benchmark")
    for first in range(0, patients, 10_000):
        part = rows(first, min(10_000, patients - first))
        study = STUDY if first < patients // 2 else None
        with recorded(database, "imports.run") as session:
            imports.run(session, ADMIN, imports.Import(organization_id=ORGANIZATION, study_id=study, rows=part))
    token = managers_token(database)
    database.close()
    return token


def pages(client: httpx.Client, patients: int, runs: int = 60) -> bool:
    """A page of 50 at the start and far down, taken in turn."""
    far = patients * 9 // 10
    ask = f"api/v1/patients?organization_id={ORGANIZATION}&limit=50&offset="
    took: dict[int, list[float]] = {0: [], far: []}
    for number in range(runs + 5):
        for offset in took:
            seconds = timed(lambda offset=offset: client.get(ask + str(offset)).raise_for_status())
            if number >= 5:
                took[offset].append(seconds)
    p95 = {offset: quantiles(times, n=20)[18] * 1000 for offset, times in took.items()}
    ratio = p95[far] / p95[0]
    said = f"p95 {p95[0]:.1f} ms at 0, {p95[far]:.1f} ms at {far:,} (<= 25 each); ratio {ratio:.2f} (<= 2)"
    return report("a page of 50", said, max(p95.values()) <= 25 and ratio <= 2)


def bare(file: Path) -> pa.Table:
    """What the frame is compared with: the same columns by sqlite3 alone, into an Arrow table."""
    connection = sqlite3.connect(file)
    columns = zip(*connection.execute(BARE).fetchall(), strict=True)
    table = pa.table([pa.array(list(column)) for column in columns], names=[f"c{i}" for i in range(9)])
    connection.close()
    return table


def frame(ex: jhe.Exchange, file: Path, patients: int, runs: int = 7) -> bool:
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(runs):
        theirs.append(timed(lambda: bare(file)))
        ours.append(timed(lambda: ex.patients_df(organization=ORGANIZATION)))
    assert len(ex.patients_df(organization=ORGANIZATION)) == patients + 2 == bare(file).num_rows
    ratio = median(ours) / median(theirs)
    said = f"{median(ours):.2f} s, bare sqlite3 to Arrow {median(theirs):.2f} s; ratio {ratio:.2f} (<= 3)"
    return report(f"patients_df of {patients:,}", said, ratio <= 3)


def importing(ex: jhe.Exchange, patients: int, number: int = 10_000) -> bool:
    plan = ex.plan_import(rows(patients, number), organization=ORGANIZATION, study=STUDY)
    seconds = timed(lambda: plan.apply(progress=False))
    return report(f"importing {number:,} rows", f"{number / seconds:,.0f} rows/s (>= 500)", number / seconds >= 500)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=100_000)
    patients = parser.parse_args().patients
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clinic.sqlite"
        token = fill(file, patients)
        with served(file) as (url, _):
            headers = {"Authorization": f"Bearer {token}"}
            with httpx.Client(base_url=f"{url}/", headers=headers, timeout=300, trust_env=False) as client:
                results = [pages(client, patients)]
            ex = jhe.connect(url, token=token)
            results += [frame(ex, file, patients), importing(ex, patients)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
