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
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import UUID

import httpx
import pandas as pd
from measuring import machine, report, served, timed

import jhe_jupyter as jhe
from jhe_server import audit, changes, consents, imports, observations, seed, studies, tokens
from jhe_server.access import Actor
from jhe_server.cli import recorded
from jhe_server.devices import CodeRow, OneCode
from jhe_server.opened import open_store
from jhe_server.people import by_email
from jhe_server.studies import StudyRow

ORGANIZATION, DEVICE, PATIENTS = 20003, 70001, 50
ADMIN = Actor(10001, is_superuser=True, via="cli")
GLUCOSE, HEART_RATE = "omh:blood-glucose:4.0", "omh:heart-rate:2.0"
SYSTEM = "https://w3id.org/openmhealth"
START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(minutes=5)
chance = random.Random(1)  # noqa: S311  (not a secret)


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
    start = (START + number * EVERY - timedelta(hours=1) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
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
        study = studies.create(session, ADMIN, studies.NewStudy(name="Sugar", description="-", organization=ORGANIZATION))
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
    with database.write() as session:
        user = by_email(session, "manager_mary@example.com")
        assert user is not None
        token, _ = tokens.issue(session, user, timedelta(days=1))
    database.close()
    return token


_ = (argparse, sys, tempfile, threading, time, Iterator, median, quantiles, httpx, pd, machine, report, served, timed, jhe, audit, changes)
