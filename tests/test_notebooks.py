"""The notebooks we ship, run as their readers run them: against a real server with the demo study, twice, and read-only on disk."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import ADMIN, MARY, Exchange, environment
from nbclient import NotebookClient

from jhe_server import demonstration

SHIPPED = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
TOUR, COHORT = "00_tour.ipynb", "01_onboard_a_cohort.ipynb"
UMA = "uma.beispiel@example.com"
PNG, HTML = "image/png", "text/html"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A server on what `jupyter jhe demo` prepares; the notebooks lie beside its database."""
    folder = tmp_path_factory.mktemp("demo")
    url, _ = demonstration.prepare(str(folder / "jhe-demo"))
    exchange = Exchange(url, folder)
    yield exchange
    exchange.close()


def run(demo: Exchange, name: str, email: str = ADMIN) -> list[dict[str, Any]]:
    """The code cells of a prepared notebook after a run in a kernel of its own, all the way through."""
    folder = demo.folder / "jhe-demo" / "notebooks"
    notebook = nbformat.read(folder / name, as_version=4)
    env = environment(demo.folder) | {"JHE_URL": demo.address, "JHE_TOKEN": demo.token(email)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the kernel's client library, not of what runs in it
        client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
        client.execute(env=env)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: dict[str, Any]) -> dict[str, Any]:
    """What a cell ends in, by media type; anything printed to stderr fails the test."""
    kinds = {output["output_type"] for output in cell["outputs"]}
    assert kinds <= {"execute_result", "display_data"}, cell["outputs"]
    return {kind: data for output in cell["outputs"] for kind, data in output["data"].items()}


def by_id(cells: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {cell["id"]: shown(cell) for cell in cells}


def test_the_tour_enrols_reads_and_draws_within_three_cells(demo: Exchange) -> None:
    cells = run(demo, TOUR)
    enrolled, frame, picture = map(shown, cells[:3])
    assert "create" in enrolled["text/plain"]
    assert "blood_glucose_value" in frame[HTML]
    assert PNG in picture
    rest = by_id(cells[3:])
    assert {name for name, data in rest.items() if PNG in data} == {"time-in-range", "blood-pressure", "consents"}
    with demo.as_(MARY) as mary:
        found = mary.get("api/v1/patients", params={"search": UMA}).json()["results"]
    assert [one["nameGiven"] for one in found] == ["Uma"]


def test_the_tour_again_by_the_labs_manager_changes_nothing(demo: Exchange) -> None:
    run(demo, TOUR)
    enrolled, frame, picture = map(shown, run(demo, TOUR, MARY)[:3])
    assert "unchanged" in enrolled["text/plain"]
    assert "blood_glucose_value" in frame[HTML]
    assert PNG in picture


def test_a_cohort_is_onboarded_and_running_it_again_makes_nobody_twice(demo: Exchange) -> None:
    first = by_id(run(demo, COHORT, MARY))
    assert "1991-02-29" not in first["plan"]["text/plain"] if "plan" in first else True
    assert re.search(r"create\s+2", first["plan-summary"]["text/plain"])
    assert re.search(r"error\s+1", first["plan-summary"]["text/plain"])
    assert "Empty DataFrame" in first["fix-csv"]["text/plain"]
    assert first["apply"]["text/plain"].count("create") == 3
    assert "outbox" in first["invitation"]["text/plain"]
    assert "never connected" in first["who-needs-a-call"]["text/plain"] or "invited" in first["who-needs-a-call"]["text/plain"]
    again = by_id(run(demo, COHORT, MARY))
    assert again["apply"]["text/plain"].count("unchanged") == 3
    assert again["lookup-or-create"] == first["lookup-or-create"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_committed_notebook_is_valid_and_carries_no_results(path: Path) -> None:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_committed_notebook_names_no_place_of_one_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"(?<![\w.:/<])/(?:home|Users|root|tmp|work|mnt|opt)\b[\w/.-]*|[A-Z]:\\\\", text) == []
    assert re.findall(r"jhe_[A-Za-z0-9_-]{20,}|https?://(?:localhost|127\.)\S*", text) == []


def test_every_shipped_notebook_is_run_here() -> None:
    assert [path.name for path in SHIPPED] == [TOUR, COHORT]
