"""FHIR Observations into a DataFrame, as for a server without Arrow streams, against jupyterhealth-client's own step.

    python benchmarks/tidy.py [--observations 20000]

Both get the same resources, already fetched and parsed, in one run; the ratio decides. The public step is timed on a
tenth of them (it is the same for every row), and the values of that tenth are compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import date
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from jupyterhealth_client._utils import tidy_observation

from jhe_jupyter.frames import observations_frame
from jhe_jupyter.tidy import tidy_frame
from jhe_server import fhir
from jhe_server.demo import bodies
from jhe_server.omh import effective_time

PROMISED = 30.0
SYSTEM = "https://w3id.org/openmhealth"


def resources(number: int) -> list[dict[str, Any]]:
    """Synthetic glucose, blood pressure, heart rate and steps as the server answers them."""
    points = bodies.data_points(
        bodies.Physiology(), ZoneInfo("Europe/Berlin"), start=date(2026, 1, 1), days=400, seed=""
    )
    return [_resource(60001 + at, code, point) for at, (code, point) in zip(range(number), points, strict=False)]


def _resource(id: int, code: str, point: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": str(id),
        "meta": {"lastUpdated": "2026-03-01T08:00:00.123456Z"},
        "identifier": [{"system": "https://example.org", "value": f"point-{id}"}],
        "status": "final",
        "code": {"coding": [{"system": SYSTEM, "code": code}]},
        "subject": {"reference": "Patient/40001"},
        "device": {"reference": "Device/70001", "display": "CareX"},
        **fhir.effective(*effective_time(point["body"])),
        "valueAttachment": fhir.attachment(point),
    }


def public_tidy(found: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame.from_records([tidy_observation(one) for one in found])


def per_row(step: Callable[[list[dict[str, Any]]], pd.DataFrame], found: list[dict[str, Any]], runs: int) -> float:
    """Microseconds a row, median of the runs."""
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        step(found)
        taken.append(time.perf_counter() - start)
    return median(taken) / len(found) * 1e6


def compare(found: list[dict[str, Any]]) -> None:
    """The same values in both, else the figures mean nothing."""
    ours = observations_frame(found).set_index("observation_id").sort_index()
    theirs = public_tidy(found).set_index(ours.index)
    for name in ("heart_rate_value", "systolic_blood_pressure_value", "step_count_value", "blood_glucose_value"):
        if name in theirs:
            pd.testing.assert_series_equal(ours[name], theirs[name].astype("float64"))
    known = theirs["effective_time_frame_date_time"].dropna()
    assert (ours.loc[known.index, "effective_start"] == known).all()


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--observations", type=int, default=20_000)
    found = resources(asked.parse_args().observations)
    few = found[: max(1, len(found) // 10)]
    compare(few)
    theirs = per_row(public_tidy, few, runs=3)
    ours = per_row(observations_frame, found, runs=5)
    flat = per_row(tidy_frame, found, runs=5)
    ratio = theirs / ours
    holds = "holds" if ratio >= PROMISED else "DOES NOT HOLD"
    print(f"{len(found):,} observations from FHIR resources to a frame, microseconds a row")
    print(f"  jupyterhealth-client's tidy step   {theirs:8.1f}")
    print(f"  observations_df without Arrow      {ours:8.1f}   {ratio:6.1f} x, promised {PROMISED:.0f} x: {holds}")
    print(f"  list_observations_df               {flat:8.1f}   {theirs / flat:6.1f} x")


if __name__ == "__main__":
    main()
