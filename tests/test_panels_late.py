"""What comes late or twice in a panel: it covers no other tab, opens no closed dialog, and moves nobody's tick."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from conftest import ADMIN, MEGAN, Exchange, wait_for
from viewers import Viewer, Ward

LAB, AGAIN = 20003, 30002


@pytest.fixture
def ward(shared_exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    ward = Ward(shared_exchange, monkeypatch)
    yield ward
    ward.close()


class Gate:
    """A method of an Exchange that answers when it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, exchange: Any, method: str) -> None:
        self.reached, self.free = threading.Event(), threading.Event()
        self.calls = 0
        self._straight: Callable[..., Any] = getattr(exchange, method)
        monkeypatch.setattr(exchange, method, self._held)

    def _held(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        self.reached.set()
        assert self.free.wait(20)
        return self._straight(*arguments, **named)


def begin(viewer: Viewer, part: str, name: str, **said: Any) -> None:
    """A click, without waiting for what comes of it."""
    viewer.panel.heard({"part": part, "name": name, "values": {}, **said}, [])


def test_a_dialog_closed_while_it_loads_stays_closed(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    megan = ward.open(MEGAN, "patients_panel")
    gate = Gate(monkeypatch, megan.panel.exchange, "get_patient")
    begin(megan, "main", "patients.view", id=40001)
    assert gate.reached.wait(20)
    begin(megan, "dialog", "cancel")
    wait_for(lambda: not megan.asked, 20)
    gate.free.set()
    megan.panel.settle()
    assert not megan.asked, "nobody could close it again"


def test_an_import_that_ends_while_another_tab_is_in_front_does_not_cover_it(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    megan = ward.open(MEGAN, organization=LAB)
    megan.turn_to("Import")
    megan.upload("one.csv", b"email,last_name,first_name,dob\nlate.one@example.com,One,L,1980-01-01\n")
    gate = Gate(monkeypatch, megan.panel.exchange, "post_import")
    begin(megan, "main", "apply")
    assert gate.reached.wait(20)
    begin(megan, "tabs", "tab", value="Patients")
    wait_for(lambda: bool([one for one in megan.blocks("main") if one["kind"] == "table"]), 20)
    gate.free.set()
    megan.panel.settle()
    assert megan.table["name"] == "patients"
    assert "1 row imported." in megan.words("notice")
    megan.turn_to("Import")
    assert "Imported from one.csv" in megan.words("main")


def test_while_an_import_runs_no_other_is_begun_and_its_line_names_its_own_place(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    megan = ward.open(MEGAN, "import_panel", study=AGAIN)
    megan.upload("two.csv", b"email,last_name,first_name,dob\nlate.two@example.com,Two,L,1980-01-01\n")
    gate = Gate(monkeypatch, megan.panel.exchange, "post_import")
    begin(megan, "main", "apply")
    assert gate.reached.wait(20)
    assert [one["kind"] for one in megan.blocks("main")] == ["progress", "row", "button"]
    begin(megan, "main", "file", value="other.csv")
    begin(megan, "bar", "study", value="")
    gate.free.set()
    megan.panel.settle()
    assert megan.panel.python == [f"ex.plan_import('two.csv', {LAB}, study={AGAIN}).apply()"]
    assert "Imported from two.csv" in megan.words("main")


def test_a_slow_plan_for_another_place_never_stands_for_this_one(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    megan = ward.open(MEGAN, "import_panel", study=AGAIN)
    exchange, free = megan.panel.exchange, threading.Event()
    straight = exchange.plan_import

    def held(given: Any, organization: int, study: int | None) -> Any:
        plan = straight(given, organization, study)
        assert study is None or free.wait(20)
        return plan

    monkeypatch.setattr(exchange, "plan_import", held)
    rows = pd.DataFrame([{"email": "ll_patient_peter@example.com", "last_name": "Petersen", "first_name": "Peter",
                          "dob": "1980-01-01"}])  # fmt: skip
    megan.panel.go(megan.panel.screen._take(rows, "the frame"))
    begin(megan, "bar", "study", value="")
    wait_for(lambda: megan.panel.screen.plan is not None, 20)
    there = megan.panel.screen.plan
    free.set()
    megan.panel.settle()
    assert megan.panel.screen.plan is there


def test_a_plot_that_comes_late_is_put_under_no_other_tab(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    megan = ward.open(MEGAN, study="CGM and blood pressure at home")
    megan.turn_to("Observations")
    megan.choose("Data type", "omh:blood-pressure:4.0")
    gate = Gate(monkeypatch, megan.panel.exchange, "observations_df")
    begin(megan, "bar", "plot")
    assert gate.reached.wait(20)
    begin(megan, "tabs", "tab", value="Patients")
    gate.free.set()
    megan.panel.settle()
    assert megan.blocks("figure") == []


def test_a_double_click_invites_once(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    megan = ward.open(MEGAN, "patients_panel")
    megan.tick("ll_patient_peter@example.com")
    megan.press("Invite…", "bar")
    gate = Gate(monkeypatch, megan.panel.exchange, "invite")
    begin(megan, "dialog", "generate")
    begin(megan, "dialog", "generate")
    gate.free.set()
    megan.panel.settle()
    assert gate.calls == 1, "the first link would be dead before it was read"


def test_who_is_ticked_for_follow_up_stays_ticked_when_somebody_joins_before_them(ward: Ward) -> None:
    exchange = ward.exchange(MEGAN)
    early, late = (
        exchange.create_patient(f"wander.{name}@example.com", name, "W", "1980-01-01", LAB)["id"]
        for name in ("Early", "Late")
    )
    exchange.enroll(AGAIN, [late])
    megan = ward.open(MEGAN, "followup_panel", study=AGAIN)
    megan.tick("Late, W")
    exchange.enroll(AGAIN, [early])
    wait_for(lambda: "Early, W" in megan.column("Patient"), 20)
    assert list(megan.panel.selected_df["patient_id"]) == [late]


def test_an_exchange_without_organizations_lets_a_superuser_make_the_first(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = ward.open(ADMIN)
    monkeypatch.setattr(admin.panel.exchange, "list_organizations", lambda: iter(()))
    admin.panel.go(admin.panel.place.load())
    admin.panel.settle()
    admin.turn_to("Organizations")
    assert admin.labels("bar") == ["Create top-level Organization…"]
