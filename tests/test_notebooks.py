"""The notebooks we ship, run as their readers run them: with the demo study, from top to bottom, and then again."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import ADMIN, MARY, Exchange, environment
from nbclient import NotebookClient

SHIPPED = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
CONSOLE = "03_console.ipynb"
TOUR, COHORT, EXPLORE = "00_tour.ipynb", "01_onboard_a_cohort.ipynb", "02_explore_observations.ipynb"
UMA, JAMILA = "uma.beispiel@example.com", "jamila.mathal@example.com"
PNG, HTML, TEXT = "image/png", "text/html", "text/plain"
WIDGET = "application/vnd.jupyter.widget-view+json"
HUB = "05_on_the_hub.ipynb"
PHONE, NOOR = "04_a_patients_phone.ipynb", "noor.primer@example.com"
Shown = dict[str, dict[str, str]]


def run(demo: Exchange, name: str, email: str) -> Shown:
    """What each code cell of a notebook ends in, by cell id and media type; errors and stderr fail the test."""
    folder = demo.folder / "jhe-demo" / "notebooks"
    notebook = nbformat.read(folder / name, as_version=4)
    env = environment(demo.folder) | {"JHE_URL": demo.address, "JHE_TOKEN": demo.token(email)}
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(folder)}}).execute(env=env)
    return {cell.id: shown(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"}


def shown(outputs: list[dict[str, Any]]) -> dict[str, str]:
    assert {one["output_type"] for one in outputs} <= {"execute_result", "display_data"}, outputs
    return {kind: data for one in outputs for kind, data in one["data"].items()}


def patients(demo: Exchange, email: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = demo.as_(MARY).get("api/v1/patients", params={"search": email}).json()["results"]
    return found


def test_the_tour_enrols_reads_and_draws_in_three_cells_and_again_changes_nothing(demo: Exchange) -> None:
    first = run(demo, TOUR, ADMIN)
    assert list(first)[:3] == ["enrol-uma", "observations", "profile"]
    assert "create" in first["enrol-uma"][TEXT]
    assert "blood_glucose_value" in first["observations"][HTML]
    assert [id for id, data in first.items() if PNG in data] == [
        "profile",
        "time-in-range",
        "blood-pressure",
        "consents",
    ]
    again = run(demo, TOUR, MARY)
    assert "unchanged" in again["enrol-uma"][TEXT]
    assert again["observations"] == first["observations"], "a superuser sees no more than the lab's manager"
    assert [one["nameGiven"] for one in patients(demo, UMA)] == ["Uma"]


def test_a_cohort_is_onboarded_and_running_it_again_makes_nobody_twice(demo: Exchange) -> None:
    first = run(demo, COHORT, MARY)
    assert "outbox" in first["invitation"][TEXT]
    assert re.search(r"\b2 +3 +dob +error\b", first["write-csv"][TEXT]), "row 2, line 3"
    assert re.search(r"create +2\n(.|\n)*error +1", first["plan-summary"][TEXT])
    assert first["fix-csv"][TEXT].startswith("Empty DataFrame")
    assert len(re.findall(r"create +done", first["apply"][TEXT])) == 3
    assert {"granted", "declined", "pending"} <= set(first["consent-overview"][TEXT].split())
    states = first["who-needs-a-call"][TEXT]
    assert all(
        state in states for state in ("stopped uploading", "declined", "not connected", "invited", "not invited")
    )
    again = run(demo, COHORT, MARY)
    assert again["lookup-or-create"] == first["lookup-or-create"]
    assert len(re.findall(r"unchanged +done", again["apply"][TEXT])) == 3
    assert len(patients(demo, JAMILA)) == 1


def test_readings_are_explored_and_the_data_is_left_as_found(demo: Exchange) -> None:
    first = run(demo, EXPLORE, MARY)
    assert [id for id, data in first.items() if PNG in data] == [
        "glucose-profile", "time-in-range", "glucose-days", "pressure-series", "steps", "upload-timeline",
    ]  # fmt: skip
    assert {"hypertension", "below 135/85", "CHEP 2017"} <= set(
        re.findall(r"<td>(.*?)</td>", first["pressure-report"][HTML])
    )
    assert "no heart rate readings" in first["refused"][TEXT]
    assert all(name in first["who-stopped"][TEXT] for name in ("Goran", "Luís", "Quiana", "stopped uploading"))
    found = ast.literal_eval(first["saved"][TEXT])
    assert found["frame"] == found["list"] == found["FHIR"] > 50
    assert ast.literal_eval(first["gone"][TEXT]) == {"frame": 0, "list": 0, "FHIR": 0}
    saved, kept, why = ast.literal_eval(first["revalidate"][TEXT])
    assert (saved - kept, why) == (found["frame"], ["consent withdrawn"])
    again = run(demo, EXPLORE, MARY)
    same = ("pressure-report", "glucose-summary", "who-stopped", "saved", "gone", "revalidate", "grant-again")
    assert {id: again[id] for id in same} == {id: first[id] for id in same}
    assert again["grant-again"] == first["saved"]


def test_the_console_opens_and_its_selection_is_a_frame(demo: Exchange) -> None:
    first = run(demo, CONSOLE, MARY)
    assert list(first) == ["console", "selected", "lines"]
    assert WIDGET in first["console"]
    assert first["console"][TEXT].startswith("<Patients · Import · Studies")
    assert "telecom_email" in first["selected"][HTML]
    assert first["lines"][TEXT] == "[]"


def test_what_a_hub_changes_for_a_researcher_is_nothing(demo: Exchange) -> None:
    found = run(demo, HUB, MARY)
    assert "Wearables Lab" in found["my-organizations"][HTML]
    assert "CGM and blood pressure at home" in found["my-studies"][HTML]
    assert found["still-there"][TEXT] == "True"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_committed_notebook_is_valid_and_carries_no_results(path: Path) -> None:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_committed_notebook_names_no_place_of_one_machine_and_no_secret(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"(?<![\w.:/<])/(?:home|Users|root|tmp|work|mnt|opt)\b[\w/.-]*|[A-Z]:\\\\", text) == []
    assert re.findall(r"jhe_[A-Za-z0-9_-]{20,}|https?://(?:localhost|127\.)\S*", text) == []


def test_every_shipped_notebook_is_run_here() -> None:
    assert [path.name for path in SHIPPED] == [TOUR, COHORT, EXPLORE, CONSOLE, PHONE, HUB]


def test_a_patients_phone_is_invited_answers_uploads_and_withdraws_and_may_do_so_again(demo: Exchange) -> None:
    first = run(demo, PHONE, MARY)
    assert len(first) == 10
    assert "pending" in first["asked"][TEXT]
    assert {"granted", "declined"} <= set(first["answered"][TEXT].split())
    assert re.search(r"created +14", first["uploaded"][TEXT])
    assert "131.0" in first["frame"][TEXT]
    assert first["gone"][TEXT] == "(14, 0)"
    again = run(demo, PHONE, MARY)
    assert re.search(r"exists +14", again["uploaded"][TEXT]), "nothing is measured twice"
    assert again["gone"] == first["gone"]
    assert len(patients(demo, NOOR)) == 1
